/** Events of one stream that are kept for a client that resumes it. */

/** Events that are kept per stream, at the most. */
export const MAX_EVENTS = 256;
export const MAX_BYTES = 1_048_576;

export interface KeptEvent {
  readonly id: string;
  readonly bytes: Buffer;
}

/**
 * Synchronous and local to this process: an event is stored and sent in one step, so that a resuming client misses none and gets none
 * twice. The call that produces the events holds a connection of this process anyway.
 */
export interface EventLog {
  readonly bytes: number;
  /** The id of the latest event. */
  readonly lastId: string;
  /** Stores an event and returns its id. */
  push(bytes: Buffer): string;
  /** Reserves an id for an event that is not stored, and drops all events before it. */
  nextId(): string;
  /** The events after `seq`; undefined: some of them are gone, or `seq` is unknown. */
  after(seq: number): readonly KeptEvent[] | undefined;
  /** Drops all events; numbering continues. */
  clear(): void;
}

interface Numbered extends KeptEvent {
  readonly seq: number;
}

/** The latest events of one stream. */
export class RecentEvents implements EventLog {
  readonly #stream: string;
  readonly #suffix: string;
  readonly #account: (log: EventLog, bytes: number) => void;
  #events: Numbered[] = [];
  #bytes = 0;
  #seq = 0;

  /** `stream`: the first part of event ids; `suffix`: the last one. `account` gets the change in stored bytes. */
  constructor(stream: string, account: (log: EventLog, bytes: number) => void, suffix = '') {
    this.#stream = stream;
    this.#suffix = suffix;
    this.#account = account;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get lastId(): string {
    return `${this.#stream}-${this.#seq}${this.#suffix}`;
  }

  nextId(): string {
    this.#seq++;
    this.clear();
    return this.lastId;
  }

  push(bytes: Buffer): string {
    const seq = ++this.#seq;
    const id = this.lastId;
    // A small slice must not keep a large read buffer alive. Buffers from the pool are not copied.
    const own = bytes.buffer.byteLength - bytes.length > Buffer.poolSize ? Buffer.from(bytes) : bytes;
    this.#events.push({ seq, id, bytes: own });
    this.#bytes += bytes.length;
    let gone = 0;
    while (this.#events.length > MAX_EVENTS || (this.#bytes > MAX_BYTES && this.#events.length > 1)) {
      const size = (this.#events.shift() as Numbered).bytes.length;
      this.#bytes -= size;
      gone += size;
    }
    this.#account(this, bytes.length - gone);
    return id;
  }

  clear(): void {
    const bytes = this.#bytes;
    this.#events = [];
    this.#bytes = 0;
    if (bytes > 0) this.#account(this, -bytes);
  }

  after(seq: number): readonly KeptEvent[] | undefined {
    if (seq > this.#seq) return undefined;
    const oldest = this.#events[0]?.seq ?? this.#seq + 1;
    return seq < oldest - 1 ? undefined : this.#events.filter((event) => event.seq > seq);
  }
}
