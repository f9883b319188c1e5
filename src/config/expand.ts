import { resolve } from 'node:path';
import { readBounded, SECRET_BYTES } from './read.js';

/** The sources of the values behind `${}`. */
export interface Values {
  readonly env: NodeJS.ProcessEnv;
  /** Relative paths are relative to this folder. */
  readonly folder: string;
  /** The gateway opens no port, so that no client needs a token. */
  readonly local?: boolean;
  /** Called with each value that replaced a `${}`, and its variable; a file has none. */
  readonly filled?: (value: string, variable?: string) => void;
}

/** Limits of nested defaults, of references in one string, and of the resulting length. */
const MAX_DEPTH = 16;
const MAX_REFERENCES = 1000;
const MAX_TEXT = 1 << 20;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Replaces `${NAME}`, `${env:NAME}`, `${NAME:-default}` and `${file:/path}` by their values; `$$` is a dollar.
 * Reports each missing value to `missing`, and leaves the reference as it is.
 * A variable that is set but empty counts as missing, as an empty file does; `${NAME:-}` allows it.
 */
export function expand(text: string, values: Values, missing: (why: string) => void): string {
  if (!text.includes('$')) return text;
  let out = '';
  let at = 0;
  let references = 0;
  while (at < text.length) {
    const dollar = text.indexOf('$', at);
    if (dollar === -1) break;
    out += text.slice(at, dollar);
    const next = text[dollar + 1];
    if (next === '$') {
      out += '$';
      at = dollar + 2;
    } else if (next === '{') {
      const close = closing(text, dollar + 2);
      const why =
        typeof close === 'string'
          ? close
          : ++references > MAX_REFERENCES
            ? `more than ${MAX_REFERENCES} references in one value`
            : out.length > MAX_TEXT
              ? `a value of more than ${MAX_TEXT} characters`
              : undefined;
      if (typeof close === 'string' || why !== undefined) {
        missing(why ?? '');
        return out + text.slice(dollar);
      }
      out += one(text.slice(dollar + 2, close), values, missing) ?? text.slice(dollar, close + 1);
      at = close + 1;
    } else {
      out += '$';
      at = dollar + 1;
    }
  }
  return out + text.slice(at);
}

/** The brace that closes the one opened before `from`, or why there is none; a default may contain `${}`. */
function closing(text: string, from: number): number | string {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '$' && text[at + 1] === '{') {
      if (++depth > MAX_DEPTH) return `'\${' nested deeper than ${MAX_DEPTH}`;
      at++;
    } else if (text[at] === '}' && --depth === 0) return at;
  }
  return "'${' without '}'; write $$ for a literal dollar";
}

function one(expression: string, values: Values, missing: (why: string) => void): string | undefined {
  if (expression.startsWith('file:')) {
    const secret = readSecret(expression.slice('file:'.length), values.folder);
    if (typeof secret === 'string') {
      values.filled?.(secret);
      return secret;
    }
    missing(secret.missing);
    return undefined;
  }
  const split = expression.indexOf(':-');
  const reference = split === -1 ? expression : expression.slice(0, split);
  const name = reference.startsWith('env:') ? reference.slice('env:'.length) : reference;
  const foreign = ofEditor(name);
  if (!NAME.test(name)) {
    missing(foreign ?? `'\${${reference}}' is not understood; write $$ for a literal dollar`);
    return undefined;
  }
  const value = values.env[name];
  if (value !== undefined && value !== '') {
    values.filled?.(value, name);
    return value;
  }
  if (split !== -1) return expand(expression.slice(split + 2), values, missing);
  missing(foreign ?? unset(name, values.env));
  return undefined;
}

/** References that only Cursor or VS Code resolve: what to write instead. */
function ofEditor(name: string): string | undefined {
  const [, kind = '', what = ''] = /^(input|command|config):(.*)$/.exec(name) ?? [];
  const variable = what
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^(?=\d)|^_+|_+$/g, '');
  const instead: Readonly<Record<string, string>> = {
    input: `write \${${variable || 'NAME'}} and set that variable for the gateway, or \${file:/path}`,
    command: 'write the value',
    config: 'write the value',
    workspaceFolder: 'write the path of the folder',
    workspaceFolderBasename: 'write the name of the folder',
    userHome: 'write ${HOME}',
    pathSeparator: 'write the sign',
    '/': 'write the sign',
  };
  const way = Object.hasOwn(instead, kind || name) ? instead[kind || name] : undefined;
  return way === undefined ? undefined : `only an editor knows '\${${name}}': ${way}`;
}

/** Says whether the variable is missing or empty. */
export function unset(name: string, env: NodeJS.ProcessEnv): string {
  return `environment variable ${name} is ${env[name] === undefined ? 'not set' : 'empty'}`;
}

/** The content of a secret file without its last newline; an empty one counts as missing. */
export function readSecret(path: string, folder: string): string | { missing: string } {
  try {
    const text = readBounded(resolve(folder, path), SECRET_BYTES).replace(/\r?\n$/, '');
    return text === '' ? { missing: `secret file ${path} is empty` } : text;
  } catch (error) {
    return { missing: `secret file ${path}: ${(error as Error).message}` };
  }
}
