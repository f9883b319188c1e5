/** Answers that have to be changed as a whole: buffered until complete, then patched, large ones with pauses for other work. */
import { GatewayError } from '../errors.js';
import type { Budget, Whose } from '../lib/budget.js';
import { Pieces } from '../lib/pieces.js';
import type { Boundary } from '../observe/boundary.js';
import type { AnswerHead, Seen, Sink } from '../protocol/ports.js';

export interface Holding {
  /** limits.message_bytes */
  readonly maxBytes: number;
  readonly budget: Budget;
  /** The client and server that the bytes are charged to. */
  readonly whose: Whose;
  readonly boundary: Boundary;
}

/** Returns the changed answer. Yields the bytes of each step. */
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

/** A sink that buffers the answer and passes on the changed one. */
export function held(sink: Sink, { maxBytes, budget, whose, boundary }: Holding, change: Change): Sink {
  const chunks = new Pieces();
  let head: AnswerHead | undefined;
  let failed: GatewayError | undefined;
  const holder = budget.holder(whose, () => {
    failed ??= NO_ROOM;
    chunks.clear();
  });
  const letGo = (): void => {
    chunks.clear();
    holder.release();
  };
  function go(whole: Buffer, work: Generator<number, Buffer>, seen: Seen): void {
    // The buffer was revoked during a pause.
    if (failed) {
      sink.fail(failed);
      return;
    }
    let changed = whole;
    try {
      let step = work.next();
      for (let bytes = 0; !step.done; step = work.next()) {
        bytes += Math.max(step.value, STEP_BYTES);
        if (bytes < TURN_BYTES) continue;
        const goOn = (): void => {
          go(whole, work, seen);
        };
        setImmediate(boundary.guard('answer', goOn, (error) => sink.fail(error)));
        return;
      }
      changed = step.value;
    } catch (error) {
      if (error instanceof GatewayError) {
        letGo();
        sink.fail(error);
        return;
      }
      // Not JSON: passed on unchanged, like any answer.
    }
    letGo();
    sink.start({ ...(head as AnswerHead), bytes: changed.length });
    sink.write(changed);
    sink.end(seen);
  }
  return {
    notify: (notice) => sink.notify(notice),
    ask: (question) => sink.ask(question),
    withdraw: (question) => sink.withdraw?.(question),
    start(started) {
      head = started;
    },
    write(chunk) {
      if (failed) return true;
      if (holder.held + chunk.length > maxBytes) failed = tooLarge(maxBytes);
      else if (!holder.take(chunk.length)) failed ??= NO_ROOM;
      if (failed) letGo();
      else chunks.push(chunk);
      return true;
    },
    end(seen) {
      const whole = chunks.taken();
      go(whole, change(whole), seen);
    },
    cancelled: (why) => {
      letGo();
      sink.cancelled(why);
    },
    fail: (error) => {
      letGo();
      sink.fail(error);
    },
  };
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
