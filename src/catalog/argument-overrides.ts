/**
 * Changes to single arguments of a tool, in the bytes of its definition: another description, or a fixed value. An argument is a property
 * at the top of the inputSchema; one with a fixed value is no longer listed.
 */
import type { OverrideConfig } from '../config/types.js';
import type { Definition } from '../protocol/lists.js';
import { isObject, type JsonObject } from '../wire/json.js';
import { fixedMembers, type FixedMembers } from '../wire/fixed-members.js';
import type { Member } from '../wire/scan.js';
import type { Patch } from '../wire/splice.js';
import { splice } from '../wire/splice.js';
import { elementsOf, membersOf } from '../wire/walk.js';
import { without } from '../wire/without.js';

type Changes = NonNullable<OverrideConfig['arguments']>;

/** What becomes of a tool. */
export interface ChangedArguments {
  readonly bytes: Buffer;
  /** undefined: no argument has a fixed value. */
  readonly fixed: FixedMembers | undefined;
}

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;

/**
 * The bytes of a tool's definition with its arguments changed, or the name of an argument that its schema does not have. `bytes`: has one
 * `inputSchema`, which is an object.
 */
export function withArguments(bytes: Buffer, changes: Changes): ChangedArguments | { missing: string } {
  const names = Object.keys(changes);
  const schemaAt = membersOf(bytes).find(({ key }) => key === 'inputSchema') as Member;
  const schema = membersOf(bytes, schemaAt.start);
  const all = schema.filter(({ key }) => key === 'properties');
  const [propertiesAt] = all;
  const properties =
    propertiesAt && all.length === 1 && bytes[propertiesAt.start] === OPEN_OBJECT
      ? membersOf(bytes, propertiesAt.start)
      : [];
  const missing = names.find((name) => !properties.some(({ key }) => key === name));
  if (!propertiesAt || missing !== undefined) return { missing: missing ?? names[0] ?? '' };

  const values = new Map<string, string>();
  const patches: Patch[] = [];
  for (const [name, change] of Object.entries(changes)) {
    if ('value' in change) values.set(name, JSON.stringify(change.value));
    else if (change.description !== undefined)
      for (const property of properties)
        if (property.key === name) patches.push(...described(bytes, property, change.description));
  }
  if (values.size === 0) return { bytes: splice(bytes, patches), fixed: undefined };
  const gone = new Set(values.keys());
  patches.push(...without(bytes, propertiesAt.start, properties, gone));
  patches.push(...withoutRequired(bytes, schemaAt.start, schema, gone));
  const rest = properties.flatMap(({ key }) => (gone.has(key) ? [] : [key]));
  return {
    bytes: withoutReferences(bytes, splice(bytes, patches), gone),
    fixed: fixedMembers(values, rest),
  };
}

function described(bytes: Buffer, { start, end }: Member, description: string): Patch[] {
  const text = JSON.stringify(description);
  if (bytes[start] !== OPEN_OBJECT) {
    // A boolean schema.
    const rest = bytes.toString('latin1', start, end) === 'true' ? '' : ',"not":{}';
    return [{ start, end, bytes: Buffer.from(`{"description":${text}${rest}}`) }];
  }
  const members = membersOf(bytes, start);
  const before = members.filter(({ key }) => key === 'description');
  if (before.length > 0)
    return before.map((member) => ({ start: member.start, end: member.end, bytes: Buffer.from(text) }));
  const added = Buffer.from(`"description":${text}${members.length > 0 ? ',' : ''}`);
  return [{ start: start + 1, end: start + 1, bytes: added }];
}

/** Takes names out of the lists of required arguments. An empty list goes, which older revisions of JSON Schema do not allow. */
function withoutRequired(
  bytes: Buffer,
  at: number,
  schema: readonly Member[],
  gone: ReadonlySet<string>,
): Patch[] {
  const patches: Patch[] = [];
  let isEmpty = false;
  for (const { key, start, end } of schema) {
    if (key !== 'required' || bytes[start] !== OPEN_ARRAY) continue;
    const required = elementsOf(bytes, start).map((span) => bytes.toString('utf8', span.start, span.end));
    const left = required.filter((json) => !gone.has(JSON.parse(json) as string));
    if (left.length === required.length) continue;
    if (left.length === 0) isEmpty = true;
    else patches.push({ start, end, bytes: Buffer.from(`[${left.join(',')}]`) });
  }
  return isEmpty ? without(bytes, at, schema, new Set(['required'])) : patches;
}

/**
 * Generators of schemas write `{"$ref": "#/properties/x"}` where two arguments have the same schema, and model APIs refuse a schema with
 * a reference that leads nowhere. The schemas of arguments that are gone and referred to move to `$defs`.
 */
function withoutReferences(before: Buffer, after: Buffer, gone: ReadonlySet<string>): Buffer {
  if (!after.includes('#/properties/') && !after.includes('\\/properties')) return after;
  const { inputSchema: old } = JSON.parse(before.toString('utf8')) as { inputSchema: JsonObject };
  const at = membersOf(after).find(({ key }) => key === 'inputSchema') as Member;
  const schema = JSON.parse(after.toString('utf8', at.start, at.end)) as JsonObject;
  const properties = old['properties'] as JsonObject;
  const known = isObject(schema['$defs']) ? schema['$defs'] : {};
  const keys = new Map<string, string>();
  const moved: Record<string, unknown> = {};

  const followed = follow(schema) as JsonObject;
  if (keys.size === 0) return after;
  const $defs = { ...(isObject(followed['$defs']) ? followed['$defs'] : {}), ...moved };
  const json = JSON.stringify({ ...followed, $defs });
  return splice(after, [{ start: at.start, end: at.end, bytes: Buffer.from(json) }]);

  function follow(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(follow);
    if (!isObject(value)) return value;
    const members = Object.entries(value).map(([key, member]) => [
      key,
      key === '$ref' && typeof member === 'string' ? targetOf(member) : follow(member),
    ]);
    return Object.fromEntries(members);
  }

  function targetOf(reference: string): string {
    const [name = '', rest = ''] = argumentOf(reference) ?? [];
    if (!gone.has(name)) return reference;
    let key = keys.get(name);
    if (key === undefined) {
      for (key = `argument${keys.size + 1}`; Object.hasOwn(known, key);) key += '_';
      // Before its schema is read, which may refer to itself.
      keys.set(name, key);
      moved[key] = follow(properties[name]);
    }
    return `#/$defs/${key}${rest}`;
  }
}

/** The name of the argument that a reference leads to, and the rest of the reference. */
function argumentOf(reference: string): [string, string] | undefined {
  const [, token = '', rest = ''] = /^#\/properties\/([^/]*)(.*)$/s.exec(reference) ?? [];
  if (token === '') return undefined;
  try {
    return [decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~'), rest];
  } catch {
    return undefined;
  }
}

/** What is told of a tool that an override hides. */
export function missingArgument({ key }: Pick<Definition, 'key'>, server: string, name: string): string {
  return `the tool '${key}' of '${server}' is hidden: an override changes its argument '${name.slice(0, 128)}', which is not in the properties of its inputSchema`;
}
