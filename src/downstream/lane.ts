/**
 * One way to a client that many messages share: whole ones go out in their order, a large one flows in pieces while the others wait
 * behind it. What waits is bounded by who asks `waiting` before taking more, and by limits.buffered_bytes.
 */
import type { Budget, Holder } from '../lib/budget.js';
import { Queue } from '../lib/queue.js';
import type { Boundary } from '../observe/boundary.js';

/** What writes to the client. false: it reads slowly; `drained` is called when it can take more. */
export interface Outlet {
  drained: () => void;
  /** A whole message. */
  event(message: Buffer, id: undefined): boolean;
  /** A message in pieces: begin, chunk*, then finish or cut. */
  begin(id: undefined): void;
  chunk(bytes: Buffer): boolean;
  finish(): void;
  /** Half a message is out and no more will come: nobody must take it for a whole one. */
  cut(): void;
  end(): void;
  destroy(): void;
}

type Waiting = Buffer | LaneMessage;

export class Lane {
  /** Called when less is waiting than before. */
  room: () => void = () => undefined;
  readonly #outlet: Outlet;
  readonly #held: Holder;
  readonly #overflow: () => void;
  readonly #boundary: Boundary | undefined;
  readonly #queue = new Queue<Waiting>();
  #waiting = 0;
  #owner: LaneMessage | undefined;
  #full = false;
  #ending = false;
  #over = false;
  readonly #stopped = new Set<() => void>();

  /** `overflow`: too much is buffered in all; what waits here was let go, and the client must go too. */
  constructor(outlet: Outlet, budget: Budget, overflow: () => void, boundary?: Boundary) {
    this.#outlet = outlet;
    this.#overflow = overflow;
    this.#held = budget.holder({ client: this }, () => {
      this.#giveUp();
    });
    this.#boundary = boundary;
    outlet.drained = () => {
      this.#full = false;
      this.#pump();
    };
  }

  /** Bytes that wait here for the client to read. */
  get waiting(): number {
    return this.#waiting;
  }

  /** A whole message. false: stop, until `resume` is called. */
  send(message: Buffer, resume?: () => void): boolean {
    if (this.#over) return true;
    if (this.#isFree()) this.#full = !this.#outlet.event(message, undefined);
    else if (this.hold(message.length)) this.#queue.push(message);
    if (this.#isFree()) return true;
    if (resume) this.#stopped.add(resume);
    return false;
  }

  /** A message in pieces. `resume`: more can be written after a false. */
  message(resume: () => void): LaneMessage {
    return new LaneMessage(this, resume);
  }

  /** Closes the way once all that waits is out. */
  end(): void {
    this.#ending = true;
    this.#pump();
  }

  /** Lets go of all that waits: nobody is there any more. */
  drop(): void {
    this.#over = true;
    this.#queue.clear();
    this.#owner = undefined;
    this.#stopped.clear();
    this.#held.release();
    this.#waiting = 0;
  }

  // For LaneMessage.

  hold(bytes: number): boolean {
    if (this.#over) return false;
    if (!this.#held.take(bytes)) {
      this.#giveUp();
      return false;
    }
    this.#waiting += bytes;
    return true;
  }

  release(bytes: number): void {
    if (this.#over) return;
    this.#waiting -= bytes;
    this.#held.give(bytes);
  }

  #giveUp(): void {
    if (this.#over) return;
    this.drop();
    this.#overflow();
  }

  /** true: it is this message's turn now. */
  claim(message: LaneMessage): boolean {
    if (this.#over) return false;
    if (!this.#isFree()) {
      this.#queue.push(message);
      return false;
    }
    this.#owner = message;
    this.#outlet.begin(undefined);
    return true;
  }

  flow(bytes: Buffer): boolean {
    if (this.#over) return true;
    if (!this.#outlet.chunk(bytes)) this.#full = true;
    return !this.#full;
  }

  leave(message: LaneMessage, how: 'finish' | 'cut'): void {
    if (this.#owner === message) {
      this.#owner = undefined;
      this.#outlet[how]();
      this.#pump();
    } else this.#queue.delete(message);
  }

  #isFree(): boolean {
    return !this.#full && !this.#owner && this.#queue.length === 0;
  }

  #pump(): void {
    while (!this.#full && !this.#owner && this.#queue.length > 0) {
      const item = this.#queue.shift() as Waiting;
      if (item instanceof LaneMessage) {
        this.#owner = item;
        this.#outlet.begin(undefined);
        item.granted();
      } else {
        this.release(item.length);
        this.#full = !this.#outlet.event(item, undefined);
      }
    }
    if (this.#over) return;
    if (!this.#full && this.#owner) this.#later(this.#owner.resume);
    if (this.#isFree()) {
      const stopped = [...this.#stopped];
      this.#stopped.clear();
      for (const resume of stopped) this.#later(resume);
    }
    this.room();
    if (this.#ending && !this.#owner && this.#queue.length === 0) {
      this.drop();
      this.#outlet.end();
    }
  }

  /** Never within the write of another message: its reader may not be entered a second time. */
  #later(resume: () => void): void {
    queueMicrotask(this.#boundary?.guard('client_request', resume) ?? resume);
  }
}

/** Held until it is known to be large, or its end has come. */
const LARGE = 65_536;

export class LaneMessage {
  readonly resume: () => void;
  readonly #lane: Lane;
  #held: Buffer[] = [];
  #bytes = 0;
  #state: 'small' | 'waiting' | 'flowing' | 'over' = 'small';
  #ended = false;

  constructor(lane: Lane, resume: () => void) {
    this.#lane = lane;
    this.resume = resume;
  }

  /** false: stop, until `resume` is called. */
  write(chunk: Buffer): boolean {
    if (this.#state === 'over') return true;
    if (this.#state === 'flowing') return this.#lane.flow(chunk);
    this.#held.push(chunk);
    this.#bytes += chunk.length;
    if (this.#state === 'waiting') {
      this.#lane.hold(chunk.length);
      return false;
    }
    if (this.#bytes <= LARGE) return true;
    if (this.#lane.claim(this)) return this.#flowHeld();
    this.#state = 'waiting';
    this.#lane.hold(this.#bytes);
    return false;
  }

  /** false: many small ones wait by now; `resume` is called when they are out. */
  end(resume?: () => void): boolean {
    if (this.#state === 'small') {
      this.#state = 'over';
      const whole = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held);
      return this.#lane.send(whole, resume);
    }
    if (this.#state === 'waiting') this.#ended = true;
    else if (this.#state === 'flowing') {
      this.#state = 'over';
      this.#lane.leave(this, 'finish');
    }
    return true;
  }

  /** It will not be whole. */
  cut(): void {
    const state = this.#state;
    this.#state = 'over';
    if (state === 'waiting') this.#lane.release(this.#bytes);
    this.#held = [];
    if (state === 'waiting' || state === 'flowing') this.#lane.leave(this, 'cut');
  }

  /** It is its turn. For Lane. */
  granted(): void {
    this.#lane.release(this.#bytes);
    this.#flowHeld();
    if (this.#ended) this.end();
  }

  #flowHeld(): boolean {
    this.#state = 'flowing';
    const held = this.#held;
    this.#held = [];
    let more = true;
    for (const chunk of held) more = this.#lane.flow(chunk);
    return more;
  }
}
