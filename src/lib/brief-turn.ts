/** Waits for a moment in which the process has nothing else to do. */
import { monotonic, type Clock } from './clock.js';

const BRIEF_MS = 0.05;
const MOST_MS = 500;

/**
 * Resolves in a turn of the event loop in which little happened, after half a second at the latest, or `mostMs` if that is less: what has
 * arrived at sockets by then, as connections at a port, has been taken, and hardly anything can have arrived since.
 */
export function briefTurn(mostMs: number, clock: Pick<Clock, 'now'> = monotonic): Promise<void> {
  const until = clock.now() + Math.min(mostMs, MOST_MS);
  return new Promise((resolve) => {
    let before = -Infinity;
    const look = (): void => {
      const now = clock.now();
      if (now - before <= BRIEF_MS || now >= until) {
        resolve();
        return;
      }
      before = now;
      setImmediate(look);
    };
    setImmediate(look);
  });
}
