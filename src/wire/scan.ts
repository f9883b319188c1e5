/**
 * Validates untrusted JSON (RFC 8259) and returns the byte offsets of the members that the gateway reads. Builds no other
 * values. Iterative, so that nesting cannot exhaust the stack.
 */
import { nameAt } from './names.js';

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
  | {
      readonly kind: 'object';
      readonly top: readonly Member[];
      readonly params: readonly Member[];
      readonly meta: readonly Member[];
    }
  /** A batch: the span of each element. */
  | { readonly kind: 'array'; readonly elements: Span[] }
  | { readonly kind: 'scalar' };

/** The input is not JSON, or exceeds a limit. `at` is a byte offset. */
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
/** Longer strings are searched and validated by native code. */
const LONG_STRING = 48;

export const isSpace = (c: number | undefined): boolean =>
  c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
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
  // i is at a character boundary, not inside an escape.
  let quote = i - 1;
  for (;;) {
    quote = buf.indexOf(QUOTE, quote + 1);
    if (quote === -1 || quote >= end) throw new ScanError('unterminated string', at);
    let slashes = 0;
    while (quote - 1 - slashes >= i && buf[quote - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) break;
  }
  try {
    // Latin-1 keeps bytes above ASCII, which are always legal in a string.
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

export function skipSpace(buf: Buffer, at: number): number {
  let i = at;
  while (i < buf.length && isSpace(buf[i])) i++;
  return i;
}

/** The current object: 0 any other, 1 the message, 2 its params, 3 params._meta. */
type Place = 0 | 1 | 2 | 3;

/** Decodes the valid JSON string from `start` to `end`. */
export function readText(buf: Buffer, start: number, end: number): string {
  const known = nameAt(buf, start + 1, end - 1);
  if (known !== undefined) return known;
  for (let i = start + 1; i < end - 1; i++) {
    const c = buf[i] as number;
    if (c === BACKSLASH || c >= 0x80) return JSON.parse(buf.toString('utf8', start, end)) as string;
  }
  return buf.toString('latin1', start + 1, end - 1);
}

// The open containers by depth, from 1: whether each is an object, and its place. Shared, because scans never overlap.
const isObject = new Uint8Array(MAX_DEPTH + 1);
const places = new Uint8Array(MAX_DEPTH + 1);
const NO_MEMBERS: readonly Member[] = [];

/** Where a paused scan continues: before a value whose name has been read. */
interface Stop {
  readonly at: number;
  readonly depth: number;
  readonly values: number;
  readonly isObject: Uint8Array;
  readonly places: Uint8Array;
}

/** How many values are read in one step. */
const STEP_VALUES = 20_000;

/** Throws ScanError. The caller has checked that the bytes are UTF-8. */
export function scan(buf: Buffer, maxValues = MAX_VALUES): Scan {
  return new Scanner(buf, maxValues).read(maxValues) as Scan;
}

/** The same in steps, so that many values do not block the event loop. Yields after each step. */
export function* scanInSteps(buf: Buffer): Generator<void, Scan> {
  const scanner = new Scanner(buf, MAX_VALUES);
  for (;;) {
    const read = scanner.read(STEP_VALUES);
    if (read) return read;
    yield;
  }
}

class Scanner {
  readonly #buf: Buffer;
  readonly #maxValues: number;
  readonly #top: Member[] = [];
  #params: Member[] | undefined;
  #meta: Member[] | undefined;
  #elements: Span[] | undefined;
  // For containers of interest, by depth: the key and the start of the current value.
  readonly #keys: [string, string, string, string] = ['', '', '', ''];
  readonly #starts: [number, number, number, number] = [0, 0, 0, 0];
  #stop: Stop | undefined;

  constructor(buf: Buffer, maxValues: number) {
    this.#buf = buf;
    this.#maxValues = maxValues;
  }

  /** Reads this many more values. undefined: there are more. */
  read(more: number): Scan | undefined {
    const buf = this.#buf;
    const maxValues = this.#maxValues;
    const end = buf.length;
    const top = this.#top;
    const keys = this.#keys;
    const starts = this.#starts;
    let depth = 0;
    let values = 0;
    let expectsKey = false;

    const first = skipSpace(buf, 0);
    if (first >= end) throw new ScanError('empty text', first);
    const opening = buf[first];
    let i = first;
    if (this.#stop) {
      ({ at: i, depth, values } = this.#stop);
      isObject.set(this.#stop.isObject);
      places.set(this.#stop.places);
    }
    const last = Math.min(values + more, maxValues);

    reading: for (;;) {
      if (expectsKey) {
        if (i >= end || buf[i] !== QUOTE) throw new ScanError('expected a member name', i);
        const keyEnd = endOfString(buf, i, end);
        if (places[depth] !== 0) keys[depth] = readText(buf, i, keyEnd);
        i = skipSpace(buf, keyEnd);
        if (i >= end || buf[i] !== 0x3a) throw new ScanError("expected ':'", i);
        i = skipSpace(buf, i + 1);
      }
      // At the start of a value.
      if (i >= end) throw new ScanError('unexpected end', i);
      if (++values > last) {
        if (values > maxValues) throw new ScanError(`more than ${maxValues} values`, i);
        this.#stop = {
          at: i,
          depth,
          values: values - 1,
          isObject: isObject.slice(0, depth + 1),
          places: places.slice(0, depth + 1),
        };
        return undefined;
      }
      if (depth > 0 && places[depth] !== 0) starts[depth] = i;
      const c = buf[i] as number;
      if (c === 0x7b || c === 0x5b) {
        const object = c === 0x7b;
        let place: Place = 0;
        if (depth === 0) place = 1;
        else if (object) {
          const outer = places[depth];
          if (outer === 1 && isObject[depth] === 1 && keys[depth] === 'params') place = 2;
          else if (outer === 2 && keys[depth] === '_meta') place = 3;
        }
        if (depth >= MAX_DEPTH) throw new ScanError(`nested deeper than ${MAX_DEPTH}`, i);
        depth++;
        isObject[depth] = object ? 1 : 0;
        places[depth] = place;
        i = skipSpace(buf, i + 1);
        if (i >= end || buf[i] !== (object ? 0x7d : 0x5d)) {
          expectsKey = object;
          continue reading;
        }
        depth--;
        i++;
      } else {
        if (c === QUOTE) i = endOfString(buf, i, end);
        else if (c === 0x2d || isDigit(c)) i = endOfNumber(buf, i);
        else i = endOfLiteral(buf, i, end);
        if (i > end) throw new ScanError('unexpected end', end);
      }
      // After a value: record it, close containers, or continue with the next value.
      for (;;) {
        if (depth > 0 && places[depth] !== 0) {
          const start = starts[depth] as number;
          if (isObject[depth] === 0) (this.#elements ??= []).push({ start, end: i });
          else {
            const member = { key: keys[depth] as string, start, end: i };
            const place = places[depth];
            if (place === 1) top.push(member);
            else if (place === 2) (this.#params ??= []).push(member);
            else (this.#meta ??= []).push(member);
          }
        }
        i = skipSpace(buf, i);
        if (depth === 0) {
          if (i < end) throw new ScanError('unexpected text after the value', i);
          break reading;
        }
        if (i >= end) throw new ScanError('unexpected end', i);
        const object = isObject[depth] === 1;
        const d = buf[i];
        if (d === 0x2c) {
          i = skipSpace(buf, i + 1);
          expectsKey = object;
          continue reading;
        }
        if (d !== (object ? 0x7d : 0x5d)) throw new ScanError(`expected ',' or '${object ? '}' : ']'}'`, i);
        depth--;
        i++;
      }
    }

    if (opening === 0x7b)
      return { kind: 'object', top, params: this.#params ?? NO_MEMBERS, meta: this.#meta ?? NO_MEMBERS };
    return opening === 0x5b ? { kind: 'array', elements: this.#elements ?? [] } : { kind: 'scalar' };
  }
}
