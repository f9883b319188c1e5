/** JSON as text: where it is wrong, and indented without a change of a number or a string. */

export interface JsonMistake {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /true|false|null/y;
const DEPTH = 500;

class Wrong extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Walks through a text; `out` gets its tokens: a bracket, a comma, a colon or a scalar, with their depth. */
function walk(text: string, out: (token: string, depth: number) => void): void {
  let at = 0;
  const space = (): void => {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  };
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const string = (): string => {
    const found = take(STRING);
    if (found !== undefined) return found;
    const rest = /^"(?:[^"\\\n]|\\.)*/.exec(text.slice(at))?.[0] ?? '"';
    const closed = text[at + rest.length] === '"';
    throw new Wrong(
      at,
      closed ? 'the string has an invalid escape or control character' : 'the string has no end',
    );
  };
  const value = (depth: number): void => {
    space();
    if (depth > DEPTH) throw new Wrong(at, `more than ${DEPTH} levels`);
    const char = text[at];
    if (char === '{' || char === '[') {
      container(char, depth);
      return;
    }
    const found = char === '"' ? string() : (take(NUMBER) ?? take(WORD));
    if (found === undefined)
      throw new Wrong(
        at,
        char === undefined
          ? 'a value is missing at the end'
          : `${JSON.stringify(char)} does not begin a value`,
      );
    out(found, depth);
  };
  const container = (open: '{' | '[', depth: number): void => {
    const start = at;
    const close = open === '{' ? '}' : ']';
    out(open, depth);
    at++;
    space();
    if (text[at] === close) {
      at++;
      out(close, depth);
      return;
    }
    for (;;) {
      space();
      if (open === '{') {
        if (text[at] !== '"') throw new Wrong(at, 'a name in double quotes is missing');
        out(string(), depth + 1);
        space();
        if (text[at] !== ':') throw new Wrong(at, 'a colon is missing after the name');
        at++;
        out(':', depth + 1);
      }
      value(depth + 1);
      space();
      if (text[at] === ',') {
        at++;
        out(',', depth + 1);
      } else if (text[at] === close) {
        at++;
        out(close, depth);
        return;
      } else if (at >= text.length) throw new Wrong(start, `this ${open} has no ${close}`);
      else throw new Wrong(at, `a comma or ${close} is missing`);
    }
  };
  value(0);
  space();
  if (at < text.length) throw new Wrong(at, 'there is more after the value');
}

/** The first mistake of a text; null: it is valid JSON. */
export function mistakeOf(text: string): JsonMistake | null {
  try {
    walk(text, () => {});
    return null;
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    const before = text.slice(0, error.at).split('\n');
    return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, message: error.message };
  }
}

/** The text indented; as it is if it is not JSON. */
export function indented(text: string): string {
  const parts: string[] = [];
  let last = '';
  const line = (depth: number): void => void parts.push('\n', '  '.repeat(depth));
  try {
    walk(text, (token, depth) => {
      const closing = token === '}' || token === ']';
      if (closing) {
        if (last !== '{' && last !== '[') line(depth);
      } else if (
        token !== ',' &&
        token !== ':' &&
        last !== ':' &&
        (last === ',' || last === '{' || last === '[')
      )
        line(depth);
      parts.push(token === ':' ? ': ' : token);
      last = token;
    });
  } catch {
    return text;
  }
  return parts.join('');
}
