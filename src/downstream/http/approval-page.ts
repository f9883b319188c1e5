/** The page of a call that waits for a yes: empty until somebody has shown who he is, then what would be sent, and the two buttons. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import { markup, sendPage, type Page } from './page.js';
import { sendError } from './respond.js';
import { SIGN_IN_SCRIPT } from './signed-in.js';

/** Links lead to a page below it. */
export const APPROVAL_PATH = '/-/approvals/';
/** The paths of these pages, each with the id of a record. */
export const APPROVAL_PAGE = /^\/-\/approvals\/[\w-]{1,128}$/;

/** All that comes from the API is put into the page as text. */
const SCRIPT = `'use strict';
${SIGN_IN_SCRIPT}
const id = location.pathname.split('/').pop();
const part = (name) => document.querySelector('#' + name);
const said = document.querySelector('[role=alert]');
const box = part('arguments');
let credential = null;
let call = null;
let isRead = false;
const WORDS = {
  401: 'This credential is not accepted.',
  404: 'There is no such call, or it is not for you.',
  429: 'Too many wrong credentials: try again in a minute.',
};
async function api(method, body) {
  const answer = await fetch('../api/v1/approvals/' + id, {
    method,
    headers: { 'content-type': 'application/json', authorization: 'Bearer ' + credential },
    body: body && JSON.stringify(body),
    cache: 'no-store',
    redirect: 'error',
  });
  const told = await answer.json();
  if (answer.ok) return told;
  if (answer.status === 401) {
    credential = null;
    show();
  }
  throw new Error(WORDS[answer.status] || told.detail);
}
function put(name, text) {
  part(name).textContent = text;
}
function time(text) {
  return new Date(text).toLocaleString();
}
const STATES = { open: 'waits for a yes', approved: 'has its yes; the next same call is sent', sent: 'was sent', denied: 'was refused', expired: 'got no answer in time', void: 'has changed since it was asked for' };
function show() {
  part('who').hidden = credential !== null;
  part('call').hidden = call === null || credential === null;
  if (call === null || credential === null) return;
  put('state', (isBeingSent() ? 'has its yes, and is sent' : STATES[call.state]) + (call.state === 'open' ? ' until ' + time(call.expires) : ''));
  put('tool', call.tool);
  put('server', call.server);
  put('caller', call.name + (call.person === null || call.person === call.name ? '' : ' (' + call.person + ')') + (call.client === null ? '' : ', with ' + call.client));
  put('rules', call.entries.map((entry) => entry.rule + ': ' + entry.met + ' of ' + entry.need + ' yes by ' + (entry.by === 'caller' ? 'the caller' : entry.by)).join('; '));
  put('arguments', call.arguments === null ? 'You may not see the arguments.' : call.arguments);
  part('is-ignored').hidden = call.ignored === null;
  put('ignored', call.ignored === null ? '' : call.ignored);
  part('is-changed').hidden = call.changes === null;
  put('changes', call.changes === null ? '' : call.changes.join('\\n'));
  put('votes', call.votes.map((vote) => (vote.decision === 'approve' ? 'yes' : 'no') + ' by ' + vote.by + (vote.note === null ? '' : ': ' + vote.note)).join('; ') || 'none yet');
  const repeats = call.entries.map((entry) => entry.repeat);
  part('widens').hidden = !call.may_vote || repeats.includes(null);
  if (!repeats.includes(null)) put('how', 'Also for the next ' + Math.min(...repeats.map((each) => each.minutes)) + ' minutes, ' + (repeats.every((each) => each.covers === 'tool') ? 'whatever the arguments' : 'with the same arguments'));
  part('vote').hidden = !call.may_deny;
  part('approve').hidden = !call.may_vote;
  part('take-back').hidden = !call.may_take_back;
  put('theirs', call.own ? 'This is a call of your own: others vote on it.' : 'Others vote on this call.');
  part('theirs').hidden = call.may_vote || call.state !== 'open';
  look();
}
/** The yes works once everything was on the screen. */
function look() {
  if (call === null) return;
  const isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 2;
  if (isAtEnd && box.getBoundingClientRect().bottom <= innerHeight + 2) isRead = true;
  part('approve').disabled = !isRead;
  part('unread').hidden = isRead || !call.may_vote;
}
function run(work) {
  said.textContent = '';
  for (const button of document.querySelectorAll('button')) button.disabled = true;
  work
    .catch((error) => {
      said.textContent = error instanceof TypeError ? 'The gateway cannot be reached.' : error.message;
    })
    .finally(() => {
      for (const button of document.querySelectorAll('button')) button.disabled = false;
      look();
    });
}
async function load() {
  call = await api('GET');
  isRead = false;
  show();
}
async function vote(decision) {
  const note = part('note').value.trim();
  const body = { decision, digest: call.digest };
  if (note !== '') body.note = note;
  if (decision === 'approve' && part('repeat').checked) body.repeat = true;
  await change('POST', body);
}
/** What was decided meanwhile is shown with the words that say so. */
async function change(method, body) {
  try {
    call = await api(method, body);
  } catch (error) {
    if (credential !== null) call = await api('GET').catch(() => call);
    show();
    throw error;
  }
  show();
  if (isBeingSent()) setTimeout(follow, 1000);
}
/** A call that waits uses its yes at once. */
function isBeingSent() {
  return call.state === 'approved' && call.waiting;
}
async function follow() {
  const told = await api('GET').catch(() => null);
  if (told === null) return;
  call = told;
  show();
}
part('who').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = part('key').value.trim();
  if (!/^[\\x21-\\x7e]+$/.test(key)) {
    said.textContent = 'A credential has only letters, digits and signs of ASCII, without spaces.';
    return;
  }
  credential = key;
  part('key').value = '';
  run(load());
});
part('approve').addEventListener('click', () => run(vote('approve')));
part('deny').addEventListener('click', () => run(vote('deny')));
part('take-back').addEventListener('click', () => run(change('DELETE')));
box.addEventListener('scroll', look);
addEventListener('scroll', look);
addEventListener('resize', look);
const other = part('sign-in');
if (other) other.addEventListener('click', () => run(signIn('approvals/' + id)));
const own = other ? tokens() : null;
if (own) {
  credential = own.access;
  run(load());
}`;

/** Answers with the page. It holds nothing of the call: the API says who may see what. `signsIn`: people may sign in at the gateway. */
export function serveApproval(
  signsIn: boolean,
  { req, res }: { readonly req: IncomingMessage; readonly res: ServerResponse },
): void {
  if (req.method === 'GET' || req.method === 'HEAD') return sendPage(req, res, signsIn ? SIGNING : PLAIN);
  sendError(res, new GatewayError('method_not_allowed', 'only GET is served here'), 'null', [
    'Allow',
    'GET, HEAD',
  ]);
}

function pageFor(signsIn: boolean): Page {
  return {
    status: 200,
    title: 'A held call',
    body: [
      markup`<form id="who">
          <p>Show who you are to see what would be sent.</p>
          <label for="key">Your key for this gateway</label
          ><input id="key" type="password" autocomplete="off" autocapitalize="off" spellcheck="false" aria-describedby="why" /><small
            id="why"
            >A key with <code>approver: true</code>; or the key in the file <code>console.key</code> of the gateway's state folder. It is not stored.</small
          ><button type="submit">Show the call</button>${
            signsIn ? markup`<button type="button" id="sign-in" class="second">Sign in</button>` : []
          }
        </form>
        <section id="call" hidden>
          <dl>
            <dt>This call</dt>
            <dd id="state"></dd>
            <dt>Tool</dt>
            <dd><code><bdi id="tool"></bdi></code> of <bdi id="server"></bdi></dd>
            <dt>Caller</dt>
            <dd><bdi id="caller"></bdi></dd>
            <dt>Rules</dt>
            <dd><bdi id="rules"></bdi></dd>
            <dt>Votes</dt>
            <dd><bdi id="votes"></bdi></dd>
          </dl>
          <h2>What is sent</h2>
          <pre id="arguments" tabindex="0" dir="ltr"></pre>
          <div id="is-ignored">
            <h2>Not part of the yes</h2>
            <pre id="ignored" tabindex="0" dir="ltr"></pre>
          </div>
          <details id="is-changed">
            <summary>How it differs from the last call that got a yes</summary>
            <pre id="changes" tabindex="0" dir="ltr"></pre>
          </details>
          <p id="theirs"></p>
          <p id="take-back"><button type="button" class="second">Take back the yes</button></p>
          <div id="vote">
            <label for="note">Note for the caller</label
            ><input id="note" maxlength="500" autocomplete="off" aria-describedby="seen" /><small id="seen"
              >It is shown to the model that made the call.</small
            >
            <p id="widens"><label class="inline"><input type="checkbox" id="repeat" /> <span id="how"></span></label></p>
            <p id="unread">Scroll to the end of what is sent: then the yes works.</p>
            <button type="button" id="approve" class="late">Approve</button
            ><button type="button" id="deny" class="second">Deny</button>
          </div>
        </section>
        <p role="alert" dir="auto"></p>
        <noscript><p>This page needs JavaScript. Without it, run <code>mcpstead approvals list</code>.</p></noscript>`,
    ],
    script: SCRIPT,
  };
}

const PLAIN = pageFor(false);
const SIGNING = pageFor(true);
