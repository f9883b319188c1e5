import { monotonic } from './clock.js';

/** What one timer of the runtime can wait; a longer one fires at once. */
const LONGEST = 2 ** 31 - 1;

/**
 * Waits at least `ms` on the monotonic clock; rejects with the signal's reason as soon as it aborts.
 * `unref`: this wait alone does not keep the process alive.
 */
export function sleep(ms: number, signal?: AbortSignal, unref = false): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const until = monotonic.now() + ms;
    let timer: NodeJS.Timeout;
    const arm = (left: number) => {
      timer = setTimeout(wake, Math.min(Math.ceil(left), LONGEST));
      if (unref) timer.unref();
    };
    const wake = () => {
      const left = until - monotonic.now();
      if (left > 0) return arm(left);
      signal?.removeEventListener('abort', abort);
      resolve();
    };
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', abort, { once: true });
    arm(ms);
  });
}
