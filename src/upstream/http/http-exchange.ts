/** One POST to an upstream and its answer: a JSON body, an event stream, a refusal, a redirect. */
import { GatewayError } from '../../errors.js';
import type { WheelTimer } from '../../lib/wheel.js';
import { mayPass } from '../../lib/may-pass.js';
import { AnswerReader } from '../calls/answer.js';
import type { Channel, UpstreamCall } from '../calls/calls.js';
import { CodedBody } from './coded-body.js';
import { askAgain } from './credential-refusal.js';
import { decoder } from './decoder.js';
import { explain, isTimeout, staleSocket, type Controller, type UpstreamHandler } from './dispatcher.js';
import type { Braked } from './brake.js';
import { SseError } from '../../wire/sse-read.js';
import { EventReader, startsAsEvents } from '../calls/event-reader.js';
import { header, retryAfterMs, traced, usable, usableHeader } from './http.js';
import type { Headers, HttpSession } from './http.js';
import { followRedirect } from './redirect.js';
import { isOutdated, RefusalBody, refuse } from './refusal.js';
import { MAX_RESUME_MS, MAX_RESUMES, nextAttempt, type Resume, type StreamEnd } from './resume.js';

/** How many bytes that are streamed cost as much as one that is parsed. */
const STREAMED_PER_PARSED = 8;
/** How long an event stream may stay open after the answer, in ms. */
const LINGER_MS = 1000;

export class HttpExchange implements UpstreamHandler, Channel, Braked {
  readonly #http: HttpSession;
  readonly #call: UpstreamCall;
  #controller: Controller | undefined;
  #aborted = false;
  /** The origin that it was sent to. */
  #origin = '';
  #status = 0;
  #headers: Headers = {};
  #mode: 'sniff' | 'json' | 'events' | 'refused' | 'ignore' = 'sniff';
  #answer: AnswerReader | undefined;
  #events: EventReader | undefined;
  #coded: CodedBody | undefined;
  #refusal: RefusalBody | undefined;
  readonly #resume: Resume | undefined;
  /** The session that the call was sent in; undefined: in none. */
  readonly #generation: number | undefined;
  #endWait: (() => void) | undefined;
  #redirects = 0;
  #received = 0;
  #length: number | undefined;
  /** Whether the request had a session id. */
  #hadSession = false;
  #gotBytes = false;
  /** Paused by the call: its client reads slowly. */
  #paused = false;
  /** Paused because of what the server does: see brake.ts. */
  #braked = false;
  /** `call.received` before this request. */
  readonly #receivedBefore: number;
  /** How often the credential of the call was refused before. */
  readonly #refusals: number;
  /** `stamp` of the credential that it was sent with. */
  #stamp = 0;
  #linger: WheelTimer | undefined;

  constructor(http: HttpSession, call: UpstreamCall, redirects = 0, resume?: Resume, refusals = 0) {
    this.#http = http;
    this.#call = call;
    this.#redirects = redirects;
    this.#resume = resume;
    this.#generation = resume ? resume.generation : http.hasSession ? http.generation : undefined;
    this.#refusals = refusals;
    this.#receivedBefore = call.received;
  }

  dispatch(): void {
    // Another session knows nothing of the stream, and may open one on which nothing comes.
    if (this.#resume && this.#isLost) return this.#call.broken('lost the session of the call');
    const { origin, path, dispatcher } = this.#http;
    this.#origin = origin;
    this.#call.channel = this;
    this.#hadSession = this.#http.hasSession;
    this.#stamp = this.#http.credential?.stamp ?? 0;
    if (this.#resume) {
      const headers = [...this.#http.streamHeaders(), 'last-event-id', this.#resume.lastId];
      dispatcher.dispatch({ method: 'GET', origin, path, headers, body: null, long: true }, this);
      return;
    }
    const { body, long } = this.#call;
    const headers = traced(this.#http.headers(this.#call), this.#call);
    dispatcher.dispatch({ method: 'POST', origin, path, headers, body, long }, this);
  }

  pause(): void {
    this.#paused = true;
    this.#controller?.pause();
    this.#coded?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#coded?.resume();
    this.#readOn();
  }

  brake(on: boolean): void {
    this.#braked = on;
    if (on) this.#controller?.pause();
    else if (!this.#paused) this.#readOn();
  }

  /** Reads on, unless the brake is on or a decoder is full. */
  #readOn(): void {
    if (!this.#braked && !this.#coded?.isFull) this.#controller?.resume();
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#endWait?.();
    this.#http.brake.release(this);
    this.#answer?.destroy();
    this.#events?.destroy();
    this.#linger?.cancel();
    this.#coded?.destroy();
    this.#refusal?.taken();
    const controller = this.#controller;
    if (!controller) return;
    const end = (): void => {
      controller.resume();
      controller.abort(new Error('aborted by the gateway'));
    };
    // Not from within the callback of another exchange: undici reads one socket at a time.
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
      this.#threw('answer', thrown);
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
      this.#refusal = new RefusalBody(this.#http.owner.budget);
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
      // What arrives waits for the decoder, and the decoder for the reader of the answer.
      if (!this.#coded) this.#read(chunk);
      else if (!this.#coded.write(chunk)) this.#controller?.pause();
    } catch (thrown) {
      this.#threw('answer', thrown);
    }
  }

  onResponseEnd(): void {
    this.#http.brake.release(this);
    try {
      if (this.#coded) this.#coded.end();
      else this.#finish();
    } catch (thrown) {
      this.#threw('answer', thrown);
    }
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    const failed = (): void => {
      try {
        this.#failed(error);
      } catch (thrown) {
        this.#threw('answer', thrown);
      }
    };
    // Without a connection it may be called before send() has returned.
    if (this.#controller) failed();
    else setImmediate(failed);
  }

  /** An exception of the gateway ends this call alone. */
  #threw(where: 'answer' | 'decoder', thrown: unknown): void {
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
    this.#refusal?.taken();
    const call = this.#call;
    this.#answer?.destroy();
    if (this.#aborted || call.over) return;
    const { dispatcher, owner, events } = this.#http;
    const stale = this.#gotBytes ? undefined : staleSocket(error);
    if (stale?.reused && stale.silent) {
      dispatcher.lowerKeepAlive();
      // Not started: no byte of the request was written, so the server cannot have acted on it. One that is resumed has begun long ago.
      if (!this.#resume && !call.resent && (call.repeatable || this.#controller === undefined)) {
        call.resent = true;
        owner.log.debug('a stale socket lost the request: sent again', { method: call.method });
        return new HttpExchange(this.#http, call).dispatch();
      }
    }
    if ((this.#gotBytes || this.#resume) && (this.#resumeStream('broken') || this.#sendAgain())) return;
    if (!this.#gotBytes) call.unreached = true;
    const what = this.#gotBytes ? 'broke off its answer' : 'request failed';
    const gateway = new GatewayError(
      isTimeout(error) ? 'upstream_timeout' : 'upstream_protocol_error',
      `upstream '${owner.server}' ${what}: ${explain(error)}`,
      this.#brokenData(),
    );
    if (this.#controller === undefined && !call.resent && !this.#resume) gateway.unsent = true;
    call.fail(gateway);
    if (!this.#gotBytes) events.doubt();
  }

  /** The call has ended, or was sent again: what arrives here is ignored. */
  get #detached(): boolean {
    return this.#call.over || this.#call.channel !== this;
  }

  get #isLost(): boolean {
    return this.#generation !== undefined && this.#generation !== this.#http.generation;
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
          // Streaming is cheap; many small pieces are not.
          if (!this.#aborted) this.#http.brake.spend(this, chunk.length / STREAMED_PER_PARSED);
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
        if (this.#detached) this.#awaitEnd();
        break;
      case 'refused':
        this.#refusal?.push(chunk);
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
        if (this.#detached || this.#resumeStream('closed') || this.#sendAgain()) return;
        call.broken(this.#events?.problem ?? 'ended its event stream without an answer', this.#brokenData());
        break;
      case 'refused':
        if (!this.#asksAgain()) this.#refused();
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
    const length = this.#coded ? '' : header(this.#headers, 'content-length');
    this.#length = length === '' ? undefined : Number(length);
    this.#answer = new AnswerReader(this.#call, owner.answerLimits, owner.order, this.#length);
  }

  /** Resumes a stream whose events have ids, in a legacy session. Returns false if it cannot be resumed. */
  #resumeStream(end: StreamEnd, leastMs = 0): boolean {
    const { owner, waits } = this.#http;
    if (!waits) return false;
    // The client has got a part of the answer already.
    if (this.#events?.inAnswer) return false;
    const lastId = usable(this.#events?.lastId, 'event id', owner.log) ?? this.#resume?.lastId;
    if (lastId === undefined) return false;
    const call = this.#call;
    const before = call.received === this.#receivedBefore ? (this.#resume?.tries ?? 0) : 0;
    const { tries, waitMs } = nextAttempt(end, this.#events?.retryMs, before, leastMs);
    this.#events?.destroy();
    if (tries > MAX_RESUMES) {
      call.broken(`broke off its answer and did not resume it: ${MAX_RESUMES} attempts brought nothing new`);
      return true;
    }
    call.sawMessage = true;
    owner.log.debug('an answer broke off: resuming it', { method: call.method, tries });
    const resume = (): void => {
      if (this.#detached || this.#aborted || this.#http.closed) return;
      new HttpExchange(this.#http, call, 0, { lastId, tries, generation: this.#generation }).dispatch();
    };
    const guarded = owner.boundary.guard('answer', resume, call.fail.bind(call));
    this.#endWait = waits.after(this.#isLost ? 0 : waitMs, guarded);
    return true;
  }

  /**
   * Sends a request once more whose modern stream broke, which cannot be resumed (2026-07-28, basic/transports/streamable-http). Returns
   * false if it must not be repeated.
   */
  #sendAgain(): boolean {
    const call = this.#call;
    if (!this.#http.modern || !call.repeatable || call.resent) return false;
    // The server has begun to run the tool: `idempotentHint` is a hint, not a promise.
    if (call.method === 'tools/call') return false;
    // The client has got a part of the answer already.
    if (this.#events?.inAnswer || this.#answer?.started) return false;
    call.resent = true;
    this.#events?.destroy();
    this.#http.owner.log.debug('an answer broke off: the request is sent again', { method: call.method });
    new HttpExchange(this.#http, call).dispatch();
    return true;
  }

  /** Error data that marks a broken modern stream: the stream of a modern client breaks as well. */
  #brokenData(): { broken: true } | undefined {
    return this.#http.modern && this.#gotBytes ? { broken: true } : undefined;
  }

  #readEvents(): void {
    this.#mode = 'events';
    const { owner, config } = this.#http;
    const ignoreTypes = config.quirks.normalize_sse_events;
    const isResumed = this.#resume !== undefined;
    this.#events = new EventReader(this.#call, owner.answerLimits, owner.order, ignoreTypes, isResumed);
  }

  /** The answer was delivered: the stream has a moment to end, so that its socket can be used again. */
  #awaitEnd(): void {
    if (this.#linger || this.#aborted) return;
    this.#mode = 'ignore';
    this.#linger = this.#http.owner.wheel.after(LINGER_MS, () => this.abort());
  }

  #openDecoder(coding: string): void {
    let decode: ReturnType<typeof decoder>;
    try {
      decode = decoder(coding, this.#http.owner.messageBytes());
    } catch (error) {
      return this.#call.broken(`answered with an unknown coding: ${(error as Error).message}`);
    }
    if (!decode) return;
    this.#coded = new CodedBody(decode, {
      data: this.#read.bind(this),
      end: this.#finish.bind(this),
      unreadable: (error) => {
        this.#call.broken(`sent an unreadable ${coding} body: ${error.message}`);
      },
      drained: () => {
        if (!this.#paused) this.#readOn();
      },
      threw: (thrown) => {
        this.#threw('decoder', thrown);
      },
    });
  }

  /** Obtains another credential if the server refused the one that was shown; the body is kept meanwhile. */
  #asksAgain(): boolean {
    // A fresh token was refused in an older session: the server may have bound that to the old one.
    if (this.#refusals > 0 && this.#status === 401 && !this.#call.resent) {
      if (isOutdated(this.#http, this.#hadSession, this.#stamp)) return false;
    }
    const sent = { status: this.#status, headers: this.#headers, stamp: this.#stamp, times: this.#refusals };
    return askAgain(this.#http, sent, {
      isOver: () => this.#detached || this.#aborted || this.#http.closed,
      again: () => {
        this.#refusal?.taken();
        const next = this.#refusals + 1;
        new HttpExchange(this.#http, this.#call, this.#redirects, this.#resume, next).dispatch();
      },
      failed: (error) => {
        this.#call.fail(error);
      },
      usual: () => {
        this.#refused();
      },
    });
  }

  /** The status is not a success. */
  #refused(): void {
    const body = (this.#refusal as RefusalBody).taken();
    const call = this.#call;
    const status = this.#status;
    const retry = status === 429 || status === 503 ? retryAfterMs(this.#headers) : undefined;
    call.retryAfterMs = retry;
    if (this.#resume) {
      if (mayPass(status) && this.#resumeStream('refused', Math.min(retry ?? 0, MAX_RESUME_MS))) return;
      return call.broken(`broke off its answer and did not resume it: HTTP ${status}`);
    }
    if (status < 400) {
      const problem = followRedirect(this.#http, status, this.#headers, this.#redirects);
      if (problem !== undefined) return call.broken(problem);
      return new HttpExchange(this.#http, call, this.#redirects + 1, undefined, this.#refusals).dispatch();
    }
    const [hadSession, stamp] = [this.#hadSession, this.#stamp];
    refuse(this.#http, call, { status, body, hadSession, stamp, retryAfterMs: retry });
  }
}
