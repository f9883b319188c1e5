/**
 * The two ends of a JSON-RPC message that nobody parsed whole: which kind it is, where its id stands, whether the
 * tool failed. What lies between flows through unread.
 */
import { isSpace, skipSpace, type Span } from './scan.js';

export interface Head {
  readonly kind: 'result' | 'error' | 'method';
  /** The raw id, if it stood before the deciding member. */
  readonly id: Span | undefined;
  /** Offset of the first byte of the value of `result`, `error` or `method`. */
  readonly value: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Digits, letters, sign and point: what numbers and literals are made of. */
const isWord = (c: number | undefined): boolean =>
  c !== undefined &&
  ((c >= 0x30 && c <= 0x39) ||
    (c >= 0x61 && c <= 0x7a) ||
    (c >= 0x41 && c <= 0x5a) ||
    c === 0x2d ||
    c === 0x2b ||
    c === 0x2e);

/** Offset after the string that opens at `at`; -1: it does not end here. */
function endOfString(buf: Buffer, at: number): number {
  let quote = at;
  for (;;) {
    quote = buf.indexOf(QUOTE, quote + 1);
    if (quote === -1) return -1;
    let slashes = 0;
    while (buf[quote - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return quote + 1;
  }
}

/** Offset after the value at `at`; -1: it does not end here. */
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
 * Reads the members of a message until the one that decides what it is. `more`: the bytes end before that;
 * `bad`: not an object, or an object with none of result, error, method.
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

/** Offset of the last byte that is not white space; -1: none. */
export function lastByte(buf: Buffer): number {
  let i = buf.length - 1;
  while (i >= 0 && isSpace(buf[i])) i--;
  return i;
}

/**
 * The scalar members that stand directly before the closing brace at `brace`, last one first, until one is no scalar. A
 * member of the name `over` is gone over although it is an object.
 */
function* membersBefore(
  buf: Buffer,
  brace: number,
  over?: string,
): Generator<{ key: string; value: Span }, number> {
  let i = brace - 1;
  for (;;) {
    while (isSpace(buf[i])) i--;
    const end = i + 1;
    let start: number;
    if (buf[i] === QUOTE) {
      start = openingQuote(buf, i);
      if (start === -1) return end;
    } else if (over !== undefined && buf[i] === 0x7d) {
      start = openingBrace(buf, i);
      if (start === -1) return end;
    } else {
      start = i;
      while (isWord(buf[start])) start--;
      start++;
      if (start === end) return end;
    }
    i = start - 1;
    while (isSpace(buf[i])) i--;
    if (buf[i] !== 0x3a) return end;
    i--;
    while (isSpace(buf[i])) i--;
    if (buf[i] !== QUOTE) return end;
    const keyStart = openingQuote(buf, i);
    if (keyStart === -1) return end;
    const key = buf.toString('latin1', keyStart + 1, i);
    if (buf[start] === 0x7b && key !== over) return end;
    yield { key, value: { start, end } };
    i = keyStart - 1;
    while (isSpace(buf[i])) i--;
    if (buf[i] !== 0x2c) return i + 1;
    i--;
  }
}

/** The quote that opens the string closing at `at`; -1 where it is not here or holds an escape. */
function openingQuote(buf: Buffer, at: number): number {
  let i = at - 1;
  while (i >= 0 && buf[i] !== QUOTE && buf[i] !== BACKSLASH) i--;
  return i >= 0 && buf[i] === QUOTE && buf[i - 1] !== BACKSLASH ? i : -1;
}

/** The brace that opens the object closing at `at`; -1 where it is not here. */
function openingBrace(buf: Buffer, at: number): number {
  let depth = 0;
  for (let i = at; i >= 0; i--) {
    const c = buf[i];
    if (c === 0x7d || c === 0x5d) depth++;
    else if ((c === 0x7b || c === 0x5b) && --depth === 0) return i;
    else if (c === QUOTE) {
      // Within a string a quote has an odd number of backslashes before it, where it opens none.
      let open = i;
      let slashes: number;
      do {
        open = open > 0 ? buf.lastIndexOf(QUOTE, open - 1) : -1;
        if (open === -1) return -1;
        slashes = 0;
        while (buf[open - 1 - slashes] === BACKSLASH) slashes++;
      } while (slashes % 2 === 1);
      i = open;
    }
  }
  return -1;
}

export interface Tail {
  readonly id: Span | undefined;
  /** Offset of the brace that closes `result`; -1: it is no object, or does not end here. */
  readonly brace: number;
  /** `isError: true` stands among the last scalar members of `result`. */
  readonly isError: boolean;
}

/**
 * Reads a complete answer backwards from its closing brace. Only members of the message itself are seen as its id:
 * whatever a result echoes lies behind another brace. `over`: an object that may stand behind `isError`.
 */
export function readTail(buf: Buffer, over?: string): Tail | undefined {
  const brace = lastByte(buf);
  if (buf[brace] !== 0x7d) return undefined;
  let id: Span | undefined;
  const outer = membersBefore(buf, brace);
  let step = outer.next();
  for (; !step.done; step = outer.next()) if (step.value.key === 'id') id = step.value.value;
  let i = step.value - 1;
  while (isSpace(buf[i])) i--;
  let isError = false;
  const inner = buf[i] === 0x7d ? i : -1;
  if (inner !== -1) {
    for (const { key, value } of membersBefore(buf, inner, over))
      if (key === 'isError') isError = buf[value.start] === 0x74;
  }
  return { id, brace: inner, isError };
}

export interface Lead {
  /** In order. The last one may be an object or an array, or may not have ended yet: then it has no value. */
  readonly members: readonly { readonly key: string; readonly value: Span | undefined }[];
  /** More bytes would tell no more. */
  readonly complete: boolean;
  /** Offset up to which it was read. */
  readonly end: number;
}

const MAX_LEAD = 16;

/** The first members of the object at `at`, up to one that is no scalar. undefined: no object stands there. */
export function readLead(buf: Buffer, at: number): Lead | undefined {
  if (buf[at] !== 0x7b) return undefined;
  const members: { key: string; value: Span | undefined }[] = [];
  let i = skipSpace(buf, at + 1);
  while (members.length < MAX_LEAD) {
    if (i >= buf.length) return { members, complete: false, end: buf.length };
    if (buf[i] !== QUOTE) return { members, complete: true, end: i };
    const keyEnd = endOfString(buf, i);
    if (keyEnd === -1) return { members, complete: false, end: buf.length };
    const key = buf.toString('latin1', i + 1, keyEnd - 1);
    const start = skipSpace(buf, skipSpace(buf, keyEnd) + 1);
    const opens = buf[start] === 0x7b || buf[start] === 0x5b;
    const end = opens || start >= buf.length ? -1 : endOfValue(buf, start);
    if (end === -1) {
      members.push({ key, value: undefined });
      return { members, complete: opens, end: opens ? start + 1 : buf.length };
    }
    members.push({ key, value: { start, end } });
    const next = skipSpace(buf, end);
    if (next >= buf.length) return { members, complete: false, end: buf.length };
    if (buf[next] !== 0x2c) return { members, complete: true, end: next };
    i = skipSpace(buf, next + 1);
  }
  return { members, complete: true, end: i };
}

const IS_ERROR_FIRST = /^\{\s*"isError"\s*:\s*true\b/;

/** Whether `isError: true` is the first member of the result at `value`. */
export function startsWithIsError(buf: Buffer, value: number): boolean {
  if (buf[value + 2] !== 0x69 && !isSpace(buf[value + 1])) return false;
  return IS_ERROR_FIRST.test(buf.toString('latin1', value, value + 64));
}
