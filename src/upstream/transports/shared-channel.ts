/** Whole messages of a channel that many calls share: the id tells whose answer it is. */
import { readHead, readTail } from '../../wire/edges.js';
import { AnswerReader, idOf, TAIL } from '../answer.js';
import type { CallOwner, TransportEvents } from '../calls.js';

/** `pieces`: a whole message of `bytes` bytes. false: it is none. */
export function deliverWhole(
  pieces: Buffer[],
  bytes: number,
  owner: CallOwner,
  events: TransportEvents,
): boolean {
  const first = pieces[0] as Buffer;
  const last = pieces.at(-1) as Buffer;
  const head = readHead(first);
  const isOne = pieces.length === 1;
  if (typeof head !== 'string' && head.kind !== 'method') {
    const inTail = head.id === undefined && (isOne || last.length >= TAIL) ? readTail(last)?.id : undefined;
    const id = head.id ?? inTail ?? (isOne ? idOf(first) : undefined);
    if (id) {
      const raw = (id === inTail ? last : first).toString('latin1', id.start, id.end);
      answer(raw, pieces, bytes, owner, events);
      return true;
    }
  }
  // An answer flows in the pieces it came in if its ends tell whose it is; all else is read whole.
  if (!isOne) return deliverWhole([Buffer.concat(pieces)], bytes, owner, events);
  if (typeof head === 'string' || head.kind !== 'method') return false;
  events.message(first);
  return true;
}

/** `raw`: the id, as it is written. */
function answer(
  raw: string,
  pieces: readonly Buffer[],
  bytes: number,
  owner: CallOwner,
  events: TransportEvents,
): void {
  // Ours are written as plain digits: `7.0` and `"7"` are somebody else's.
  const call = /^\d{1,15}$/.test(raw) ? events.callFor(Number(raw)) : undefined;
  if (!call) {
    owner.log.debug(`dropped an answer to no call in flight: id ${raw.slice(0, 64)}`);
    return;
  }
  const limits = { messageBytes: Math.max(owner.messageBytes(), bytes), budget: owner.budget };
  const reader = new AnswerReader(call, limits, owner.order, bytes);
  for (const piece of pieces) if (!reader.push(piece)) call.hold();
  reader.end();
}
