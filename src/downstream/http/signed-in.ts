/**
 * The pages of the gateway as a client of its own authorization server (OAuth 2.1, 4.1; RFC 7636): how one of them begins a sign-in, and the
 * page that a browser comes back to with the code. The tokens stay in the sessionStorage of the tab, in the form that the console reads.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import { markup, sendPage, type Page } from './page.js';
import { sendError } from './respond.js';

/** The redirect URI of the client `console`. */
export const SIGNED_IN_PATH = '/-/signed-in';

/** Defines `signIn(back)` for a page below `/-/login/`, and `tokens()`. `back`: the page to go on with, relative to `/-/`. */
export const SIGN_IN_SCRIPT = `const base = new URL('../../', location.href).href;
function tokens() {
  try {
    return JSON.parse(sessionStorage.getItem('mcpstead.tokens'));
  } catch {
    return null;
  }
}
function written(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
async function signIn(back) {
  const answer = await fetch(base + '.well-known/oauth-authorization-server', { credentials: 'omit', cache: 'no-store' });
  if (!answer.ok) throw new Error('Nobody can sign in here now.');
  const { issuer } = await answer.json();
  if (issuer + '/' !== base) throw new Error('People sign in at ' + issuer + ': open the page there.');
  const [state, verifier] = [16, 32].map((length) => written(crypto.getRandomValues(new Uint8Array(length))));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  sessionStorage.setItem('mcpstead.signing-in', JSON.stringify({ state, verifier, issuer, back }));
  location.assign(base + 'oauth/authorize?' + new URLSearchParams({
    response_type: 'code',
    client_id: 'console',
    redirect_uri: base + '-/signed-in',
    resource: base + '-/',
    state,
    code_challenge: written(new Uint8Array(digest)),
    code_challenge_method: 'S256',
  }));
}`;

const SCRIPT = `'use strict';
const returned = new URLSearchParams(location.search);
// The code leaves the address and the history.
history.replaceState(null, '', location.pathname);
const stored = sessionStorage.getItem('mcpstead.signing-in');
sessionStorage.removeItem('mcpstead.signing-in');
const link = document.querySelector('a');
const pages = /^(?:console\\/(?:#\\/[\\x21-\\x7e]*)?|login\\/[\\w-]{1,64}|approvals\\/[\\w-]{1,128})$/;
async function finish() {
  const begun = JSON.parse(stored);
  if (begun && pages.test(begun.back)) link.href = begun.back;
  if (!begun || returned.get('state') !== begun.state || returned.get('iss') !== begun.issuer)
    throw new Error('This sign-in was not started in this tab, or was used before. Begin it again.');
  const code = returned.get('code');
  if (returned.get('error') === 'access_denied') throw new Error('You did not allow it.');
  if (code === null) throw new Error('Something went wrong at the identity provider. Begin again, or ask an operator.');
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: 'console',
    code,
    code_verifier: begun.verifier,
    redirect_uri: location.origin + location.pathname,
  });
  const answer = await fetch('../oauth/token', { method: 'POST', body, credentials: 'omit', cache: 'no-store', redirect: 'error' });
  const told = await answer.json();
  if (!answer.ok) throw new Error('The gateway says: ' + told.error_description + '.');
  const { access_token: access, refresh_token: refresh, expires_in: seconds } = told;
  const isForLink = begun.back.startsWith('login/');
  sessionStorage.setItem('mcpstead.tokens', JSON.stringify({ access, refresh, renew: Date.now() + seconds * 800, isForLink }));
  location.replace(link.href);
}
finish().catch((error) => {
  document.querySelector('h1').textContent = 'You are not signed in';
  document.querySelector('[role=alert]').textContent =
    error instanceof TypeError ? 'The gateway cannot be reached. Begin again.' : error.message;
  link.hidden = false;
});`;

const PAGE: Page = {
  status: 200,
  title: 'Signing in',
  body: [
    markup`<p role="alert"></p>
      <p><a href="console/" hidden>Back</a></p>
      <noscript><p>This page needs JavaScript.</p></noscript>`,
  ],
  script: SCRIPT,
};

/** Answers with the page that exchanges the code. Nothing of the query is read here. */
export function serveSignedIn({
  req,
  res,
}: {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}): void {
  if (req.method === 'GET' || req.method === 'HEAD') return sendPage(req, res, PAGE);
  sendError(res, new GatewayError('method_not_allowed', 'only GET is served here'), 'null', [
    'Allow',
    'GET, HEAD',
  ]);
}
