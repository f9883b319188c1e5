/** Replicas that cannot write for longer than this may run out. */
const SLOW_MS = 2000;

/**
 * Since when a store is up. A break in which it was only slow does not count: the connection stayed, so that nothing that was written is lost,
 * and it was so short that nobody was taken for dead meanwhile.
 */
export class Uptime {
  readonly #now: () => number;
  #since: number | undefined;
  /** What `since` was before it went, as long as the connection stays. */
  #before: number | undefined;
  #wentAt = -Infinity;

  /** `now`: performance.now(). */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** By `now`; undefined: it is away. */
  get since(): number | undefined {
    return this.#since;
  }

  /** The connection is another one, or there is one more. */
  reconnected(): void {
    this.#before = undefined;
  }

  /** Returns whether it was up. */
  went(): boolean {
    if (this.#since === undefined) return false;
    this.#before = this.#since;
    this.#wentAt = this.#now();
    this.#since = undefined;
    return true;
  }

  /** Returns whether it was only slow. */
  came(): boolean {
    const now = this.#now();
    const isSame = this.#before !== undefined && now - this.#wentAt < SLOW_MS;
    this.#since = (isSame ? this.#before : undefined) ?? now;
    this.#before = undefined;
    return isSame;
  }
}
