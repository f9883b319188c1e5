/**
 * Event streams of other replicas that pass through this one and have no end of their own. Where this replica shuts down they end in good
 * order, and their clients open them again elsewhere.
 */
import type { Wheel } from '../../lib/wheel.js';

/** Streams that end at a time, so that their clients do not all come to the others at once: 500 a second. */
const AT_A_TIME = 50;
const EVERY_MS = 100;
/** When such a client comes back: between these two. */
const SOONEST_MS = 500;
const LATEST_MS = 1500;
const LINE_FEED = 10;

export interface PassedStream {
  /** Ends it after the present event. `retryMs`: when its client should come back. Called once. */
  finish(retryMs: number): void;
}

export class PassedStreams {
  readonly #wheel: Wheel;
  readonly #streams = new Set<PassedStream>();
  #isEnding = false;
  #isDue = false;

  constructor(wheel: Wheel) {
    this.#wheel = wheel;
  }

  /** Returns a function that forgets it. */
  add(stream: PassedStream): () => void {
    this.#streams.add(stream);
    if (this.#isEnding) this.#later();
    return () => {
      this.#streams.delete(stream);
    };
  }

  /** Ends all, and those that come from now on. */
  end(): void {
    this.#isEnding = true;
    this.#some();
  }

  #later(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#wheel.after(EVERY_MS, () => {
      this.#isDue = false;
      this.#some();
    });
  }

  #some(): void {
    let left = AT_A_TIME;
    for (const stream of this.#streams) {
      if (left-- === 0) return this.#later();
      this.#streams.delete(stream);
      stream.finish(Math.round(SOONEST_MS + Math.random() * (LATEST_MS - SOONEST_MS)));
    }
  }
}

/** Whether an event stream whose bytes pass is between two events: they end with an empty line. */
export class EventBounds {
  #last = LINE_FEED;
  #before = LINE_FEED;

  passed(chunk: Buffer): void {
    const { length } = chunk;
    if (length === 0) return;
    this.#before = length > 1 ? (chunk[length - 2] as number) : this.#last;
    this.#last = chunk[length - 1] as number;
  }

  get isBetween(): boolean {
    return this.#last === LINE_FEED && this.#before === LINE_FEED;
  }
}
