import { request } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, createGateway } from '../../src/index.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  JSON_ONLY,
  MCP_HEADERS,
  message,
  openSession,
  openSse,
  post,
  rawPost,
  send,
  SSE_ONLY,
  tcp,
  textOf,
  type Answer,
  type JsonRpc,
  beat,
} from '../helpers/http.js';
import { until } from '../helpers/wait.js';

const ping = (id: number | string = 1): JsonRpc => ({ jsonrpc: '2.0', id, method: 'ping' });
const TOKEN = 'correct-horse-battery';
const BEARER = { authorization: `Bearer ${TOKEN}` };
const OPEN_ROUTES = ['/health', '/ready', '/metrics'];

let upstream: Upstream;
let plain: RunningGateway;
let guarded: RunningGateway;

beforeAll(async () => {
  upstream = await createUpstream({ tools: [tool('echo'), tool('other')] });
  plain = await startGateway({ servers: [upstream.entry('one')] });
  guarded = await startGateway(
    { servers: [upstream.entry('one')], mcp: { auth: { mode: 'bearer' } } },
    { env: { MCPSTEAD_BEARER_TOKEN: TOKEN } },
  );
});

/** One request exactly as written, its path unchanged by any client library. */
async function verbatim(
  running: RunningGateway,
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const connection = await tcp(running.base);
  const { host } = new URL(running.base);
  const all = { host, connection: 'close', 'content-length': '0', ...headers };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.write(`${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n`);
  await connection.done();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(connection.text)?.[1]), text: connection.text };
}

const errorOf = (answer: Answer): JsonRpc => answer.json();

describe('routes', () => {
  it('POST /mcp answers a message as JSON', async () => {
    const answer = await post(plain.url, ping());
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.text).toBe('{"jsonrpc":"2.0","id":1,"result":{}}');
  });

  it('GET /mcp without a session is 405 and says what is allowed', async () => {
    const answer = await send(plain.url, undefined, { headers: SSE_ONLY });
    expect(answer.status).toBe(405);
    expect(answer.headers['allow']).toBe('GET, POST, DELETE, OPTIONS');
    expect(errorOf(answer).error?.code).toBe(-32000);
  });

  it('GET /mcp with a session is its event stream', async () => {
    const stream = await openSse(plain.url, undefined, await openSession(plain.url));
    expect(stream.status).toBe(200);
    expect(stream.headers['content-type']).toBe('text/event-stream');
    expect(stream.headers['cache-control']).toBe('no-cache, no-transform');
    expect(stream.headers['x-accel-buffering']).toBe('no');
  });

  it('GET /mcp that takes no event stream is 405', async () => {
    const session = await openSession(plain.url);
    const answer = await send(plain.url, undefined, { headers: { ...session, ...JSON_ONLY } });
    expect(answer.status).toBe(405);
  });

  it('DELETE /mcp ends the session with 200', async () => {
    const session = await openSession(plain.url);
    const answer = await send(plain.url, undefined, { method: 'DELETE', headers: session });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect((await post(plain.url, ping(), session)).status).toBe(404);
  });

  it.each(['PUT', 'PATCH', 'HEAD'])('%s /mcp is 405 with Allow', async (method) => {
    const answer = await send(plain.url, undefined, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers['allow']).toBe('GET, POST, DELETE, OPTIONS');
  });

  it.each(OPEN_ROUTES)('%s answers GET and HEAD alone', async (path) => {
    expect((await send(plain.base + path)).status).toBe(200);
    const head = await send(plain.base + path, undefined, { method: 'HEAD' });
    expect([head.status, head.bytes.length]).toEqual([200, 0]);
    const posted = await post(plain.base + path, '{}');
    expect([posted.status, posted.headers['allow']]).toEqual([405, 'GET, HEAD']);
  });

  it('GET /-/reload is 405 with Allow: POST', async () => {
    const answer = await send(`${plain.base}/-/reload`);
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST']);
  });

  it('POST /-/reload asks for no content type and answers with the counts', async () => {
    const answer = await send(`${plain.base}/-/reload`, undefined, { method: 'POST' });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ added: 0, removed: 0, restarted: 0, updated: 0, unchanged: 1 });
    expect(answer.text).toMatch(/^\{"added":0,"removed":0,"restarted":0,"updated":0,"unchanged":1[,}]/);
  });

  it('POST /-/reload of a wrong configuration is 400 with the text of the error, and nothing changes', async () => {
    const gateway = createGateway(
      { host: '127.0.0.1', port: 0, servers: [upstream.entry('one')] },
      {
        reload: () => {
          throw new ConfigError([{ message: 'servers must be a list', key: 'servers' }]);
        },
      },
    );
    atEnd(() => {
      gateway.destroy();
    });
    const { url } = await gateway.listen();
    const base = url.replace('/mcp', '');
    await until(() => gateway.health().status === 'ok');
    const answer = await send(`${base}/-/reload`, undefined, { method: 'POST' });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('servers must be a list');
    expect(textOf(await callTool(url, 'one__echo', { still: 'here' }))).toContain('here');
    const metrics = (await send(`${base}/metrics`)).text;
    expect(metrics).toContain('mcpstead_config_reloads_total{result="error"} 1');
  });

  it('/servers/<name>/mcp is one upstream under its own names', async () => {
    const list = await post(plain.server('one'), { jsonrpc: '2.0', id: 1, method: 'tools/list' });
    expect((list.json().result?.['tools'] as { name: string }[]).map(({ name }) => name)).toEqual([
      'echo',
      'other',
    ]);
    expect(textOf(await callTool(plain.server('one'), 'echo', { a: 1 }))).toBe('{"a":1}');
    const init = await post(plain.server('one'), {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25' },
    });
    expect(init.json().result?.['serverInfo']).toEqual({ name: 'scripted', version: '1.0.0' });
  });

  it('an unknown name below /servers/ is 404, after authentication', async () => {
    const missing = await post(plain.server('nobody'), ping());
    expect(missing.status).toBe(404);
    expect(errorOf(missing).error?.message).toContain("'nobody'");
    expect((await post(guarded.server('nobody'), ping())).status).toBe(401);
    expect((await post(guarded.server('nobody'), ping(), BEARER)).status).toBe(404);
  });
});

describe('paths', () => {
  const strange = [
    '//mcp',
    '/%6dcp',
    '/%6Dcp',
    '/MCP',
    '/mcp;x',
    '/mcp%3fx',
    '/mcp%00',
    '/./mcp',
    '/x/../mcp',
    '/-//reload',
    '/-/reload/',
    '/%2d/reload',
    '/servers/one//mcp',
    '/servers/%6fne/mcp',
    '/servers/one/mcp/',
    '/SERVERS/one/mcp',
    '/servers//mcp',
    '/health/',
    '/metrics/x',
    '/',
    '*',
    'http://127.0.0.1/mcp',
  ];

  it.each(strange)('%s is no path, whoever asks', async (path) => {
    for (const headers of [{}, BEARER]) {
      const answer = await verbatim(guarded, 'POST', path, { ...MCP_HEADERS, ...headers });
      expect(answer.status).toBe(404);
      expect(answer.text).not.toMatch(/www-authenticate/i);
    }
  });

  it.each(['/mcp', '/mcp/', '/mcp?x', '/mcp?', '/servers/one/mcp?x=%2e', '/-/reload?x'])(
    '%s is guarded by bearer',
    async (path) => {
      const refused = await verbatim(guarded, 'POST', path, MCP_HEADERS);
      expect(refused.status).toBe(401);
      const admitted = await verbatim(guarded, 'POST', path, { ...MCP_HEADERS, ...BEARER });
      // The empty body is what is wrong then.
      expect(admitted.status).toBe(path.startsWith('/-/') ? 200 : 400);
    },
  );

  it.each([
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/mcp',
    '/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration',
    '/register',
  ])('%s is 404 before authentication, so that no client begins an OAuth dance', async (path) => {
    const answer = await send(guarded.base + path);
    expect(answer.status).toBe(404);
    expect(answer.headers['www-authenticate']).toBeUndefined();
  });

  it.each(OPEN_ROUTES)('%s needs no token', async (path) => {
    expect((await send(guarded.base + path)).status).toBe(200);
  });
});

describe('Host', () => {
  it.each([...OPEN_ROUTES, '/mcp', '/-/reload', '/servers/one/mcp', '/nothing-here'])(
    'of somebody else is 403 on %s of a loopback bind, with the value and the way out',
    async (path) => {
      const answer = await send(plain.base + path, undefined, { headers: { host: 'evil.example:8766' } });
      expect(answer.status).toBe(403);
      expect(errorOf(answer).error).toMatchObject({ code: -32000 });
      expect(answer.text).toContain('evil.example:8766');
      expect(answer.text).toContain('http.allowed_hosts');
    },
  );

  it.each([
    'localhost',
    'LOCALHOST:1',
    'localhost.',
    '127.0.0.1',
    '127.8.9.10:99',
    '[::1]',
    '[::1]:8766',
    '[::ffff:127.0.0.1]:1',
  ])('%s is this machine', async (host) => {
    expect((await post(plain.url, ping(), { host })).status).toBe(200);
  });

  it.each(['localhost.evil.example', '127.0.0.1.evil.example', 'evil.example:127', '[::2]', '10.0.0.1'])(
    '%s is not this machine',
    async (host) => {
      expect((await post(plain.url, ping(), { host })).status).toBe(403);
    },
  );

  it('is admitted by http.allowed_hosts, with its port or with any, and by http.public_url', async () => {
    const running = await startGateway({
      servers: [],
      http: {
        allowed_hosts: ['gate.example', 'ported.example:8080'],
        public_url: 'https://public.example/mcp',
      },
    });
    const status = async (host: string): Promise<number> =>
      (await post(running.url, ping(), { host })).status;
    expect(await status('gate.example')).toBe(200);
    expect(await status('Gate.Example:1234')).toBe(200);
    expect(await status('ported.example:8080')).toBe(200);
    expect(await status('ported.example:8081')).toBe(403);
    expect(await status('public.example')).toBe(200);
    expect(await status('other.example')).toBe(403);
  });

  it('is not looked at on a bind that is not loopback', async () => {
    const { base } = await everywhere();
    expect((await send(`${base}/health`, undefined, { headers: { host: 'any.example' } })).status).toBe(200);
  });
});

/** A gateway on all addresses. */
async function everywhere(http: object = {}): Promise<{ base: string; url: string }> {
  const gateway = createGateway({ host: '0.0.0.0', port: 0, http, servers: [] }, { env: {} });
  atEnd(() => {
    gateway.destroy();
  });
  const { port } = await gateway.listen();
  return { base: `http://127.0.0.1:${port}`, url: `http://127.0.0.1:${port}/mcp` };
}

describe('Origin', () => {
  const foreign = ['http://evil.example', 'null', 'http://localhost.evil.example', 'file://', 'garbage'];

  it.each(foreign)('%s is 403 on every bind, with the value and the way out', async (origin) => {
    const open = await everywhere();
    for (const base of [plain.base, open.base]) {
      for (const path of ['/mcp', '/health', '/metrics']) {
        const answer = await send(base + path, undefined, { headers: { origin } });
        expect(answer.status).toBe(403);
        expect(answer.text).toContain(origin);
        expect(answer.text).toContain('http.allowed_origins');
        expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      }
    }
  });

  it.each(['http://localhost', 'http://localhost:3000', 'https://127.0.0.1:1', 'http://[::1]:5173'])(
    '%s is this machine',
    async (origin) => {
      expect((await post(plain.url, ping(), { origin })).status).toBe(200);
    },
  );

  it('in http.allowed_origins is admitted and may read what MCP needs', async () => {
    const running = await startGateway({
      servers: [],
      http: { allowed_origins: ['https://app.example'] },
    });
    const init = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18' } };
    const answer = await post(running.url, init, { origin: 'https://app.example' });
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBe('https://app.example');
    expect(answer.headers['access-control-expose-headers']).toMatch(/mcp-session-id/i);
    expect(answer.headers['access-control-expose-headers']).toMatch(/www-authenticate/i);
    expect(answer.headers['vary']).toBe('Origin');
    for (const near of ['http://app.example', 'https://app.example:444', 'https://app.example.evil'])
      expect((await post(running.url, ping(), { origin: near })).status).toBe(403);
  });

  it('is not needed, and without one there are no CORS headers', async () => {
    const answer = await post(plain.url, ping());
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('OPTIONS is 204 with the MCP headers, for a page that has no token yet', async () => {
    const answer = await send(guarded.url, undefined, {
      method: 'OPTIONS',
      headers: {
        origin: 'http://localhost:3000',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization, mcp-session-id, x-other',
      },
    });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(answer.headers['access-control-allow-origin']).toBe('http://localhost:3000');
    for (const method of ['GET', 'POST', 'DELETE'])
      expect(answer.headers['access-control-allow-methods']).toContain(method);
    const allowed = answer.headers['access-control-allow-headers']?.toLowerCase().split(', ');
    for (const name of [
      'authorization',
      'content-type',
      'accept',
      'mcp-session-id',
      'mcp-protocol-version',
      'last-event-id',
    ])
      expect(allowed).toContain(name);
    expect(allowed).not.toContain('x-other');
  });

  it('OPTIONS of a foreign page is 403', async () => {
    const answer = await send(plain.url, undefined, {
      method: 'OPTIONS',
      headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
    });
    expect(answer.status).toBe(403);
    expect(answer.headers['access-control-allow-methods']).toBeUndefined();
  });

  it('OPTIONS of no page is 204', async () => {
    for (const path of ['/mcp', '/servers/one/mcp', '/health', '/-/reload'])
      expect((await send(plain.base + path, undefined, { method: 'OPTIONS' })).status).toBe(204);
  });
});

describe('the body of a POST', () => {
  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/jsonp',
    '',
  ])('of content type %j is 415', async (type) => {
    const answer = await post(plain.url, ping(), { 'content-type': type });
    expect(answer.status).toBe(415);
    expect(errorOf(answer)).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32000 } });
  });

  it('without a content type is 415', async () => {
    const answer = await send(plain.url, ping(), { headers: { accept: 'application/json' } });
    expect(answer.status).toBe(415);
  });

  it.each(['application/json; charset=utf-8', 'Application/JSON', 'application/json ;charset=UTF-8'])(
    'of content type %s is taken',
    async (type) => {
      expect((await post(plain.url, ping(), { 'content-type': type })).status).toBe(200);
    },
  );

  it('that is coded is 415', async () => {
    for (const coding of ['gzip', 'br', 'deflate', 'gzip, identity'])
      expect((await post(plain.url, ping(), { 'content-encoding': coding })).status).toBe(415);
    expect((await post(plain.url, ping(), { 'content-encoding': 'identity' })).status).toBe(200);
  });

  it('may be as large as limits.body_bytes and no larger, whatever it says of its length', async () => {
    const running = await startGateway({ servers: [upstream.entry('one')], limits: { body_bytes: 1000 } });
    const sized = (size: number): string => {
      const body = JSON.stringify(callBody('one__echo', { x: '' }));
      return body.replace('"x":""', `"x":"${'y'.repeat(size - body.length)}"`);
    };
    expect((await post(running.url, sized(1000))).status).toBe(200);
    const declared = await post(running.url, sized(1001));
    expect(declared.status).toBe(413);
    expect(declared.text).toContain('limits.body_bytes');
    expect(errorOf(declared)).toMatchObject({ id: null, error: { code: -32000 } });
    const chunked = await chunkedPost(running.url, [sized(1001).slice(0, 600), sized(1001).slice(600)]);
    expect(chunked).toBe(413);
    expect(await chunkedPost(running.url, [sized(1000).slice(0, 600), sized(1000).slice(600)])).toBe(200);
    expect(upstream.calls().filter(({ body }) => body.length > 1100)).toEqual([]);
  });

  it('is refused by its declared length before it comes', async () => {
    const connection = await tcp(plain.url);
    const head = rawPost(plain.url, '', { 'content-length': '99999999999' });
    connection.write(head);
    expect(await connection.receive('413')).toMatch(/^HTTP\/1\.1 413 /);
    await connection.done();
  });

  it('that comes slowly is waited for, and holds up nobody', async () => {
    const connection = await tcp(plain.url);
    const bytes = rawPost(plain.url, callBody('one__echo', { slow: true }));
    connection.write(bytes.subarray(0, bytes.length - 20));
    expect(textOf(await callTool(plain.url, 'one__echo', { quick: true }))).toContain('quick');
    connection.write(bytes.subarray(bytes.length - 20));
    expect(await connection.receive('slow')).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('whose sender goes away halfway reaches no upstream', async () => {
    const before = upstream.calls().length;
    const connection = await tcp(plain.url);
    const bytes = rawPost(plain.url, callBody('one__echo'));
    connection.write(bytes.subarray(0, bytes.length - 20));
    await beat(plain.base);
    connection.destroy();
    await callTool(plain.url, 'one__echo');
    expect(upstream.calls().length).toBe(before + 1);
  });
});

function chunkedPost(url: string, chunks: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const req = request(url, { method: 'POST', headers: MCP_HEADERS, agent: false });
    req.on('response', (res) => {
      res.resume();
      resolve(res.statusCode ?? 0);
    });
    req.on('error', reject);
    for (const chunk of chunks) req.write(chunk);
    req.end();
  });
}

describe('Accept of a POST', () => {
  const asJson = [
    undefined,
    '*/*',
    'application/json',
    'application/*',
    'application/json, text/event-stream',
    'text/event-stream;q=0.5, application/json',
    'text/html',
    '',
  ];

  it.each(asJson)('%j is answered as JSON', async (accept) => {
    const headers = { 'content-type': 'application/json', ...(accept === undefined ? {} : { accept }) };
    for (const body of [ping(), callBody('one__echo', { a: 1 })]) {
      const answer = await send(plain.url, body, { headers });
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toBe('application/json');
    }
  });

  it.each(['text/event-stream', 'text/event-stream, */*;q=0', 'Text/Event-Stream'])(
    '%j is answered as one event stream',
    async (accept) => {
      for (const body of [ping(), callBody('one__echo', { a: 1 })]) {
        const answer = await post(plain.url, body, { accept });
        expect(answer.status).toBe(200);
        expect(answer.headers['content-type']).toBe('text/event-stream');
        expect(answer.headers['x-accel-buffering']).toBe('no');
        expect(message(answer)).toMatchObject({ jsonrpc: '2.0', id: 1 });
        expect(answer.complete).toBe(true);
      }
    },
  );
});

describe('operators', () => {
  it('/health shows every upstream with the fields of the contract', async () => {
    const dead = await createUpstream();
    await dead.stop();
    const running = await startGateway(
      {
        servers: [
          upstream.entry('zed', { required: true }),
          {
            name: 'dead',
            url: `${dead.origin.replace('//', '//user:pass@')}/mcp?key=secret`,
            protocol: 'streamable',
            reconnect: { backoff_base_ms: 60_000, backoff_max_ms: 60_000 },
          },
        ],
      },
      { wait: ['zed'] },
    );
    await until(async () => (await running.health()).servers[0]?.last_error);
    const body = await running.health();
    expect(body.status).toBe('degraded');
    expect(body.uptime_seconds).toBeGreaterThan(0);
    expect(body.servers.map(({ name }) => name)).toEqual(['dead', 'zed']);
    const [down, up] = body.servers;
    expect(up).toMatchObject({
      name: 'zed',
      url: upstream.url,
      protocol: 'auto',
      required: true,
      connected: true,
      tools_count: 2,
      reconnects: 0,
      last_error: null,
      state: 'up',
      era: 'legacy',
      revision: '2025-11-25',
    });
    expect(up?.last_seen_seconds_ago).toBeGreaterThanOrEqual(0);
    expect(down).toMatchObject({
      name: 'dead',
      protocol: 'streamable',
      required: false,
      connected: false,
      tools_count: 0,
      last_seen_seconds_ago: null,
      reconnects: 1,
      state: 'backoff',
      era: null,
      revision: null,
    });
    expect(down?.last_error).toContain('ECONNREFUSED');
    expect(JSON.stringify(body)).not.toMatch(/user|pass@|secret/);
    expect(down?.url).toBe(`${dead.url}?key=***`);
  });

  it('/health is ok when every upstream is up, and 200 in either case', async () => {
    const answer = await send(`${plain.base}/health`);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    expect(answer.json<{ status: string }>().status).toBe('ok');
  });

  it('/ready is 200 with nothing to wait for', async () => {
    const answer = await send(`${plain.base}/ready`);
    expect([answer.status, answer.json()]).toEqual([200, { ready: true, waiting_for: [] }]);
  });

  it('/metrics is Prometheus text, and 404 `metrics disabled` when off', async () => {
    const on = await send(`${plain.base}/metrics`);
    expect(on.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const running = await startGateway({ servers: [], metrics: { enabled: false } });
    const off = await send(`${running.base}/metrics`);
    expect([off.status, off.text.trim()]).toEqual([404, 'metrics disabled']);
  });
});

describe('what is no request', () => {
  it('headers that are too long are 431', async () => {
    const connection = await tcp(plain.url);
    connection.write(`GET /health HTTP/1.1\r\nhost: localhost\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`);
    await connection.done();
    expect(connection.text).toMatch(/^HTTP\/1\.1 431 /);
  });

  it.each([
    ['no HTTP at all', 'hello\r\n\r\n'],
    [
      'two lengths',
      'POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}',
    ],
    [
      'a length and chunks',
      'POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a space before the colon', 'GET /health HTTP/1.1\r\nhost : localhost\r\n\r\n'],
  ])('%s is 400 and the end of the connection', async (_what, text) => {
    const connection = await tcp(plain.url);
    connection.write(text);
    await connection.done();
    expect(connection.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(connection.text.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  it('a connection serves many requests, one after the other', async () => {
    const connection = await tcp(plain.url);
    const first = rawPost(plain.url, ping('first'));
    const second = rawPost(plain.url, callBody('one__echo', { n: 'second' }, 'second'));
    connection.write(Buffer.concat([first, second]));
    const text = await connection.receive('"id":"second"');
    expect(text.indexOf('"id":"first"')).toBeLessThan(text.indexOf('"id":"second"'));
  });
});
