/** The pages of a sign-in at the gateway: what an application asks a person for, and why a sign-in cannot go on. They need no script. */
import type { ConsentPage, ProblemPage, SignInPage } from '../../protocol/sign-in.js';
import { markup, type Page } from './page.js';

/** Where the form of the consent page goes. Relative: a proxy in front may have another path. */
const CONSENT = 'consent';
const MOST_SERVERS = 20;

const TITLES = {
  400: 'This sign-in cannot go on',
  403: 'This is not allowed',
  429: 'Too many sign-ins',
  503: 'The sign-in does not work now',
} as const;

export function signInPage(page: SignInPage, headers: readonly string[]): Page {
  return page.kind === 'consent' ? consentPage(page, headers) : problemPage(page, headers);
}

function consentPage(page: ConsentPage, headers: readonly string[]): Page {
  const { client, clientHost, answerTo, redirectUri, resource, servers, scopes, provider, form } = page;
  return {
    status: 200,
    // Alone on its line, first and largest: this is who gets the access.
    title: answerTo,
    hasForm: true,
    headers,
    body: [
      markup`<p>
        gets access to this gateway in your name if you allow it. Go on only if you have just connected this application
        yourself.
      </p>`,
      ...warning(page),
      markup`<dl>
        <dt>Application</dt>
        <dd><bdi>${client}</bdi> ${clientHost === undefined ? '(not verified)' : markup`(of <bdi>${clientHost}</bdi>)`}</dd>
        <dt>The answer goes to</dt>
        <dd><code><bdi>${redirectUri}</bdi></code></dd>
        <dt>Access to</dt>
        <dd><code><bdi>${resource}</bdi></code></dd>
        ${servers === undefined || servers.length === 0 ? [] : serverRow(servers)}
        ${
          scopes.length === 0
            ? []
            : markup`<dt>Scopes</dt>
                <dd>${scopes.map((scope, n) => markup`${n === 0 ? '' : ', '}<code><bdi>${scope}</bdi></code>`)}</dd>`
        }
        <dt>You sign in at</dt>
        <dd><bdi>${provider}</bdi></dd>
      </dl>`,
      markup`<form method="post" action="${CONSENT}">
        <input type="hidden" name="request" value="${form}" /><button
          class="late"
          type="submit"
          name="decision"
          value="allow"
          >Allow</button
        ><button class="second" type="submit" name="decision" value="cancel">Cancel</button>
      </form>`,
    ],
  };
}

function serverRow(servers: readonly string[]): ReturnType<typeof markup> {
  const shown = servers.slice(0, MOST_SERVERS);
  const more = servers.length - shown.length;
  return markup`<dt>Servers</dt>
    <dd>
      ${shown.map((server, n) => markup`${n === 0 ? '' : ', '}<bdi>${server}</bdi>`)}${more > 0 ? ` and ${more} more` : ''}
    </dd>`;
}

function warning({ warning: kind, answerTo }: ConsentPage): readonly ReturnType<typeof markup>[] {
  switch (kind) {
    case 'loopback':
      return [
        markup`<p class="warning">
        The answer goes to a program on your own machine. Any program there can ask for it: go on only if you have just
        started one.
      </p>`,
      ];
    case 'scheme':
      return [
        markup`<p class="warning">
        The answer goes to the program on your machine that opens links of <code><bdi>${answerTo}</bdi></code>. Any
        program can claim them: go on only if you have just started one.
      </p>`,
      ];
    case undefined:
      return [];
  }
}

function problemPage({ status, text, retryAfter, back }: ProblemPage, headers: readonly string[]): Page {
  return {
    status,
    title: TITLES[status],
    hasForm: true,
    headers: [...headers, ...(retryAfter === undefined ? [] : ['Retry-After', String(retryAfter)])],
    body: [
      markup`<p dir="auto">${text}</p>`,
      ...(back === undefined
        ? []
        : [
            markup`<p>
              <a href="${back.url}" rel="noreferrer">Back to the application at <bdi>${back.host}</bdi></a>
            </p>`,
          ]),
    ],
  };
}
