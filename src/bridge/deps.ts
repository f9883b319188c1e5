/** The dependencies of the bridge. */
import type { Budget } from '../lib/budget.js';
import type { Wheel } from '../lib/wheel.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import type { ParkedCalls } from './parked-calls.js';
import type { States } from './states.js';
import type { TaskCancels } from './tasks/cancel.js';
import type { LegacyTasks } from './tasks/legacy.js';

export interface BridgeDeps {
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  readonly states: States;
  readonly parked: ParkedCalls;
  readonly tasks: LegacyTasks;
  readonly cancels: TaskCancels;
  /** The shared limits.buffered_bytes. */
  readonly budget: Budget;
  /** limits.body_bytes and limits.message_bytes: may change at a reload. */
  readonly limits: () => { readonly body_bytes: number; readonly message_bytes: number };
  /** limits.parked_seconds, in ms: may change at a reload. */
  readonly parkedMs: () => number;
}
