/** What an identity provider may answer, and what becomes of it. */
import { inspect } from 'node:util';
import { SignJWT, UnsecuredJWT } from 'jose';
import { expect, it } from 'vitest';
import { ProviderProblem } from '../../../src/authorization-server/provider-problem.js';
import { createKey } from '../../helpers/issuer.js';
import { failure } from '../../helpers/credentials.js';
import {
  ISSUER,
  returned,
  SIGN_IN,
  startIdentityProvider,
  type TestIdentityProvider,
} from '../../helpers/identity-provider.js';

const { signal } = new AbortController();
const SECRETS = [
  'the-secret-of-gw',
  'the-code-of-this-sign-in',
  SIGN_IN.verifier,
  SIGN_IN.nonce,
  'access-token-1',
  'refresh-token-1',
];

const exchange = ({ provider }: TestIdentityProvider, params = returned()) =>
  provider.exchange({ ...SIGN_IN, returned: params }, signal);
const refresh = ({ provider }: TestIdentityProvider) =>
  provider.refresh('refresh-token-1', { sub: 'ada' }, signal);

/** The problem that a promise rejects with, which shows no secret. */
async function problem(promise: Promise<unknown>): Promise<ProviderProblem> {
  const error = await failure(promise);
  expect(error).toBeInstanceOf(ProviderProblem);
  for (const secret of SECRETS) expect(inspect(error, { depth: 10 })).not.toContain(secret);
  expect(error.cause).toBeUndefined();
  return error as ProviderProblem;
}

it('a code is exchanged for what the ID token says', async () => {
  const idp = await startIdentityProvider();
  idp.claims = { groups: ['dev'] };
  const answer = await exchange(idp);
  expect(answer).toMatchObject({ refresh: 'refresh-token-1', access: 'access-token-1' });
  expect(answer.claims).toMatchObject({ sub: 'ada', groups: ['dev'] });
  expect(answer.idTokenExpires).toBe((answer.claims['exp'] as number) * 1000);
  const request = idp.asked.find(({ url }) => url.endsWith('/token'));
  expect(Object.fromEntries(new URLSearchParams(request?.body))).toEqual({
    grant_type: 'authorization_code',
    code: 'the-code-of-this-sign-in',
    redirect_uri: SIGN_IN.redirectUri,
    code_verifier: SIGN_IN.verifier,
  });
  expect(request?.headers['authorization']).toBe(`Basic ${btoa('gw:the-secret-of-gw')}`);
  expect(idp.durations.map(([operation]) => operation)).toEqual(['discovery', 'jwks', 'code']);
});

it.each([
  [undefined, ['client_secret_post'], { client_id: 'gw' }],
  ['the-secret-of-gw', ['client_secret_post'], { client_id: 'gw', client_secret: 'the-secret-of-gw' }],
  ['the-secret-of-gw', ['client_secret_post', 'client_secret_basic'], {}],
  ['the-secret-of-gw', undefined, {}],
])('with the secret %j and the methods %j it sends %j', async (secret, methods, sent) => {
  const idp = await startIdentityProvider({ client_secret: secret });
  idp.metadata = { token_endpoint_auth_methods_supported: methods };
  await exchange(idp);
  const { body, headers } = idp.asked.find(({ url }) => url.endsWith('/token')) ?? {};
  const { client_id, client_secret } = Object.fromEntries(new URLSearchParams(body));
  expect({ ...(client_id && { client_id }), ...(client_secret && { client_secret }) }).toEqual(sent);
  expect(headers?.['authorization'] !== undefined).toBe(Object.keys(sent).length === 0);
});

it('parameters of the configuration are added to the URL and replace none of its own', async () => {
  const params = { prompt: 'consent', state: 'mine', nonce: 'mine', request_uri: 'https://evil.example/r' };
  const idp = await startIdentityProvider({ params: { ...params, client_id: 'other' } });
  idp.metadata = { authorization_endpoint: 'https://id.example/authorize?tenant=t&request=x' };
  const url = new URL(await idp.provider.authorizationUrl(SIGN_IN, signal));
  expect(url.origin + url.pathname).toBe('https://id.example/authorize');
  expect(Object.fromEntries(url.searchParams)).toEqual({
    tenant: 't',
    prompt: 'consent',
    response_type: 'code',
    client_id: 'gw',
    redirect_uri: SIGN_IN.redirectUri,
    scope: 'openid email offline_access',
    state: SIGN_IN.state,
    nonce: SIGN_IN.nonce,
    code_challenge: expect.stringMatching(/^[\w-]{43}$/) as string,
    code_challenge_method: 'S256',
  });
  expect(url.href).not.toContain(SIGN_IN.verifier);
});

it.each<[Record<string, string | undefined>, string]>([
  [{ iss: 'https://evil.example' }, 'login'],
  [{ iss: undefined }, 'login'],
  [{ iss: '' }, 'login'],
  [{ iss: '', error: 'access_denied' }, 'login'],
  [{ iss: 'https://evil.example', error: 'access_denied' }, 'login'],
  [{ state: 'other' }, 'login'],
  [{ state: 'other', error: 'access_denied' }, 'login'],
  [{ state: undefined }, 'login'],
  [{ code: undefined }, 'login'],
  [{ code: '' }, 'login'],
  [{ error: 'access_denied' }, 'denied'],
  [{ error: 'login_required', code: undefined }, 'denied'],
  [{ error: 'consent_required' }, 'denied'],
  [{ error: 'interaction_required' }, 'denied'],
  [{ error: 'temporarily_unavailable' }, 'away'],
  [{ error: 'invalid_scope', error_description: SIGN_IN.verifier }, 'config'],
  [{ error: `${SIGN_IN.nonce}${'\n\u202ex'.repeat(500)}` }, 'config'],
])('an answer in the browser with %j is %s, and no code is sent', async (more, kind) => {
  const idp = await startIdentityProvider();
  idp.metadata = { authorization_response_iss_parameter_supported: true };
  const { code, message, ...error } = await problem(exchange(idp, returned(more)));
  expect(error.kind).toBe(kind);
  expect(message).toMatch(/^[\x20-\x7e]+$/);
  expect((code ?? '').length).toBeLessThanOrEqual(128);
  expect(idp.count('/token')).toBe(0);
});

it('a parameter that comes twice is refused', async () => {
  const idp = await startIdentityProvider();
  for (const name of ['code', 'state', 'iss']) {
    const twice = returned();
    twice.append(name, twice.get(name) ?? '');
    expect((await problem(exchange(idp, twice))).kind).toBe('login');
  }
  expect(idp.count('/token')).toBe(0);
});

const seconds = () => Math.floor(Date.now() / 1000);

it.each<[Record<string, unknown>, string, string]>([
  [{ nonce: 'other' }, 'login', 'config'],
  [{ iss: 'https://evil.example' }, 'config', 'ended'],
  [{ aud: 'other' }, 'config', 'ended'],
  [{ aud: ['gw', 'other'] }, 'config', 'ended'],
  [{ aud: ['gw', 'other'], azp: 'other' }, 'config', 'ended'],
  [{ azp: 'other' }, 'config', 'ended'],
  [{ exp: seconds() - 120 }, 'config', 'config'],
  [{ exp: 'soon' }, 'config', 'config'],
  [{ exp: undefined }, 'config', 'config'],
  [{ iat: seconds() + 600 }, 'config', 'config'],
  [{ iat: undefined }, 'config', 'config'],
  [{ sub: undefined }, 'config', 'config'],
  [{ sub: 7 }, 'config', 'config'],
])('an ID token with %j is refused: %s, at a refresh %s', async (claims, kind, atRefresh) => {
  const idp = await startIdentityProvider();
  idp.claims = claims;
  expect((await problem(exchange(idp))).kind).toBe(kind);
  // The nonce is not repeated at a refresh.
  if ('nonce' in claims) await refresh(idp);
  else expect((await problem(refresh(idp))).kind).toBe(atRefresh);
});

it('an ID token without a nonce is refused', async () => {
  const idp = await startIdentityProvider();
  idp.claims = { nonce: undefined };
  await problem(exchange(idp));
});

it.each<[string, (idp: TestIdentityProvider) => unknown]>([
  ['none at all', () => undefined],
  ['null', () => null],
  ['nothing', () => ''],
  ['no JWT', () => 'x'],
  ['a JWT of five parts', async (idp) => `${await idp.idToken()}.a.b`],
  ['one that is too long', (idp) => idp.idToken({ filler: 'x'.repeat(65_536) })],
  [
    'one that is nested deeply',
    (idp) => idp.idToken({ deep: JSON.parse('['.repeat(1000) + ']'.repeat(1000)) as unknown }),
  ],
  [
    'alg none',
    async (idp) => {
      const claims = JSON.parse(
        Buffer.from((await idp.idToken()).split('.')[1] ?? '', 'base64url').toString(),
      ) as object;
      return new UnsecuredJWT({ ...claims }).encode();
    },
  ],
  [
    'HS256 with the secret of the client',
    async (idp) => {
      const claims = JSON.parse(
        Buffer.from((await idp.idToken()).split('.')[1] ?? '', 'base64url').toString(),
      ) as object;
      return new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'HS256' })
        .sign(Buffer.from('the-secret-of-gw'));
    },
  ],
  ['a foreign key', async (idp) => ((idp.key = await createKey('ES256', 'foreign')), idp.idToken())],
  [
    'a foreign key of the same kid',
    async (idp) => ((idp.key = await createKey('ES256', 'one')), idp.idToken()),
  ],
  ['a changed signature', async (idp) => (await idp.idToken()).replace(/.{8}$/, 'AAAAAAAA')],
])('an ID token is required, and refused: %s', async (_name, token) => {
  const idp = await startIdentityProvider();
  idp.scripts = {
    token: async () => ({
      body: { access_token: 'access-token-1', token_type: 'Bearer', id_token: await token(idp) },
    }),
  };
  expect((await problem(exchange(idp))).kind).toBe('config');
});

it('a key that is rotated is found at once, also under the same kid', async () => {
  const idp = await startIdentityProvider();
  await exchange(idp);
  for (const kid of ['two', 'two', 'three']) {
    idp.key = await createKey('ES256', kid);
    idp.keys = [idp.key];
    await exchange(idp);
  }
  await exchange(idp);
  expect(idp.count('/jwks')).toBe(4);
});

it('keys are read once for sign-ins at the same time, and once more for one that nobody published', async () => {
  const idp = await startIdentityProvider();
  await Promise.all(Array.from({ length: 5 }, () => exchange(idp)));
  expect([idp.count('/openid-configuration'), idp.count('/jwks')]).toEqual([1, 1]);
  idp.key = await createKey('ES256', 'foreign');
  await problem(exchange(idp));
  expect(idp.count('/jwks')).toBe(2);
});

it('without keys no code and no refresh token is used up', async () => {
  const idp = await startIdentityProvider();
  idp.scripts = { jwks: () => ({ status: 503 }) };
  for (const run of [exchange, refresh]) expect((await problem(run(idp))).kind).toBe('away');
  expect(idp.count('/token')).toBe(0);
});

it('keys are read again after five minutes, and held for a day while they cannot be', async () => {
  const idp = await startIdentityProvider();
  await exchange(idp);
  idp.pass(299);
  await exchange(idp);
  expect(idp.count('/jwks')).toBe(1);
  idp.pass(1);
  await exchange(idp);
  expect(idp.count('/jwks')).toBe(2);
  idp.scripts = { jwks: () => ({ status: 503 }) };
  idp.pass(86_399);
  await exchange(idp);
  idp.pass(1);
  expect((await problem(exchange(idp))).kind).toBe('away');
});

it.each<[string, object]>([
  ['too many keys', { keys: Array(101).fill({ kty: 'EC' }) }],
  ['no keys', {}],
  ['something else than keys', { keys: [1] }],
])('a key set with %s is refused', async (_name, body) => {
  const idp = await startIdentityProvider();
  idp.scripts = { jwks: () => ({ body }) };
  expect((await problem(exchange(idp))).kind).toBe('config');
});

it.each<[object, string, string]>([
  [{ status: 400, body: { error: 'invalid_grant' } }, 'login', 'ended'],
  [{ status: 400, body: { error: 'interaction_required' } }, 'denied', 'ended'],
  [{ status: 401, body: { error: 'invalid_client' } }, 'config', 'config'],
  [
    { status: 400, body: { error: 'invalid_request', error_description: SECRETS.join(' ') } },
    'config',
    'config',
  ],
  [{ status: 400, body: { error: 'the-secret-of-gw' } }, 'config', 'config'],
  [{ status: 400, body: { error: 'server_error' } }, 'away', 'away'],
  [{ status: 500, body: { error: 'invalid_grant' } }, 'away', 'away'],
  [{ status: 503, body: 'x', headers: { 'retry-after': '7' } }, 'away', 'away'],
  [{ status: 429, headers: { 'retry-after': '7' } }, 'away', 'away'],
  [{ status: 400, body: 'invalid_grant' }, 'config', 'config'],
  [{ status: 302, headers: { location: 'https://evil.example' } }, 'config', 'config'],
  [{ status: 200, body: 'no JSON' }, 'config', 'config'],
  [{ status: 200, body: {} }, 'config', 'config'],
  [{ status: 200, body: '[]' }, 'config', 'config'],
  [{ status: 200, body: { access_token: 'a\r\nb', token_type: 'Bearer' } }, 'config', 'config'],
])('a token request that is answered with %j is %s, at a refresh %s', async (reply, kind, atRefresh) => {
  const idp = await startIdentityProvider();
  idp.scripts = { token: () => reply };
  const headers = (reply as { headers?: Record<string, string> }).headers ?? {};
  for (const [wanted, run] of [[kind, exchange] as const, [atRefresh, refresh] as const]) {
    const error = await problem(run(idp));
    expect(error).toMatchObject({ kind: wanted, host: 'id.example' });
    expect(error.message).toContain('id.example');
    expect(error.retryAfter).toBe(headers['retry-after'] === undefined ? undefined : 7);
  }
});

it('an error that repeats what was sent is shown without it', async () => {
  const idp = await startIdentityProvider();
  idp.scripts = {
    token: ({ body }) => ({
      status: 400,
      body: { error: [...new URLSearchParams(body).values()].join(' ') },
    }),
  };
  expect((await problem(refresh(idp))).code).toBe('*** refresh_token');
  expect((await problem(exchange(idp))).code).toContain('***');
});

it('a connection that fails is away, and so is a request that is stopped', async () => {
  const idp = await startIdentityProvider();
  idp.scripts = { token: () => Promise.reject(new Error('connect ECONNREFUSED')) };
  expect(await problem(refresh(idp))).toMatchObject({
    kind: 'away',
    message: 'id.example does not answer: connect ECONNREFUSED',
  });
  expect((await problem(idp.provider.metadata(AbortSignal.abort()))).kind).toBe('away');
});

it('a refresh keeps the refresh token, or takes the new one, and needs no ID token', async () => {
  const idp = await startIdentityProvider();
  idp.tokens = { refresh_token: 'refresh-token-2' };
  expect(await refresh(idp)).toMatchObject({ refresh: 'refresh-token-2', claims: { sub: 'ada' } });
  for (const nothing of [undefined, null, '']) {
    idp.tokens = { refresh_token: nothing, id_token: nothing };
    expect(await refresh(idp)).toEqual({
      claims: undefined,
      idToken: undefined,
      idTokenExpires: undefined,
      refresh: 'refresh-token-1',
      access: 'access-token-1',
    });
  }
});

it('a refresh with the ID token of another person ends the sign-in', async () => {
  const idp = await startIdentityProvider();
  idp.claims = { sub: 'eve' };
  expect((await problem(refresh(idp))).kind).toBe('ended');
  idp.key = await createKey('ES256', 'foreign');
  expect((await problem(refresh(idp))).kind).toBe('config');
});

it('userinfo is asked with the access token, and only about the same person', async () => {
  const idp = await startIdentityProvider();
  const ask = () => idp.provider.userinfo('access-token-1', 'ada', signal);
  expect(await ask()).toEqual(idp.userinfo);
  expect(idp.asked.at(-1)?.headers['authorization']).toBe('Bearer access-token-1');
  idp.userinfo = { sub: 'eve', email: 'eve@example.com' };
  const error = await problem(ask());
  expect(error.kind).toBe('identity');
  expect(error.message).not.toContain('eve');
  idp.userinfo = { email: 'ada@example.com' };
  expect((await problem(ask())).kind).toBe('config');
  idp.scripts = { userinfo: () => ({ headers: { 'content-type': 'application/jwt' }, body: 'a.b.c' }) };
  expect(await problem(ask())).toMatchObject({
    kind: 'config',
    message: expect.stringMatching(/JWT/) as string,
  });
  idp.scripts = { userinfo: () => ({ status: 401, headers: { 'www-authenticate': 'Bearer' } }) };
  expect((await problem(ask())).kind).toBe('config');
  idp.scripts = { userinfo: () => ({ status: 503 }) };
  expect((await problem(ask())).kind).toBe('away');
});

it('without a userinfo endpoint there is nothing to ask', async () => {
  const idp = await startIdentityProvider();
  idp.metadata = { userinfo_endpoint: undefined };
  expect(await idp.provider.userinfo('access-token-1', 'ada', signal)).toBeUndefined();
});

it('a token that is not a bearer token is not used', async () => {
  const idp = await startIdentityProvider();
  idp.tokens = { token_type: 'DPoP' };
  expect((await exchange(idp)).access).toBeUndefined();
});

it('a revocation never rejects, and a failure is logged without the token', async () => {
  const idp = await startIdentityProvider();
  await idp.provider.revoke('refresh-token-1', signal);
  expect(Object.fromEntries(new URLSearchParams(idp.asked.at(-1)?.body))).toEqual({
    token: 'refresh-token-1',
    token_type_hint: 'refresh_token',
  });
  expect(idp.warnings).toEqual([]);
  for (const reply of [
    { status: 503 },
    { status: 400, body: { error: 'refresh-token-1' } },
    { status: 404 },
  ]) {
    idp.scripts = { revoke: () => reply };
    await idp.provider.revoke('refresh-token-1', signal);
  }
  idp.scripts = { revoke: () => Promise.reject(new Error('no route')) };
  await idp.provider.revoke('refresh-token-1', signal);
  await idp.provider.revoke('refresh-token-1', AbortSignal.abort());
  expect(idp.warnings).toHaveLength(5);
  expect(JSON.stringify(idp.warnings)).not.toContain('refresh-token-1');
  idp.scripts = {};
  idp.metadata = { revocation_endpoint: undefined };
  idp.pass(3600);
  await idp.provider.revoke('refresh-token-1', signal);
  expect(idp.warnings).toHaveLength(5);
});

it('metadata is read once an hour, and the last one outlives an outage', async () => {
  const idp = await startIdentityProvider();
  const read = async () => {
    await idp.provider.metadata(signal);
    return idp.count('/openid-configuration');
  };
  expect((await Promise.all([read(), read(), read()]))[2]).toBe(1);
  idp.pass(3599);
  expect(await read()).toBe(1);
  idp.pass(1);
  expect(await read()).toBe(2);
  idp.pass(3600);
  idp.scripts = { 'openid-configuration': () => ({ status: 500 }) };
  expect(await read()).toBe(3);
  expect(await read()).toBe(3);
  expect(idp.warnings).toHaveLength(1);
  idp.pass(5);
  idp.scripts = {};
  expect(await read()).toBe(4);
  expect(await read()).toBe(4);
});

it('a failure to read metadata is remembered for five seconds', async () => {
  const idp = await startIdentityProvider();
  idp.scripts = { 'openid-configuration': () => ({ status: 503 }) };
  for (const _ of [1, 2]) expect((await problem(idp.provider.metadata(signal))).kind).toBe('away');
  expect(idp.count('/openid-configuration')).toBe(1);
  idp.scripts = {};
  idp.pass(5);
  expect(await idp.provider.metadata(signal)).toMatchObject({ issuer: ISSUER });
});

it('who stops waiting for metadata does not stop the others', async () => {
  const idp = await startIdentityProvider();
  const stop = new AbortController();
  const one = problem(idp.provider.metadata(stop.signal));
  const other = idp.provider.metadata(signal);
  stop.abort();
  expect((await one).kind).toBe('away');
  expect((await other).issuer).toBe(ISSUER);
});

it('closing ends what is shared', async () => {
  const idp = await startIdentityProvider();
  idp.scripts = { 'openid-configuration': () => new Promise(() => undefined) };
  const waiting = problem(idp.provider.metadata(signal));
  idp.provider.close();
  expect((await waiting).kind).toBe('away');
});

it.each<[string, Record<string, unknown>]>([
  ['another issuer', { issuer: 'https://id.example/t/' }],
  ['no issuer', { issuer: undefined }],
  ['no token endpoint', { token_endpoint: null }],
  ['no keys', { jwks_uri: '' }],
  ['an endpoint over http', { token_endpoint: 'http://id.example/token' }],
  ['an endpoint on this machine', { userinfo_endpoint: 'http://127.0.0.1/userinfo' }],
  ['an endpoint with a user', { token_endpoint: 'https://a:b@id.example/token' }],
  ['a page that is a script', { authorization_endpoint: 'javascript:alert(1)' }],
  ['an endpoint that is not a string', { jwks_uri: ['https://id.example/jwks'] }],
])('metadata with %s is refused', async (_name, metadata) => {
  const idp = await startIdentityProvider();
  idp.metadata = metadata;
  expect((await problem(idp.provider.metadata(signal))).kind).toBe('config');
});

it.each([
  'http://id.example',
  'ftp://id.example',
  'no URL',
  'https://id.example/?t=1',
  'https://u@id.example/',
])('the issuer %s is not asked', async (issuer) => {
  const idp = await startIdentityProvider({ issuer });
  expect((await problem(idp.provider.metadata(signal))).kind).toBe('config');
  expect(idp.asked).toEqual([]);
});
