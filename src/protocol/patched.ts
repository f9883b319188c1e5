/** Messages that are sent on with other values in their `params`: the bytes are changed, and not read again. */
import type { Member, Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import type { Message } from './message.js';

/** The message with `patches`, which change only the span `at` within its `params`. */
export function patched(message: Message, at: Span, patches: Patch[]): Message {
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

/** The message with another string in place of the value of a member of `params`. */
export function withText(message: Message, at: Span, text: string): Message {
  return patched(message, at, [{ start: at.start, end: at.end, bytes: Buffer.from(JSON.stringify(text)) }]);
}
