import { isHeaderText } from '../protocol/header-text.js';
import { readHead } from '../wire/edges.js';
import { SseReader, type EventFields } from '../wire/sse-read.js';
import type { Lane, LaneMessage } from './lane.js';

/** How many bytes of a message are kept to see whether it is an answer. */
export const MAX_HEAD = 4096;

/** Passes the messages of an event stream on to the client as lines. */
export class EventLines {
  /** The stream has delivered an answer. */
  answered = false;
  lastId: string | undefined;
  retryMs: number | undefined;
  /** How many pieces of messages have arrived, to see progress. */
  pieceCount = 0;
  readonly #lane: Lane;
  #resume: () => void = () => undefined;
  /** One function for all messages, so that it is registered once. */
  readonly #resumeReading = (): void => {
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

  /** Sets the connection that events come from: `resume` is called after a push that returned false. */
  onto(resume: () => void): void {
    this.#resume = resume;
  }

  /** false: stop reading until `resume` is called. */
  push(chunk: Buffer): boolean {
    this.#more = true;
    try {
      this.#reader.push(chunk);
    } catch {
      // Not an event stream: the message stays incomplete.
      this.broken();
    }
    return this.#more;
  }

  /** The connection has ended: drops an incomplete message. */
  broken(): void {
    this.#message?.cut();
    this.#message = undefined;
    this.#reader = this.#newReader();
  }

  #newReader(): SseReader {
    return new SseReader({
      open: (type) => {
        this.#head = Buffer.alloc(0);
        if (type === '' || type === 'message') this.#message = this.#lane.message(this.#resumeReading);
      },
      data: (chunk) => {
        this.pieceCount++;
        if (this.#head.length < MAX_HEAD)
          this.#head = Buffer.concat([this.#head, chunk.subarray(0, MAX_HEAD)]);
        if (this.#message?.write(chunk) === false) this.#more = false;
      },
      close: (fields) => {
        if (fields.type === '' || fields.type === 'message') {
          // An event without data primes the stream.
          if (this.#head.length > 0 && this.#message?.end(this.#resumeReading) === false) this.#more = false;
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
    // It becomes a header; an id that cannot be one is ignored.
    if (id !== undefined && isHeaderText(id)) this.lastId = id;
    if (retry !== undefined) this.retryMs = retry;
  }
}
