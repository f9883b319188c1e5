/** Requests of commands to a running gateway. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { listenAddress } from '../config/listen.js';
import { ownToken } from '../config/token.js';
import type { Terminal } from '../terminal/terminal.js';
import { Refusal } from '../terminal/explain.js';
import { configOf, type Written } from './verb.js';

const TIMEOUT_MS = 10_000;
const BODY_BYTES = 16_777_216;
/** The exit status when no gateway answers. */
export const NO_GATEWAY = 4;

export interface Target {
  /** `--url`: the gateway; undefined: that of the config. */
  readonly url: string | undefined;
  readonly config: string | undefined;
}

/** Where a gateway answers the requests of commands. */
interface Address {
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
  const { host, port, tls, clientCert } = listenAddress(config, env, unread);
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const name = reachable.includes(':') ? `[${reachable}]` : reachable;
  const advice = clientCert
    ? 'http.tls.client_cert is required: set admin.port, where commands need no certificate'
    : undefined;
  return { url: new URL(`${tls ? 'https' : 'http'}://${name}:${port}/`), own: true, advice };
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
  readonly token?: string | undefined;
  readonly timeoutMs: number;
  /** What is kept of the answer. */
  readonly bodyBytes: number;
}

/** Sends a request. Rejects with an Error whose message says why there is no answer. */
export async function exchange(
  address: Address,
  { path, body, token, timeoutMs, bodyBytes }: GatewayRequest,
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
        method: body === undefined ? 'GET' : 'POST',
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

/**
 * Sends a request with the token of MCPSTEAD_BEARER_TOKEN: a POST, or without a body a GET. Rejects with a Refusal of status 4 if there is no
 * answer.
 */
export async function askGateway(
  target: Target,
  path: string,
  body: string | undefined,
  { env }: Pick<Terminal, 'env'>,
): Promise<GatewayAnswer> {
  const address = gatewayAddress(target, env, (why) => {
    // Another gateway may answer at the default address, and must not get the token.
    throw new Refusal(`${why}; or name the gateway with --url`, NO_GATEWAY);
  });
  const request = { path, body, token: ownToken(env), timeoutMs: TIMEOUT_MS, bodyBytes: BODY_BYTES };
  return await exchange(address, request).catch((error: unknown) => {
    throw new Refusal(`no gateway at ${address.url.origin}: ${(error as Error).message}`, NO_GATEWAY);
  });
}

/** Asks the gateway that a command is about, as `askGateway` does. Rejects with a Refusal also if the gateway refuses. */
export async function askFor(
  written: Pick<Written, 'values'>,
  path: string,
  body: string | undefined,
  terminal: Pick<Terminal, 'env'>,
): Promise<string> {
  const target = { url: written.values['url'], config: configOf(written, terminal.env) };
  const answer = await askGateway(target, path, body, terminal);
  if (answer.status !== 200) throw new Refusal(`${answer.url.origin} refused: ${refusalText(answer)}`);
  return answer.body;
}

/** Why the gateway refused: the text or the error message that it answered with. */
export function refusalText({ status, body }: { readonly status: number; readonly body: string }): string {
  let message: unknown;
  try {
    message = (JSON.parse(body) as { error?: { message?: unknown } }).error?.message;
  } catch {
    message = body;
  }
  const text = typeof message === 'string' ? message.replace(/[\s\p{Cc}]+/gu, ' ').trim() : '';
  return `HTTP ${status}${text === '' ? '' : `: ${text.slice(0, 500)}`}`;
}
