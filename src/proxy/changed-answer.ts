/** Answers that have to be changed as a whole: buffered until complete, then patched, large ones with pauses for other work. */
import { GatewayError } from '../errors.js';
import type { Budget, Whose } from '../lib/budget.js';
import { Collector } from '../lib/collector.js';
import type { Boundary } from '../observe/boundary.js';
import type { AnswerHead, Cause, Seen, Sink } from '../protocol/ports.js';
import { answerWhole, PassThroughSink } from '../protocol/sinks.js';

export interface Buffering {
  /** limits.message_bytes */
  readonly maxBytes: number;
  readonly budget: Budget;
  /** The client and server that the bytes are charged to. */
  readonly whose: Whose;
  readonly boundary: Boundary;
}

/** Returns the changed answer. Yields the bytes of each step. Throws a GatewayError to fail the call. */
export type Change = (whole: Buffer) => Generator<number, Buffer>;

/** Bytes of one answer that are processed without a pause, and the minimum that a step counts: 20,000 steps are as much. */
const TURN_BYTES = 1_048_576;
const STEP_BYTES = TURN_BYTES / 20_000;

/** A change in one step that needs valid JSON. */
export function proven(change: (whole: Buffer) => Buffer): Change {
  return function* (whole) {
    JSON.parse(whole.toString('utf8'));
    return change(whole);
  };
}

/** Buffers the answer and passes on the changed one. */
export class ChangedAnswer extends PassThroughSink {
  readonly #change: Change;
  readonly #boundary: Boundary;
  readonly #maxBytes: number;
  readonly #collector: Collector;
  #head: AnswerHead | undefined;

  constructor(sink: Sink, { maxBytes, budget, whose, boundary }: Buffering, change: Change) {
    super(sink);
    this.#change = change;
    this.#boundary = boundary;
    this.#maxBytes = maxBytes;
    this.#collector = new Collector(budget, whose, maxBytes);
  }

  override start(head: AnswerHead): void {
    this.#head = head;
  }

  override write(chunk: Buffer): boolean {
    this.#collector.push(chunk);
    return true;
  }

  override end(seen: Seen): void {
    const whole = this.#collector.take();
    this.#run(whole, this.#change(whole), seen);
  }

  override cancelled(why: Cause): void {
    this.#collector.release();
    super.cancelled(why);
  }

  override fail(error: GatewayError): void {
    this.#collector.release();
    super.fail(error);
  }

  #run(whole: Buffer, work: Generator<number, Buffer>, seen: Seen): void {
    // The budget may take the buffer back during a pause.
    if (this.#collector.dropped !== undefined) {
      this.sink.fail(this.#collector.dropped === 'size' ? tooLarge(this.#maxBytes) : NO_ROOM);
      return;
    }
    let changed = whole;
    try {
      let step = work.next();
      for (let bytes = 0; !step.done; step = work.next()) {
        bytes += Math.max(step.value, STEP_BYTES);
        if (bytes < TURN_BYTES) continue;
        const goOn = (): void => {
          this.#run(whole, work, seen);
        };
        setImmediate(this.#boundary.guard('answer', goOn, (error) => this.sink.fail(error)));
        return;
      }
      changed = step.value;
    } catch (error) {
      if (error instanceof GatewayError) return this.fail(error);
      // Not JSON: passed on unchanged, like any answer.
    }
    this.#collector.release();
    answerWhole(this.sink, this.#head as AnswerHead, changed, seen);
  }
}

const NO_ROOM = new GatewayError(
  'busy',
  'the answer had to be held and finds no room (limits.buffered_bytes)',
);

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError(
    'internal',
    `the answer is over ${maxBytes} bytes and had to be held (limits.message_bytes)`,
  );
}
