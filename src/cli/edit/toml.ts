/** Splices into TOML: tables are appended and removed, all other bytes stay. The caller checks the result. */
import { parse, stringify } from 'smol-toml';
import type { Path } from '../../config/problems.js';
import { Uneditable } from '../../config/yaml-edit.js';

/** A text that is not TOML. */
export interface TomlFlaw {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Throws an Error; `flawOf` says where. */
export function parseToml(text: string): Record<string, unknown> {
  return parse(text, { integersAsBigInt: 'asNeeded' });
}

export function tomlFlaw(error: unknown): TomlFlaw {
  const { line = 1, column = 1, message } = error as Error & { line?: number; column?: number };
  const [first = ''] = message.split('\n');
  return { line, column, message: first.replace(/^Invalid TOML document: /, '') };
}

/** Adds the table at the path, or replaces it. */
export function tomlSet(text: string, path: Path, value: unknown): string {
  const table = tablesOf(text).some(({ name }) => startsWith(name, path)) ? tomlRemove(text, path) : text;
  const eol = table.includes('\r\n') ? '\r\n' : '\n';
  const lines = tomlText(path, value).split('\n').join(eol);
  const gap = table === '' ? '' : table.endsWith('\n') ? eol : eol + eol;
  return table + gap + (table === '' || table.endsWith('\n') ? lines + eol : lines);
}

/** Removes the table at the path, with those inside of it. Comments and blank lines behind it stay. */
export function tomlRemove(text: string, path: Path): string {
  const tables = tablesOf(text);
  const isOwn = tables.map(({ name }) => startsWith(name, path));
  let result = text;
  for (let last = tables.length - 1; last >= 0; last--) {
    if (isOwn[last] !== true) continue;
    const limit = tables[last + 1]?.start ?? text.length;
    while (last > 0 && isOwn[last - 1] === true) last--;
    const start = tables[last]?.start ?? 0;
    const end = start + withoutTail(text.slice(start, limit)).length;
    // The blank line in front of it came with it.
    let from = start - (/\n(\r?\n)$/.exec(text.slice(0, start))?.[1]?.length ?? 0);
    if (end === text.length && !text.endsWith('\n'))
      from -= /\r?\n$/.exec(text.slice(0, from))?.[0].length ?? 0;
    result = result.slice(0, from) + result.slice(end);
  }
  if (result === text) throw new Uneditable('it is not a table of its own');
  return result;
}

/** Without the blank lines and comments at the end. */
function withoutTail(text: string): string {
  let kept = text;
  for (;;) {
    const end = kept.endsWith('\n') ? kept.length - 1 : kept.length;
    const start = kept.lastIndexOf('\n', end - 1) + 1;
    if (start === 0 || !/^[ \t]*(?:#|\r?$)/.test(kept.slice(start, end))) return kept;
    kept = kept.slice(0, start);
  }
}

/** The value as a table with its path as name, and the tables inside of it. */
export function tomlText(path: Path, value: unknown): string {
  const whole = path.reduceRight<unknown>((inner, part) => ({ [part]: inner }), value);
  return stringify(whole).trim();
}

interface Table {
  readonly name: readonly string[];
  readonly start: number;
}

const HEADER = /^[ \t]*\[(\[?)([^\r\n]*?)\]\1?[ \t]*(?:#[^\r\n]*)?$/;

/** The tables of a text, with where their header lines begin. */
function tablesOf(text: string): readonly Table[] {
  const tables: Table[] = [];
  let at = 0;
  let multi: string | undefined;
  for (const line of text.split('\n')) {
    const isInside = multi !== undefined;
    multi = stringOpenAfter(line, multi);
    const header = isInside ? null : HEADER.exec(line.replace(/\r$/, ''));
    if (header && multi === undefined) {
      const name = nameOf(header[2] ?? '');
      if (name) tables.push({ name, start: at });
    }
    at += line.length + 1;
  }
  return tables;
}

/** The quotes of the string over several lines that is open at the end of a line. */
function stringOpenAfter(line: string, open: string | undefined): string | undefined {
  let quotes = open;
  const token = /\\.|"""|'''|"(?:[^"\\]|\\.)*"|'[^']*'|#/g;
  for (let found = token.exec(line); found; found = token.exec(line)) {
    const [text] = found;
    if (quotes === undefined) {
      if (text === '#') return undefined;
      if (text === '"""' || text === "'''") quotes = text;
    } else {
      const close = line.indexOf(quotes, found.index);
      if (close === -1) return quotes;
      token.lastIndex = close + quotes.length;
      quotes = undefined;
    }
  }
  return quotes;
}

/** The parts of a dotted key; undefined: it is not one. */
function nameOf(written: string): readonly string[] | undefined {
  try {
    const parts: string[] = [];
    let inner: unknown = parse(`${written} = 0`);
    while (typeof inner === 'object' && inner !== null) {
      const [entry] = Object.entries(inner);
      if (!entry) return undefined;
      parts.push(entry[0]);
      inner = entry[1];
    }
    return parts;
  } catch {
    return undefined;
  }
}

function startsWith(name: readonly string[], path: Path): boolean {
  return path.every((part, index) => name[index] === String(part));
}
