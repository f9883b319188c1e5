/** Schedules readings of the lists of a server: at intervals, after notifications, and when asked to. One reading at a time. */
import { singleFlight } from '../../lib/single-flight.js';
import type { Boundary } from '../../observe/boundary.js';

/** How long list_changed notifications are gathered, from the first on, before the lists are read, in ms. */
const GATHER_MS = 50;
/** After so many readings in a row that notifications caused ... */
const FLOOD = 5;
/** ... there is one reading within this time, in ms. */
const FLOOD_MS = 1000;
const SHORTEST_MS = 500;
/** The shortest time to live that a server can name, in ms. */
const SHORTEST_TTL_MS = 5000;
/** Random jitter, as a fraction of the TTL, so that replicas do not refresh in step. */
const JITTER = 0.1;

/** What a read is for. */
export interface Reading {
  /** The server notified a change. */
  readonly notified: boolean;
  /** Only the lists that could not be read the last time. */
  readonly isRetry: boolean;
}

export interface RefreshDeps {
  readonly boundary: Boundary;
  readonly ttlMs: () => number;
  /** When the lists become stale by the hints of the server, in ms from now; undefined: it names none. */
  readonly hintMs: () => number | undefined;
  /** Reads the lists. */
  readonly read: (reading: Reading) => Promise<void>;
  /** A reading has ended; undefined: without an error. */
  readonly done: (error: unknown) => void;
}

export interface Refresh {
  /** Starts the timer. `spread`: at a random moment of the interval, so that servers are not refreshed in step. */
  schedule(spread: boolean): void;
  /** A list changed: reads soon, once for several notifications. */
  soon(): void;
  /** Reads the lists that could not be read again, after `ms`. */
  again(ms: number): void;
  /** Whether a reading is running, or `again` will lead to one. */
  readonly isBusy: boolean;
  now(): void;
  /** Reads now, or joins a reading that is running. Rejects if the reading fails. */
  run(): Promise<void>;
  /** When the next reading is due, on the monotonic clock. */
  readonly due: number;
  stop(): void;
}

export function createRefresh({ boundary, ttlMs, hintMs, read, done }: RefreshDeps): Refresh {
  let timer: NodeJS.Timeout | undefined;
  let due = 0;
  /** The timer of a reading that a notification caused. */
  let soonTimer: NodeJS.Timeout | undefined;
  let againTimer: NodeJS.Timeout | undefined;
  /** A change was notified since the last reading began. */
  let dirty = false;
  /** Readings in a row that notifications caused, each soon after the one before. */
  let inRow = 0;
  let lastSoon = -Infinity;
  let next: Reading = { notified: false, isRetry: false };
  const flight = singleFlight(() => read(next));

  function schedule(spread: boolean): void {
    clearTimeout(timer);
    let ms = Math.max(ttlMs() * (spread ? Math.random() : 1), SHORTEST_MS);
    const hint = hintMs();
    if (hint !== undefined) ms = Math.min(ms, Math.max(hint, SHORTEST_TTL_MS) * (1 + Math.random() * JITTER));
    due = performance.now() + ms;
    timer = setTimeout(boundary.guard('link', now), ms).unref();
  }

  function run(): Promise<void> {
    return start(false);
  }

  function start(isRetry: boolean): Promise<void> {
    if (flight.running) return flight.call();
    clearTimeout(soonTimer);
    clearTimeout(againTimer);
    soonTimer = againTimer = undefined;
    next = { notified: dirty, isRetry: isRetry && !dirty };
    if (dirty) {
      const at = performance.now();
      inRow = at - lastSoon < 2 * FLOOD_MS ? inRow + 1 : 0;
      lastSoon = at;
      dirty = false;
    }
    const { isRetry: isPart } = next;
    const reading = flight.call();
    reading.then(
      boundary.guard('link', () => {
        if (!isPart) schedule(false);
        done(undefined);
        // The interval ended while this reading of a part was running.
        if (isPart && due <= performance.now()) now();
        // A change was notified during the reading: the lists may be older than that.
        if (dirty) gather();
      }),
      boundary.guard('link', (error: unknown) => {
        done(error ?? new Error('failed'));
        if (dirty) gather();
      }),
    );
    return reading;
  }

  function now(): void {
    run().catch(() => undefined);
  }

  /** The first notification sets the time: further ones do not postpone it. */
  function gather(): void {
    if (soonTimer || flight.running) return;
    const rest = inRow >= FLOOD ? lastSoon + FLOOD_MS - performance.now() : 0;
    const due = (): void => {
      soonTimer = undefined;
      // A reading that is running checks `dirty` when it ends.
      now();
    };
    soonTimer = setTimeout(boundary.guard('link', due), Math.max(GATHER_MS, rest)).unref();
  }

  return {
    schedule,
    soon() {
      dirty = true;
      gather();
    },
    again(ms) {
      clearTimeout(againTimer);
      const tryAgain = (): void => {
        againTimer = undefined;
        start(true).catch(() => undefined);
      };
      againTimer = setTimeout(boundary.guard('link', tryAgain), ms).unref();
    },
    now,
    run,
    get isBusy() {
      return againTimer !== undefined || flight.running;
    },
    get due() {
      return due;
    },
    stop() {
      clearTimeout(timer);
      clearTimeout(soonTimer);
      clearTimeout(againTimer);
      soonTimer = againTimer = undefined;
      dirty = false;
      flight.cancel(new Error('closed'));
    },
  };
}
