/** What the HTTP transports have in common: headers, addresses, and the session as its exchanges see it. */
import type { HttpServerConfig } from '../../config/types.js';
import { readRetryAfter } from '../../lib/retry-after.js';
import type { Logger } from '../../observe/log.js';
import type { Credential } from '../../protocol/credential.js';
import { isHeaderText } from '../../protocol/header-text.js';
import type { CallOwner, TransportEvents, UpstreamCall } from '../calls/calls.js';
import type { Controller, Dispatcher, UpstreamHandler } from './dispatcher.js';
import type { Brake } from './brake.js';
import type { ResumeWaits } from './resume.js';

export type Headers = Record<string, string | string[] | undefined>;

export interface HttpDeps {
  readonly config: HttpServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
  readonly dispatcher: Dispatcher;
  /** What is shown to the server, beside the headers of the configuration. */
  readonly credential: Credential | undefined;
}

/** A connection over Streamable HTTP, as its POSTs and its GET stream see it; in the modern era it has no session. */
export interface HttpSession extends HttpDeps {
  /** Requests are independent: there are no sessions. */
  readonly modern: boolean;
  /** undefined: broken streams are not resumed. */
  readonly waits: ResumeWaits | undefined;
  readonly origin: string;
  readonly path: string;
  /** Counts sessions: incremented when one is lost. */
  readonly generation: number;
  readonly hasSession: boolean;
  /** `stamp` of the credential that the session was opened with. */
  readonly sessionStamp: number;
  readonly closed: boolean;
  /** Pauses its streams while the server does not accept the replies that it causes. */
  readonly brake: Brake;
  /** The headers of a POST, as a flat list; in a session the same array for all calls. */
  headers(call: UpstreamCall): string[];
  streamHeaders(): string[];
  /** Sets the session id that the answer to `initialize` named. */
  opened(sessionId: string): void;
  /** Takes the `Set-Cookie` headers of an answer from `origin`. */
  cookies(lines: string | string[], origin: string): void;
  /** Sends further requests to where it was redirected. Returns why not; undefined: done. */
  redirect(location: string): string | undefined;
}

export function header(headers: Headers, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : Array.isArray(value) ? (value[0] ?? '') : '';
}

/** A header of a response that is used as a header of requests or as an address; '' if it is missing or cannot be used. */
export function usableHeader(headers: Headers, name: string, log: Logger): string {
  return usable(header(headers, name), name, log) ?? '';
}

/** A string of a server that is used as a header; undefined: it is missing or cannot be used. */
export function usable(text: string | undefined, what: string, log: Logger): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (isHeaderText(text)) return text;
  log.debug(`ignored a ${what} of the server that cannot be sent in a header`, {
    value: JSON.stringify(text.slice(0, 64)),
  });
  return undefined;
}

/** The value of `Retry-After` in ms, at most an hour; undefined: missing or invalid. */
export function retryAfterMs(headers: Headers): number | undefined {
  const value = header(headers, 'retry-after');
  return isHeaderText(value) ? readRetryAfter(value) : undefined;
}

/** Where a redirect or an endpoint leads, if that is the same origin, or https on the same host in place of http; else undefined. */
export function sameServer(location: string, here: URL): URL | undefined {
  if (!URL.canParse(location, here.href)) return undefined;
  const target = new URL(location, here);
  const upgrade =
    here.protocol === 'http:' && target.protocol === 'https:' && here.hostname === target.hostname;
  return target.origin === here.origin || upgrade ? target : undefined;
}

/** Headers that the configuration cannot set: the transport writes them. */
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

/** Adds the credential, the headers of the configuration, which replace defaults, and the cookie of the link ('' for none) to `list`. */
export function withConfigured(
  list: string[],
  config: HttpServerConfig,
  cookie = '',
  credential?: Credential,
): string[] {
  const { auth } = config;
  // Otherwise the credential has the token.
  const isFixed = auth.type === 'bearer' && auth.file === undefined && auth.command === undefined;
  if (isFixed) list.push('authorization', `Bearer ${auth.token}`);
  const shown = credential?.headers ?? [];
  for (let i = 0; i < shown.length; i += 2) setHeader(list, shown[i] as string, shown[i + 1] as string);
  for (const [name, value] of Object.entries(config.headers)) {
    const lower = name.toLowerCase();
    if (!OWN.has(lower)) setHeader(list, lower, value);
  }
  if (cookie === '') return list;
  const at = list.findIndex((entry, i) => i % 2 === 0 && entry === 'cookie');
  if (at === -1) list.push('cookie', cookie);
  else list[at + 1] = `${list[at + 1] as string}; ${cookie}`;
  return list;
}

function setHeader(list: string[], lower: string, value: string): void {
  const at = list.findIndex((entry, i) => i % 2 === 0 && entry === lower);
  if (at === -1) list.push(lower, value);
  else list[at + 1] = value;
}

/** An exchange whose response body is not read. It can be aborted at any time. */
export class Unread implements UpstreamHandler {
  readonly #done: (error?: Error) => void;
  #controller: Controller | undefined;
  #aborted = false;
  /** Of the response; 0: there is none yet. */
  status = 0;
  headers: Headers = {};

  /** `done`: called once it has ended, with the error if it failed. */
  constructor(done: (error?: Error) => void) {
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

  onResponseStart(_controller: Controller, status: number, headers: Headers): void {
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
  }

  onResponseData(): void {}

  onResponseEnd(): void {
    this.#done();
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    this.#done(error);
  }
}

/** The headers of a request, with the one of its trace. */
export function traced(headers: string[], { traceparent }: Pick<UpstreamCall, 'traceparent'>): string[] {
  return traceparent === undefined ? headers : [...headers, 'traceparent', traceparent];
}
