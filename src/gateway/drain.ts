/** The orderly end of a gateway, within the grace period. */
import type { TaskCancels } from '../bridge/tasks/cancel.js';
import type { Links } from './links.js';

/** How long servers have to hear that tasks are cancelled. */
const LAST_WORDS_MS = 500;
/** How long a killed child is waited for: one in an uninterruptible wait must not hold the process. */
const LAST_KILL_MS = 1000;
/** The part of the grace period that is kept for closing links. */
const CLOSING_SHARE = 0.25;
/** Links have at least this long to close. */
const MIN_CLOSE_MS = 100;

export interface DrainDeps {
  readonly links: Links;
  readonly cancels: TaskCancels;
  /** Ends streams, which would otherwise last, and parked calls. */
  readonly quiet: () => void;
  /** Waits for requests under way, for `ms` at the most, then closes the transports. */
  readonly closeTransports: (ms: number) => Promise<unknown>;
  readonly endSessions: () => void;
}

/** `graceMs`: mcp.session.shutdown_grace_seconds. */
export async function drain(deps: DrainDeps, graceMs: number): Promise<void> {
  const { links } = deps;
  const deadline = performance.now() + graceMs;
  deps.quiet();
  await deps.closeTransports(graceMs * (1 - CLOSING_SHARE));
  deps.endSessions();
  await deps.cancels.settled(Math.min(LAST_WORDS_MS, deadline - performance.now()));
  const left = Math.max(MIN_CLOSE_MS, deadline - performance.now());
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([links.close(left), new Promise((resolve) => (timer = setTimeout(resolve, left)))]);
  clearTimeout(timer);
  // Children that have not ended are killed now.
  links.destroy();
  await links.gone(LAST_KILL_MS);
}
