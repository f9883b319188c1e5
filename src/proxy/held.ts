/** The few answers that are changed as a whole: held until they are complete, then spliced. */
import { GatewayError } from '../errors.js';
import type { Budget, Whose } from '../lib/budget.js';
import { Pieces } from '../lib/pieces.js';
import type { AnswerHead, Sink } from '../protocol/ports.js';

export interface Holding {
  /** limits.message_bytes */
  readonly maxBytes: number;
  readonly budget: Budget;
  /** Whose bytes they are. */
  readonly whose: Whose;
}

/** A sink that holds the answer until it is whole, and hands on what `change` makes of it. */
export function held(
  sink: Sink,
  { maxBytes, budget, whose }: Holding,
  change: (whole: Buffer) => Buffer,
): Sink {
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
      if (failed) {
        sink.fail(failed);
        return;
      }
      const whole = chunks.taken();
      holder.release();
      let changed: Buffer = whole;
      try {
        JSON.parse(whole.toString('utf8'));
        changed = change(whole);
      } catch (error) {
        if (error instanceof GatewayError) {
          sink.fail(error);
          return;
        }
        // Not JSON: it goes on as it came, as any answer does.
      }
      sink.start({ ...(head as AnswerHead), bytes: changed.length });
      sink.write(changed);
      sink.end(seen);
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
