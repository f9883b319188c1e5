/** Which fields a form has for a JSON schema. What it cannot draw is a field for JSON. */
import { objectOf, type JsonObject } from '../../../src/client/types.js';

export interface Option {
  /** JSON of the value. */
  readonly json: string;
  readonly label: string;
}

export type Shape =
  | { readonly kind: 'text'; readonly long: boolean; readonly format: string | undefined }
  | { readonly kind: 'number'; readonly integer: boolean }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'choice' | 'choices'; readonly options: readonly Option[] }
  | { readonly kind: 'list'; readonly item: Shape; readonly schema: JsonObject }
  | { readonly kind: 'object'; readonly fields: readonly Field[]; readonly rest: boolean }
  | { readonly kind: 'json' };

export interface Field {
  readonly name: string;
  readonly title: string | null;
  readonly description: string | null;
  readonly required: boolean;
  readonly shape: Shape;
  readonly schema: JsonObject;
}

/** Levels of objects and lists that are drawn. */
const DEPTH = 5;
const REFS = 16;
const MAX_FIELDS = 500;
const MAX_OPTIONS = 500;
/** Keywords that choose between schemas: a form would have to guess. */
const CHOOSING = ['anyOf', 'oneOf', 'allOf', 'not', 'if', 'dependentSchemas', 'patternProperties'];

const JSON_FIELD: Shape = { kind: 'json' };

export const textAt = (schema: JsonObject, member: string): string | null =>
  typeof schema[member] === 'string' ? schema[member] : null;

/** The schema that `$ref` means, within the same document; undefined: none that can be drawn. */
function resolved(schema: unknown, root: unknown): JsonObject | undefined {
  let now = objectOf(schema);
  for (let steps = 0; now && now['$ref'] !== undefined; steps++) {
    const ref = now['$ref'];
    if (steps > REFS || typeof ref !== 'string' || !/^#(\/|$)/.test(ref)) return undefined;
    let target: unknown = root;
    for (const step of ref.split('/').slice(1)) {
      const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
      target =
        objectOf(target)?.[key] ?? (Array.isArray(target) ? (target as unknown[])[Number(key)] : undefined);
    }
    const found = objectOf(target);
    if (!found) return undefined;
    const { $ref: _ref, ...own } = now;
    now = { ...found, ...own };
  }
  return now;
}

/** Without the alternative `null`: an optional field is left out instead. */
function notNull(schema: JsonObject, root: unknown): JsonObject | undefined {
  for (const keyword of ['anyOf', 'oneOf']) {
    const choices = schema[keyword];
    if (!Array.isArray(choices)) continue;
    const others = choices.filter((choice) => objectOf(choice)?.['type'] !== 'null');
    if (others.length !== 1 || choices.length !== 2) continue;
    const { [keyword]: _choices, ...own } = schema;
    const only = resolved(others[0], root);
    return only && { ...only, ...own };
  }
  return schema;
}

function optionsOf(schema: JsonObject): Option[] | undefined {
  const { enum: values, const: only } = schema;
  const list: unknown[] | undefined = Array.isArray(values)
    ? values
    : only === undefined
      ? undefined
      : [only];
  if (list) {
    const names = Array.isArray(schema['enumNames']) ? (schema['enumNames'] as unknown[]) : [];
    return list.map((value, n) => ({
      json: JSON.stringify(value),
      label:
        typeof names[n] === 'string' ? names[n] : typeof value === 'string' ? value : JSON.stringify(value),
    }));
  }
  const titled = schema['oneOf'] ?? schema['anyOf'];
  if (!Array.isArray(titled) || titled.length === 0) return undefined;
  const options: Option[] = [];
  for (const each of titled) {
    const choice = objectOf(each);
    if (choice?.['const'] === undefined) return undefined;
    const json = JSON.stringify(choice['const']);
    options.push({ json, label: textAt(choice, 'title') ?? textAt(choice, 'const') ?? json });
  }
  return options;
}

/** Members that need a shape of their own are left to a field for JSON. */
export function shapeOf(schema: unknown, root: unknown = schema, depth = 0): Shape {
  try {
    return drawn(schema, root, depth) ?? JSON_FIELD;
  } catch {
    // A reference that cannot be decoded.
    return JSON_FIELD;
  }
}

function drawn(schema: unknown, root: unknown, depth: number): Shape | undefined {
  const plain = resolved(schema, root);
  const own = plain && notNull(plain, root);
  if (!own || depth > DEPTH) return undefined;
  const options = optionsOf(own);
  if (options) return options.length <= MAX_OPTIONS ? { kind: 'choice', options } : undefined;
  if (CHOOSING.some((keyword) => own[keyword] !== undefined)) return undefined;
  const types = Array.isArray(own['type'])
    ? (own['type'] as unknown[]).filter((type) => type !== 'null')
    : [own['type'] ?? (own['properties'] ? 'object' : undefined)];
  if (types.length !== 1) return undefined;
  switch (types[0]) {
    case 'string': {
      const longest = own['maxLength'];
      return {
        kind: 'text',
        long: textAt(own, 'format') === null && !(typeof longest === 'number' && longest <= 100),
        format: textAt(own, 'format') ?? undefined,
      };
    }
    case 'number':
    case 'integer':
      return { kind: 'number', integer: types[0] === 'integer' };
    case 'boolean':
      return { kind: 'boolean' };
    case 'array':
      return listOf(own, root, depth);
    case 'object':
      return objectShape(own, root, depth);
    default:
      return undefined;
  }
}

function listOf(schema: JsonObject, root: unknown, depth: number): Shape | undefined {
  if (schema['prefixItems'] !== undefined || !objectOf(schema['items'])) return undefined;
  const item = drawn(schema['items'], root, depth + 1);
  if (!item) return undefined;
  if (item.kind === 'choice') return { kind: 'choices', options: item.options };
  return { kind: 'list', item, schema: resolved(schema['items'], root) ?? {} };
}

function objectShape(schema: JsonObject, root: unknown, depth: number): Shape | undefined {
  const properties = Object.entries(objectOf(schema['properties']) ?? {});
  const more = schema['additionalProperties'];
  if (properties.length === 0 && depth > 0) return undefined;
  if (properties.length > MAX_FIELDS) return undefined;
  const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : []);
  const fields = properties.map(([name, property]): Field => {
    const own = resolved(property, root) ?? objectOf(property) ?? {};
    return {
      name,
      title: textAt(own, 'title'),
      description: textAt(own, 'description'),
      required: required.has(name),
      shape: shapeOf(property, root, depth + 1),
      schema: own,
    };
  });
  const unnamed = [...required].some((name) => !properties.some(([known]) => known === name));
  return {
    kind: 'object',
    fields,
    rest: more === true || objectOf(more) !== undefined || unnamed || properties.length === 0,
  };
}
