/** Calls of tools some of whose arguments have fixed values: the message is rewritten once, before anything reads its arguments. */
import { withFixedMembers, type FixedMembers } from '../wire/fixed-members.js';
import type { Member, Span } from '../wire/scan.js';
import { splice } from '../wire/splice.js';
import { find, isNull, type Message } from './message.js';

export type { FixedMembers as FixedArguments } from '../wire/fixed-members.js';

const OPEN_OBJECT = 0x7b;
const NAME = '"arguments":';

/**
 * The `tools/call` with fixed arguments in place of those that its client sent under their names; undefined: `params.arguments` is not an
 * object. `message`: has a member in `params`.
 */
export function withFixedArguments(message: Message, fixed: FixedMembers): Message | undefined {
  const { body, params, paramsSpan } = message;
  if (!paramsSpan) return undefined;
  const at = find(params, 'arguments');
  if (at && !isNull(body, at)) {
    if (body[at.start] !== OPEN_OBJECT) return undefined;
    return replaced(message, at, withFixedMembers(body, at, fixed));
  }
  const object = Buffer.concat([Buffer.from('{'), fixed.bytes, Buffer.from('}')]);
  if (at) return replaced(message, at, object);
  const start = paramsSpan.start + 1;
  const member = Buffer.concat([Buffer.from(NAME), object, Buffer.from(',')]);
  const added = { key: 'arguments', start: start + NAME.length, end: start + NAME.length + object.length };
  const whole = replaced(message, { start, end: start }, member);
  return { ...whole, params: [added, ...whole.params] };
}

/** The message with other bytes in the place of a span within `params`. */
function replaced(message: Message, at: Span, bytes: Buffer): Message {
  const { body, idSpan, paramsSpan, params, meta } = message;
  const by = bytes.length - (at.end - at.start);
  const moved = (span: Span): Span => ({
    start: span.start >= at.end ? span.start + by : span.start,
    end: span.end >= at.end ? span.end + by : span.end,
  });
  const movedMember = (member: Member): Member => ({ key: member.key, ...moved(member) });
  return {
    ...message,
    body: splice(body, [{ start: at.start, end: at.end, bytes }]),
    idSpan: idSpan && moved(idSpan),
    paramsSpan: paramsSpan && moved(paramsSpan),
    params: params.map(movedMember),
    meta: meta.map(movedMember),
  };
}
