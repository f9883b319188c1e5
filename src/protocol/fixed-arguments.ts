/** Calls of tools some of whose arguments have fixed values: the message is rewritten once, before anything reads its arguments. */
import { fixedPatches, type FixedMembers } from '../wire/fixed-members.js';
import type { Member, Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
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
  if (at && body[at.start] === OPEN_OBJECT) return patched(message, at, fixedPatches(body, at, fixed));
  if (at && !isNull(body, at)) return undefined;
  const object = Buffer.concat([Buffer.from('{'), fixed.bytes, Buffer.from('}')]);
  if (at) return patched(message, at, [{ start: at.start, end: at.end, bytes: object }]);
  const start = paramsSpan.start + 1;
  const member = Buffer.concat([Buffer.from(NAME), object, Buffer.from(',')]);
  const added = { key: 'arguments', start: start + NAME.length, end: start + NAME.length + object.length };
  const whole = patched(message, { start, end: start }, [{ start, end: start, bytes: member }]);
  return { ...whole, params: [added, ...whole.params] };
}

/** `patches`: change only a span within `params`. */
function patched(message: Message, at: Span, patches: Patch[]): Message {
  const { kind, id, method, idSpan, paramsSpan } = message;
  const body = splice(message.body, patches);
  const by = body.length - message.body.length;
  const members = (all: readonly Member[]): Member[] =>
    all.map((member) =>
      member.end < at.end
        ? member
        : { key: member.key, start: moved(member.start, at, by), end: member.end + by },
    );
  const span = (from: Span): Span =>
    from.end < at.end ? from : { start: moved(from.start, at, by), end: from.end + by };
  return {
    kind,
    body,
    id,
    idSpan: idSpan && span(idSpan),
    method,
    paramsSpan: paramsSpan && span(paramsSpan),
    params: members(message.params),
    meta: members(message.meta),
  };
}

const moved = (start: number, at: Span, by: number): number => (start >= at.end ? start + by : start);
