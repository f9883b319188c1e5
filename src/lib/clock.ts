import { performance } from 'node:perf_hooks';

/** Monotonic milliseconds: waits and TTLs never follow the wall clock. */
export interface Clock {
  now(): number;
}

export const monotonic: Clock = { now: () => performance.now() };
