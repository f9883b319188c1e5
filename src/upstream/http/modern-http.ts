/**
 * Connection to a modern server over Streamable HTTP (2026-07-28, basic/transports/streamable-http): one POST per request, without a
 * session and without a server-to-client stream.
 */
import type { HttpServerConfig, ServerConfig } from '../../config/types.js';
import type { CallOwner, Transport, TransportEvents, UpstreamCall } from '../calls/calls.js';
import type { Credential } from '../../protocol/credential.js';
import type { Dispatcher } from './dispatcher.js';
import { Brake } from './brake.js';
import { Cookies } from './cookies.js';
import { HttpExchange } from './http-exchange.js';
import { withConfigured, type HttpDeps, type HttpSession } from './http.js';
import { moveTo } from './redirect.js';
import { Replies } from './replies.js';

/** The methods that can be sent in a header, where they cannot be encoded. */
const METHOD = /^[\x21-\x7e]+$/;

export class ModernHttp implements Transport, HttpSession {
  readonly kind = 'streamable';
  readonly modern = true;
  readonly waits = undefined;
  readonly generation = 1;
  readonly hasSession = false;
  readonly sessionStamp = 0;
  readonly brake = new Brake();
  config: HttpServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly dispatcher: Dispatcher;
  readonly credential: Credential | undefined;
  origin: string;
  path: string;
  readonly #revision: string;
  readonly #replies: Replies;
  readonly #cookies = new Cookies();
  #headers: string[] | undefined;
  /** `credential.stamp` of `#headers`. */
  #stamp = 0;
  #closed = false;

  constructor(deps: HttpDeps, revision: string) {
    this.config = deps.config;
    this.owner = deps.owner;
    this.events = deps.events;
    this.dispatcher = deps.dispatcher;
    this.credential = deps.credential;
    this.#revision = revision;
    const url = new URL(deps.config.url);
    this.origin = url.origin;
    this.path = url.pathname + url.search;
    this.#replies = Replies.overHttp(this, () => this.#common());
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(call: UpstreamCall): void {
    if (!METHOD.test(call.method)) {
      const fail = (): void => {
        call.failWith('invalid_params', 'the method cannot be sent in a header');
      };
      setImmediate(this.owner.boundary.guard('answer', fail));
      return;
    }
    this.owner.observer.sent(call.body.length);
    new HttpExchange(this, call).dispatch();
  }

  /** The refusal of a request, which modern servers must not send: it would wait for the answer without end. */
  post(body: Buffer): void {
    if (this.#closed) return;
    this.brake.count();
    this.#replies.post(body);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  update(config: ServerConfig): void {
    if (config.kind !== 'http') return;
    this.config = config;
    this.#headers = undefined;
  }

  reset(): void {}

  opened(): void {}

  headers(call: UpstreamCall): string[] {
    const headers = [...this.#common(), 'mcp-method', call.method];
    if (call.headers) headers.push(...call.headers);
    return headers;
  }

  streamHeaders(): string[] {
    return [];
  }

  cookies(lines: string | string[], origin: string): void {
    // A request that was sent before a redirect may be answered after it.
    if (origin === this.origin && this.#cookies.take(lines, origin)) this.#headers = undefined;
  }

  redirect(location: string): string | undefined {
    // They have the cookie of the old origin.
    this.#headers = undefined;
    return moveTo(location, this);
  }

  close(): Promise<void> {
    this.destroy();
    return Promise.resolve();
  }

  destroy(): void {
    this.#closed = true;
    this.#replies.destroy();
    this.dispatcher.destroy();
  }

  /** The headers of every request: the same array as long as they are the same. */
  #common(): string[] {
    const { credential } = this;
    if (credential !== undefined && credential.stamp !== this.#stamp) {
      this.#stamp = credential.stamp;
      this.#headers = undefined;
    }
    return (this.#headers ??= this.#build());
  }

  #build(): string[] {
    const accept = this.config.quirks.inject_accept_header ?? 'application/json, text/event-stream';
    return withConfigured(
      [
        'content-type',
        'application/json',
        'accept',
        accept,
        'accept-encoding',
        'identity',
        'mcp-protocol-version',
        this.#revision,
      ],
      this.config,
      this.#cookies.header(this.origin),
      this.credential,
    );
  }
}
