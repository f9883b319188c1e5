/**
 * Reads the envelope of a server's JSON-RPC message while its bytes arrive, each byte once: the kind of the message, the offsets of its id
 * and its result, and a few members of the result. It builds no values, and checks the envelope to its end. A message that two JSON parsers
 * could read differently has a `problem`: an envelope member that is duplicated, written with escapes, or differs from a known name only
 * in case (Go's encoding/json takes `"ID"` for `"id"`).
 */
import { isWord } from './edges.js';
import { BITS, ENVELOPE, FIRST, RESULT, RESULT_BITS, STRUCTURED } from './message-names.js';
import { nameIn, variantIn, type Names } from './names.js';
import { isSpace, type Span } from './scan.js';
import { scanValue, valueEndState } from './value-end.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** States: what the next byte belongs to. */
const START = 0;
const FIRST_KEY = 1;
const KEY = 2;
const IN_KEY = 3;
const COLON = 4;
const VALUE = 5;
const IN_CONTAINER = 6;
const IN_STRING = 7;
const IN_WORD = 8;
const AFTER = 9;
const END = 10;

/** How many characters of a key or a scalar are kept; no relevant one is longer. */
const MAX_TEXT = 256;
/** Maximum number of members in the lead of a result. */
const MAX_LEAD = 16;
const QUOTED_DIGITS = /^"\d{1,15}"$/;

export class MessageScan {
  /** The member that decides the kind of the message: a `result` or `error` that is not null, or a `method`. */
  kind: 'result' | 'error' | 'method' | undefined;
  /** The offsets of the value of `kind`, from the first byte of the message; the end is -1 until it is read. */
  value = -1;
  valueEnd = -1;
  id: Span | undefined;
  /** The id as written. */
  idText = '';
  /** The method, without quotes; '' if it is longer than any known method. */
  method = '';
  /** The offsets of members `result` or `error` that are null and can be removed, each with one comma. */
  readonly nulls: Span[] = [];
  /** Whether the result has `isError: true`. */
  isError = false;
  /** The value of `resultType`; undefined if it was not read yet, or is not a string. */
  resultType: string | undefined;
  /** The offsets of a `structuredContent` that is not an object, which only modern clients accept. The end is -1 until it is read. */
  structured: { start: number; end: number } | undefined;
  /** Whether the first member of the result is one that only complete results have; undefined until it is read. */
  beginsComplete: boolean | undefined;
  /** Whether the lead of the result has been read: its scalar members and `_meta` before the first other member, up to `leadEnd`. */
  leadOver = false;
  leadEnd = -1;
  /** Whether the closing brace of the message has been read. */
  done = false;
  problem: string | undefined;
  /** Whether the message is an array, possibly a batch: see batch.ts. */
  isArray = false;
  /** A member of the result that the gateway reads or replaces and that is duplicated or misspelt. */
  doubled: string | undefined;

  /** Offset of the next byte. */
  #at = 0;
  #state = START;
  /** 1: in the message; 2: in its result. */
  #level: 1 | 2 = 1;
  /** The current member; undefined if it is not relevant. */
  #key: string | undefined;
  #keyStart = -1;
  /** The offset of the comma before the member; -1: it is the first member. */
  #comma = -1;
  /** The beginning of a key or a scalar, from earlier pieces. */
  #text: string | undefined;
  #escape = false;
  #valueStart = -1;
  /** How many members of the result have been read. */
  #members = 0;
  /** Finds the end of objects and arrays; created for the first one. */
  #end: ReturnType<typeof valueEndState> | undefined;
  /** The members that have been read, one bit for each name. */
  #seen = 0;
  #seenInResult = 0;
  /** A null member after which no comma has been read yet. */
  #lastNull: { start: number; end: number; comma: number } | undefined;
  /** The offset of the comma before the null member in `nulls` that was added last; -1: it is the first member. */
  #commaBeforeNull = -1;
  /** The offsets of the value of `result: null`. */
  #nullResult: Span | undefined;

  get bytes(): number {
    return this.#at;
  }

  /** The id of an answer. Some servers send a numeric id back as a string, which is returned without quotes. */
  get answersId(): string {
    const { idText } = this;
    return QUOTED_DIGITS.test(idText) ? idText.slice(1, -1) : idText;
  }

  /** Scans a whole message. */
  static of(pieces: readonly Buffer[]): MessageScan {
    const scan = new MessageScan();
    for (const piece of pieces) scan.push(piece);
    scan.end();
    return scan;
  }

  /** Reads the next bytes, unless there is a `problem`. */
  push(buf: Buffer): void {
    const base = this.#at;
    const length = buf.length;
    this.#at += length;
    let i = 0;
    while (i < length && this.problem === undefined) {
      switch (this.#state) {
        case IN_KEY:
          i = this.#readKey(buf, i);
          break;
        case IN_CONTAINER:
          i = this.#readContainer(buf, i, base);
          break;
        case IN_STRING:
          i = this.#readString(buf, i, base);
          break;
        case IN_WORD:
          i = this.#readWord(buf, i, base);
          break;
        default: {
          const c = buf[i] as number;
          if (isSpace(c)) i++;
          else i = this.#token(c, i, base);
        }
      }
    }
  }

  /** Checks that the message is complete. */
  end(): void {
    if (this.problem !== undefined) return;
    if (!this.done) this.problem = 'ends before its closing brace';
    else if (this.kind === undefined && this.#nullResult) {
      // There is no other member: null is the result.
      const { start, end } = this.#nullResult;
      this.kind = 'result';
      this.value = start;
      this.valueEnd = end;
      this.leadOver = true;
      this.nulls.length = 0;
    } else if (this.kind === undefined) this.problem = 'has no result, error or method';
  }

  /** Reads a byte between tokens that is not white space. Returns the offset to continue at. */
  #token(c: number, i: number, base: number): number {
    switch (this.#state) {
      case START:
        if (c !== OPEN) {
          this.isArray = c === 0x5b;
          return this.#fail('is not an object', i);
        }
        this.#state = FIRST_KEY;
        return i + 1;
      case FIRST_KEY:
      case KEY:
        if (c === QUOTE) {
          this.#keyStart = base + i;
          this.#state = IN_KEY;
          return i + 1;
        }
        if (c === CLOSE && this.#state === FIRST_KEY) return this.#close(i, base);
        return this.#fail('has no member name where one belongs', i);
      case COLON:
        if (c !== 0x3a) return this.#fail("has no ':' after a member name", i);
        this.#state = VALUE;
        return i + 1;
      case VALUE:
        return this.#begin(c, i, base);
      case AFTER:
        if (c === 0x2c) {
          if (this.#lastNull) this.#closeNull(base + i + 1);
          this.#comma = base + i;
          this.#state = KEY;
          return i + 1;
        }
        if (c === CLOSE) return this.#close(i, base);
        return this.#fail("has no ',' after a member", i);
      default:
        return this.#fail('goes on behind its closing brace', i);
    }
  }

  #fail(what: string, i: number): number {
    this.problem = what;
    return i + 1;
  }

  #readKey(buf: Buffer, from: number): number {
    const to = this.#endOfString(buf, from);
    if (to === -1) {
      this.#keep(buf, from, buf.length);
      return buf.length;
    }
    const names = this.#level === 1 ? ENVELOPE : RESULT;
    if (this.#text === undefined) this.#named(names, buf, from, to);
    else {
      this.#keep(buf, from, to);
      const key = Buffer.from(this.#text, 'latin1');
      this.#text = undefined;
      this.#named(names, key, 0, key.length);
    }
    this.#state = COLON;
    return to + 1;
  }

  /** Sets `#key` to the member name in the bytes, and checks for duplicates and variants of known names. */
  #named(names: Names, buf: Buffer, from: number, to: number): void {
    const exact = nameIn(names, buf, from, to);
    this.#key = exact;
    if (this.#level === 2 && this.#members === 0)
      this.beginsComplete = nameIn(FIRST, buf, from, to) !== undefined;
    if (exact === undefined) {
      if (this.#level === 2 && nameIn(STRUCTURED, buf, from, to) !== undefined) {
        this.#key = 'structuredContent';
        return;
      }
      const like = variantIn(names, buf, from, to);
      if (like === undefined) return;
      if (this.#level === 1) this.problem = `has a member that can be read as '${like}'`;
      else this.doubled ??= like;
      return;
    }
    if (this.#level === 1) {
      const bit = BITS[exact] as number;
      if ((this.#seen & bit) !== 0) this.problem = `has '${exact}' twice`;
      this.#seen |= bit;
    } else {
      const bit = RESULT_BITS[exact] as number;
      if ((this.#seenInResult & bit) !== 0) this.doubled ??= exact;
      this.#seenInResult |= bit;
    }
  }

  /** Reads the first byte of a value. Returns the offset to continue at. */
  #begin(c: number, i: number, base: number): number {
    const start = base + i;
    this.#valueStart = start;
    const key = this.#key;
    const outer = this.#level === 1;
    if (outer && (key === 'method' || ((key === 'result' || key === 'error') && c !== 0x6e))) {
      if (this.kind !== undefined) return this.#fail(`has both '${this.kind}' and '${key}'`, i);
      this.kind = key;
      this.value = start;
      if (key === 'result') {
        if (c === OPEN) {
          this.#level = 2;
          this.#state = FIRST_KEY;
          this.#comma = -1;
          return i + 1;
        }
        this.leadOver = true;
        this.leadEnd = start;
      }
    }
    if (key === 'structuredContent' && c !== OPEN && c !== 0x6e) this.structured = { start, end: -1 };
    if (c === OPEN || c === 0x5b) {
      // `_meta` may have the server's name, which is removed for legacy clients.
      if (!outer && !this.leadOver && key !== '_meta') this.#endLead(start + 1);
      const end = (this.#end ??= valueEndState());
      end.depth = 0;
      end.string = false;
      end.escape = false;
      this.#state = IN_CONTAINER;
      return i;
    }
    if (c === QUOTE) {
      this.#state = IN_STRING;
      return i + 1;
    }
    if (!isWord(c)) return this.#fail('has a value that is not JSON', i);
    this.#state = IN_WORD;
    return i;
  }

  #readContainer(buf: Buffer, from: number, base: number): number {
    const end = scanValue(this.#end as ReturnType<typeof valueEndState>, buf, from, buf.length);
    if (end === -1) return buf.length;
    this.#finish(base + end, undefined);
    return end;
  }

  #readString(buf: Buffer, from: number, base: number): number {
    const to = this.#endOfString(buf, from);
    // The value of `jsonrpc` is not needed.
    const wanted = this.#key !== undefined && this.#key !== 'jsonrpc';
    if (to === -1) {
      if (wanted) this.#keep(buf, from, buf.length);
      return buf.length;
    }
    let text: string | undefined;
    if (wanted) {
      if (this.#text !== undefined) this.#keep(buf, from, to);
      text = this.#text ?? (to - from <= MAX_TEXT ? buf.toString('latin1', from, to) : '');
      this.#text = undefined;
      text = text.length > MAX_TEXT || (text === '' && to > from) ? '' : `"${text}"`;
    }
    this.#finish(base + to + 1, text);
    return to + 1;
  }

  #readWord(buf: Buffer, from: number, base: number): number {
    let to = from;
    while (to < buf.length && isWord(buf[to])) to++;
    const wanted = this.#key !== undefined;
    if (to === buf.length) {
      if (wanted) this.#keep(buf, from, to);
      return to;
    }
    let text: string | undefined;
    if (wanted) {
      if (this.#text !== undefined) this.#keep(buf, from, to);
      text = this.#text ?? (to - from <= MAX_TEXT ? buf.toString('latin1', from, to) : '');
      this.#text = undefined;
    }
    this.#finish(base + to, text);
    return to;
  }

  /** Handles the end of a member. `text`: a relevant scalar, as written. */
  #finish(end: number, text: string | undefined): void {
    this.#state = AFTER;
    const key = this.#key;
    if (this.#level === 2) {
      this.#members++;
      if (!this.leadOver) {
        this.leadEnd = end;
        if (this.#members >= MAX_LEAD) this.leadOver = true;
      }
      if (key === 'structuredContent') {
        if (this.structured?.end === -1) this.structured.end = end;
      } else if (key === 'isError') this.isError = text === 'true';
      else if (key === 'resultType' && text !== undefined && text.startsWith('"'))
        this.resultType = unquoted(text);
      return;
    }
    const start = this.#valueStart;
    if (key === 'id') {
      this.id = { start, end };
      this.idText = text ?? '';
    } else if (start === this.value) {
      this.valueEnd = end;
      if (key === 'method') this.method = text === undefined ? '' : unquoted(text);
    } else if (key === 'result' || key === 'error') {
      // The value begins with `n`: it has to be `null`.
      if (text !== 'null') this.problem = `has a value of '${key}' that is not JSON`;
      else this.#lastNull = { start: this.#keyStart, end, comma: this.#comma };
      if (key === 'result') this.#nullResult = { start, end };
    }
  }

  /** Handles the closing brace of the message or its result. */
  #close(i: number, base: number): number {
    if (this.#level === 2) {
      this.#endLead(base + i);
      this.#level = 1;
      this.#key = undefined;
      this.valueEnd = base + i + 1;
      this.#state = AFTER;
      return i + 1;
    }
    if (this.#lastNull) this.#closeNull(undefined);
    this.done = true;
    this.#state = END;
    return i + 1;
  }

  #endLead(at: number): void {
    if (this.leadOver) return;
    this.leadOver = true;
    this.leadEnd = at;
  }

  /** `after`: the offset after the next comma; undefined: it is the last member. */
  #closeNull(after: number | undefined): void {
    const { start, end, comma } = this.#lastNull as { start: number; end: number; comma: number };
    this.#lastNull = undefined;
    if (after !== undefined) this.nulls.push({ start, end: after });
    else {
      // The last member is removed with the comma before it. If that comma is already removed with another null member, the comma before
      // that member is removed instead.
      const before = this.nulls.at(-1);
      const own = before?.end === comma + 1 ? this.#commaBeforeNull : comma;
      this.nulls.push({ start: own === -1 ? start : own, end });
    }
    this.#commaBeforeNull = comma;
  }

  /** The offset of the closing quote; -1: the string continues. */
  #endOfString(buf: Buffer, from: number): number {
    let i = from;
    let escape = this.#escape;
    for (;;) {
      const near = Math.min(buf.length, i + 64);
      for (; i < near; i++) {
        const c = buf[i] as number;
        if (escape) escape = false;
        else if (c === BACKSLASH) escape = true;
        else if (c === QUOTE) {
          this.#escape = false;
          return i;
        }
      }
      if (i === buf.length) {
        this.#escape = escape;
        return -1;
      }
      if (escape) continue;
      // In a long string, searches the next quote and then checks the backslashes before it.
      const quote = buf.indexOf(QUOTE, i);
      let end = quote === -1 ? buf.length : quote;
      while (end > i && buf[end - 1] === BACKSLASH) end--;
      i = end;
    }
  }

  /** Appends to the beginning of a key or a scalar, up to one character more than MAX_TEXT. */
  #keep(buf: Buffer, from: number, to: number): void {
    const kept = this.#text ?? '';
    this.#text =
      kept +
      buf.toString('latin1', from, Math.min(to, from + MAX_TEXT + 1 - Math.min(kept.length, MAX_TEXT)));
  }
}

/** Decodes a JSON string given as Latin-1 characters; '' if it is invalid. */
function unquoted(text: string): string {
  if (!/[\\\x80-\xff]/.test(text)) return text.slice(1, -1);
  try {
    return JSON.parse(Buffer.from(text, 'latin1').toString('utf8')) as string;
  } catch {
    return '';
  }
}
