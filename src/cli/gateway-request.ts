/** Requests of commands to a running gateway. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { listenAddress } from '../config/listen.js';
import { ownToken } from '../config/token.js';
import type { Terminal } from '../terminal/terminal.js';
import { Refusal } from '../terminal/explain.js';

const TIMEOUT_MS = 10_000;
const BODY_BYTES = 16_777_216;
/** The exit status when no gateway answers. */
export const NO_GATEWAY = 4;

export interface Target {
  /** `--url`: the gateway; undefined: that of the config. */
  readonly url: string | undefined;
  readonly config: string | undefined;
}

/** The address of the gateway that a command is about. */
export function gatewayUrl({ url, config }: Target, env: NodeJS.ProcessEnv): URL {
  if (url !== undefined) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new Refusal(`--url must be an http or https URL, not '${url}'`, 2);
    return new URL('/', url);
  }
  const { host, port } = listenAddress(config, env);
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return new URL(`http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}/`);
}

export interface GatewayAnswer {
  readonly status: number;
  readonly body: string;
  readonly url: URL;
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
  const url = new URL(path, gatewayUrl(target, env));
  const token = ownToken(env);
  const send = url.protocol === 'https:' ? (await import('node:https')).request : httpRequest;
  return await new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      reject(
        new Refusal(`no gateway at ${url.origin}: ${error.message || error.code || 'no answer'}`, NO_GATEWAY),
      );
    };
    const request = send(
      url,
      {
        method: body === undefined ? 'GET' : 'POST',
        agent: false,
        timeout: TIMEOUT_MS,
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
          if (text.length < BODY_BYTES) text += chunk;
        });
        answer.on('error', fail);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, body: text, url });
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', fail);
    request.end(body);
  });
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
