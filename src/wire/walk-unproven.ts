/**
 * Finds the ends of values in JSON that is not validated yet, in steps, so that a large input does not block the event loop. The
 * contents of brackets are not checked: the user of a value has to parse it.
 */
import { skipSpace, type Span } from './scan.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
/** How many bytes are read in one step. */
const STEP_BYTES = 65_536;

/** The input is not JSON. */
export class UnprovenError extends Error {}

export interface WalkedValue extends Span {
  /** The nesting of its brackets; 0: it has none. */
  readonly depth: number;
}

/** Yields the number of bytes after each step; returns the offset after the value at `at`. */
export function* valueAt(buf: Buffer, at: number): Generator<number, WalkedValue> {
  let depth = 0;
  let deepest = 0;
  let pause = at + STEP_BYTES;
  let i = at;
  while (i < buf.length) {
    if (i >= pause) {
      pause = i + STEP_BYTES;
      yield STEP_BYTES;
    }
    const c = buf[i] as number;
    if (c === QUOTE) {
      i = endOfString(buf, i);
      if (depth === 0) return { start: at, end: i, depth: deepest };
      continue;
    }
    if (c === 0x7b || c === 0x5b) {
      if (++depth > deepest) deepest = depth;
    } else if (c === 0x7d || c === 0x5d) {
      // The closing bracket of the container ends a number or a literal.
      if (depth === 0) break;
      if (--depth === 0) return { start: at, end: i + 1, depth: deepest };
    } else if (depth === 0 && (c === COMMA || c <= 0x20)) break;
    i++;
  }
  if (depth > 0 || i === at) throw new UnprovenError('a value that does not end');
  return { start: at, end: i, depth: 0 };
}

/** Calls `visit` for each member of the object at `at`; returns the offset after it. */
export function* membersAt(
  buf: Buffer,
  at: number,
  visit: (key: string, value: WalkedValue) => void,
): Generator<number, number> {
  if (buf[at] !== 0x7b) throw new UnprovenError('no object');
  let i = skipSpace(buf, at + 1);
  if (buf[i] === 0x7d) return i + 1;
  for (;;) {
    if (buf[i] !== QUOTE) throw new UnprovenError('no name of a member');
    const keyEnd = endOfString(buf, i);
    const key = keyOf(buf, i, keyEnd);
    i = skipSpace(buf, keyEnd);
    if (buf[i] !== 0x3a) throw new UnprovenError('a member without a value');
    const value = yield* valueAt(buf, skipSpace(buf, i + 1));
    visit(key, value);
    i = skipSpace(buf, value.end);
    if (buf[i] === 0x7d) return i + 1;
    if (buf[i] !== COMMA) throw new UnprovenError('members without a comma');
    i = skipSpace(buf, i + 1);
  }
}

/** Calls `visit` for each element of the array at `at`, and yields after each. */
export function* elementsAt(
  buf: Buffer,
  at: number,
  visit: (value: WalkedValue) => void,
): Generator<number, void> {
  let i = skipSpace(buf, at + 1);
  if (buf[i] === 0x5d) return;
  for (;;) {
    const value = yield* valueAt(buf, i);
    visit(value);
    yield value.end - value.start;
    i = skipSpace(buf, value.end);
    if (buf[i] === 0x5d) return;
    if (buf[i] !== COMMA) throw new UnprovenError('elements without a comma');
    i = skipSpace(buf, i + 1);
  }
}

const MAX_KEY = 65_536;

function keyOf(buf: Buffer, start: number, end: number): string {
  if (end - start > MAX_KEY) throw new UnprovenError('a name of a member that is too long');
  try {
    return JSON.parse(buf.toString('utf8', start, end)) as string;
  } catch {
    throw new UnprovenError('an unreadable name of a member');
  }
}

/** The offset after the string that begins at `at`. */
function endOfString(buf: Buffer, at: number): number {
  let quote = at;
  for (;;) {
    quote = buf.indexOf(QUOTE, quote + 1);
    if (quote === -1) throw new UnprovenError('a text that does not end');
    let slashes = 0;
    while (buf[quote - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return quote + 1;
  }
}
