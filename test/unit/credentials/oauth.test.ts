/** Answers of token endpoints, as they should be and as they are. */
import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import {
  authorizationUrl,
  beginDevice,
  createProof,
  exchangeCode,
  pollDevice,
  refresh,
  revoke,
  type Target,
} from '../../../src/credentials/oauth.js';
import { failure, OPEN, scripted, SERVER, type Reply } from '../../helpers/credentials.js';

const { signal } = new AbortController();
const TOKEN = 'POST https://as.example/token';
const TARGET: Target = {
  server: SERVER,
  client: { issuer: SERVER.issuer, id: 'c', kind: 'registered', authentication: { method: 'none' } },
  resource: 'https://mcp.example/mcp',
};
const GOOD = { access_token: 'a', token_type: 'Bearer' };

function deps(replies: Record<string, Reply>) {
  const { fetch, sent } = scripted(replies);
  return { fetch, sent, guard: OPEN, params: { audience: 'x' } };
}
const form = (text: string) => ({
  status: 200,
  headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
  body: text,
});
const ask = (reply: Reply) => refresh(TARGET, 'old', deps({ [TOKEN]: reply }), signal);

it('sends the resource and the parameters of the configuration with each request', async () => {
  const given = deps({ [TOKEN]: GOOD });
  await refresh(TARGET, 'old', given, signal);
  expect(Object.fromEntries(new URLSearchParams(given.sent[0]?.body))).toEqual({
    grant_type: 'refresh_token',
    refresh_token: 'old',
    client_id: 'c',
    resource: 'https://mcp.example/mcp',
    audience: 'x',
  });
});

it('basic authentication escapes what RFC 6749 says, and no more', async () => {
  const given = deps({ [TOKEN]: GOOD });
  const authentication = { method: 'client_secret_basic', secret: 'a-b_c:d\r\né' } as const;
  await refresh({ ...TARGET, client: { ...TARGET.client, id: 'x:y', authentication } }, 'old', given, signal);
  const sent = given.sent[0]?.headers['authorization'] ?? '';
  expect(Buffer.from(sent.slice('Basic '.length), 'base64').toString()).toBe('x%3Ay:a-b_c%3Ad%0D%0A%C3%A9');
});

it.each<[Reply, object]>([
  [GOOD, { access: 'a', refresh: undefined, expiresIn: undefined, scopes: undefined }],
  [
    { ...GOOD, token_type: 'bEARER', refresh_token: 'r', scope: 'x y', expires_in: 60 },
    { refresh: 'r', scopes: ['x', 'y'], expiresIn: 60 },
  ],
  [{ ...GOOD, expires_in: '3600' }, { expiresIn: 3600 }],
  [{ ...GOOD, expires_in: 1e308 }, { expiresIn: 315_360_000 }],
  ...[-1, 0, 'soon', '', null, {}, true].map((life): [Reply, object] => [
    { ...GOOD, expires_in: life },
    { expiresIn: undefined },
  ]),
  [
    { ...GOOD, refresh_token: null, scope: null },
    { refresh: undefined, scopes: undefined },
  ],
  [{ ...GOOD, refresh_token: '' }, { refresh: undefined }],
  [{ ...GOOD, scope: ['x', 'y'] }, { scopes: ['x', 'y'] }],
  [{ ...GOOD, id_token: 'not a JWT' }, { access: 'a' }],
  [{ ...GOOD, access_token: 'x'.repeat(16_384) }, {}],
  [
    form('access_token=gho_1&scope=repo%2Cuser&token_type=bearer'),
    { access: 'gho_1', scopes: ['repo,user'] },
  ],
])('takes %j', async (reply, tokens) => {
  expect(await ask(reply)).toMatchObject(tokens);
});

it.each<[string, Reply, string]>([
  ['login', { status: 400, body: { error: 'invalid_grant' } }, 'invalid_grant'],
  ['login', { error: 'invalid_grant', error_description: 'gone' }, 'invalid_grant (gone)'],
  [
    'login',
    form('error=bad_refresh_token&error_description=It+is+expired'),
    'bad_refresh_token (It is expired)',
  ],
  ['config', { status: 401, body: { error: 'invalid_client' } }, 'invalid_client'],
  ['temporary', { status: 400, body: { error: 'temporarily_unavailable' } }, 'temporarily_unavailable'],
  ['temporary', { status: 500, body: 'secret-body' }, 'HTTP 500'],
  ['temporary', { status: 429, body: '' }, 'HTTP 429'],
  ['temporary', new Error('no answer within 20000 ms'), 'no answer within 20000 ms'],
  ['config', { status: 302, body: '' }, 'HTTP 302'],
  ['config', { status: 200, body: '<html>secret-body' }, 'HTTP 200 without JSON'],
  ['config', { status: 404, body: 'secret-body' }, 'HTTP 404 without JSON'],
  ['config', { ...GOOD, token_type: 'dpop' }, 'of the type dpop'],
  ['config', { ...GOOD, token_type: 'mac', access_token: 'secret-body' }, 'not usable'],
  ['config', { access_token: 'secret-body' }, 'not usable'],
  ['config', { ...GOOD, access_token: 'secret-body\r\nx: y' }, 'a header cannot carry'],
  ['config', { ...GOOD, access_token: 'secret body' }, 'a header cannot carry'],
  ['config', { ...GOOD, access_token: '' }, 'not usable'],
  ['config', { ...GOOD, access_token: 'x'.repeat(16_385) }, 'a header cannot carry'],
  ['config', { ...GOOD, refresh_token: 'secret-body\n' }, 'a header cannot carry'],
  ['config', { ...GOOD, access_token: ['secret-body'] }, 'not usable'],
])('%s: %j', async (kind, reply, text) => {
  const error = await failure(ask(reply));
  expect([error.kind, error.message]).toEqual([kind, expect.stringContaining(text)]);
  // Whatever prints it, with its causes.
  expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('secret-body');
});

it.each<[string | string[], number | undefined]>([
  ['120', 120_000],
  ['0', 0],
  ['999999999', 3_600_000],
  [new Date(Date.now() - 5000).toUTCString(), 0],
  [new Date(Date.now() + 1e9).toUTCString(), 3_600_000],
  ['soon', undefined],
  ['-1', undefined],
  [['1', '2'], undefined],
])('waits as Retry-After %j says', async (value, ms) => {
  const reply = { status: 503, body: '', headers: { 'retry-after': value } };
  expect(await failure(ask(reply))).toMatchObject({ kind: 'temporary', retryAfterMs: ms });
});

it('what a server repeats of a request is not shown', async () => {
  const { fetch } = scripted({
    [TOKEN]: ({ body }) => ({
      status: 400,
      body: {
        error: 'invalid_grant',
        error_description: `no ${new URLSearchParams(body).get('refresh_token')}`,
      },
    }),
  });
  const error = await failure(
    refresh(TARGET, 'refresh-secret-1', { fetch, guard: OPEN, params: {} }, signal),
  );
  expect(error.message).toBe('https://as.example refuses: invalid_grant (no ***)');
});

it('an abort is temporary, whatever was sent', async () => {
  const stop = new AbortController();
  stop.abort(new Error('enough'));
  expect((await failure(refresh(TARGET, 'old', deps({}), stop.signal))).kind).toBe('temporary');
});

it('the authorization URL has what the gateway sets, whatever the endpoint and the configuration say', async () => {
  const server = {
    ...SERVER,
    authorization_endpoint: 'https://as.example/a?client_id=evil&tenant=t&state=s',
  };
  const proof = createProof();
  const url = new URL(
    await authorizationUrl({ ...TARGET, server }, proof, {
      redirectUri: 'http://127.0.0.1:1/cb',
      scopes: ['read', 'offline_access'],
      params: { audience: 'x' },
    }),
  );
  const { code_challenge: challenge, ...rest } = Object.fromEntries(url.searchParams);
  expect(challenge).toMatch(/^[\w-]{43}$/);
  expect(rest).toEqual({
    tenant: 't',
    audience: 'x',
    prompt: 'consent',
    response_type: 'code',
    client_id: 'c',
    redirect_uri: 'http://127.0.0.1:1/cb',
    state: proof.state,
    code_challenge_method: 'S256',
    scope: 'read offline_access',
    resource: 'https://mcp.example/mcp',
  });
  expect(url.href).not.toContain(proof.verifier);
});

const WITH_ISS = { ...SERVER, authorization_response_iss_parameter_supported: true };
it.each([
  ['state=S&code=c&iss=https://b.example', SERVER],
  ['state=S&code=c&iss=https://as.example/', SERVER],
  ['state=S&code=c&iss=https://as.example&iss=https://as.example', SERVER],
  ['state=S&code=c', WITH_ISS],
  ['state=S&error=access_denied', WITH_ISS],
  ['state=S&error=access_denied&iss=https://b.example', WITH_ISS],
  ['state=other&code=c', SERVER],
  ['code=c', SERVER],
  ['state=S&response=jwt', SERVER],
])('does not use %s', async (query, server) => {
  const given = deps({ [TOKEN]: GOOD });
  const proof = { state: 'S', verifier: 'v'.repeat(43) };
  const error = await failure(
    exchangeCode(
      { ...TARGET, server },
      proof,
      new URLSearchParams(query),
      'http://127.0.0.1:1/cb',
      given,
      signal,
    ),
  );
  expect([error.kind, error.message]).toEqual([
    'login',
    'the answer to the login does not come from https://as.example: it was not used',
  ]);
  expect(given.sent).toEqual([]);
});

it('a login that was refused says so, cleaned', async () => {
  const given = deps({});
  const query = new URLSearchParams({
    state: 'S',
    error: 'access_denied',
    error_description: 'a\u202e\nb'.padEnd(999, 'x'),
  });
  const error = await failure(
    exchangeCode(
      TARGET,
      { state: 'S', verifier: 'v'.repeat(43) },
      query,
      'http://127.0.0.1:1/cb',
      given,
      signal,
    ),
  );
  expect(error.code).toBe('access_denied');
  expect(error.message).toMatch(/^https:\/\/as\.example refused the login: access_denied \(a bx+\)$/);
  expect(error.message.length).toBeLessThan(300);
});

it('a code that is missing leads to no request', async () => {
  const given = deps({ [TOKEN]: GOOD });
  const error = await failure(
    exchangeCode(
      TARGET,
      { state: 'S', verifier: 'v'.repeat(43) },
      new URLSearchParams('state=S'),
      'http://127.0.0.1:1/cb',
      given,
      signal,
    ),
  );
  expect([error.kind, given.sent]).toEqual(['config', []]);
});

it.each<[Reply]>([[200], [204], [{ status: 200, body: '<html>' }], [{ status: 202, body: {} }]])(
  'a revocation that answers %j has worked',
  async (reply) => {
    const given = deps({ 'POST https://as.example/revoke': reply });
    await revoke(TARGET, 't', 'refresh_token', given, signal);
    expect(given.sent[0]?.timeoutMs).toBe(5000);
  },
);

it.each<[Reply]>([[503], [{ status: 400, body: { error: 'unsupported_token_type' } }]])(
  'a revocation that answers %j has not',
  async (reply) => {
    expect(
      (
        await failure(
          revoke(TARGET, 't', 'refresh_token', deps({ 'POST https://as.example/revoke': reply }), signal),
        )
      ).name,
    ).toBe('CredentialProblem');
  },
);

const DEVICE = {
  device_code: 'd',
  user_code: 'AB-CD',
  verification_uri: 'https://as.example/d',
  expires_in: 600,
};
it('a login on another device', async () => {
  const at = 'POST https://as.example/device';
  expect(await beginDevice(TARGET, ['read'], deps({ [at]: DEVICE }), signal)).toMatchObject({
    code: 'd',
    userCode: 'AB-CD',
    interval: 5,
  });
  for (const key of ['verification_uri', 'verification_uri_complete'])
    for (const url of ['javascript:alert(1)', 'http://as.example/', 'https://a@b.example/'])
      expect(
        (await failure(beginDevice(TARGET, [], deps({ [at]: { ...DEVICE, [key]: url } }), signal))).message,
      ).toContain('not https');
  expect(await pollDevice(TARGET, 'd', deps({ [TOKEN]: form('error=authorization_pending') }), signal)).toBe(
    'pending',
  );
  expect(
    await pollDevice(TARGET, 'd', deps({ [TOKEN]: { status: 400, body: { error: 'slow_down' } } }), signal),
  ).toBe('slower');
  expect(
    (await failure(pollDevice(TARGET, 'd', deps({ [TOKEN]: { error: 'expired_token' } }), signal))).code,
  ).toBe('expired_token');
});
