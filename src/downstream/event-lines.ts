import { isHeaderText } from '../protocol/header-text.js';
import { readHead } from '../wire/edges.js';
import { SseReader, type EventFields } from '../wire/sse-read.js';
import type { Lane, LaneMessage } from './lane.js';

/** The head of a message: enough to see whether it is an answer. */
export const MAX_HEAD = 4096;

/** What an event stream says, as lines to the client. */
export class EventLines {
  /** An answer was among them. */
  answered = false;
  lastId: string | undefined;
  retryMs: number | undefined;
  /** Pieces of messages so far: whether it moves on. */
  heard = 0;
  readonly #lane: Lane;
  #resume: () => void = () => undefined;
  /** The same for all its messages: those that wait for room are told once. */
  readonly #goOn = (): void => {
    this.#resume();
  };
  #reader: SseReader;
  #message: LaneMessage | undefined;
  #head = Buffer.alloc(0);
  #more = true;

  constructor(lane: Lane) {
    this.#lane = lane;
    this.#reader = this.#newReader();
  }

  /** Over which connection its events come from now on: `resume` goes on with that after a false. */
  onto(resume: () => void): void {
    this.#resume = resume;
  }

  /** false: stop, until resumed. */
  push(chunk: Buffer): boolean {
    this.#more = true;
    try {
      this.#reader.push(chunk);
    } catch {
      // No event stream: what it has begun is not finished.
      this.broken();
    }
    return this.#more;
  }

  /** The connection has ended: half a message is none. */
  broken(): void {
    this.#message?.cut();
    this.#message = undefined;
    this.#reader = this.#newReader();
  }

  #newReader(): SseReader {
    return new SseReader({
      open: (type) => {
        this.#head = Buffer.alloc(0);
        if (type === '' || type === 'message') this.#message = this.#lane.message(this.#goOn);
      },
      data: (chunk) => {
        this.heard++;
        if (this.#head.length < MAX_HEAD)
          this.#head = Buffer.concat([this.#head, chunk.subarray(0, MAX_HEAD)]);
        if (this.#message?.write(chunk) === false) this.#more = false;
      },
      close: (fields) => {
        if (fields.type === '' || fields.type === 'message') {
          // An event without data primes the stream.
          if (this.#head.length > 0 && this.#message?.end(this.#goOn) === false) this.#more = false;
          const head = readHead(this.#head);
          if (this.#head[0] === 0x5b || (typeof head !== 'string' && head.kind !== 'method'))
            this.answered = true;
        } else this.#message?.cut();
        this.#message = undefined;
        this.#note(fields);
      },
      empty: (fields) => {
        this.#note(fields);
      },
    });
  }

  #note({ id, retry }: EventFields): void {
    // It becomes a header: what cannot be one counts as absent.
    if (id !== undefined && isHeaderText(id)) this.lastId = id;
    if (retry !== undefined) this.retryMs = retry;
  }
}
