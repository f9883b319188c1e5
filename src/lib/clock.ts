import { performance } from 'node:perf_hooks';

/** Monotonic milliseconds, for delays and TTLs. */
export interface Clock {
  now(): number;
}

export const monotonic: Clock = { now: () => performance.now() };
