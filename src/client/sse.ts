/** Reads server-sent events from text in pieces (WHATWG HTML, "Parsing an event stream"). */

export interface SseEvent {
  readonly type: string;
  readonly data: string;
  /** undefined: the event has none of its own. */
  readonly id: string | undefined;
  /** Milliseconds. */
  readonly retry: number | undefined;
}

/** An event is larger than allowed. */
export class SseTooLarge extends Error {}

export class SseReader {
  readonly #emit: (event: SseEvent) => void;
  readonly #limit: number;
  /** The beginning of a line whose end has not arrived. */
  #parts: string[] = [];
  #pending = 0;
  #afterCr = false;
  #first = true;
  #type = '';
  #data: string[] = [];
  #size = 0;
  #id: string | undefined;
  #retry: number | undefined;

  /** `limit`: maximum number of UTF-16 units of an event. `emit` also gets events without data. */
  constructor(emit: (event: SseEvent) => void, limit: number) {
    this.#emit = emit;
    this.#limit = limit;
  }

  push(chunk: string): void {
    if (chunk === '') return;
    let start = 0;
    if (this.#first) {
      this.#first = false;
      if (chunk.charCodeAt(0) === 0xfeff) start = 1;
    }
    if (this.#afterCr && start < chunk.length) {
      this.#afterCr = false;
      if (chunk[start] === '\n') start++;
    }
    let lf = chunk.indexOf('\n', start);
    let cr = chunk.indexOf('\r', start);
    while (start < chunk.length) {
      if (lf !== -1 && lf < start) lf = chunk.indexOf('\n', start);
      if (cr !== -1 && cr < start) cr = chunk.indexOf('\r', start);
      const end = cr === -1 || (lf !== -1 && lf < cr) ? lf : cr;
      if (end === -1) {
        this.#hold(chunk.slice(start));
        return;
      }
      this.#hold(chunk.slice(start, end));
      const line = this.#parts.length === 1 ? (this.#parts[0] ?? '') : this.#parts.join('');
      this.#parts = [];
      this.#pending = 0;
      this.#line(line);
      start = end + 1;
      if (end === cr) {
        if (start === chunk.length) this.#afterCr = true;
        else if (chunk[start] === '\n') start++;
      }
    }
  }

  #hold(text: string): void {
    this.#pending += text.length;
    if (this.#pending + this.#size > this.#limit) throw new SseTooLarge();
    if (text !== '') this.#parts.push(text);
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.#data.push(value);
      this.#size += value.length + 1;
    } else if (field === 'event') this.#type = value;
    else if (field === 'id') {
      if (!value.includes('\0')) this.#id = value;
    } else if (field === 'retry' && /^\d{1,9}$/.test(value)) this.#retry = Number(value);
  }

  #dispatch(): void {
    const event = {
      type: this.#type === '' ? 'message' : this.#type,
      data: this.#data.join('\n'),
      id: this.#id,
      retry: this.#retry,
    };
    const worth = this.#data.length > 0 || this.#id !== undefined || this.#retry !== undefined;
    this.#type = '';
    this.#data = [];
    this.#size = 0;
    this.#id = undefined;
    this.#retry = undefined;
    if (worth) this.#emit(event);
  }
}
