/**
 * The envelope of one JSON-RPC message of a server, read as its bytes arrive, each byte once: what kind of message it is,
 * where its id stands, where its result begins and ends, what the result says about itself. Nothing is built, and nothing
 * behind the end of `result` is taken on trust. A message that two JSON parsers could read differently has a `problem`:
 * an envelope member that comes twice, is written with escapes, or equals another one but for case (Go's encoding/json
 * takes `"ID"` for `"id"`).
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

/** What is kept of a key or a scalar: more than any that means something has. */
const MAX_TEXT = 256;
/** Scalar members at the start of a result that are looked at. */
const MAX_LEAD = 16;
const QUOTED_DIGITS = /^"\d{1,15}"$/;

export class MessageScan {
  /** What decides the kind of the message: a result or an error that is not null, or a method. */
  kind: 'result' | 'error' | 'method' | undefined;
  /** Offsets count from the first byte of the message. Of the value of `kind`; the end is -1 until it is read. */
  value = -1;
  valueEnd = -1;
  id: Span | undefined;
  /** The id as it is written. */
  idText = '';
  /** The method as it is written, without quotes; '' where it is longer than any that is known. */
  method = '';
  /** A `result` or `error` that is null: whole members, with one comma. */
  readonly nulls: Span[] = [];
  /** `isError: true` is a member of the result. */
  isError = false;
  /** The value of `resultType`; undefined: there is none so far, or it is not a string. */
  resultType: string | undefined;
  /** `structuredContent` of a result where it is no object: only clients of the modern era take that. The end is -1 until it is read. */
  structured: { start: number; end: number } | undefined;
  /** Whether the first member of the result is one that only a complete result has; undefined: it is not read yet. */
  beginsComplete: boolean | undefined;
  /** The members at the start of the result that are scalars or its `_meta` are read, up to `leadEnd`. */
  leadOver = false;
  leadEnd = -1;
  /** The brace that closes the message was read. */
  done = false;
  problem: string | undefined;
  /** It is an array, of messages maybe: see batch.ts. */
  isArray = false;
  /** A member of the result that the gateway reads or replaces comes twice, or in another spelling. */
  doubled: string | undefined;

  /** Offset of the next byte. */
  #at = 0;
  #state = START;
  /** 1: in the message, 2: in its result. */
  #level: 1 | 2 = 1;
  /** The member that is being read; undefined: one that means nothing here. */
  #key: string | undefined;
  #keyStart = -1;
  /** The comma before the member; -1: it is the first one. */
  #comma = -1;
  /** A key or a scalar that began in an earlier piece. */
  #text: string | undefined;
  #escape = false;
  #valueStart = -1;
  #members = 0;
  /** What goes over the bytes of an object or an array; made for the first one. */
  #end: ReturnType<typeof valueEndState> | undefined;
  #seen = 0;
  #seenInResult = 0;
  /** A null member that is not followed by a comma yet. */
  #lastNull: { start: number; end: number; comma: number } | undefined;
  #commaBeforeNull = -1;
  /** The value of `result: null`. */
  #nullResult: Span | undefined;

  get bytes(): number {
    return this.#at;
  }

  /** The id of an answer to a request whose id is digits: some servers send it back as a string. */
  get answersId(): string {
    const { idText } = this;
    return QUOTED_DIGITS.test(idText) ? idText.slice(1, -1) : idText;
  }

  /** The whole of a message. */
  static of(pieces: readonly Buffer[]): MessageScan {
    const scan = new MessageScan();
    for (const piece of pieces) scan.push(piece);
    scan.end();
    return scan;
  }

  /** The next bytes. After a `problem` nothing more is read. */
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

  /** No bytes come any more. */
  end(): void {
    if (this.problem !== undefined) return;
    if (!this.done) this.problem = 'ends before its closing brace';
    else if (this.kind === undefined && this.#nullResult) {
      // Nothing stands beside it: null is the result.
      const { start, end } = this.#nullResult;
      this.kind = 'result';
      this.value = start;
      this.valueEnd = end;
      this.leadOver = true;
      this.nulls.length = 0;
    } else if (this.kind === undefined) this.problem = 'has no result, error or method';
  }

  /** At a byte that is not white space, between tokens. Gives the offset to go on at. */
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

  /** Finds out which member of interest the key is, and whether it was there before. */
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

  /** At the first byte of a value. */
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
      // Who answers may stand there, and is taken out for some.
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
    // Nobody asks which version it is.
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

  /** A member has ended. `text`: of a scalar that means something, as it is written. */
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
      // Not an object, not another scalar: it began with the letter of `null`.
      if (text !== 'null') this.problem = `has a value of '${key}' that is not JSON`;
      else this.#lastNull = { start: this.#keyStart, end, comma: this.#comma };
      if (key === 'result') this.#nullResult = { start, end };
    }
  }

  /** A brace that closes the message or its result. */
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

  /** `after`: the offset after the comma that follows; undefined: it is the last member. */
  #closeNull(after: number | undefined): void {
    const { start, end, comma } = this.#lastNull as { start: number; end: number; comma: number };
    this.#lastNull = undefined;
    if (after !== undefined) this.nulls.push({ start, end: after });
    else {
      // The last member goes with the comma before it: where a null member took that one, with the comma before both.
      const before = this.nulls.at(-1);
      const own = before?.end === comma + 1 ? this.#commaBeforeNull : comma;
      this.nulls.push({ start: own === -1 ? start : own, end });
    }
    this.#commaBeforeNull = comma;
  }

  /** Offset of the quote that closes the string; -1: it goes on. */
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
      // A long string: on to its next quote, and back over the backslashes before that.
      const quote = buf.indexOf(QUOTE, i);
      let end = quote === -1 ? buf.length : quote;
      while (end > i && buf[end - 1] === BACKSLASH) end--;
      i = end;
    }
  }

  #keep(buf: Buffer, from: number, to: number): void {
    const kept = this.#text ?? '';
    this.#text =
      kept +
      buf.toString('latin1', from, Math.min(to, from + MAX_TEXT + 1 - Math.min(kept.length, MAX_TEXT)));
  }
}

/** The string of a JSON string in Latin-1 characters; '' where it is not one. */
function unquoted(text: string): string {
  if (!/[\\\x80-\xff]/.test(text)) return text.slice(1, -1);
  try {
    return JSON.parse(Buffer.from(text, 'latin1').toString('utf8')) as string;
  } catch {
    return '';
  }
}
