/**
 * Reads server-sent events as bytes, without parsing the data (WHATWG HTML, "Parsing an event stream"). Data is passed on while its
 * line still arrives, so that an event of any size needs no more memory than a chunk.
 */

export interface SseSink {
  /** The data of a new event begins. An `event` field after the data is ignored for `type`. */
  open(type: string): void;
  data(chunk: Buffer): void;
  /** The event is complete. */
  close(fields: EventFields): void;
  /** An event without data: a priming event, a bare id or retry. */
  empty(fields: EventFields): void;
}

export interface EventFields {
  readonly type: string;
  /** undefined: the event has none. */
  readonly id: string | undefined;
  /** Milliseconds. */
  readonly retry: number | undefined;
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const NEWLINE = Buffer.from('\n');
/** The length of the longest known field name with its colon: `event:`. */
const PREFIX = 6;
/** Maximum size of a line other than data. */
const MAX_FIELD = 65_536;

/** The input is not an event stream. */
export class SseError extends Error {}

export class SseReader {
  readonly #sink: SseSink;
  readonly #ignoreTypes: boolean;
  /** An incomplete line that is not data, or whose field is not known yet: the first bytes of a growing buffer. */
  #line: Buffer | undefined;
  #lineBytes = 0;
  /** Inside an incomplete `data:` line. */
  #inData = false;
  /** The previous chunk ended in CR: an LF at the start of the next chunk belongs to it. */
  #afterCr = false;
  #first = true;
  #mark: Buffer | undefined;
  #opened = false;
  /** The space after `data:` has not been checked yet. */
  #atDataStart = false;
  #type = '';
  #id: string | undefined;
  #retry: number | undefined;

  /** `ignoreTypes`: treat every event as a message, whatever its `event:` field is. */
  constructor(sink: SseSink, ignoreTypes = false) {
    this.#sink = sink;
    this.#ignoreTypes = ignoreTypes;
  }

  push(chunk: Buffer): void {
    let i = 0;
    if (this.#first) {
      const start = this.#mark ? Buffer.concat([this.#mark, chunk]) : chunk;
      // A byte order mark may arrive in pieces.
      if (start.length < BOM.length && BOM.subarray(0, start.length).equals(start)) {
        this.#mark = start;
        return;
      }
      chunk = start;
      this.#first = false;
      this.#mark = undefined;
      if (BOM.equals(chunk.subarray(0, BOM.length))) i = BOM.length;
    }
    if (this.#afterCr && chunk.length > i) {
      this.#afterCr = false;
      if (chunk[i] === LF) i++;
    }
    // Each search starts after the last match, so that no byte is read twice.
    let lf = chunk.indexOf(LF, i);
    let cr = chunk.indexOf(CR, i);
    while (i < chunk.length) {
      if (lf !== -1 && lf < i) lf = chunk.indexOf(LF, i);
      if (cr !== -1 && cr < i) cr = chunk.indexOf(CR, i);
      let end = lf;
      let next = end + 1;
      if (cr !== -1 && (end === -1 || cr < end)) {
        end = cr;
        next = cr + 1;
        if (next === chunk.length) this.#afterCr = true;
        else if (chunk[next] === LF) next++;
      }
      if (end === -1) {
        this.#partial(chunk.subarray(i));
        return;
      }
      this.#endOfLine(chunk, i, end);
      i = next;
    }
  }

  /** Ends the stream, and drops an event without its blank line. Returns whether there was one. */
  finish(): boolean {
    return this.#opened || this.#inData || this.#line !== undefined;
  }

  #partial(rest: Buffer): void {
    if (this.#inData) return this.#emit(rest);
    // Data in a line that begins in this chunk is not copied.
    if (!this.#line && rest.length >= PREFIX && startsWithData(rest, 0, rest.length)) {
      this.#beginData();
      return this.#emit(rest.subarray(5));
    }
    const line = this.#hold(rest);
    if (line.length >= PREFIX && startsWithData(line, 0, line.length)) {
      this.#line = undefined;
      this.#beginData();
      return this.#emit(line.subarray(5));
    }
    if (line.length > MAX_FIELD) throw new SseError('event stream: a field line is over 64 KB');
  }

  /** Appends `rest` to the line so far, as a copy, because the chunk belongs to the socket. */
  #hold(rest: Buffer): Buffer {
    const before = this.#line ? this.#lineBytes : 0;
    const bytes = before + rest.length;
    if (!this.#line || this.#line.length < bytes) {
      const larger = Buffer.allocUnsafe(Math.max(2 * bytes, 64));
      this.#line?.copy(larger, 0, 0, before);
      this.#line = larger;
    }
    rest.copy(this.#line, before);
    this.#lineBytes = bytes;
    return this.#line.subarray(0, bytes);
  }

  #endOfLine(chunk: Buffer, start: number, end: number): void {
    if (this.#inData) {
      if (end > start) this.#emit(chunk.subarray(start, end));
      this.#inData = false;
      return;
    }
    let line = chunk;
    if (this.#line) {
      line = this.#hold(chunk.subarray(start, end));
      this.#line = undefined;
      start = 0;
      end = line.length;
    }
    if (start === end) return this.#dispatch();
    if (startsWithData(line, start, end)) {
      this.#beginData();
      if (end > start + 5) this.#emit(line.subarray(start + 5, end));
      this.#inData = false;
    } else this.#field(line.toString('utf8', start, end));
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon === -1 ? line : line.slice(0, colon);
    let value = colon === -1 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (name === 'event') {
      if (!this.#ignoreTypes) this.#type = value;
    } else if (name === 'id') {
      if (!value.includes('\0')) this.#id = value;
    } else if (name === 'retry') {
      if (/^\d{1,9}$/.test(value)) this.#retry = Number(value);
    } else if (name === 'data') {
      // `data` without a colon is an empty line of data.
      this.#beginData();
      this.#inData = false;
    }
  }

  #beginData(): void {
    if (!this.#opened) {
      this.#opened = true;
      this.#sink.open(this.#type);
    } else this.#sink.data(NEWLINE);
    this.#inData = true;
    this.#atDataStart = true;
  }

  #emit(chunk: Buffer): void {
    let data = chunk;
    if (this.#atDataStart && data.length > 0) {
      this.#atDataStart = false;
      if (data[0] === 0x20) data = data.subarray(1);
    }
    if (data.length > 0) this.#sink.data(data);
  }

  #dispatch(): void {
    const fields = { type: this.#type, id: this.#id, retry: this.#retry };
    const opened = this.#opened;
    this.#type = '';
    this.#id = undefined;
    this.#retry = undefined;
    this.#opened = false;
    if (opened) this.#sink.close(fields);
    else if (fields.id !== undefined || fields.retry !== undefined) this.#sink.empty(fields);
  }
}

function startsWithData(line: Buffer, start: number, end: number): boolean {
  return (
    end - start >= 5 &&
    line[start] === 0x64 &&
    line[start + 1] === 0x61 &&
    line[start + 2] === 0x74 &&
    line[start + 3] === 0x61 &&
    line[start + 4] === COLON
  );
}
