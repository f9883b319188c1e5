/** Links to the page where somebody logs in: who gets one, whom it works for, and what it shows. */
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { startOidc } from '../fixtures/servers/oidc.mjs';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { CONSOLE_KEY, startWithKey } from '../helpers/console.js';
import { startGateway } from '../helpers/gateway.js';
import { send } from '../helpers/http.js';
import { browse } from '../helpers/login.js';
import { until } from '../helpers/wait.js';

const JSON_TYPE = { 'content-type': 'application/json' };
const keyed = (key: string) => ({ headers: { ...JSON_TYPE, authorization: `Bearer ${key}` } });

/** A server that asks for a login at a real authorization server, behind a gateway with `config`. */
async function stage(config: Record<string, unknown> = {}, auth: Record<string, unknown> = {}) {
  const oidc = await startOidc();
  atEnd(() => {
    oidc.close();
  });
  const upstream = await createUpstream({ tools: [tool('echo')] });
  const guarded = await startGateway(
    {
      servers: [upstream.entry('one')],
      mcp: { auth: { issuers: [{ name: 'corp', issuer: oidc.issuer }], scopes: ['read'] } },
      metrics: { auth: 'none' },
    },
    { wait: [] },
  );
  const running = await startWithKey(
    { servers: [{ name: 'x', url: guarded.url, auth }], ...config },
    { wait: [] },
  );
  const state = (): string | undefined => running.gateway.health().servers[0]?.state;
  await until(() => state() === 'login_required', 'the refusal');
  return { ...running, oidc, state };
}

const linkOf = async (base: string, key: string) =>
  send(`${base}/-/api/v1/servers/x/login/link`, '{}', keyed(key));
const goOn = async (base: string, id: string, headers: Record<string, string> = {}) =>
  send(`${base}/-/api/v1/logins/${id}`, '{}', { headers: { ...JSON_TYPE, ...headers } });

describe('a link to a login', () => {
  it('leads to a login with one cookie, that is good for the callback', async () => {
    const { base, oidc, state } = await stage();
    const { id, url } = (await linkOf(base, CONSOLE_KEY)).json<{ id: string; url: string }>();
    expect(url).toBe(`${base}/-/login/${id}`);
    const page = await send(url);
    expect([page.status, page.headers['cache-control'], page.headers['referrer-policy']]).toEqual([
      200,
      'no-store',
      'no-referrer',
    ]);
    expect(page.text).toContain(new URL(oidc.issuer).host);
    expect(page.text).not.toContain('<input');
    expect(String(page.headers['content-security-policy'])).toContain("frame-ancestors 'none'");
    // Looking at the page has registered nothing.
    expect(oidc.asked).not.toContain('/reg');
    expect((await linkOf(base, CONSOLE_KEY)).json<{ id: string }>().id).toBe(id);
    const step = await goOn(base, id);
    const cookie = String(step.headers['set-cookie']);
    expect(cookie).toMatch(
      /^mcpstead-login-[\w-]{16}=[\w-]{22}; Path=\/-\/oauth\/callback; HttpOnly; SameSite=Lax; Max-Age=600$/,
    );
    const begun = step.json<{ url: string; redirect_uri: string }>();
    const back = await browse(new URL(begun.url), begun.redirect_uri);
    const waited = send(`${base}/-/api/v1/logins/${id}?wait=true`, undefined, keyed(CONSOLE_KEY));
    const pair = cookie.split(';')[0] ?? '';
    const ended = await fetch(back, { headers: { cookie: pair }, redirect: 'manual' });
    expect([ended.status, ended.headers.get('set-cookie')]).toEqual([
      303,
      `${pair.split('=')[0]}=; Path=/-/oauth/callback; HttpOnly; SameSite=Lax; Max-Age=0`,
    ]);
    expect((await waited).json()).toEqual({ state: 'done', error: null });
    await until(() => state() === 'up', 'the server');
    expect((await send(url)).text).toContain('You are logged in');
    expect((await linkOf(base, CONSOLE_KEY)).json<{ id: string }>().id).not.toBe(id);
  });

  it('works for the principal alone to whom it was given, who must be an operator where the login is everybody’s', async () => {
    const [ada, bob, dev] = [createApiKey(), createApiKey(), createApiKey()];
    const entry = (name: string, key: string) => ({ name, sha256: [hashApiKey(key)] });
    const { base } = await stage({
      mcp: {
        auth: {
          keys: [entry('ada', ada), entry('bob', bob), entry('dev', dev)],
          admins: [{ ids: ['key:ada', 'key:bob'] }],
        },
      },
    });
    const refused = await linkOf(base, dev);
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('operators make it')]);
    const { id, url } = (await linkOf(base, ada)).json<{ id: string; url: string }>();
    const page = (await send(url)).text;
    expect(page).toContain('<input');
    expect(page).toContain('<bdi>ada</bdi>');
    const tries = [];
    for (const headers of [
      {},
      { authorization: 'Bearer wrong' },
      ...[bob, dev, CONSOLE_KEY].map((key) => keyed(key).headers),
    ])
      tries.push((await goOn(base, id, headers)).status);
    expect(tries).toEqual([401, 401, 404, 404, 404]);
    const none = await send(`${base}/-/login/${'x'.repeat(22)}`);
    expect([none.status, none.text]).toEqual([404, expect.stringContaining('This link is over')]);
    for (const headers of [
      { origin: 'https://evil.example' },
      { host: 'evil.example' },
      { 'sec-fetch-site': 'cross-site' },
    ])
      expect((await goOn(base, id, { ...keyed(ada).headers, ...(headers as object) })).status).toBe(403);
    expect((await goOn(base, id, keyed(ada).headers)).status).toBe(200);
    expect((await send(`${base}/-/api/v1/logins/${id}`, undefined, keyed(bob))).status).toBe(404);
  });

  it('shows every principal his own connections, and operators everybody’s', async () => {
    const [ada, dev] = [createApiKey(), createApiKey()];
    const entry = (name: string, key: string) => ({ name, sha256: [hashApiKey(key)] });
    const { base } = await stage({
      mcp: { auth: { keys: [entry('ada', ada), entry('dev', dev)], admins: [{ ids: ['key:ada'] }] } },
    });
    const rows = async (key: string) =>
      (await send(`${base}/-/api/v1/connections`, undefined, keyed(key))).json<{ connections: object[] }>()
        .connections;
    expect(await rows(ada)).toMatchObject([{ server: 'x', per: 'gateway', state: 'login_required' }]);
    expect(await rows(dev)).toEqual([]);
    const out = await send(`${base}/-/api/v1/connections/x`, undefined, { method: 'DELETE', ...keyed(dev) });
    expect(out.status).toBe(403);
    expect((await send(`${base}/-/api/v1/servers/x/login`, '{}', keyed(dev))).status).toBe(403);
    expect((await send(`${base}/-/api/v1/connections`)).status).toBe(401);
  });

  it('binds each user’s account to his own name, where each has his own', async () => {
    const [ada, bob] = [createApiKey(), createApiKey()];
    const entry = (name: string, key: string) => ({ name, sha256: [hashApiKey(key)] });
    const { base } = await stage(
      { mcp: { auth: { keys: [entry('ada', ada), entry('bob', bob)] } } },
      { per: 'user' },
    );
    const { id } = (await linkOf(base, ada)).json<{ id: string }>();
    expect((await goOn(base, id, keyed(bob).headers)).status).toBe(404);
    const begun = (await goOn(base, id, keyed(ada).headers)).json<{ url: string; redirect_uri: string }>();
    await fetch(await browse(new URL(begun.url), begun.redirect_uri));
    const rows = async (key: string) =>
      (await send(`${base}/-/api/v1/connections`, undefined, keyed(key))).json<{ connections: object[] }>()
        .connections;
    expect(await rows(ada)).toMatchObject([{ server: 'x', per: 'user', state: 'valid' }]);
    expect(await rows(bob)).toMatchObject([{ server: 'x', per: 'user', state: 'none' }]);
    // The console key is nobody's.
    expect((await linkOf(base, CONSOLE_KEY)).status).toBe(403);
  });

  it('works on the port of clients beside one for operators, which alone prunes', async () => {
    const { base, gateway } = await stage({ admin: { port: 0 } });
    const admin = new URL(gateway.consoleUrl() ?? '').origin;
    const { id, url } = (await linkOf(admin, CONSOLE_KEY)).json<{ id: string; url: string }>();
    expect(url).toBe(`${base}/-/login/${id}`);
    expect((await send(url)).status).toBe(200);
    expect((await goOn(base, id)).status).toBe(200);
    expect((await send(`${base}/-/api/v1/connections/prune`, '{}', keyed(CONSOLE_KEY))).status).toBe(404);
  });
});
