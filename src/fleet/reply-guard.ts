/**
 * Judges the bytes of a store before its client library reads them: the framing of RESP2 and nothing else, with limits for
 * lengths, depth and sizes. The library allocates what a header announces, and ends the process on some pushes of RESP3.
 */

export interface ReplyLimits {
  /** Bytes of one reply. */
  readonly bytes: number;
  /** Elements of one reply, with those of nested arrays. */
  readonly elements: number;
  /** Arrays within arrays. */
  readonly depth: number;
}

export const REPLY_LIMITS: ReplyLimits = { bytes: 32 * 1024 * 1024, elements: 500_000, depth: 8 };

/** Longest line: the text of an error, or a header. */
const MAX_LINE = 8192;
const CR = 13;
const LF = 10;

type Step = 'line' | 'line-end' | 'bulk' | 'bulk-cr' | 'bulk-lf';

export class ReplyGuard {
  readonly #limits: ReplyLimits;
  #step: Step = 'line';
  #line = '';
  /** Bytes of a bulk reply that are still to come. */
  #bulk = 0;
  /** Elements that are still to come, of each open array. */
  readonly #open: number[] = [];
  #bytes = 0;
  #elements = 0;
  /** Commands without a reply. */
  #expected = 0;

  constructor(limits: ReplyLimits = REPLY_LIMITS) {
    this.#limits = limits;
  }

  /** A command is sent. The library fails at a reply that nobody asked for. */
  expect(): void {
    this.#expected++;
  }

  /** Whether the bytes received so far are replies to commands, within the limits. False is final. */
  accept(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      const end = this.#take(chunk, at);
      if (end < 0) return false;
      this.#bytes += end - at;
      if (this.#bytes > this.#limits.bytes) return false;
      at = end;
      if (this.#step === 'line' && this.#line === '' && this.#open.length === 0) {
        if (--this.#expected < 0) return false;
        this.#bytes = 0;
        this.#elements = 0;
      }
    }
    return true;
  }

  /** Reads on from `at`, and returns where to go on; -1: that is not a reply. */
  #take(chunk: Buffer, at: number): number {
    switch (this.#step) {
      case 'line': {
        const cr = chunk.indexOf(CR, at);
        const end = cr < 0 ? chunk.length : cr;
        if (this.#line.length + end - at > MAX_LINE) return -1;
        this.#line += chunk.toString('latin1', at, end);
        if (cr < 0) return end;
        this.#step = 'line-end';
        return cr + 1;
      }
      case 'line-end': {
        if (chunk[at] !== LF) return -1;
        const line = this.#line;
        this.#line = '';
        this.#step = 'line';
        return this.#header(line) ? at + 1 : -1;
      }
      case 'bulk': {
        const taken = Math.min(this.#bulk, chunk.length - at);
        this.#bulk -= taken;
        if (this.#bulk === 0) this.#step = 'bulk-cr';
        return at + taken;
      }
      case 'bulk-cr':
        this.#step = 'bulk-lf';
        return chunk[at] === CR ? at + 1 : -1;
      case 'bulk-lf':
        this.#step = 'line';
        this.#ended();
        return chunk[at] === LF ? at + 1 : -1;
    }
  }

  #header(line: string): boolean {
    const text = line.slice(1);
    switch (line[0]) {
      case '+':
        this.#ended();
        return !text.includes('\n');
      case '-':
        this.#ended();
        return isError(text);
      case ':':
        this.#ended();
        return /^[+-]?\d{1,19}$/.test(text);
      case '$':
        return this.#begin(text, (length) => {
          if (length > this.#limits.bytes - this.#bytes) return false;
          this.#bulk = length;
          this.#step = length === 0 ? 'bulk-cr' : 'bulk';
          return true;
        });
      case '*':
        return this.#begin(text, (length) => {
          this.#elements += length;
          if (this.#elements > this.#limits.elements || this.#open.length >= this.#limits.depth) return false;
          this.#open.push(length);
          if (length === 0) {
            this.#open.pop();
            this.#ended();
          }
          return true;
        });
      default:
        return false;
    }
  }

  #begin(text: string, go: (length: number) => boolean): boolean {
    if (text !== '-1') return /^\d{1,9}$/.test(text) && go(Number(text));
    this.#ended();
    return true;
  }

  /** A value is complete, and maybe the arrays that it is the last of. */
  #ended(): void {
    for (;;) {
      const left = this.#open.pop();
      if (left === undefined) return;
      if (left > 1) {
        this.#open.push(left - 1);
        return;
      }
    }
  }
}

/** The library follows redirects, and relies on their form. */
function isError(text: string): boolean {
  return (
    !text.includes('\n') &&
    (!/^(?:MOVED|ASK)\b/.test(text) || /^(?:MOVED|ASK) \d{1,5} \S*:\d{1,5}$/.test(text))
  );
}
