/**
 * Patches for parts of a tool definition that clients of an era cannot read. Everything else keeps its bytes.
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

/** Where the original schema is in the wrapped one that older revisions get. */
const INSIDE = '#/properties/result';

const EMPTY = Buffer.alloc(0);
const ANYTHING = Buffer.from('{}');
const NOTHING = Buffer.from('{"not":{}}');

/** No patches: clients of this era read the definition as the server wrote it. */
export function eraPatches({ bytes, tool }: Definition, era: Era): Patch[] {
  if (!tool || (era === 'legacy' && isPlain(tool))) return [];
  const members = membersOf(bytes);
  if (era === 'modern') {
    // 2026-07-28 has another task protocol, without a member in tool definitions.
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

/** Removes a member and one adjacent comma. */
function cut(bytes: Buffer, members: readonly Member[], key: string): Patch[] {
  const index = members.findIndex((member) => member.key === key);
  if (index === -1) return [];
  const { end } = members[index] as Member;
  const before = members[index - 1];
  if (before) return [{ start: before.end, end, bytes: EMPTY }];
  const next = members[index + 1];
  // From its key to the next one: a definition always has other members.
  return next ? [{ start: bytes.indexOf(QUOTE), end: bytes.indexOf(QUOTE, end), bytes: EMPTY }] : [];
}

/** Wraps a schema: in 2025-11-25 structured results are objects, so any other value becomes the member of an object. */
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
 * Replaces boolean schemas of properties by objects. `moved`: the new place of the schema's root, to which references are redirected.
 */
function walk(bytes: Buffer, at: number, moved: string | undefined, patches: Patch[], depth = 0): void {
  if (depth > MAX_SCHEMA_DEPTH) return;
  if (bytes[at] === OPEN_ARRAY) {
    for (const { start } of elementsOf(bytes, at)) walk(bytes, start, moved, patches, depth + 1);
    return;
  }
  if (bytes[at] !== OPEN_OBJECT) return;
  const members = membersOf(bytes, at);
  // References in a schema with its own `$id` stay within it.
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

/** Redirects references to `#` and `#/...`. Anchors and other documents resolve from anywhere. */
function lead(bytes: Buffer, { start, end }: Span, moved: string, patches: Patch[]): void {
  if (bytes[start] !== QUOTE) return;
  const target = JSON.parse(bytes.toString('utf8', start, end)) as string;
  if (target !== '#' && !target.startsWith('#/')) return;
  patches.push({ start, end, bytes: Buffer.from(JSON.stringify(moved + target.slice(1))) });
}

function hasOwnBase(bytes: Buffer, members: readonly Member[]): boolean {
  const id = members.find(({ key }) => key === '$id');
  if (!id || bytes[id.start] !== QUOTE) return false;
  // Before 2019-09 a bare fragment was an anchor.
  return !(JSON.parse(bytes.toString('utf8', id.start, id.end)) as string).startsWith('#');
}

function isFlag(bytes: Buffer, at: number): boolean {
  return bytes[at] === TRUE || bytes[at] === FALSE;
}

function flag(bytes: Buffer, at: number): Buffer {
  return bytes[at] === TRUE ? ANYTHING : NOTHING;
}
