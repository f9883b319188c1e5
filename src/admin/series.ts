/**
 * Calls over time, by server: every 10 s the counters of the gateway are read, which costs no call anything. Latencies are estimated from the
 * histograms of the metrics.
 */
import { DURATION_BUCKETS, type ServerStats } from '../observe/stats.js';
import type { Series } from './schemas.js';

export const STEP_MS = 10_000;
const STEPS_A_MINUTE = 60_000 / STEP_MS;

export interface SeriesDeps {
  readonly servers: () => Iterable<ServerStats>;
  /** Brings `inFlight` up to date. */
  readonly measure: () => void;
  /** console.minutes */
  readonly minutes: () => number;
}

interface Totals {
  calls: number;
  failed: number;
  bytes: number;
  /** Calls by duration, as in the histograms. */
  readonly slots: number[];
}

/** One interval. */
interface Step {
  readonly calls: number;
  readonly failed: number;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly inFlight: number;
  readonly bytes: number;
}

interface Kept {
  readonly stats: ServerStats;
  before: Totals;
  steps: Step[];
}

/** What the row of a server shows of its calls. */
export interface Recent {
  readonly perMinute: number;
  readonly failedShare: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  /** Calls in each of the last intervals, oldest first. */
  readonly calls: number[];
}

const NOTHING: Step = { calls: 0, failed: 0, p50: null, p95: null, inFlight: 0, bytes: 0 };
const RECENT_STEPS = 30;

export class SeriesRecorder {
  readonly #deps: SeriesDeps;
  readonly #kept = new Map<string, Kept>();
  /** When the last interval ended, in Unix milliseconds. */
  #until = Date.now();
  #ticks = 0;

  constructor(deps: SeriesDeps) {
    this.#deps = deps;
  }

  /** Counts the intervals so far. */
  get ticks(): number {
    return this.#ticks;
  }

  /** An interval has ended. */
  tick(): void {
    const { servers, measure, minutes } = this.#deps;
    measure();
    const most = minutes() * STEPS_A_MINUTE;
    const present = new Set<string>();
    for (const stats of servers()) {
      present.add(stats.server);
      const kept = this.#of(stats);
      const now = totalsOf(stats);
      kept.steps.push(between(kept.before, now, stats.inFlight));
      if (kept.steps.length > most) kept.steps.splice(0, kept.steps.length - most);
      kept.before = now;
    }
    for (const name of this.#kept.keys()) if (!present.has(name)) this.#kept.delete(name);
    this.#until = Date.now();
    this.#ticks++;
  }

  recent(stats: ServerStats): Recent {
    const kept = this.#of(stats);
    const current = between(kept.before, totalsOf(stats), 0);
    const last = [...kept.steps.slice(1 - STEPS_A_MINUTE), current];
    const calls = sum(last, 'calls');
    const timed = last.filter(({ p50 }) => p50 !== null).at(-1);
    const shown = kept.steps.slice(-RECENT_STEPS).map((step) => step.calls);
    return {
      perMinute: calls,
      failedShare: calls === 0 ? null : Math.min(1, sum(last, 'failed') / calls),
      p50: timed?.p50 ?? null,
      p95: timed?.p95 ?? null,
      calls: [...new Array<number>(RECENT_STEPS - shown.length).fill(0), ...shown],
    };
  }

  /** `steps`: the last ones alone; undefined: all. */
  view(steps?: number): Series {
    const length = Math.min(
      steps ?? Infinity,
      Math.max(0, ...[...this.#kept.values()].map((kept) => kept.steps.length)),
    );
    const servers: Series['servers'] = {};
    for (const [name, kept] of this.#kept) {
      const own = length === 0 ? [] : kept.steps.slice(-length);
      const all = [...new Array<Step>(length - own.length).fill(NOTHING), ...own];
      servers[name] = {
        calls: all.map((step) => step.calls),
        failed: all.map((step) => step.failed),
        p50_ms: all.map((step) => step.p50),
        p95_ms: all.map((step) => step.p95),
        in_flight: all.map((step) => step.inFlight),
        bytes: all.map((step) => step.bytes),
      };
    }
    return { step_ms: STEP_MS, until: new Date(this.#until).toISOString(), servers };
  }

  #of(stats: ServerStats): Kept {
    let kept = this.#kept.get(stats.server);
    // A server that was removed and added again counts anew.
    if (kept?.stats !== stats) {
      kept = { stats, before: NO_TOTALS, steps: [] };
      this.#kept.set(stats.server, kept);
    }
    return kept;
  }
}

const NO_TOTALS: Totals = { calls: 0, failed: 0, bytes: 0, slots: [] };

function totalsOf(stats: ServerStats): Totals {
  const totals: Totals = {
    calls: 0,
    failed: 0,
    bytes: stats.bytesSent + stats.bytesReceived,
    slots: new Array<number>(DURATION_BUCKETS.length + 1).fill(0),
  };
  for (const tool of stats.tools.values()) {
    totals.calls += tool.calls;
    // A call that was cancelled has not failed.
    for (const [reason, count] of tool.errors.values) if (reason !== 'cancelled') totals.failed += count;
    tool.duration.counts.forEach((count, slot) => {
      totals.slots[slot] = (totals.slots[slot] as number) + count;
    });
  }
  return totals;
}

function between(before: Totals, now: Totals, inFlight: number): Step {
  const slots = now.slots.map((count, slot) => count - (before.slots[slot] ?? 0));
  return {
    calls: now.calls - before.calls,
    failed: now.failed - before.failed,
    p50: quantile(slots, 0.5),
    p95: quantile(slots, 0.95),
    inFlight,
    bytes: now.bytes - before.bytes,
  };
}

/** In milliseconds, linear within a slot; null: no calls. */
export function quantile(slots: readonly number[], q: number): number | null {
  const count = slots.reduce((a, b) => a + b, 0);
  if (count === 0) return null;
  let below = 0;
  for (const [slot, inSlot] of slots.entries()) {
    if (inSlot > 0 && below + inSlot >= q * count) {
      const from = slot === 0 ? 0 : (DURATION_BUCKETS[slot - 1] as number);
      const to = DURATION_BUCKETS[slot] ?? from;
      const seconds = from + (to - from) * ((q * count - below) / inSlot);
      return Math.round(seconds * 10_000) / 10;
    }
    below += inSlot;
  }
  return null;
}

function sum(steps: readonly Step[], key: 'calls' | 'failed'): number {
  return steps.reduce((all, step) => all + step[key], 0);
}
