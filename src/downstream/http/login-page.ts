/** The page of a link to a login: what the login is for, and the button that goes on with it, or the field for a key. */
import { markup, type Page } from './page.js';
import { SIGN_IN_SCRIPT } from './signed-in.js';

/** What the page shows. All of it may come from servers. */
export interface LoginPage {
  readonly server: string;
  /** undefined: it is a program. */
  readonly serverHost: string | undefined;
  /** The person sets a key here, and is not sent elsewhere. */
  readonly takesKey: boolean;
  /** Where the browser is sent; empty: not known. */
  readonly hosts: readonly string[];
  readonly scopes: readonly string[];
  /** The login serves everybody who uses the gateway, not one person. */
  readonly forEverybody: boolean;
  /** The name of the principal who has to show a credential; undefined: nobody has to. */
  readonly by: string | undefined;
  /** The login was made meanwhile. */
  readonly isDone: boolean;
  /** Why the login cannot begin. */
  readonly problem: string | undefined;
}

/** Goes on with the login. The credential is in the field alone, until it is sent. */
const SCRIPT = `'use strict';
${SIGN_IN_SCRIPT}
const form = document.querySelector('form');
const button = document.querySelector('button[type=submit]');
const other = document.querySelector('#sign-in');
const signed = document.querySelector('#signed-in');
const asked = document.querySelector('#asked');
let isRefused = false;
const field = document.querySelector('#key');
const secret = document.querySelector('#secret');
const said = document.querySelector('[role=alert]');
const loopback = /^(localhost|127(\\.\\d{1,3}){3}|\\[::1\\])$/;
const WORDS = {
  401: 'This credential is not accepted.',
  404: 'This link was given to somebody else, or it is over. Call the tool again to get one.',
  429: 'Too many wrong credentials: try again in a minute.',
};
async function begin() {
  const headers = { 'content-type': 'application/json' };
  const key = field ? field.value.trim() : '';
  if (/[^\\x21-\\x7e]/.test(key)) throw new Error('A credential has only letters, digits and signs of ASCII, without spaces.');
  const own = key === '' ? session() : null;
  if (own) headers.authorization = 'Bearer ' + own.access;
  else if (key !== '') headers.authorization = 'Bearer ' + key;
  const body = {};
  if (secret) {
    body.key = secret.value.trim();
    if (!/^[\\x21-\\x7e]+$/.test(body.key)) throw new Error('A key has only letters, digits and signs of ASCII, without spaces.');
  }
  const path = '../api/v1/logins/' + location.pathname.split('/').pop();
  const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body), cache: 'no-store', redirect: 'error' });
  const told = await answer.json();
  if (!answer.ok) {
    if (own && (answer.status === 401 || answer.status === 404)) {
      isRefused = true;
      if (own.isForLink) leave(own);
      show();
    }
    if (own && answer.status === 401) throw new Error('Your sign-in has ended: sign in again.');
    throw new Error(WORDS[answer.status] || told.detail);
  }
  if (own && own.isForLink) leave(own);
  if (secret) {
    secret.value = '';
    if (field) field.value = '';
    location.assign('done');
    return;
  }
  const url = new URL(told.url);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback.test(url.hostname)))
    throw new Error('The authorization server names an address without https.');
  if (field) field.value = '';
  location.assign(url.href);
}
/** The tokens of the sign-in, as long as they are of use. */
function session() {
  return other && !isRefused ? tokens() : null;
}
function show() {
  if (!other) return;
  const isSignedIn = session() !== null;
  signed.hidden = !isSignedIn;
  other.hidden = asked.hidden = isSignedIn;
}
/** Ends a sign-in that was for this link alone. */
function leave({ refresh }) {
  sessionStorage.removeItem('mcpstead.tokens');
  const body = new URLSearchParams({ token: refresh, client_id: 'console' });
  fetch(base + 'oauth/revoke', { method: 'POST', body, credentials: 'omit', keepalive: true }).catch(() => undefined);
}
function run(work) {
  button.disabled = true;
  said.textContent = '';
  work.catch((error) => {
    button.disabled = false;
    said.textContent = error instanceof TypeError ? 'The gateway cannot be reached.' : error.message;
  });
}
form.addEventListener('submit', (event) => {
  event.preventDefault();
  run(begin());
});
if (other) other.addEventListener('click', () => run(signIn('login/' + location.pathname.split('/').pop())));
addEventListener('pageshow', () => {
  button.disabled = false;
  show();
});`;

/** `page`: undefined: there is no such link. `signsIn`: people may sign in at the gateway instead of showing a credential. */
export function loginPage(page: LoginPage | undefined, signsIn = false): Page {
  if (!page)
    return {
      status: 404,
      title: 'This link is over',
      body: [
        markup`<p>It was used, its 10 minutes have passed, or the gateway was started again.</p>`,
        markup`<p>
          Call the tool again to get another link, or run <code>mcpstead login</code> with the name of the
          server.
        </p>`,
      ],
    };
  if (page.isDone) return loggedInPage(page.server);
  const command = markup`<code>mcpstead login ${quoted(page.server)}</code>`;
  if (page.problem !== undefined)
    return {
      status: 200,
      title: `The login to ${page.server} cannot begin`,
      body: [
        markup`<p dir="auto">${page.problem}</p>`,
        facts(page),
        markup`<p>Once this is corrected, load the page again.</p>`,
      ],
    };
  return {
    status: 200,
    title: `Log in to ${page.server}`,
    body: [
      page.takesKey
        ? markup`<p>
            The gateway keeps the key, and shows it to this server alone. Go on only if you asked for this
            yourself.
          </p>`
        : markup`<p>
            Continue leads to the page of the authorization server, where you log in and consent. Go on only if
            you asked for this yourself.
          </p>`,
      facts(page),
      markup`<form method="post">
        ${page.takesKey ? keyField(page.server) : []}${
          page.by === undefined ? [] : credentialField(page.by, signsIn)
        }<button type="submit">${page.takesKey ? 'Save the key' : 'Continue'}</button>${
          page.by === undefined || !signsIn
            ? []
            : markup`<button type="button" id="sign-in" class="second">Sign in</button>`
        }
        <p role="alert" dir="auto"></p>
      </form>`,
      markup`<noscript><p>This page needs JavaScript. Without it, run ${command}.</p></noscript>`,
    ],
    script: SCRIPT,
  };
}

export function loggedInPage(server?: string): Page {
  return {
    status: 200,
    title: server === undefined ? 'You are logged in' : `You are logged in to ${server}`,
    body: [markup`<p>The gateway uses this login from now on. You may close this page.</p>`],
  };
}

export function failedPage(text: string, headers: readonly string[] = []): Page {
  const sentence = `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
  return { status: 400, title: 'The login failed', body: [markup`<p dir="auto">${sentence}</p>`], headers };
}

function facts({
  server,
  serverHost,
  takesKey,
  hosts,
  scopes,
  forEverybody,
  by,
}: LoginPage): ReturnType<typeof markup> {
  const [first, ...others] = hosts;
  return markup`<dl>
    <dt>Server</dt>
    <dd>
      <bdi>${server}</bdi>${
        serverHost === undefined ? ', a program beside the gateway' : markup` at <bdi>${serverHost}</bdi>`
      }
    </dd>
    ${
      first === undefined
        ? []
        : markup`<dt>You log in at</dt>
            <dd><bdi>${first}</bdi>${others.map((host) => markup`, <bdi>${host}</bdi>`)}</dd>
            <dt>It is asked for</dt>
            <dd>
              ${
                scopes.length === 0
                  ? 'what it gives without being asked'
                  : scopes.map((scope, n) => markup`${n === 0 ? '' : ', '}<code><bdi>${scope}</bdi></code>`)
              }
            </dd>`
    }
    <dt>${takesKey ? 'The key is for' : 'The login is for'}</dt>
    <dd>${forEverybody ? 'everybody who uses this gateway' : markup`<bdi>${by ?? 'you'}</bdi> alone`}</dd>
  </dl>`;
}

function keyField(server: string): ReturnType<typeof markup> {
  return markup`<label for="secret">Your key for <bdi>${server}</bdi></label
    ><input
      id="secret"
      type="password"
      autocomplete="off"
      autocapitalize="off"
      spellcheck="false"
      aria-describedby="what"
      required
    /><small id="what">As the server, or the service behind it, has given it to you.</small>`;
}

function credentialField(by: string, signsIn: boolean): ReturnType<typeof markup> {
  return markup`${
    signsIn ? markup`<p id="signed-in" hidden>You are signed in at this gateway.</p>` : []
  }<div id="asked">
    <label for="key">Your key or token for this gateway</label
    ><input
      id="key"
      type="password"
      autocomplete="off"
      autocapitalize="off"
      spellcheck="false"
      aria-describedby="why"
    /><small id="why"
      >The link was given to <bdi>${by}</bdi>, and works with the credential of <bdi>${by}</bdi> alone. It is
      not stored.${signsIn ? ' Without one, sign in.' : ''}</small
    >
  </div>`;
}

/** A name as one word of a command line. */
function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
