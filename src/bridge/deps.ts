/** What the parts of the bridge are given. */
import type { Wheel } from '../lib/wheel.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import type { ParkedCalls } from './parked-calls.js';
import type { States } from './states.js';
import type { TaskCancels } from './tasks-cancel.js';
import type { LegacyTasks } from './tasks-legacy.js';

export interface BridgeDeps {
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  readonly states: States;
  readonly parked: ParkedCalls;
  readonly tasks: LegacyTasks;
  readonly cancels: TaskCancels;
  /** limits.parked_seconds, in ms: may change at a reload. */
  readonly parkedMs: () => number;
}
