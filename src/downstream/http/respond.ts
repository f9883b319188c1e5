/**
 * Sends answers to an HTTP client: as JSON, or as an event stream if other messages precede the answer, if the answer takes long, or if
 * the client accepts only event streams.
 */
import type { ServerResponse } from 'node:http';
import { errorMessage, ERRORS, modernStatus, type GatewayError } from '../../errors.js';
import type { Wheel, WheelTimer } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import {
  NOBODY_TO_ASK,
  READS_NOTHING,
  type AnswerHead,
  type Exchange,
  type Notice,
  type Sink,
  type Question,
  type Refusal,
} from '../../protocol/ports.js';
import type { Era } from '../../protocol/revisions.js';
import type { CallStream, OpenCallStream } from '../../proxy/gate.js';
import { EVENT_STREAM, eventOf, EventStream, Backpressure } from './event-stream.js';

/** With more bytes queued, the client is asked no more questions. */
const MAX_UNREAD = 1_048_576;

/** The media types that a client accepts for a POST. */
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

/** Reads an Accept header: JSON, unless it lists only event streams. */
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
  era: Era = 'legacy',
): void {
  sendJson(res, ERRORS[error.code][era].http, errorMessage(error, rawId, era), headers);
}

/** Ends a request that failed in the gateway: with an error if nothing was sent yet, otherwise by closing the connection. */
export function sendFailure(
  res: ServerResponse,
  error: GatewayError,
  rawId = 'null',
  era: Era = 'legacy',
): void {
  if (res.writableEnded || res.destroyed) return;
  if (res.headersSent) breakOff(res);
  else sendError(res, error, rawId, [], era);
}

/**
 * Closes the connection of an answer that has begun and cannot be finished. What was written until now goes out first: a balancer that gets no
 * headers holds the whole gateway to be away.
 */
export function breakOff(res: ServerResponse): void {
  res.flushHeaders();
  setImmediate(() => res.destroy());
}

/** Sends a whole answer. */
export function sendAnswer(
  res: ServerResponse,
  bytes: Buffer,
  accepts: Accepts,
  headers: string[] = [],
): void {
  if (accepts.json) return sendJson(res, 200, bytes, headers);
  res.writeHead(200, [...EVENT_STREAM, ...headers]);
  res.end(eventOf(bytes));
}

/** The sink of one POST. Ignores everything after its end. */
export class PostSink implements Sink {
  /** Set once the call is open. Cancelled when the client disconnects, resumed when it reads again. */
  exchange: Exchange | undefined;
  readonly #res: ServerResponse;
  readonly #accepts: Accepts;
  readonly #rawId: string;
  readonly #era: Era;
  readonly #wheel: Wheel;
  readonly #boundary: Boundary;
  readonly #times: StreamTimes;
  readonly #resumable: OpenCallStream | undefined;
  #mode: 'undecided' | 'json' | 'sse' | 'over' = 'undecided';
  /** The event stream, if the answer needs one. */
  #target: EventStream | undefined;
  /** Writes to `#target` and keeps the events, if the stream is resumable. */
  #stream: CallStream | undefined;
  #head: AnswerHead | undefined;
  /** An answer that arrived in one chunk. It is sent by end(), together with the headers. */
  #whole: Buffer | undefined;
  /** Whether a large answer has begun on an event stream that is not resumable. */
  #begun = false;
  /** Watches the response while a JSON answer is sent in several pieces. */
  #writer: Backpressure | undefined;
  #retryMs: number | undefined;
  #timer: WheelTimer;

  constructor(
    res: ServerResponse,
    accepts: Accepts,
    rawId: string,
    era: Era,
    wheel: Wheel,
    boundary: Boundary,
    times: StreamTimes,
    resumable?: OpenCallStream,
  ) {
    this.#res = res;
    this.#accepts = accepts;
    this.#rawId = rawId;
    this.#era = era;
    this.#wheel = wheel;
    this.#boundary = boundary;
    this.#times = times;
    this.#resumable = resumable;
    this.#timer = wheel.after(accepts.sse ? times.streamAfterMs : 0, () => {
      this.#openStream();
    });
    if (!accepts.json)
      // Deferred, because the call may still be refused.
      setImmediate(() => {
        boundary.run(
          'client_request',
          () => {
            this.#openStream();
          },
          (error) => {
            this.fail(error);
          },
        );
      });
    res.on('close', () => {
      try {
        this.#closed();
      } catch (thrown) {
        boundary.caught('client_request', thrown);
      }
    });
  }

  get isSilent(): boolean {
    return !this.#accepts.sse;
  }

  notify(notice: Notice): boolean {
    // A client that accepts only JSON gets no notifications.
    if (this.#mode === 'undecided' && this.#accepts.sse) this.#openStream();
    return this.#mode === 'sse' ? this.#event(notice.bytes) : true;
  }

  retryIn(ms: number): void {
    this.#retryMs = ms;
    this.#stream?.retryIn(ms);
  }

  ask(question: Question): Refusal | undefined {
    if (this.#mode === 'undecided' && this.#accepts.sse) this.#openStream();
    if (this.#mode !== 'sse' || !this.#target) return NOBODY_TO_ASK;
    if (this.#target.backlog > MAX_UNREAD) return READS_NOTHING;
    this.#event(question.bytes);
    return undefined;
  }

  start(head: AnswerHead): void {
    if (this.#mode === 'over') return;
    this.#head = head;
    if (this.#mode === 'undecided') {
      this.#timer.cancel();
      if (this.#accepts.json) this.#mode = 'json';
      else this.#openStream();
    }
    this.#stream?.start(head);
  }

  write(chunk: Buffer): boolean {
    if (this.#mode === 'over') return true;
    if (this.#stream) return this.#stream.write(chunk);
    if (chunk.length === this.#head?.bytes) {
      this.#whole = chunk;
      return true;
    }
    if (this.#target) {
      if (!this.#begun) this.#target.begin(undefined);
      this.#begun = true;
      return this.#target.chunk(chunk);
    }
    if (!this.#res.headersSent) {
      const headers = ['Content-Type', 'application/json'];
      const bytes = this.#head?.bytes;
      if (bytes !== undefined) headers.push('Content-Length', String(bytes));
      this.#res.writeHead(this.#status(), headers);
    }
    return (this.#writer ??= this.#backpressure()).wrote(this.#res.write(chunk));
  }

  end(): void {
    const mode = this.#mode;
    if (mode === 'over') return;
    this.#over();
    if (mode === 'json') {
      if (this.#whole) sendJson(this.#res, this.#status(), this.#whole);
      else this.#res.end();
      if (this.#writer || this.#res.writableNeedDrain) (this.#writer ?? this.#backpressure()).ended();
    } else if (this.#stream) this.#stream.end();
    else if (this.#begun) {
      this.#target?.finish();
      this.#target?.end();
    } else this.#target?.end(this.#whole);
  }

  /** Discards a sink that is not needed. */
  release(): void {
    this.#over();
  }

  cancelled(): void {
    const mode = this.#mode;
    if (mode === 'over') return;
    this.#over();
    // A cancelled request gets no answer.
    if (this.#stream) this.#stream.fail(undefined);
    else if (this.#target) this.#target.end();
    else if (this.#res.headersSent) breakOff(this.#res);
    else this.#res.writeHead(202).end();
  }

  fail(error: GatewayError): void {
    if (this.#mode === 'over') return;
    const message = (): Buffer => Buffer.from(errorMessage(error, this.#rawId, this.#era));
    const isBroken = this.#era === 'modern' && error.code === 'stream_broken';
    if (isBroken && this.#accepts.sse) this.#openStream();
    this.#over();
    if (this.#stream) this.#stream.fail(message());
    // The stream of the client breaks as that of the server did.
    else if (this.#target && isBroken) breakOff(this.#res);
    else if (this.#target) this.#target.end(message());
    // A partial answer must not look complete.
    else if (this.#res.headersSent) breakOff(this.#res);
    else sendError(this.#res, error, this.#rawId, errorHeaders(error), this.#era);
  }

  /** The status of a JSON answer: for a modern client it depends on the error code. */
  #status(): number {
    const code = this.#era === 'modern' ? this.#head?.code : undefined;
    return code === undefined ? 200 : modernStatus(code);
  }

  #event(message: Buffer): boolean {
    return this.#stream
      ? this.#stream.event(message)
      : (this.#target as EventStream).event(message, undefined);
  }

  #openStream(): void {
    if (this.#mode !== 'undecided') return;
    this.#mode = 'sse';
    this.#timer.cancel();
    const target = new EventStream(this.#res, this.#wheel, this.#boundary, this.#times.keepAliveMs);
    this.#target = target;
    target.drained = () => this.exchange?.resume();
    this.#stream = this.#resumable?.(
      target,
      {
        resume: () => this.exchange?.resume(),
        cancel: (why) => this.exchange?.cancel(why),
      },
      this.#rawId,
    );
    if (this.#retryMs !== undefined) this.#stream?.retryIn(this.#retryMs);
  }

  #backpressure(): Backpressure {
    return new Backpressure(this.#res, this.#wheel, this.#boundary, () => this.exchange?.resume());
  }

  #over(): void {
    this.#mode = 'over';
    this.#timer.cancel();
  }

  #closed(): void {
    // The client may not have received the end of the answer, which the event log keeps for a resumption.
    if (this.#stream && this.#target) {
      this.#stream.left(this.#target);
      return;
    }
    if (this.#mode === 'over') return;
    this.#over();
    // A stream without event ids cannot be resumed: its call is cancelled.
    if (!this.#res.writableFinished) this.exchange?.cancel('client gone');
  }
}

/** The Retry-After header that the server of the call asked for; empty: none. */
export function errorHeaders(error: GatewayError): string[] {
  const data = error.data as { retryAfter?: unknown } | undefined;
  return [
    ...(typeof data?.retryAfter === 'number' ? ['Retry-After', String(data.retryAfter)] : []),
    ...(error.challenge === undefined ? [] : ['WWW-Authenticate', error.challenge]),
  ];
}
