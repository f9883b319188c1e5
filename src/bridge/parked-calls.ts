/** The parked calls, limited in number, by the id in the `requestState` of their client. */
import { randomUUID } from 'node:crypto';
import { createBudget, type Holder } from '../lib/budget.js';
import type { Boundary } from '../observe/boundary.js';
import type { GatewayStats } from '../observe/stats.js';
import type { Caller, Exchange, Sink } from '../protocol/ports.js';
import type { Crossing } from './crossing.js';

/** A call that waits for its client. */
export interface Parked {
  readonly caller: Caller;
  /** The server that the call is open to. */
  readonly server: string;
  /** The number of the request that got the latest state: only that state is valid. */
  readonly round: number;
  readonly isParked: boolean;
  /** The client retries with answers. The sink is never called before this has returned. */
  retry(crossing: Crossing, sink: Sink, answers: ReadonlyMap<string, Buffer>): Exchange;
  /** Ends the call: no retry is possible any more. */
  close(): void;
}

/**
 * Synchronous and local to this process: a parked call holds a connection to the upstream and the data received on it, which cannot be
 * stored elsewhere. The state of a retry names the replica.
 */
export interface ParkedCalls {
  /**
   * Whether a call may be parked. `again`: it was parked before. At the limit, the oldest call of the client or server with the most
   * parked calls ends, unless the owner of this one would have as many.
   */
  hasRoom(call: Pick<Parked, 'caller' | 'server'>, again: boolean): boolean;
  nextId(): string;
  /** Parks a call. */
  add(id: string, call: Parked): void;
  get(id: string): Parked | undefined;
  /** Removes a call that waits no longer, and counts it under `result`. */
  remove(id: string, result: 'answered' | 'expired' | 'refused' | 'cancelled'): void;
  /** Ends the calls that match `which`. */
  endWhere(which: (call: Parked) => boolean): void;
  /** Ends all calls, and refuses new ones. */
  close(): void;
}

export function createParkedCalls(stats: GatewayStats, boundary: Boundary, limit: () => number): ParkedCalls {
  const calls = new Map<string, Parked>();
  /** Each call takes one. */
  const places = createBudget(0, (thrown) => boundary.caught('detached', thrown));
  const taken = new Map<string, Holder>();
  let closed = false;

  function endWhere(which: (call: Parked) => boolean): void {
    for (const call of [...calls.values()])
      boundary.run('detached', () => {
        if (which(call)) call.close();
      });
  }

  return {
    hasRoom({ caller, server }, again) {
      if (closed) return false;
      places.setLimit(limit());
      if (again || calls.size < limit()) return true;
      const probe = places.holder({ client: caller.client, server }, () => undefined);
      const hasRoom = probe.take(1);
      probe.release();
      return hasRoom && calls.size < limit();
    },
    nextId: () => randomUUID(),
    add(id, call) {
      calls.set(id, call);
      stats.parked = calls.size;
      const place = places.holder({ client: call.caller.client, server: call.server }, () => {
        call.close();
      });
      places.setLimit(Math.max(limit(), calls.size));
      place.take(1);
      taken.set(id, place);
      // Lets the client get the input_required answer first.
      if (closed)
        setImmediate(
          boundary.guard('detached', () => {
            call.close();
          }),
        );
    },
    get: (id) => calls.get(id),
    remove(id, result) {
      if (!calls.delete(id)) return;
      taken.get(id)?.release();
      taken.delete(id);
      stats.parked = calls.size;
      stats.parkedTotal.add(result);
    },
    endWhere,
    close() {
      closed = true;
      endWhere(() => true);
    },
  };
}
