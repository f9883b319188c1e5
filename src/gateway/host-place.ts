/** `placement: host`: the processes of a network namespace share a server, by an abstract socket (fleet/host-placement.ts). */
import type { Socket } from 'node:net';
import type { StdioServerConfig } from '../config/types.js';
import { HostLease, hostName } from '../fleet/host-placement.js';
import type { FleetKeys } from '../fleet/keys.js';
import type { Logger } from '../observe/log.js';
import { childConfig, sortedEntries, type PlaceOf } from './place.js';

/** The pause after a connection was refused. */
const AGAIN_MS = 20;

export interface HostPlaceDeps {
  readonly keys: FleetKeys;
  readonly prefix: string;
  readonly log: Logger;
  /** Serves a connection of another process of this host. */
  readonly serve: (socket: Socket) => void;
}

export function hostPlaces({ keys, prefix, log, serve }: HostPlaceDeps): PlaceOf {
  return (config) => {
    const { name: server, restart } = config;
    const name = hostName(keys, prefix, server, whatRuns(config));
    return {
      to: `@${name.slice(1)}`,
      also: [],
      isAlwaysSelf: false,
      isSerial: restart === 'serial',
      where: 'this host',
      open(changed) {
        const lease = new HostLease({ name, keys, server, log, serve, changed });
        return {
          start: () => {
            lease.start();
          },
          connect: (signal) => lease.connect(signal),
          unreachable: () => AGAIN_MS,
          release: () => {
            lease.release();
          },
          left: () => lease.left(),
          end: () => {
            lease.close();
          },
          close: () => {
            lease.close();
          },
        };
      },
    };
  };
}

/** What a child depends on: where two processes differ in it, each runs one. */
function whatRuns(config: StdioServerConfig): string {
  return JSON.stringify({ ...childConfig(config), environment: sortedEntries(config.environment) });
}
