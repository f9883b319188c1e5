/** When the lists of an upstream are read again: on a timer, when it says so, when something looks wrong. One read at a time. */
import { singleFlight } from '../../lib/single-flight.js';
import type { Boundary } from '../../observe/boundary.js';

/** How long list_changed notifications are gathered, from the first on, before the lists are asked for. */
const GATHER_MS = 50;
/** An upstream that told of changes so many times in a row... */
const FLOOD = 5;
/** ... has its lists read once in this time. */
const FLOOD_MS = 1000;
const SHORTEST_MS = 500;
/** However soon an upstream says that its lists are stale, they are not read again before. */
const SHORTEST_TTL_MS = 5000;
/** Share of a time to live by which reading again is put off at random, so that many gateways do not meet. */
const JITTER = 0.1;

/** What a read is for. */
export interface Reading {
  /** The upstream told of a change. */
  readonly told: boolean;
  /** Only what could not be read the last time. */
  readonly again: boolean;
}

export interface RefreshDeps {
  readonly boundary: Boundary;
  readonly ttlMs: () => number;
  /** How soon the upstream itself says that what it told is stale; undefined: it does not. */
  readonly hintMs: () => number | undefined;
  /** Reads the lists and takes them over. It is the health check as well. */
  readonly read: (reading: Reading) => Promise<void>;
  /** undefined: it was read. */
  readonly done: (error: unknown) => void;
}

export interface Refresh {
  /** Starts the timer. `spread`: the first time at a random moment of the interval, so that many upstreams do not meet. */
  schedule(spread: boolean): void;
  /** The list changed: read it soon, once for many notifications. */
  soon(): void;
  /** What could not be read is tried again after `ms`. */
  again(ms: number): void;
  now(): void;
  /** Reads now, or joins a read under way. */
  run(): Promise<void>;
  /** When the next read is due, on the monotonic clock. */
  readonly due: number;
  stop(): void;
}

export function createRefresh({ boundary, ttlMs, hintMs, read, done }: RefreshDeps): Refresh {
  let timer: NodeJS.Timeout | undefined;
  let due = 0;
  /** Of the read that a notification asked for. */
  let soonTimer: NodeJS.Timeout | undefined;
  let againTimer: NodeJS.Timeout | undefined;
  /** Told of a change that no read has begun to look for yet. */
  let dirty = false;
  /** Reads in a row that a notification asked for, each within FLOOD_MS of the one before. */
  let inRow = 0;
  let lastSoon = -Infinity;
  let next: Reading = { told: false, again: false };
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

  function start(again: boolean): Promise<void> {
    // Who joins a read under way is not told twice.
    if (flight.running) return flight.call();
    clearTimeout(soonTimer);
    clearTimeout(againTimer);
    soonTimer = againTimer = undefined;
    next = { told: dirty, again: again && !dirty };
    if (dirty) {
      const at = performance.now();
      inRow = at - lastSoon < 2 * FLOOD_MS ? inRow + 1 : 0;
      lastSoon = at;
      dirty = false;
    }
    const { again: isPart } = next;
    const reading = flight.call();
    reading.then(
      boundary.guard('link', () => {
        if (!isPart) schedule(false);
        done(undefined);
        // The timer of the whole found this one under way.
        if (isPart && due <= performance.now()) now();
        // It was told while the lists were being read: they may be older than that.
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

  /** The first notification sets the time: those that follow cannot put it off. */
  function gather(): void {
    if (soonTimer || flight.running) return;
    const rest = inRow >= FLOOD ? lastSoon + FLOOD_MS - performance.now() : 0;
    const due = (): void => {
      soonTimer = undefined;
      // One under way, when it ends, sees that there is more to read.
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
