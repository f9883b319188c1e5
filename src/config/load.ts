import { dirname, resolve } from 'node:path';
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
import { ConfigError, noSource, type ConfigProblem, type Path, type Source } from './problems.js';
import { FILE_BYTES, readBounded } from './read.js';
import { resolveSource, type LoadedConfig } from './resolve.js';

/** How often anchors may be repeated, in sum; "billion laughs" needs millions. */
const ALIASES = 100;

/**
 * Reads a file in YAML or JSON. `env` supplies what the file refers to; relative paths in the file are relative to its folder.
 * Throws ConfigError with every problem of the file, each with line and column. `local`: for a gateway without a port, which asks
 * for no token.
 */
export function loadConfig(path: string, env: NodeJS.ProcessEnv, local = false): LoadedConfig {
  let text: string;
  try {
    text = readBounded(path, FILE_BYTES);
  } catch (error) {
    throw new ConfigError([
      {
        key: '',
        message: `cannot read config '${path}': ${(error as Error).message}`,
        fix: 'give the path of a readable file with --config or MCPSTEAD_CONFIG',
      },
    ]);
  }
  const { value, source, warnings } = parse(text, path);
  const loaded = resolveSource(value, source, { env, folder: dirname(resolve(path)), local });
  return { ...loaded, warnings: [...warnings, ...loaded.warnings] };
}

/** The same for an object of the file's shape, in a program of one's own. */
export function resolveConfig(input: unknown, env: NodeJS.ProcessEnv): LoadedConfig {
  return resolveSource(input, noSource, { env, folder: process.cwd() });
}

function parse(text: string, file: string): { value: unknown; source: Source; warnings: string[] } {
  const lines = new LineCounter();
  const refuse = (problems: readonly Omit<ConfigProblem, 'file'>[]): never => {
    throw new ConfigError(problems.map((problem) => ({ file, ...problem })));
  };
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
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
      merge: true,
      prettyErrors: false,
      stringKeys: true,
      // Looked for below, once for each key.
      uniqueKeys: false,
    });
  } catch {
    return refuse([{ key: '', message: 'nested too deeply' }]);
  }
  if (document.errors.length > 0) {
    const first = new Map<number, YAMLParseError>();
    for (const error of document.errors) if (!first.has(error.pos[0])) first.set(error.pos[0], error);
    refuse([...first.values()].slice(0, SYNTAX_ERRORS).map(syntaxError));
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
  function syntaxError({ code, message, pos }: YAMLParseError): Omit<ConfigProblem, 'file'> {
    const at = { ...place(pos[0]), key: '' };
    if (message.includes('call stack')) return { ...at, message: 'nested too deeply' };
    if (code === 'MULTIPLE_DOCS') return { ...at, message: 'a second document begins here', fix: 'keep one' };
    return { ...at, message: `not valid YAML or JSON: ${message}` };
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

/** What a config may have of words and signs, of anchors, aliases and tags, and of brackets in brackets: far more than anybody writes. */
const MAX_TOKENS = 200_000;
const MAX_REPEATED = 1000;
const MAX_DEPTH = 100;

/**
 * Whether it would take the parser long. Where, and why; undefined: it would not. The lexer goes over the text once; the parser that
 * comes after it does not.
 */
function tooMuch(text: string): { at: number; why: string } | undefined {
  let at = 0;
  let tokens = 0;
  let repeated = 0;
  let flow = 0;
  let inLine = 0;
  for (const token of new Lexer().lex(text)) {
    const first = token[0] ?? '';
    if (++tokens > MAX_TOKENS) return { at, why: `more than ${MAX_TOKENS} words and signs` };
    if ((first === '&' || first === '*' || first === '!') && ++repeated > MAX_REPEATED)
      return { at, why: `more than ${MAX_REPEATED} anchors, aliases and tags` };
    if (token === '[' || token === '{') flow++;
    else if (token === ']' || token === '}') flow--;
    else if (token === '-' || token === '?') inLine++;
    else if (first === '\n' || first === '\r') inLine = 0;
    if (flow > MAX_DEPTH || inLine > MAX_DEPTH) return { at, why: 'nested too deeply' };
    // Signs of the lexer's own that are no text: the begin of a document, a value, an end.
    if (!/^[\u0002\u0018\u001f]/.test(token)) at += token.length;
  }
  return undefined;
}

/** Where keys stand that their mapping has already: the first few. */
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

/** Unquoted numbers among arguments, variables and headers are meant as they are written: 0123, 1.10. */
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

/** Where the value (or its key) at `path` stands, or the last one on the way that is there. */
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
