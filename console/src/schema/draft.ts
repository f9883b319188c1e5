/** What stands in the fields of a form, and the JSON that it makes. Numbers stay the text that was typed. */
import { objectOf } from '../../../src/client/types.js';
import { mistakeOf } from '../json.js';
import type { Shape } from './shape.js';

/** The text of each field by its JSON pointer; the number of items of a list at `pointer#`, further members at the end `/*`. */
export type Drafts = ReadonlyMap<string, string>;

export interface Collected {
  /** JSON of the value; undefined: it is left out. */
  readonly json: string | undefined;
  /** By JSON pointer. */
  readonly problems: ReadonlyMap<string, string>;
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const REST = '/*';

export const below = (path: string, name: string | number): string =>
  `${path}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`;
export const restOf = (path: string): string => path + REST;
export const countOf = (drafts: Drafts, path: string): number => Number(drafts.get(`${path}#`) ?? 0);

export function collect(shape: Shape, drafts: Drafts, required = true): Collected {
  const problems = new Map<string, string>();
  const json = take(shape, '', required, drafts, problems);
  return { json, problems };
}

function take(
  shape: Shape,
  path: string,
  required: boolean,
  drafts: Drafts,
  problems: Map<string, string>,
): string | undefined {
  const text = drafts.get(path) ?? '';
  const missing = (): undefined => {
    if (required) problems.set(path, 'is required');
    return undefined;
  };
  switch (shape.kind) {
    case 'text':
      return text === '' ? missing() : JSON.stringify(text);
    case 'number': {
      const typed = text.trim();
      if (typed === '') return missing();
      if (!NUMBER.test(typed)) problems.set(path, 'is not a number');
      else if (shape.integer && !Number.isInteger(Number(typed))) problems.set(path, 'is not a whole number');
      return typed;
    }
    case 'boolean':
    case 'choice':
      return text === '' ? missing() : text;
    case 'choices':
      return drafts.has(path) || required ? `[${text.split('\n').filter(Boolean).join(',')}]` : undefined;
    case 'json': {
      if (text.trim() === '') return missing();
      const mistake = mistakeOf(text);
      if (mistake) problems.set(path, `line ${mistake.line}, column ${mistake.column}: ${mistake.message}`);
      return text;
    }
    case 'list': {
      const count = countOf(drafts, path);
      if (count === 0 && !required) return undefined;
      const items = Array.from({ length: count }, (_, n) =>
        take(shape.item, below(path, n), true, drafts, problems),
      );
      return `[${items.map((item) => item ?? 'null').join(',')}]`;
    }
    case 'object':
      return members(shape, path, required, drafts, problems);
  }
}

function members(
  shape: Extract<Shape, { kind: 'object' }>,
  path: string,
  required: boolean,
  drafts: Drafts,
  problems: Map<string, string>,
): string | undefined {
  const found = new Map<string, string>();
  const parts: string[] = [];
  for (const field of shape.fields) {
    const json = take(field.shape, below(path, field.name), field.required, drafts, found);
    if (json !== undefined) parts.push(`${JSON.stringify(field.name)}:${json}`);
  }
  const rest = (drafts.get(restOf(path)) ?? '').trim();
  if (rest !== '') {
    const mistake = mistakeOf(rest);
    if (mistake)
      found.set(restOf(path), `line ${mistake.line}, column ${mistake.column}: ${mistake.message}`);
    else if (!rest.startsWith('{')) found.set(restOf(path), 'is not an object');
    else if (rest.slice(1, -1).trim() !== '') parts.push(rest.slice(1, -1).trim());
  }
  // An optional object in which nothing stands is left out, with what it would require.
  if (parts.length === 0 && !required) return undefined;
  for (const [at, problem] of found) problems.set(at, problem);
  return `{${parts.join(',')}}`;
}

/** The fields that show a value; undefined: the form cannot show it. */
export function spread(shape: Shape, value: unknown): Drafts | undefined {
  const drafts = new Map<string, string>();
  return put(shape, '', value, drafts) ? drafts : undefined;
}

function put(shape: Shape, path: string, value: unknown, drafts: Map<string, string>): boolean {
  switch (shape.kind) {
    case 'text':
      if (typeof value !== 'string' || value === '') return false;
      drafts.set(path, value);
      return true;
    case 'number':
      if (typeof value !== 'number') return false;
      drafts.set(path, JSON.stringify(value));
      return true;
    case 'boolean':
      if (typeof value !== 'boolean') return false;
      drafts.set(path, String(value));
      return true;
    case 'choice': {
      const json = JSON.stringify(value);
      drafts.set(path, json);
      return shape.options.some((option) => option.json === json);
    }
    case 'choices': {
      if (!Array.isArray(value)) return false;
      const chosen = value.map((each) => JSON.stringify(each));
      drafts.set(path, chosen.join('\n'));
      return chosen.every((json) => shape.options.some((option) => option.json === json));
    }
    case 'json':
      drafts.set(path, JSON.stringify(value, null, 2));
      return true;
    case 'list':
      if (!Array.isArray(value)) return false;
      drafts.set(`${path}#`, String(value.length));
      return value.every((item, n) => put(shape.item, below(path, n), item, drafts));
    case 'object': {
      const object = objectOf(value);
      if (!object) return false;
      const more: Record<string, unknown> = {};
      for (const [name, member] of Object.entries(object)) {
        const field = shape.fields.find((each) => each.name === name);
        if (!field) more[name] = member;
        else if (!put(field.shape, below(path, name), member, drafts)) return false;
      }
      if (Object.keys(more).length > 0) drafts.set(restOf(path), JSON.stringify(more, null, 2));
      return true;
    }
  }
}

/** The defaults of the schema, for a form that starts with them. */
export function defaultsOf(shape: Shape): Drafts {
  const drafts = new Map<string, string>();
  if (shape.kind === 'object')
    for (const { name, shape: inner, schema } of shape.fields)
      if (schema['default'] !== undefined) put(inner, below('', name), schema['default'], drafts);
  return drafts;
}
