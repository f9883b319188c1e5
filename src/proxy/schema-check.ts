/**
 * Checks the arguments of a call by the inputSchema of its tool, so that a wrong call need not be sent. Both come from peers: keywords whose
 * check can take more than linear time are left out, the rest has a limit of steps, and what is too large is not checked at all: the
 * server checks it in any case.
 */
import type {
  dereference as Dereference,
  OutputUnit,
  Schema,
  SchemaDraft,
  validate as Validate,
} from '@cfworker/json-schema';
import type { Definition } from '../protocol/lists.js';
import { find } from '../protocol/message.js';
import { SCHEMA_MAPS } from '../protocol/schema.js';
import { isObject, readJson, type JsonObject } from '../wire/json.js';
import { membersOf } from '../wire/walk.js';

/** Largest arguments, and largest schema, that are checked. */
const MAX_BYTES = 65_536;
/** What a check may cost, in visits of a small schema. */
const MAX_STEPS = 8000;
/** Parts of a schema that is checked, at the most. */
const MAX_PARTS = 1000;
/** So many members, elements or characters of a schema or a value cost as much as a visit. */
const PER_STEP = 16;
/** Characters of an error that are shown. */
const MAX_ERROR = 512;

/** Regular expressions of a server may take exponential time, and comparing all elements takes quadratic time. */
const LEFT_OUT: ReadonlySet<string> = new Set(['pattern', 'format', 'patternProperties', 'uniqueItems']);
/** Where a keyword is left out, these could refuse what the whole schema allows. */
const NEEDS_ALL: ReadonlySet<string> = new Set(['not', 'if', 'then', 'else', 'maxContains']);
/** The same where `patternProperties` is left out. */
const NEEDS_PATTERNS: ReadonlySet<string> = new Set(['additionalProperties', 'unevaluatedProperties']);
/** Values that are data; a reference leads to no schema in them. Everything else is taken for one. */
const DATA: ReadonlySet<string> = new Set([
  'enum',
  'const',
  'default',
  'required',
  'dependentRequired',
  'type',
]);
/** Keywords that look at each member or element of a value. */
const LOOPS: readonly string[] = [
  'additionalProperties',
  'unevaluatedProperties',
  'propertyNames',
  'minProperties',
  'maxProperties',
  'items',
  'additionalItems',
  'unevaluatedItems',
  'contains',
  'allOf',
  'anyOf',
  'oneOf',
];

/** What is wrong with arguments. */
export interface Misfit {
  /** A JSON Pointer into the arguments; empty: the arguments themselves. */
  readonly path: string;
  readonly error: string;
  /** JSON of the schema. */
  readonly schema: string;
}

/** What is wrong with `argumentBytes`, valid JSON; undefined: nothing, or they were not checked. Never throws. */
export type SchemaCheck = (definition: Definition, argumentBytes: Buffer) => Misfit | undefined;

/** A schema that is ready to be used. */
interface Compiled {
  readonly text: string;
  readonly schema: Schema;
  readonly draft: SchemaDraft;
  readonly lookup: ReturnType<typeof Dereference>;
  readonly meter: Meter;
}

/** Counts the steps of the check under way. */
interface Meter {
  /** Of the schema. */
  parts: number;
  left: number;
  /** The most members or elements of a part of the value. */
  width: number;
  /** The longest string of the value. */
  length: number;
}

class TooMuch extends Error {}

let check: SchemaCheck | undefined;
let loading: Promise<void> | undefined;

/** The check; undefined: `loadSchemaCheck` has not resolved yet. */
export function schemaCheck(): SchemaCheck | undefined {
  return check;
}

/** Loads the validator, which only searches need. */
export function loadSchemaCheck(): Promise<void> {
  return (loading ??= import('@cfworker/json-schema').then(({ validate, dereference }) => {
    check = createCheck(validate, dereference);
  }));
}

function createCheck(validate: typeof Validate, dereference: typeof Dereference): SchemaCheck {
  const compiled = new WeakMap<Definition, Compiled | 'none'>();

  function compile(definition: Definition): Compiled | 'none' {
    const { bytes } = definition;
    const at = find(membersOf(bytes), 'inputSchema');
    if (!at || at.end - at.start > MAX_BYTES) return 'none';
    const text = bytes.toString('utf8', at.start, at.end);
    if (definition.fixed && isAboutFixed(text, definition.fixed.names)) return 'none';
    const written = readJson(bytes.subarray(at.start, at.end));
    if (!isObject(written)) return 'none';
    const meter: Meter = { parts: 0, left: 0, width: 0, length: 0 };
    const cut: Cut = {
      some: contains(written, LEFT_OUT),
      patterns: contains(written, new Set(['patternProperties'])),
    };
    const schema = metered(written, meter, cut) as Schema;
    meter.left = Infinity;
    return { text, schema, draft: draftOf(written), lookup: dereference(schema), meter };
  }

  return (definition, argumentBytes) => {
    if (argumentBytes.length > MAX_BYTES) return undefined;
    try {
      let ready = compiled.get(definition);
      if (!ready) compiled.set(definition, (ready = compile(definition)));
      if (ready === 'none') return undefined;
      const value = readJson(argumentBytes);
      const { schema, draft, lookup, meter, text } = ready;
      Object.assign(meter, { left: MAX_STEPS, width: 0, length: 0 });
      measure(value, meter);
      const { valid, errors } = validate(value, schema, draft, lookup);
      return valid ? undefined : misfit(errors, text);
    } catch {
      // A schema that leads nowhere, in circles, or too far: the server decides.
      compiled.set(definition, compiled.get(definition) ?? 'none');
      return undefined;
    }
  };
}

/** Whether a schema may still be about arguments with fixed values, which are not among those that a client sends. */
function isAboutFixed(schema: string, names: ReadonlySet<string>): boolean {
  return (
    schema.includes('minProperties') ||
    schema.includes('\\u') ||
    [...names].some((name) => schema.includes(JSON.stringify(name).slice(1, -1)))
  );
}

/** Keywords whose errors only say that there is another one. */
const WRAPPERS: ReadonlySet<string> = new Set(['$ref', '$recursiveRef', 'allOf', 'if', 'dependentSchemas']);

/** The error at the deepest place says most. */
function misfit(errors: readonly OutputUnit[], schema: string): Misfit {
  const [first] = errors;
  let worst = first;
  for (const each of errors) if (rankOf(each) > rankOf(worst)) worst = each;
  const path = (worst?.instanceLocation ?? '#').slice(1, MAX_ERROR);
  const error = worst?.keyword === 'false' ? 'It is not allowed here.' : worst?.error;
  return { path, error: (error ?? 'It does not match the schema.').slice(0, MAX_ERROR), schema };
}

function rankOf(unit: OutputUnit | undefined): number {
  if (!unit) return 0;
  const depth = unit.instanceLocation.split('/').length;
  return 2 * depth + (WRAPPERS.has(unit.keyword) ? 0 : 1);
}

function draftOf({ $schema }: JsonObject): SchemaDraft {
  if (typeof $schema !== 'string') return '2020-12';
  if ($schema.includes('draft-04')) return '4';
  if ($schema.includes('draft-06') || $schema.includes('draft-07')) return '7';
  return $schema.includes('2019-09') ? '2019-09' : '2020-12';
}

/** What is left out of a schema. */
interface Cut {
  readonly some: boolean;
  readonly patterns: boolean;
}

/** Whether a schema has one of the keywords. Its nesting is bounded, as that of its definition. */
function contains(value: unknown, keywords: ReadonlySet<string>): boolean {
  if (Array.isArray(value)) return value.some((each) => contains(each, keywords));
  if (!isObject(value)) return false;
  return Object.entries(value).some(([key, inner]) => keywords.has(key) || contains(inner, keywords));
}

/** A copy of a schema without what is left out, which counts its visits: the validator reads `type` at each. */
function metered(schema: unknown, meter: Meter, cut: Cut): unknown {
  if (Array.isArray(schema)) return schema.map((each) => metered(each, meter, cut));
  if (!isObject(schema)) return schema;
  if (++meter.parts > MAX_PARTS) throw new TooMuch();
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(schema)) {
    if (LEFT_OUT.has(key) || key.startsWith('__')) continue;
    if ((cut.some && NEEDS_ALL.has(key)) || (cut.patterns && NEEDS_PATTERNS.has(key))) continue;
    // Of the members of a `oneOf`, more may match now.
    const shown = key === 'oneOf' && cut.some && schema['anyOf'] === undefined ? 'anyOf' : key;
    if (shown === 'oneOf' && cut.some) continue;
    copy[shown] = DATA.has(key)
      ? value
      : SCHEMA_MAPS.has(key) && isObject(value)
        ? meteredMap(value, meter, cut)
        : metered(value, meter, cut);
  }
  return counting(copy, meter);
}

function meteredMap(map: JsonObject, meter: Meter, cut: Cut): object {
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [name, schema] of Object.entries(map)) copy[name] = metered(schema, meter, cut);
  return copy;
}

function counting(schema: Record<string, unknown>, meter: Meter): object {
  const { type } = schema;
  const own = 1 + weightOf(schema) / PER_STEP;
  const loops = LOOPS.filter((key) => schema[key] !== undefined).length;
  const branches = ['allOf', 'anyOf', 'oneOf'].reduce((sum, key) => sum + sizeOf(schema[key]), loops);
  const measures = schema['minLength'] !== undefined || schema['maxLength'] !== undefined;
  return Object.defineProperty(schema, 'type', {
    enumerable: true,
    get() {
      meter.left -=
        own + (branches * meter.width) / PER_STEP + (measures ? meter.length / (PER_STEP * PER_STEP) : 0);
      if (meter.left < 0) throw new TooMuch();
      return type;
    },
  });
}

/** What a visit reads of the schema itself: names, and values that are compared. */
function weightOf(schema: Readonly<Record<string, unknown>>): number {
  let weight = 0;
  for (const key of ['enum', 'const'])
    if (schema[key] !== undefined) weight += JSON.stringify(schema[key]).length;
  for (const key of [
    'properties',
    'required',
    'dependentRequired',
    'dependentSchemas',
    'dependencies',
    'type',
  ])
    weight += sizeOf(schema[key]);
  return weight;
}

function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return isObject(value) ? Object.keys(value).length : 0;
}

function measure(value: unknown, meter: Meter): void {
  if (typeof value === 'string') meter.length = Math.max(meter.length, value.length);
  if (typeof value !== 'object' || value === null) return;
  const inner = Object.values(value) as unknown[];
  meter.width = Math.max(meter.width, inner.length);
  for (const each of inner) measure(each, meter);
}
