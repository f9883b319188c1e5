/** The messages of a listen stream (2026-07-28, basic/patterns/subscriptions). */
import { META } from '../../protocol/modern/meta.js';
import { endOfValue } from '../../wire/edges.js';
import { scan, skipSpace, type Member } from '../../wire/scan.js';
import { splice, type Patch } from '../../wire/splice.js';

export const LISTEN = 'subscriptions/listen';

/** The params of a notification on a listen stream, as far as they are read. */
export interface ListenParams {
  readonly uri?: unknown;
  readonly taskId?: unknown;
  readonly notifications?:
    { readonly resourceSubscriptions?: unknown; readonly taskIds?: unknown } | null | undefined;
}

const NOTHING = Buffer.alloc(0);
const QUOTE = 0x22;
const COMMA = 0x2c;

/**
 * Removes the subscription id from `_meta`, and a `_meta` that has nothing else; every other byte stays. undefined: nested too deeply, or
 * too many values.
 */
export function withoutSubscriptionId(bytes: Buffer): Buffer | undefined {
  let read: ReturnType<typeof scan>;
  try {
    read = scan(bytes);
  } catch {
    return undefined;
  }
  if (read.kind !== 'object') return bytes;
  const at = read.meta.findIndex(({ key }) => key === META.subscriptionId);
  if (at === -1) return bytes;
  const patch =
    read.meta.length === 1
      ? removal(
          bytes,
          read.params,
          read.params.findIndex(({ key }) => key === '_meta'),
        )
      : removal(bytes, read.meta, at);
  return splice(bytes, [patch]);
}

/** The removal of one member with its comma. */
function removal(bytes: Buffer, members: readonly Member[], index: number): Patch {
  const member = members[index] as Member;
  const before = members[index - 1];
  // The last of several: the comma before it is removed as well.
  if (before && index === members.length - 1) return { start: before.end, end: member.end, bytes: NOTHING };
  const start = before ? keyAfter(bytes, before.end) : keyFrom(bytes, member);
  const next = skipSpace(bytes, member.end);
  return { start, end: bytes[next] === COMMA ? skipSpace(bytes, next + 1) : member.end, bytes: NOTHING };
}

function keyAfter(bytes: Buffer, end: number): number {
  return skipSpace(bytes, skipSpace(bytes, end) + 1);
}

/** Offset of the key of the first member of an object: only white space is between it and the brace. */
function keyFrom(bytes: Buffer, member: Member): number {
  for (let quote = member.start - 1; ;) {
    quote = bytes.lastIndexOf(QUOTE, quote - 1);
    const end = quote === -1 ? member.start : endOfValue(bytes, quote);
    if (quote === -1) return member.start;
    const colon = skipSpace(bytes, end);
    if (bytes[colon] === 0x3a && skipSpace(bytes, colon + 1) === member.start && opens(bytes, quote))
      return quote;
  }
}

function opens(bytes: Buffer, quote: number): boolean {
  let i = quote - 1;
  while (i >= 0 && (bytes[i] === 0x20 || bytes[i] === 0x0a || bytes[i] === 0x0d || bytes[i] === 0x09)) i--;
  return bytes[i] === 0x7b;
}
