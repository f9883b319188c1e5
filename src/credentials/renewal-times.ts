/** When a token is renewed, and when a renewal that failed is tried again. All times in ms; points in time as Unix time. */
import type { Grant } from './grants.js';

/** How often a login in another process is looked for. */
export const LOOK_MS = 2000;
/** After a wrong client secret, unless the configuration changes. */
export const WRONG_CLIENT_MS = 600_000;
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A token is renewed when a fifth of its life is left, at most this long before its end. */
const EARLIEST_MS = 300_000;
const LEAST_MS = 500;
const RETRY_BASE_MS = 5000;
const RETRY_MAX_MS = 300_000;
/** The longest where calls or a connection need the token. */
const NEEDED_MAX_MS = 30_000;
/** A token is used to shortly before its end: so long, at most a tenth of its life. */
const MARGIN_MS = 1000;

export interface Wait {
  readonly from: number;
  readonly ms: number;
}

/** After a failed renewal. `neededMs`: how long, at most `ms`, where calls or a connection need the token. */
export interface RetryWait extends Wait {
  readonly neededMs: number;
}

/** A wait is over as well when the clock was set back. */
export function isOver({ from, ms }: Wait, now: number): boolean {
  return now < from || now >= from + ms;
}

/** A wait that nothing shortens. */
export function exactly(from: number, ms: number): RetryWait {
  return { from, ms, neededMs: ms };
}

/** `failures`: in a row. `atLeastMs`: what the authorization server asks for. */
export function waitAfter(from: number, failures: number, atLeastMs: number): RetryWait {
  const backoff = RETRY_BASE_MS * 2 ** Math.min(failures - 1, 30);
  const jitter = 1 + Math.random() * 0.1;
  const [ms, neededMs] = [RETRY_MAX_MS, NEEDED_MAX_MS].map((most) =>
    Math.max(Math.min(backoff, most) * jitter, atLeastMs),
  ) as [number, number];
  return { from, ms, neededMs };
}

/** Until a call may have it tried again, in ms; 0: at once. */
export function neededIn(wait: RetryWait | undefined, now: number): number {
  if (!wait) return 0;
  const { from, neededMs } = wait;
  return isOver({ from, ms: neededMs }, now) ? 0 : from + neededMs - now;
}

/** How long from now on. `wait`: that of a failed renewal. */
export function renewalDue(
  { expiresAt = 0, obtainedAt }: Grant,
  wait: Wait | undefined,
  now: number,
): number {
  if (wait) return isOver(wait, now) ? 0 : wait.from + wait.ms - now;
  const life = Math.max(expiresAt - obtainedAt, 0);
  const early = Math.min(life / 5, EARLIEST_MS) * (0.9 + Math.random() * 0.2);
  return Math.max(expiresAt - early - now, LEAST_MS);
}

/** Until when a token is used; undefined: to a refusal. */
export function endOf({ expiresAt, obtainedAt }: Grant): number | undefined {
  if (expiresAt === undefined) return undefined;
  return expiresAt - Math.min(MARGIN_MS, Math.max(expiresAt - obtainedAt, 0) / 10);
}
