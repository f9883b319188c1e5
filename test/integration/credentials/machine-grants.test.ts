/** Tokens without a browser, at issuers that check every request; and a gateway that calls a server with them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import { Credentials } from '../../../src/credentials/credentials.js';
import type { Subject } from '../../../src/credentials/machine-grants.js';
import { commandRunner } from '../../../src/credentials/secret-sources.js';
import type { HttpServerConfig, OAuthConfig } from '../../../src/config/types.js';
import { silent } from '../../../src/observe/log.js';
import { memoryState } from '../../../src/state/memory.js';
import { createGuardedFetch } from '../../../src/upstream/http/guarded-fetch.js';
import { atEnd } from '../../helpers/cleanup.js';
import { AUTH, failure } from '../../helpers/credentials.js';
import { startGateway } from '../../helpers/gateway.js';
import { callTool } from '../../helpers/http.js';
import { scratchFolder } from '../../helpers/state.js';
import {
  guarded,
  inboundFor,
  JWT_BEARER,
  keys,
  signed,
  startCorp,
  startStrictIssuer,
  TOKEN_EXCHANGE,
  TYPE,
  type StrictIssuer,
} from '../../helpers/strict-issuer.js';
import { until } from '../../helpers/wait.js';

const { signal } = new AbortController();
const API_KEY = createApiKey();
const KEY = { name: 'ci', sha256: [hashApiKey(API_KEY)] };

interface Options {
  readonly subject?: () => Promise<Subject>;
  readonly clock?: { now: number };
}

async function setup(issuer: StrictIssuer, auth: Partial<OAuthConfig>, { subject, clock }: Options = {}) {
  const upstream = await guarded(() => issuer);
  const config = {
    kind: 'http',
    name: 'x',
    url: upstream.url,
    auth: { ...AUTH, issuer: issuer.issuer, isLoopback: true, ...auth },
    tls: {},
  } as HttpServerConfig;
  const state = memoryState(Date.now);
  const credentials = new Credentials({
    records: () => Promise.resolve(state),
    shared: false,
    fetch: createGuardedFetch({}, silent),
    log: silent,
    redirectUri: () => 'http://127.0.0.1:9/callback',
    document: () => undefined,
    run: commandRunner({ PATH: process.env['PATH'] ?? '' }),
    count: { refreshed: () => undefined, login: () => undefined },
    ...(subject && { subject }),
    ...(clock && { now: () => clock.now }),
  });
  atEnd(() => {
    credentials.close();
  });
  const credential = credentials.of(config, subject ? 'ada' : '');
  if (!credential) throw new Error('no credential');
  return { upstream, credentials, credential };
}

it('jwt_bearer: a refused assertion is not sent again before the file has another one', async () => {
  const { privateKey, publicKey } = await keys();
  const issuer = await startStrictIssuer({ trusts: publicKey });
  const file = join(scratchFolder(), 'assertion');
  writeFileSync(file, await signed(privateKey, { aud: 'https://other.example' }));
  const clock = { now: Date.now() };
  const { credential } = await setup(issuer, { grant: 'jwt_bearer', assertion: { file } }, { clock });
  const refused = await failure(credential.ready(signal));
  expect(refused).toMatchObject({ code: 'upstream_auth_failed', data: { retryAfter: 10 } });
  expect(refused.message).toContain('refuses: invalid_grant');
  for (let tries = 0; tries < 5; tries++) {
    clock.now += 3_600_000;
    expect((await failure(credential.ready(signal))).message).toBe(refused.message);
  }
  expect(issuer.requests).toHaveLength(1);
  const assertion = await signed(privateKey, { aud: issuer.issuer });
  writeFileSync(file, `${assertion}\n`);
  clock.now += 10_000;
  await credential.ready(signal);
  expect(credential.headers).toEqual(['authorization', 'Bearer token-1']);
  // There is no client: the assertion says who it is.
  expect(issuer.requests[1]).toEqual({
    grant_type: JWT_BEARER,
    assertion,
    resource: expect.stringContaining('/mcp') as unknown,
  });
});

it('client_credentials with an assertion of a command, as its authentication', async () => {
  const { privateKey, publicKey } = await keys();
  const issuer = await startStrictIssuer({ trusts: publicKey });
  const assertion = await signed(privateKey, { aud: issuer.issuer });
  const { credential } = await setup(issuer, {
    grant: 'client_credentials',
    client_id: 'gateway',
    assertion: { command: [process.execPath, '-e', `console.log(${JSON.stringify(assertion)})`] },
    scopes: ['read'],
  });
  await credential.ready(signal);
  expect(credential.headers).toEqual(['authorization', 'Bearer token-1']);
  expect(issuer.requests[0]).toMatchObject({
    client_id: 'gateway',
    scope: 'read',
    client_assertion: assertion,
  });
});

it('token_exchange: the token of the caller goes to the issuer alone, and ends what it was exchanged for', async () => {
  const { privateKey, publicKey } = await keys();
  const issuer = await startStrictIssuer({ trusts: publicKey, basic: 'gateway:hush' });
  const inbound = await signed(privateKey, { aud: issuer.issuer });
  const expiresAt = Date.now() + 60_000;
  const { credentials, credential, upstream } = await setup(
    issuer,
    { grant: 'token_exchange', per: 'user', client_id: 'gateway', client_secret: { value: 'hush' } },
    { subject: () => Promise.resolve({ token: inbound, type: 'access_token', expiresAt }) },
  );
  await credential.ready(signal);
  expect(credential.headers).toEqual(['authorization', 'Bearer token-1']);
  expect(credential.grant?.expiresAt).toBe(expiresAt);
  expect(issuer.requests).toEqual([
    {
      grant_type: TOKEN_EXCHANGE,
      subject_token: inbound,
      subject_token_type: `${TYPE}access_token`,
      requested_token_type: `${TYPE}access_token`,
      resource: `${upstream.url}`,
    },
  ]);
  expect((await credentials.connections('ada')).map(({ state }) => state)).toEqual(['valid']);
  expect(JSON.stringify(upstream.requests)).not.toContain(inbound);
});

it('token_exchange: no caller, a caller whose token has ended, and an answer of another type', async () => {
  const { privateKey, publicKey } = await keys();
  const issuer = await startStrictIssuer({ trusts: publicKey, issuedType: `${TYPE}id_token` });
  const auth = { grant: 'token_exchange', client_id: 'gateway', per: 'user' } as const;
  const over = await setup(issuer, auth, {
    subject: () => Promise.resolve({ token: 't', type: 'jwt', expiresAt: 1 }),
  });
  expect((await failure(over.credential.ready(signal))).message).toContain(
    'a token of the caller that has ended',
  );
  expect(issuer.requests).toEqual([]);
  const token = await signed(privateKey, { aud: issuer.issuer });
  const other = await setup(issuer, auth, {
    subject: () => Promise.resolve({ token, type: 'jwt', expiresAt: undefined }),
  });
  expect((await failure(other.credential.ready(signal))).message).toContain('gave a token of the type');
  const nobody = await setup(issuer, { ...auth, per: 'gateway' });
  expect((await failure(nobody.credential.ready(signal))).message).toContain(
    'no caller whose token is exchanged',
  );
});

it('id_jag: an assertion of the identity provider, then a token for it', async () => {
  const [people, jag] = [await keys(), await keys()];
  const idp = await startStrictIssuer({ trusts: people.publicKey, basic: 'sso:idp-hush' }, jag.privateKey);
  const issuer = await startStrictIssuer({ trusts: jag.publicKey, basic: 'gateway:hush' });
  const token = await signed(people.privateKey, { aud: idp.issuer });
  const { credential, upstream } = await setup(
    issuer,
    {
      grant: 'id_jag',
      per: 'user',
      client_id: 'gateway',
      client_secret: { value: 'hush' },
      idp: { issuer: idp.issuer, client_id: 'sso', client_secret: { value: 'idp-hush' } },
      scopes: ['read'],
    },
    { subject: () => Promise.resolve({ token, type: 'id_token', expiresAt: undefined }) },
  );
  await credential.ready(signal);
  expect(credential.headers).toEqual(['authorization', 'Bearer token-1']);
  expect(idp.requests).toEqual([
    {
      grant_type: TOKEN_EXCHANGE,
      subject_token: token,
      subject_token_type: `${TYPE}id_token`,
      requested_token_type: `${TYPE}id-jag`,
      audience: issuer.issuer,
      resource: upstream.url,
      scope: 'read',
    },
  ]);
  expect(issuer.requests).toHaveLength(1);
  expect(issuer.requests[0]).toMatchObject({ grant_type: JWT_BEARER, scope: 'read', resource: upstream.url });
  idp.rules.issuedType = `${TYPE}jwt`;
  const again = credential.refused({ status: 401, challenge: 'Bearer', stamp: credential.stamp, times: 0 });
  expect((await failure(again)).message).toContain('gave a token of the type');
});

it.each(['legacy', 'modern'] as const)(
  'a gateway declares client_credentials to a %s server',
  async (revision) => {
    const { privateKey, publicKey } = await keys();
    const issuer = await startStrictIssuer({ trusts: publicKey });
    const file = join(scratchFolder(), 'assertion');
    writeFileSync(file, await signed(privateKey, { aud: issuer.issuer }));
    const upstream = await guarded(() => issuer);
    const running = await startGateway(
      {
        servers: [
          upstream.entry('x', {
            revision,
            auth: { type: 'oauth', grant: 'client_credentials', issuer: issuer.issuer, assertion_file: file },
          }),
        ],
      },
      { wait: revision === 'legacy' ? ['x'] : [] },
    );
    const method = revision === 'legacy' ? 'initialize' : 'server/discover';
    await until(() => upstream.received(method).length > 0, 'the first request');
    expect(upstream.received(method)[0]?.text).toContain('io.modelcontextprotocol/oauth-client-credentials');
    if (revision === 'legacy')
      expect((await callTool(running.url, 'x__echo', { a: 1 })).error).toBeUndefined();
  },
);

it('token_exchange through a gateway: each caller is called for with a token of his own, and his stays here', async () => {
  const { oidc, trusts } = await startCorp();
  const issuer = await startStrictIssuer({ trusts, basic: 'gateway:hush' });
  const upstream = await guarded(() => issuer);
  const running = await startGateway(
    {
      servers: [
        upstream.entry('x', {
          auth: {
            type: 'oauth',
            grant: 'token_exchange',
            per: 'user',
            issuer: issuer.issuer,
            client_id: 'gateway',
            client_secret_env: 'HUSH',
          },
        }),
      ],
      mcp: { auth: { issuers: [{ name: 'corp', issuer: oidc.issuer }], keys: [KEY] } },
      metrics: { auth: 'none' },
    },
    { wait: [], env: { ...process.env, HUSH: 'hush' } },
  );
  issuer.rules.audience = running.url;
  await until(async () => (await running.metric('mcpstead_auth_issuer_up{issuer="corp"}')) === 1);
  const inbound = await inboundFor(oidc, running.url);
  const called = await callTool(running.url, 'x__echo', { a: 1 }, { authorization: `Bearer ${inbound}` });
  expect(called).toMatchObject({ result: { content: [{ text: '{"a":1}' }] } });
  expect(issuer.requests.map(({ subject_token: subject }) => subject)).toEqual([inbound]);
  const everything = upstream.requests.map(({ headers, text }) => JSON.stringify(headers) + text).join('');
  expect(everything).toContain('token-1');
  expect(everything).not.toContain(inbound);
  const keyed = await callTool(running.url, 'x__echo', {}, { authorization: `Bearer ${API_KEY}` });
  expect(keyed.error?.message).toContain('he has shown none that counts here');
});
