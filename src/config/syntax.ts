import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type YAMLParseError,
} from 'yaml';
import {
  badEscapes,
  isGarbledPath,
  isJson,
  strayWord,
  withoutComments,
  WRITE_TWO,
  type Flaw,
} from './jsonc.js';
import { ConfigError, type ConfigProblem, type Path, type Source } from './problems.js';

/** How often anchors may be repeated in total; "billion laughs" needs millions. */
const ALIASES = 100;

export interface Parsed {
  readonly value: unknown;
  readonly source: Source;
  readonly warnings: string[];
}

/**
 * Parses YAML or JSON, with the position of every value. `*.json` and `*.jsonc` files are JSON with comments and trailing commas. In
 * any other file, text that begins with `{` is parsed as JSON first, and then as YAML, unless it has a JSON comment, which YAML would
 * read as a string. Throws ConfigError.
 */
export function parseText(text: string, file: string): Parsed {
  const plain = withoutComments(text);
  const onlyJson = /\.jsonc?$/i.test(file);
  if (!onlyJson && !/^\s*\{/.test(plain.text)) {
    refuseCodex(text, file);
    return parse(text, file, 'YAML');
  }
  try {
    return parse(plain.text, file, 'JSON', plain.unclosed);
  } catch (error) {
    if (onlyJson || plain.commented) throw error;
    try {
      return parse(text, file, 'YAML');
    } catch (second) {
      throw /^\s*\{\s*"/.test(text) ? error : second;
    }
  }
}

function parse(text: string, file: string, language: 'JSON' | 'YAML', unclosed?: Flaw): Parsed {
  const lines = new LineCounter();
  const refuse = (problems: readonly Omit<ConfigProblem, 'file'>[]): never => {
    throw new ConfigError(problems.slice(0, SYNTAX_ERRORS).map((problem) => ({ file, ...problem })));
  };
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const flaw = ({ offset, message, ...fix }: Flaw): Omit<ConfigProblem, 'file'> => ({
    ...place(offset),
    key: '',
    message: `not valid JSON: ${message}`,
    ...fix,
  });
  const much = tooMuch(text);
  if (much) {
    const before = text.slice(0, much.at).split('\n');
    const column = (before.at(-1)?.length ?? 0) + 1;
    refuse([{ line: before.length, column, key: '', message: much.why }]);
  }
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      merge: language === 'YAML',
      prettyErrors: false,
      stringKeys: true,
      // Checked below, once per key.
      uniqueKeys: false,
    });
  } catch {
    return refuse([{ key: '', message: 'nested too deeply' }]);
  }
  const strict = language === 'YAML' || isJson(text);
  if (!strict) {
    // The unclosed comment hides what is missing at the end.
    if (unclosed) refuse([flaw(unclosed)]);
    const escapes = badEscapes(text);
    if (escapes.length > 0) refuse(escapes.map(flaw));
    refuse([flaw(notJson(document, text))]);
  }
  if (document.errors.length > 0) {
    const first = new Map<number, YAMLParseError>();
    for (const error of document.errors) if (!first.has(error.pos[0])) first.set(error.pos[0], error);
    refuse([...first.values()].map(syntaxError));
  }
  const twice = duplicates(document);
  if (twice.length > 0)
    refuse(
      twice.map((offset) => ({
        ...place(offset),
        key: '',
        message: `duplicate key ${word(text, offset)}`,
        fix: 'keep one of them',
      })),
    );
  const garbled = garbledPaths(document, text);
  if (garbled.length > 0)
    refuse(
      garbled.map((offset) => ({
        ...place(offset),
        key: '',
        message: 'a Windows path whose backslashes mean something else in double quotes',
        fix: WRITE_TWO,
      })),
    );
  keepText(document);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: ALIASES });
  } catch (error) {
    refuse([
      {
        key: '',
        message:
          error instanceof ReferenceError
            ? 'too many aliases (*name) for their anchors'
            : 'nested too deeply',
        fix: 'write the values out',
      },
    ]);
  }
  function syntaxError(error: YAMLParseError): Omit<ConfigProblem, 'file'> {
    const { code, message, pos } = error;
    const at = { ...place(pos[0]), key: '' };
    if (language === 'JSON') return flaw({ offset: pos[0], message: inWords(error, text) });
    if (message.includes('call stack')) return { ...at, message: 'nested too deeply' };
    if (code === 'MULTIPLE_DOCS') return { ...at, message: 'a second document begins here', fix: 'keep one' };
    const fix = yamlFix(code, message);
    return { ...at, message: `not valid YAML or JSON: ${message}`, ...(fix === undefined ? {} : { fix }) };
  }
  const source: Source = {
    file,
    at: (path, onKey) => {
      const offset = offsetOf(document, path, onKey === true);
      return offset === undefined ? undefined : place(offset);
    },
  };
  const warnings = document.warnings.map(({ message, pos }) => {
    const { line, column } = place(pos[0]);
    return `${file}:${line}:${column}: ${message}`;
  });
  return { value, source, warnings };
}

/** A fix for an error of the parser. */
function yamlFix(code: string, message: string): string | undefined {
  switch (code) {
    case 'BAD_DQ_ESCAPE':
      return WRITE_TWO;
    case 'TAB_AS_INDENT':
      return 'indent with spaces';
    case 'BAD_SCALAR_START':
      return 'quote the string';
    default:
      return message.startsWith('Nested mappings')
        ? "is the next line indented too far? else put what has ': ' in it in quotes"
        : undefined;
  }
}

/** Codex files are TOML, which YAML reads as one long string. */
function refuseCodex(text: string, file: string): void {
  const table = /^\[mcp_servers[.\]]/m.exec(text);
  if (!table) return;
  const line = text.slice(0, table.index).split('\n').length;
  const message = "no servers in this file: it looks like Codex's, which is TOML";
  const fix = 'write its servers in YAML, under mcpServers: as name: {command: ..., args: [...], env: {...}}';
  throw new ConfigError([{ file, line, column: 1, key: '', message, fix }]);
}

/** The first part of the text that is not JSON, as the YAML parser sees it. */
function notJson(document: Document.Parsed, text: string): Flaw {
  if (text.trim() === '') return { offset: 0, message: 'the file is empty', fix: 'write { "servers": [] }' };
  const { contents } = document;
  if ((isMap(contents) || isSeq(contents)) && contents.flow !== true)
    return { offset: contents.range[0], message: 'this is YAML', fix: 'name the file .yaml' };
  const stray = strayWord(text);
  if (stray) return stray;
  const [error] = document.errors;
  if (error) return { offset: error.pos[0], message: inWords(error, text) };
  let flaw: Flaw | undefined;
  visit(document, {
    Pair(_, { key, value }, path) {
      const offset = (key as Node | null)?.range?.[0] ?? 0;
      const holder = path.at(-1);
      const inList = isMap(holder) && text[holder.range?.[0] ?? 0] !== '{';
      if (!isScalar(key) || key.type !== 'QUOTE_DOUBLE')
        flaw = { offset, message: 'a key must be a string in double quotes' };
      else if (inList) flaw = { offset, message: `a key in a list: ${word(text, offset)}` };
      else if (value === null || (isScalar(value) && value.source === ''))
        flaw = { offset, message: `no value for ${word(text, offset)}` };
      return flaw ? visit.BREAK : undefined;
    },
  });
  return flaw ?? { offset: 0, message: 'something is missing or left over' };
}

/** An error of the YAML parser, in JSON terms. */
function inWords({ message, pos }: YAMLParseError, text: string): string {
  const closing = /end with a ([\]}])/.exec(message)?.[1];
  if (closing !== undefined) return `a ${closing} is missing`;
  const sign = text.slice(pos[0], pos[0] + 1);
  if (message.startsWith('Missing ,') || sign === '"') return 'a comma is missing before this';
  return `unexpected ${sign || 'end'}`;
}

/** The offsets of double-quoted Windows paths that have lost their backslashes. */
function garbledPaths(document: Document, text: string): number[] {
  const found: number[] = [];
  visit(document, {
    Scalar(_, { type, range }) {
      if (type === 'QUOTE_DOUBLE' && range && isGarbledPath(text.slice(range[0], range[1])))
        found.push(range[0]);
    },
  });
  return found;
}

/** Limits of tokens, of anchors, aliases and tags, and of nesting, far above any real config. */
const MAX_TOKENS = 200_000;
const MAX_REPEATED = 1000;
const MAX_DEPTH = 100;

/**
 * Why parsing would take too long, and where; undefined: it would not. The lexer is linear, the parser is not.
 */
function tooMuch(text: string): { at: number; why: string } | undefined {
  let at = 0;
  let tokens = 0;
  let repeated = 0;
  let flow = 0;
  let inLine = 0;
  for (const token of new Lexer().lex(text)) {
    const first = token[0] ?? '';
    if (++tokens > MAX_TOKENS) return { at, why: `more than ${MAX_TOKENS} tokens` };
    if ((first === '&' || first === '*' || first === '!') && ++repeated > MAX_REPEATED)
      return { at, why: `more than ${MAX_REPEATED} anchors, aliases and tags` };
    if (token === '[' || token === '{') flow++;
    else if (token === ']' || token === '}') flow--;
    else if (token === '-' || token === '?') inLine++;
    else if (first === '\n' || first === '\r') inLine = 0;
    if (flow > MAX_DEPTH || inLine > MAX_DEPTH) return { at, why: 'nested too deeply' };
    // Control tokens of the lexer: start of a document, scalar, end.
    if (!/^[\u0002\u0018\u001f]/.test(token)) at += token.length;
  }
  return undefined;
}

/** The offsets of the first few duplicate keys. */
function duplicates(document: Document): number[] {
  const found: number[] = [];
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key) || key.value === '<<') continue;
        if (seen.has(key.value)) found.push(key.range?.[0] ?? 0);
        seen.add(key.value);
        if (found.length >= SYNTAX_ERRORS) return visit.BREAK;
      }
      return undefined;
    },
  });
  return found;
}

/** Past the first few, one error is the consequence of another. */
const SYNTAX_ERRORS = 10;

function word(text: string, offset: number): string {
  return /^["']?([^\s:"',{}[\]]{1,64})/.exec(text.slice(offset, offset + 80))?.[1] ?? '';
}

/** Keeps unquoted numbers in arguments, variables and headers as written: 0123, 1.10. */
function keepText(document: Document): void {
  visit(document, {
    Pair(_, pair) {
      const key = isScalar(pair.key) ? pair.key.value : undefined;
      if (key !== 'args' && key !== 'env' && key !== 'headers') return;
      if (!isMap(pair.value) && !isSeq(pair.value)) return;
      for (const item of pair.value.items) {
        const scalar: unknown = isPair(item) ? item.value : item;
        if (!isScalar(scalar) || scalar.source === undefined) continue;
        if (typeof scalar.value === 'number' || typeof scalar.value === 'boolean')
          scalar.value = scalar.source;
      }
    },
  });
}

/** The offset of the value (or its key) at `path`, or of the deepest enclosing value. */
function offsetOf(document: Document.Parsed, path: Path, onKey: boolean): number | undefined {
  let node: Node | null | undefined = document.contents;
  let offset = node?.range?.[0];
  for (const [index, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
      if (!pair) break;
      const key = pair.key as Node;
      next = pair.value;
      const last = index === path.length - 1;
      offset =
        (last && onKey ? key.range?.[0] : undefined) ??
        (next as Node | null)?.range?.[0] ??
        key.range?.[0] ??
        offset;
    } else if (isSeq(node)) {
      next = node.items[Number(part)];
      offset = (next as Node | undefined)?.range?.[0] ?? offset;
    }
    if (next === undefined || next === null) break;
    node = next as Node;
  }
  return offset;
}
