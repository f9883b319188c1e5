/** Reads the start of a JSON-RPC message that the gateway has written: its kind, and the offset of its id. */
import { skipSpace, type Span } from './scan.js';

export interface Head {
  readonly kind: 'result' | 'error' | 'method';
  /** The offsets of the id, if it comes before the deciding member. */
  readonly id: Span | undefined;
  /** The offset of the value of `result`, `error` or `method`. */
  readonly value: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Whether it is a character of a number or a literal: digits, letters, sign and point. */
export const isWord = (c: number | undefined): boolean =>
  c !== undefined &&
  ((c >= 0x30 && c <= 0x39) ||
    (c >= 0x61 && c <= 0x7a) ||
    (c >= 0x41 && c <= 0x5a) ||
    c === 0x2d ||
    c === 0x2b ||
    c === 0x2e);

/** The offset after the string that begins or continues at `at`; -1: it does not end in these bytes. */
export function endOfString(buf: Buffer, at: number): number {
  let quote = at;
  for (;;) {
    quote = buf.indexOf(QUOTE, quote + 1);
    if (quote === -1) return -1;
    let slashes = 0;
    while (buf[quote - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return quote + 1;
  }
}

/** The offset after the value at `at`; -1: it does not end in these bytes. */
export function endOfValue(buf: Buffer, at: number): number {
  const c = buf[at];
  if (c === QUOTE) return endOfString(buf, at);
  if (c !== 0x7b && c !== 0x5b) {
    let i = at;
    while (isWord(buf[i])) i++;
    return i < buf.length ? i : -1;
  }
  let depth = 0;
  for (let i = at; i < buf.length; i++) {
    const d = buf[i];
    if (d === QUOTE) {
      const end = endOfString(buf, i);
      if (end === -1) return -1;
      i = end - 1;
    } else if (d === 0x7b || d === 0x5b) depth++;
    else if ((d === 0x7d || d === 0x5d) && --depth === 0) return i + 1;
  }
  return -1;
}

/**
 * Reads the members of a message up to the one that decides its kind. `more`: the bytes end before that;
 * `bad`: it is not an object, or has none of result, error and method.
 */
export function readHead(buf: Buffer): Head | 'more' | 'bad' {
  let i = skipSpace(buf, 0);
  if (i >= buf.length) return 'more';
  if (buf[i] !== 0x7b) return 'bad';
  let id: Span | undefined;
  i = skipSpace(buf, i + 1);
  for (;;) {
    if (i >= buf.length) return 'more';
    if (buf[i] !== QUOTE) return 'bad';
    const keyEnd = endOfString(buf, i);
    if (keyEnd === -1) return 'more';
    const key = buf.toString('latin1', i + 1, keyEnd - 1);
    i = skipSpace(buf, keyEnd);
    if (i >= buf.length) return 'more';
    if (buf[i] !== 0x3a) return 'bad';
    i = skipSpace(buf, i + 1);
    if (i >= buf.length) return 'more';
    if (key === 'result' || key === 'error' || key === 'method') return { kind: key, id, value: i };
    const end = endOfValue(buf, i);
    if (end === -1) return 'more';
    if (end === i) return 'bad';
    if (key === 'id') id = { start: i, end };
    i = skipSpace(buf, end);
    if (i >= buf.length) return 'more';
    if (buf[i] !== 0x2c) return 'bad';
    i = skipSpace(buf, i + 1);
  }
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/** Removes a byte order mark. */
export function withoutBom(bytes: Buffer): Buffer {
  return bytes[0] === BOM[0] && bytes.subarray(0, BOM.length).equals(BOM)
    ? bytes.subarray(BOM.length)
    : bytes;
}
