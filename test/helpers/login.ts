/** What a client's application and its user do in a login at an issuer. */
import type { ConfigInput } from '../../src/index.js';
import type { Upstream } from '../fixtures/servers/http-upstream.js';
import { startOidc, type Oidc } from '../fixtures/servers/oidc.mjs';
import { atEnd } from './cleanup.js';
import { startGateway, type RunningGateway } from './gateway.js';
import { until } from './wait.js';

/** Opens a page, with a form if there is a `body`. */
export type Browser = (
  url: URL,
  body: URLSearchParams | undefined,
  headers?: Readonly<Record<string, string>>,
) => Promise<Response>;

/** A browser that keeps cookies, and follows nothing by itself. */
export function createBrowser(): Browser {
  const cookies = new Map<string, string>();
  return async (url, body, headers) => {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const answer = await fetch(url, {
      method: body ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie, ...headers },
      ...(body ? { body } : {}),
    });
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] as string).split('=');
      if (/; *max-age=0(;|$)/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
}

/** Logs in as a person in a browser would: follows redirects, and submits the forms for name and consent. */
export async function browse(start: URL, redirect: string): Promise<URL> {
  const browser = createBrowser();
  let url = start;
  let body: URLSearchParams | undefined;
  for (let steps = 0; steps < 20; steps++) {
    const answer = await browser(url, body);
    const location = answer.headers.get('location');
    if (location !== null) {
      body = undefined;
      url = new URL(location, url);
      if (url.href.startsWith(redirect)) return url;
      continue;
    }
    const page = await answer.text();
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
    const action = /action="([^"]+)"/.exec(page)?.[1];
    if (prompt === undefined || action === undefined)
      throw new Error(`no form at ${url.href}: ${page.slice(0, 2000)}`);
    url = new URL(action, url);
    body = new URLSearchParams({ prompt, login: 'ada', password: 'any' });
  }
  throw new Error('the login does not end');
}

/** Confirms a login on another device as a person does: submits every form that follows, with a name where one is asked for. */
export async function confirmDevice(start: URL): Promise<string> {
  const browser = createBrowser();
  let url = start;
  let body: URLSearchParams | undefined;
  for (let steps = 0; steps < 20; steps++) {
    const answer = await browser(url, body);
    body = undefined;
    const location = answer.headers.get('location');
    if (location !== null) {
      url = new URL(location, url);
      continue;
    }
    const page = await answer.text();
    const action = /action="([^"]+)"/.exec(page)?.[1];
    if (action === undefined) return page;
    url = new URL(action, url);
    body = new URLSearchParams({ login: 'ada', password: 'any' });
    for (const [input] of page.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
      const [name, value] = ['name', 'value'].map(
        (key) => new RegExp(`${key}="([^"]*)"`).exec(input)?.[1] ?? '',
      ) as [string, string];
      body.set(name, value);
    }
  }
  throw new Error('the login does not end');
}

export const REDIRECT = 'http://127.0.0.1:9/callback';

/** Registers a client that may ask for every scope, as a person would by hand. Its loopback port is any. Returns its id. */
export async function register(issuer: string, redirect: string): Promise<string> {
  const answer = await fetch(`${issuer}/reg`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      redirect_uris: [redirect],
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
    }),
  });
  return ((await answer.json()) as { client_id: string }).client_id;
}

interface Tokens {
  access_token: string;
  refresh_token?: string;
  scope?: string;
}

/** What an application keeps between the steps of a login. The SDKs differ in their types alone. */
export function application(grants = ['authorization_code']) {
  const kept: {
    client?: object;
    tokens?: Tokens;
    verifier: string;
    at?: URL;
    found?: object;
  } = {
    verifier: '',
  };
  return {
    kept,
    provider: {
      redirectUrl: REDIRECT,
      clientMetadata: {
        client_name: 'test',
        redirect_uris: [REDIRECT],
        grant_types: grants,
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
      },
      clientInformation: () => kept.client as never,
      saveClientInformation: (client: object) => void (kept.client = client),
      tokens: () => kept.tokens as never,
      saveTokens: (tokens: Tokens) => void (kept.tokens = tokens),
      redirectToAuthorization: (url: URL) => void (kept.at = url),
      saveCodeVerifier: (verifier: string) => void (kept.verifier = verifier),
      codeVerifier: () => kept.verifier,
      saveDiscoveryState: (found: object) => void (kept.found = found),
      discoveryState: () => kept.found as never,
    },
  };
}

/** A real issuer, and a gateway that takes its tokens and whose rules are `rules`. Its server is up, and it has the keys of the issuer. */
export async function startBehindIssuer(
  upstream: Upstream,
  rules: NonNullable<ConfigInput['policy']>['rules'],
): Promise<{ oidc: Oidc; running: RunningGateway }> {
  const oidc = await startOidc();
  atEnd(() => {
    oidc.close();
  });
  const running = await startGateway(
    {
      servers: [upstream.entry('one')],
      mcp: { auth: { issuers: [{ name: 'corp', issuer: oidc.issuer }], scopes: ['read'] } },
      metrics: { auth: 'none' },
      policy: { rules },
    },
    { wait: [] },
  );
  await until(() => running.gateway.health().servers.every(({ connected }) => connected), 'the server');
  await until(async () => (await running.metric('mcpstead_auth_issuer_up{issuer="corp"}')) === 1);
  return { oidc, running };
}
