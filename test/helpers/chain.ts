/**
 * Tests behind two replicas: while the chain is on, `startGateway` puts a second gateway between the clients and the gateway that has the
 * servers, as a fleet does for a server that is placed on another replica. The link between the two introduces and names its clients.
 */
import type { IncomingMessage } from 'node:http';
import { LOCAL } from '../../src/auth/authenticate.js';
import { resolveConfig } from '../../src/config/index.js';
import type { Replicas } from '../../src/downstream/http/replicas.js';
import { makeReplicaId, PEER_HEADER, type Introduced } from '../../src/protocol/elsewhere.js';
import { FleetKeys } from '../../src/fleet/keys.js';
import { KeyedPeerClients } from '../../src/fleet/peer-clients.js';
import { PeerHeaders } from '../../src/fleet/peer-header.js';
import { GatewayCore } from '../../src/gateway.js';
import type { PeerDeps } from '../../src/gateway/deps.js';
import type { ConfigInput, Gateway } from '../../src/index.js';
import type { Logger } from '../../src/observe/log.js';

type Entry = Readonly<Record<string, unknown> & { name: string }>;

let on = false;

/** Switches the chain on for the test file that imports this. */
export function useChain(): void {
  on = true;
}

export const isChained = (): boolean => on;

/** What a server entry says about the server itself or about the connection to it: only the far gateway needs it. */
const FAR_ONLY: ReadonlySet<string> = new Set([
  'url',
  'command',
  'args',
  'env',
  'cwd',
  'inherit_env',
  'restart',
  'headers',
  'auth',
  'session',
  'revision',
  'transport',
  'tls',
]);

/** The configuration of the near gateway: each server is the endpoint of that server on the far one. */
export function nearConfig(config: ConfigInput, far: (name: string) => string): ConfigInput {
  const servers = (config.servers ?? []) as readonly Entry[];
  const near = servers.map((entry) => ({
    ...Object.fromEntries(Object.entries(entry).filter(([key]) => !FAR_ONLY.has(key))),
    url: far(entry.name),
    revision: '2026-07-28',
    headers: { [OWN]: '1' },
  }));
  return { ...config, servers: near };
}

/** Who the requests of the link itself are of: clients without a credential, so that it can ask after their tasks. */
const NOBODY = { ...LOCAL, id: 'anonymous', kind: 'anonymous' as const };
/** The far one sends nothing to others. */
const NO_OTHERS: Omit<Replicas, 'self' | 'introduced' | 'makeId'> = {
  isLeaving: false,
  homeOf: () => undefined,
  ownerOf: () => undefined,
  homeOfTask: () => undefined,
  homeOfClient: () => undefined,
  whereUp: () => undefined,
  another: () => undefined,
  introduce: () => [],
  send: () => undefined,
  learn: () => undefined,
  next: () => Promise.resolve(undefined),
  takeOver: () => undefined,
  count: () => undefined,
};

/** Marks the requests of the link itself. */
const OWN = 'x-own-request';

/** Two replicas: what the far one is made with, and what the near one is made with. */
export function twoReplicas(): { readonly far: PeerDeps; readonly near: PeerDeps } {
  const keys = new FleetKeys(Buffer.alloc(32, 7), []);
  const now = (): number => Date.now();
  const [nearId, farId] = [makeReplicaId(), makeReplicaId()];
  const made = new PeerHeaders({ keys, self: nearId, now });
  const opened = new PeerHeaders({ keys, self: farId, now });
  const introduced = ({ headers }: IncomingMessage): Introduced | undefined =>
    headers[OWN] !== undefined && headers[PEER_HEADER] === undefined
      ? { from: nearId, principal: NOBODY, headers: {}, link: true }
      : opened.open(headers[PEER_HEADER] as string | undefined);
  const clients = new KeyedPeerClients(keys);
  const link = {
    client: clients.name.bind(clients),
    headers: ({ principal }: { principal: Introduced['principal'] }) => [
      PEER_HEADER,
      made.make(farId, principal),
    ],
  };
  return {
    far: {
      clients,
      linkOf: () => undefined,
      door: { replicas: { ...NO_OTHERS, self: farId, introduced, makeId: makeReplicaId } },
    },
    near: { clients: new KeyedPeerClients(keys), linkOf: () => link },
  };
}

/** A gateway that is one of several. */
export function createReplica(
  input: ConfigInput,
  { env = process.env, logger }: { readonly env?: NodeJS.ProcessEnv; readonly logger: Logger },
  peers: PeerDeps,
): { readonly gateway: Gateway; readonly core: GatewayCore } {
  const load = (): ReturnType<typeof resolveConfig> => resolveConfig(input, env);
  const core = new GatewayCore(load(), {
    ...{ logger, env, reload: load, peers, configFile: undefined, sessions: undefined },
    build: { version: '0.0.0', git_sha: 'unknown' },
  });
  const gateway: Gateway = {
    listen: () => core.listen(),
    attach: (from, to, options) => core.attach(from, to, options?.profile),
    reload: (next) => core.reload(next && (() => resolveConfig(next, env))),
    close: () => core.close(),
    destroy: () => {
      core.destroy();
    },
    health: () => core.admin.operators.health(),
    consoleUrl: () => core.admin.consoleUrl(),
    failed: core.failed,
  };
  return { gateway, core };
}
