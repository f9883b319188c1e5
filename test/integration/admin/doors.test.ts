/** Who gets to the admin API, the console and `/-/mcp`, and from where. */
import { describe, expect, it } from 'vitest';
import { startAdmin } from '../../helpers/admin.js';
import { startGateway } from '../../helpers/gateway.js';
import { callBody, callTool, openSession, send, textOf } from '../../helpers/http.js';
import { scratchFolder } from '../../helpers/state.js';
import { everythingStdio, scriptedStdio } from '../../helpers/upstreams.js';

const NONE = { servers: [] };
const TOKEN = { MCPSTEAD_BEARER_TOKEN: 'contract-token-1' };
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

describe('the console key', () => {
  it('makes its holder an operator in every auth mode', async () => {
    for (const mode of ['none', 'bearer'] as const) {
      const gateway = await startAdmin({ ...NONE, mcp: { auth: { mode } } }, { env: TOKEN });
      expect(await gateway.get('me')).toMatchObject({
        role: 'operator',
        principal: { id: 'operator' },
        auth: mode,
      });
    }
  });

  it('is needed under mode none too, where a reload is open as before', async () => {
    const gateway = await startAdmin(NONE);
    const refused = await gateway.ask('me', {});
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toBe('Bearer');
    expect(refused.headers['content-type']).toBe('application/problem+json');
    expect(refused.json()).toMatchObject({
      code: 'unauthorized',
      action: expect.stringContaining('mcpstead console') as string,
    });
    expect(
      (
        await send(`${gateway.base}/-/mcp`, callBody('x'), {
          headers: { 'content-type': 'application/json' },
        })
      ).status,
    ).toBe(401);
    expect((await send(`${gateway.base}/-/reload`, undefined, { method: 'POST' })).status).toBe(200);
  });

  it('is told from no key and a wrong one under mode none', async () => {
    const gateway = await startAdmin(NONE);
    for (const [headers, why] of [
      [{}, 'missing header'],
      [bearer('not-a-console-key'), 'wrong token'],
      [bearer('mcpo_short'), 'wrong token'],
      [{ authorization: 'Basic eDp5' }, 'wrong token'],
    ] as const)
      expect((await gateway.ask('me', headers)).json()).toMatchObject({
        status: 401,
        detail: `unauthorized: ${why}`,
      });
  });

  it('opens nothing but what is below /-/', async () => {
    for (const mode of ['none', 'bearer'] as const) {
      const gateway = await startAdmin({ ...NONE, mcp: { auth: { mode } } }, { env: TOKEN });
      const answer = await send(gateway.url, callBody('x'), {
        headers: { 'content-type': 'application/json', ...gateway.auth },
      });
      expect(answer.status, mode).toBe(401);
    }
  });

  it('if wrong, is refused, and counted by address', async () => {
    const gateway = await startAdmin(NONE);
    const wrong = bearer(`mcpo_${'x'.repeat(43)}`);
    expect((await gateway.ask('me', wrong)).json()).toMatchObject({ status: 401, code: 'unauthorized' });
    const answers = await Promise.all(Array.from({ length: 30 }, () => gateway.ask('me', wrong)));
    const late = answers.find(({ status }) => status === 429);
    expect(late?.json()).toMatchObject({ code: 'too_many_attempts' });
    // The right key is always looked up.
    expect((await gateway.ask('me')).status).toBe(200);
  });

  it('is made when it is needed, in a file that others cannot read', async () => {
    const { readFileSync, statSync } = await import('node:fs');
    const dir = scratchFolder();
    const { base, gateway } = await startGateway({ ...NONE, state: { dir } });
    const url = gateway.consoleUrl() ?? '';
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/-\/console\/#t=[\w-]{22}$/);
    const ticket = url.split('#t=')[1] ?? '';
    const exchange = (): ReturnType<typeof send> =>
      send(`${base}/-/api/v1/ticket`, { ticket }, { headers: { 'content-type': 'application/json' } });
    const { key } = (await exchange()).json<{ key: string }>();
    expect(readFileSync(`${dir}/console.key`, 'utf8')).toBe(`${key}\n`);
    expect(statSync(`${dir}/console.key`).mode & 0o777).toBe(0o600);
    expect((await send(`${base}/-/api/v1/me`, undefined, { headers: bearer(key) })).status).toBe(200);
    expect((await exchange()).json()).toMatchObject({ status: 401, code: 'unauthorized' });
  });
});

describe('tickets', () => {
  it('are made by operators and work once', async () => {
    const gateway = await startAdmin(NONE);
    const { ticket, url } = (await gateway.post('ticket/new')).json<{ ticket: string; url: string }>();
    expect(url).toBe(`${gateway.base}/-/console/#t=${ticket}`);
    expect((await gateway.post('ticket', { ticket }, {})).json()).toEqual({ key: gateway.key });
    expect((await gateway.post('ticket', { ticket }, {})).status).toBe(401);
  });
});

describe('roles', () => {
  const config = {
    servers: [scriptedStdio('s')],
    mcp: {
      auth: {
        mode: 'bearer' as const,
        admins: [{ ids: ['bearer'] }],
        viewers: [{ ids: ['key:eyes'] }],
        keys: [] as object[],
      },
    },
  };

  it('lets viewers look, but not at stderr, and not act', async () => {
    const { createApiKey, hashApiKey } = await import('../../../src/lib/api-key.js');
    const [eyes, other] = [createApiKey(), createApiKey()];
    const keys = [
      { name: 'eyes', sha256: [hashApiKey(eyes)] },
      { name: 'other', sha256: [hashApiKey(other)] },
    ];
    const gateway = await startAdmin(
      { ...config, mcp: { auth: { ...config.mcp.auth, keys } } },
      { env: TOKEN, wait: [] },
    );
    const as = (token: string, path: string): Promise<number> =>
      gateway.ask(path, bearer(token)).then(({ status }) => status);
    expect(await gateway.get('me', bearer(eyes))).toMatchObject({ role: 'viewer', has: { logs: false } });
    expect(await as(eyes, 'servers')).toBe(200);
    expect(await as(eyes, 'servers/s/stderr')).toBe(403);
    expect(await as(eyes, 'events?topics=logs')).toBe(403);
    expect((await gateway.post('ticket/new', {}, bearer(eyes))).status).toBe(403);
    expect(await as(TOKEN.MCPSTEAD_BEARER_TOKEN, 'servers/s/stderr')).toBe(200);
    expect(await as(other, 'servers')).toBe(403);
  });
});

describe('requests of pages', () => {
  it('are admitted from the gateway itself alone', async () => {
    const gateway = await startAdmin(NONE);
    const { host } = new URL(gateway.base);
    const status = (headers: Record<string, string>, path = 'me'): Promise<number> =>
      gateway.ask(path, { ...gateway.auth, ...headers }).then((answer) => answer.status);
    expect(await status({ origin: `http://${host}`, 'sec-fetch-site': 'same-origin' })).toBe(200);
    // Another port of this host, which shares its cookies.
    expect(await status({ origin: 'http://127.0.0.1:1' })).toBe(403);
    expect(await status({ 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await status({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await status({ origin: 'null' })).toBe(403);
    expect(await status({ host: 'evil.example' })).toBe(403);
    const navigate = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    expect(await status(navigate)).toBe(403);
    const page = await send(`${gateway.base}/-/console/`, undefined, { headers: navigate });
    expect(page.status).not.toBe(403);
  });

  it('get no CORS headers, whatever http.allowed_origins says', async () => {
    const gateway = await startAdmin({ ...NONE, http: { allowed_origins: ['https://app.example'] } });
    const headers = { ...gateway.auth, origin: 'https://app.example' };
    const answer = await gateway.ask('me', headers);
    expect(answer.status).toBe(403);
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    const preflight = await send(`${gateway.base}/-/api/v1/me`, undefined, { method: 'OPTIONS', headers });
    expect(preflight.headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('are admitted from the public URL', async () => {
    const gateway = await startAdmin({ ...NONE, http: { public_url: 'https://gateway.example/mcpstead' } });
    const answer = await gateway.ask('me', { ...gateway.auth, origin: 'https://gateway.example' });
    expect(answer.json()).toMatchObject({ endpoint: 'https://gateway.example/mcpstead/mcp' });
  });

  it('are POSTs of JSON, but for a reload', async () => {
    const gateway = await startAdmin(NONE);
    const post = (path: string): Promise<number> =>
      send(`${gateway.base}${path}`, '{}', {
        headers: { ...gateway.auth, 'content-type': 'text/plain' },
      }).then(({ status }) => status);
    expect(await post('/-/api/v1/ticket/new')).toBe(415);
    expect(await post('/-/reload')).toBe(200);
  });
});

describe('console.enabled: false', () => {
  it('leaves neither console nor API', async () => {
    const gateway = await startAdmin({ ...NONE, console: { enabled: false } });
    for (const path of ['/-/console/', '/-/api/v1/me', '/-/mcp', '/'])
      expect(
        (await send(gateway.base + path, undefined, { headers: { ...gateway.auth, accept: 'text/html' } }))
          .status,
      ).toBe(404);
    expect(gateway.gateway.consoleUrl()).toBeUndefined();
    await gateway.gateway.reload({ ...NONE, host: '127.0.0.1', port: 0, console: { enabled: true } });
    expect((await gateway.ask('me')).status).toBe(200);
  });
});

it('leads a browser from / to the console', async () => {
  const { base } = await startAdmin(NONE);
  const page = await send(`${base}/`, undefined, {
    headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate' },
  });
  expect([page.status, page.headers.location]).toEqual([302, '-/console/']);
  expect((await send(`${base}/`)).status).toBe(404);
});

it('serves MCP at /-/mcp with the rights of the person', async () => {
  const gateway = await startAdmin({
    servers: [everythingStdio('all')],
    policy: {
      default: 'deny',
      rules: [{ name: 'ops', who: { ids: ['operator'] }, allow: [{ servers: ['all'], tools: ['echo'] }] }],
    },
  });
  for (const path of ['/-/mcp', '/-/servers/all/mcp']) {
    const url = gateway.base + path;
    const headers = await openSession(url, { headers: gateway.auth });
    const name = path === '/-/mcp' ? 'all__echo' : 'echo';
    expect(textOf(await callTool(url, name, { message: 'hi' }, headers))).toBe('Echo: hi');
    const denied = await callTool(url, name.replace('echo', 'get-sum'), { a: 1, b: 2 }, headers);
    expect(denied.error).toMatchObject({ code: -32602 });
  }
});

it('keeps the console on the port for operators, and the exchange of tickets on both', async () => {
  const gateway = await startAdmin({ ...NONE, admin: { port: 0 } });
  const url = gateway.gateway.consoleUrl() ?? '';
  const admin = new URL(url).origin;
  expect(admin).not.toBe(gateway.base);
  expect((await gateway.ask('me')).status).toBe(404);
  expect((await send(`${gateway.base}/-/console/`)).status).toBe(404);
  expect((await send(`${admin}/-/api/v1/me`, undefined, { headers: gateway.auth })).status).toBe(200);
  const ticket = url.split('#t=')[1];
  expect((await gateway.post('ticket', { ticket }, {})).json()).toEqual({ key: gateway.key });
});
