/** What browsers and authorization servers see of a login to a server: where it comes back to, and who the gateway is. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import { sha256 } from '../../lib/sha256.js';
import { sendError, sendJson } from './respond.js';

export interface LoginPages {
  /** Takes the answer of an authorization server. Rejects with an Error whose message says what is wrong, for people. */
  finish(
    returned: URLSearchParams,
    by: { readonly cookie?: string },
    signal: AbortSignal,
  ): Promise<{ readonly server: string }>;
  /** The metadata of the gateway as a client; undefined: there is none. */
  clientDocument(): Promise<object | undefined>;
}

export const CALLBACK_PATH = '/-/oauth/callback';
export const CLIENT_PATH = '/-/oauth/client.json';
export const DONE_PATH = '/-/login/done';
const FINISH_MS = 30_000;
/** A longer answer of an authorization server is not read. */
const MOST_CHARS = 16_384;

const STYLE =
  ':root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem}h1{font-size:1.25rem}';
const HEADERS = [
  'Content-Type',
  'text/html; charset=utf-8',
  'Content-Security-Policy',
  `default-src 'none'; style-src 'sha256-${Buffer.from(sha256(STYLE), 'hex').toString('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'Referrer-Policy',
  'no-referrer',
  'X-Content-Type-Options',
  'nosniff',
  'Cross-Origin-Opener-Policy',
  'same-origin',
  'Cache-Control',
  'no-store',
];

/** Answers what the authorization server sends the browser to. */
export async function serveCallback(
  pages: LoginPages,
  {
    req,
    res,
    query,
  }: { readonly req: IncomingMessage; readonly res: ServerResponse; readonly query: string },
): Promise<void> {
  if (req.method !== 'GET') return notGet(res);
  if (query.length > MOST_CHARS) return sendPage(res, 400, 'The login failed', 'The answer is too long.');
  const over = new AbortController();
  const timer = setTimeout(() => {
    over.abort(new Error(`no answer within ${FINISH_MS / 1000} s`));
  }, FINISH_MS);
  try {
    await pages.finish(new URLSearchParams(query), {}, over.signal);
  } catch (error) {
    const text = (error as Error).message;
    return sendPage(res, 400, 'The login failed', `${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
  } finally {
    clearTimeout(timer);
  }
  // The code leaves the address and the history. Relative: a proxy in front may have another path.
  res.writeHead(303, ['Location', '../login/done', 'Content-Length', '0', 'Cache-Control', 'no-store']).end();
}

export function serveDone({
  req,
  res,
}: {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}): void {
  if (req.method !== 'GET' && req.method !== 'HEAD') return notGet(res);
  sendPage(
    res,
    200,
    'You are logged in',
    'The gateway uses this login from now on. You may close this page.',
  );
}

export async function serveClientDocument(
  pages: LoginPages,
  { req, res }: { readonly req: IncomingMessage; readonly res: ServerResponse },
): Promise<void> {
  if (req.method !== 'GET' && req.method !== 'HEAD') return notGet(res);
  const document = await pages.clientDocument();
  if (!document)
    return sendError(
      res,
      new GatewayError('not_found', 'without an https http.public_url there is no document'),
    );
  sendJson(res, 200, JSON.stringify(document));
}

function notGet(res: ServerResponse): void {
  sendError(res, new GatewayError('method_not_allowed', 'only GET is served here'), 'null', [
    'Allow',
    'GET, HEAD',
  ]);
}

function sendPage(res: ServerResponse, status: number, title: string, text: string): void {
  const [heading, paragraph] = [escaped(title), escaped(text)];
  const body = Buffer.from(
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${heading} - mcpstead</title><style>${STYLE}</style><main><h1>${heading}</h1><p dir="auto">${paragraph}</p></main></html>\n`,
  );
  res.writeHead(status, [...HEADERS, 'Content-Length', String(body.length)]).end(body);
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
