/** Batches: each element is handled separately, and the answers are sent together. */
import { errorMessage, GatewayError } from '../errors.js';
import type { Budget } from '../lib/budget.js';
import { Pieces } from '../lib/pieces.js';
import type { Boundary } from '../observe/boundary.js';
import { MessageError, type Message } from '../protocol/message.js';
import { NOBODY_TO_ASK, type Cause, type Exchange, type Refusal, type Sink } from '../protocol/ports.js';
import type { FoundSession, Gate, Origin } from '../proxy/gate.js';
import { scanObject } from '../wire/json.js';

export interface BatchDeps {
  readonly gate: Gate;
  readonly boundary: Boundary;
  readonly budget: Budget;
}

/**
 * Handles an admitted batch, one element per turn of the event loop. `done` is called once, never before this returns, with the array
 * of answers, or undefined if there are none. `maxBytes`: the maximum size of all answers together. Returns a function that cancels the
 * elements that run or have not begun; `done` is not called then.
 */
export function runBatch(
  { gate, boundary, budget }: BatchDeps,
  origin: Origin,
  found: FoundSession,
  messages: readonly (Message | MessageError)[],
  maxBytes: number,
  done: (answer: Buffer | undefined) => void,
): (why: Cause) => void {
  const answers: (Buffer | undefined)[] = [];
  const exchanges: Exchange[] = [];
  let open = messages.length;
  let bytes = 0;
  let isFull = false;
  let finished = false;
  const held = budget.holder({ client: origin.sessionId ?? messages }, () => {
    // From here on every answer is too large, including those already collected.
    isFull = true;
    answers.fill(undefined);
    messages.forEach((message, index) => {
      if (message.id !== undefined) answers[index] = Buffer.from(errorMessage(tooMuch(), message.id));
    });
  });

  /** Whether there is room for this many more bytes. */
  function room(more: number): boolean {
    if (isFull || bytes + more > maxBytes || !held.take(more)) return false;
    bytes += more;
    return true;
  }

  function settle(index: number, answer: Buffer | undefined): void {
    // An evicted element already has its answer.
    if (!isFull || answers[index] === undefined) answers[index] = answer;
    if (--open > 0 || finished) return;
    finished = true;
    held.release();
    const all = answers.filter((item) => item !== undefined);
    done(all.length === 0 ? undefined : joined(all));
  }

  function tooMuch(): GatewayError {
    return isFull
      ? new GatewayError('unavailable', 'too much is being buffered (limits.buffered_bytes)')
      : new GatewayError(
          'internal',
          `the answers of this batch are over ${maxBytes} bytes (limits.message_bytes)`,
        );
  }

  function answered(index: number, id: string, answer: Buffer): void {
    settle(index, room(answer.length) ? answer : Buffer.from(errorMessage(tooMuch(), id)));
  }

  function handle(message: Message | MessageError, index: number): void {
    if (message instanceof MessageError) {
      gate.countInvalid('invalid');
      return settle(index, Buffer.from(errorMessage(message, message.id)));
    }
    const id = message.id ?? 'null';
    const sink = new BatchSink(id, { room, tooMuch }, (answer) => {
      settle(index, answer);
    });
    let handled: ReturnType<Gate['handle']>;
    try {
      handled = gate.handle(origin, found, message, sink);
    } catch (thrown) {
      return sink.fail(boundary.caught('batch', thrown));
    }
    if (handled.kind === 'exchange') exchanges.push(handled.exchange);
    else if (handled.kind === 'answer') answered(index, id, handled.bytes);
    else if (handled.kind === 'refused') settle(index, Buffer.from(errorMessage(handled.error, handled.id)));
    // Notifications get no answer; `initialize`, which may take longer, is not allowed in a batch.
    else settle(index, undefined);
  }

  function next(index: number): void {
    setImmediate(() => {
      const message = messages[index];
      if (finished || !message) return;
      boundary.run('batch', () => {
        handle(message, index);
      });
      next(index + 1);
    });
  }
  next(0);

  return (why) => {
    if (finished) return;
    finished = true;
    held.release();
    for (const exchange of exchanges)
      boundary.run('batch', () => {
        exchange.cancel(why);
      });
  };
}

function joined(answers: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  answers.forEach((answer, i) => parts.push(Buffer.from(i === 0 ? '[' : ','), answer));
  parts.push(Buffer.from(']'));
  return Buffer.concat(parts);
}

/** Shared by the answers of a batch. */
interface BatchRoom {
  /** Whether there is room for this many more bytes. */
  room(bytes: number): boolean;
  tooMuch(): GatewayError;
}

/**
 * The sink of one element of a batch. Buffers the answer, drops notifications, refuses questions. `done` is called once; undefined: the
 * element has no answer.
 */
class BatchSink implements Sink {
  readonly isSilent = true;
  readonly #rawId: string;
  readonly #share: BatchRoom;
  readonly #done: (answer: Buffer | undefined) => void;
  readonly #chunks = new Pieces();
  #isFull = false;
  #over = false;

  constructor(rawId: string, share: BatchRoom, done: (answer: Buffer | undefined) => void) {
    this.#rawId = rawId;
    this.#share = share;
    this.#done = done;
  }

  notify(): boolean {
    return true;
  }

  ask(): Refusal {
    return NOBODY_TO_ASK;
  }

  start(): void {}

  write(chunk: Buffer): boolean {
    if (this.#over || this.#isFull) return true;
    if (this.#share.room(chunk.length)) this.#chunks.push(chunk);
    else {
      this.#isFull = true;
      this.#chunks.clear();
    }
    return true;
  }

  end(): void {
    if (this.#isFull) return this.fail(this.#share.tooMuch());
    const whole = this.#chunks.taken();
    // An invalid answer would make the whole array invalid.
    if (scanObject(whole, whole.length)) this.#finish(whole);
    else
      this.fail(
        new GatewayError('upstream_protocol_error', 'the answer is not valid JSON, or nested too deeply'),
      );
  }

  cancelled(): void {
    this.#finish(undefined);
  }

  fail(error: GatewayError): void {
    this.#finish(Buffer.from(errorMessage(error, this.#rawId)));
  }

  #finish(answer: Buffer | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#chunks.clear();
    this.#done(answer);
  }
}
