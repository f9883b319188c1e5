/** The longest wait, in ms, after so many failures in a row (1 or more). */
export function upperBoundMs(failures: number, base: number, max: number): number {
  return Math.min(base * 2 ** Math.max(0, failures - 1), max);
}

/** The wait after so many failures in a row: anything up to the bound, so that many who failed together do not return together. */
export function backoffMs(
  failures: number,
  base: number,
  max: number,
  random: () => number = Math.random,
): number {
  return Math.round(random() * upperBoundMs(failures, base, max));
}
