import type { Clock } from './clock.js';
import { monotonic } from './clock.js';

/** One connection: the part of undici's Client that a pool needs. */
export interface PooledClient<Request, Handler> {
  dispatch(request: Request, handler: Handler): boolean;
  /** `size`: exchanges that wait or run on it. */
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
 * One exchange per connection, and as many connections as there are exchanges. Taking one costs the same however many there are; undici's
 * own pool searches all that are busy, which at 256 is two thirds of the cost of a call. The connection that was used last is used next, so
 * that the connections of a burst become idle and close.
 */
export class ClientPool<Request, Handler> {
  readonly #open: () => PooledClient<Request, Handler>;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  readonly #slots = new Set<Slot<Request, Handler>>();
  #idle: Slot<Request, Handler>[] = [];

  /** A socket older than `ttlMs` takes no new exchange: the addresses of a host name change. */
  constructor(open: () => PooledClient<Request, Handler>, ttlMs: number, clock: Clock = monotonic) {
    this.#open = open;
    this.#ttlMs = ttlMs;
    this.#clock = clock;
  }

  dispatch(request: Request, handler: Handler): void {
    const slot = this.#take();
    slot.client.dispatch(request, handler);
    // It may have failed already, without an event.
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
    // `size` decides: the drain event may come when the client already has the next exchange.
    if (slot.idle || slot.client.stats.size > 0 || !this.#slots.has(slot)) return;
    slot.idle = true;
    this.#idle.push(slot);
  }

  /** Removes a client without a socket and without exchanges. */
  #forget(slot: Slot<Request, Handler>): void {
    if (slot.client.stats.size > 0) return;
    this.#slots.delete(slot);
    if (slot.idle) this.#idle.splice(this.#idle.indexOf(slot), 1);
    slot.idle = false;
  }
}
