/** A gateway that signs people in at a real identity provider, and what clients and people do there. */
import { createHash, randomBytes } from 'node:crypto';
import type { ConfigInput, Gateway } from '../../src/index.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startOidc, type Oidc, type OidcSignIn } from '../fixtures/servers/oidc.mjs';
import { atEnd } from './cleanup.js';
import { runConfig, tempDir, type CliRun } from './cli.js';
import { startGateway, type RunningGateway } from './gateway.js';
import { createBrowser, type Browser } from './login.js';
import { freePort } from './port.js';
import { until } from './wait.js';

/** Where the answers of test clients go. */
export const ANSWERS = 'https://app.example/callback';

type Login = NonNullable<NonNullable<NonNullable<ConfigInput['mcp']>['auth']>['login']>;

export interface SignInStage {
  readonly oidc: Oidc;
  readonly upstream: Upstream;
  readonly running: RunningGateway;
  /** The issuer of the gateway, `http://127.0.0.1:PORT`. */
  readonly base: string;
  /** The configuration that it was started with. */
  readonly config: ConfigInput;
}

export interface StageOptions {
  readonly login?: Partial<Login>;
  readonly config?: ConfigInput;
  /** Further members of `mcp.auth`. */
  readonly auth?: object;
  readonly accounts?: OidcSignIn['accounts'];
  /** Claims are not in the ID token. */
  readonly userinfoOnly?: boolean;
  readonly publicUrl?: (port: number) => string;
  /** For `startGateway`. */
  readonly gateway?: Parameters<typeof startGateway>[1];
  /** Default: all servers are connected. */
  readonly isUp?: (gateway: Gateway) => boolean;
}

/** All that a gateway is started with, and the identity provider and the server behind it. */
export interface SignInParts extends Omit<SignInStage, 'running'> {
  readonly port: number;
}

/** `publicUrl`: of the gateway on a port; its address if not given. */
export async function prepareSignIn({
  login,
  config,
  auth,
  accounts,
  userinfoOnly = false,
  publicUrl = (port) => `http://127.0.0.1:${port}`,
}: StageOptions = {}): Promise<SignInParts> {
  const port = await freePort();
  const base = publicUrl(port);
  const oidc = await startOidc({
    signIn: {
      redirect_uris: [`${base}/oauth/callback`],
      userinfoOnly,
      accounts: accounts ?? { ada: { groups: ['dev'], preferred_username: 'Ada' } },
    },
  });
  atEnd(() => {
    oidc.close();
  });
  const upstream = await createUpstream({ tools: [tool('look'), tool('write')] });
  const whole: ConfigInput = {
    // Ready when its tools are there.
    servers: [upstream.entry('one', { required: true })],
    state: { dir: await tempDir() },
    metrics: { auth: 'none' },
    ...config,
    http: { public_url: base, ...config?.http },
    mcp: {
      ...config?.mcp,
      auth: {
        ...auth,
        login: {
          issuer: oidc.issuer,
          client_id: 'gw',
          scopes: ['openid', 'profile', 'offline_access'],
          params: { prompt: 'consent' },
          ...login,
        },
      },
    },
  };
  return { oidc, upstream, port, base, config: whole };
}

/** Everybody signs in as `ada` unless a browser says another name. */
export async function stageSignIn({
  gateway,
  isUp = (started) => started.health().servers.every(({ connected }) => connected),
  ...options
}: StageOptions = {}): Promise<SignInStage> {
  const { port, ...parts } = await prepareSignIn(options);
  const running = await startGateway(parts.config, { port, wait: [], ...gateway });
  // With a policy, `/health` names no servers.
  await until(() => isUp(running.gateway), 'the server');
  return { ...parts, running };
}

/** A gateway of these parts as a process of its own. `more` overrides parts of the configuration. */
export async function startProcess(
  { config, port }: Pick<SignInParts, 'config' | 'port'>,
  { more = {}, env = {} }: { readonly more?: ConfigInput; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<CliRun> {
  const run = await runConfig({ ...config, host: '127.0.0.1', port, ...more }, { env });
  const at = await run.listening();
  await until(async () => (await fetch(`${at}/ready`)).ok, 'the gateway');
  return run;
}

export interface TestClient {
  readonly id: string;
  readonly redirectUri: string;
}

export async function registerClient(base: string, redirectUri = ANSWERS): Promise<TestClient> {
  const answer = await fetch(`${base}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'Test app', redirect_uris: [redirectUri] }),
  });
  return { id: ((await answer.json()) as { client_id: string }).client_id, redirectUri };
}

/** The console of the gateway: its tokens are for what is below `/-/`. */
export function consoleClient(base: string): {
  readonly client: TestClient;
  readonly more: Record<string, string>;
} {
  return {
    client: { id: 'console', redirectUri: `${base}/-/signed-in` },
    more: { resource: `${base}/-/` },
  };
}

/** A request of a client, and what belongs to it. */
export function accessRequest(
  base: string,
  { id, redirectUri }: TestClient,
  more: Readonly<Record<string, string>> = {},
): { readonly url: URL; readonly verifier: string; readonly state: string } {
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(8).toString('hex');
  const url = new URL(`${base}/oauth/authorize`);
  const all = {
    response_type: 'code',
    client_id: id,
    redirect_uri: redirectUri,
    state,
    resource: `${base}/mcp`,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  };
  for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value);
  return { url, verifier, state };
}

/** The sealed request in the form of a consent page. */
export function formOf(page: string): string {
  const [, form] = /name="request" value="([^"]+)"/.exec(page) ?? [];
  if (form === undefined) throw new Error(`no form: ${page.slice(0, 2000)}`);
  return form;
}

/** Presses a button of the consent page. Returns the answer, which no redirect of was followed. */
export async function decide(
  base: string,
  browser: Browser,
  form: string,
  decision: 'allow' | 'cancel' = 'allow',
): Promise<Response> {
  return browser(new URL(`${base}/oauth/consent`), new URLSearchParams({ request: form, decision }), {
    origin: base,
  });
}

/** Goes on from the page of the identity provider, as `person`, until an address that begins with `end`. */
export async function signInAt(start: URL, end: string, browser: Browser, person = 'ada'): Promise<URL> {
  let url = start;
  let body: URLSearchParams | undefined;
  for (let steps = 0; steps < 20; steps++) {
    if (url.href.startsWith(end)) return url;
    const answer = await browser(url, body);
    const location = answer.headers.get('location');
    if (location !== null) {
      body = undefined;
      url = new URL(location, url);
      continue;
    }
    const page = await answer.text();
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
    const action = /action="([^"]+)"/.exec(page)?.[1];
    if (prompt === undefined || action === undefined)
      throw new Error(
        `no form at ${url.href}: ${answer.status} ${page.replace(/<style>.*<\/style>/s, '').slice(0, 2000)}`,
      );
    url = new URL(action, url);
    body = new URLSearchParams({ prompt, login: person, password: 'any' });
  }
  throw new Error('the sign-in does not end');
}

/** All steps of a person, from the request of a client to its answer. */
export async function signIn(
  base: string,
  request: URL,
  { redirectUri }: Pick<TestClient, 'redirectUri'>,
  { person, browser = createBrowser() }: { readonly person?: string; readonly browser?: Browser } = {},
): Promise<URL> {
  const page = await browser(request, undefined);
  const answer = await decide(base, browser, formOf(await page.text()));
  const location = answer.headers.get('location');
  if (location === null) throw new Error(`not allowed: ${answer.status} ${await answer.text()}`);
  return signInAt(new URL(location), redirectUri, browser, person);
}

export interface TokenReply {
  readonly status: number;
  readonly body: {
    readonly access_token: string;
    readonly refresh_token: string;
    readonly expires_in: number;
    readonly scope: string;
    readonly error?: string;
    readonly error_description?: string;
  };
}

export async function tokenRequest(
  base: string,
  form: Readonly<Record<string, string>>,
): Promise<TokenReply> {
  const answer = await fetch(`${base}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
  return { status: answer.status, body: (await answer.json()) as TokenReply['body'] };
}

/** A client whose user has signed in: its tokens. */
export async function signedIn(
  base: string,
  options: {
    readonly person?: string;
    readonly client?: TestClient;
    readonly more?: Record<string, string>;
  } = {},
): Promise<{ readonly client: TestClient; readonly tokens: TokenReply['body'] }> {
  const client = options.client ?? (await registerClient(base));
  const { url, verifier } = accessRequest(base, client, options.more);
  const returned = await signIn(base, url, client, options);
  const { status, body } = await tokenRequest(base, {
    grant_type: 'authorization_code',
    code: returned.searchParams.get('code') ?? '',
    code_verifier: verifier,
    client_id: client.id,
    redirect_uri: client.redirectUri,
  });
  if (status !== 200) throw new Error(`no tokens: ${returned.href} ${JSON.stringify(body)}`);
  return { client, tokens: body };
}

export function refreshed(base: string, client: TestClient, token: string): Promise<TokenReply> {
  return tokenRequest(base, { grant_type: 'refresh_token', refresh_token: token, client_id: client.id });
}

export interface ShownPage {
  readonly status: number;
  readonly location: string | null;
  readonly text: string;
}

/** Opens a page in a browser without cookies, which follows nothing. */
export async function openPage(url: URL): Promise<ShownPage> {
  const answer = await fetch(url, { redirect: 'manual' });
  return { status: answer.status, location: answer.headers.get('location'), text: await answer.text() };
}

/** A URL with other parameters; undefined: without one. */
export function changed(url: URL, more: Readonly<Record<string, string | undefined>>): URL {
  const other = new URL(url);
  for (const [name, value] of Object.entries(more))
    if (value === undefined) other.searchParams.delete(name);
    else other.searchParams.set(name, value);
  return other;
}

/** Sends a registration, which may be wrong. */
export function postRegistration(base: string, redirectUris: unknown, more: object = {}): Promise<Response> {
  return fetch(`${base}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'x', redirect_uris: redirectUris, ...more }),
  });
}
