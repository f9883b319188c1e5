/** The calls that are parked: bounded in number, found again by the state that their client brings back. */
import { randomUUID } from 'node:crypto';
import type { GatewayStats } from '../observe/stats.js';
import type { ParkedCall } from './parked-call.js';

/**
 * Local to this process: a parked call holds the upstream's connection. A retry finds its way back by the replica that its
 * state names.
 */
export interface ParkedCalls {
  /** Whether one more may be parked. */
  hasRoom(): boolean;
  nextId(): string;
  /** The call waits for its client from now on. */
  add(id: string, call: ParkedCall): void;
  get(id: string): ParkedCall | undefined;
  /** It waits no more. `kept`: it goes on, and may be parked again. */
  remove(id: string, result: 'answered' | 'expired' | 'refused' | 'cancelled'): void;
  /** Ends those for which `which` holds. */
  endWhere(which: (call: ParkedCall) => boolean): void;
}

export function createParkedCalls(stats: GatewayStats, limit: () => number): ParkedCalls {
  const calls = new Map<string, ParkedCall>();
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
