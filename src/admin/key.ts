/** The console key and the tickets that are exchanged for it. Keys and tickets are compared by their digests. */
import { randomBytes } from 'node:crypto';
import { createConsoleKey } from '../lib/console-key.js';
import { sha256 } from '../lib/sha256.js';
import { singleFlight, type SingleFlight } from '../lib/single-flight.js';

/** Where the key outlives the process. Both resolve; what cannot be read or written is logged by the store. */
export interface KeyStore {
  /** undefined: there is none, or it cannot be used. */
  read(): Promise<string | undefined>;
  /** Keeps a key if there is none, or in place of the one there. Resolves with the key that is there now. */
  write(key: string, replace: boolean): Promise<string>;
}

export interface ConsoleKeyDeps {
  /** The key that the configuration sets; undefined: it is made here. */
  readonly fixed: () => string | undefined;
  /** undefined: the key is kept in memory. */
  readonly store: KeyStore | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

const TICKET_BYTES = 16;
const MOST_TICKETS = 64;
/** A wrong key may be one that another process has just written: the store is read again, at most this often, in ms. */
const REREAD_MS = 1000;

export class ConsoleKey {
  readonly #deps: ConsoleKeyDeps;
  /** Digests, and when they expire. */
  readonly #tickets = new Map<string, number>();
  readonly #load: SingleFlight<string>;
  #made: string | undefined;
  #digest = { of: '', digest: '' };
  #readAt = -Infinity;

  constructor(deps: ConsoleKeyDeps) {
    this.#deps = deps;
    this.#load = singleFlight(async () => {
      const { store } = deps;
      this.#readAt = deps.now();
      const kept = await store?.read();
      this.#made = kept ?? this.#made ?? createConsoleKey();
      if (store && kept === undefined) this.#made = await store.write(this.#made, false);
      return this.#made;
    });
  }

  /** The key, which is made when it is needed first. */
  async get(): Promise<string> {
    return this.#known ?? (await this.#load.call());
  }

  /** SHA-256 of the key that is in force; undefined: it was not needed yet. */
  get digest(): string | undefined {
    const key = this.#known;
    if (key === undefined) return undefined;
    if (this.#digest.of !== key) this.#digest = { of: key, digest: sha256(key) };
    return this.#digest.digest;
  }

  /** The key; undefined: it was not needed yet. */
  get made(): string | undefined {
    return this.#known;
  }

  async verify(candidate: string): Promise<boolean> {
    await this.get();
    const digest = sha256(candidate);
    if (digest === this.digest) return true;
    if (this.#deps.fixed() !== undefined || !this.#deps.store) return false;
    if (this.#deps.now() - this.#readAt < REREAD_MS) return false;
    await this.#load.call();
    return digest === this.digest;
  }

  /** Puts another key in the place of this one, whose holders are operators no more. undefined: the configuration sets it. */
  async renew(): Promise<string | undefined> {
    if (this.#deps.fixed() !== undefined) return undefined;
    const key = createConsoleKey();
    this.#made = (await this.#deps.store?.write(key, true)) ?? key;
    this.#tickets.clear();
    return this.#made;
  }

  /** A ticket that is good for one exchange. `ttlMs`: undefined: until it is used. */
  ticket(ttlMs: number | undefined): string {
    const ticket = randomBytes(TICKET_BYTES).toString('base64url');
    this.#tickets.set(sha256(ticket), ttlMs === undefined ? Infinity : this.#deps.now() + ttlMs);
    if (this.#tickets.size > MOST_TICKETS) this.#tickets.delete(this.#tickets.keys().next().value as string);
    return ticket;
  }

  /** Whether a ticket is good; it is not any more afterwards. */
  redeem(ticket: string): boolean {
    const digest = sha256(ticket);
    const until = this.#tickets.get(digest) ?? -Infinity;
    this.#tickets.delete(digest);
    return until > this.#deps.now();
  }

  get #known(): string | undefined {
    return this.#deps.fixed() ?? this.#made;
  }
}
