/** A body with a content coding: what arrives goes through a decoder. */
import type { Transform } from 'node:stream';

export interface CodedBodyEvents {
  data(chunk: Buffer): void;
  end(): void;
  /** The body cannot be decoded. */
  unreadable(error: Error): void;
  /** The decoder takes more. */
  drained(): void;
  /** Gets what one of the others throws. */
  threw(thrown: unknown): void;
}

export class CodedBody {
  readonly #decoder: Transform;

  constructor(decoder: Transform, events: CodedBodyEvents) {
    this.#decoder = decoder;
    const caught = (work: () => void): void => {
      try {
        work();
      } catch (thrown) {
        events.threw(thrown);
      }
    };
    decoder.on('data', (chunk: Buffer) => {
      caught(() => {
        events.data(chunk);
      });
    });
    decoder.on('end', () => {
      caught(() => {
        events.end();
      });
    });
    decoder.on('drain', () => {
      events.drained();
    });
    decoder.on('error', (error: Error) => {
      caught(() => {
        events.unreadable(error);
      });
    });
  }

  /** The decoder is full: stop reading until `drained`. */
  get isFull(): boolean {
    return this.#decoder.writableNeedDrain;
  }

  /** Returns false if the decoder is full. */
  write(chunk: Buffer): boolean {
    return this.#decoder.destroyed || this.#decoder.write(chunk);
  }

  end(): void {
    this.#decoder.end();
  }

  pause(): void {
    this.#decoder.pause();
  }

  resume(): void {
    this.#decoder.resume();
  }

  destroy(): void {
    this.#decoder.destroy();
  }
}
