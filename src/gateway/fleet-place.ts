/** `placement: fleet`: all replicas share a server, by a lease in the store (fleet/leases.ts), and reach it on the port for replicas. */
import type { StdioServerConfig } from '../config/types.js';
import { connectToReplica } from '../fleet/hop.js';
import type { FleetKeys } from '../fleet/keys.js';
import { leaseNames } from '../fleet/lease-values.js';
import { FleetLease } from '../fleet/leases.js';
import type { Members } from '../fleet/members.js';
import type { FleetStore } from '../fleet/store.js';
import type { Logger } from '../observe/log.js';
import { childConfig, sortedEntries, type PlaceOf } from './place.js';

/** The pause after a connection failed. */
const AGAIN_MS = 250;

export interface FleetPlaceDeps {
  /** The identity of this replica. */
  readonly self: string;
  readonly keys: FleetKeys;
  readonly prefix: string;
  /** Whether connections to replicas are encrypted. */
  readonly secure: boolean;
  readonly log: Logger;
  readonly store: FleetStore;
  readonly members: Pick<Members, 'find' | 'isSure' | 'storeTime'>;
  /** See FleetLeaseDeps. */
  readonly stranger: () => void;
}

export function fleetPlaces(deps: FleetPlaceDeps): PlaceOf {
  const { self, keys, prefix, secure, log, store, members, stranger } = deps;
  return (config) => {
    const { name: server } = config;
    const child = whatRuns(config);
    // Replicas in the middle of a change of the state key know each other's current one.
    const [to = '', ...also] = leaseNames(keys, prefix, server, child).map((name) => `&${name}`);
    return {
      to,
      also,
      isAlwaysSelf: true,
      isSerial: true,
      where: 'the fleet',
      open(changed) {
        const lease = new FleetLease({
          ...{ self, keys, prefix, server, store, log, stranger, changed },
          config: child,
          isSure: () => members.isSure,
          storeTime: () => members.storeTime(),
          isKnown: (replica) => members.find(replica) !== undefined,
        });
        return {
          start: () => {
            lease.start();
          },
          async connect(signal) {
            // A late request of a link to the last holder waits for the new one, which may be this replica.
            const holder = members.find(lease.role === 'guest' ? lease.owner : self);
            if (!holder) throw new Error('the address of the replica that runs the server is not known');
            return await connectToReplica(holder.address, { keys, secure }, signal);
          },
          unreachable: () => {
            lease.hurry();
            return AGAIN_MS;
          },
          release: () => void lease.release(),
          left: () => Promise.resolve(),
          released: () => lease.release(),
          end: () => undefined,
          close: () => {
            lease.close();
          },
          children: lease,
        };
      },
    };
  };
}

/** What a child depends on. The variables that each machine has of its own do not count: they differ between machines. */
function whatRuns(config: StdioServerConfig): string {
  const { env, environment, inherit_env } = config;
  const own = Object.fromEntries(Object.keys(env).map((name) => [name, environment[name] ?? '']));
  return JSON.stringify({ ...childConfig(config), env: sortedEntries(own), inherit_env });
}
