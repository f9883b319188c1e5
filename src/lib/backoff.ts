/** The longest delay in ms after this many consecutive failures (at least 1). */
export function upperBoundMs(failures: number, base: number, max: number): number {
  return Math.min(base * 2 ** Math.max(0, failures - 1), max);
}

/** A random delay up to the bound, so that clients that failed together do not retry together. */
export function backoffMs(
  failures: number,
  base: number,
  max: number,
  random: () => number = Math.random,
): number {
  return Math.round(random() * upperBoundMs(failures, base, max));
}
