/** Arguments of a call as text for the audit log: on one line, without secrets, up to a size. */

/** Longest text that is kept. */
export const KEPT_BYTES = 8192;
/** How much is read at the most: what is left out may be longer than what is kept. */
const READ_BYTES = 65_536;

const HIDDEN = '"***"';
const SPACE = /[ \t\r\n]*/y;
/** A string with its quotes. */
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/sy;
/** A number, `true`, `false`, `null`. */
const BARE = /[^\s"[\]{}:,]+/y;

export interface Kept {
  /** JSON without whitespace between its tokens; if it is cut, the beginning of it. */
  readonly text: string;
  readonly cut: boolean;
}

/**
 * Copies JSON and replaces the values of some members, at any depth, by `"***"`. `names`: in lower case; case does not count. Takes any
 * bytes: what follows something that is not JSON is cut. `limit`: what is kept, in bytes.
 */
export function redact(json: Buffer, names: ReadonlySet<string>, limit = KEPT_BYTES): Kept {
  const text = json.toString('utf8', 0, READ_BYTES);
  const reader = new Reader(text);
  let kept = '';
  let bytes = 0;
  for (let token = reader.next(); token !== ''; token = reader.next()) {
    if (token.startsWith('"') && reader.peek() === ':') {
      token += reader.next();
      if (isNamed(token, names)) {
        if (!reader.skipValue()) return { text: kept, cut: true };
        token += HIDDEN;
      }
    }
    bytes += Buffer.byteLength(token);
    if (bytes > limit) return { text: kept + firstBytes(token, limit - Buffer.byteLength(kept)), cut: true };
    kept += token;
  }
  return { text: kept, cut: !reader.atEnd || json.length > READ_BYTES };
}

/** `token`: a string and a colon. A name that cannot be read is taken for a secret. */
function isNamed(token: string, names: ReadonlySet<string>): boolean {
  const string = token.slice(0, -1);
  if (!string.includes('\\')) return names.has(string.slice(1, -1).toLowerCase());
  try {
    return names.has((JSON.parse(string) as string).toLowerCase());
  } catch {
    return true;
  }
}

/** The beginning of a text, of whole characters. */
function firstBytes(text: string, bytes: number): string {
  return Buffer.from(text)
    .toString('utf8', 0, bytes)
    .replace(/\ufffd$/, '');
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length;
  }

  /** The next character that is not whitespace; empty: there is none. */
  peek(): string {
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
    return this.#text.charAt(this.#at);
  }

  /** The next token; empty: there is none, or it is not one of JSON. */
  next(): string {
    const first = this.peek();
    if (first === '') return '';
    if ('[]{}:,'.includes(first)) {
      this.#at++;
      return first;
    }
    const pattern = first === '"' ? STRING : BARE;
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  /** Skips a value. false: it does not end here. */
  skipValue(): boolean {
    let depth = 0;
    do {
      const token = this.next();
      if (token === '' || (depth === 0 && ':,'.includes(token))) return false;
      if (token === '{' || token === '[') depth++;
      else if (token === '}' || token === ']') depth--;
    } while (depth > 0);
    return depth === 0;
  }
}
