/** What the parts of the bridge are given. */
import type { Wheel } from '../lib/wheel.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats, ServerStats } from '../observe/stats.js';
import type { Caller, Outgoing, Target } from '../protocol/ports.js';
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

/** One request on its way over the bridge. */
export interface Crossing {
  readonly out: Outgoing;
  readonly target: Target;
  readonly caller: Caller;
  /** The merged endpoint: there an upstream must not ask in another's name. */
  readonly merged: boolean;
  /** Header lines of the client's request that only the upstream may understand, a flat list. */
  readonly foreign: readonly string[];
  /** Where the request came in: `/mcp`, `/servers/<name>/mcp`. */
  readonly route: string;
  /** The name or URI as the client wrote it. */
  readonly name: string;
  /** URLs that the client has opened for this call. */
  readonly opened?: ReadonlySet<string> | undefined;
}

export function countInput(stats: ServerStats, method: string, result: string): void {
  stats.inputRequests.add(`${METHODS.has(method) ? method : 'other'}\0${result}`);
}

const METHODS = new Set(['elicitation/create', 'sampling/createMessage', 'roots/list']);
