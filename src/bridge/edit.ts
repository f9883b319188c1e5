/** Adds the members that a modern result has, and removes them, at both ends of a result while it is streamed. */
import type { AnswerEdit } from '../protocol/ports.js';
import { endOfValue } from '../wire/edges.js';
import { skipSpace } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';

const EMPTY = Buffer.alloc(0);
const BRACE = 0x7d;
const NONE: readonly Patch[] = [];

const COMPLETE = '"resultType":"complete"';
/** A legacy server makes no promise of freshness. */
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
        // A server that supports both eras, called in the legacy one, asks for input by requests only.
        const start = skipSpace(bytes, skipSpace(bytes, first + 12) + 1);
        const end = endOfValue(bytes, start);
        return end === -1 ? NONE : [{ start, end, bytes: Buffer.from('"complete"') }];
      }
      return [{ start: value + 1, end: value + 1, bytes: bytes[first] === BRACE ? alone : before }];
    },
  };
}

/** Members of a modern result that mean nothing to a legacy client. They are removed if they are at one of its ends. */
const HINT = /^"(?:resultType|ttlMs|cacheScope)"$/;
const ANY_HINT = /"(?:resultType|ttlMs|cacheScope|io\.modelcontextprotocol\\?\/serverInfo)"/;
const LAST_HINT = /,\s*"(?:resultType|ttlMs|cacheScope)"\s*:\s*(?:"[A-Za-z_]*"|\d+)\s*$/;
const LAST_SCALAR = /,\s*"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null)\s*$/;
/** How far from the end of a result its hints are searched. */
const REACH = 1024;

/**
 * A result of a modern upstream for a legacy client, without its hints and without `serverInfo`, which a legacy client knows from the
 * handshake. Checks both ends only.
 */
export const LEGACY_RESULT: AnswerEdit = {
  head(bytes, value) {
    if (bytes[value] !== 0x7b) return NONE;
    const patches: Patch[] = [];
    /** The offset after the comma that follows the last kept member, or after the brace. */
    let from = value + 1;
    let comma: number | undefined;
    for (let read = 0; read < MAX_MEMBERS; read++) {
      const member = memberAt(bytes, from);
      if (!member) break;
      const after = skipSpace(bytes, member.end);
      const isLast = bytes[after] === BRACE;
      // The value may continue in bytes that have not arrived yet.
      if (!isLast && bytes[after] !== 0x2c) break;
      const stamp = member.key === META ? stampIn(bytes, member.value) : undefined;
      if (HINT.test(member.key) || stamp === ALL) {
        // The last member is removed with the comma before it, and with the members already removed after that.
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
    // Skips the backward search if there is nothing to find.
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

/** Applies an edit to a whole answer. `value`: the offset of the result, which ends right before the message does. */
export function edited(whole: Buffer, value: number, edit: AnswerEdit): Buffer {
  const patches: Patch[] = [...edit.head(whole, value)];
  const from = Math.max(value + 1, ...patches.map(({ end }) => end));
  const brace = whole.length - 2;
  if (edit.tail && brace >= from) patches.push(...edit.tail(whole, brace, from));
  return patches.length === 0 ? whole : splice(whole, patches);
}

/** The same for a tool whose listed output schema is an object; others are converted as a whole (proxy/conversions.ts). */
export const LEGACY_TOOL_RESULT: AnswerEdit = { ...LEGACY_RESULT, wraps: true };

const META = '"_meta"';
/** How many members at the start of a result are checked. */
const MAX_MEMBERS = 16;
/** Some JSON writers escape slashes. */
const STAMP = /^"io\.modelcontextprotocol\\?\/serverInfo"$/;
/** Nothing else stands there. */
const ALL = 'all';

interface MemberAt {
  readonly start: number;
  /** As written in the message. */
  readonly key: string;
  readonly value: number;
  readonly end: number;
}

/** The member at `at`, after optional white space; undefined: there is none, or it is incomplete. */
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

/** The patch that removes the server's name from the `_meta` at `at`; undefined: it is not there. */
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

/** The offsets of the `_meta` that ends at `end`, and of the comma before it. */
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
