/** The calls that are parked: bounded in number, found again by the state that their client brings back. */
import { randomUUID } from 'node:crypto';
import type { GatewayStats } from '../observe/stats.js';
import type { Caller, Exchange, Sink } from '../protocol/ports.js';
import type { Crossing } from './crossing.js';

/** A call that waits for its client. */
export interface Parked {
  readonly caller: Caller;
  /** The number of the request that its state was given to last: only that state counts. */
  readonly round: number;
  readonly isParked: boolean;
  /** The client is back with answers. The sink is never called before this has returned. */
  retry(crossing: Crossing, sink: Sink, answers: ReadonlyMap<string, Buffer>): Exchange;
  /** Nobody may come back any more. */
  close(): void;
}

/**
 * Local to this process: a parked call holds the upstream's connection. A retry finds its way back by the replica that its
 * state names.
 */
export interface ParkedCalls {
  /** Whether one more may be parked. */
  hasRoom(): boolean;
  nextId(): string;
  /** The call waits for its client from now on. */
  add(id: string, call: Parked): void;
  get(id: string): Parked | undefined;
  /** It waits no more. `kept`: it goes on, and may be parked again. */
  remove(id: string, result: 'answered' | 'expired' | 'refused' | 'cancelled'): void;
  /** Ends those for which `which` holds. */
  endWhere(which: (call: Parked) => boolean): void;
}

export function createParkedCalls(stats: GatewayStats, limit: () => number): ParkedCalls {
  const calls = new Map<string, Parked>();
  return {
    hasRoom: () => calls.size < limit(),
    nextId: () => randomUUID(),
    add(id, call) {
      calls.set(id, call);
      stats.parked = calls.size;
    },
    get: (id) => calls.get(id),
    remove(id, result) {
      if (!calls.delete(id)) return;
      stats.parked = calls.size;
      stats.parkedTotal.add(result);
    },
    endWhere(which) {
      for (const call of [...calls.values()]) if (which(call)) call.close();
    },
  };
}
