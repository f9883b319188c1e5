/**
 * Connection to a legacy server over Streamable HTTP (2025-11-25, basic/transports): one POST per message, answered by a JSON body or an
 * event stream, and a GET stream for other messages of the server.
 */
import type { HttpServerConfig, ServerConfig } from '../../config/types.js';
import type { CallOwner, Transport, TransportEvents, UpstreamCall } from '../calls/calls.js';
import type { Credential } from '../../protocol/credential.js';
import type { Dispatcher } from './dispatcher.js';
import { Brake } from './brake.js';
import { Cookies } from './cookies.js';
import { HttpExchange } from './http-exchange.js';
import { Unread, withConfigured, type HttpDeps, type HttpSession } from './http.js';
import { moveTo } from './redirect.js';
import { Replies } from './replies.js';
import { ResumeWaits } from './resume.js';
import { ServerStream } from './server-stream.js';

export class StreamableHttp implements Transport, HttpSession {
  readonly kind = 'streamable';
  readonly modern = false;
  config: HttpServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly dispatcher: Dispatcher;
  readonly credential: Credential | undefined;
  origin: string;
  path: string;
  generation = 1;
  sessionStamp = 0;
  readonly brake = new Brake();
  readonly waits = new ResumeWaits();
  readonly #replies: Replies;
  readonly #cookies = new Cookies();
  #sessionId: string | undefined;
  #revision: string | undefined;
  #headers: string[] | undefined;
  /** `credential.stamp` of `#headers`. */
  #stamp = 0;
  #stream: ServerStream | undefined;
  #closed = false;
  #ending: Promise<void> = Promise.resolve();

  constructor(deps: HttpDeps) {
    this.config = deps.config;
    this.owner = deps.owner;
    this.events = deps.events;
    this.dispatcher = deps.dispatcher;
    this.credential = deps.credential;
    const url = new URL(deps.config.url);
    this.origin = url.origin;
    this.path = url.pathname + url.search;
    this.#replies = Replies.overHttp(this, () => this.headers());
  }

  get hasSession(): boolean {
    return this.#sessionId !== undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(call: UpstreamCall): void {
    this.owner.observer.sent(call.body.length);
    new HttpExchange(this, call).dispatch();
  }

  post(body: Buffer): void {
    if (this.#closed) return;
    this.brake.count();
    this.#replies.post(body);
  }

  async ready(revision: string, initialized: Buffer, ended: (loss?: string) => void): Promise<void> {
    const { generation } = this;
    this.#revision = revision;
    this.#headers = undefined;
    await this.#replies.accepted(initialized, (loss) => {
      // A session that was closed or dropped needs nothing more.
      if (!this.#closed && this.generation === generation) ended(loss);
    });
    if (this.#closed || this.generation !== generation) return;
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
    const { hasSession } = this;
    this.generation++;
    this.#sessionId = undefined;
    this.#revision = undefined;
    this.#headers = undefined;
    this.#stream?.destroy();
    this.#stream = undefined;
    // Without a session nothing of it is lost, whatever the server says.
    if (hasSession) this.waits.end();
  }

  opened(sessionId: string): void {
    this.sessionStamp = this.credential?.stamp ?? 0;
    this.#sessionId = sessionId === '' ? undefined : sessionId;
    this.#headers = undefined;
  }

  headers(): string[] {
    const { credential } = this;
    if (credential !== undefined && credential.stamp !== this.#stamp) {
      this.#stamp = credential.stamp;
      this.#headers = undefined;
    }
    return (this.#headers ??= this.#build('application/json, text/event-stream', true));
  }

  streamHeaders(): string[] {
    return this.#build('text/event-stream', false);
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

  close(graceMs: number): Promise<void> {
    this.#closed = true;
    this.#stream?.destroy();
    if (this.#sessionId === undefined) return this.#ending;
    const headers = this.headers();
    // The session is ended once.
    this.#sessionId = undefined;
    this.#ending = new Promise((resolve) => {
      const handler = new Unread(() => {
        clearTimeout(timer);
        resolve();
      });
      const tooLate = (): void => {
        handler.abort();
        resolve();
      };
      const timer = setTimeout(this.owner.boundary.guard('link', tooLate), graceMs);
      this.dispatcher.dispatch(
        { method: 'DELETE', origin: this.origin, path: this.path, headers, body: null },
        handler,
      );
    });
    return this.#ending;
  }

  destroy(): void {
    this.#closed = true;
    this.#replies.destroy();
    this.#stream?.destroy();
    this.waits.end();
    this.dispatcher.destroy();
  }

  #build(accept: string, post: boolean): string[] {
    const list = post
      ? ['content-type', 'application/json', 'accept', this.config.quirks.inject_accept_header ?? accept]
      : ['accept', accept];
    list.push('accept-encoding', 'identity');
    if (this.#sessionId !== undefined) list.push('mcp-session-id', this.#sessionId);
    if (this.#revision !== undefined && this.#revision >= '2025-06-18')
      list.push('mcp-protocol-version', this.#revision);
    return withConfigured(list, this.config, this.#cookies.header(this.origin), this.credential);
  }
}
