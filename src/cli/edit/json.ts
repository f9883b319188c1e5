/** Splices into JSON with comments: members and items are added and removed, all other bytes stay. The caller checks the result. */
import type { Path } from '../../config/problems.js';
import { Uneditable } from '../../config/yaml-edit.js';
import { jsonTree, type JsonItem, type JsonMember, type JsonNode, type JsonTree } from './json-tree.js';

type Container = Extract<JsonNode, { kind: 'object' | 'array' }>;

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

/** Adds a member to the object at the path, whose last part is its key, or replaces its value. Objects that are missing are added. */
export function jsonSet(text: string, path: Path, value: unknown): string {
  const tree = jsonTree(text);
  const { node, rest } = walk(tree.root, path);
  if (rest.length === 0) {
    const by = jsonText(value, unitOf(text), indentAt(text, node.start), eolOf(text));
    return apply(text, [{ start: node.start, end: node.end, by }]);
  }
  const [key, ...deeper] = rest;
  const wrapped = deeper.reduceRight<unknown>((inner, part) => ({ [part]: inner }), value);
  if (node.kind !== 'object') throw new Uneditable('there is something other than an object in its place');
  return add(text, tree, node, `${JSON.stringify(String(key))}: `, wrapped);
}

/** Adds an item to the list at the path. A list that is missing is added. */
export function jsonAppend(text: string, path: Path, value: unknown): string {
  const tree = jsonTree(text);
  const { node, rest } = walk(tree.root, path);
  if (rest.length > 0) return jsonSet(text, path, [value]);
  if (node.kind !== 'array') throw new Uneditable('there is something other than a list in its place');
  return add(text, tree, node, '', value);
}

/** Removes a member or an item. */
export function jsonRemove(text: string, path: Path): string {
  const { root, plain } = jsonTree(text);
  const { holder, index, rest } = walk(root, path);
  const entry = index === undefined ? undefined : holder?.entries[index];
  if (!holder || index === undefined || !entry || rest.length > 0)
    throw new Uneditable('it has no such entry');
  const before = holder.entries[index - 1];
  const next = holder.entries[index + 1];
  const splices: Splice[] = [];
  const end = (entry.comma ?? entry.node.end - 1) + 1;
  const line = lineStart(text, entry.start);
  const lineEnd = endOfLine(text, end);
  const alone = plain.slice(line, entry.start).trim() === '' && plain.slice(end, lineEnd).trim() === '';
  if (alone && line > 0 && text.slice(line, entry.start).trim() === '') {
    const eol = text.slice(0, line).endsWith('\r\n') ? 2 : 1;
    splices.push({ start: line - eol, end: lineEnd, by: '' });
  } else if (next) splices.push({ start: entry.start, end: next.start, by: '' });
  else {
    // The space in front of an entry in the line goes with it, a comment does not.
    const from = before === undefined ? holder.start + 1 : (before.comma ?? before.node.end) + 1;
    const between = text.slice(from, entry.start).trim() === '';
    splices.push({ start: between ? from : entry.start, end, by: '' });
  }
  if (entry.comma === undefined && before?.comma !== undefined)
    splices.push({ start: before.comma, end: before.comma + 1, by: '' });
  const cut = apply(text, splices);
  if (holder.entries.length > 1) return cut;
  const open = holder.start;
  const close = holder.end - 1 - (text.length - cut.length);
  return cut.slice(open + 1, close).trim() === '' ? cut.slice(0, open + 1) + cut.slice(close) : cut;
}

interface Found {
  readonly node: JsonNode;
  readonly holder?: Container;
  readonly index?: number;
  readonly rest: Path;
}

function walk(root: JsonNode, path: Path): Found {
  let found: Found = { node: root, rest: path };
  for (const part of path) {
    const { node, rest } = found;
    if (node.kind === 'value') return found;
    const entries: readonly (JsonItem | JsonMember)[] = node.entries;
    const matching =
      node.kind === 'object'
        ? node.entries.flatMap(({ key }, index) => (key === String(part) ? [index] : []))
        : [Number(part)];
    if (matching.length > 1) throw new Uneditable(`it has ${JSON.stringify(String(part))} twice`);
    const [index = -1] = matching;
    const next = entries[index];
    if (!next) return found;
    found = { node: next.node, holder: node, index, rest: rest.slice(1) };
  }
  return found;
}

/** Adds an entry behind the last one of a container, in lines or in one line as its neighbours are. */
function add(text: string, { plain }: JsonTree, node: Container, label: string, value: unknown): string {
  const eol = eolOf(text);
  const unit = unitOf(text);
  const last = node.entries.at(-1);
  if (!last) {
    const outer = indentAt(text, node.start);
    const inner = outer + unit;
    const written = inner + label + jsonText(value, unit, inner, eol);
    const close = node.end - 1;
    const inside = text.slice(node.start + 1, close);
    if (inside.trim() === '')
      return apply(text, [{ start: node.start + 1, end: close, by: eol + written + eol + outer }]);
    // Behind the comment that is in there.
    const line = lineStart(text, close);
    if (line <= node.start || text.slice(line, close).trim() !== '')
      return apply(text, [{ start: close, end: close, by: eol + written + eol + outer }]);
    const at = line - (text.slice(0, line).endsWith('\r\n') ? 2 : 1);
    return apply(text, [{ start: at, end: at, by: eol + written }]);
  }
  const hasComma = last.comma !== undefined;
  const end = hasComma ? last.comma + 1 : last.node.end;
  const lineEnd = endOfLine(text, end);
  const separator = hasComma ? [] : [{ start: last.node.end, end: last.node.end, by: ',' }];
  if (plain.slice(end, lineEnd).trim() !== '') {
    const by = ` ${label}${JSON.stringify(value)}${hasComma ? ',' : ''}`;
    return apply(text, [...separator, { start: end, end, by }]);
  }
  const inner = indentAt(text, last.start);
  const by = `${eol}${inner}${label}${jsonText(value, unit, inner, eol)}${hasComma ? ',' : ''}`;
  return apply(text, [...separator, { start: lineEnd, end: lineEnd, by }]);
}

function apply(text: string, splices: readonly Splice[]): string {
  let result = text;
  // From behind, and of two at one place the one that was named last first.
  for (const { start, end, by } of [...splices].reverse().sort((a, b) => b.start - a.start))
    result = result.slice(0, start) + by + result.slice(end);
  return result;
}

function jsonText(value: unknown, unit: string, indent: string, eol: string): string {
  return JSON.stringify(value, null, unit).split('\n').join(`${eol}${indent}`);
}

function eolOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

/** What one level is indented by: a tab, or some spaces. */
function unitOf(text: string): string {
  return /^([ \t]+)["[{]/m.exec(text)?.[1]?.slice(0, 10) ?? '  ';
}

/** The white space at the beginning of a line. */
function indentAt(text: string, offset: number): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, offset), offset))?.[0] ?? '';
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1;
}

/** Where the line ends, before its line break. */
function endOfLine(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  if (end === -1) return text.length;
  return text[end - 1] === '\r' && end > offset ? end - 1 : end;
}
