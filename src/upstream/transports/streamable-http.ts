/**
 * Streamable HTTP towards an upstream (2025-11-25, basic/transports): one POST a message, answered by a JSON body or by an
 * event stream; a GET stream for what the server says by itself.
 */
import { GatewayError } from '../../errors.js';
import { backoffMs } from '../../lib/backoff.js';
import type { WheelTimer } from '../../lib/wheel.js';
import type { HttpServerConfig, ServerConfig } from '../../config/types.js';
import { redactUrl } from '../../config/redact.js';
import { AnswerReader, asRpcError, deliverError, excerpt, type RpcError } from '../answer.js';
import type { CallOwner, Channel, Transport, TransportEvents, UpstreamCall } from '../calls.js';
import { decoder } from '../decoder.js';
import { staleSocket, type Controller, type Dispatcher, type UpstreamHandler } from '../dispatcher.js';
import { lostByStatus } from '../lost-session.js';
import { EventReader } from './event-reader.js';

type Headers = Record<string, string | string[] | undefined>;

/** Longest body of an HTTP error that is read. */
const MAX_ERROR_BODY = 65_536;
const MAX_REDIRECTS = 3;
/** How long an event stream may stay open after its answer before it is cut. */
const LINGER_MS = 1000;
const GET_BACKOFF_BASE_MS = 1000;
const GET_BACKOFF_MAX_MS = 30_000;

export interface StreamableDeps {
  readonly config: HttpServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly dispatcher: Dispatcher;
}

export function header(headers: Headers, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : Array.isArray(value) ? (value[0] ?? '') : '';
}

/** What an upstream asked a client to wait, in ms; undefined: it named nothing usable. */
export function retryAfterMs(headers: Headers): number | undefined {
  const value = header(headers, 'retry-after');
  if (value === '') return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 3600) * 1000 : undefined;
}

export class StreamableHttp implements Transport {
  readonly kind = 'streamable';
  config: HttpServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly dispatcher: Dispatcher;
  origin: string;
  path: string;
  generation = 1;
  #sessionId: string | undefined;
  #revision: string | undefined;
  #headers: string[] | undefined;
  #stream: ServerStream | undefined;
  #closed = false;

  constructor(deps: StreamableDeps) {
    this.config = deps.config;
    this.owner = deps.owner;
    this.events = deps.events;
    this.dispatcher = deps.dispatcher;
    const url = new URL(deps.config.url);
    this.origin = url.origin;
    this.path = url.pathname + url.search;
  }

  get hasSession(): boolean {
    return this.#sessionId !== undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(call: UpstreamCall): void {
    this.owner.stats.bytesSent += call.body.length;
    new HttpExchange(this, call).dispatch();
  }

  post(body: Buffer): void {
    if (this.#closed) return;
    this.owner.stats.bytesSent += body.length;
    this.dispatcher.dispatch(
      { method: 'POST', origin: this.origin, path: this.path, headers: this.headers(), body },
      ignoreAnswer((error) =>
        this.owner.log.debug('a notification did not reach the upstream', { error: error.message }),
      ),
    );
  }

  ready(revision: string): void {
    this.#revision = revision;
    this.#headers = undefined;
    this.#stream?.destroy();
    this.#stream = new ServerStream(this);
    this.#stream.open();
  }

  update(config: ServerConfig): void {
    if (config.kind !== 'http') return;
    this.config = config;
    this.#headers = undefined;
  }

  reset(): void {
    this.generation++;
    this.#sessionId = undefined;
    this.#revision = undefined;
    this.#headers = undefined;
    this.#stream?.destroy();
    this.#stream = undefined;
  }

  /** The session id of the answer to `initialize`. */
  opened(sessionId: string): void {
    this.#sessionId = sessionId === '' ? undefined : sessionId;
    this.#headers = undefined;
  }

  /** The headers of a POST as a flat list; the same array for every call of a session. */
  headers(): string[] {
    return (this.#headers ??= this.#build('application/json, text/event-stream', true));
  }

  streamHeaders(): string[] {
    return this.#build('text/event-stream', false);
  }

  /** Follows a redirect if it stays with this server (same origin, or http to https on the same host). */
  redirect(location: string): string | undefined {
    let target: URL;
    const here = new URL(this.path, this.origin);
    try {
      target = new URL(location, here);
    } catch {
      return `redirected to an unusable address`;
    }
    const upgrade =
      here.protocol === 'http:' && target.protocol === 'https:' && here.hostname === target.hostname;
    if (target.origin !== here.origin && !upgrade)
      return `redirected to ${redactUrl(target.href)}, another origin, which is not followed: set that url for the server`;
    this.origin = target.origin;
    this.path = target.pathname + target.search;
    return undefined;
  }

  close(graceMs: number): Promise<void> {
    this.#closed = true;
    this.#stream?.destroy();
    if (!this.#sessionId) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(done, graceMs);
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
      const headers = this.headers();
      this.dispatcher.dispatch(
        { method: 'DELETE', origin: this.origin, path: this.path, headers, body: null },
        ignoreAnswer(done, done),
      );
    });
  }

  destroy(): void {
    this.#closed = true;
    this.#stream?.destroy();
    this.dispatcher.destroy();
  }

  #build(accept: string, post: boolean): string[] {
    const { config } = this;
    const list: string[] = [];
    if (post) list.push('content-type', 'application/json');
    list.push('accept', post ? (config.quirks.inject_accept_header ?? accept) : accept);
    list.push('accept-encoding', 'identity');
    if (this.#sessionId !== undefined) list.push('mcp-session-id', this.#sessionId);
    if (this.#revision !== undefined && this.#revision >= '2025-06-18')
      list.push('mcp-protocol-version', this.#revision);
    if (config.auth.type === 'bearer') list.push('authorization', `Bearer ${config.auth.token}`);
    const own = new Set([
      'content-type',
      'accept-encoding',
      'mcp-session-id',
      'mcp-protocol-version',
      'content-length',
      'host',
      'connection',
      'transfer-encoding',
    ]);
    for (const [name, value] of Object.entries(config.headers)) {
      const lower = name.toLowerCase();
      if (own.has(lower)) continue;
      const at = list.indexOf(lower);
      if (at !== -1 && at % 2 === 0) list[at + 1] = value;
      else list.push(lower, value);
    }
    return list;
  }
}

/** A handler for exchanges whose answer nobody reads. */
function ignoreAnswer(failed: (error: Error) => void, done?: () => void): UpstreamHandler {
  return {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd() {
      done?.();
    },
    onResponseError(_controller, error) {
      failed(error);
    },
  };
}

/** One POST and its answer. */
class HttpExchange implements UpstreamHandler, Channel {
  readonly #http: StreamableHttp;
  readonly #call: UpstreamCall;
  #controller: Controller | undefined;
  #aborted = false;
  #status = 0;
  #headers: Headers = {};
  #mode: 'sniff' | 'json' | 'events' | 'refused' | 'ignore' = 'sniff';
  #answer: AnswerReader | undefined;
  #events: EventReader | undefined;
  #decoder: ReturnType<typeof decoder> | undefined;
  #refused: Buffer[] = [];
  #refusedBytes = 0;
  #redirects = 0;
  #received = 0;
  #length: number | undefined;
  /** Whether the request carried a session id: what it does now tells nothing of then. */
  #hadSession = false;
  #gotBytes = false;
  #linger: WheelTimer | undefined;

  constructor(http: StreamableHttp, call: UpstreamCall, redirects = 0) {
    this.#http = http;
    this.#call = call;
    this.#redirects = redirects;
  }

  dispatch(): void {
    const { origin, path, dispatcher } = this.#http;
    this.#call.channel = this;
    this.#hadSession = this.#http.hasSession;
    dispatcher.dispatch(
      { method: 'POST', origin, path, headers: this.#http.headers(), body: this.#call.body },
      this,
    );
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#answer?.destroy();
    this.#events?.destroy();
    this.#linger?.cancel();
    if (this.#controller) {
      this.#controller.resume();
      this.#controller.abort(new Error('aborted by the gateway'));
    }
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(new Error('aborted by the gateway'));
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    if (status < 200) return;
    this.#gotBytes = true;
    this.#status = status;
    this.#call.httpStatus = status;
    this.#headers = headers;
    this.#http.events.seen();
    if (status >= 300) {
      this.#mode = 'refused';
    } else if (this.#call.method === 'initialize') {
      this.#http.opened(header(headers, 'mcp-session-id'));
    }
    const coding = header(headers, 'content-encoding').toLowerCase();
    if (coding !== '' && coding !== 'identity') this.#decode(coding);
    if (this.#mode === 'sniff' && header(headers, 'content-type').startsWith('text/event-stream'))
      this.#readEvents();
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#http.owner.stats.bytesReceived += chunk.length;
    if (this.#decoder) this.#decoder.write(chunk);
    else this.#read(chunk);
  }

  onResponseEnd(): void {
    if (this.#decoder) this.#decoder.end();
    else this.#finish();
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    // Without a connection it may come before send() has returned.
    if (this.#controller) this.#failed(error);
    else
      setImmediate(() => {
        this.#failed(error);
      });
  }

  #failed(error: Error): void {
    this.#linger?.cancel();
    const call = this.#call;
    this.#answer?.destroy();
    if (this.#aborted || call.over) return;
    const { dispatcher, owner, events } = this.#http;
    const stale = this.#gotBytes ? undefined : staleSocket(error);
    if (stale?.reused && stale.silent) {
      dispatcher.lowerKeepAlive();
      if (!call.resent && (call.repeatable || stale.untouched)) {
        call.resent = true;
        owner.log.debug('a stale socket lost the request: sent again', { method: call.method });
        return new HttpExchange(this.#http, call).dispatch();
      }
    }
    const what = this.#gotBytes ? 'broke off its answer' : 'request failed';
    const gateway = new GatewayError(
      isTimeout(error) ? 'upstream_timeout' : 'upstream_protocol_error',
      `upstream '${owner.server}' ${what}: ${describe(error)}`,
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
        if (this.#received !== this.#length) this.#answer?.pending();
        break;
      case 'events':
        try {
          if (!(this.#events as EventReader).push(chunk)) call.hold();
        } catch (error) {
          call.broken(`sent an unreadable event stream: ${(error as Error).message}`);
        }
        if (this.#detached) this.#lingering();
        break;
      case 'refused':
        if (this.#refusedBytes < MAX_ERROR_BODY) {
          this.#refused.push(chunk);
          this.#refusedBytes += chunk.length;
        }
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
        if (!this.#detached) call.broken(this.#events?.problem ?? 'ended its event stream without an answer');
        break;
      case 'refused':
        this.#judge(Buffer.concat(this.#refused));
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
    this.#answer = new AnswerReader(
      this.#call,
      { messageBytes: owner.messageBytes(), budget: owner.budget },
      owner.order,
      this.#length,
    );
  }

  #readEvents(): void {
    this.#mode = 'events';
    const { owner, config } = this.#http;
    this.#events = new EventReader(
      this.#call,
      { messageBytes: owner.messageBytes(), budget: owner.budget },
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

  #decode(coding: string): void {
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
    decode.on('data', (chunk: Buffer) => {
      this.#read(chunk);
    });
    decode.on('end', () => {
      this.#finish();
    });
    decode.on('error', (error: Error) => {
      this.#call.broken(`sent an unreadable ${coding} body: ${error.message}`);
    });
  }

  /** An HTTP status that is no success. */
  #judge(body: Buffer): void {
    const call = this.#call;
    const { owner, config } = this.#http;
    const status = this.#status;
    if (status < 400) return this.#followRedirect(status);
    const error = rpcErrorIn(body);
    if (!call.resent || call.method === 'initialize') {
      const reason = lostByStatus(status, body.toString('utf8'), error, this.#hadSession);
      if (reason && !call.sawMessage && owner.sessionLost(call, `HTTP ${status}`, reason)) return;
    }
    const retry = status === 429 || status === 503 ? retryAfterMs(this.#headers) : undefined;
    // The upstream's own error to this very request goes on as it is.
    if (error && error.id === call.id) return deliverError(call, body, error);
    const text = excerpt(body);
    const shown = text === '' ? '' : `: ${text}`;
    const failure = new GatewayError(
      status === 401 || status === 403 ? 'upstream_auth_failed' : 'upstream_protocol_error',
      `upstream '${config.name}' answered HTTP ${status}${shown}`,
      retry === undefined ? { status } : { status, retryAfter: Math.ceil(retry / 1000) },
    );
    call.fail(failure);
  }

  #followRedirect(status: number): void {
    const location = header(this.#headers, 'location');
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

function startsAsEvents(chunk: Buffer): boolean {
  const start = chunk.toString('latin1', 0, 9).replace(/^\xef\xbb\xbf/, '');
  return start.startsWith('event:') || start.startsWith('data:');
}

function rpcErrorIn(body: Buffer): (RpcError & { id: unknown }) | undefined {
  if (body.length === 0) return undefined;
  try {
    const message = JSON.parse(body.toString('utf8')) as { id?: unknown; error?: unknown } | null;
    const error = asRpcError(message?.error);
    return error && { ...error, id: message?.id };
  } catch {
    return undefined;
  }
}

function isTimeout(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT';
}

/** An error in a few words, the code included where the text lacks it. */
export function describe(error: Error): string {
  const { code } = error as { code?: unknown };
  const inner = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  const text = error.message || inner?.message || error.name;
  return typeof code === 'string' && !text.includes(code) ? `${text} (${code})` : text;
}

/** The GET stream of a session: opened after the handshake, opened again when it ends, given up where there is none. */
class ServerStream implements UpstreamHandler {
  readonly #http: StreamableHttp;
  readonly #generation: number;
  #controller: Controller | undefined;
  #reader: EventReader | undefined;
  #failures = 0;
  #opens = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(http: StreamableHttp) {
    this.#http = http;
    this.#generation = http.generation;
  }

  open(): void {
    if (this.#closed || this.#generation !== this.#http.generation) return;
    const { origin, path, dispatcher } = this.#http;
    this.#controller = undefined;
    dispatcher.dispatch(
      { method: 'GET', origin, path, headers: this.#http.streamHeaders(), body: null, long: true },
      this,
    );
  }

  destroy(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#reader?.destroy();
    this.#controller?.abort(new Error('closed by the gateway'));
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#closed) controller.abort(new Error('closed by the gateway'));
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    if (status < 200) return;
    if (status === 200 && header(headers, 'content-type').startsWith('text/event-stream')) {
      const { owner, events, config } = this.#http;
      if (this.#opens++ > 0) events.reopened();
      this.#failures = 0;
      this.#reader = EventReader.shared(
        (bytes) => {
          events.message(bytes);
        },
        { messageBytes: owner.messageBytes(), budget: owner.budget },
        config.quirks.normalize_sse_events,
      );
      return;
    }
    // 405: no such stream (2025-11-25). Anything else that will not change by asking again ends it too.
    if (status < 500 && status !== 408 && status !== 429) this.#closed = true;
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#http.owner.stats.bytesReceived += chunk.length;
    if (!this.#reader) return;
    this.#http.events.seen();
    try {
      this.#reader.push(chunk);
    } catch {
      this.#controller?.abort(new Error('unreadable event stream'));
    }
  }

  onResponseEnd(): void {
    this.#again();
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    if (!this.#closed) {
      this.#http.owner.log.debug('the server-to-client stream ended', { error: describe(error) });
      // Nobody answers at all: better known now than at the next refresh.
      if (!this.#controller) this.#http.events.doubt();
    }
    this.#again();
  }

  #again(): void {
    this.#reader?.destroy();
    this.#reader = undefined;
    if (this.#closed || this.#http.closed) return;
    this.#failures++;
    const wait = Math.max(
      GET_BACKOFF_BASE_MS / 2,
      backoffMs(this.#failures, GET_BACKOFF_BASE_MS, GET_BACKOFF_MAX_MS),
    );
    this.#timer = setTimeout(() => {
      this.open();
    }, wait).unref();
  }
}
