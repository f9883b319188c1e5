/** The few answers that are changed as a whole: held until they are complete, then spliced. */
import { GatewayError } from '../errors.js';
import { Pieces } from '../lib/pieces.js';
import type { AnswerHead, Sink } from '../protocol/ports.js';

/** A sink that holds the answer until it is whole, and hands on what `change` makes of it. */
export function held(sink: Sink, maxBytes: number, change: (whole: Buffer) => Buffer): Sink {
  const chunks = new Pieces();
  let bytes = 0;
  let head: AnswerHead | undefined;
  return {
    notify: (notice) => sink.notify(notice),
    ask: (question) => sink.ask(question),
    withdraw: (question) => sink.withdraw?.(question),
    start(started) {
      head = started;
    },
    write(chunk) {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      return true;
    },
    end(seen) {
      if (bytes > maxBytes) {
        sink.fail(
          new GatewayError(
            'internal',
            `the answer is over ${maxBytes} bytes and had to be held (limits.message_bytes)`,
          ),
        );
        return;
      }
      const whole = chunks.taken();
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
      sink.cancelled(why);
    },
    fail: (error) => {
      sink.fail(error);
    },
  };
}
