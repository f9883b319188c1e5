/** Edits the file that `mcp.auth.keys_file` names: entries are added and removed, all other bytes stay. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isSeq, parseDocument } from 'yaml';
import { isMapping } from './client-files.js';
import { FILE_BYTES, readBounded } from './read.js';
import { parseText } from './syntax.js';

/** An entry of the file, as it is written. */
export interface WrittenKey {
  readonly name: string;
  readonly sha256: readonly string[];
  readonly groups?: readonly string[];
  readonly scopes?: readonly string[];
  /** `2027-06-30` */
  readonly expires?: string;
  /** The person behind it; `none`: it is a machine. */
  readonly owner?: string;
  /** It is for votes alone. */
  readonly approver?: true;
}

/** The file that a config names; undefined: none. The rest of the config is not checked. Throws if it cannot be read. */
export function keysFileOf(config: string): string | undefined {
  const { value } = parseText(readBounded(config, FILE_BYTES), config);
  const mcp = isMapping(value) ? value['mcp'] : undefined;
  const auth = isMapping(mcp) ? mcp['auth'] : undefined;
  const path = isMapping(auth) ? auth['keys_file'] : undefined;
  return typeof path === 'string' && path !== '' ? resolve(dirname(resolve(config)), path) : undefined;
}

/** The names of keys that a file or a config has; of a file that is not there, none. Throws if it cannot be read. */
export function namesIn(path: string): string[] {
  return entriesOf(textOf(path), path).flatMap((entry) =>
    isMapping(entry) && typeof entry['name'] === 'string' ? [entry['name']] : [],
  );
}

/** Adds an entry. Throws if the file cannot be changed without touching anything else. */
export function addKey(path: string, key: WrittenKey): void {
  const before = textOf(path);
  const entries = entriesOf(before, path);
  const line = `- ${entryText(key)}\n`;
  const isEmpty =
    entries.length === 0 &&
    before
      .replace(/^\s*(#[^\n]*)?$/gm, '')
      .trim()
      .replace(/^\[\s*\]$/, '') === '';
  const text = isEmpty
    ? before.replace(/^\[\s*\]\s*$/m, '') + line
    : before + (before.endsWith('\n') ? '' : '\n') + line;
  replace(path, text, [...entries, plain(key)], `add ${line.trim()} to it by hand`);
}

/** Removes an entry. Returns whether there was one. Throws as `addKey` does. */
export function removeKey(path: string, name: string): boolean {
  const before = textOf(path);
  const entries = entriesOf(before, path);
  const index = entries.findIndex((entry) => isMapping(entry) && entry['name'] === name);
  if (index === -1) return false;
  const rest = entries.filter((_, i) => i !== index);
  const { contents } = parseDocument(before, { keepSourceTokens: true });
  const item = isSeq(contents) ? (contents.items[index] as { range?: readonly number[] | null }) : undefined;
  const next = isSeq(contents)
    ? (contents.items[index + 1] as { range?: readonly number[] | null })
    : undefined;
  const start = before.lastIndexOf('\n', (item?.range?.[0] ?? 0) - 1) + 1;
  const end = next?.range
    ? before.lastIndexOf('\n', (next.range[0] ?? 0) - 1) + 1
    : (item?.range?.[2] ?? before.length);
  const text = before.slice(0, start) + before.slice(end);
  replace(
    path,
    rest.length === 0 && text.trim() === '' ? '[]\n' : text,
    rest,
    `remove the entry '${name}' by hand`,
  );
  return true;
}

const PLAIN = /^[A-Za-z_][A-Za-z0-9_.-]*$|^\d{4}-\d\d-\d\d$/;
/** Words that YAML, 1.1 or 1.2, reads as something other than text. */
const RESERVED = /^(true|false|null|yes|no|on|off|y|n)$/i;

/** An entry in YAML, on one line. */
export function entryText(key: WrittenKey): string {
  const members = Object.entries(plain(key)).map(([member, value]) => {
    if (value === true) return `${member}: true`;
    const list = (Array.isArray(value) ? value : [value]) as readonly string[];
    const texts = list.map((text) =>
      PLAIN.test(text) && !RESERVED.test(text) ? text : JSON.stringify(text),
    );
    return `${member}: ${Array.isArray(value) ? `[${texts.join(', ')}]` : texts.join('')}`;
  });
  return `{ ${members.join(', ')} }`;
}

function plain({
  name,
  sha256,
  groups = [],
  scopes = [],
  expires,
  owner,
  approver,
}: WrittenKey): Record<string, unknown> {
  return {
    name,
    sha256: [...sha256],
    ...(groups.length > 0 && { groups: [...groups] }),
    ...(scopes.length > 0 && { scopes: [...scopes] }),
    ...(expires !== undefined && { expires }),
    ...(owner !== undefined && { owner }),
    ...(approver && { approver }),
  };
}

function textOf(path: string): string {
  return existsSync(path) ? readBounded(path, FILE_BYTES) : '';
}

function entriesOf(text: string, path: string): readonly unknown[] {
  if (text.trim() === '') return [];
  const { value } = parseText(text, path);
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value as readonly unknown[];
  throw new Error(`${path} is not a list of keys`);
}

/** Writes the file anew, for its owner alone, if it then reads as intended. */
function replace(path: string, text: string, intended: readonly unknown[], byHand: string): void {
  let read: readonly unknown[] | undefined;
  try {
    read = entriesOf(text, path);
  } catch {
    read = undefined;
  }
  if (!isDeepStrictEqual(read, intended)) throw new Error(`${path} cannot be edited: ${byHand}`);
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  const mode = existsSync(path) ? statSync(path).mode & 0o777 : 0o600;
  const file = openSync(temporary, 'wx', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
