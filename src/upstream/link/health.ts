/** Whether a server is alive. */
import type { Carrier } from '../calls/calls.js';
import { troubleOf } from './failures.js';
import type { OwnRequests } from './own-requests.js';
import { DISCOVER } from './probe.js';

/** How long a server has to answer a ping, in ms. */
const PING_MS = 10_000;

export class Health {
  readonly #own: OwnRequests;
  /** When the server sent something last, on the monotonic clock. */
  #seen = -Infinity;

  constructor(own: OwnRequests) {
    this.#own = own;
  }

  /** The server sent something. */
  seen(): void {
    this.#seen = performance.now();
  }

  /** Resolves with any answer of the server, an error too. Rejects where none comes and nothing else was received. */
  async ping(carrier: Carrier): Promise<void> {
    const began = performance.now();
    // The modern era has no ping (2026-07-28, changelog).
    const method = carrier.modern === undefined ? 'ping' : DISCOVER;
    try {
      await this.#own.open(carrier, method, undefined, { totalMs: PING_MS }).answer;
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble === 'way' || (trouble === 'silence' && this.#seen < began)) throw error;
    }
  }
}
