/** While a link reconnects, its last lists stay listed: the server is often back in a moment. */
import type { Boundary } from '../../observe/boundary.js';

/** How long they stay, in ms. */
const KEEP_LISTS_MS = 30_000;

interface Grace {
  readonly over: Promise<void>;
  readonly resolve: () => void;
  readonly timer: NodeJS.Timeout;
}

export class ListGrace {
  readonly #boundary: Boundary;
  readonly #ms: number;
  readonly #expired: () => void;
  #grace: Grace | undefined;

  /** `expired`: called when the link has not reconnected in time. */
  constructor(boundary: Boundary, ms: number | undefined, expired: () => void) {
    this.#boundary = boundary;
    this.#ms = ms ?? KEEP_LISTS_MS;
    this.#expired = expired;
  }

  /** Resolves when the grace period ends, for whatever reason; undefined: there is none at the moment. */
  get over(): Promise<void> | undefined {
    return this.#grace?.over;
  }

  /** Does nothing if it has begun already. */
  begin(): void {
    if (this.#grace) return;
    let resolve = (): void => undefined;
    const over = new Promise<void>((done) => (resolve = done));
    const timer = setTimeout(this.#boundary.guard('link', this.#expired), this.#ms).unref();
    this.#grace = { over, resolve, timer };
  }

  end(): void {
    clearTimeout(this.#grace?.timer);
    this.#grace?.resolve();
    this.#grace = undefined;
  }
}
