/** Long work that pauses for other work: all of it together gets so much of one turn of the event loop, however much of it there is. */
import { monotonic, type Clock } from './clock.js';

const TURN_MS = 8;

/** Use: do a piece of the work; then `if (turns.isOver()) await turns.next()`. */
export class Turns {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  /** When this turn is over, in ms of the clock; -1: nobody has worked in it. */
  #until = -1;
  #isScheduled = false;

  constructor(clock: Clock = monotonic) {
    this.#clock = clock;
  }

  /** Whether what was done in this turn is enough, whoever did it. */
  isOver(): boolean {
    const now = this.#clock.now();
    if (this.#until < 0) {
      this.#until = now + TURN_MS;
      this.#schedule();
    }
    return now >= this.#until;
  }

  /** Resolves in a later turn: in each turn for one that waits, in the order of their calls. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#until = -1;
      const first = this.#waiting.shift();
      if (this.#waiting.length > 0) this.#schedule();
      first?.();
    });
  }
}

/** Those of this process: it has one event loop. */
export const turns = new Turns();
