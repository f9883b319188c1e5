/** The transports of a link that are closing: their sessions and processes end within a grace period. */
import type { Boundary } from '../../observe/boundary.js';
import type { Transport } from '../calls/calls.js';

/** How long a session or a process has to end, in ms. */
export const CLOSE_GRACE_MS = 2000;

export class ClosingTransports {
  readonly #boundary: Boundary;
  readonly #closing = new Map<Transport, Promise<void>>();
  #destroyed = false;

  constructor(boundary: Boundary) {
    this.#boundary = boundary;
  }

  /** Closes a transport that no call uses any more. */
  close(transport: Transport, graceMs = CLOSE_GRACE_MS): void {
    if (this.#destroyed) return transport.destroy();
    if (this.#closing.has(transport)) return;
    const closed = transport.close(graceMs).finally(() => {
      this.#closing.delete(transport);
      transport.destroy();
    });
    this.#closing.set(transport, closed);
    this.#boundary.detach('link', closed);
  }

  /** Shortens the grace period of all that are closing. */
  hurry(graceMs: number): void {
    for (const transport of this.#closing.keys()) void transport.close(graceMs);
  }

  /** Resolves when all have closed. */
  async ended(): Promise<void> {
    await Promise.all(this.#closing.values());
  }

  /** Destroys all, and from now on each at once. */
  destroy(): void {
    this.#destroyed = true;
    for (const transport of this.#closing.keys()) transport.destroy();
  }
}
