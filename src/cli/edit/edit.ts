/** Changes of files that people write: the result is parsed again and compared with what was meant before anything is written. */
import { isDeepStrictEqual } from 'node:util';
import { isMapping } from '../../config/client-files.js';
import type { Path } from '../../config/problems.js';
import { parseText } from '../../config/syntax.js';
import { Uneditable, yamlAppend, yamlLines, yamlRemove, yamlSet } from '../../config/yaml-edit.js';
import { Refusal } from '../../terminal/explain.js';
import { jsonAppend, jsonRemove, jsonSet } from './json.js';
import { JsonFlaw, jsonTree, valueOf } from './json-tree.js';
import { parseToml, tomlFlaw, tomlRemove, tomlSet, tomlText } from './toml.js';

export type Format = 'json' | 'yaml' | 'toml';

export type Change =
  /** Adds a member with its last part as key, or replaces its value. */
  | { readonly op: 'set'; readonly path: Path; readonly value: unknown }
  /** Adds an item to a list. */
  | { readonly op: 'append'; readonly path: Path; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: Path };

/** A file that cannot be read as what it is. The message names the place: `FILE:LINE:COLUMN: why`. */
export class BrokenFile extends Error {}

const BOM = '\ufeff';

/** The value of a text. Throws BrokenFile. */
export function parsed(text: string, format: Format, file: string): unknown {
  const own = withoutBom(text);
  if (own.trim() === '') return format === 'yaml' ? null : {};
  try {
    if (format === 'json') return valueOf(jsonTree(own).root);
    if (format === 'toml') return parseToml(own);
    return parseText(own, file).value;
  } catch (error) {
    throw broken(error, own, format, file);
  }
}

function broken(error: unknown, text: string, format: Format, file: string): BrokenFile {
  if (format === 'toml') {
    const { line, column, message } = tomlFlaw(error);
    return new BrokenFile(`${file}:${line}:${column}: not valid TOML: ${message}`);
  }
  if (error instanceof JsonFlaw) {
    const lines = text.slice(0, error.offset).split('\n');
    return new BrokenFile(
      `${file}:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}: not valid JSON: ${error.message}`,
    );
  }
  const [first = ''] = (error as Error).message.split('\n');
  return new BrokenFile(first.startsWith(file) ? first : `${file}: ${first}`);
}

/** The format of a config: JSON by its name, or by its first character. */
export function formatOf(text: string, file: string): Format {
  return /\.jsonc?$/i.test(file) || /^\s*\{/.test(withoutBom(text)) ? 'json' : 'yaml';
}

/**
 * The text after the changes, one after the other. Throws BrokenFile, and a Refusal with a snippet if the text cannot be changed without
 * touching anything else.
 */
export function edited(text: string, format: Format, file: string, changes: readonly Change[]): string {
  let meant = parsed(text, format, file);
  const bom = text.startsWith(BOM) ? BOM : '';
  let result = withoutBom(text);
  if (format === 'json' && result.trim() === '') result = '{}\n';
  for (const change of changes) {
    let why = 'its other parts would change';
    meant = applied(meant, change);
    try {
      result = spliced(result, format, change);
      if (isSame(parsed(result, format, file), meant, format)) continue;
    } catch (error) {
      if (error instanceof Uneditable) why = error.message;
      else if (!(error instanceof BrokenFile)) throw error;
    }
    throw new Refusal(`${file} is left as it is: ${why}. ${byHand(change, format)}`);
  }
  return bom + result;
}

/** What to do instead of a change. */
function byHand(change: Change, format: Format): string {
  const { op, path } = change;
  if (op === 'remove') return `Remove ${path.join('.')} by hand`;
  const place = op === 'set' ? path.slice(0, -1) : path;
  return `Add this by hand${place.length === 0 ? '' : `, under ${place.join('.')}`}:\n${snippet(change, format)}`;
}

/** An entry as it is written into a file. */
function snippet(change: Exclude<Change, { op: 'remove' }>, format: Format): string {
  const { op, path, value } = change;
  const key = String(path.at(-1));
  if (format === 'toml') return tomlText(path, value);
  if (format === 'yaml') return yamlLines(op === 'set' ? { [key]: value } : [value]).join('\n');
  return `${op === 'set' ? `${JSON.stringify(key)}: ` : ''}${JSON.stringify(value, null, 2)}`;
}

function spliced(text: string, format: Format, change: Change): string {
  const { op, path } = change;
  if (format === 'json')
    return op === 'set'
      ? jsonSet(text, path, change.value)
      : op === 'append'
        ? jsonAppend(text, path, change.value)
        : jsonRemove(text, path);
  if (format === 'yaml')
    return op === 'set'
      ? yamlSet(text, path, change.value)
      : op === 'append'
        ? yamlAppend(text, path, change.value)
        : yamlRemove(text, path);
  if (op === 'append') throw new Uneditable('a list in TOML is written in one line');
  return op === 'set' ? tomlSet(text, path, change.value) : tomlRemove(text, path);
}

/** A value after a change. Never shares what it changes with `value`. */
function applied(value: unknown, change: Change, depth = 0): unknown {
  const { op, path } = change;
  const part = path[depth];
  if (part === undefined) {
    if (op === 'append') return [...(Array.isArray(value) ? (value as unknown[]) : []), change.value];
    return op === 'set' ? change.value : undefined;
  }
  const isRemoved = op === 'remove' && depth === path.length - 1;
  if (Array.isArray(value)) {
    const items = value as readonly unknown[];
    return isRemoved
      ? items.filter((_, index) => index !== Number(part))
      : items.map((item, index) => (index === Number(part) ? applied(item, change, depth + 1) : item));
  }
  const members = isMapping(value) ? { ...value } : {};
  if (isRemoved) return without(members, String(part));
  const old = Object.hasOwn(members, part) ? members[part] : undefined;
  return { ...members, [part]: applied(old, change, depth + 1) };
}

/** Compares values without their prototypes, in which parsers differ. In TOML, a table without entries need not be written. */
function isSame(a: unknown, b: unknown, format: Format): boolean {
  const plain = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plain);
    if (!isMapping(value) || value instanceof Date) return value;
    const entries = Object.entries(value).map(([key, each]) => [key, plain(each)] as const);
    return new Map(format === 'toml' ? entries.filter(([, each]) => !isEmpty(each)) : entries);
  };
  return isDeepStrictEqual(plain(a), plain(b));
}

function isEmpty(value: unknown): boolean {
  return value instanceof Map && value.size === 0;
}

function without(members: Record<string, unknown>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([key]) => key !== name));
}

function withoutBom(text: string): string {
  return text.startsWith(BOM) ? text.slice(1) : text;
}
