import { get as httpGet, type IncomingMessage } from 'node:http';
import { listenAddress } from '../config/listen.js';
import type { Terminal } from '../terminal/terminal.js';
import { printable, Refusal } from '../terminal/explain.js';

const TIMEOUT_MS = 5000;
const BODY_BYTES = 65_536;

interface Target {
  readonly url: URL;
  /** Whether the certificate is that of this machine, which is asked by its address and not by the name in the certificate. */
  readonly own: boolean;
  /** What to do if the gateway ends the handshake. */
  readonly advice?: string | undefined;
}

/** Requests `GET /ready`. Returns 0 if the gateway answers 200, otherwise throws. */
export async function health(
  url: string | undefined,
  config: string | undefined,
  terminal: Terminal,
): Promise<number> {
  const target = url === undefined ? ofConfig(config, terminal) : given(url);
  const { status, body } = await ask(target);
  if (status === 200) {
    terminal.out('ready\n');
    return 0;
  }
  throw new Refusal(
    `not ready: ${target.url.href} answered ${status} ${body.replace(/[\s\p{Cc}]+/gu, ' ')}`.trimEnd(),
  );
}

function given(text: string): Target {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new Refusal(`--url must be an http or https URL, not '${text}'`, 2);
  }
  return { url: new URL('/ready', text), own: false };
}

function ofConfig(path: string | undefined, terminal: Terminal): Target {
  let unread: string | undefined;
  const { host, port, tls, clientCert } = listenAddress(path, terminal.env, (why) => (unread = why));
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const url = new URL(
    `${tls ? 'https' : 'http'}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}/ready`,
  );
  // Another gateway may answer at the default address.
  if (unread !== undefined) terminal.err(printable(`warning: ${unread}; asking ${url.href}\n`));
  const advice = clientCert
    ? 'http.tls.client_cert is required: set admin.port, where a health check needs no certificate'
    : undefined;
  return { url, own: true, advice };
}

async function ask({ url, own, advice }: Target): Promise<{ status: number; body: string }> {
  const get = url.protocol === 'https:' ? (await import('node:https')).get : httpGet;
  return await new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const { code = '', message } = error;
      const why = (message.trim() || code || 'no answer').replace(/\s+/g, ' ');
      const hint = advice !== undefined && /SSL|ECONNRESET|EPIPE/.test(code) ? `; ${advice}` : '';
      reject(new Refusal(`not ready: ${url.href}: ${why}${hint}`));
    };
    const request = get(
      url,
      { agent: false, timeout: TIMEOUT_MS, rejectUnauthorized: !own },
      (answer: IncomingMessage) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (text: string) => {
          if (body.length < BODY_BYTES) body += text;
        });
        answer.on('error', fail);
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      },
    );
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', fail);
  });
}
