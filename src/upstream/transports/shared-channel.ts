/** Whole messages of a channel that many calls share: the id tells whose answer it is. */
import { readHead, readTail } from '../../wire/edges.js';
import { AnswerReader, idOf } from '../answer.js';
import type { CallOwner, TransportEvents } from '../calls.js';

/** false: not a message. */
export function deliverWhole(message: Buffer, owner: CallOwner, events: TransportEvents): boolean {
  const head = readHead(message);
  if (typeof head === 'string') return false;
  if (head.kind === 'method') {
    events.message(message);
    return true;
  }
  const id = head.id ?? readTail(message)?.id ?? idOf(message);
  if (!id) return false;
  const raw = message.toString('latin1', id.start, id.end);
  // Ours are written as plain digits: `7.0` and `"7"` are somebody else's.
  const call = /^\d{1,15}$/.test(raw) ? events.callFor(Number(raw)) : undefined;
  if (!call) {
    owner.log.debug(`dropped an answer to no call in flight: id ${raw.slice(0, 64)}`);
    return true;
  }
  const reader = new AnswerReader(
    call,
    { messageBytes: Math.max(owner.messageBytes(), message.length), budget: owner.budget },
    owner.order,
    message.length,
  );
  if (!reader.push(message)) call.hold();
  reader.end();
  return true;
}
