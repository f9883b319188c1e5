/**
 * One JSON-RPC message from an upstream, read as it arrives: an answer flows on to the sink of its call with
 * nothing changed but its id; a notification or a question is held whole and routed.
 */
import type { Budget } from '../lib/budget.js';
import type { Sink } from '../protocol/ports.js';
import { lastByte, readHead, readTail, startsWithIsError, type Head } from '../wire/edges.js';
import { find } from '../protocol/message.js';
import { scan, type Span } from '../wire/scan.js';

/** Where an upstream puts the id: learnt from its answers, one memory a connection. */
export interface IdOrder {
  /** `odd`: its answers are held until the id is found. */
  seen: 'unknown' | 'first' | 'last' | 'odd';
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** What a reader asks of the call it reads for. */
export interface AnswerHost {
  /** The id sent upstream: decimal digits. */
  readonly idText: string;
  /** JSON of the caller's id. */
  readonly rawId: Buffer;
  readonly sink: Sink;
  /** The answer is about to begin: what waits goes first. */
  starting(): void;
  /** Stops reading until the sink has room. */
  hold(): void;
  /** A notification or a request came instead of an answer. */
  message(bytes: Buffer): void;
  /** An error answer, parsed. true: taken care of, nothing goes to the sink. */
  rpcError(error: RpcError): boolean;
  /** The answer was handed to the sink whole. */
  answered(kind: 'result' | 'error', isError: boolean): void;
  /** What came is no answer. */
  broken(why: string): void;
}

export interface AnswerLimits {
  /** Most that is held of one message. */
  readonly messageBytes: number;
  readonly budget: Budget;
}

/** Held back while an answer flows: what may hold the id, `isError` and the closing brace. */
const TAIL = 256;
/** How long a whole chunk is kept in the hope of the next one: two writes cost more than one. */
const HOLD_MS = 2;
const MAX_HEAD = 65_536;
const MAX_ERROR = 65_536;
const EXCERPT = 512;

/** The start of what came, for an error's text. */
export function excerpt(bytes: Buffer): string {
  const text = bytes
    .toString('utf8', 0, EXCERPT * 4)
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > EXCERPT ? `${text.slice(0, EXCERPT)}...` : text;
}

export class AnswerReader {
  readonly #host: AnswerHost;
  readonly #limits: AnswerLimits;
  readonly #order: IdOrder;
  /** Length of the whole message, if the upstream told. */
  #length: number | undefined;
  #state: 'head' | 'flow' | 'hold' | 'done' = 'head';
  #chunks: Buffer[] = [];
  #held = 0;
  #taken = 0;
  #head: Head | undefined;
  #idInTail = false;
  #timer: NodeJS.Timeout | undefined;
  #grown = false;
  #isErrorFirst = false;
  #started = false;

  constructor(host: AnswerHost, limits: AnswerLimits, order: IdOrder, length: number | undefined) {
    this.#host = host;
    this.#limits = limits;
    this.#order = order;
    this.#length = length;
  }

  /** true: the answer was handed on or refused; what still comes is ignored. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** Whether bytes of the answer have gone to the sink. */
  get started(): boolean {
    return this.#started;
  }

  /** false: the sink asks to stop reading. */
  push(chunk: Buffer): boolean {
    if (this.#state === 'done') return true;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    this.#grown = true;
    if (this.#state === 'head') this.#decide();
    // #decide() may have moved on.
    return (this.#state as string) === 'flow' ? this.#flow() : this.#bound();
  }

  /** More is to come, but not now: what is held goes out soon, all but the tail. */
  pending(): void {
    if (this.#state !== 'flow' || this.#timer || this.#held <= TAIL) return;
    this.#grown = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#grown) this.pending();
      else this.#release();
    }, HOLD_MS);
  }

  /** The message is complete. `[DONE]` and white space alone are nothing; they say false. */
  end(): boolean {
    if (this.#state === 'done') return true;
    const whole = this.#joined();
    if (this.#state === 'head') {
      const at = lastByte(whole);
      if (at === -1 || whole.toString('latin1', 0, at + 1).trim() === '[DONE]') {
        this.destroy();
        return false;
      }
      this.#refuse(`answered with what is no JSON-RPC message: ${excerpt(whole)}`);
      return true;
    }
    if (this.#state === 'flow') this.#finishFlow(whole);
    else if (this.#head?.kind === 'method') {
      this.#finish();
      this.#host.message(whole);
    } else if (this.#head?.kind === 'error') this.#finishError(whole);
    else this.#finishHeld(whole);
    return true;
  }

  /** Gives back what is held. The sink hears nothing. */
  destroy(): void {
    this.#finish();
  }

  #finish(): void {
    this.#state = 'done';
    clearTimeout(this.#timer);
    this.#chunks = [];
    this.#held = 0;
    if (this.#taken > 0) {
      this.#limits.budget.give(this.#taken);
      this.#taken = 0;
    }
  }

  #refuse(why: string): void {
    this.#finish();
    this.#host.broken(why);
  }

  #joined(): Buffer {
    const chunks = this.#chunks;
    if (chunks.length === 1) return chunks[0] as Buffer;
    const whole = Buffer.concat(chunks);
    this.#chunks = [whole];
    return whole;
  }

  /** Bounds what is held, by message and by process. */
  #bound(): boolean {
    if (this.#state === 'done') return true;
    const limit = this.#head?.kind === 'error' ? MAX_ERROR : this.#limits.messageBytes;
    if (this.#held > limit) {
      this.#refuse(`sent a message of more than ${limit} bytes that had to be held`);
      return true;
    }
    // Small messages are over at once: only what grows is accounted for.
    if (this.#held > MAX_HEAD && this.#held > this.#taken) {
      const more = this.#held - this.#taken;
      if (!this.#limits.budget.take(more)) this.#refuse('sent more than limits.buffered_bytes has room for');
      else this.#taken = this.#held;
    }
    return true;
  }

  #decide(): void {
    const buf = this.#joined();
    const head = readHead(buf);
    if (head === 'more') {
      if (this.#held > this.#limits.messageBytes)
        this.#refuse('sent a message without result, error or method');
      return;
    }
    if (head === 'bad') {
      // Text of its own kind may be a keep-alive such as [DONE]: judged at its end, if it is short.
      if (this.#held > 64) this.#refuse(`answered with what is no JSON-RPC message: ${excerpt(buf)}`);
      return;
    }
    this.#head = head;
    if (head.kind !== 'result') {
      this.#state = 'hold';
      return;
    }
    this.#isErrorFirst = startsWithIsError(buf, head.value);
    if (head.id) {
      if (!this.#isOurs(buf, head.id)) return;
      if (this.#order.seen === 'unknown') this.#order.seen = 'first';
      const spliced = replace(buf, head.id, this.#host.rawId);
      const shift = spliced.length - buf.length;
      if (this.#length !== undefined) this.#length += shift;
      this.#head = { kind: 'result', id: head.id, value: head.value + shift };
      this.#chunks = [spliced];
      this.#held = spliced.length;
      this.#state = 'flow';
    } else if (this.#order.seen === 'last') {
      this.#idInTail = true;
      if (this.#length !== undefined) this.#length += this.#host.rawId.length - this.#host.idText.length;
      this.#state = 'flow';
    } else this.#state = 'hold';
  }

  #isOurs(buf: Buffer, id: Span): boolean {
    const raw = buf.toString('latin1', id.start, id.end);
    if (raw === this.#host.idText) return true;
    this.#refuse(`answered with the id ${raw.slice(0, 64)} instead of ${this.#host.idText}`);
    return false;
  }

  /** Lets everything go but the tail. */
  #flow(): boolean {
    const chunks = this.#chunks;
    let more = true;
    while (chunks.length > 1 && this.#held - (chunks[0] as Buffer).length >= TAIL) {
      const chunk = chunks.shift() as Buffer;
      this.#held -= chunk.length;
      this.#start(this.#length);
      more = this.#host.sink.write(chunk);
      // A sink that gave up within write() has destroyed this reader.
      if (this.#state !== 'flow') return true;
    }
    return more;
  }

  /** Nothing came for a moment: the client gets what there is. */
  #release(): void {
    if (this.#state !== 'flow' || this.#held <= TAIL) return;
    const whole = this.#joined();
    const cut = whole.length - TAIL;
    this.#chunks = [whole.subarray(cut)];
    this.#held = TAIL;
    this.#start(this.#length);
    if (!this.#host.sink.write(whole.subarray(0, cut))) this.#host.hold();
  }

  #start(length: number | undefined): void {
    if (this.#started) return;
    this.#started = true;
    this.#host.starting();
    this.#host.sink.start({
      kind: 'result',
      bytes: length,
      value: (this.#head as Head).value,
      code: undefined,
    });
  }

  #finishFlow(rest: Buffer): void {
    const tail = readTail(rest);
    if (!tail) return this.#refuse('ended its answer before the closing brace');
    let last = rest;
    if (this.#idInTail) {
      if (!tail.id) {
        this.#order.seen = 'odd';
        return this.#refuse('put the id of its answer in another place than before');
      }
      if (!this.#isOurs(rest, tail.id)) return;
      last = replace(rest, tail.id, this.#host.rawId);
    }
    this.#deliver(last, tail.isError || this.#isErrorFirst);
  }

  /** A result whose id was not in its head, on a connection that has not shown where it puts it. */
  #finishHeld(whole: Buffer): void {
    const tail = readTail(whole);
    if (!tail) return this.#refuse('ended its answer before the closing brace');
    let id = tail.id;
    if (id) {
      if (this.#order.seen === 'unknown') this.#order.seen = 'last';
    } else {
      this.#order.seen = 'odd';
      id = idOf(whole);
      if (!id) return this.#refuse('answered without an id');
    }
    if (!this.#isOurs(whole, id)) return;
    this.#deliver(replace(whole, id, this.#host.rawId), tail.isError || this.#isErrorFirst);
  }

  #deliver(last: Buffer, isError: boolean): void {
    this.#start(last.length);
    const { sink } = this.#host;
    this.#finish();
    sink.write(last);
    sink.end({ isError });
    this.#host.answered('result', isError);
  }

  #finishError(whole: Buffer): void {
    let message: { id?: unknown; error?: unknown };
    try {
      message = JSON.parse(whole.toString('utf8')) as typeof message;
    } catch {
      return this.#refuse(`answered with what is no JSON: ${excerpt(whole)}`);
    }
    const error = asRpcError(message.error);
    if (!error) return this.#refuse(`answered with an error that is none: ${excerpt(whole)}`);
    const id = message.id;
    // An error without an id is about the one request of this exchange.
    if (id !== null && id !== undefined && JSON.stringify(id) !== this.#host.idText)
      return this.#refuse(
        `answered with the id ${JSON.stringify(id).slice(0, 64)} instead of ${this.#host.idText}`,
      );
    this.#finish();
    if (this.#host.rpcError(error)) return;
    deliverError(this.#host, whole, error);
  }
}

/** Hands an error answer on: the upstream's own bytes of `error` under the caller's id. */
export function deliverError(
  host: Pick<AnswerHost, 'rawId' | 'sink' | 'starting' | 'answered'>,
  whole: Buffer,
  error: RpcError,
): void {
  const span = scanTop(whole, 'error');
  const open = Buffer.concat([ERROR_OPEN, host.rawId, ERROR_VALUE]);
  const bytes = Buffer.concat([
    open,
    span ? whole.subarray(span.start, span.end) : Buffer.from('null'),
    CLOSE,
  ]);
  host.starting();
  host.sink.start({ kind: 'error', bytes: bytes.length, value: open.length, code: error.code });
  host.sink.write(bytes);
  host.sink.end({ isError: false });
  host.answered('error', false);
}

const ERROR_OPEN = Buffer.from('{"jsonrpc":"2.0","id":');
const ERROR_VALUE = Buffer.from(',"error":');
const CLOSE = Buffer.from('}');

export function asRpcError(value: unknown): RpcError | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, message, data } = value as { code?: unknown; message?: unknown; data?: unknown };
  if (typeof code !== 'number') return undefined;
  return { code, message: typeof message === 'string' ? message : '', data };
}

function scanTop(whole: Buffer, key: string): Span | undefined {
  try {
    const read = scan(whole);
    return read.kind === 'object' ? find(read.top, key) : undefined;
  } catch {
    return undefined;
  }
}

/** The top-level id of a whole message, wherever it stands. */
export function idOf(whole: Buffer): Span | undefined {
  return scanTop(whole, 'id');
}

function replace(buf: Buffer, span: Span, bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafe(buf.length - (span.end - span.start) + bytes.length);
  buf.copy(out, 0, 0, span.start);
  bytes.copy(out, span.start);
  buf.copy(out, span.start + bytes.length, span.end);
  return out;
}
