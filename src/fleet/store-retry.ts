/** When a store that is away is tried again. */

/** Longest time between two attempts to connect. */
export const RETRY_MS = 1000;

/** Between half of it and all of it, so that replicas do not come together. */
export function jittered(ms: number): number {
  return Math.round(ms * (0.5 + Math.random() / 2));
}

/** Milliseconds until the next attempt to connect. `attempts`: those that failed. */
export function retry(attempts: number): number {
  return jittered(Math.min(RETRY_MS, 50 * 2 ** Math.min(attempts, 6)));
}
