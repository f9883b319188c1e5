/** When the lists of an upstream are read again: on a timer, when it says so, when something looks wrong. One read at a time. */
import { singleFlight } from '../lib/single-flight.js';

/** How long list_changed notifications are gathered before the list is asked for. */
const DEBOUNCE_MS = 50;
const SHORTEST_MS = 500;
/** However soon an upstream says that its lists are stale, they are not read again before. */
const SHORTEST_TTL_MS = 5000;
/** Share of a time to live by which reading again is put off at random, so that many gateways do not meet. */
const JITTER = 0.1;

export interface RefreshDeps {
  readonly ttlMs: () => number;
  /** How soon the upstream itself says that what it told is stale; undefined: it does not. */
  readonly hintMs: () => number | undefined;
  /** Reads the lists and takes them over. It is the health check as well. */
  readonly read: () => Promise<void>;
  /** undefined: it was read. */
  readonly done: (error: unknown) => void;
}

export interface Refresh {
  /** Starts the timer. `spread`: the first time at a random moment of the interval, so that many upstreams do not meet. */
  schedule(spread: boolean): void;
  /** The list changed: read it soon, once for many notifications. */
  soon(): void;
  now(): void;
  /** Reads now, or joins a read under way. */
  run(): Promise<void>;
  /** When the next read is due, on the monotonic clock. */
  readonly due: number;
  stop(): void;
}

export function createRefresh({ ttlMs, hintMs, read, done }: RefreshDeps): Refresh {
  let timer: NodeJS.Timeout | undefined;
  let due = 0;
  const flight = singleFlight(() => read());

  function after(ms: number): void {
    clearTimeout(timer);
    due = performance.now() + ms;
    timer = setTimeout(now, ms).unref();
  }

  function schedule(spread: boolean): void {
    const ms = Math.max(ttlMs() * (spread ? Math.random() : 1), SHORTEST_MS);
    const hint = hintMs();
    if (hint === undefined) return after(ms);
    after(Math.min(ms, Math.max(hint, SHORTEST_TTL_MS) * (1 + Math.random() * JITTER)));
  }

  function run(): Promise<void> {
    // Who joins a read under way is not told twice.
    if (flight.running) return flight.call();
    const read = flight.call();
    read.then(
      () => {
        schedule(false);
        done(undefined);
      },
      (error: unknown) => {
        done(error ?? new Error('failed'));
      },
    );
    return read;
  }

  function now(): void {
    run().catch(() => undefined);
  }

  return {
    schedule,
    soon: () => {
      after(DEBOUNCE_MS);
    },
    now,
    run,
    get due() {
      return due;
    },
    stop() {
      clearTimeout(timer);
      flight.cancel(new Error('closed'));
    },
  };
}
