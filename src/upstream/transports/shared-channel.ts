/** Whole messages of a channel that many calls share: the id tells whose answer it is. */
import type { GatewayError } from '../../errors.js';
import { MessageScan } from '../../wire/message-scan.js';
import { AnswerReader } from '../answer.js';
import type { CallOwner, TransportEvents } from '../calls.js';

/** `pieces`: a whole message of `bytes` bytes. false: it is none. */
export function deliverWhole(
  pieces: Buffer[],
  bytes: number,
  owner: CallOwner,
  events: TransportEvents,
): boolean {
  const scan = MessageScan.of(pieces);
  const { kind, id, idText } = scan;
  // An answer whose id is known fails its call, and no other, where it cannot be read.
  if (kind === undefined || (scan.problem !== undefined && (kind === 'method' || !id))) return false;
  if (kind === 'method') {
    events.message(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, bytes));
    return true;
  }
  // Ours are written as plain digits: `7.0` and `"7"` are somebody else's.
  const call = /^\d{1,15}$/.test(idText) ? events.callFor(Number(idText)) : undefined;
  if (!call) {
    owner.log.debug(`dropped an answer to no call in flight: id ${idText.slice(0, 64)}`);
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
