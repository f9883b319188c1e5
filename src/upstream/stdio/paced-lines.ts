/** The lines of a stream of a child, read for a share of each turn of the event loop: what is over waits for the next one. */
import type { Readable } from 'node:stream';
import type { LineSplitter } from '../../lib/lines.js';
import type { Pace } from '../../lib/pace.js';
import type { Boundary, Place } from '../../observe/boundary.js';

export interface PacedLinesOptions {
  readonly lines: LineSplitter;
  /** Of all that is read of this child. */
  readonly pace: Pace;
  readonly boundary: Boundary;
  readonly place: Place;
}

export class PacedLines {
  readonly #stream: Readable;
  readonly #options: PacedLinesOptions;
  readonly #goOn: () => void;
  /** What came and is yet to be looked at. */
  readonly #unread: Buffer[] = [];
  /** The rest is left for the next turn. */
  #resting = false;
  #paused = false;
  /** There is no more of it than a pipe holds: it is read although nobody wants more just now. */
  #last = false;
  #then: (() => void) | undefined;

  constructor(stream: Readable, options: PacedLinesOptions) {
    const { boundary, place } = options;
    this.#stream = stream;
    this.#options = options;
    this.#goOn = boundary.guard(place, () => {
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

  /** Stops after the line that it is at. */
  pause(): void {
    this.#paused = true;
    if (!this.#last) this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#rest();
  }

  /** The child has ended: what stands in the pipe is read, paused or not. */
  readLast(): void {
    this.#last = true;
    this.#rest();
  }

  /** The stream is over. `then` is called once all of it was looked at. */
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
    setImmediate(this.#goOn);
  }
}
