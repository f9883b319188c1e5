import { monotonic, type Clock } from './clock.js';

/** What is read of one stream before others have their turn: bytes, and time. */
const TURN_BYTES = 1_048_576;
const TURN_MS = 8;
/** Less than this is not worth a look at the clock. */
const FEW_BYTES = 32_768;
/** What it costs to look at a piece, however small, as bytes. */
const PIECE_BYTES = 256;

/** How much of one peer was read in this turn of the event loop. */
export class Pace {
  readonly #clock: Clock;
  #bytes = 0;
  #since = -1;

  constructor(clock: Clock = monotonic) {
    this.#clock = clock;
  }

  /** Counts what was just read. true: enough for this turn, the rest can wait for the next one. */
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
