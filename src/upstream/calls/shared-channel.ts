/** Whole messages of a channel that many calls share: the id tells whose answer it is. */
import type { GatewayError } from '../../errors.js';
import { MAX_BATCH_BYTES, messagesOf } from '../../wire/batch.js';
import { withoutBom } from '../../wire/edges.js';
import { MessageScan } from '../../wire/message-scan.js';
import { AnswerReader } from './answer.js';
import type { CallOwner, TransportEvents } from './calls.js';

/** `came`: a whole message of `length` bytes, or a batch of them. false: it is none. */
export function deliverWhole(
  came: Buffer[],
  length: number,
  owner: CallOwner,
  events: TransportEvents,
): boolean {
  const [first, ...rest] = came as [Buffer, ...Buffer[]];
  const start = withoutBom(first);
  const pieces = start === first ? came : [start, ...rest];
  const bytes = length - (first.length - start.length);
  const scan = MessageScan.of(pieces);
  const { kind, id, answersId } = scan;
  if (scan.isArray) {
    const messages = bytes <= MAX_BATCH_BYTES ? messagesOf(Buffer.concat(pieces, bytes)) : undefined;
    return (messages ?? []).filter((each) => deliverWhole([each], each.length, owner, events)).length > 0;
  }
  // An answer whose id is known fails its call, and no other, where it cannot be read.
  if (kind === undefined || (scan.problem !== undefined && (kind === 'method' || !id))) return false;
  if (kind === 'method') {
    events.message(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, bytes));
    return true;
  }
  // Ours are written as plain digits: `7.0` is somebody else's.
  const call = /^\d{1,15}$/.test(answersId) ? events.callFor(Number(answersId)) : undefined;
  if (!call) {
    owner.log.debug(`dropped an answer to no call in flight: id ${scan.idText.slice(0, 64)}`);
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
