import { monotonic, type Clock } from './clock.js';

/** How much is read from one stream before others get their turn, in bytes and in time. */
const TURN_BYTES = 1_048_576;
const TURN_MS = 8;
/** Below this the clock is not read. */
const FEW_BYTES = 32_768;
/** The minimum cost of a piece, in bytes. */
const PIECE_BYTES = 256;

/** Tracks how much was read from one peer in this turn of the event loop. */
export class Pace {
  readonly #clock: Clock;
  #bytes = 0;
  #since = -1;

  constructor(clock: Clock = monotonic) {
    this.#clock = clock;
  }

  /** Records bytes that were read. true: enough for this turn. */
  spend(bytes: number): boolean {
    this.#bytes += Math.max(bytes, PIECE_BYTES);
    if (this.#bytes < FEW_BYTES) return false;
    if (this.#since < 0) {
      this.#since = this.#clock.now();
      setImmediate(() => {
        this.#bytes = 0;
        this.#since = -1;
      });
    }
    return this.#bytes >= TURN_BYTES || this.#clock.now() - this.#since >= TURN_MS;
  }
}
