/** Counts wrong credentials by address, so that nobody can guess at speed or make the gateway verify without end. */
import type { Logger } from '../observe/log.js';

/** How many wrong credentials an address may show at once. */
const BURST = 20;
/** After this long it may show one more, in ms. */
const EACH_MS = 1000;
/** How many addresses are remembered; beyond, the one that failed first is forgotten. */
const MOST_ADDRESSES = 8192;

export class Failures {
  readonly #now: () => number;
  /** When each address will have all its tries back, in ms of `now`. */
  readonly #until = new Map<string, number>();

  /** `now`: in ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** How long `address` must wait before it may fail again, in seconds; 0: it may now. */
  wait(address: string): number {
    const until = this.#until.get(address);
    if (until === undefined) return 0;
    const now = this.#now();
    if (until <= now) {
      this.#until.delete(address);
      return 0;
    }
    // A clock that was set back must not lock anybody out for longer than a full table does.
    const over = Math.min(until - now, BURST * EACH_MS) - (BURST - 1) * EACH_MS;
    return over > 0 ? Math.ceil(over / 1000) : 0;
  }

  add(address: string): void {
    const now = this.#now();
    const until = this.#until.get(address) ?? 0;
    if (until === 0 && this.#until.size >= MOST_ADDRESSES) this.#forget(now);
    this.#until.set(address, Math.min(Math.max(until, now) + EACH_MS, now + BURST * EACH_MS));
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

/** Lines that are logged in a second. */
const MOST_LINES = 10;

export interface RefusalLine {
  readonly reason: string;
  readonly address: string;
  readonly issuer?: string | undefined;
  readonly why?: string | undefined;
}

/** Logs refused credentials, at most ten lines in a second; the next line says how many are missing. */
export class RefusalLog {
  readonly #log: Logger;
  readonly #now: () => number;
  #second = 0;
  #lines = 0;
  #dropped = 0;

  constructor(log: Logger, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  write({ reason, address, issuer, why }: RefusalLine): void {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
    }
    if (this.#lines >= MOST_LINES) {
      this.#dropped++;
      return;
    }
    this.#lines++;
    const dropped = this.#dropped > 0 ? this.#dropped : undefined;
    this.#dropped = 0;
    this.#log.info('authentication refused', { reason, address, issuer, why, dropped });
  }
}
