/** The calls that are parked: bounded in number, found again by the state that their client brings back. */
import { randomUUID } from 'node:crypto';
import { createBudget, type Holder } from '../lib/budget.js';
import type { Boundary } from '../observe/boundary.js';
import type { GatewayStats } from '../observe/stats.js';
import type { Caller, Exchange, Sink } from '../protocol/ports.js';
import type { Crossing } from './crossing.js';

/** A call that waits for its client. */
export interface Parked {
  readonly caller: Caller;
  /** Where it is open. */
  readonly server: string;
  /** The number of the request that its state was given to last: only that state counts. */
  readonly round: number;
  readonly isParked: boolean;
  /** The client is back with answers. The sink is never called before this has returned. */
  retry(crossing: Crossing, sink: Sink, answers: ReadonlyMap<string, Buffer>): Exchange;
  /** Nobody may come back any more. */
  close(): void;
}

/**
 * Synchronous, and local to this process: a parked call holds the upstream's connection and what has come on it, and none of that can
 * be kept elsewhere. A retry finds its way back by the replica that its state names.
 */
export interface ParkedCalls {
  /**
   * Whether a call may be parked. `again`: it was before. When all places are taken, the client or the server with most of them gives up
   * its oldest one, unless this one would have as many.
   */
  hasRoom(call: Pick<Parked, 'caller' | 'server'>, again: boolean): boolean;
  nextId(): string;
  /** The call waits for its client from now on. */
  add(id: string, call: Parked): void;
  get(id: string): Parked | undefined;
  /** It waits no more. `kept`: it goes on, and may be parked again. */
  remove(id: string, result: 'answered' | 'expired' | 'refused' | 'cancelled'): void;
  /** Ends those for which `which` holds. */
  endWhere(which: (call: Parked) => boolean): void;
  /** Ends all, and takes no more: nobody could come back. */
  close(): void;
}

export function createParkedCalls(stats: GatewayStats, boundary: Boundary, limit: () => number): ParkedCalls {
  const calls = new Map<string, Parked>();
  /** One place each. */
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
      // What was asked just before is told still.
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
