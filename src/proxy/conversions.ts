/**
 * Conversions for older revisions, one row each: newer content blocks become text and are never dropped; requests that a revision cannot
 * express count as a missing capability.
 */
import type { Refusal } from '../protocol/ports.js';
import type { LegacyRevision } from '../protocol/revisions.js';
import { arrayOf, objectOf, readJson, readObject, textOf, type JsonObject } from '../wire/json.js';
import { splice, type Patch } from '../wire/splice.js';
import { elementsAt, membersAt } from '../wire/walk-unproven.js';
import { membersOf } from '../wire/walk.js';
import { skipSpace, type Member, type Span } from '../wire/scan.js';

/** Content blocks and the revision that introduced them. 2026-07-28 has no others. */
const BLOCKS: Readonly<Record<string, LegacyRevision>> = {
  text: '2024-11-05',
  image: '2024-11-05',
  resource: '2024-11-05',
  audio: '2025-03-26',
  resource_link: '2025-06-18',
};

/** The first revision that knows every block above. */
const KNOWS_ALL: LegacyRevision = '2025-06-18';
/** The first revision with multi-select and titled choices in forms, and several blocks in one sampling message. */
const RICH_QUESTIONS: LegacyRevision = '2025-11-25';

/** Whether answers to a client of this revision may need conversion. */
export function mayNeedConversion(revision: LegacyRevision, method: string): boolean {
  return revision < KNOWS_ALL && (method === 'tools/call' || method === 'prompts/get');
}

/** Converts a whole answer for a client of `revision`. Yields the bytes of each step. Throws UnprovenError if it is not JSON. */
export function* convertContent(whole: Buffer, revision: LegacyRevision): Generator<number, Buffer> {
  const result = yield* resultOf(whole);
  const blocks: Span[] = [];
  const content = result.get('content');
  if (content && whole[content.start] === 0x5b)
    yield* elementsAt(whole, content.start, (block) => blocks.push(block));
  const messages: Span[] = [];
  const listed = result.get('messages');
  if (listed && whole[listed.start] === 0x5b)
    yield* elementsAt(whole, listed.start, (message) => messages.push(message));
  for (const message of messages) {
    const block = (yield* membersIn(whole, message, ['content'])).get('content');
    if (block) blocks.push(block);
  }
  const patches: Patch[] = [];
  for (const block of blocks) {
    const text = yield* textFor(whole, block, revision);
    yield block.end - block.start;
    if (text === undefined) continue;
    patches.push({
      start: block.start,
      end: block.end,
      bytes: Buffer.from(JSON.stringify({ type: 'text', text })),
    });
  }
  return patches.length === 0 ? whole : splice(whole, patches);
}

/** The text that replaces a block which the revision does not have; undefined: it has it. */
function* textFor(
  whole: Buffer,
  block: Span,
  revision: LegacyRevision,
): Generator<number, string | undefined> {
  const members = yield* membersIn(whole, block, ['type', 'uri', 'text', 'mimeType']);
  const of = (key: string): string | undefined => {
    const at = members.get(key);
    return at && whole[at.start] === 0x22 ? textOf(readJson(whole.subarray(at.start, at.end))) : undefined;
  };
  const type = of('type');
  if (type === undefined) return undefined;
  const since = Object.hasOwn(BLOCKS, type) ? BLOCKS[type] : undefined;
  if (since !== undefined && revision >= since) return undefined;
  const [text, mimeType] = [of('uri') ?? of('text'), of('mimeType')];
  if (text !== undefined) return text;
  const mime = mimeType === undefined ? '' : ` (${mimeType})`;
  return `[${type.slice(0, 64)}${mime}: not known to revision ${revision}]`;
}

/** Longest structured result that is repeated as text. */
const MAX_TEXT = 1_048_576;

/**
 * Converts the answer of a tool whose `outputSchema` is not an object schema, for clients before 2026-07-28: the value is wrapped in an
 * object under `result`, like the listed schema, and repeated as text if the tool gave none. Yields the bytes of each step. Throws
 * UnprovenError if the answer is not JSON.
 */
export function* convertStructured(whole: Buffer): Generator<number, Buffer> {
  const result = yield* resultOf(whole);
  const structured = result.get('structuredContent');
  if (!structured) return whole;
  const patches: Patch[] = [
    { start: structured.start, end: structured.start, bytes: Buffer.from('{"result":') },
    { start: structured.end, end: structured.end, bytes: Buffer.from('}') },
  ];
  const bytes = structured.end - structured.start;
  const text =
    bytes <= MAX_TEXT
      ? whole.toString('utf8', structured.start, structured.end)
      : `[structuredContent of ${bytes} bytes]`;
  const block = JSON.stringify({ type: 'text', text });
  const content = result.get('content');
  if (!content) {
    const { end } = structured;
    patches.push({ start: end, end, bytes: Buffer.from(`,"content":[${block}]`) });
  } else if (whole[content.start] === 0x5b) {
    const blocks: Span[] = [];
    yield* elementsAt(whole, content.start, (each) => blocks.push(each));
    let said = false;
    for (const each of blocks) {
      const type = (yield* membersIn(whole, each, ['type'])).get('type');
      yield each.end - each.start;
      said ||= type !== undefined && isText(whole, type);
    }
    if (!said) {
      const at = blocks.at(-1)?.end ?? content.start + 1;
      patches.push({ start: at, end: at, bytes: Buffer.from(blocks.length > 0 ? `,${block}` : block) });
    }
  }
  return splice(whole, patches);
}

function isText(whole: Buffer, { start, end }: Span): boolean {
  return end - start === 6 && whole.toString('latin1', start, end) === '"text"';
}

/** The patches for the result of an answer; none if it has no result. */
function* resultOf(whole: Buffer): Generator<number, ReadonlyMap<string, Span>> {
  const message = { start: skipSpace(whole, 0), end: whole.length };
  const result = (yield* membersIn(whole, message, ['result'])).get('result');
  return result ? yield* membersIn(whole, result, ['content', 'messages', 'structuredContent']) : NONE;
}

const NONE: ReadonlyMap<string, Span> = new Map();

/** Finds members of an object by name; nothing if the value is not an object. Of equal names the last counts, as in JSON.parse. */
function* membersIn(
  whole: Buffer,
  { start }: Span,
  names: readonly string[],
): Generator<number, ReadonlyMap<string, Span>> {
  if (whole[start] !== 0x7b) return NONE;
  const found = new Map<string, Span>();
  yield* membersAt(whole, start, (key, value) => {
    if (names.includes(key)) found.set(key, value);
  });
  return found;
}

function member(whole: Buffer, at: number, key: string): Member | undefined {
  // Of equal members the last counts, as in JSON.parse.
  return membersOf(whole, at).findLast((each) => each.key === key);
}

/** Why a request cannot be sent to a client of `revision`; undefined: it can. */
export function inexpressible(
  method: string,
  params: Readonly<Record<string, unknown>>,
  revision: LegacyRevision,
): Refusal | undefined {
  if (revision >= RICH_QUESTIONS) return undefined;
  if (method === 'elicitation/create' && params['mode'] === 'url')
    return { code: -32602, message: `revision ${revision} has no elicitation of mode url` };
  if (method === 'sampling/createMessage') {
    const many = (arrayOf(params['messages']) ?? []).some((m) => arrayOf(objectOf(m)?.['content']));
    if (many || (params['tools'] ?? undefined) !== undefined)
      return { code: -32602, message: `revision ${revision} has no tools and no several blocks in sampling` };
  }
  return undefined;
}

/** Patches that replace titled choices of a form by `enum` with `enumNames`, for older revisions. */
export function titledChoices(bytes: Buffer, params: Span, revision: LegacyRevision): Patch[] {
  if (revision >= RICH_QUESTIONS) return [];
  const schema = member(bytes, params.start, 'requestedSchema');
  const list = schema && bytes[schema.start] === 0x7b ? member(bytes, schema.start, 'properties') : undefined;
  if (!list || bytes[list.start] !== 0x7b) return [];
  const patches: Patch[] = [];
  for (const property of membersOf(bytes, list.start)) {
    if (bytes[property.start] !== 0x7b) continue;
    const read = readObject(bytes.subarray(property.start, property.end));
    const listed = arrayOf(read?.['oneOf']);
    if (!listed) continue;
    const choices = listed.map((choice) => objectOf(choice)).filter((choice) => choice !== undefined);
    const { oneOf: _, ...rest } = read as JsonObject;
    const older = {
      ...rest,
      enum: choices.map((choice) => choice['const']),
      enumNames: choices.map((choice) => choice['title'] ?? choice['const']),
    };
    patches.push({ start: property.start, end: property.end, bytes: Buffer.from(JSON.stringify(older)) });
  }
  return patches;
}
