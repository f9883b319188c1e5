/**
 * The shapes that the specification requires of lists and capabilities. Clients validate a list, or an answer to `initialize`, as a whole:
 * one invalid member from one server would make them reject the data of all servers.
 */
import { isObject, objectOf, type JsonObject } from '../wire/json.js';
import type { ExtensionKind } from './extensions/extension.js';

export type ListKind = 'tools' | 'prompts' | 'resources' | 'templates' | ExtensionKind;

type Shape = (value: unknown) => boolean;

const isText: Shape = (value) => typeof value === 'string';
const isNumber: Shape = (value) => typeof value === 'number';
const isFlag: Shape = (value) => typeof value === 'boolean';
const isShare: Shape = (value) => typeof value === 'number' && value >= 0 && value <= 1;
const isTime: Shape = (value) =>
  typeof value === 'string' && TIME.test(value) && !Number.isNaN(Date.parse(value));
const oneOf =
  (...values: string[]): Shape =>
  (value) =>
    values.includes(value as string);
const listOf =
  (each: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(each);
const mapOf =
  (each: Shape): Shape =>
  (value) =>
    isObject(value) && Object.values(value).every(each);
/** An object; members that are not named here are free. */
const having =
  (optional: Readonly<Record<string, Shape>>, required: Readonly<Record<string, Shape>> = {}): Shape =>
  (value) => {
    const object = objectOf(value);
    return (
      object !== undefined &&
      Object.entries(required).every(([key, shape]) => shape(object[key])) &&
      Object.entries(optional).every(([key, shape]) => object[key] === undefined || shape(object[key]))
    );
  };

/** RFC 3339, as clients validate it. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/;

const ICON = having(
  { mimeType: isText, sizes: listOf(isText), theme: oneOf('light', 'dark') },
  { src: isText },
);
const SHOWN = { title: isText, description: isText, icons: listOf(ICON), _meta: isObject };
const ANNOTATIONS = having({
  audience: listOf(oneOf('user', 'assistant')),
  priority: isShare,
  lastModified: isTime,
});
const ARGUMENT = having({ title: isText, description: isText, required: isFlag }, { name: isText });
const HINTS = having({
  title: isText,
  readOnlyHint: isFlag,
  destructiveHint: isFlag,
  idempotentHint: isFlag,
  openWorldHint: isFlag,
});

/** Optional members of definitions. */
const OPTIONAL: Readonly<Record<ListKind, Readonly<Record<string, Shape>>>> = {
  tools: {
    ...SHOWN,
    annotations: HINTS,
    execution: having({ taskSupport: oneOf('required', 'optional', 'forbidden') }),
    outputSchema: (value) => isFlag(value) || isObject(value),
  },
  prompts: { ...SHOWN, arguments: listOf(ARGUMENT) },
  resources: { ...SHOWN, annotations: ANNOTATIONS, mimeType: isText, size: isNumber },
  templates: { ...SHOWN, annotations: ANNOTATIONS, mimeType: isText },
  skills: {},
};

/** The optional members of a definition that are invalid, and are removed. */
export function misshapen(kind: ListKind, definition: JsonObject): Set<string> {
  const bad = new Set<string>();
  for (const [key, shape] of Object.entries(OPTIONAL[kind]))
    if (definition[key] !== undefined && !shape(definition[key])) bad.add(key);
  return bad;
}

const isSubschema: Shape = (value) => isFlag(value) || isObject(value);
/** The parts of an object schema that clients validate. */
export const isObjectSchema = having({ properties: mapOf(isSubschema), required: listOf(isText) });

/** The valid part of a server's capabilities: an invalid object counts as empty, an invalid flag as absent. */
export function capabilitiesOf(said: JsonObject): JsonObject {
  const capabilities: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(said)) {
    if (value === null) continue;
    if (FLAGGED.has(key)) capabilities[key] = flags(objectOf(value) ?? {});
    else if (MAPS.has(key)) capabilities[key] = objects(value);
    else if (key === 'tasks') capabilities[key] = tasks(value);
    else capabilities[key] = BARE.has(key) ? (objectOf(value) ?? {}) : value;
  }
  return capabilities;
}

const FLAGGED = new Set(['tools', 'prompts', 'resources']);
const BARE = new Set(['logging', 'completions']);
const MAPS = new Set(['experimental', 'extensions']);

function flags(object: JsonObject): JsonObject {
  const entries = Object.entries(object);
  return Object.fromEntries(
    entries.filter(([key, value]) => (key !== 'listChanged' && key !== 'subscribe') || isFlag(value)),
  );
}

/** The members of `value` that are objects. */
export function objects(value: unknown): Record<string, object> {
  return Object.fromEntries(
    Object.entries(objectOf(value) ?? {}).filter((entry): entry is [string, object] => isObject(entry[1])),
  );
}

/** Every member is an object, and so is every member of `requests`. */
function tasks(value: unknown): JsonObject {
  const parts = objects(value);
  const requests = parts['requests'];
  if (!requests) return parts;
  const kinds = Object.entries(objects(requests)).map(([kind, methods]) => [kind, objects(methods)] as const);
  return { ...parts, requests: Object.fromEntries(kinds) };
}

/** Replaces lone surrogates in JSON: some readers reject a whole document for one. */
export function wellFormed(json: string): string {
  return json.replace(/\\(?:u(d[89ab-f][0-9a-f]{2})|.)/g, (whole, half: string | undefined) =>
    half === undefined ? whole : '\\ufffd',
  );
}

/** What some readers reject in valid JSON: lone surrogates, and numbers beyond a double. `parsed`: its value. */
export function unreadableIn(bytes: Buffer): string | undefined {
  const escapes = bytes.includes('\\ud') || bytes.includes('\\uD');
  const text = bytes.toString('latin1');
  if (escapes && hasHalf(text)) return 'has half a character in it';
  if (LARGE_NUMBER.test(text) && hasEndless(bytes)) return 'has a number in it that is too large';
  return undefined;
}

const LARGE_NUMBER = /\d{300}|\d[eE]\+?\d{3}/;

function hasEndless(bytes: Buffer): boolean {
  let found = false;
  JSON.parse(bytes.toString('utf8'), (_key, value: unknown) => {
    if (value === Infinity || value === -Infinity) found = true;
    return undefined;
  });
  return found;
}

function hasHalf(text: string): boolean {
  let highEnd = -1;
  for (const { 1: hex, index } of text.matchAll(/\\(?:u([0-9a-fA-F]{4})|.)/g)) {
    const code = hex === undefined ? 0 : parseInt(hex, 16);
    const isLow = code >= 0xdc00 && code <= 0xdfff;
    if (highEnd !== -1 ? !(isLow && index === highEnd) : isLow) return true;
    highEnd = code >= 0xd800 && code <= 0xdbff ? index + 6 : -1;
  }
  return highEnd !== -1;
}
