/** The events of one stream that are kept for a client that comes back. */

/** Kept of one stream, at the most. */
export const MAX_EVENTS = 256;
export const MAX_BYTES = 1_048_576;

export interface KeptEvent {
  readonly id: string;
  readonly bytes: Buffer;
}

/**
 * Synchronous, and local to this process: an event is kept and goes out in one step, so that a client that comes back misses none and
 * hears none twice; and the call that makes the events holds a connection of this process.
 */
export interface EventLog {
  readonly bytes: number;
  /** The id of the latest event. */
  readonly lastId: string;
  /** Keeps an event; gives its id. */
  push(bytes: Buffer): string;
  /** The id of the next event, which is not kept; nor is any before it. */
  nextId(): string;
  /** The events after the one numbered `seq`; undefined: some of them are gone, or there never was such a one. */
  after(seq: number): readonly KeptEvent[] | undefined;
  /** Lets go of all; the numbers go on. */
  clear(): void;
}

interface Numbered extends KeptEvent {
  readonly seq: number;
}

/** The latest events of one stream. */
export class RecentEvents implements EventLog {
  readonly #stream: number;
  readonly #account: (log: EventLog, bytes: number) => void;
  #events: Numbered[] = [];
  #bytes = 0;
  #seq = 0;

  /** `stream`: its number, the first part of its ids. `account` hears how many bytes more, or fewer, are kept. */
  constructor(stream: number, account: (log: EventLog, bytes: number) => void) {
    this.#stream = stream;
    this.#account = account;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get lastId(): string {
    return `${this.#stream}-${this.#seq}`;
  }

  nextId(): string {
    this.#seq++;
    this.clear();
    return this.lastId;
  }

  push(bytes: Buffer): string {
    const seq = ++this.#seq;
    const id = this.lastId;
    // Of a small piece of a large read the read is not kept; what is made here shares a pool, and is no more of one for being copied.
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
