/** Batches: each element is handled by itself, the answers go out together. */
import { errorMessage } from '../errors.js';
import { MessageError, type Message } from '../protocol/message.js';
import type { Cause, Exchange } from '../protocol/ports.js';
import type { Found, Gate, Source } from '../proxy/gate.js';
import { BatchSink } from './http/respond.js';

/**
 * Handles a batch that was admitted. `done` is called once, maybe before this returns: with the array of the answers, or undefined
 * where there are none. `maxBytes`: what all answers together may hold. Returns how to cancel what is under way; `done` is not
 * called then.
 */
export function runBatch(
  gate: Gate,
  source: Source,
  found: Found,
  messages: readonly (Message | MessageError)[],
  maxBytes: number,
  done: (answer: Buffer | undefined) => void,
): (why: Cause) => void {
  const answers: (Buffer | undefined)[] = [];
  const exchanges: Exchange[] = [];
  const max = Math.floor(maxBytes / messages.length);
  let open = messages.length;
  let finished = false;
  const settle = (index: number, answer: Buffer | undefined): void => {
    answers[index] = answer;
    if (--open > 0 || finished) return;
    finished = true;
    const all = answers.filter((item) => item !== undefined);
    done(all.length === 0 ? undefined : joined(all));
  };
  messages.forEach((message, index) => {
    if (message instanceof MessageError) {
      gate.countInvalid('invalid');
      return settle(index, Buffer.from(errorMessage(message, message.id)));
    }
    const sink = new BatchSink(message.id ?? 'null', max, (answer) => {
      settle(index, answer);
    });
    const handled = gate.handle(source, found, message, sink);
    if (handled.kind === 'exchange') exchanges.push(handled.exchange);
    else if (handled.kind === 'answer') settle(index, handled.bytes);
    else if (handled.kind === 'refused') settle(index, Buffer.from(errorMessage(handled.error, handled.id)));
    // Nothing is said; `initialize`, which may take its time, is no part of a batch.
    else settle(index, undefined);
  });
  return (why) => {
    if (finished) return;
    finished = true;
    for (const exchange of exchanges) exchange.cancel(why);
  };
}

function joined(answers: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  answers.forEach((answer, i) => parts.push(Buffer.from(i === 0 ? '[' : ','), answer));
  parts.push(Buffer.from(']'));
  return Buffer.concat(parts);
}
