/**
 * One reader for untrusted JSON: validates the text (RFC 8259), keeps the byte spans of the members that a
 * gateway looks at, builds nothing else. Iterative, so that nesting cannot exhaust the stack.
 */

/** A member of an object on the kept path; `start` and `end` are byte offsets of its value. */
export interface Member {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

export type Scan =
  | { readonly kind: 'object'; readonly top: Member[]; readonly params: Member[]; readonly meta: Member[] }
  /** A batch: the span of each element. */
  | { readonly kind: 'array'; readonly elements: Span[] }
  | { readonly kind: 'scalar' };

/** The text is not JSON, or exceeds a limit. `at` is a byte offset. */
export class ScanError extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(`${message} at byte ${at}`);
    this.at = at;
  }
}

export const MAX_DEPTH = 128;
export const MAX_VALUES = 1_000_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Beyond this many bytes a string is searched and proven by native code. */
const LONG_STRING = 48;

const isDigit = (c: number | undefined): boolean => c !== undefined && c >= 0x30 && c <= 0x39;

/** Byte offset after the string whose opening quote is at `at`. */
function endOfString(buf: Buffer, at: number, end: number): number {
  const limit = Math.min(end, at + LONG_STRING);
  let i = at + 1;
  for (; i < limit; i++) {
    const c = buf[i] as number;
    if (c === QUOTE) return i + 1;
    if (c < 0x20) throw new ScanError('control character in a string', i);
    if (c === BACKSLASH) {
      i++;
      const e = buf[i];
      if (e === 0x75) {
        for (let k = 1; k <= 4; k++) {
          const h = buf[i + k] ?? 0;
          if (!(isDigit(h) || (h >= 0x41 && h <= 0x46) || (h >= 0x61 && h <= 0x66)))
            throw new ScanError('bad \\u escape', i);
        }
        i += 4;
      } else if (
        e !== QUOTE &&
        e !== BACKSLASH &&
        e !== 0x2f &&
        e !== 0x62 &&
        e !== 0x66 &&
        e !== 0x6e &&
        e !== 0x72 &&
        e !== 0x74
      ) {
        throw new ScanError('bad escape', i);
      }
    }
  }
  // i stands at a character boundary of the string, not inside an escape.
  let quote = i - 1;
  for (;;) {
    quote = buf.indexOf(QUOTE, quote + 1);
    if (quote === -1 || quote >= end) throw new ScanError('unterminated string', at);
    let slashes = 0;
    while (quote - 1 - slashes >= i && buf[quote - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) break;
  }
  try {
    // Bytes as Latin-1 characters: what is above ASCII is legal in a string whatever it decodes to.
    JSON.parse(`"${buf.toString('latin1', i, quote)}"`);
  } catch {
    throw new ScanError('bad string', at);
  }
  return quote + 1;
}

function endOfNumber(buf: Buffer, at: number): number {
  let i = at;
  if (buf[i] === 0x2d) i++;
  if (buf[i] === 0x30) i++;
  else if (isDigit(buf[i])) while (isDigit(buf[i])) i++;
  else throw new ScanError('unexpected character', at);
  if (buf[i] === 0x2e) {
    i++;
    if (!isDigit(buf[i])) throw new ScanError('bad number', at);
    while (isDigit(buf[i])) i++;
  }
  if (buf[i] === 0x65 || buf[i] === 0x45) {
    i++;
    if (buf[i] === 0x2b || buf[i] === 0x2d) i++;
    if (!isDigit(buf[i])) throw new ScanError('bad number', at);
    while (isDigit(buf[i])) i++;
  }
  return i;
}

function endOfLiteral(buf: Buffer, at: number, end: number): number {
  const c = buf[at];
  const word = c === 0x74 ? 'true' : c === 0x66 ? 'false' : c === 0x6e ? 'null' : '';
  if (word === '' || at + word.length > end || buf.toString('latin1', at, at + word.length) !== word)
    throw new ScanError('unexpected character', at);
  return at + word.length;
}

/** Which object the reader is in: 0 none of interest, 1 the message, 2 its params, 3 params._meta. */
type Place = 0 | 1 | 2 | 3;

function readKey(buf: Buffer, start: number, end: number): string {
  for (let i = start + 1; i < end - 1; i++) {
    const c = buf[i] as number;
    if (c === BACKSLASH || c >= 0x80) return JSON.parse(buf.toString('utf8', start, end)) as string;
  }
  return buf.toString('latin1', start + 1, end - 1);
}

/** Throws ScanError. The caller has checked that the bytes are UTF-8. */
export function scan(buf: Buffer): Scan {
  const end = buf.length;
  const top: Member[] = [];
  const params: Member[] = [];
  const meta: Member[] = [];
  const elements: Span[] = [];

  // Per open container: whether it is an object, its place, the key and start of the value being read.
  const isObject: boolean[] = [];
  const places: Place[] = [];
  const keys: string[] = [];
  const starts: number[] = [];
  let depth = 0;
  let values = 0;
  let i = 0;
  let kind: Scan['kind'] = 'scalar';

  const skip = (at: number): number => {
    let k = at;
    for (let c = buf[k]; k < end && (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09); c = buf[k]) k++;
    return k;
  };

  /** Notes the value that ends at `at` in the container it stands in. */
  const close = (at: number): void => {
    if (depth === 0) return;
    const d = depth - 1;
    const valueStart = starts[d] as number;
    const place = places[d] as Place;
    if (place === 1) {
      if (isObject[d]) top.push({ key: keys[d] as string, start: valueStart, end: at });
      else elements.push({ start: valueStart, end: at });
    } else if (place === 2) params.push({ key: keys[d] as string, start: valueStart, end: at });
    else if (place === 3) meta.push({ key: keys[d] as string, start: valueStart, end: at });
  };

  /** Reads `"key" :` at `at`; returns where the value starts. */
  const member = (at: number): number => {
    if (buf[at] !== QUOTE || at >= end) throw new ScanError('expected a member name', at);
    const keyEnd = endOfString(buf, at, end);
    const d = depth - 1;
    if (places[d] !== 0) keys[d] = readKey(buf, at, keyEnd);
    const colon = skip(keyEnd);
    if (buf[colon] !== 0x3a || colon >= end) throw new ScanError("expected ':'", colon);
    return skip(colon + 1);
  };

  i = skip(i);
  if (i >= end) throw new ScanError('empty text', i);

  reading: for (;;) {
    // At the start of a value.
    if (i >= end) throw new ScanError('unexpected end', i);
    if (++values > MAX_VALUES) throw new ScanError(`more than ${MAX_VALUES} values`, i);
    if (depth > 0) starts[depth - 1] = i;
    const c = buf[i] as number;
    if (c === 0x7b || c === 0x5b) {
      const object = c === 0x7b;
      let place: Place = 0;
      if (depth === 0) {
        place = 1;
        kind = object ? 'object' : 'array';
      } else if (object) {
        const outer = places[depth - 1];
        if (outer === 1 && isObject[depth - 1] && keys[depth - 1] === 'params') place = 2;
        else if (outer === 2 && keys[depth - 1] === '_meta') place = 3;
      }
      if (depth >= MAX_DEPTH) throw new ScanError(`nested deeper than ${MAX_DEPTH}`, i);
      isObject[depth] = object;
      places[depth] = place;
      depth++;
      const next = skip(i + 1);
      if (buf[next] === (object ? 0x7d : 0x5d) && next < end) {
        depth--;
        i = next + 1;
        close(i);
      } else {
        i = object ? member(next) : next;
        continue reading;
      }
    } else {
      if (c === QUOTE) i = endOfString(buf, i, end);
      else if (c === 0x2d || isDigit(c)) i = endOfNumber(buf, i);
      else i = endOfLiteral(buf, i, end);
      if (i > end) throw new ScanError('unexpected end', end);
      close(i);
    }
    // After a value: close containers, or go on to the next one.
    for (;;) {
      i = skip(i);
      if (depth === 0) {
        if (i < end) throw new ScanError('unexpected text after the value', i);
        break reading;
      }
      const object = isObject[depth - 1] as boolean;
      const d = buf[i];
      if (i >= end) throw new ScanError('unexpected end', i);
      if (d === 0x2c) {
        const next = skip(i + 1);
        i = object ? member(next) : next;
        continue reading;
      }
      if (d !== (object ? 0x7d : 0x5d)) throw new ScanError(`expected ',' or '${object ? '}' : ']'}'`, i);
      depth--;
      i++;
      close(i);
    }
  }

  if (kind === 'object') return { kind, top, params, meta };
  return kind === 'array' ? { kind, elements } : { kind };
}
