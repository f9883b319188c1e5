/**
 * Writes many messages to one stream. Messages are sent in order. A large message is streamed in pieces, and other messages wait for its
 * end. The queue is limited by callers that check `waiting`, and by limits.buffered_bytes.
 */
import type { Budget, Holder } from '../lib/budget.js';
import { Queue } from '../lib/queue.js';
import type { Boundary } from '../observe/boundary.js';

/** Writes to the client. A method returns false if the client reads slowly; `drained` is called when it can take more. */
export interface Outlet {
  drained: () => void;
  /** A whole message. */
  event(message: Buffer, id: undefined): boolean;
  /** A message in pieces: begin, chunk*, then finish or cut. */
  begin(id: undefined): void;
  chunk(bytes: Buffer): boolean;
  finish(): void;
  /** Ends an incomplete message so that the client does not take it for a complete one. */
  cut(): void;
  end(): void;
  destroy(): void;
}

type Waiting = Buffer | LaneMessage;

export class Lane {
  /** Called when `waiting` has decreased. */
  room: () => void = () => undefined;
  readonly #outlet: Outlet;
  readonly #holder: Holder;
  readonly #overflow: () => void;
  readonly #boundary: Boundary | undefined;
  readonly #queue = new Queue<Waiting>();
  #waiting = 0;
  /** The large message that is being streamed. */
  #current: LaneMessage | undefined;
  /** Whether the client reads slowly: messages wait. */
  #full = false;
  #ending = false;
  #over = false;
  /** Senders that stopped after a `send` that returned false. */
  readonly #stopped = new Set<() => void>();

  /** `overflow`: the budget is used up; the queue was dropped, and the client must be disconnected. */
  constructor(outlet: Outlet, budget: Budget, overflow: () => void, boundary?: Boundary) {
    this.#outlet = outlet;
    this.#overflow = overflow;
    this.#holder = budget.holder({ client: this }, () => {
      this.#giveUp();
    });
    this.#boundary = boundary;
    outlet.drained = () => {
      this.#full = false;
      this.#pump();
    };
  }

  /** Bytes queued for the client. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Sends or queues a whole message. false: stop sending until `resume` is called. */
  send(message: Buffer, resume?: () => void): boolean {
    if (this.#over) return true;
    if (this.#isFree()) this.#full = !this.#outlet.event(message, undefined);
    else if (this.hold(message.length)) this.#queue.push(message);
    if (this.#isFree()) return true;
    if (resume) this.#stopped.add(resume);
    return false;
  }

  /** Begins a message in pieces. `resume` is called when more can be written, after a write that returned false. */
  message(resume: () => void): LaneMessage {
    return new LaneMessage(this, resume);
  }

  /** Ends the stream once the queue is empty. */
  end(): void {
    this.#ending = true;
    this.#pump();
  }

  /** Drops the queue: the client has gone. */
  drop(): void {
    this.#over = true;
    this.#queue.clear();
    this.#current = undefined;
    this.#stopped.clear();
    this.#holder.release();
    this.#waiting = 0;
  }

  // For LaneMessage.

  /** Counts bytes that wait. false: there is no room, and the lane has been dropped. */
  hold(bytes: number): boolean {
    if (this.#over) return false;
    if (!this.#holder.take(bytes)) {
      this.#giveUp();
      return false;
    }
    this.#waiting += bytes;
    return true;
  }

  release(bytes: number): void {
    if (this.#over) return;
    this.#waiting -= bytes;
    this.#holder.give(bytes);
  }

  /** Starts to stream a large message, or queues it. true: it may be written now. */
  claim(message: LaneMessage): boolean {
    if (this.#over) return false;
    if (!this.#isFree()) {
      this.#queue.push(message);
      return false;
    }
    this.#current = message;
    this.#outlet.begin(undefined);
    return true;
  }

  /** Writes a piece of the current message. */
  flow(bytes: Buffer): boolean {
    if (this.#over) return true;
    if (!this.#outlet.chunk(bytes)) this.#full = true;
    return !this.#full;
  }

  /** Ends a message, or removes it from the queue. */
  leave(message: LaneMessage, how: 'finish' | 'cut'): void {
    if (this.#current === message) {
      this.#current = undefined;
      this.#outlet[how]();
      this.#pump();
    } else this.#queue.delete(message);
  }

  #giveUp(): void {
    if (this.#over) return;
    this.drop();
    this.#overflow();
  }

  /** Whether a message may be written now. */
  #isFree(): boolean {
    return !this.#full && !this.#current && this.#queue.length === 0;
  }

  #pump(): void {
    while (!this.#full && !this.#current && this.#queue.length > 0) {
      const item = this.#queue.shift() as Waiting;
      if (item instanceof LaneMessage) {
        this.#current = item;
        this.#outlet.begin(undefined);
        item.granted();
      } else {
        this.release(item.length);
        this.#full = !this.#outlet.event(item, undefined);
      }
    }
    if (this.#over) return;
    if (!this.#full && this.#current) this.#defer(this.#current.resume);
    if (this.#isFree()) {
      const stopped = [...this.#stopped];
      this.#stopped.clear();
      for (const resume of stopped) this.#defer(resume);
    }
    this.room();
    if (this.#ending && !this.#current && this.#queue.length === 0) {
      this.drop();
      this.#outlet.end();
    }
  }

  /** Calls `resume` later, because the sender of a message may be in the middle of its own write. */
  #defer(resume: () => void): void {
    queueMicrotask(this.#boundary?.guard('client_request', resume) ?? resume);
  }
}

/** Smaller messages are collected and sent whole. */
const LARGE = 65_536;

/** One message that its sender writes in pieces. */
export class LaneMessage {
  readonly resume: () => void;
  readonly #lane: Lane;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #state: 'small' | 'waiting' | 'flowing' | 'over' = 'small';
  #ended = false;

  constructor(lane: Lane, resume: () => void) {
    this.#lane = lane;
    this.resume = resume;
  }

  /** false: stop writing until `resume` is called. */
  write(chunk: Buffer): boolean {
    if (this.#state === 'over') return true;
    if (this.#state === 'flowing') return this.#lane.flow(chunk);
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#state === 'waiting') {
      this.#lane.hold(chunk.length);
      return false;
    }
    if (this.#bytes <= LARGE) return true;
    if (this.#lane.claim(this)) return this.#flowPieces();
    this.#state = 'waiting';
    this.#lane.hold(this.#bytes);
    return false;
  }

  /** Ends the message. false: the client reads slowly; `resume` is called when it can take more. */
  end(resume?: () => void): boolean {
    if (this.#state === 'small') {
      this.#state = 'over';
      const whole = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
      return this.#lane.send(whole, resume);
    }
    if (this.#state === 'waiting') this.#ended = true;
    else if (this.#state === 'flowing') {
      this.#state = 'over';
      this.#lane.leave(this, 'finish');
    }
    return true;
  }

  /** Drops an incomplete message. */
  cut(): void {
    const state = this.#state;
    this.#state = 'over';
    if (state === 'waiting') this.#lane.release(this.#bytes);
    this.#pieces = [];
    if (state === 'waiting' || state === 'flowing') this.#lane.leave(this, 'cut');
  }

  /** Called by Lane when the queued message may be written. */
  granted(): void {
    this.#lane.release(this.#bytes);
    this.#flowPieces();
    if (this.#ended) this.end();
  }

  #flowPieces(): boolean {
    this.#state = 'flowing';
    const pieces = this.#pieces;
    this.#pieces = [];
    let more = true;
    for (const chunk of pieces) more = this.#lane.flow(chunk);
    return more;
  }
}
