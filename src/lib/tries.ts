/** Counts tries by address, so that nobody can repeat something at speed or without end. */

/** How many addresses are remembered; beyond, the one that was added first is forgotten. */
const MOST_ADDRESSES = 8192;

export interface TriesOptions {
  /** How many tries an address has at once; at least 1. */
  readonly burst: number;
  /** After this long an address has one more try, in ms. */
  readonly eachMs: number;
  /** In ms. */
  readonly now: () => number;
}

export class Tries {
  readonly #burst: number;
  readonly #eachMs: number;
  readonly #now: () => number;
  /** When each address will have all its tries back, in ms of `now`. */
  readonly #until = new Map<string, number>();

  constructor({ burst, eachMs, now }: TriesOptions) {
    this.#burst = burst;
    this.#eachMs = eachMs;
    this.#now = now;
  }

  /** How long `address` must wait before its next try, in seconds; 0: it may try now. Does not count as a try. */
  wait(address: string): number {
    const until = this.#until.get(address);
    if (until === undefined) return 0;
    const now = this.#now();
    if (until <= now) {
      this.#until.delete(address);
      return 0;
    }
    // A clock that was set back must not lock anybody out for longer than a full table does.
    const over = Math.min(until - now, this.#burst * this.#eachMs) - (this.#burst - 1) * this.#eachMs;
    return over > 0 ? Math.ceil(over / 1000) : 0;
  }

  /** Counts one try. */
  add(address: string): void {
    const now = this.#now();
    const until = this.#until.get(address) ?? 0;
    if (until === 0 && this.#until.size >= MOST_ADDRESSES) this.#forget(now);
    const most = now + this.#burst * this.#eachMs;
    this.#until.set(address, Math.min(Math.max(until, now) + this.#eachMs, most));
  }

  get size(): number {
    return this.#until.size;
  }

  /** Makes room for one address: drops those at the front that have all their tries back, at least the first. */
  #forget(now: number): void {
    for (const [address, until] of this.#until) {
      if (until > now && this.#until.size < MOST_ADDRESSES) return;
      this.#until.delete(address);
    }
  }
}
