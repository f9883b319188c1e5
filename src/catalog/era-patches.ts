/**
 * What a client's era cannot read in the definition of a tool, and what it gets in its place. Everything else keeps its bytes.
 */
import { isPlain, type Definition } from '../protocol/lists.js';
import type { Era } from '../protocol/revisions.js';
import { MAX_SCHEMA_DEPTH, SCHEMA_MAPS, SUBSCHEMAS } from '../protocol/schema.js';
import type { Member, Span } from '../wire/scan.js';
import type { Patch } from '../wire/splice.js';
import { elementsOf, membersOf } from '../wire/walk.js';

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const QUOTE = 0x22;
const TRUE = 0x74;
const FALSE = 0x66;

const REFERENCES: ReadonlySet<string> = new Set(['$ref', '$dynamicRef']);

/** In the schema of the structured result of older revisions; the value stands in it where the client finds it again. */
const INSIDE = '#/properties/result';

const EMPTY = Buffer.alloc(0);
const ANYTHING = Buffer.from('{}');
const NOTHING = Buffer.from('{"not":{}}');

/** None: clients of this era read the definition as it came. */
export function eraPatches({ bytes, tool }: Definition, era: Era): Patch[] {
  if (!tool || (era === 'legacy' && isPlain(tool))) return [];
  const members = membersOf(bytes);
  if (era === 'modern') {
    // 2026-07-28 has another protocol for tasks; there no tool says whether it takes part.
    return cut(bytes, members, 'execution');
  }
  const patches: Patch[] = [];
  for (const { key, start, end } of members) {
    if (key === 'inputSchema') walk(bytes, start, undefined, patches);
    else if (key === 'outputSchema') {
      if (tool.wrapsOutput) wrap(bytes, { start, end }, patches);
      else walk(bytes, start, undefined, patches);
    }
  }
  return patches;
}

/** Takes a member out, with one of the commas around it. */
function cut(bytes: Buffer, members: readonly Member[], key: string): Patch[] {
  const index = members.findIndex((member) => member.key === key);
  if (index === -1) return [];
  const { end } = members[index] as Member;
  const before = members[index - 1];
  if (before) return [{ start: before.end, end, bytes: EMPTY }];
  const next = members[index + 1];
  // From its key to that of the next one; a definition has more members than this one.
  return next ? [{ start: bytes.indexOf(QUOTE), end: bytes.indexOf(QUOTE, end), bytes: EMPTY }] : [];
}

/** 2025-11-25 has structured results that are objects alone: any other becomes the one member of an object. */
function wrap(bytes: Buffer, schema: Span, patches: Patch[]): void {
  const members = bytes[schema.start] === OPEN_OBJECT ? membersOf(bytes, schema.start) : [];
  const dialect = members.find(({ key }) => key === '$schema');
  const shown = dialect ? `"$schema":${bytes.toString('utf8', dialect.start, dialect.end)},` : '';
  const head = `{${shown}"type":"object","properties":{"result":`;
  const tail = '},"required":["result"]}';
  if (isFlag(bytes, schema.start)) {
    const bare = flag(bytes, schema.start).toString();
    patches.push({ ...schema, bytes: Buffer.from(head + bare + tail) });
    return;
  }
  patches.push({ start: schema.start, end: schema.start, bytes: Buffer.from(head) });
  walk(bytes, schema.start, hasOwnBase(bytes, members) ? undefined : INSIDE, patches);
  patches.push({ start: schema.end, end: schema.end, bytes: Buffer.from(tail) });
}

/**
 * Puts schemas in the place of booleans among properties. `moved`: where the root of the schema stands now; its references to itself
 * are led there.
 */
function walk(bytes: Buffer, at: number, moved: string | undefined, patches: Patch[], depth = 0): void {
  if (depth > MAX_SCHEMA_DEPTH) return;
  if (bytes[at] === OPEN_ARRAY) {
    for (const { start } of elementsOf(bytes, at)) walk(bytes, start, moved, patches, depth + 1);
    return;
  }
  if (bytes[at] !== OPEN_OBJECT) return;
  const members = membersOf(bytes, at);
  // What a schema with an `$id` of its own refers to stands within itself, wherever it is moved.
  const base = depth > 0 && hasOwnBase(bytes, members) ? undefined : moved;
  for (const member of members) {
    const { key, start } = member;
    if (SCHEMA_MAPS.has(key)) {
      if (bytes[start] !== OPEN_OBJECT) continue;
      for (const inner of membersOf(bytes, start)) {
        if (key !== 'properties' || !isFlag(bytes, inner.start))
          walk(bytes, inner.start, base, patches, depth + 1);
        else patches.push({ start: inner.start, end: inner.end, bytes: flag(bytes, inner.start) });
      }
    } else if (SUBSCHEMAS.has(key)) walk(bytes, start, base, patches, depth + 1);
    else if (base !== undefined && REFERENCES.has(key)) lead(bytes, member, base, patches);
  }
}

/** References to `#` and `#/...` stay within the schema; anchors and other documents are found from anywhere. */
function lead(bytes: Buffer, { start, end }: Span, moved: string, patches: Patch[]): void {
  if (bytes[start] !== QUOTE) return;
  const target = JSON.parse(bytes.toString('utf8', start, end)) as string;
  if (target !== '#' && !target.startsWith('#/')) return;
  patches.push({ start, end, bytes: Buffer.from(JSON.stringify(moved + target.slice(1))) });
}

function hasOwnBase(bytes: Buffer, members: readonly Member[]): boolean {
  const id = members.find(({ key }) => key === '$id');
  if (!id || bytes[id.start] !== QUOTE) return false;
  // Before 2019-09 a fragment alone was the name of a place.
  return !(JSON.parse(bytes.toString('utf8', id.start, id.end)) as string).startsWith('#');
}

function isFlag(bytes: Buffer, at: number): boolean {
  return bytes[at] === TRUE || bytes[at] === FALSE;
}

function flag(bytes: Buffer, at: number): Buffer {
  return bytes[at] === TRUE ? ANYTHING : NOTHING;
}
