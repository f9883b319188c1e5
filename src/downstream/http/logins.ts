/** What browsers and authorization servers see of a login to a server: where it begins, where it comes back to, and who the gateway is. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import { loginCookieIn, type LoginCookie } from '../../protocol/login-cookie.js';
import { failedPage, loggedInPage, loginPage, type LoginPage } from './login-page.js';
import { sendPage } from './page.js';
import { sendError, sendJson } from './respond.js';

export type { LoginPage } from './login-page.js';

export interface LoginPages {
  /** Takes the answer of an authorization server. Rejects with an Error whose message says what is wrong, for people. */
  finish(
    returned: URLSearchParams,
    by: { readonly cookie?: Pick<LoginCookie, 'value' | 'isOfHost'> },
    signal: AbortSignal,
  ): Promise<{ readonly server: string }>;
  /** What the page of a link shows; undefined: there is no such link. Never rejects. */
  page(id: string): Promise<LoginPage | undefined>;
  /** The metadata of the gateway as a client; undefined: there is none. */
  clientDocument(): Promise<object | undefined>;
}

export const CLIENT_PATH = '/-/oauth/client.json';
/** Links lead to a page below it. */
export const LOGIN_PATH = '/-/login/';
export const DONE_PATH = '/-/login/done';
const FINISH_MS = 30_000;
/** A longer answer of an authorization server is not read. */
const MOST_CHARS = 16_384;

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
  if (query.length > MOST_CHARS) return sendPage(req, res, failedPage('the answer is too long'));
  const returned = new URLSearchParams(query);
  const cookie = loginCookieIn(req.headers.cookie, returned.get('state') ?? '');
  const removal = cookie ? ['Set-Cookie', cookie.removal] : [];
  const over = new AbortController();
  const timer = setTimeout(() => {
    over.abort(new Error(`no answer within ${FINISH_MS / 1000} s`));
  }, FINISH_MS);
  try {
    await pages.finish(returned, cookie ? { cookie } : {}, over.signal);
  } catch (error) {
    return sendPage(req, res, failedPage((error as Error).message, removal));
  } finally {
    clearTimeout(timer);
  }
  // The code leaves the address and the history. Relative: a proxy in front may have another path.
  const headers = ['Location', '../login/done', 'Content-Length', '0', 'Cache-Control', 'no-store'];
  res.writeHead(303, [...headers, 'Referrer-Policy', 'no-referrer', ...removal]).end();
}

export function serveDone({
  req,
  res,
}: {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}): void {
  if (req.method !== 'GET' && req.method !== 'HEAD') return notGet(res);
  sendPage(req, res, loggedInPage());
}

/** Answers with the page of a link. `signsIn`: people may show who they are by signing in at the gateway. */
export async function serveLogin(
  pages: LoginPages,
  signsIn: boolean,
  { req, res, path }: { readonly req: IncomingMessage; readonly res: ServerResponse; readonly path: string },
): Promise<void> {
  if (req.method !== 'GET' && req.method !== 'HEAD') return notGet(res);
  const page = await pages.page(path.slice(LOGIN_PATH.length));
  if (!res.destroyed) sendPage(req, res, loginPage(page, signsIn));
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
