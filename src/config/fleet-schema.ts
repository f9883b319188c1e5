/** `fleet`: several gateways that share a store and look like one. */
import { z } from 'zod';
import { flag, link, restart } from './keys.js';

export const fleet = z.object({
  store: z
    .string()
    .nullable()
    .default(null)
    .meta(
      restart(
        'The Valkey or Redis server, from version 7 on, that all replicas of a fleet use: `valkey://`, `redis://`, `rediss://`, `redis+sentinel://host1,host2/name` or `redis+cluster://host1,host2`. `null`: this gateway is alone. Overridden by `MCPSTEAD_FLEET_STORE`, or by the file that `MCPSTEAD_FLEET_STORE_FILE` names. Needs `MCPSTEAD_STATE_KEY`, the package `ioredis` and docs/fleet.md.',
      ),
    ),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ -')
    .default('mcpstead')
    .meta(
      restart('How the names of all keys in the store begin: two fleets on one store need two prefixes.'),
    ),
  name: z
    .string()
    .min(1)
    .max(128)
    .nullable()
    .default(null)
    .meta(restart('What this replica is called in logs, `/health` and the console. `null`: the host name.')),
  listen: z
    .object({
      host: z
        .string()
        .default('127.0.0.1')
        .meta(restart('The address that other replicas reach this one at; in Kubernetes that of the pod.')),
      port: z
        .int()
        .min(0)
        .max(65_535)
        .default(0)
        .meta(restart('The port for other replicas; 0 picks a free one.')),
      tls: z
        .enum(['auto', 'psk', 'off'])
        .default('auto')
        .meta(
          restart(
            '`psk`: TLS 1.3 with a key that is derived from the state key, without certificates. `off`: plain HTTP, for networks that encrypt by themselves. `auto`: `off` if `fleet.listen.host` and `fleet.address` are loopback addresses, otherwise `psk`.',
          ),
        ),
    })
    .prefault({}),
  address: z
    .string()
    .nullable()
    .default(null)
    .meta(
      restart(
        'The address that other replicas use, as `host:port`, if it is not that of `fleet.listen`, for example behind a port mapping.',
      ),
    ),
});

export const placement = z
  .enum(['each', 'host', 'fleet'])
  .optional()
  .meta(
    link(
      'How many processes of a stdio server there are, if `fleet.store` is set: one in `each` replica, or one for all replicas of a `host` that share a network namespace and have the same command, arguments and environment for it (Linux; elsewhere `each`), or one in the whole `fleet`, for all replicas that have the same command, arguments, `env` and `inherit_env` for it. Not set: `each` with a `url`, `host` with a `command`. With `session: per-client` and a login of each user, `host` means `each`, and `fleet` is refused.',
    ),
  );

export const watch = flag(false).meta(
  restart(
    'Reload when this file changes, also if it is replaced or its folder is a Kubernetes ConfigMap. Only the command `mcpstead` watches; a program that uses the library calls `reload()`.',
  ),
);
