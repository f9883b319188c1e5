/** Sign-ins at a certified OpenID Connect provider over real sockets. */
import { expect, it } from 'vitest';
import { mergeClaims, missingClaims, personOf } from '../../../src/authorization-server/people.js';
import { Provider, type SignIn } from '../../../src/authorization-server/provider.js';
import type { LoginConfig } from '../../../src/config/types.js';
import { silent } from '../../../src/observe/log.js';
import { createFetcher } from '../../../src/upstream/http/fetch-json.js';
import { startOidc, type OidcSignIn } from '../../fixtures/servers/oidc.mjs';
import { atEnd } from '../../helpers/cleanup.js';
import { failure } from '../../helpers/credentials.js';
import { LOGIN } from '../../helpers/identity-provider.js';
import { browse } from '../../helpers/login.js';
import { keptLog } from '../../helpers/state.js';

const { signal } = new AbortController();
const REDIRECT = 'https://gw.example/oauth/callback';
const ADA = {
  groups: ['dev'],
  email: 'ada@example.com',
  email_verified: true,
  preferred_username: 'Ada',
};

async function start(signIn: Partial<OidcSignIn> = {}, config: Partial<LoginConfig> = {}) {
  const oidc = await startOidc({
    signIn: { redirect_uris: [REDIRECT], secret: 'a-b_c:d/e+f', accounts: { ada: ADA }, ...signIn },
  });
  const fetcher = createFetcher({}, silent);
  const log = keptLog();
  const login: LoginConfig = {
    ...LOGIN,
    issuer: oidc.issuer,
    client_secret: 'a-b_c:d/e+f',
    scopes: ['openid', 'email', 'profile', 'offline_access'],
    params: { prompt: 'consent' },
    ...config,
  };
  const provider = new Provider(login, {
    fetch: fetcher.fetch,
    now: () => Date.now(),
    log,
    measured: () => undefined,
  });
  atEnd(() => {
    provider.close();
    fetcher.close();
    oidc.close();
  });
  let attempts = 0;
  /** Signs in as ada. */
  const signInOnce = async (redirectUri = REDIRECT) => {
    const attempt: SignIn = {
      redirectUri,
      state: `state-${++attempts}`,
      nonce: `nonce-${attempts}`,
      verifier: `verifier-${attempts}-`.padEnd(43, '0'),
    };
    const url = await provider.authorizationUrl(attempt, signal);
    const returned = (await browse(new URL(url), redirectUri)).searchParams;
    return { attempt, returned };
  };
  return { oidc, provider, login, lines: log.lines, signInOnce };
}

it('signs a person in, and sees at a refresh what has changed', async () => {
  const { oidc, provider, login, signInOnce } = await start();
  const { attempt, returned } = await signInOnce();
  const answer = await provider.exchange({ ...attempt, returned }, signal);
  expect(missingClaims(login, answer.claims)).toEqual([]);
  expect(personOf({ ...login, keep: ['email'] }, answer.claims)).toEqual({
    id: 'ada',
    name: 'Ada',
    groups: ['dev'],
    kept: { email: 'ada@example.com' },
  });
  oidc.account('ada', { ...ADA, groups: ['ops'], email_verified: false });
  const next = await provider.refresh(answer.refresh as string, { sub: 'ada' }, signal);
  expect(personOf({ ...login, keep: ['email'] }, next.claims ?? {})).toEqual({
    id: 'ada',
    name: 'Ada',
    groups: ['ops'],
    kept: {},
  });
  oidc.account('ada', null);
  expect(await failure(provider.refresh(next.refresh, { sub: 'ada' }, signal))).toMatchObject({
    kind: 'ended',
  });
});

it('a code counts once, and only with its nonce, state and verifier', async () => {
  const { provider, signInOnce } = await start();
  const { attempt, returned } = await signInOnce();
  const other = { ...attempt, state: 'other' };
  expect(await failure(provider.exchange({ ...other, returned }, signal))).toMatchObject({ kind: 'login' });
  await provider.exchange({ ...attempt, returned }, signal);
  expect(await failure(provider.exchange({ ...attempt, returned }, signal))).toMatchObject({ kind: 'login' });
  for (const wrong of [{ nonce: 'other' }, { verifier: 'x'.repeat(43) }]) {
    const again = await signInOnce();
    const used = { ...again.attempt, ...wrong, returned: again.returned };
    expect(await failure(provider.exchange(used, signal))).toMatchObject({ kind: 'login' });
  }
});

it('claims that the ID token lacks come from userinfo', async () => {
  const { provider, login, signInOnce } = await start({ userinfoOnly: true });
  const { attempt, returned } = await signInOnce();
  const { claims, access } = await provider.exchange({ ...attempt, returned }, signal);
  expect(missingClaims(login, claims)).toEqual(['preferred_username']);
  const userinfo = await provider.userinfo(access as string, 'ada', signal);
  expect(personOf(login, mergeClaims(claims, userinfo ?? {}))).toMatchObject({
    name: 'Ada',
    groups: ['dev'],
  });
  expect(await failure(provider.userinfo(access as string, 'eve', signal))).toMatchObject({
    kind: 'identity',
  });
  expect(await failure(provider.userinfo('wrong', 'ada', signal))).toMatchObject({ kind: 'config' });
});

it('a refresh token that is revoked does not count any more', async () => {
  const { provider, signInOnce, lines } = await start();
  const { attempt, returned } = await signInOnce();
  const { refresh } = await provider.exchange({ ...attempt, returned }, signal);
  await provider.revoke(refresh as string, signal);
  expect(lines).toEqual([]);
  expect(await failure(provider.refresh(refresh as string, { sub: 'ada' }, signal))).toMatchObject({
    kind: 'ended',
  });
});

it('signs in as a public client, and with the secret in the body', async () => {
  const loopback = 'http://127.0.0.1:9/oauth/callback';
  const open = await start({ secret: undefined, redirect_uris: [loopback] }, { client_secret: undefined });
  const one = await open.signInOnce(loopback);
  const first = await open.provider.exchange({ ...one.attempt, returned: one.returned }, signal);
  expect(first.claims).toMatchObject({ sub: 'ada' });
  expect((await open.provider.refresh(first.refresh as string, { sub: 'ada' }, signal)).claims).toMatchObject(
    {
      sub: 'ada',
    },
  );
  const wrong = await start({}, { client_secret: 'wrong' });
  const two = await wrong.signInOnce();
  expect(
    await failure(wrong.provider.exchange({ ...two.attempt, returned: two.returned }, signal)),
  ).toMatchObject({
    kind: 'config',
    code: 'invalid_client',
  });
});

it('a provider that is away is told apart from one that refuses, and comes back', async () => {
  const { oidc, provider, signInOnce, lines } = await start();
  const { attempt, returned } = await signInOnce();
  const { refresh } = await provider.exchange({ ...attempt, returned }, signal);
  oidc.down();
  const host = new URL(oidc.issuer).host;
  expect(await failure(provider.refresh(refresh as string, { sub: 'ada' }, signal))).toMatchObject({
    kind: 'away',
    host,
  });
  await provider.revoke(refresh as string, signal);
  expect(lines.join()).toContain('cannot revoke');
  for (const secret of oidc.secrets) expect(lines.join()).not.toContain(secret);
  oidc.up();
  expect((await provider.refresh(refresh as string, { sub: 'ada' }, signal)).claims).toMatchObject({
    sub: 'ada',
  });
});
