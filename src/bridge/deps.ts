/** What the parts of the bridge are given. */
import type { Wheel } from '../lib/wheel.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats, ServerStats } from '../observe/stats.js';
import type { ParkedCalls } from './parked-calls.js';
import type { States } from './states.js';

export interface BridgeDeps {
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly stats: GatewayStats;
  readonly states: States;
  readonly parked: ParkedCalls;
  /** limits.parked_seconds, in ms: may change at a reload. */
  readonly parkedMs: () => number;
}

export function countInput(stats: ServerStats, method: string, result: string): void {
  stats.inputRequests.add(`${METHODS.has(method) ? method : 'other'}\0${result}`);
}

const METHODS = new Set(['elicitation/create', 'sampling/createMessage', 'roots/list']);
