/** What a result has more of in the modern era, put in and taken out at its two ends while it flows. */
import type { AnswerEdit } from '../protocol/ports.js';
import { endOfValue } from '../wire/edges.js';
import { skipSpace } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';

const EMPTY = Buffer.alloc(0);
const BRACE = 0x7d;
const NONE: readonly Patch[] = [];

const COMPLETE = '"resultType":"complete"';
/** What a legacy server read may be another thing the next moment: nothing promises more. */
const STALE = '"ttlMs":0,"cacheScope":"private"';

/** A result of a legacy upstream for a modern client (2026-07-28, basic, "Result Responses"). */
export function modernResult(method: string): AnswerEdit {
  return method === 'resources/read' ? READ : PLAIN;
}

const PLAIN = begunWith(COMPLETE);
const READ = begunWith(`${COMPLETE},${STALE}`);

function begunWith(members: string): AnswerEdit {
  const alone = Buffer.from(members);
  const before = Buffer.from(`${members},`);
  return {
    head(bytes, value) {
      if (bytes[value] !== 0x7b) return NONE;
      const first = skipSpace(bytes, value + 1);
      if (bytes.toString('latin1', first, first + 12) === '"resultType"') {
        // A server of both eras that was spoken to in the older one. Whatever it says, what it needs it asks.
        const start = skipSpace(bytes, skipSpace(bytes, first + 12) + 1);
        const end = endOfValue(bytes, start);
        return end === -1 ? NONE : [{ start, end, bytes: Buffer.from('"complete"') }];
      }
      return [{ start: value + 1, end: value + 1, bytes: bytes[first] === BRACE ? alone : before }];
    },
  };
}

/** Members of a modern result that tell a legacy client nothing. They go where they stand at one of its ends. */
const HINT = /^"(?:resultType|ttlMs|cacheScope)"$/;
const ANY_HINT = /"(?:resultType|ttlMs|cacheScope|io\.modelcontextprotocol\\?\/serverInfo)"/;
const LAST_HINT = /,\s*"(?:resultType|ttlMs|cacheScope)"\s*:\s*(?:"[A-Za-z_]*"|\d+)\s*$/;
const LAST_SCALAR = /,\s*"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null)\s*$/;
/** How far from the end of a result its hints are looked for. */
const REACH = 1024;

/**
 * A result of a modern upstream for a legacy client: without its hints, and without who answered, which such a client knows from the
 * handshake. Looks at both ends.
 */
export const LEGACY_RESULT: AnswerEdit = {
  head(bytes, value) {
    if (bytes[value] !== 0x7b) return NONE;
    const patches: Patch[] = [];
    /** After the comma behind the last member that stays, or the brace. */
    let from = value + 1;
    let comma: number | undefined;
    for (let read = 0; read < MAX_MEMBERS; read++) {
      const member = memberAt(bytes, from);
      if (!member) break;
      const after = skipSpace(bytes, member.end);
      const isLast = bytes[after] === BRACE;
      // What goes on in bytes that have not come yet may be no end.
      if (!isLast && bytes[after] !== 0x2c) break;
      const stamp = member.key === META ? stampIn(bytes, member.value) : undefined;
      if (HINT.test(member.key) || stamp === ALL) {
        // The last one goes with the comma before it, and with what was taken out behind that.
        const start = isLast ? (comma ?? value + 1) : from;
        while ((patches.at(-1)?.start ?? -1) >= start) patches.pop();
        patches.push({ start, end: isLast ? member.end : after + 1, bytes: EMPTY });
      } else {
        if (stamp) patches.push(stamp);
        else if (member.key !== META && (bytes[member.value] === 0x7b || bytes[member.value] === 0x5b)) break;
        comma = after;
      }
      if (isLast) break;
      from = after + 1;
    }
    return patches;
  },
  tail(bytes, brace, from) {
    const low = Math.max(from, brace - REACH);
    // Nothing to find, nothing to read backwards.
    if (!ANY_HINT.test(bytes.toString('latin1', low, brace))) return NONE;
    const patches: Patch[] = [];
    let end = brace;
    for (;;) {
      const text = bytes.toString('latin1', low, end);
      const hint = LAST_HINT.exec(text);
      if (hint) {
        patches.push({
          start: low + hint.index,
          end: low + hint.index + hint[0].trimEnd().length,
          bytes: EMPTY,
        });
        end = low + hint.index;
        continue;
      }
      const meta = metaBefore(bytes, text, low, end);
      const stamp = meta && stampIn(bytes, meta.value);
      if (meta && stamp === ALL) patches.push({ start: meta.comma, end: meta.end, bytes: EMPTY });
      else if (stamp && stamp !== ALL) patches.push(stamp);
      const before = meta?.comma ?? beforeScalar(text, low);
      if (before === undefined) return patches;
      end = before;
    }
  },
};

/** A whole answer with a result, edited at both of its ends. `value`: where the result begins; the message ends behind it. */
export function edited(whole: Buffer, value: number, edit: AnswerEdit): Buffer {
  const patches: Patch[] = [...edit.head(whole, value)];
  const from = Math.max(value + 1, ...patches.map(({ end }) => end));
  const brace = whole.length - 2;
  if (edit.tail && brace >= from) patches.push(...edit.tail(whole, brace, from));
  return patches.length === 0 ? whole : splice(whole, patches);
}

/** The same of a tool: one whose schema says that its output is no object is converted as a whole, where it is listed so. */
export const LEGACY_TOOL_RESULT: AnswerEdit = { ...LEGACY_RESULT, wraps: true };

const META = '"_meta"';
/** Members at the start of a result that are looked at. */
const MAX_MEMBERS = 16;
/** There are JSON writers that put a backslash before each slash. */
const STAMP = /^"io\.modelcontextprotocol\\?\/serverInfo"$/;
/** Nothing else stands there. */
const ALL = 'all';

interface MemberAt {
  readonly start: number;
  /** As it is written. */
  readonly key: string;
  readonly value: number;
  readonly end: number;
}

/** The member at `at`, white space before it; undefined: there is none, or not all of it is here. */
function memberAt(bytes: Buffer, at: number): MemberAt | undefined {
  const start = skipSpace(bytes, at);
  if (bytes[start] !== 0x22) return undefined;
  const keyEnd = endOfValue(bytes, start);
  if (keyEnd === -1) return undefined;
  const colon = skipSpace(bytes, keyEnd);
  const value = skipSpace(bytes, colon + 1);
  const end = endOfValue(bytes, value);
  if (bytes[colon] !== 0x3a || end === -1) return undefined;
  return { key: bytes.toString('latin1', start, keyEnd), start, value, end };
}

/** What takes the name of the server out of the `_meta` at `at`; undefined: it is not in there. */
function stampIn(bytes: Buffer, at: number): Patch | typeof ALL | undefined {
  if (bytes[at] !== 0x7b) return undefined;
  let comma: number | undefined;
  for (let from = at + 1; ;) {
    const member = memberAt(bytes, from);
    if (!member) return undefined;
    const after = skipSpace(bytes, member.end);
    const isLast = bytes[after] !== 0x2c;
    if (STAMP.test(member.key)) {
      if (!isLast) return { start: member.start, end: after + 1, bytes: EMPTY };
      return comma === undefined ? ALL : { start: comma, end: member.end, bytes: EMPTY };
    }
    if (isLast) return undefined;
    comma = after;
    from = after + 1;
  }
}

/** The `_meta` that ends at `end`, and the comma before it. */
function metaBefore(
  bytes: Buffer,
  text: string,
  low: number,
  end: number,
): { readonly comma: number; readonly value: number; readonly end: number } | undefined {
  const at = text.lastIndexOf(META);
  const member = at === -1 ? undefined : memberAt(bytes, low + at);
  if (!member || skipSpace(bytes, member.end) < end) return undefined;
  const comma = /,\s*$/.exec(text.slice(0, at));
  return comma ? { comma: low + comma.index, value: member.value, end: member.end } : undefined;
}

function beforeScalar(text: string, low: number): number | undefined {
  const scalar = LAST_SCALAR.exec(text.slice(-256));
  return scalar ? low + Math.max(0, text.length - 256) + scalar.index : undefined;
}
