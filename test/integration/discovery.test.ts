/** Open documents: server cards, the AI catalog and the registry. */
import { describe, expect, it } from 'vitest';
import { createGateway, type ConfigInput } from '../../src/index.js';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { atEnd } from '../helpers/cleanup.js';
import { startFront } from '../helpers/front.js';
import { emptyHome } from '../helpers/home.js';
import { post, send, type Answer, type Headers } from '../helpers/http.js';
import { freePort } from '../helpers/port.js';
import { scriptedStdio } from '../helpers/upstreams.js';

interface Card {
  readonly $schema: string;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly remotes: readonly {
    readonly type: string;
    readonly url: string;
    readonly headers?: readonly object[];
    readonly supportedProtocolVersions?: readonly string[];
  }[];
}
interface Entry {
  readonly server: Card;
  readonly _meta: object;
}
interface Page {
  readonly servers: readonly Entry[];
  readonly metadata: { readonly count: number; readonly nextCursor?: string };
}

/** Nobody listens there: documents do not depend on it. */
const DOWN = 'http://127.0.0.1:9/mcp';
const SECRET = 'hush-hush';
const BASE: ConfigInput = {
  servers: [
    { name: 'docs', url: DOWN, description: `Finds pages. ${'x'.repeat(200)}`, required: true },
    { name: 'plain', url: DOWN },
    { name: SECRET, url: DOWN, description: SECRET },
  ],
  profiles: [{ name: 'support', description: 'For people who help.' }, { name: `${SECRET}-profile` }],
  http: { public_url: 'https://gw.example/team' },
};
const EXPOSED = {
  publisher: 'com.example',
  expose: ['/mcp', '/servers/docs/mcp', '/servers/plain/mcp', '/profiles/support/mcp'],
  catalog: true,
  registry: true,
};
const PATHS = [
  '/mcp/server-card',
  '/servers/docs/mcp/server-card',
  '/profiles/support/mcp/server-card',
  '/.well-known/ai-catalog.json',
  '/v0.1/servers',
  '/v0.1/servers?limit=1',
  '/v0.1/servers/com.example%2Fdocs/versions',
  '/v0.1/servers/com.example%2Fdocs/versions/latest',
];

async function start(config: ConfigInput = { discovery: EXPOSED }, env: NodeJS.ProcessEnv = {}) {
  const gateway = createGateway(
    { ...BASE, host: '127.0.0.1', port: 0, ...config },
    { env: { PATH: process.env['PATH'], ...env } },
  );
  atEnd(() => gateway.destroy());
  const { url, admin = '' } = await gateway.listen();
  const base = url.replace(/\/mcp$/, '');
  const get = (path: string, headers: Headers = {}, method = 'GET'): Promise<Answer> =>
    send(base + path, undefined, { headers, method });
  return { gateway, base, admin, get };
}

/** The rules of the schema of server cards (v1). */
function expectCard(card: Card): void {
  expect(card.$schema).toBe('https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json');
  expect(card.name).toMatch(/^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/);
  expect(card.name.length).toBeGreaterThanOrEqual(3);
  expect(card.name.length).toBeLessThanOrEqual(200);
  expect(card.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(card.description.length).toBeGreaterThanOrEqual(1);
  expect(card.description.length).toBeLessThanOrEqual(100);
  expect(card.remotes).toHaveLength(1);
  for (const { type, url, headers = [] } of card.remotes) {
    expect(type).toBe('streamable-http');
    expect(url).toMatch(/^https?:\/\/[^\s]+$/);
    for (const header of headers) expect(header).toMatchObject({ name: expect.any(String) as string });
  }
  expect(Object.keys(card).sort()).toEqual(['$schema', 'description', 'name', 'remotes', 'version']);
}

describe('a gateway that exposes nothing', () => {
  it.each<[string, ConfigInput]>([
    ['by default', {}],
    ['with a publisher alone', { discovery: { publisher: 'com.example' } }],
  ])('has no documents %s', async (_, config) => {
    const { get } = await start(config);
    for (const path of PATHS) expect((await get(path)).status, path).toBe(404);
  });

  it('does not start without http.public_url', () => {
    expect(() => createGateway({ ...BASE, http: {}, discovery: EXPOSED })).toThrow(
      'discovery.expose needs http.public_url',
    );
  });
});

describe('a server card', () => {
  it('describes each exposed route, before and whether or not a server is up', async () => {
    const { get } = await start();
    // A required server is down.
    expect((await get('/ready')).status).toBe(503);
    const expected: [route: string, name: string, description: string][] = [
      ['/mcp', 'mcpstead', 'MCP server mcpstead'],
      ['/servers/docs/mcp', 'docs', `Finds pages. ${'x'.repeat(87)}`],
      ['/servers/plain/mcp', 'plain', 'MCP server plain'],
      ['/profiles/support/mcp', 'support', 'For people who help.'],
    ];
    for (const [route, name, description] of expected) {
      const answer = await get(`${route}/server-card`, { accept: 'application/mcp-server-card+json' });
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({
        'content-type': 'application/mcp-server-card+json',
        'content-length': String(answer.bytes.length),
        'cache-control': 'public, max-age=3600',
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'GET',
        'access-control-allow-headers': 'Content-Type, If-None-Match',
        'access-control-expose-headers': 'ETag',
      });
      const card = answer.json<Card>();
      expectCard(card);
      expect(card).toMatchObject({ name: `com.example/${name}`, description });
      expect(card.remotes).toEqual([
        {
          type: 'streamable-http',
          url: `https://gw.example/team${route}`,
          supportedProtocolVersions: [
            ...['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'],
            '2026-07-28',
          ],
        },
      ]);
    }
  });

  it('says nothing that a server says, and leads to an endpoint with the same revisions', async () => {
    const port = await freePort();
    const { get, base } = await start({
      servers: [scriptedStdio('docs', { tools: [{ name: 'look' }] })],
      port,
      profiles: [],
      http: { public_url: `http://127.0.0.1:${port}` },
      discovery: { publisher: 'com.example', expose: ['/servers/docs/mcp'] },
    });
    const before = await get('/servers/docs/mcp/server-card');
    const [remote] = before.json<Card>().remotes;
    expect(remote?.url).toBe(`${base}/servers/docs/mcp`);
    for (const protocolVersion of remote?.supportedProtocolVersions?.slice(0, -1) ?? []) {
      const answer = await post(remote?.url ?? '', {
        jsonrpc: '2.0',
        id: protocolVersion,
        method: 'initialize',
        params: { protocolVersion, capabilities: {}, clientInfo: { name: 't', version: '0' } },
      });
      expect(answer.json()).toMatchObject({ result: { protocolVersion } });
    }
    expect((await get('/servers/docs/mcp/server-card')).bytes).toEqual(before.bytes);
  });

  it('asks for a key where keys are checked, and is read without one', async () => {
    const key = createApiKey();
    const keys = [{ name: 'ci', sha256: [hashApiKey(key)] }];
    const headersOf = async (auth: object): Promise<unknown> => {
      const { get, base } = await start({ discovery: EXPOSED, mcp: { auth } });
      expect((await post(`${base}/mcp`, { jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(401);
      const wrong = await get('/mcp/server-card', { authorization: 'Bearer no' });
      expect(wrong.status).toBe(200);
      return wrong.json<Card>().remotes[0]?.headers;
    };
    const secret = { name: 'Authorization', isSecret: true, value: 'Bearer {MCPSTEAD_KEY}' };
    expect(await headersOf({ keys })).toEqual([expect.objectContaining({ ...secret, isRequired: true })]);
    const issuers = [{ name: 'idp', issuer: 'https://id.example', audiences: ['x'] }];
    expect(await headersOf({ keys, issuers })).toEqual([
      expect.objectContaining({ ...secret, isRequired: false }),
    ]);
    // Clients get tokens of issuers by themselves.
    expect(await headersOf({ issuers })).toBeUndefined();
  });

  it('has a strong ETag, with which it is not sent again', async () => {
    const { get } = await start();
    for (const path of PATHS) {
      const first = await get(path);
      const etag = first.headers.etag ?? '';
      expect(etag, path).toMatch(/^"[\w-]{43}"$/);
      for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const second = await get(path, { 'if-none-match': known });
        expect([second.status, second.bytes.length]).toEqual([304, 0]);
        expect(second.headers).toMatchObject({
          etag,
          'cache-control': first.headers['cache-control'],
          'access-control-allow-origin': '*',
        });
      }
      expect((await get(path, { 'if-none-match': '"x"' })).status).toBe(200);
      const head = await get(path, {}, 'HEAD');
      expect([head.status, head.bytes.length, head.headers.etag]).toEqual([200, 0, etag]);
      expect(head.headers['content-length']).toBe(String(first.bytes.length));
    }
  });

  it('is the same on another gateway with the same configuration', async () => {
    const [one, other] = [await start(), await start()];
    for (const path of PATHS) expect((await one.get(path)).bytes).toEqual((await other.get(path)).bytes);
  });
});

describe('open documents', () => {
  it('are for pages of any origin, and for GET, HEAD and OPTIONS alone', async () => {
    const { get, base } = await start();
    const origin = { origin: 'https://elsewhere.example' };
    for (const path of PATHS) {
      expect((await get(path, origin)).headers['access-control-allow-origin']).toBe('*');
      const preflight = await get(path, { ...origin, 'access-control-request-method': 'GET' }, 'OPTIONS');
      expect([preflight.status, preflight.bytes.length]).toEqual([204, 0]);
      expect(preflight.headers).toMatchObject({
        'access-control-allow-origin': '*',
        'access-control-allow-headers': 'Content-Type, If-None-Match',
      });
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const refused = await send(base + path, method === 'POST' ? '{}' : undefined, { method });
        expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD, OPTIONS']);
      }
    }
  });

  it('are not for names that were made to lead here', async () => {
    const { get } = await start();
    for (const path of PATHS) {
      expect((await get(path, { host: 'evil.example' })).status).toBe(403);
      expect((await get(path, { host: 'gw.example' })).status).toBe(200);
    }
  });

  it('are not on the port for operators', async () => {
    const { get, admin } = await start({ discovery: EXPOSED, admin: { port: 0 } });
    for (const path of PATHS) {
      expect((await get(path)).status).toBe(200);
      expect((await send(admin + path)).status).toBe(404);
    }
  });

  it('do not name what is not exposed, and cannot tell it from what does not exist', async () => {
    const { get } = await start({
      discovery: { ...EXPOSED, expose: ['/servers/docs/mcp'] },
      policy: { default: 'deny', rules: [] },
    });
    const hidden = (name: string): string[] => [
      `/servers/${name}/mcp/server-card`,
      `/profiles/${name}-profile/mcp/server-card`,
      `/v0.1/servers/com.example%2F${name}/versions`,
      `/v0.1/servers/com.example%2F${name}/versions/latest`,
    ];
    for (const [at, path] of hidden(SECRET).entries()) {
      const [there, not] = [await get(path), await get(hidden('nothing')[at] ?? '')];
      expect([there.status, not.status]).toEqual([404, 404]);
      expect(there.text).toBe(not.text);
      expect(Object.keys(there.headers)).toEqual(Object.keys(not.headers));
    }
    expect((await get('/mcp/server-card')).status).toBe(404);
    for (const path of ['/servers/docs/mcp/server-card', ...PATHS.slice(3)]) {
      const answer = await get(path);
      expect(answer.status).toBe(200);
      expect(answer.text).not.toContain(SECRET);
    }
    const { servers } = (await get('/v0.1/servers')).json<Page>();
    expect(servers.map(({ server }) => server.name)).toEqual(['com.example/docs']);
  });

  it('follow a reload', async () => {
    const { gateway, get } = await start();
    const first = await get('/servers/docs/mcp/server-card');
    const servers = [{ name: 'docs', url: DOWN, description: 'Other words.' }];
    const port = { host: '127.0.0.1', port: 0 };
    const next: ConfigInput = { ...BASE, servers, ...port };
    await gateway.reload({
      ...next,
      discovery: { ...EXPOSED, expose: ['/servers/docs/mcp'], registry: false },
    });
    const second = await get('/servers/docs/mcp/server-card', { 'if-none-match': first.headers.etag ?? '' });
    expect(second.status).toBe(200);
    expect(second.json<Card>().description).toBe('Other words.');
    expect((await get('/servers/plain/mcp/server-card')).status).toBe(404);
    expect((await get('/v0.1/servers')).status).toBe(404);
    await gateway.reload(next);
    for (const path of PATHS) expect((await get(path)).status).toBe(404);
    // An address that only a restart applies is not one yet.
    const without = await start({ http: {} });
    await expect(without.gateway.reload({ ...BASE, ...port, discovery: EXPOSED })).rejects.toThrow(
      /^discovery\.expose needs http\.public_url.*restart the gateway$/,
    );
  });

  it('make no series of metrics for what is asked', async () => {
    const { get } = await start({ servers: [], discovery: { ...EXPOSED, expose: ['/mcp'] } });
    /** The series after requests for names that no earlier request had. */
    const seriesAfter = async (round: string): Promise<string[]> => {
      for (let n = 0; n < 5; n++) {
        await get(`/servers/${round}-${n}/mcp/server-card`);
        await get(`/v0.1/servers/com.example%2F${round}-${n}/versions/latest`);
        await get('/mcp/server-card', { host: `${round}-${n}.example` });
      }
      const { text } = await get('/metrics');
      return text.split('\n').map((line) => line.replace(/ [^ ]*$/, ''));
    };
    const first = await seriesAfter('first');
    expect(first.filter((line) => /first-|server-card|v0\.1/.test(line))).toEqual([]);
    expect(await seriesAfter('second')).toEqual(first);
  });
});

it('the AI catalog lists the cards by URL', async () => {
  const { get } = await start();
  const answer = await get('/.well-known/ai-catalog.json');
  expect(answer.headers['content-type']).toBe('application/ai-catalog+json');
  expect(answer.headers['cache-control']).toBe('public, max-age=3600');
  const entry = (name: string, route: string): object => ({
    identifier: `urn:air:example.com:mcp:${name}`,
    type: 'application/mcp-server-card+json',
    url: `https://gw.example/team${route}/server-card`,
  });
  expect(answer.json<object>()).toEqual({
    specVersion: '1.0',
    entries: [
      entry('mcpstead', '/mcp'),
      entry('docs', '/servers/docs/mcp'),
      entry('plain', '/servers/plain/mcp'),
      entry('support', '/profiles/support/mcp'),
    ],
  });
  const off = await start({ discovery: { ...EXPOSED, catalog: false, registry: false } });
  expect((await off.get('/.well-known/ai-catalog.json')).status).toBe(404);
  expect((await off.get('/v0.1/servers')).status).toBe(404);
  expect((await off.get('/mcp/server-card')).status).toBe(200);
});

it('a client gets from a domain to an endpoint behind a proxy that removes a path', async () => {
  const port = await freePort();
  const { base } = await start({
    servers: [],
    profiles: [],
    http: { public_url: `http://127.0.0.1:${port}/team/` },
    discovery: { publisher: 'com.example', expose: ['/mcp'], catalog: true, registry: true },
  });
  const own = Number(new URL(base).port);
  await startFront(port, (path) => ({ port: own, path: path.replace(/^\/team\//, '/') }));
  const domain = `http://127.0.0.1:${port}`;
  const catalog = (await send(`${domain}/.well-known/ai-catalog.json`)).json<{
    entries: { url: string }[];
  }>();
  const card = (await send(catalog.entries[0]?.url ?? '')).json<Card>();
  const listed = (
    await send(`${domain}/team/v0.1/servers/com.example%2Fmcpstead/versions/latest`)
  ).json<Entry>();
  for (const [id, { remotes }] of [card, listed.server].entries()) {
    expect(remotes[0]?.url).toBe(`${domain}/team/mcp`);
    const answer = await post(remotes[0]?.url ?? '', { jsonrpc: '2.0', id, method: 'ping' });
    expect(answer.json()).toMatchObject({ id, result: {} });
  }
});

describe('the registry', () => {
  it('answers what VS Code asks, without a credential', async () => {
    const { get } = await start(
      { discovery: EXPOSED, mcp: { auth: { mode: 'bearer' } } },
      { MCPSTEAD_BEARER_TOKEN: 'a-token-of-this-test' },
    );
    const one = await get('/v0.1/servers?limit=1');
    expect(one.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'public, max-age=60',
      'access-control-allow-origin': '*',
    });
    const first = one.json<Page>();
    expect(first.metadata.count).toBe(1);
    // VS Code does not encode a cursor.
    expect(first.metadata.nextCursor).toMatch(/^[\w./-]+$/);
    const all = (await get('/v0.1/servers?limit=50&version=latest')).json<Page>();
    expect(all.metadata).toEqual({ count: 4 });
    expect(all.servers.map(({ server }) => server.name)).toEqual([
      'com.example/docs',
      'com.example/mcpstead',
      'com.example/plain',
      'com.example/support',
    ]);
    for (const { server, _meta } of all.servers) {
      expect(_meta).toEqual({
        'io.modelcontextprotocol.registry/official': { status: 'active', isLatest: true },
      });
      const name = encodeURIComponent(server.name);
      const latest = await get(`/v0.1/servers/${name}/versions/latest`);
      expect(latest.json<Entry>().server).toEqual(server);
      expect((await get(`/v0.1/servers/${name}/versions/${server.version}`)).bytes).toEqual(latest.bytes);
      expect((await get(`/v0.1/servers/${name}/versions`)).json<Page>()).toEqual({
        servers: [{ server, _meta }],
        metadata: { count: 1 },
      });
      expect(server.remotes[0]?.headers).toHaveLength(1);
      const route = server.remotes[0]?.url.replace('https://gw.example/team', '') ?? '';
      const card = (await get(`${route}/server-card`)).json<Card>();
      expect(server).toMatchObject({ name: card.name, description: card.description, version: card.version });
    }
  });

  it.each([
    ['limit=2', ['docs', 'mcpstead']],
    ['limit=2&cursor=com.example/mcpstead', ['plain', 'support']],
    ['limit=1000', ['docs', 'mcpstead', 'plain', 'support']],
    ['search=LAI', ['plain']],
    ['search=example%2Fdo', ['docs']],
    ['search=nothing', []],
    ['version=99.0.0', []],
    ['updated_since=2025-08-07T13:15:04.280Z', ['docs', 'mcpstead', 'plain', 'support']],
    ['updated_since=2025-08-07T13:15:04+02:00', ['docs', 'mcpstead', 'plain', 'support']],
    ['updated_since=2999-01-01T00:00:00Z', []],
    ['include_deleted=true&unknown=1', ['docs', 'mcpstead', 'plain', 'support']],
  ])('takes the parameters of the API: %s', async (query, names) => {
    const { get } = await start();
    const { servers, metadata } = (await get(`/v0.1/servers?${query}`)).json<Page>();
    expect(servers.map(({ server }) => server.name.replace('com.example/', ''))).toEqual(names);
    expect(metadata.count).toBe(names.length);
  });

  it.each([
    ['?limit=0', 400, 'limit must be a number from 1 to 100'],
    ['?limit=x', 400, 'limit must be a number from 1 to 100'],
    ['?updated_since=yesterday', 400, 'updated_since must be a time such as 2026-01-31T12:00:00Z'],
    ['/com.example%2Fnone/versions', 404, 'no such server here: GET /v0.1/servers lists them'],
    ['/com.example%2Fdocs', 404, 'no such server here'],
    ['/com.example%2Fdocs/versions/9.9.9', 404, "no such version of 'com.example/docs'"],
    ['/%zz/versions/latest', 404, 'no such server here'],
    ['/', 404, 'no such server here'],
  ])('answers other requests with an error in its form: %s', async (rest, status, why) => {
    const { get } = await start();
    const answer = await get(`/v0.1/servers${rest}`);
    expect(answer.status).toBe(status);
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    expect(answer.json<object>()).toEqual({ error: expect.stringContaining(why) as string });
  });

  it('is one that mcpstead search and mcpstead add read', async () => {
    const port = await freePort();
    const { base } = await start(
      {
        servers: [{ name: 'docs', url: DOWN, description: 'Finds pages.' }],
        port,
        profiles: [],
        http: { public_url: `http://127.0.0.1:${port}` },
        mcp: { auth: { mode: 'bearer' } },
        discovery: { publisher: 'com.example', expose: ['/servers/docs/mcp'], registry: true },
      },
      { MCPSTEAD_BEARER_TOKEN: 'a-token-of-this-test' },
    );
    const home = await emptyHome();
    const found = await home.run(['search', 'docs', '--registry', base]);
    expect([found.status, found.stdout]).toEqual([
      0,
      expect.stringMatching(/^com\.example\/docs {2}\S+ {2}.*Finds pages\.\n$/),
    ]);
    const refused = await home.run(['add', 'com.example/docs', '--registry', base, '--yes']);
    expect([refused.status, refused.stderr]).toEqual([5, expect.stringContaining('needs MCPSTEAD_KEY')]);
    const added = await home.run(['add', 'com.example/docs', '--registry', base, '--yes'], {
      MCPSTEAD_KEY: 'a-token-of-this-test',
    });
    expect([added.status, added.stderr]).toEqual([0, expect.any(String)]);
    const config = home.read('.config/mcpstead/config.yaml');
    expect(config).toContain(`url: ${base}/servers/docs/mcp`);
    expect(config).toContain('Bearer ${MCPSTEAD_KEY}');
  });
});
