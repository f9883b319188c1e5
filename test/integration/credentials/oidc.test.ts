/** Logins at a certified issuer over real sockets, with the state in a folder that several gateways share. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { Credentials } from '../../../src/credentials/credentials.js';
import { EVERYBODY } from '../../../src/protocol/logins.js';
import { clientFor } from '../../../src/credentials/clients.js';
import { discover } from '../../../src/credentials/discovery.js';
import { guardOf } from '../../../src/credentials/found-server.js';
import { grantKey, readGrant } from '../../../src/credentials/grants.js';
import { beginDevice, pollDevice, refresh } from '../../../src/credentials/oauth.js';
import type { HttpServerConfig, OAuthConfig } from '../../../src/config/types.js';
import { silent } from '../../../src/observe/log.js';
import { openFolder } from '../../../src/state/folder.js';
import { KeyFile } from '../../../src/state/state-key.js';
import { createGuardedFetch } from '../../../src/upstream/http/guarded-fetch.js';
import { startOidc } from '../../fixtures/servers/oidc.mjs';
import { atEnd } from '../../helpers/cleanup.js';
import { AUTH, failure } from '../../helpers/credentials.js';
import { browse } from '../../helpers/login.js';
import { keptLog, scratchFolder } from '../../helpers/state.js';

const REDIRECT = 'http://127.0.0.1:9/callback';
const { signal } = new AbortController();

/** An issuer, and the metadata of a resource that names it. */
async function servers(ttl?: number) {
  const oidc = await startOidc(ttl === undefined ? {} : { ttl });
  atEnd(() => {
    oidc.close();
  });
  const resource = createServer((req, res) => {
    const { port } = resource.address() as AddressInfo;
    if (req.url !== '/.well-known/oauth-protected-resource/mcp') return res.writeHead(404).end();
    return res.end(
      JSON.stringify({
        resource: `http://127.0.0.1:${port}/mcp`,
        authorization_servers: [oidc.issuer],
        scopes_supported: ['read', 'write'],
      }),
    );
  });
  resource.listen(0, '127.0.0.1');
  await once(resource, 'listening');
  atEnd(() => {
    resource.closeAllConnections();
    resource.close();
  });
  const url = `http://127.0.0.1:${(resource.address() as AddressInfo).port}/mcp`;
  const auth: OAuthConfig = { ...AUTH, isLoopback: true };
  const config = { kind: 'http', name: 'x', url, auth, tls: {} } as HttpServerConfig & { auth: OAuthConfig };
  const tokenRequests = (): number => oidc.asked.filter((each) => each === '/token').length;
  return { oidc, url, config, tokenRequests };
}

type Write = (path: string, text: string) => Promise<void>;

/** A gateway's credentials, with the state in `dir`. */
async function gateway(config: HttpServerConfig, dir: string, write?: Write) {
  const log = keptLog();
  const state = await openFolder({ dir, keys: new KeyFile(dir, log), log, ...(write && { write }) });
  const counts: string[] = [];
  const credentials = new Credentials({
    records: () => Promise.resolve(state),
    shared: true,
    fetch: createGuardedFetch({}, silent),
    log,
    redirectUri: () => REDIRECT,
    document: () => undefined,
    run: () => Promise.reject(new Error('no command')),
    count: {
      refreshed: (_server, result) => counts.push(result),
      login: (_server, result) => counts.push(result),
    },
  });
  atEnd(async () => {
    credentials.close();
    await state.close();
  });
  const credential = credentials.of(config);
  if (!credential) throw new Error('no credential');
  const refused = () =>
    credential.refused({ status: 401, challenge: 'Bearer', stamp: credential.stamp, times: 0 });
  const stored = async () => (await readGrant(state, grantKey('x', config.url, '')))?.grant;
  return { credentials, credential, counts, log, refused, stored, state };
}

async function logIn({ credentials }: Awaited<ReturnType<typeof gateway>>): Promise<URLSearchParams> {
  const { url } = await credentials.login('x', EVERYBODY, [], signal);
  const { searchParams } = await browse(new URL(url), REDIRECT);
  await credentials.logins.finish(searchParams, {}, signal);
  return searchParams;
}

it('registers, logs in, renews with rotation, finds a reuse, and logs out', async () => {
  const { config, tokenRequests } = await servers();
  const dir = scratchFolder();
  const one = await gateway(config, dir);
  expect(await failure(one.refused())).toMatchObject({ code: 'login_required', data: { reason: 'never' } });
  const returned = await logIn(one);
  expect(returned.get('iss')).not.toBeNull();
  const first = await one.stored();
  expect(one.credential.headers).toEqual(['authorization', `Bearer ${first?.access}`]);
  expect(first).toMatchObject({
    client: { kind: 'registered' },
    scopes: ['read', 'write'],
    resource: config.url,
  });
  // The code is used up, and the login with it.
  expect((await failure(one.credentials.logins.finish(returned, {}, signal))).message).toContain(
    'used already',
  );

  await one.refused();
  const second = await one.stored();
  expect(second?.access).not.toBe(first?.access);
  expect(second?.refresh).not.toBe(first?.refresh);
  expect([tokenRequests(), one.counts]).toEqual([2, ['success', 'success']]);

  // Somebody uses the old refresh token: the issuer ends the whole login.
  if (!first?.refresh) throw new Error('no refresh token');
  const deps = { fetch: createGuardedFetch({}, silent), guard: guardOf(config), params: {} };
  const target = { server: first.server, client: first.client, resource: first.resource };
  expect((await failure(refresh(target, first.refresh, deps, signal))).kind).toBe('login');
  expect(await failure(one.refused())).toMatchObject({ code: 'login_required', data: { reason: 'revoked' } });
  expect([await one.stored(), one.credential.headers]).toEqual([undefined, []]);

  await logIn(one);
  const third = await one.stored();
  if (!third?.refresh) throw new Error('no refresh token');
  expect(third.client.id).toBe(first.client.id);
  expect(await one.credentials.logout('x', EVERYBODY, {}, signal)).toBe(true);
  expect((await failure(refresh(target, third.refresh, deps, signal))).kind).toBe('login');
  const text = one.log.lines.join('\n');
  expect(text).not.toContain('was not told');
  for (const grant of [first, second, third])
    for (const secret of [grant?.access, grant?.refresh]) expect(text).not.toContain(secret);
});

it('two gateways and a command on one folder: one renewal for all, and no reuse', async () => {
  const { config, tokenRequests } = await servers();
  const dir = scratchFolder();
  const all = [await gateway(config, dir), await gateway(config, dir), await gateway(config, dir)] as const;
  await logIn(all[0]);
  for (const { credential } of all) await credential.ready(signal);
  for (let round = 0; round < 3; round++) {
    const before = tokenRequests();
    const old = all[0].credential.headers[1];
    await Promise.all(all.flatMap(({ refused }) => [refused(), refused(), refused()]));
    expect(tokenRequests()).toBe(before + 1);
    const shown = new Set(all.map(({ credential }) => credential.headers[1]));
    expect([shown.size, shown.has(old)]).toEqual([1, false]);
  }
  const counts = all.flatMap((each) => each.counts);
  expect(counts.filter((each) => each === 'denied' || each === 'error')).toEqual([]);
  // A logout in one of them ends it in all.
  await all[1].credentials.logout('x', EVERYBODY, {}, signal);
  expect(await failure(all[2].credential.ready(signal))).toMatchObject({ code: 'login_required' });
  // A login in one of them is seen by those that wait for it.
  const heard = new Promise<void>((resolve) => {
    const stop = all[2].credential.onChange(() => {
      stop();
      resolve();
    });
  });
  await logIn(all[0]);
  await heard;
  expect(all[2].credential.headers).toEqual(all[0].credential.headers);
});

it('on a full disk the token is in memory, and is written later', async () => {
  const { config } = await servers();
  const dir = scratchFolder();
  let isFull = false;
  const { replaceFile } = await import('../../../src/state/write-file.js');
  const one = await gateway(config, dir, (path, text) =>
    isFull ? Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) : replaceFile(path, text),
  );
  await logIn(one);
  isFull = true;
  await one.refused();
  await one.refused();
  await one.credential.ready(signal);
  const shown = one.credential.headers[1];
  isFull = false;
  await one.state.close();
  const next = await gateway(config, dir);
  await next.credential.ready(signal);
  expect(next.credential.headers[1]).toBe(shown);
});

it('an issuer that is down is no reason for a login; what another gateway gets from it is used at once', async () => {
  const { oidc, config } = await servers();
  const dir = scratchFolder();
  const one = await gateway(config, dir);
  await logIn(one);
  const other = await gateway(config, dir);
  await other.credential.ready(signal);
  oidc.down();
  const error = await failure(one.refused());
  expect(error).toMatchObject({ code: 'upstream_auth_failed' });
  expect(error.message).toContain('its authorization server does not answer');
  expect([one.credential.missing, one.credential.state]).toEqual([undefined, 'failing']);
  oidc.up();
  await other.refused();
  await one.credential.ready(signal);
  expect(one.credential.headers).toEqual(other.credential.headers);
  expect(one.credential.state).toBe('valid');
});

it('a person who refuses, a wrong state, and an answer of another issuer', async () => {
  const { config, tokenRequests } = await servers();
  const one = await gateway(config, scratchFolder());
  const begun = async () => {
    const { url } = await one.credentials.login('x', EVERYBODY, [], signal);
    return { url: new URL(url), state: new URL(url).searchParams.get('state') ?? '' };
  };
  const refusing = await begun();
  const iss = config.auth.type === 'oauth' ? refusing.url.origin : '';
  const denied = new URLSearchParams({ state: refusing.state, error: 'access_denied', iss });
  expect(await failure(one.credentials.logins.finish(denied, {}, signal))).toMatchObject({
    code: 'access_denied',
  });
  const { url } = await begun();
  const { searchParams } = await browse(url, REDIRECT);
  const wrong = new URLSearchParams(searchParams);
  wrong.set('state', 'x'.repeat(43));
  expect((await failure(one.credentials.logins.finish(wrong, {}, signal))).message).toContain('unknown');
  const mixed = new URLSearchParams(searchParams);
  mixed.set('iss', 'https://evil.example');
  expect((await failure(one.credentials.logins.finish(mixed, {}, signal))).message).toContain(
    'does not come from',
  );
  expect(tokenRequests()).toBe(0);
  await logIn(one);
  expect(one.credential.state).toBe('valid');
});

it('a login on another device begins, and waits for the person', async () => {
  const { config } = await servers();
  const fetch = createGuardedFetch({}, silent);
  const guard = guardOf(config);
  const source = { url: config.url, auth: config.auth, challenge: undefined };
  const found = await discover(source, { fetch, guard }, signal);
  const register = async (metadata: object) => {
    const answer = await globalThis.fetch(found.server.registration_endpoint ?? '', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(metadata),
    });
    return ((await answer.json()) as { client_id: string }).client_id;
  };
  const id = await register({
    redirect_uris: [],
    response_types: [],
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  });
  const { issuer } = found.server;
  const client = { issuer, id, kind: 'given', authentication: { method: 'none' } } as const;
  const target = { server: found.server, client, resource: found.resource };
  const deps = { fetch, guard, params: {} };
  const begun = await beginDevice(target, ['read'], deps, signal);
  expect(begun.url.startsWith(issuer)).toBe(true);
  expect(await pollDevice(target, begun.code, deps, signal)).toBe('pending');
  expect((await failure(pollDevice(target, 'wrong', deps, signal))).kind).toBe('login');
  // The gateway's own registration is for a browser.
  const own = await clientFor(
    found.server,
    config.auth,
    {
      fetch,
      guard,
      document: undefined,
      redirectUri: REDIRECT,
      known: () => Promise.resolve(undefined),
      alone: (_issuer, _redirectUri, _signal, work) => work(),
      keep: () => Promise.resolve(),
      now: Date.now,
      secret: () => Promise.resolve(undefined),
    },
    signal,
  );
  expect((await failure(beginDevice({ ...target, client: own.client }, [], deps, signal))).kind).toBe(
    'config',
  );
});
