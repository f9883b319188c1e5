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
const ANY_HINT = /"(?:resultType|ttlMs|cacheScope)"/;
const LAST_HINT = /,\s*"(?:resultType|ttlMs|cacheScope)"\s*:\s*(?:"[A-Za-z_]*"|\d+)\s*$/;
const LAST_SCALAR = /,\s*"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null)\s*$/;
/** How far from the end of a result its hints are looked for. */
const REACH = 1024;

/** A result of a modern upstream for a legacy client. */
export function legacyResult(method: string): AnswerEdit {
  return CACHED.has(method) ? CACHED_RESULT : LEGACY_RESULT;
}

/** Their results have hints beside their type, and may have them at both ends. */
const CACHED: ReadonlySet<string> = new Set(['resources/read']);

/** Looks at both ends. */
export const CACHED_RESULT: AnswerEdit = {
  head(bytes, value) {
    if (bytes[value] !== 0x7b) return NONE;
    const start = value + 1;
    let end = start;
    for (;;) {
      const key = skipSpace(bytes, end);
      if (bytes[key] !== 0x22) break;
      const keyEnd = endOfValue(bytes, key);
      if (keyEnd === -1 || !HINT.test(bytes.toString('latin1', key, keyEnd))) break;
      const colon = skipSpace(bytes, keyEnd);
      const valueEnd = endOfValue(bytes, skipSpace(bytes, colon + 1));
      if (bytes[colon] !== 0x3a || valueEnd === -1) break;
      const after = skipSpace(bytes, valueEnd);
      if (bytes[after] === 0x2c) end = after + 1;
      else {
        // The last member: nothing of it is left, or it may go on in bytes that have not come yet.
        if (bytes[after] === BRACE) end = valueEnd;
        break;
      }
    }
    return end > start ? [{ start, end, bytes: EMPTY }] : NONE;
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
      const before = beforeMeta(bytes, text, low, end) ?? beforeScalar(text, low);
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

const LEGACY_RESULT: AnswerEdit = { ...CACHED_RESULT, once: true };

/** Where the comma before a `_meta` stands that ends at `end`. */
function beforeMeta(bytes: Buffer, text: string, low: number, end: number): number | undefined {
  const at = text.lastIndexOf('"_meta"');
  if (at === -1) return undefined;
  const colon = skipSpace(bytes, low + at + 7);
  if (bytes[colon] !== 0x3a) return undefined;
  const valueEnd = endOfValue(bytes, skipSpace(bytes, colon + 1));
  if (valueEnd === -1 || skipSpace(bytes, valueEnd) < end) return undefined;
  const comma = /,\s*$/.exec(text.slice(0, at));
  return comma ? low + comma.index : undefined;
}

function beforeScalar(text: string, low: number): number | undefined {
  const scalar = LAST_SCALAR.exec(text.slice(-256));
  return scalar ? low + Math.max(0, text.length - 256) + scalar.index : undefined;
}
