/**
 * Rate limits by the generic cell rate algorithm: a bucket is one number, the time at which it will be full again. Nothing runs in the
 * background, and a bucket that is full is as good as none.
 */
import { FairMap } from '../lib/fair-map.js';

/** Most buckets at a time. */
const MAX_BUCKETS = 20_000;
/** More rules than one call meets. */
const MAX_TURNS = 64;

export interface Rate {
  /** Milliseconds per call. */
  readonly interval: number;
  /** Calls at once. */
  readonly burst: number;
}

/** A call that wants a place in a bucket. */
export interface Want {
  readonly rate: Rate;
  /** Of all buckets with the same rate and rule: the name of the rule. */
  readonly rule: string;
  /** The bucket, unique among all rules and owners. */
  readonly key: string;
}

/** What is in the way: `wants[index]` has room in `ms`. */
export interface Wait {
  readonly index: number;
  readonly ms: number;
}

interface Bucket {
  /** When it is full again, in the milliseconds of the clock. */
  full: number;
  readonly rule: string;
  readonly owner: string;
}

/** Counts calls in one process; `SharedRates` counts those of all replicas. */
export class Buckets {
  readonly #now: () => number;
  readonly #buckets: FairMap<string, Bucket>;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number, most = MAX_BUCKETS) {
    this.#now = now;
    this.#buckets = new FairMap(most);
  }

  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Takes one call from each bucket, or from none if one is empty: the one that takes longest. `owner`: the principal. If too many buckets
   * are in use, those of the owner with the most are merged, so that nobody empties a bucket of others, or fills one of his own.
   */
  take(owner: string, wants: readonly Want[]): Wait | undefined {
    const now = this.#now();
    let wait: Wait | undefined;
    for (let index = 0; index < wants.length; index++) {
      const { rate } = wants[index] as Want;
      const ms = this.#full(owner, wants[index] as Want, now) - now - (rate.burst - 1) * rate.interval;
      // The algorithm adds up fractions of milliseconds.
      if (ms > 1e-6 && ms > (wait?.ms ?? 0)) wait = { index, ms };
    }
    if (wait) return wait;
    for (const want of wants)
      this.#set(owner, want.rule, want.key, this.#full(owner, want, now) + want.rate.interval);
    return undefined;
  }

  /** Gives back what `take` took. */
  give(owner: string, wants: readonly Want[]): void {
    const now = this.#now();
    for (const want of wants)
      this.#set(owner, want.rule, want.key, this.#full(owner, want, now) - want.rate.interval);
  }

  #full(owner: string, { rule, key }: Want, now: number): number {
    const bucket = this.#buckets.get(key) ?? this.#buckets.get(mergedKey(owner, rule));
    return Math.max(bucket?.full ?? now, now);
  }

  #set(owner: string, rule: string, key: string, full: number): void {
    const known = this.#buckets.get(key);
    if (known) known.full = full;
    else this.#merge(this.#buckets.set(key, owner, { full, rule, owner }));
  }

  /** Makes what was evicted count for all buckets of its rule and owner that are not in use. */
  #merge(first: Bucket | undefined): void {
    const now = this.#now();
    let evicted = first;
    // Each turn evicts again, mostly another bucket of the same owner, until all of his rules have a merged one.
    for (let turn = 0; evicted && turn < MAX_TURNS; turn++) {
      const { owner, rule, full } = evicted;
      if (full <= now) return;
      const key = mergedKey(owner, rule);
      const merged = this.#buckets.get(key)?.full ?? full;
      // Set anew, so that it is the last one to go.
      evicted = this.#buckets.set(key, owner, { full: Math.max(full, merged), rule, owner });
    }
  }
}

function mergedKey(owner: string, rule: string): string {
  return `\0${rule}\0${owner}`;
}
