/**
 * Answers on their way to an HTTP client: as JSON, or as one event stream when something comes before the answer, when the
 * answer is long in coming, or when the client takes nothing else.
 */
import type { ServerResponse } from 'node:http';
import { errorMessage, ERRORS, GatewayError } from '../../errors.js';
import type { Wheel, WheelTimer } from '../../lib/wheel.js';
import type { Logger } from '../../observe/log.js';
import {
  NOBODY_TO_ASK,
  type AnswerHead,
  type Exchange,
  type Notice,
  type Seen,
  type ServerToClient,
  type Sink,
  type Question,
  type Refusal,
} from '../../protocol/ports.js';
import { withoutLineBreaks } from '../../wire/splice.js';

/** What a client takes as the answer to a POST. */
export interface Accepts {
  readonly json: boolean;
  readonly sse: boolean;
}

export interface StreamTimes {
  /** http.stream_after_ms */
  readonly streamAfterMs: number;
  /** http.keep_alive_ms */
  readonly keepAliveMs: number;
}

/** A client that reads nothing for so long is given up. */
const STALLED_MS = 300_000;
/** Most that waits on a server-to-client stream for a client that does not read. */
const MAX_STREAM_BACKLOG = 1_048_576;

const EVENT = Buffer.from('event: message\ndata: ');
const END_OF_EVENT = Buffer.from('\n\n');
const COMMENT = ': keep-alive\n\n';
const EVENT_STREAM = [
  'Content-Type',
  'text/event-stream',
  'Cache-Control',
  'no-cache, no-transform',
  'X-Accel-Buffering',
  'no',
];

/** Reads an Accept header: JSON unless it names event streams alone. */
export function acceptsOf(accept: string | undefined): Accepts {
  if (accept === undefined) return { json: true, sse: false };
  const sse = /\btext\/event-stream\b/i.test(accept);
  return { json: !sse || /\bapplication\/json\b/i.test(accept), sse };
}

export function sendJson(
  res: ServerResponse,
  status: number,
  body: Buffer | string,
  headers: string[] = [],
): void {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  res.writeHead(status, ['Content-Type', 'application/json', 'Content-Length', String(length), ...headers]);
  res.end(body);
}

/** An error as the whole answer. */
export function sendError(
  res: ServerResponse,
  error: GatewayError,
  rawId = 'null',
  headers: string[] = [],
): void {
  sendJson(res, ERRORS[error.code].legacy.http, errorMessage(error, rawId), headers);
}

/** A whole answer that was ready at once. */
export function sendAnswer(
  res: ServerResponse,
  bytes: Buffer,
  accepts: Accepts,
  headers: string[] = [],
): void {
  if (accepts.json) return sendJson(res, 200, bytes, headers);
  res.writeHead(200, [...EVENT_STREAM, ...headers]);
  res.end(Buffer.concat([EVENT, withoutLineBreaks(bytes), END_OF_EVENT]));
}

/** The sink of one POST. */
export class PostSink implements Sink {
  /** Set by who opened it: what ends when the client goes, what goes on when it reads again. */
  exchange: Exchange | undefined;
  readonly #res: ServerResponse;
  readonly #accepts: Accepts;
  readonly #rawId: string;
  readonly #wheel: Wheel;
  readonly #times: StreamTimes;
  #mode: 'undecided' | 'json' | 'sse' | 'over' = 'undecided';
  #head: AnswerHead | undefined;
  /** The whole answer in one chunk, waiting for end(): headers and body then leave together. */
  #whole: Buffer | undefined;
  #inAnswer = false;
  #timer: WheelTimer;
  #stall: WheelTimer | undefined;
  /** The client does not read what was written: a drain is awaited. */
  #full = false;

  constructor(res: ServerResponse, accepts: Accepts, rawId: string, wheel: Wheel, times: StreamTimes) {
    this.#res = res;
    this.#accepts = accepts;
    this.#rawId = rawId;
    this.#wheel = wheel;
    this.#times = times;
    this.#timer = wheel.after(accepts.sse ? times.streamAfterMs : 0, () => {
      this.#openStream();
    });
    if (!accepts.json)
      // Not before the exchange is known: an upstream may yet be refused.
      setImmediate(() => {
        this.#openStream();
      });
    res.on('close', () => {
      this.#closed();
    });
  }

  notify(notice: Notice): boolean {
    if (this.#mode === 'undecided') {
      // Who takes only JSON hears no notifications.
      if (!this.#accepts.sse) return true;
      this.#openStream();
    }
    return this.#mode === 'sse' ? this.#event(notice.bytes) : true;
  }

  ask(question: Question): Refusal | undefined {
    if (this.#mode === 'undecided' && this.#accepts.sse) this.#openStream();
    if (this.#mode !== 'sse') return NOBODY_TO_ASK;
    this.#event(question.bytes);
    return undefined;
  }

  start(head: AnswerHead): void {
    this.#head = head;
    this.#inAnswer = true;
    if (this.#mode === 'undecided') {
      this.#timer.cancel();
      if (this.#accepts.json) this.#mode = 'json';
      else this.#openStream();
    }
    if (this.#mode === 'sse' && head.bytes === undefined) this.#res.write(EVENT);
  }

  write(chunk: Buffer): boolean {
    if (this.#mode === 'over') return true;
    const bytes = this.#head?.bytes;
    if (chunk.length === bytes) {
      this.#whole = chunk;
      return true;
    }
    if (this.#mode === 'sse') {
      if (bytes !== undefined && this.#head) {
        this.#res.write(EVENT);
        this.#head = { ...this.#head, bytes: undefined };
      }
      return this.#wrote(this.#res.write(withoutLineBreaks(chunk)));
    }
    if (!this.#res.headersSent) {
      const headers = ['Content-Type', 'application/json'];
      if (bytes !== undefined) headers.push('Content-Length', String(bytes));
      this.#res.writeHead(200, headers);
    }
    return this.#wrote(this.#res.write(chunk));
  }

  end(_seen: Seen): void {
    const { mode, whole } = { mode: this.#mode, whole: this.#whole };
    this.#over();
    if (mode === 'json') {
      if (whole) sendJson(this.#res, 200, whole);
      else this.#res.end();
    } else if (mode === 'sse') {
      this.#res.end(whole ? Buffer.concat([EVENT, withoutLineBreaks(whole), END_OF_EVENT]) : END_OF_EVENT);
    }
    if (!this.#full && this.#res.writableNeedDrain) this.#watchStall();
  }

  /** It was not needed: the answer goes another way. */
  release(): void {
    this.#over();
  }

  cancelled(): void {
    const mode = this.#mode;
    this.#over();
    // Nothing is said about a cancelled request: the exchange just ends.
    if (mode === 'undecided') this.#res.writeHead(202).end();
    else if (mode === 'sse' && !this.#inAnswer) this.#res.end();
    else if (mode !== 'over') this.#res.destroy();
  }

  fail(error: GatewayError): void {
    const mode = this.#mode;
    this.#over();
    if (mode === 'over') return;
    // An answer that has begun must not look like a whole one.
    if (mode === 'sse') {
      // The half event gets a type that clients pass over (the last `event:` counts), then the error follows.
      const cut = this.#inAnswer ? '\nevent: cut\n\n' : '';
      this.#res.end(`${cut}${EVENT.toString()}${errorMessage(error, this.#rawId)}\n\n`);
    } else if (this.#inAnswer) this.#res.destroy();
    else sendError(this.#res, error, this.#rawId, retryHeader(error));
  }

  #event(message: Buffer): boolean {
    return this.#wrote(this.#res.write(Buffer.concat([EVENT, withoutLineBreaks(message), END_OF_EVENT])));
  }

  #openStream(): void {
    if (this.#mode !== 'undecided') return;
    this.#mode = 'sse';
    this.#timer.cancel();
    this.#res.writeHead(200, EVENT_STREAM);
    this.#res.flushHeaders();
    this.#keepAlive();
  }

  #keepAlive(): void {
    this.#timer = this.#wheel.after(this.#times.keepAliveMs, () => {
      if (this.#mode !== 'sse') return;
      // Within the event of an answer a comment would be part of it.
      if (!this.#inAnswer && this.#res.writableLength === 0) this.#res.write(COMMENT);
      this.#keepAlive();
    });
  }

  #wrote(more: boolean): boolean {
    if (more || this.#full) return more;
    this.#full = true;
    this.#watchStall();
    this.#res.once('drain', () => {
      this.#full = false;
      this.#stall?.cancel();
      this.exchange?.resume();
    });
    return false;
  }

  /** Until it reads again, or is gone. */
  #watchStall(): void {
    this.#stall?.cancel();
    this.#stall = this.#wheel.after(STALLED_MS, () => {
      this.#res.destroy(new Error('client reads nothing'));
    });
  }

  #over(): void {
    this.#mode = 'over';
    this.#timer.cancel();
  }

  #closed(): void {
    const unfinished = !this.#res.writableFinished;
    this.#stall?.cancel();
    if (this.#mode === 'over') return;
    this.#over();
    // Without event ids nobody can come back to this stream: that is a cancel.
    if (unfinished) this.exchange?.cancel('client gone');
  }
}

export function retryHeader(error: GatewayError): string[] {
  const data = error.data as { retryAfter?: unknown } | undefined;
  return typeof data?.retryAfter === 'number' ? ['Retry-After', String(data.retryAfter)] : [];
}

/** The GET stream of a session. */
export class GetStream implements ServerToClient {
  readonly #res: ServerResponse;
  readonly #wheel: Wheel;
  readonly #log: Logger;
  readonly #keepAliveMs: number;
  #timer: WheelTimer | undefined;

  constructor(res: ServerResponse, wheel: Wheel, keepAliveMs: number, log: Logger, closed: () => void) {
    this.#res = res;
    this.#wheel = wheel;
    this.#log = log;
    this.#keepAliveMs = keepAliveMs;
    res.on('close', () => {
      this.#timer?.cancel();
      closed();
    });
  }

  open(): void {
    this.#res.writeHead(200, EVENT_STREAM);
    this.#res.flushHeaders();
    this.#keepAlive();
  }

  notify(notice: Notice): boolean {
    if (this.#res.writableLength > MAX_STREAM_BACKLOG) {
      this.#log.warn('closed the server-to-client stream of a client that does not read');
      this.#res.destroy();
      return false;
    }
    this.#res.write(Buffer.concat([EVENT, withoutLineBreaks(notice.bytes), END_OF_EVENT]));
    return true;
  }

  end(): void {
    this.#timer?.cancel();
    this.#res.end();
  }

  #keepAlive(): void {
    this.#timer = this.#wheel.after(this.#keepAliveMs, () => {
      if (this.#res.writableLength === 0) this.#res.write(COMMENT);
      this.#keepAlive();
    });
  }
}

/** The sink of one element of a batch: the whole answer, held; no notifications, no questions. */
export class BatchSink implements Sink {
  readonly #rawId: string;
  readonly #maxBytes: number;
  readonly #done: (answer: Buffer | undefined) => void;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(rawId: string, maxBytes: number, done: (answer: Buffer | undefined) => void) {
    this.#rawId = rawId;
    this.#maxBytes = maxBytes;
    this.#done = done;
  }

  notify(): boolean {
    return true;
  }

  ask(): Refusal {
    return NOBODY_TO_ASK;
  }

  start(): void {}

  write(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= this.#maxBytes) this.#chunks.push(chunk);
    else this.#chunks = [];
    return true;
  }

  end(): void {
    if (this.#bytes > this.#maxBytes) {
      this.fail(
        new GatewayError('internal', `the answer is over ${this.#maxBytes} bytes, too large for a batch`),
      );
    } else this.#done(Buffer.concat(this.#chunks));
  }

  cancelled(): void {
    this.#done(undefined);
  }

  fail(error: GatewayError): void {
    this.#done(Buffer.from(errorMessage(error, this.#rawId)));
  }
}
