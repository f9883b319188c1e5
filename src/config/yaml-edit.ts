/** Splices into YAML at the positions of the parser: lines are inserted and removed, all other bytes stay. The caller checks the result. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  stringify,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import type { Path } from './problems.js';

/** The text cannot be changed without touching other parts of it. */
export class Uneditable extends Error {}

type Block = YAMLMap<Node, Node | null> | YAMLSeq<Node>;

/** Adds a member to the mapping at the path, whose last part is its key, or replaces its value. Mappings that are missing are added. */
export function yamlSet(text: string, path: Path, value: unknown): string {
  const root = rootOf(text);
  const found = walk(root, path);
  if (found.rest.length === 0) {
    const { pair } = found;
    const { value: old } = pair ?? {};
    if (isScalar(old) && old.range && old.source !== '' && isInline(value))
      return splice(text, old.range[0], old.range[1], scalarText(value));
    return yamlSet(yamlRemove(text, path), path, value);
  }
  const [key, ...deeper] = found.rest;
  const wrapped = deeper.reduceRight<unknown>((inner, part) => ({ [part]: inner }), value);
  return insert(text, found, { [String(key)]: wrapped });
}

/** Adds an item to the list at the path. A list that is missing is added. */
export function yamlAppend(text: string, path: Path, value: unknown): string {
  const found = walk(rootOf(text), path);
  return found.rest.length > 0 ? yamlSet(text, path, [value]) : insert(text, found, [value]);
}

/** Removes a member of a mapping, or an item of a list. What becomes empty is written as `{}` or `[]`. */
export function yamlRemove(text: string, path: Path): string {
  const { holder, index, rest, above } = walk(rootOf(text), path);
  if (!holder || index === undefined || rest.length > 0) throw new Uneditable('it has no such entry');
  if (holder.flow) throw new Uneditable('it is written in one line, in brackets');
  const from = startOf(holder, index);
  const line = lineStart(text, from);
  const next = index + 1 < holder.items.length ? startOf(holder, index + 1) : undefined;
  if (text.slice(line, from).trim() !== '') {
    if (next === undefined || isSeq(holder)) throw new Uneditable('it shares its line with something else');
    return splice(text, from, next, '');
  }
  let start = line;
  const end = lineAfter(text, entryEnd(holder, index));
  if (end === text.length && !text.endsWith('\n') && start > 0)
    start -= text.slice(0, start).endsWith('\r\n') ? 2 : 1;
  const cut = splice(text, start, end, '');
  if (holder.items.length > 1) return cut;
  const colon = above === undefined ? undefined : colonEnd(above);
  if (colon === undefined) throw new Uneditable('nothing would be left');
  return splice(cut, colon, colon, isSeq(holder) ? ' []' : ' {}');
}

/** The value as block YAML, one string a line. */
export function yamlLines(value: unknown): readonly string[] {
  return stringify(value, { indent: 2, lineWidth: 0, blockQuote: false, aliasDuplicateObjects: false })
    .replace(/\n$/, '')
    .split('\n');
}

interface Found {
  /** The deepest value on the path. */
  readonly node: Node | null;
  /** The member whose value that is. */
  readonly pair?: Pair<Node, Node | null> | undefined;
  /** What holds it, and where in there. */
  readonly holder?: Block | undefined;
  readonly index?: number | undefined;
  /** The member whose value `holder` is. */
  readonly above?: Pair<Node, Node | null> | undefined;
  /** The parts of the path that do not exist. */
  readonly rest: Path;
}

function rootOf(text: string): Node | null {
  const document = parseDocument(text, {
    keepSourceTokens: true,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: false,
  });
  if (document.errors.length > 0) throw new Uneditable('it is not valid YAML');
  return document.contents;
}

function walk(root: Node | null, path: Path): Found {
  let found: Found = { node: root, rest: path };
  for (const part of path) {
    const { node, pair, rest } = found;
    if (isAlias(node)) throw new Uneditable('it is an alias of another part');
    if (isMap<Node, Node | null>(node)) {
      const index = node.items.findIndex(({ key }) => isScalar(key) && String(key.value) === String(part));
      const next = node.items[index];
      if (!next) return found;
      found = { node: next.value, pair: next, holder: node, index, above: pair, rest: rest.slice(1) };
    } else if (isSeq<Node>(node)) {
      const index = Number(part);
      const next = node.items[index];
      if (!next) return found;
      found = { node: next, holder: node, index, above: pair, rest: rest.slice(1) };
    } else return found;
  }
  return found;
}

/** Inserts the entries of `value`, a mapping or a list with one entry, behind the last of what was found. */
function insert(text: string, { node, pair }: Found, value: object): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const put = (at: number, column: number): string => {
    const lines = yamlLines(value)
      .map((line) => ' '.repeat(column) + line)
      .join(eol);
    const isOpen = at === text.length && at > 0 && !text.endsWith('\n');
    return splice(text, at, at, isOpen ? eol + lines : lines + eol);
  };
  if (isAlias(node)) throw new Uneditable('it is an alias of another part');
  if (node === null || (isScalar(node) && node.value === null)) {
    if (!pair) return put(text.length, 0);
    return put(lineAfter(text, colonEnd(pair)), columnOf(text, pair.key.range?.[0] ?? 0) + 2);
  }
  if (!isMap<Node, Node | null>(node) && !isSeq<Node>(node))
    throw new Uneditable('there is a value in its place');
  if (isSeq(node) !== Array.isArray(value))
    throw new Uneditable(isSeq(node) ? 'there is a list in its place' : 'there is a mapping in its place');
  if (node.flow) {
    const [start, end] = node.range ?? [0, 0];
    if (node.items.length > 0) throw new Uneditable('it is written in one line, in brackets');
    if (!pair || text.slice(start + 1, end - 1).trim() !== '')
      throw new Uneditable('its empty brackets hold a comment, or are the whole file');
    const column = columnOf(text, pair.key.range?.[0] ?? 0) + 2;
    const before = text[start - 1] === ' ' ? start - 1 : start;
    const at = lineAfter(text, end);
    return splice(put(at, column), before, end, '');
  }
  const last = node.items.length - 1;
  const column = columnOf(text, startOf(node, 0));
  return put(lineAfter(text, entryEnd(node, last)), column);
}

function splice(text: string, start: number, end: number, by: string): string {
  return text.slice(0, start) + by + text.slice(end);
}

interface Token {
  readonly type: string;
  readonly offset: number;
}

/** The offset of an item's dash, or of a member's key. */
function startOf(holder: Block, index: number): number {
  if (isMap<Node, Node | null>(holder)) return holder.items[index]?.key.range?.[0] ?? 0;
  const items = (holder.srcToken as { items?: readonly { start: readonly Token[] }[] } | undefined)?.items;
  const dash = items?.[index]?.start.find(({ type }) => type === 'seq-item-ind');
  if (!dash) throw new Uneditable('its position is not known');
  return dash.offset;
}

/** Behind the colon of a member. */
function colonEnd({ srcToken }: Pair): number {
  const colon = (srcToken as { sep?: readonly Token[] } | undefined)?.sep?.find(
    ({ type }) => type === 'map-value-ind',
  );
  if (!colon) throw new Uneditable('its position is not known');
  return colon.offset + 1;
}

/** Where the last line of an entry has its last value, before any comment. */
function entryEnd(holder: Block, index: number): number {
  if (isSeq<Node>(holder)) return leafEnd(holder.items[index] ?? null, startOf(holder, index) + 1);
  const pair = holder.items[index];
  if (!pair) throw new Uneditable('its position is not known');
  return leafEnd(pair.value, colonEnd(pair));
}

function leafEnd(node: Node | null, otherwise: number): number {
  if ((isMap<Node, Node | null>(node) || isSeq<Node>(node)) && !node.flow && node.items.length > 0)
    return entryEnd(node, node.items.length - 1);
  if (node === null || (isScalar(node) && node.source === '' && node.value === null)) return otherwise;
  return node.range?.[1] ?? otherwise;
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1;
}

/** The beginning of the line after the one that has `offset`; a block string ends behind its line break. */
function lineAfter(text: string, offset: number): number {
  if (offset > 0 && text[offset - 1] === '\n') return offset;
  const end = text.indexOf('\n', offset);
  return end === -1 ? text.length : end + 1;
}

function columnOf(text: string, offset: number): number {
  const line = text.slice(lineStart(text, offset), offset);
  if (!/^[ \-?]*$/.test(line)) throw new Uneditable('it shares its line with something else');
  return line.length;
}

function isInline(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

function scalarText(value: unknown): string {
  return yamlLines(value).join('');
}
