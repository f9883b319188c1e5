/** One POST to an upstream and its answer: a JSON body, an event stream, a refusal, a redirect. */
import type { Transform } from 'node:stream';
import { redactUrl } from '../../config/redact.js';
import { GatewayError } from '../../errors.js';
import { Pieces } from '../../lib/pieces.js';
import type { WheelTimer } from '../../lib/wheel.js';
import { AnswerReader, deliverError, saying } from '../calls/answer.js';
import type { Channel, UpstreamCall } from '../calls/calls.js';
import { decoder } from './decoder.js';
import { explain, staleSocket, type Controller, type UpstreamHandler } from './dispatcher.js';
import { readErrorAnswer, type ErrorAnswer } from '../calls/rpc-error.js';
import type { Braked } from './brake.js';
import { SseError } from '../../wire/sse-read.js';
import { EventReader } from '../calls/event-reader.js';
import {
  header,
  MAX_REDIRECTS,
  retryAfterMs,
  usable,
  usableHeader,
  type Headers,
  type HttpSession,
} from './http.js';

/** How much less a byte costs that flows on than one that is parsed. */
const FLOWING = 8;
/** Longest body of an HTTP error that is read. */
const MAX_ERROR_BODY = 1_048_576;
/** Attempts to go on with a broken stream that bring nothing new: no event with data. */
const MAX_RESUMES = 10;
/** The wait before the first of them where the server names none; it doubles. */
const RESUME_MS = 1000;
const MIN_RESUME_MS = 100;
const MAX_RESUME_MS = 30_000;
/** A stream that is closed in good order with a wait of at least this is meant to be polled (2025-11-25, basic/transports). */
const POLL_MS = 1000;
const MAX_POLL_MS = 300_000;

/** Where a broken stream is gone on with. */
interface Resume {
  readonly lastId: string;
  /** Attempts since the last event with data. */
  readonly tries: number;
}

/** How long an event stream may stay open after its answer before it is cut. */
const LINGER_MS = 1000;

export class HttpExchange implements UpstreamHandler, Channel, Braked {
  readonly #http: HttpSession;
  readonly #call: UpstreamCall;
  #controller: Controller | undefined;
  #aborted = false;
  /** Where it was sent. */
  #origin = '';
  #status = 0;
  #headers: Headers = {};
  #mode: 'sniff' | 'json' | 'events' | 'refused' | 'ignore' = 'sniff';
  #answer: AnswerReader | undefined;
  #events: EventReader | undefined;
  #decoder: Transform | undefined;
  readonly #refused = new Pieces();
  #refusedBytes = 0;
  readonly #resume: Resume | undefined;
  #redirects = 0;
  #received = 0;
  #length: number | undefined;
  /** Whether the request carried a session id: what it does now tells nothing of then. */
  #hadSession = false;
  #gotBytes = false;
  /** By the call, whose client reads slowly. */
  #paused = false;
  /** By the server's own doing: see brake.ts. */
  #braked = false;
  /** What had been heard of the answer before this request. */
  readonly #heardBefore: number;
  #linger: WheelTimer | undefined;

  constructor(http: HttpSession, call: UpstreamCall, redirects = 0, resume?: Resume) {
    this.#http = http;
    this.#call = call;
    this.#redirects = redirects;
    this.#resume = resume;
    this.#heardBefore = call.heard;
  }

  dispatch(): void {
    const { origin, path, dispatcher } = this.#http;
    this.#origin = origin;
    this.#call.channel = this;
    this.#hadSession = this.#http.hasSession;
    if (this.#resume) {
      const headers = [...this.#http.streamHeaders(), 'last-event-id', this.#resume.lastId];
      dispatcher.dispatch({ method: 'GET', origin, path, headers, body: null, long: true }, this);
      return;
    }
    const { body, long } = this.#call;
    dispatcher.dispatch(
      { method: 'POST', origin, path, headers: this.#http.headers(this.#call), body, long },
      this,
    );
  }

  pause(): void {
    this.#paused = true;
    this.#controller?.pause();
    this.#decoder?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#decoder?.resume();
    this.#goOnReading();
  }

  brake(on: boolean): void {
    this.#braked = on;
    if (on) this.#controller?.pause();
    else if (!this.#paused) this.#goOnReading();
  }

  /** Of a coded body more is read once its decoder has room. */
  #goOnReading(): void {
    if (!this.#braked && !this.#decoder?.writableNeedDrain) this.#controller?.resume();
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#http.brake.release(this);
    this.#answer?.destroy();
    this.#events?.destroy();
    this.#linger?.cancel();
    this.#decoder?.destroy();
    this.#giveRefusal();
    const controller = this.#controller;
    if (!controller) return;
    const end = (): void => {
      controller.resume();
      controller.abort(new Error('aborted by the gateway'));
    };
    // A stream that is paused is not resumed from within the callback of another one: undici reads one at a time.
    if (this.#paused || this.#braked) setImmediate(this.#http.owner.boundary.guard('answer', end));
    else end();
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(new Error('aborted by the gateway'));
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    if (status < 200) return;
    try {
      this.#begin(status, headers);
    } catch (thrown) {
      this.#fell('answer', thrown);
    }
  }

  #begin(status: number, headers: Headers): void {
    this.#gotBytes = true;
    this.#status = status;
    this.#call.httpStatus = status;
    this.#headers = headers;
    this.#http.events.seen();
    const set = headers['set-cookie'];
    if (set !== undefined) this.#http.cookies(set, this.#origin);
    if (status >= 300) {
      this.#mode = 'refused';
    } else if (this.#call.method === 'initialize') {
      this.#http.opened(usableHeader(headers, 'mcp-session-id', this.#http.owner.log));
    }
    const coding = header(headers, 'content-encoding').toLowerCase();
    if (coding !== '' && coding !== 'identity') this.#openDecoder(coding);
    if (this.#mode === 'sniff' && header(headers, 'content-type').startsWith('text/event-stream'))
      this.#readEvents();
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#http.owner.observer.received(chunk.length);
    try {
      if (this.#decoder) this.#decode(this.#decoder, chunk);
      else this.#read(chunk);
    } catch (thrown) {
      this.#fell('answer', thrown);
    }
  }

  onResponseEnd(): void {
    this.#http.brake.release(this);
    try {
      if (this.#decoder) this.#decoder.end();
      else this.#finish();
    } catch (thrown) {
      this.#fell('answer', thrown);
    }
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    const failed = (): void => {
      try {
        this.#failed(error);
      } catch (thrown) {
        this.#fell('answer', thrown);
      }
    };
    // Without a connection it may come before send() has returned.
    if (this.#controller) failed();
    else setImmediate(failed);
  }

  /** A fault of the gateway ends this call alone. */
  #fell(where: 'answer' | 'decoder', thrown: unknown): void {
    const { boundary } = this.#http.owner;
    const error = boundary.caught(where, thrown);
    boundary.run(where, () => {
      this.#call.fail(error);
      this.abort();
    });
  }

  #failed(error: Error): void {
    this.#http.brake.release(this);
    this.#linger?.cancel();
    this.#giveRefusal();
    const call = this.#call;
    this.#answer?.destroy();
    if (this.#aborted || call.over) return;
    const { dispatcher, owner, events } = this.#http;
    const stale = this.#gotBytes ? undefined : staleSocket(error);
    if (stale?.reused && stale.silent) {
      dispatcher.lowerKeepAlive();
      // Not begun: no byte of the request was written, and the upstream cannot have acted on it.
      if (!call.resent && (call.repeatable || this.#controller === undefined)) {
        call.resent = true;
        owner.log.debug('a stale socket lost the request: sent again', { method: call.method });
        return new HttpExchange(this.#http, call).dispatch();
      }
    }
    if ((this.#gotBytes || this.#resume) && (this.#goOn('broken') || this.#again())) return;
    if (!this.#gotBytes) call.unreached = true;
    const what = this.#gotBytes ? 'broke off its answer' : 'request failed';
    const gateway = new GatewayError(
      isTimeout(error) ? 'upstream_timeout' : 'upstream_protocol_error',
      `upstream '${owner.server}' ${what}: ${explain(error)}`,
      this.#broken(),
    );
    call.fail(gateway);
    if (!this.#gotBytes) events.doubt();
  }

  /** The call is over, or is being sent again elsewhere: what comes here is nobody's. */
  get #detached(): boolean {
    return this.#call.over || this.#call.channel !== this;
  }

  #read(chunk: Buffer): void {
    const call = this.#call;
    if (this.#mode === 'sniff' && chunk.length > 0) {
      if (startsAsEvents(chunk)) this.#readEvents();
      else this.#readJson();
    }
    switch (this.#mode) {
      case 'json':
        call.alive();
        if (!(this.#answer as AnswerReader).push(chunk)) call.hold();
        this.#received += chunk.length;
        if (this.#received !== this.#length) {
          this.#answer?.pending();
          // What flows is cheap; what comes in many pieces is not.
          if (!this.#aborted) this.#http.brake.spend(this, chunk.length / FLOWING);
        }
        break;
      case 'events':
        try {
          const { brake } = this.#http;
          const before = brake.caused;
          if (!(this.#events as EventReader).push(chunk)) call.hold();
          brake.read(this, chunk.length, before);
        } catch (error) {
          if (!(error instanceof SseError)) throw error;
          call.broken(`sent an unreadable event stream: ${error.message}`);
        }
        if (this.#detached) this.#lingering();
        break;
      case 'refused':
        this.#keepRefusal(chunk.subarray(0, MAX_ERROR_BODY - this.#refusedBytes));
        break;
      case 'sniff':
      case 'ignore':
    }
  }

  #finish(): void {
    this.#linger?.cancel();
    const call = this.#call;
    if (this.#detached) return;
    switch (this.#mode) {
      case 'json':
        this.#answer?.end();
        if (!this.#detached && this.#answer) call.broken('answered without a JSON-RPC answer');
        break;
      case 'events':
        this.#events?.finish();
        if (this.#detached || this.#goOn('closed') || this.#again()) return;
        call.broken(this.#events?.problem ?? 'ended its event stream without an answer', this.#broken());
        break;
      case 'refused':
        this.#judge(this.#giveRefusal());
        break;
      case 'sniff':
        call.broken(`answered HTTP ${this.#status} with an empty body`);
        break;
      case 'ignore':
    }
  }

  #readJson(): void {
    this.#mode = 'json';
    const { owner } = this.#http;
    const length = this.#decoder ? '' : header(this.#headers, 'content-length');
    this.#length = length === '' ? undefined : Number(length);
    this.#answer = new AnswerReader(this.#call, owner.answerLimits, owner.order, this.#length);
  }

  /**
   * A stream whose events have ids goes on where it ended (2025-11-25, basic/transports). `refused`: the request to go on was answered with
   * an HTTP error. false: it cannot.
   */
  #goOn(how: 'closed' | 'broken' | 'refused', leastMs = 0): boolean {
    if (this.#http.modern) return false;
    // What the client has seen half of cannot be sent to it again.
    if (this.#events?.inAnswer) return false;
    const { owner } = this.#http;
    const lastId = usable(this.#events?.lastId, 'event id', owner.log) ?? this.#resume?.lastId;
    if (lastId === undefined) return false;
    const call = this.#call;
    const retryMs = this.#events?.retryMs;
    const polls = how === 'closed' && retryMs !== undefined && retryMs >= POLL_MS;
    const before = call.heard === this.#heardBefore ? (this.#resume?.tries ?? 0) : 0;
    const tries = polls ? before : before + 1;
    this.#events?.destroy();
    if (tries > MAX_RESUMES) {
      call.broken(
        `broke off its answer and did not go on with it: ${MAX_RESUMES} attempts brought nothing new`,
      );
      return true;
    }
    const doubled = Math.max(retryMs ?? RESUME_MS, MIN_RESUME_MS) * 2 ** (tries - 1);
    const wait = polls ? Math.min(retryMs, MAX_POLL_MS) : Math.max(Math.min(doubled, MAX_RESUME_MS), leastMs);
    call.sawMessage = true;
    owner.log.debug('an answer broke off: going on where it did', { method: call.method, tries });
    const goOn = (): void => {
      if (this.#detached || this.#aborted || this.#http.closed) return;
      new HttpExchange(this.#http, call, 0, { lastId, tries }).dispatch();
    };
    const failed = (error: GatewayError): void => {
      call.fail(error);
    };
    setTimeout(owner.boundary.guard('answer', goOn, failed), wait).unref();
    return true;
  }

  /**
   * In the modern era a broken stream is not gone on with (2026-07-28, basic/transports/streamable-http): what does no harm twice is
   * sent once more. false: it is not.
   */
  #again(): boolean {
    const call = this.#call;
    if (!this.#http.modern || !call.repeatable || call.resent) return false;
    // The server has begun to work on it: what a tool says of itself is a hint, not a promise.
    if (call.method === 'tools/call') return false;
    // What the client has seen half of cannot be sent to it again.
    if (this.#events?.inAnswer || this.#answer?.started) return false;
    call.resent = true;
    this.#events?.destroy();
    this.#http.owner.log.debug('an answer broke off: the request is sent again', { method: call.method });
    new HttpExchange(this.#http, call).dispatch();
    return true;
  }

  /** Tells a stream that broke from other failures: to a modern client its own stream breaks. */
  #broken(): { broken: true } | undefined {
    return this.#http.modern && this.#gotBytes ? { broken: true } : undefined;
  }

  #readEvents(): void {
    this.#mode = 'events';
    const { owner, config } = this.#http;
    this.#events = new EventReader(
      this.#call,
      owner.answerLimits,
      owner.order,
      config.quirks.normalize_sse_events,
    );
  }

  /** The answer is out: the stream should end by itself, so that its socket can be used again. */
  #lingering(): void {
    if (this.#linger || this.#aborted) return;
    this.#mode = 'ignore';
    this.#linger = this.#http.owner.wheel.after(LINGER_MS, () => this.abort());
  }

  #openDecoder(coding: string): void {
    const { owner } = this.#http;
    let decode: ReturnType<typeof decoder>;
    try {
      decode = decoder(coding, owner.messageBytes());
    } catch (error) {
      this.#call.broken(`answered with an unknown coding: ${(error as Error).message}`);
      return;
    }
    if (!decode) return;
    this.#decoder = decode;
    const fell = (thrown: unknown): void => {
      this.#fell('decoder', thrown);
    };
    decode.on('data', (chunk: Buffer) => {
      try {
        this.#read(chunk);
      } catch (thrown) {
        fell(thrown);
      }
    });
    decode.on('end', () => {
      try {
        this.#finish();
      } catch (thrown) {
        fell(thrown);
      }
    });
    decode.on('drain', () => {
      if (!this.#paused) this.#goOnReading();
    });
    decode.on('error', (error: Error) => {
      owner.boundary.run('decoder', () => {
        this.#call.broken(`sent an unreadable ${coding} body: ${error.message}`);
      });
    });
  }

  /** What comes waits for the decoder, and the decoder for whoever reads the answer. */
  #decode(decode: Transform, chunk: Buffer): void {
    if (decode.destroyed) return;
    if (!decode.write(chunk)) this.#controller?.pause();
  }

  /** The body of a refusal is kept for its text, as far as there is room. */
  #keepRefusal(chunk: Buffer): void {
    if (chunk.length === 0 || !this.#http.owner.budget.take(chunk.length)) return;
    this.#refused.push(chunk);
    this.#refusedBytes += chunk.length;
  }

  #giveRefusal(): Buffer {
    const body = this.#refused.taken();
    this.#http.owner.budget.give(body.length);
    this.#refusedBytes = 0;
    return body;
  }

  /** An HTTP status that is no success. */
  #judge(body: Buffer): void {
    const call = this.#call;
    const { owner, config } = this.#http;
    const status = this.#status;
    const retry = status === 429 || status === 503 ? retryAfterMs(this.#headers) : undefined;
    call.retryAfterMs = retry;
    if (this.#resume) {
      const passes = status === 408 || status === 429 || status >= 500;
      if (passes && this.#goOn('refused', Math.min(retry ?? 0, MAX_RESUME_MS))) return;
      return call.broken(`broke off its answer and did not go on with it: HTTP ${status}`);
    }
    if (status < 400) return this.#followRedirect(status);
    const answer = readErrorAnswer(body);
    const error = answer?.error;
    if (owner.refused(call, { type: 'http', status, body, error, hadSession: this.#hadSession })) return;
    if (this.#http.modern) {
      if (seemsLegacy(error, status)) this.#http.events.wrongEra();
      if (answer && isOfRequest(answer, call, status)) return deliverError(call, answer.value, answer.error);
    }
    // The upstream's own error to this very request goes on as it is.
    if (answer?.id === call.idText && !OF_CREDENTIALS.has(status))
      return deliverError(call, answer.value, answer.error);
    const failure = new GatewayError(
      status === 401 || status === 403 ? 'upstream_auth_failed' : 'upstream_protocol_error',
      `upstream '${config.name}' answered HTTP ${status}${saying(body, status)}`,
      retry === undefined ? { status } : { status, retryAfter: Math.ceil(retry / 1000) },
    );
    call.fail(failure);
  }

  #followRedirect(status: number): void {
    const location = usableHeader(this.#headers, 'location', this.#http.owner.log);
    if (status !== 307 && status !== 308) {
      const target = location === '' ? '' : ` to ${redactUrl(location)}`;
      return this.#call.broken(`answered HTTP ${status}${target}: only 307 and 308 are followed`);
    }
    if (this.#redirects >= MAX_REDIRECTS)
      return this.#call.broken(`redirected more than ${MAX_REDIRECTS} times`);
    const why = location === '' ? 'redirected without saying where' : this.#http.redirect(location);
    if (why !== undefined) return this.#call.broken(why);
    new HttpExchange(this.#http, this.#call, this.#redirects + 1).dispatch();
  }
}

/** Statuses that speak of the gateway's own credentials: what the body says is for operators. */
const OF_CREDENTIALS = new Set([401, 403]);
/** Statuses that speak of the way to a server, not of what it speaks. */
const OF_THE_WAY = new Set([401, 403, 408, 429]);
/** Errors of JSON-RPC itself and of the modern era: what any server of that era answers with. */
const MODERN_CODES = new Set([-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022]);

/** A modern server may answer without an id where it could not, or did not, read the request. */
function isOfRequest({ id }: ErrorAnswer, call: UpstreamCall, status: number): boolean {
  if (OF_CREDENTIALS.has(status)) return false;
  return id === call.idText || (id === '' && status < 500 && !OF_THE_WAY.has(status));
}

/** A refusal that a modern server would not have put so (2026-07-28, basic/versioning). */
function seemsLegacy(error: ErrorAnswer['error'] | undefined, status: number): boolean {
  return status < 500 && !OF_THE_WAY.has(status) && !(error && MODERN_CODES.has(error.code));
}

function startsAsEvents(chunk: Buffer): boolean {
  if (chunk[0] === 0x7b) return false;
  const start = chunk.toString('latin1', 0, 9).replace(/^\xef\xbb\xbf/, '');
  return start.startsWith('event:') || start.startsWith('data:');
}

function isTimeout(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT';
}
