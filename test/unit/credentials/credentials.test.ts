/** Logins, logouts and registrations of one server, with an authorization server as a script. */
import { expect, it } from 'vitest';
import { Credentials, type CredentialsDeps } from '../../../src/credentials/credentials.js';
import { EVERYBODY } from '../../../src/protocol/logins.js';
import { grantKey, readGrant, writeGrant } from '../../../src/credentials/grants.js';
import type { HttpServerConfig, OAuthConfig } from '../../../src/config/types.js';
import { memoryState } from '../../../src/state/memory.js';
import { atEnd } from '../../helpers/cleanup.js';
import { AUTH, failure, grantOf, scripted, SERVER, type Reply } from '../../helpers/credentials.js';
import { keptLog } from '../../helpers/state.js';

const URL_ = 'https://mcp.example/mcp';
const REDIRECT = 'http://127.0.0.1:8080/-/oauth/callback';
const REGISTER = 'POST https://as.example/register';
const TOKEN = 'POST https://as.example/token';
const REVOKE = 'POST https://as.example/revoke';
const HOUR = 3_600_000;
const { signal } = new AbortController();

function server(auth: Partial<OAuthConfig> = {}, url = URL_): HttpServerConfig {
  return { kind: 'http', name: 'x', url, auth: { ...AUTH, ...auth }, tls: {} } as HttpServerConfig;
}

function setup(replies: Record<string, Reply | (() => Reply)> = {}, more: Partial<CredentialsDeps> = {}) {
  let registered = 0;
  const script = scripted({
    'https://mcp.example/.well-known/oauth-protected-resource/mcp': {
      resource: URL_,
      authorization_servers: [SERVER.issuer],
    },
    'https://as.example/.well-known/oauth-authorization-server': SERVER,
    [REGISTER]: () => ({ status: 201, body: { client_id: `client-${++registered}` } }),
    [TOKEN]: { access_token: 'a', refresh_token: 'r', token_type: 'bearer' },
    [REVOKE]: 200,
    ...replies,
  });
  const clock = { now: 1_000_000 };
  const state = memoryState(() => clock.now);
  const log = keptLog();
  const credentials = new Credentials({
    records: () => Promise.resolve(state),
    shared: false,
    fetch: script.fetch,
    log,
    redirectUri: () => REDIRECT,
    document: () => undefined,
    run: () => Promise.resolve('printed\n'),
    count: { refreshed: () => undefined, login: () => undefined },
    now: () => clock.now,
    ...more,
  });
  atEnd(() => {
    credentials.close();
  });
  const login = () => credentials.login('x', EVERYBODY, [], signal);
  const finish = (url: string, returned: Record<string, string> = { code: 'c' }) =>
    credentials.logins.finish(
      new URLSearchParams({ state: new URL(url).searchParams.get('state') ?? '', ...returned }),
      {},
      signal,
    );
  const clientIn = (url: string) => new URL(url).searchParams.get('client_id');
  return { ...script, clock, state, log, credentials, login, finish, clientIn };
}

it('nothing is asked before somebody logs in; then the credential shows the token', async () => {
  const { credentials, asked, login, finish } = setup();
  const credential = credentials.of(server());
  await credential?.ready(signal);
  expect(asked).toEqual([]);
  const { url } = await login();
  await finish(url);
  expect(credential?.headers).toEqual(['authorization', 'Bearer a']);
  expect(await credentials.connections(EVERYBODY)).toMatchObject([
    { server: 'x', state: 'valid', issuer: SERVER.issuer, renews: true },
  ]);
});

it('the same configuration gives the same credential; another one closes it', () => {
  const { credentials } = setup();
  const first = credentials.of(server());
  expect(credentials.of(server())).toBe(first);
  expect(credentials.of(server({ scopes: [] }))).not.toBe(first);
  expect(credentials.of({ ...server(), auth: { type: 'none' } })).toBeUndefined();
});

it('a registration is used again while logins on it come back, and made anew when one older than an hour did not', async () => {
  const { credentials, clock, login, finish, clientIn } = setup();
  credentials.of(server());
  const first = await login();
  // A second tab, within the hour.
  expect(clientIn((await login()).url)).toBe('client-1');
  await finish(first.url);
  clock.now += 24 * HOUR;
  const later = await login();
  expect(clientIn(later.url)).toBe('client-1');
  await finish(later.url, { error: 'access_denied' }).catch(() => undefined);
  clock.now += 24 * HOUR;
  // The authorization server has forgotten it: nobody comes back.
  expect(clientIn((await login()).url)).toBe('client-1');
  const anew = await login();
  expect(clientIn(anew.url)).toBe('client-2');
  await finish(anew.url);
  clock.now += 24 * HOUR;
  expect(clientIn((await login()).url)).toBe('client-2');
});

it('a client that the token endpoint does not know is registered anew', async () => {
  const { credentials, login, finish, clientIn } = setup({
    [TOKEN]: { status: 401, body: { error: 'invalid_client' } },
  });
  credentials.of(server());
  const { url } = await login();
  expect((await failure(finish(url))).code).toBe('invalid_client');
  expect(clientIn((await login()).url)).toBe('client-2');
});

it('a login for a url that has changed meanwhile gives its tokens to nobody', async () => {
  const { credentials, state, login, finish } = setup();
  credentials.of(server());
  const { url } = await login();
  const other = credentials.of(server({}, 'https://evil.example/mcp'));
  expect((await failure(finish(url))).message).toContain('begin the login again');
  expect(other?.headers).toEqual([]);
  expect(await readGrant(state, grantKey('x', 'https://evil.example/mcp', ''))).toBeUndefined();
});

it('a login asks for what the challenge names, what was asked before, and offline access', async () => {
  const { credentials, login, finish } = setup({
    'https://as.example/.well-known/oauth-authorization-server': {
      ...SERVER,
      scopes_supported: ['offline_access', 'x'],
    },
  });
  const credential = credentials.of(server());
  const refuse = (challenge: string, status: 401 | 403 = 401) =>
    failure(
      credential?.refused({ status, challenge, stamp: credential.stamp, times: 0 }) ?? Promise.resolve(),
    );
  await refuse('Bearer scope="read"');
  const first = await login();
  expect(first.scopes).toEqual(['read', 'offline_access']);
  await finish(first.url);
  await refuse('Bearer error="insufficient_scope", scope="write"', 403);
  expect((await login()).scopes).toEqual(['read', 'offline_access', 'write']);
  expect((await credentials.login('x', EVERYBODY, ['a b', 'c"'], signal)).scopes.slice(3)).toEqual([
    'a',
    'b',
  ]);
});

it('a logout erases first, then revokes, and says so where that fails', async () => {
  const { credentials, asked, state, log, login, finish } = setup({ [REVOKE]: 503 });
  const credential = credentials.of(server());
  await finish((await login()).url);
  expect(await credentials.logout('x', EVERYBODY, {}, signal)).toBe(true);
  expect(asked.at(-1)).toBe(REVOKE);
  expect([credential?.headers, await readGrant(state, grantKey('x', URL_, ''))]).toEqual([[], undefined]);
  expect(log.lines.join()).toContain('was not told');
  expect(await credentials.logout('x', EVERYBODY, {}, signal)).toBe(false);
});

it('forgets its client at a logout if it is told to', async () => {
  const { credentials, login, finish, clientIn } = setup();
  credentials.of(server());
  await finish((await login()).url);
  await credentials.logout('x', EVERYBODY, { forgetClient: true }, signal);
  expect(clientIn((await login()).url)).toBe('client-2');
});

it('renews a login of the client that the configuration names, with its secret of today', async () => {
  const { credentials, state, sent, clock } = setup();
  const auth = { client_id: 'own', issuer: SERVER.issuer, client_secret: { command: ['print'] } };
  const client = {
    issuer: SERVER.issuer,
    id: 'own',
    kind: 'given',
    authentication: { method: 'none' },
  } as const;
  await writeGrant(state, grantKey('x', URL_, ''), grantOf({ client, expiresAt: clock.now - 1 }));
  const credential = credentials.of(server(auth));
  await credential?.ready(signal);
  expect(credential?.headers[1]).toBe('Bearer a');
  expect(Buffer.from(sent[0]?.headers['authorization']?.slice(6) ?? '', 'base64').toString()).toBe(
    'own:printed',
  );
});

it('a login of a client that is not configured any more ends; nothing is registered for its renewal', async () => {
  const { credentials, state, asked, clock } = setup();
  const client = {
    issuer: SERVER.issuer,
    id: 'own',
    kind: 'given',
    authentication: { method: 'none' },
  } as const;
  await writeGrant(state, grantKey('x', URL_, ''), grantOf({ client, expiresAt: clock.now - 1 }));
  const credential = credentials.of(server());
  expect(await failure(credential?.ready(signal) ?? Promise.resolve())).toMatchObject({
    code: 'login_required',
  });
  expect(asked).toEqual([]);
});

it('what is wrong with the metadata is tried again when somebody logs in', async () => {
  const at = 'https://as.example/.well-known/oauth-authorization-server';
  let document: Reply = { ...SERVER, code_challenge_methods_supported: [] };
  const { credentials, asked, login } = setup({ [at]: () => document });
  const credential = credentials.of(server());
  const refuse = () =>
    failure(credential?.refused({ status: 401, challenge: '', stamp: 0, times: 0 }) ?? Promise.resolve());
  expect((await refuse()).message).toContain('names no PKCE with S256');
  const before = asked.length;
  await refuse();
  expect(asked).toHaveLength(before);
  document = SERVER;
  expect((await login()).issuer).toBe(SERVER.issuer);
});

it('tokens without a person come from the issuer that is pinned, with its secret', async () => {
  const { credentials, sent } = setup();
  const auth = {
    grant: 'client_credentials',
    client_id: 'own',
    issuer: SERVER.issuer,
    client_secret: { value: 's' },
  } as const;
  const credential = credentials.of(server(auth));
  await credential?.ready(signal);
  expect(new URLSearchParams(sent.at(-1)?.body).get('grant_type')).toBe('client_credentials');
  expect((await failure(credentials.login('x', EVERYBODY, [], signal))).message).toContain(
    'without a person',
  );
  const other = setup();
  const evil = other.credentials.of(server({ ...auth, issuer: 'https://i.example' }));
  expect((await failure(evil?.ready(signal) ?? Promise.resolve())).message).toContain('nothing was sent');
  expect(other.asked.some((each) => each.startsWith('POST'))).toBe(false);
});

it('prunes the logins of servers that are gone but not disabled, and forgets those that are removed', async () => {
  const { credentials, state } = setup();
  credentials.of(server());
  await writeGrant(state, grantKey('x', URL_, ''), grantOf());
  await writeGrant(state, grantKey('gone', URL_, ''), grantOf());
  await writeGrant(state, grantKey('x', 'https://old.example/', ''), grantOf());
  await writeGrant(state, grantKey('off', URL_, ''), grantOf());
  expect((await credentials.prune(new Set(['off']))).sort()).toEqual(['gone', 'x']);
  expect(await credentials.prune(new Set())).toEqual(['off']);
  expect((await credentials.connections(EVERYBODY))[0]?.state).toBe('valid');
  credentials.remove('x');
  expect((await failure(credentials.login('x', EVERYBODY, [], signal))).message).toContain('takes no login');
});
