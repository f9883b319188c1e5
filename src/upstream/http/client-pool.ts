import type { Clock } from '../../lib/clock.js';
import { monotonic } from '../../lib/clock.js';

/** One connection, and how it tells what becomes of it: the part of undici's Client that a pool needs. */
export interface PooledClient<Request, Handler> {
  dispatch(request: Request, handler: Handler): boolean;
  /** `size`: exchanges waiting or running on it. */
  readonly stats: { readonly size: number };
  on(event: 'connect' | 'drain' | 'disconnect' | 'connectionError', fn: () => void): unknown;
  close(): Promise<void>;
  destroy(reason: Error | null): Promise<void>;
}

interface Slot<Request, Handler> {
  readonly client: PooledClient<Request, Handler>;
  idle: boolean;
  /** When its socket was connected, on the monotonic clock. */
  since: number;
}

/**
 * One exchange a connection, as many connections as there are exchanges. Taking one costs the same however many
 * there are, where undici's own pool looks through all that are busy: at 256 that is two thirds of a call.
 * The connection used last is used first, so that those of a burst fall idle and close.
 */
export class ClientPool<Request, Handler> {
  readonly #open: () => PooledClient<Request, Handler>;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  readonly #slots = new Set<Slot<Request, Handler>>();
  #idle: Slot<Request, Handler>[] = [];

  /** A socket older than `ttlMs` takes no new exchange: addresses change behind a name. */
  constructor(open: () => PooledClient<Request, Handler>, ttlMs: number, clock: Clock = monotonic) {
    this.#open = open;
    this.#ttlMs = ttlMs;
    this.#clock = clock;
  }

  dispatch(request: Request, handler: Handler): void {
    const slot = this.#take();
    slot.client.dispatch(request, handler);
    // It may have failed already; then nothing may come that tells so.
    this.#release(slot);
  }

  async close(): Promise<void> {
    this.#idle = [];
    await Promise.allSettled([...this.#slots].map(({ client }) => client.close()));
  }

  destroy(reason: Error | null): void {
    this.#idle = [];
    for (const { client } of this.#slots) client.destroy(reason).catch(() => {});
  }

  #take(): Slot<Request, Handler> {
    for (let slot = this.#idle.pop(); slot !== undefined; slot = this.#idle.pop()) {
      slot.idle = false;
      if (this.#clock.now() - slot.since <= this.#ttlMs) return slot;
      this.#slots.delete(slot);
      slot.client.close().catch(() => {});
    }
    const slot: Slot<Request, Handler> = { client: this.#open(), idle: false, since: Infinity };
    this.#slots.add(slot);
    slot.client.on('connect', () => (slot.since = this.#clock.now()));
    slot.client.on('drain', () => this.#release(slot));
    slot.client.on('disconnect', () => this.#forget(slot));
    slot.client.on('connectionError', () => this.#forget(slot));
    return slot;
  }

  #release(slot: Slot<Request, Handler>): void {
    // Asked of the client itself: it may say that it is free of one exchange when it already has the next.
    if (slot.idle || slot.client.stats.size > 0 || !this.#slots.has(slot)) return;
    slot.idle = true;
    this.#idle.push(slot);
  }

  /** Without a socket and with nothing to do. */
  #forget(slot: Slot<Request, Handler>): void {
    if (slot.client.stats.size > 0) return;
    this.#slots.delete(slot);
    if (slot.idle) this.#idle.splice(this.#idle.indexOf(slot), 1);
    slot.idle = false;
  }
}
