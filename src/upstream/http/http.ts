/** What the two HTTP transports have in common: their headers, their redirects, the session as its exchanges see it. */
import type { HttpServerConfig } from '../../config/types.js';
import type { Logger } from '../../observe/log.js';
import { isHeaderText } from '../../protocol/header-text.js';
import type { CallOwner, TransportEvents, UpstreamCall } from '../calls/calls.js';
import { explain, type Controller, type Dispatcher, type UpstreamHandler } from './dispatcher.js';
import type { Brake } from './brake.js';

export type Headers = Record<string, string | string[] | undefined>;

export interface HttpDeps {
  readonly config: HttpServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly dispatcher: Dispatcher;
}

/** Streamable HTTP, as its POSTs and its GET stream need it: a session, or in the modern era none. */
export interface HttpSession extends HttpDeps {
  /** Requests stand alone: there is no session to lose, and no broken stream is gone on with. */
  readonly modern: boolean;
  readonly origin: string;
  readonly path: string;
  /** Goes up when the session is lost. */
  readonly generation: number;
  readonly hasSession: boolean;
  readonly closed: boolean;
  /** Stops its streams while the server does not take what it makes of replies. */
  readonly brake: Brake;
  /** The headers of a POST, a flat list; in a session the same array for every call. */
  headers(call: UpstreamCall): string[];
  streamHeaders(): string[];
  /** The session id of the answer to `initialize`. */
  opened(sessionId: string): void;
  /** The `Set-Cookie` lines of an answer from `origin`. */
  cookies(lines: string | string[], origin: string): void;
  /** Goes to where it was redirected from now on; or says why not. */
  redirect(location: string): string | undefined;
}

export function header(headers: Headers, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : Array.isArray(value) ? (value[0] ?? '') : '';
}

/** A header of a server that becomes one of a request, or an address: '' where it cannot be one. */
export function usableHeader(headers: Headers, name: string, log: Logger): string {
  return usable(header(headers, name), name, log) ?? '';
}

/** Text of a server that is to become a header; undefined: there is none, or it cannot be one. */
export function usable(text: string | undefined, what: string, log: Logger): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (isHeaderText(text)) return text;
  log.debug(`ignored a ${what} of the server that cannot be a header`, {
    value: JSON.stringify(text.slice(0, 64)),
  });
  return undefined;
}

/** What an upstream asked a client to wait, in ms; undefined: it named nothing usable. */
export function retryAfterMs(headers: Headers): number | undefined {
  const value = header(headers, 'retry-after');
  if (!isHeaderText(value)) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 3600) * 1000 : undefined;
}

/** Where a redirect or an endpoint leads, if it stays with this server: same origin, or http to https on the same host. */
export function sameServer(location: string, here: URL): URL | undefined {
  if (!URL.canParse(location, here.href)) return undefined;
  const target = new URL(location, here);
  const upgrade =
    here.protocol === 'http:' && target.protocol === 'https:' && here.hostname === target.hostname;
  return target.origin === here.origin || upgrade ? target : undefined;
}

/** Written by the transport alone. */
const OWN = new Set([
  'content-type',
  'accept-encoding',
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'content-length',
  'host',
  'connection',
  'transfer-encoding',
]);

/** `list` with the credential and the headers of the configuration; a configured one replaces a default. `cookie`: that of the link, or ''. */
export function withConfigured(list: string[], config: HttpServerConfig, cookie = ''): string[] {
  if (config.auth.type === 'bearer') list.push('authorization', `Bearer ${config.auth.token}`);
  for (const [name, value] of Object.entries(config.headers)) {
    const lower = name.toLowerCase();
    if (OWN.has(lower)) continue;
    const at = list.findIndex((entry, i) => i % 2 === 0 && entry === lower);
    if (at === -1) list.push(lower, value);
    else list[at + 1] = value;
  }
  if (cookie === '') return list;
  const at = list.findIndex((entry, i) => i % 2 === 0 && entry === 'cookie');
  if (at === -1) list.push('cookie', cookie);
  else list[at + 1] = `${list[at + 1] as string}; ${cookie}`;
  return list;
}

/** An exchange whose answer nobody reads. It can be given up at any time. */
export class Unread implements UpstreamHandler {
  readonly #done: (error?: string) => void;
  #controller: Controller | undefined;
  #aborted = false;

  /** `done`: called once it is over. */
  constructor(done: (error?: string) => void) {
    this.#done = done;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort(new Error('given up'));
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(new Error('given up'));
  }

  onResponseStart(): void {}

  onResponseData(): void {}

  onResponseEnd(): void {
    this.#done();
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    this.#done(explain(error));
  }
}
