/** JSON with comments and trailing commas, with the position of each value. */
import { withoutComments } from '../../config/jsonc.js';

export interface JsonMember {
  readonly key: string;
  /** Of the key's first quote. */
  readonly start: number;
  readonly node: JsonNode;
  /** The offset of the comma behind the value. */
  readonly comma: number | undefined;
}

export interface JsonItem {
  readonly start: number;
  readonly node: JsonNode;
  readonly comma: number | undefined;
}

export type JsonNode = { readonly start: number; readonly end: number } & (
  | { readonly kind: 'object'; readonly entries: readonly JsonMember[] }
  | { readonly kind: 'array'; readonly entries: readonly JsonItem[] }
  | { readonly kind: 'value'; readonly value: string | number | boolean | null }
);

export interface JsonTree {
  readonly root: JsonNode;
  /** The text with spaces instead of comments. */
  readonly plain: string;
}

/** Where the text is not JSON. */
export class JsonFlaw extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

const DEEPEST = 200;
const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\.)*"/y;
const WORD = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/y;

/** Throws JsonFlaw. */
export function jsonTree(text: string): JsonTree {
  const { text: plain, unclosed } = withoutComments(text);
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(plain)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const fail = (message: string): never => {
    throw new JsonFlaw(unclosed?.message ?? message, unclosed?.offset ?? at);
  };
  const string = (): string | undefined => {
    const start = at;
    const written = match(STRING);
    if (written === undefined) return undefined;
    try {
      return JSON.parse(written) as string;
    } catch {
      at = start;
      return fail('a string with an escape that JSON does not have');
    }
  };
  const comma = (close: string): number | undefined => {
    match(SPACE);
    if (plain[at] === ',') return at++;
    if (plain[at] !== close)
      fail(at >= plain.length ? `a ${close} is missing` : `a comma or ${close} is missing before this`);
    return undefined;
  };
  const value = (depth: number): JsonNode => {
    match(SPACE);
    const start = at;
    if (depth > DEEPEST) fail('nested too deeply');
    if (plain[at] === '{' || plain[at] === '[') {
      const isObject = plain[at] === '{';
      const close = isObject ? '}' : ']';
      at++;
      const entries: JsonMember[] = [];
      for (;;) {
        match(SPACE);
        if (plain[at] === close) break;
        if (entries.length > 0 && entries.at(-1)?.comma === undefined) fail(`a ${close} is missing`);
        const first = at;
        let key = '';
        if (isObject) {
          key = string() ?? fail(at >= plain.length ? 'a } is missing' : 'a key in double quotes is missing');
          match(SPACE);
          if (plain[at] !== ':') fail('a colon is missing');
          at++;
        }
        const node = value(depth + 1);
        entries.push({ key, start: first, node, comma: comma(close) });
      }
      at++;
      return isObject
        ? { kind: 'object', start, end: at, entries }
        : { kind: 'array', start, end: at, entries };
    }
    const text = string();
    if (text !== undefined) return { kind: 'value', start, end: at, value: text };
    const word = match(WORD) ?? fail(at >= plain.length ? 'a value is missing' : 'this is not a JSON value');
    return { kind: 'value', start, end: at, value: JSON.parse(word) as number | boolean | null };
  };
  const root = value(0);
  match(SPACE);
  if (at < plain.length) fail('there is something behind the end');
  return { root, plain };
}

/** The value of a tree. Of members with the same key, the last one counts. */
export function valueOf(node: JsonNode): unknown {
  if (node.kind === 'value') return node.value;
  if (node.kind === 'array') return node.entries.map((entry) => valueOf(entry.node));
  const value: Record<string, unknown> = {};
  for (const { key, node: member } of node.entries)
    Object.defineProperty(value, key, {
      value: valueOf(member),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return value;
}
