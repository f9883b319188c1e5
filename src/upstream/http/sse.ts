/**
 * Connection to a server over HTTP+SSE (2024-11-05): all messages of the server arrive on one GET stream, whose `endpoint` event names the
 * address for POST.
 */
import type { HttpServerConfig, ServerConfig } from '../../config/types.js';
import { redactUrl } from '../../config/redact.js';
import { GatewayError } from '../../errors.js';
import { Pace } from '../../lib/pace.js';
import { Pieces } from '../../lib/pieces.js';
import { SseError, SseReader, type EventFields, type SseSink } from '../../wire/sse-read.js';
import type { CallOwner, Channel, Transport, TransportEvents, UpstreamCall } from '../calls/calls.js';
import { askAgain, type Shown } from './credential-refusal.js';
import { explain, type Controller, type UpstreamHandler } from './dispatcher.js';
import { A_WEB_PAGE, excerpt, saying } from '../calls/excerpt.js';
import { KEEP_ALIVE_EVENTS } from '../calls/keep-alive.js';
import { otherPath } from '../link/failures.js';
import { isHeaderText } from '../../protocol/header-text.js';
import { Cookies } from './cookies.js';
import { MAX_REDIRECTS } from './redirect.js';
import { postMessage } from './post-message.js';
import { Replies } from './replies.js';
import { deliverWhole } from '../calls/shared-channel.js';
import {
  header,
  retryAfterMs,
  sameServer,
  traced,
  usableHeader,
  withConfigured,
  type Headers,
  type HttpDeps,
} from './http.js';

const NO_CHANNEL: Channel = { pause() {}, resume() {}, abort() {} };
const MAX_REFUSAL = 4096;

export class HttpSse implements Transport, UpstreamHandler {
  readonly kind = 'sse';
  readonly #owner: CallOwner;
  readonly #events: TransportEvents;
  readonly #deps: HttpDeps;
  #config: HttpServerConfig;
  readonly #sse: SseReader;
  readonly #queue: UpstreamCall[] = [];
  #streamUrl: URL;
  #endpoint: URL | undefined;
  readonly #replies: Replies;
  readonly #cookies = new Cookies();
  #controller: Controller | undefined;
  #closed = false;
  readonly #pace = new Pace();
  #redirects = 0;
  #status = 0;
  #headers: Headers = {};
  #refusal: Buffer[] = [];
  /** How often the credential of the GET was refused. */
  #refusals = 0;
  /** `stamp` of the credential that the GET was sent with. */
  #stamp = 0;
  #type = '';
  readonly #chunks = new Pieces();
  #bytes = 0;
  #over = false;

  constructor(deps: HttpDeps) {
    this.#deps = deps;
    this.#config = deps.config;
    this.#owner = deps.owner;
    this.#events = deps.events;
    this.#streamUrl = new URL(deps.config.url);
    // Event types matter here (`endpoint`): normalize_sse_events does not apply.
    const sink: SseSink = {
      open: (type) => {
        this.#begin(type);
      },
      data: (chunk) => {
        this.#data(chunk);
      },
      close: (fields) => {
        this.#event(fields);
      },
      empty() {},
    };
    this.#sse = new SseReader(sink);
    // Not in the constructor: a refused connection may be reported before dispatch() returns.
    setImmediate(
      this.#owner.boundary.guard('server_stream', () => {
        this.#open();
      }),
    );
    const { server, wheel, log } = this.#owner;
    this.#replies = new Replies({
      server,
      wheel,
      log,
      send: (body, done) => {
        const endpoint = this.#endpoint;
        if (!endpoint) {
          done();
          return () => undefined;
        }
        this.#owner.observer.sent(body.length);
        const where = () => ({ ...place(endpoint), headers: this.#postHeaders(endpoint) });
        return postMessage({ ...this.#shown, dispatcher: this.#deps.dispatcher }, where, body, done);
      },
      full: (on) => {
        if (on) this.#controller?.pause();
        // Not from within the callback of another exchange: undici reads one socket at a time.
        const resume = (): void => {
          if (!this.#replies.full) this.#controller?.resume();
        };
        if (!on) setImmediate(this.#owner.boundary.guard('server_stream', resume));
      },
    });
  }

  send(call: UpstreamCall, refusals = 0): void {
    call.channel = NO_CHANNEL;
    const endpoint = this.#endpoint;
    if (!endpoint) {
      this.#queue.push(call);
      return;
    }
    this.#owner.observer.sent(call.body.length);
    this.#deps.dispatcher.dispatch(
      {
        method: 'POST',
        ...place(endpoint),
        headers: traced(this.#postHeaders(endpoint), call),
        body: call.body,
      },
      new Posted(call, this.#shown, refusals, () => {
        if (!this.#closed) this.send(call, refusals + 1);
      }),
    );
  }

  post(body: Buffer): void {
    if (!this.#closed && this.#endpoint) this.#replies.post(body);
  }

  ready(_revision: string, initialized: Buffer, ended: (loss?: string) => void): Promise<void> {
    return this.#replies.accepted(initialized, (loss) => {
      if (!this.#closed) ended(loss);
    });
  }

  update(config: ServerConfig): void {
    if (config.kind === 'http') this.#config = config;
  }

  reset(): void {}

  close(): Promise<void> {
    this.destroy();
    return Promise.resolve();
  }

  destroy(): void {
    this.#closed = true;
    this.#replies.destroy();
    this.#controller?.resume();
    this.#controller?.abort(new Error('closed by the gateway'));
    this.#deps.dispatcher.destroy();
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#closed) controller.abort(new Error('closed by the gateway'));
  }

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
    const set = headers['set-cookie'];
    if (set !== undefined) this.#cookies.take(set, this.#streamUrl.origin);
    this.#events.seen();
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#owner.observer.received(chunk.length);
    if (!this.#isStream()) {
      if (this.#refusal.length < 4) this.#refusal.push(chunk.subarray(0, MAX_REFUSAL));
      return;
    }
    try {
      this.#sse.push(chunk);
      if (!this.#closed && this.#pace.spend(chunk.length)) this.#rest();
    } catch (error) {
      if (!(error instanceof SseError)) this.#owner.boundary.caught('server_stream', error);
      this.#lost(`sent an unreadable event stream: ${(error as Error).message}`);
    }
  }

  /** The rest waits for the next turn. */
  #rest(): void {
    this.#controller?.pause();
    setImmediate(
      this.#owner.boundary.guard('server_stream', () => {
        if (!this.#replies.full) this.#controller?.resume();
      }),
    );
  }

  onResponseEnd(): void {
    if (this.#closed) return;
    if (this.#isStream()) {
      const page = header(this.#headers, 'content-type').startsWith('text/html');
      return this.#lost(page ? `answered ${A_WEB_PAGE}` : 'closed its event stream');
    }
    const location = usableHeader(this.#headers, 'location', this.#owner.log);
    if (
      (this.#status === 307 || this.#status === 308) &&
      location !== '' &&
      this.#redirects++ < MAX_REDIRECTS
    ) {
      const target = sameServer(location, this.#streamUrl);
      if (target) {
        this.#streamUrl = target;
        return this.#open();
      }
    }
    const sent = {
      status: this.#status,
      headers: this.#headers,
      stamp: this.#stamp,
      times: this.#refusals,
    };
    const isAsked = askAgain(this.#shown, sent, {
      isOver: () => this.#closed,
      again: () => {
        this.#refusals++;
        this.#open();
      },
      failed: (error) => {
        this.#failed(error);
      },
      usual: () => {
        this.#refused();
      },
    });
    if (!isAsked) this.#refused();
  }

  /** The GET was answered with an error. */
  #refused(): void {
    const retry = this.#status === 429 || this.#status === 503 ? retryAfterMs(this.#headers) : undefined;
    const nowhere = this.#status === 404 || this.#status === 405;
    const why = nowhere ? otherPath(this.#streamUrl) : saying(Buffer.concat(this.#refusal), this.#status);
    this.#lost(
      `answered HTTP ${this.#status} to GET ${this.#streamUrl.pathname}, the request for an event stream${why}`,
      retry,
    );
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    if (!this.#closed) this.#lost(`lost its event stream: ${explain(error)}`);
  }

  #begin(type: string): void {
    this.#type = type;
    this.#chunks.clear();
    this.#bytes = 0;
    this.#over = false;
  }

  #data(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#owner.messageBytes()) {
      this.#over = true;
      this.#chunks.clear();
    } else this.#chunks.push(chunk);
  }

  #event(fields: EventFields): void {
    const whole = this.#chunks.taken();
    if (this.#over) return this.#lost('sent an event over limits.message_bytes');
    const type = this.#type || fields.type;
    if (KEEP_ALIVE_EVENTS.has(type) || whole.length === 0) return;
    if (type === 'endpoint') return this.#opened(whole.toString('utf8').trim());
    this.#events.seen();
    if (!deliverWhole([whole], whole.length, this.#owner, this.#events))
      this.#owner.log.warn(`skipped an event that is not a message: ${JSON.stringify(excerpt(whole))}`, {
        server: this.#owner.server,
      });
  }

  #open(): void {
    if (this.#closed) return;
    this.#refusal = [];
    this.#stamp = this.#deps.credential?.stamp ?? 0;
    this.#deps.dispatcher.dispatch(
      {
        method: 'GET',
        ...place(this.#streamUrl),
        headers: withConfigured(
          ['accept', 'text/event-stream', 'accept-encoding', 'identity'],
          this.#config,
          this.#cookies.header(this.#streamUrl.origin),
          this.#deps.credential,
        ),
        body: null,
        long: true,
      },
      this,
    );
  }

  #opened(endpoint: string): void {
    if (!isHeaderText(endpoint)) return this.#lost('named an endpoint that is not a valid address');
    const target = sameServer(endpoint, this.#streamUrl);
    if (!target) {
      this.#lost(`named an endpoint of another origin, which is not followed: ${redactUrl(endpoint)}`);
      return;
    }
    this.#endpoint = target;
    for (const call of this.#queue.splice(0)) if (!call.over) this.send(call);
  }

  #isStream(): boolean {
    return this.#status === 200;
  }

  #lost(why: string, retryAfter?: number): void {
    const code =
      this.#status === 401 || this.#status === 403 ? 'upstream_auth_failed' : 'upstream_disconnected';
    const error = new GatewayError(code, `upstream '${this.#owner.server}' ${why}`, { status: this.#status });
    this.#failed(error, retryAfter);
  }

  #failed(error: GatewayError, retryAfterMs?: number): void {
    if (this.#closed) return;
    this.destroy();
    this.#events.lost(error, { retryAfterMs });
  }

  get #shown(): Shown {
    return { ...this.#deps, config: this.#config };
  }

  #postHeaders({ origin }: URL): string[] {
    const accept = this.#config.quirks.inject_accept_header ?? 'application/json, text/event-stream';
    const list = ['content-type', 'application/json', 'accept', accept];
    return withConfigured(list, this.#config, this.#cookies.header(origin), this.#deps.credential);
  }
}

function place(url: URL): { origin: string; path: string } {
  return { origin: url.origin, path: url.pathname + url.search };
}

/** The POST of a message: the answer arrives on the stream, the response is read only if it is a refusal. */
class Posted implements UpstreamHandler {
  readonly #call: UpstreamCall;
  readonly #shown: Shown;
  readonly #owner: CallOwner;
  readonly #stamp: number;
  readonly #refusals: number;
  readonly #again: () => void;
  #status = 0;
  #headers: Headers = {};
  #body: Buffer[] = [];

  /** `refusals`: how often its credential was refused before; `again`: sends it once more. */
  constructor(call: UpstreamCall, shown: Shown, refusals: number, again: () => void) {
    this.#call = call;
    this.#shown = shown;
    this.#owner = shown.owner;
    this.#stamp = shown.credential?.stamp ?? 0;
    this.#refusals = refusals;
    this.#again = again;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    this.#status = status;
    this.#headers = headers;
    if (!this.#call.over) this.#call.httpStatus = status;
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#body.length < 4) this.#body.push(chunk.subarray(0, MAX_REFUSAL));
  }

  onResponseEnd(): void {
    if (this.#status < 300 || this.#call.over) return;
    const sent = { status: this.#status, headers: this.#headers, stamp: this.#stamp, times: this.#refusals };
    const isAsked = askAgain(this.#shown, sent, {
      isOver: () => this.#call.over,
      again: this.#again,
      failed: (error) => {
        this.#call.fail(error);
      },
      usual: () => {
        this.#refused();
      },
    });
    if (!isAsked) this.#refused();
  }

  #refused(): void {
    this.#fail(`answered HTTP ${this.#status}${saying(Buffer.concat(this.#body), this.#status)}`);
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    if (this.#status === 0 && !this.#call.over) this.#call.unreached = true;
    this.#fail(`request failed: ${explain(error)}`);
  }

  #fail(why: string): void {
    const fail = (): void => {
      this.#call.broken(why);
    };
    setImmediate(this.#owner.boundary.guard('answer', fail));
  }
}
