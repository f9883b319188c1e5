/** The stream of one call: its events are kept while its client may come back for them. */
import type { Wheel, WheelTimer } from '../lib/wheel.js';
import type { AnswerHead, Cause, StreamTarget } from '../protocol/ports.js';
import type { EventLog } from './event-log.js';

/** An answer up to this size is kept as one event; a larger one is streamed. */
const LARGE = 65_536;
/** How soon a client is back that has lost its connection. */
const RETURN_MS = 3000;

/** How a stream controls the call that it carries. */
export interface StreamControl {
  resume(): void;
  cancel(why: Cause): void;
}

/** The control of a call that has ended. */
const OVER: StreamControl = { resume() {}, cancel() {} };

export interface CallStreamDeps {
  readonly wheel: Wheel;
  /** http.resume_seconds, in ms. */
  readonly resumeMs: number;
}

/** The stream of one call, with or without a connected client. */
export class CallStream {
  readonly #log: EventLog;
  /** Replaced by OVER when the call has ended, so that kept events do not keep its exchange in memory. */
  #control: StreamControl;
  readonly #deps: CallStreamDeps;
  /** Called when the stream can no longer be resumed. */
  readonly #gone: () => void;
  #target: StreamTarget | undefined;
  #head: AnswerHead | undefined;
  #whole: Buffer | undefined;
  /** Chunks of a large answer that arrived while no client was connected. */
  #held: Buffer[] = [];
  /** Whether a large answer has begun: its chunks are sent as they arrive. */
  #flowing = false;
  #ended = false;
  #timer: WheelTimer | undefined;
  /** Fires when a client that has left is not expected back any more. */
  #return: WheelTimer | undefined;

  constructor(
    log: EventLog,
    target: StreamTarget,
    control: StreamControl,
    deps: CallStreamDeps,
    gone: () => void,
  ) {
    this.#log = log;
    this.#control = control;
    this.#deps = deps;
    this.#gone = gone;
    this.#target = target;
    target.drained = () => {
      control.resume();
    };
  }

  /** Whether the call has ended. Its events were sent, or are kept. */
  get ended(): boolean {
    return this.#ended;
  }

  get isAwaited(): boolean {
    return this.#return !== undefined;
  }

  /** Ends the stream, which can no longer be resumed. */
  forget(): void {
    this.destroy();
    this.#gone();
  }

  retryIn(ms: number): void {
    this.#target?.retryIn(ms);
  }

  event(bytes: Buffer): boolean {
    const id = this.#log.push(bytes);
    return this.#target?.event(bytes, id) ?? true;
  }

  start(head: AnswerHead): void {
    this.#head = head;
  }

  write(chunk: Buffer): boolean {
    if (chunk.length === this.#head?.bytes && chunk.length <= LARGE) {
      this.#whole = chunk;
      return true;
    }
    const target = this.#target;
    if (!target || this.#held.length > 0) {
      this.#held.push(chunk);
      return false;
    }
    this.#begin(target);
    return target.chunk(chunk);
  }

  end(): void {
    if (this.#whole) this.event(this.#whole);
    this.#whole = undefined;
    this.#ended = true;
    if (this.#held.length > 0) return;
    if (this.#flowing) this.#target?.finish();
    this.#flowing = false;
    this.#close();
  }

  /** Ends a call without a complete answer. `last`: the error that is sent instead. */
  fail(last: Buffer | undefined): void {
    this.#ended = true;
    this.#held = [];
    const id = last && this.#log.push(last);
    this.#target?.end(last, id);
    this.#flowing = false;
    this.#target = undefined;
    this.#keep();
  }

  /** The connection of `target` has ended. */
  left(target: StreamTarget): void {
    if (this.#target !== target) return;
    this.#target = undefined;
    if (this.#flowing) {
      // A large answer was sent in part and was not kept, so the stream cannot be resumed.
      this.#control.cancel('client gone');
      this.#gone();
      return;
    }
    this.#return = this.#deps.wheel.after(RETURN_MS, () => (this.#return = undefined));
    this.#keep();
    // Events for a disconnected client are kept, so the server need not wait for it.
    this.#control.resume();
  }

  /** Whether all events after `seq` are still kept. */
  has(seq: number): boolean {
    return this.#log.after(seq) !== undefined;
  }

  /** Whether the call has ended and no event follows `seq`. */
  isOverAfter(seq: number): boolean {
    return this.#ended && this.#held.length === 0 && this.#log.after(seq)?.length === 0;
  }

  attach(target: StreamTarget, after: number): void {
    const events = this.#log.after(after) ?? [];
    this.#target?.end();
    this.#timer?.cancel();
    this.#isBack();
    this.#target = target;
    target.drained = () => {
      this.#control.resume();
    };
    for (const { id, bytes } of events) target.event(bytes, id);
    const held = this.#held;
    this.#held = [];
    if (held.length > 0) {
      this.#begin(target);
      for (const chunk of held) target.chunk(chunk);
      if (this.#ended) target.finish();
    }
    if (this.#ended) {
      this.#flowing = false;
      this.#close();
    } else this.#control.resume();
  }

  cancel(why: Cause): void {
    this.#control.cancel(why);
  }

  destroy(): void {
    this.#timer?.cancel();
    this.#isBack();
    this.#target?.end();
    this.#target = undefined;
    this.#held = [];
    this.#log.clear();
  }

  #isBack(): void {
    this.#return?.cancel();
    this.#return = undefined;
  }

  #begin(target: StreamTarget): void {
    if (this.#flowing) return;
    this.#flowing = true;
    target.begin(this.#log.nextId());
  }

  #close(): void {
    this.#target?.end();
    this.#target = undefined;
    this.#keep();
  }

  /** Keeps the events for http.resume_seconds. */
  #keep(): void {
    const { wheel, resumeMs } = this.#deps;
    this.#timer?.cancel();
    if (this.#ended) this.#control = OVER;
    const drop = (): void => {
      if (!this.#ended) this.#control.cancel('client gone');
      this.#gone();
    };
    this.#timer = wheel.after(resumeMs, drop);
    // A timer of 0 ms never fires.
    if (resumeMs === 0) drop();
  }
}
