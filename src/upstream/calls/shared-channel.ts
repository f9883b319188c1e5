/** Whole messages of a channel that many calls share. The id of an answer names its call. */
import type { GatewayError } from '../../errors.js';
import { MAX_BATCH_BYTES, messagesOf } from '../../wire/batch.js';
import { withoutBom } from '../../wire/edges.js';
import { MessageScan } from '../../wire/message-scan.js';
import { AnswerReader } from './answer.js';
import type { CallOwner, TransportEvents } from './calls.js';

/** `received`: a whole message of `length` bytes in pieces, or a batch of them. Returns false if it is not a valid message. */
export function deliverWhole(
  received: Buffer[],
  length: number,
  owner: CallOwner,
  events: TransportEvents,
): boolean {
  const [first, ...rest] = received as [Buffer, ...Buffer[]];
  const start = withoutBom(first);
  const pieces = start === first ? received : [start, ...rest];
  const bytes = length - (first.length - start.length);
  const scan = MessageScan.of(pieces);
  const { kind, id, answersId } = scan;
  if (scan.isArray) {
    const messages = bytes <= MAX_BATCH_BYTES ? messagesOf(Buffer.concat(pieces, bytes)) : undefined;
    return (messages ?? []).filter((each) => deliverWhole([each], each.length, owner, events)).length > 0;
  }
  // An unreadable answer whose id is known fails its call alone.
  if (kind === undefined || (scan.problem !== undefined && (kind === 'method' || !id))) return false;
  if (kind === 'method') {
    events.message(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, bytes));
    return true;
  }
  // The gateway writes its ids as plain digits: `7.0` is not one of them.
  const call = /^\d{1,15}$/.test(answersId) ? events.callFor(Number(answersId)) : undefined;
  if (!call) {
    owner.log.debug(`dropped an answer without a call in flight: id ${scan.idText.slice(0, 64)}`);
    return true;
  }
  if (scan.problem !== undefined) {
    call.broken(`sent a message that ${scan.problem}`);
    return true;
  }
  const deliver = (): void => {
    const reader = new AnswerReader(call, owner.answerLimits, owner.order, bytes, scan);
    for (const piece of pieces) if (!reader.push(piece)) call.hold();
    reader.end();
  };
  const failed = (error: GatewayError): void => {
    call.fail(error);
  };
  call.answer(bytes, owner.boundary.guard('answer', deliver, failed));
  return true;
}
