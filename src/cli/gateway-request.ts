/** Requests of commands to a running gateway. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { listenAddress, type ListenAddress } from '../config/listen.js';
import { Refusal } from '../terminal/explain.js';

export interface Target {
  /** `--url`: the gateway; undefined: that of the config. */
  readonly url: string | undefined;
  readonly config: string | undefined;
}

/** Where a gateway answers the requests of commands. */
export interface Address {
  readonly url: URL;
  /** Whether the certificate is that of this machine, which is asked by its address and not by the name in the certificate. */
  readonly own: boolean;
  /** What to do if the gateway ends the handshake. */
  readonly advice?: string | undefined;
}

/** The address that a command is about: of the port for operators, if the config has one. Reports an unreadable config to `unread`. */
export function gatewayAddress(
  { url, config }: Target,
  env: NodeJS.ProcessEnv,
  unread: (why: string) => void,
): Address {
  if (url !== undefined) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new Refusal(`--url must be an http or https URL, not '${url}'`, 2);
    return { url: new URL('/', url), own: false };
  }
  const listens = listenAddress(config, env, unread);
  const advice = listens.clientCert
    ? 'http.tls.client_cert is required: set admin.port, where commands need no certificate'
    : undefined;
  return { url: new URL(originOf(listens)), own: true, advice };
}

/** The URL of `/mcp` that a gateway with this config has for its clients. */
export function clientEndpoint(config: string | undefined, env: NodeJS.ProcessEnv): string {
  return new URL('/mcp', originOf(listenAddress(config, env, undefined, 'clients'))).href;
}

function originOf({ host, port, tls }: ListenAddress): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const name = reachable.includes(':') ? `[${reachable}]` : reachable;
  return `${tls ? 'https' : 'http'}://${name}:${port}/`;
}

export interface GatewayAnswer {
  readonly status: number;
  readonly body: string;
  readonly url: URL;
}

interface GatewayRequest {
  readonly path: string;
  /** undefined: a GET; otherwise a POST of JSON. */
  readonly body?: string | undefined;
  /** Default: by the body. */
  readonly method?: 'DELETE' | undefined;
  readonly token?: string | undefined;
  readonly timeoutMs: number;
  /** What is kept of the answer. */
  readonly bodyBytes: number;
}

/** Sends a request. Rejects with an Error whose message says why there is no answer. */
export async function exchange(
  address: Address,
  { path, body, method, token, timeoutMs, bodyBytes }: GatewayRequest,
): Promise<GatewayAnswer> {
  const { own, advice } = address;
  const url = new URL(path, address.url);
  const send = url.protocol === 'https:' ? (await import('node:https')).request : httpRequest;
  return await new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const { code = '', message } = error;
      const why = (message.trim() || code || 'no answer').replace(/\s+/g, ' ');
      reject(
        new Error(advice !== undefined && /SSL|ECONNRESET|EPIPE/.test(code) ? `${why}; ${advice}` : why),
      );
    };
    const request = send(
      url,
      {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        agent: false,
        timeout: timeoutMs,
        rejectUnauthorized: !own,
        headers: {
          ...(body !== undefined && {
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(body),
          }),
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        },
      },
      (answer: IncomingMessage) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          if (text.length < bodyBytes) text += chunk;
        });
        answer.on('error', fail);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, body: text, url });
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on('error', fail);
    request.end(body);
  });
}

/** Why the gateway refused: the text or the error message that it answered with. */
export function refusalText({ status, body }: { readonly status: number; readonly body: string }): string {
  let message: unknown;
  try {
    const answer = JSON.parse(body) as { error?: { message?: unknown }; detail?: unknown };
    message = answer.detail ?? answer.error?.message;
  } catch {
    message = body;
  }
  const text = typeof message === 'string' ? message.replace(/[\s\p{Cc}]+/gu, ' ').trim() : '';
  return `HTTP ${status}${text === '' ? '' : `: ${text.slice(0, 500)}`}`;
}
