/** The few answers that are changed as a whole: held until they are complete, then spliced, a large one in turns. */
import { GatewayError } from '../errors.js';
import type { Budget, Whose } from '../lib/budget.js';
import { Pieces } from '../lib/pieces.js';
import type { Boundary } from '../observe/boundary.js';
import type { AnswerHead, Seen, Sink } from '../protocol/ports.js';

export interface Holding {
  /** limits.message_bytes */
  readonly maxBytes: number;
  readonly budget: Budget;
  /** Whose bytes they are. */
  readonly whose: Whose;
  readonly boundary: Boundary;
}

/** Gives the answer as it goes on. Yields after each step, and says how many bytes it was. */
export type Change = (whole: Buffer) => Generator<number, Buffer>;

/** What is gone over of one answer before others have their turn, and the least that a step counts as: 20,000 of them are as much. */
const TURN_BYTES = 1_048_576;
const STEP_BYTES = TURN_BYTES / 20_000;

/** For what goes over JSON that is proven, which is done in one step. */
export function proven(change: (whole: Buffer) => Buffer): Change {
  return function* (whole) {
    JSON.parse(whole.toString('utf8'));
    return change(whole);
  };
}

/** A sink that holds the answer until it is whole, and hands on what `change` makes of it. */
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
    // It had to give way between two turns.
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
      // Not JSON: it goes on as it came, as any answer does.
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
