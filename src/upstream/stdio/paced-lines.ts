/** Reads the lines of a child's stream, for a share of each turn of the event loop: the rest waits for the next turn. */
import type { Readable } from 'node:stream';
import type { LineSplitter } from '../../lib/lines.js';
import type { Pace } from '../../lib/pace.js';
import type { Boundary, Place } from '../../observe/boundary.js';

export interface PacedLinesOptions {
  readonly lines: LineSplitter;
  /** Shared by all streams of the child. */
  readonly pace: Pace;
  readonly boundary: Boundary;
  readonly place: Place;
}

export class PacedLines {
  readonly #stream: Readable;
  readonly #options: PacedLinesOptions;
  readonly #readOn: () => void;
  /** Received, not read yet. */
  readonly #unread: Buffer[] = [];
  /** Waits for the next turn. */
  #resting = false;
  #paused = false;
  /** The child has ended: what is left in the pipe is read even while paused. */
  #last = false;
  #then: (() => void) | undefined;

  constructor(stream: Readable, options: PacedLinesOptions) {
    const { boundary, place } = options;
    this.#stream = stream;
    this.#options = options;
    this.#readOn = boundary.guard(place, () => {
      this.#resting = false;
      this.#read();
    });
    stream.on(
      'data',
      boundary.guard(place, (chunk: Buffer) => {
        this.#unread.push(chunk);
        if (!this.#resting) this.#read();
      }),
    );
    stream.on('error', () => {});
  }

  /** Stops after the present line. */
  pause(): void {
    this.#paused = true;
    if (!this.#last) this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#rest();
  }

  /** The child has ended: reads what is left in the pipe, paused or not. */
  readLast(): void {
    this.#last = true;
    this.#rest();
  }

  /** The stream has ended. Calls `then` once all of it was read. */
  finish(then: () => void): void {
    this.#last = true;
    this.#then = then;
    if (!this.#resting) this.#read();
  }

  get #stopped(): boolean {
    return this.#paused && !this.#last;
  }

  #read(): void {
    const { lines, pace } = this.#options;
    let enough = false;
    const more = (bytes: number): boolean => {
      enough = pace.spend(bytes);
      return !enough && !this.#stopped;
    };
    while (!enough && !this.#stopped) {
      const chunk = this.#unread.shift();
      if (!chunk) break;
      const rest = lines.push(chunk, more);
      if (rest) this.#unread.unshift(rest);
    }
    if (this.#stopped) return;
    if (enough) return this.#rest();
    this.#stream.resume();
    const then = this.#then;
    this.#then = undefined;
    then?.();
  }

  #rest(): void {
    this.#stream.pause();
    if (this.#resting) return;
    this.#resting = true;
    setImmediate(this.#readOn);
  }
}
