import { silent } from '../../src/observe/log.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { badAnswers, by, oddAnswers, PLAIN, toolsOf } from '../fixtures/servers/behaviours.js';
import {
  createUpstream,
  tool,
  type Upstream,
  type UpstreamOptions,
} from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  JSON_ONLY,
  message,
  openSession,
  openSse,
  post,
  textOf,
} from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { sleep, until } from '../helpers/wait.js';

const quick = { reconnect: { backoff_base_ms: 50, backoff_max_ms: 100 } };

/** The names in the merged list. */
async function listed(gateway: RunningGateway): Promise<string[]> {
  const answer = await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' });
  return (message(answer).result?.['tools'] as { name: string }[]).map((one) => one.name);
}

async function serverHealth(gateway: RunningGateway, name: string) {
  const found = (await gateway.health()).servers.find((server) => server.name === name);
  if (!found) throw new Error(`${name} is not in /health`);
  return found;
}

/** Why a list of the bad server is an older one than it should be. */
async function staleError(gateway: RunningGateway, kind: string): Promise<string | undefined> {
  const health = (await serverHealth(gateway, 'bad')) as { lists?: Record<string, { error: string }> };
  return health.lists?.[kind]?.error;
}

describe.each(['first', 'last'] as const)('answers of a server that puts the id %s', (idOrder) => {
  let gateway: RunningGateway;
  let bad: Upstream;
  let good: Upstream;

  beforeAll(async () => {
    const behaviours = { ...badAnswers, ...oddAnswers };
    bad = await createUpstream({
      idOrder,
      tools: [...toolsOf(behaviours), tool('echo')],
      onCall: by(behaviours),
    });
    good = await createUpstream({ tools: [tool('echo')] });
    gateway = await startGateway({ servers: [bad.entry('bad'), good.entry('good')] });
    // The gateway learns from right answers where this server puts the id.
    for (let n = 0; n < 3; n++) await callTool(gateway.url, 'bad__echo', { n });
  });

  test.each(Object.keys(badAnswers))('an answer of the kind %s fails its call alone', async (kind) => {
    const neighbour = callTool(gateway.url, 'good__echo', { n: 1 });
    const answer = await post(gateway.url, callBody(`bad__${kind}`, {}, 'mine'), JSON_ONLY);
    if (answer.complete) {
      const { id, error, result } = answer.json();
      expect(answer.status).toBe(200);
      expect(result).toBeUndefined();
      expect(id).toBe('mine');
      expect(error?.code).toBe(-32000);
      expect(error?.message.length).toBeGreaterThan(10);
      expect(error?.message.length).toBeLessThan(800);
    } else {
      expect(() => JSON.parse(answer.text) as unknown).toThrow();
    }
    expect(textOf(await neighbour)).toBe('{"n":1}');
    expect(textOf(await callTool(gateway.url, 'bad__echo', { n: 2 }))).toBe('{"n":2}');
    expect((await serverHealth(gateway, 'bad')).connected).toBe(true);
  });

  test.each(Object.keys(badAnswers))(
    'a client that reads SSE gets an error for %s, or a cut stream',
    async (kind) => {
      const stream = await openSse(gateway.url, callBody(`bad__${kind}`, {}, 'mine'), {
        accept: 'text/event-stream',
      });
      await stream.done();
      const last = stream.events.at(-1);
      if (last || stream.complete) {
        const { id, error } = JSON.parse(last?.data ?? '{}') as { id: unknown; error: { code: number } };
        expect(id).toBe('mine');
        expect(error.code).toBe(-32000);
      }
    },
  );

  test.each(Object.keys(oddAnswers))('an unusual but right answer of the kind %s arrives', async (kind) => {
    for (const accept of ['application/json', 'text/event-stream']) {
      const answer = await post(gateway.url, callBody(`bad__${kind}`, {}, 'mine'), { accept });
      expect(answer.text).toContain(PLAIN);
      expect(message(answer)).toMatchObject({
        jsonrpc: '2.0',
        id: 'mine',
        result: JSON.parse(PLAIN) as object,
      });
    }
  });
});

test('an HTTP error shows in the message with its status and at most 512 characters of the body', async () => {
  const upstream = await createUpstream({ tools: [tool('html_502')], onCall: by(badAnswers) });
  const gateway = await startGateway({ servers: [upstream.entry('bad')] });
  const { error } = await callTool(gateway.url, 'bad__html_502');
  expect(error?.message).toContain('502');
  expect(error?.message).toContain('<h1>502 Bad Gateway</h1>');
  expect(error?.message.match(/y/g)?.length).toBeLessThanOrEqual(512);
});

test("an upstream's own error arrives with its code, message and data", async () => {
  const upstream = await createUpstream({
    tools: [tool('fail')],
    onCall: (call) => {
      call.raw(
        call.envelope('error', '{"code":-32055,"message":"no \\u00e9","data":{"n":1.0,"deep":[{"id":5}]}}'),
      );
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  const answer = await post(gateway.url, callBody('s__fail', {}, 'x'), JSON_ONLY);
  expect(answer.status).toBe(200);
  expect(answer.json()).toEqual({
    jsonrpc: '2.0',
    id: 'x',
    error: { code: -32055, message: 'no é', data: { n: 1, deep: [{ id: 5 }] } },
  });
  expect(answer.text).toContain('1.0');
});

describe('lists', () => {
  /** A gateway in front of a lying server `bad` and an honest one `good`. */
  async function beside(options: UpstreamOptions, more: object = {}) {
    const bad = await createUpstream(options);
    const good = await createUpstream({ tools: [tool('echo')] });
    const gateway = await startGateway(
      { servers: [bad.entry('bad', { ...quick, ...more }), good.entry('good')] },
      { wait: ['good'] },
    );
    return { bad, gateway };
  }

  /** What an SDK client makes of the whole list: it refuses it if one definition is wrong. */
  async function sdkList(gateway: RunningGateway): Promise<string[]> {
    const client = new Client({ name: 'test', version: '0' });
    await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url)));
    atEnd(() => client.close());
    return (await client.listTools()).tools.map((one) => one.name);
  }

  test('several pages are read to the end, in order', async () => {
    const tools = Array.from({ length: 25 }, (_, n) => tool(`t${String(n).padStart(2, '0')}`));
    const { bad, gateway } = await beside({ tools, pageSize: 4 });
    await gateway.up('bad');
    const names = await listed(gateway);
    expect(names.slice(0, 25)).toEqual(tools.map((one) => `bad__${(one as { name: string }).name}`));
    expect(bad.received('tools/list').length).toBe(7);
  });

  test('a cursor that was there before ends its list, with a warning', async () => {
    let page = 0;
    const { bad, gateway } = await beside({
      onRequest: (call) => {
        if (call.message.method !== 'tools/list') return false;
        page++;
        call.result({ tools: [tool(`t${page}`)], nextCursor: `c${page % 3}` });
        return true;
      },
    });
    const names = await listed(gateway);
    expect(names.filter((name) => name.startsWith('bad__'))).toEqual([1, 2, 3, 4].map((n) => `bad__t${n}`));
    expect(bad.received('tools/list').length).toBe(4);
    expect(await serverHealth(gateway, 'bad')).toMatchObject({ connected: true, last_error: null });
  });

  test('an empty cursor is the end of its list', async () => {
    const { bad, gateway } = await beside({
      onRequest: (call) => {
        if (call.message.method !== 'tools/list') return false;
        call.result({ tools: [tool('only')], nextCursor: '' });
        return true;
      },
    });
    expect(await listed(gateway)).toContain('bad__only');
    expect(bad.received('tools/list').length).toBe(1);
  });

  test('a list that never ends is given up', async () => {
    let page = 0;
    const { bad, gateway } = await beside(
      {
        onRequest: (call) => {
          if (call.message.method !== 'tools/list') return false;
          page++;
          call.result({ tools: [tool(`t${page}`)], nextCursor: `c${page}` });
          return true;
        },
      },
      { reconnect: { backoff_base_ms: 60_000, backoff_max_ms: 60_000 } },
    );
    expect(await listed(gateway)).toContain('good__echo');
    expect(textOf(await callTool(gateway.url, 'good__echo', { a: 1 }))).toBe('{"a":1}');
    const error = await until(() => staleError(gateway, 'tools'), 'an error in /health');
    expect(error).toMatch(/list|cursor|page/i);
    expect(await serverHealth(gateway, 'bad')).toMatchObject({ connected: true, last_error: null });
    const asked = bad.received('tools/list').length;
    // It is read again after the back-off of a minute, not before.
    expect(textOf(await callTool(gateway.url, 'good__echo', { a: 2 }))).toBe('{"a":2}');
    expect(bad.received('tools/list').length).toBe(asked);
  });

  test('the same tool twice is listed once, as it came first', async () => {
    const { gateway } = await beside({
      tools: [tool('twice', { title: 'one' }), tool('twice', { title: 'two' }), tool('other')],
    });
    await gateway.up('bad');
    const list = message(await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }));
    expect(list.result?.['tools']).toMatchObject([
      { name: 'bad__twice', title: 'one' },
      { name: 'bad__other' },
      { name: 'good__echo' },
    ]);
    expect(textOf(await callTool(gateway.url, 'bad__twice', { a: 1 }))).toBe('{"a":1}');
  });

  test.each([
    ['has no name', '{"description":"x","inputSchema":{"type":"object"}}'],
    ['has an empty name', '{"name":"","inputSchema":{"type":"object"}}'],
    ['has a number for a name', '{"name":5,"inputSchema":{"type":"object"}}'],
    ['is null', 'null'],
    ['is a string', '"tool"'],
    ['is an array', '[]'],
    ['has a string for a schema', '{"name":"wrong","inputSchema":"object"}'],
    ['has an array for a schema', '{"name":"wrong","inputSchema":[]}'],
    ['has null for a schema', '{"name":"wrong","inputSchema":null}'],
    ['has no schema', '{"name":"wrong"}'],
    ['has a schema of another type', '{"name":"wrong","inputSchema":{"type":"string"}}'],
  ])('a tool that %s is left out, and the others stay', async (_kind, definition) => {
    const { gateway } = await beside({ tools: [tool('before'), definition, tool('after')] });
    await gateway.up('bad');
    const expected = ['bad__before', 'bad__after', 'good__echo'];
    expect((await listed(gateway)).filter((name) => name !== 'bad__wrong')).toEqual(expected);
    expect(await sdkList(gateway)).toEqual(expect.arrayContaining(expected));
    expect(textOf(await callTool(gateway.url, 'bad__after', { a: 1 }))).toBe('{"a":1}');
  });

  test.each([
    ['not JSON', (raw: (body: string, status?: number) => void) => raw('<html>')],
    ['a result without tools', (raw: (body: string, status?: number) => void) => raw('RESULT{}')],
    ['tools that are no array', (raw: (body: string, status?: number) => void) => raw('RESULT{"tools":{}}')],
    ['an error', (raw: (body: string, status?: number) => void) => raw('oops', 500)],
  ])('a list that is %s leaves the server up without it, and says so', async (_kind, answer) => {
    let asked = 0;
    const { gateway } = await beside(
      {
        tools: [tool('late')],
        onRequest: (call) => {
          if (call.message.method !== 'tools/list' || ++asked > 2) return false;
          answer((body, status) => {
            call.raw(body.startsWith('RESULT') ? call.envelope('result', body.slice(6)) : body, status);
          });
          return true;
        },
      },
      { reconnect: { backoff_base_ms: 50, backoff_max_ms: 100 } },
    );
    expect(await until(() => staleError(gateway, 'tools'), 'an error in /health')).toMatch(/answered/);
    expect(await serverHealth(gateway, 'bad')).toMatchObject({ connected: true, last_error: null });
    expect((await gateway.health()).status).toBe('ok');
    // It is read again, and then it is there.
    await until(async () => (await listed(gateway)).some((name) => name.startsWith('bad__')), 'the list');
    await until(async () => (await staleError(gateway, 'tools')) === undefined, 'the end of the error');
  });

  test('a server without tools is a healthy server, and is not asked for any', async () => {
    const { bad, gateway } = await beside({ capabilities: {} });
    await gateway.up('bad');
    expect(await serverHealth(gateway, 'bad')).toMatchObject({ connected: true, tools_count: 0 });
    expect((await gateway.health()).status).toBe('ok');
    expect(bad.received('tools/list')).toEqual([]);
  });

  test('a server whose list is empty is a healthy server', async () => {
    const { gateway } = await beside({ tools: [] });
    await gateway.up('bad');
    expect(await serverHealth(gateway, 'bad')).toMatchObject({ connected: true, tools_count: 0 });
  });
});

describe('servers that do not get up', () => {
  test.each([
    [
      'answers HTML',
      { onHttp: (_r, res) => (res.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), true) },
    ],
    ['answers 502', { onHttp: (_r, res) => (res.writeHead(502).end('bad gateway'), true) }],
    ['answers 401', { onHttp: (_r, res) => (res.writeHead(401).end('who?'), true) }],
    ['closes every connection', { onHttp: (_r, res) => (res.destroy(), true) }],
    ['never answers', { onHttp: () => true }],
    [
      'never ends its headers',
      { onHttp: (_r, res) => (res.socket?.write('HTTP/1.1 200 OK\r\nContent-Type: appl'), true) },
    ],
    [
      'falls silent after its headers',
      {
        onHttp: (_r, res) => (
          res.writeHead(200, { 'content-type': 'application/json' }).flushHeaders(),
          true
        ),
      },
    ],
    ['has a result that is no object', { onRequest: (call) => (call.result('[]'), true) }],
    ['has an empty result', { onRequest: (call) => (call.result('{}'), true) }],
    [
      'speaks a revision that does not exist',
      {
        onRequest: (call) => (
          call.result('{"protocolVersion":"1066-10-14","capabilities":{},"serverInfo":{}}'),
          true
        ),
      },
    ],
  ] satisfies [string, UpstreamOptions][])(
    'one that %s delays and empties no other',
    async (_kind, options) => {
      const bad = await createUpstream(options);
      const good = await createUpstream({ tools: [tool('echo')] });
      const gateway = await startGateway(
        { startup: { wait_ms: 200 }, servers: [bad.entry('bad', quick), good.entry('good')] },
        { wait: ['good'] },
      );
      expect(await listed(gateway)).toEqual(['good__echo']);
      expect(textOf(await callTool(gateway.url, 'good__echo', { a: 1 }))).toBe('{"a":1}');
      expect((await serverHealth(gateway, 'bad')).connected).toBe(false);
    },
  );

  test('a server that comes and goes is followed', async () => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const gateway = await startGateway({ servers: [upstream.entry('flapping', quick)] });
    for (let round = 1; round <= 3; round++) {
      await upstream.stop();
      await until(async () => {
        const { error } = await callTool(gateway.url, 'flapping__echo');
        return error?.code === -32000 && !(await serverHealth(gateway, 'flapping')).connected;
      }, 'the end of the connection');
      await upstream.start();
      await gateway.up('flapping');
      expect(textOf(await callTool(gateway.url, 'flapping__echo', { round }))).toBe(`{"round":${round}}`);
      expect((await serverHealth(gateway, 'flapping')).reconnects).toBeGreaterThanOrEqual(round);
    }
  });
});

describe('silence', () => {
  const patience = { timeouts: { request_ms: 500 } };

  test.each([
    ['before its headers', () => {}],
    [
      'after its headers',
      (call) => void call.res.writeHead(200, { 'content-type': 'application/json' }).flushHeaders(),
    ],
    ['on an open stream', (call) => void call.open()],
    [
      'with comments alone',
      (call) => {
        call.open();
        const timer = setInterval(() => call.write(': still here\n\n'), 50);
        call.res.on('close', () => {
          clearInterval(timer);
        });
      },
    ],
  ] satisfies [string, UpstreamOptions['onCall']][])(
    'a call that stays silent %s ends with an error when request_ms is over',
    async (_kind, onCall) => {
      const upstream = await createUpstream({ tools: [tool('quiet'), tool('echo')], onCall });
      const gateway = await startGateway({ servers: [upstream.entry('s', patience)] });
      const { error } = message(await post(gateway.url, callBody('s__quiet'), JSON_ONLY));
      expect(error?.code).toBe(-32000);
      expect(error?.message).toMatch(/time|silen/i);
      await until(() => upstream.received('notifications/cancelled').length === 1, 'a cancellation upstream');
      expect((await serverHealth(gateway, 's')).connected).toBe(true);
    },
  );

  test('progress moves the clock, so a call may take longer than request_ms', async () => {
    const upstream = await createUpstream({
      tools: [tool('slow')],
      onCall: async (call) => {
        for (let n = 1; n <= 5; n++) {
          await sleep(400);
          call.progress(n);
        }
        call.text('done');
      },
    });
    const gateway = await startGateway({
      servers: [upstream.entry('s', { timeouts: { request_ms: 1500 } })],
    });
    const body = callBody('s__slow', {}, 1, { progressToken: 'p' });
    expect(textOf(message(await post(gateway.url, body)))).toBe('done');
  });

  test('total_ms ends even a call that makes progress', async () => {
    const upstream = await createUpstream({
      tools: [tool('slow')],
      onCall: (call) => {
        const timer = setInterval(() => call.progress(1), 50);
        call.res.on('close', () => {
          clearInterval(timer);
        });
      },
    });
    const gateway = await startGateway({
      servers: [upstream.entry('s', { timeouts: { request_ms: 60_000, total_ms: 600 } })],
    });
    const body = callBody('s__slow', {}, 1, { progressToken: 'p' });
    const { error } = message(await post(gateway.url, body));
    expect(error?.code).toBe(-32000);
  });
});

describe('redirects', () => {
  const secret = {
    auth: { type: 'bearer', token_env: 'UP_TOKEN' },
    headers: { 'X-API-Key': 'k-123' },
  } as const;
  const env = { UP_TOKEN: 'up-secret' };

  test.each([307, 308])('%i to the same origin is followed with the body, and remembered', async (status) => {
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onHttp: (received, res) => {
        if (received.path !== '/mcp') return false;
        res.writeHead(status, { location: '/moved/mcp' }).end();
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', secret)] }, { env });
    expect(textOf(await callTool(gateway.url, 's__echo', { a: 1 }))).toBe('{"a":1}');
    const call = upstream.calls().at(-1);
    expect(call?.path).toBe('/moved/mcp');
    expect(call?.headers.authorization).toBe('Bearer up-secret');
    expect(upstream.requests.filter((r) => r.path === '/mcp' && r.message.method === 'tools/call')).toEqual(
      [],
    );
  });

  test.each([307, 308, 301, 302, 303])(
    '%i to another origin is an error that names it; no credential follows',
    async (status) => {
      const other = await createUpstream({ tools: [tool('echo')] });
      const upstream = await createUpstream({
        onHttp: (_received, res) => {
          res.writeHead(status, { location: other.url }).end();
          return true;
        },
      });
      const gateway = await startGateway(
        { servers: [upstream.entry('s', { ...secret, ...quick })] },
        { env, wait: [] },
      );
      const health = await until(async () => {
        const now = await serverHealth(gateway, 's');
        return now.last_error === null ? undefined : now;
      }, 'an error in /health');
      expect(health.connected).toBe(false);
      expect(health.last_error).toContain(other.origin);
      expect(other.requests).toEqual([]);
    },
  );

  test('a circle of redirects ends', async () => {
    const upstream = await createUpstream({
      onHttp: (_received, res) => {
        res.writeHead(307, { location: '/mcp' }).end();
        return true;
      },
    });
    const gateway = await startGateway(
      { servers: [upstream.entry('s', { reconnect: { backoff_base_ms: 60_000, backoff_max_ms: 60_000 } })] },
      { wait: [] },
    );
    await until(async () => (await serverHealth(gateway, 's')).last_error !== null, 'an error in /health');
    expect(upstream.received('initialize').length).toBeLessThanOrEqual(4);
  });

  test('the endpoint event of HTTP+SSE must stay on its origin', async () => {
    const other = await createUpstream({});
    const upstream = await createUpstream({ transport: 'sse', endpoint: `${other.origin}/message` });
    const gateway = await startGateway(
      { servers: [upstream.entry('s', { protocol: 'sse', ...secret, ...quick })] },
      { env, wait: [] },
    );
    const health = await until(async () => {
      const now = await serverHealth(gateway, 's');
      return now.last_error === null ? undefined : now;
    }, 'an error in /health');
    expect(health.last_error).toContain(other.origin);
    expect(other.requests).toEqual([]);
  });
});

describe('429 and 503 with Retry-After', () => {
  test.each([429, 503])('%i to a call is an error whose data has the wait', async (status) => {
    const upstream = await createUpstream({
      tools: [tool('busy')],
      onCall: (call) => {
        call.raw('slow down', status, { 'retry-after': '7' });
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const { error } = await callTool(gateway.url, 's__busy');
    expect(error?.code).toBe(-32000);
    expect(error?.message).toContain(String(status));
    expect(JSON.stringify(error?.data)).toMatch(/7/);
    expect(upstream.calls().length).toBe(1);
  });

  test('the next attempt to connect waits as long as was asked for', async () => {
    let tries = 0;
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onHttp: (received, res) => {
        if (received.message.method !== 'initialize' || ++tries > 1) return false;
        res.writeHead(503, { 'retry-after': '1' }).end('starting');
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', quick)] }, { wait: [] });
    // Far more than its own backoff may be.
    await until(
      async () => (await gateway.metric('mcpstead_upstream_current_backoff_seconds{server="s"}')) >= 1,
      'the wait that was asked for',
    );
    await gateway.up('s');
  });
});

describe('stdio children that misbehave', () => {
  test('garbage around an answer is skipped', async () => {
    const gateway = await startGateway({
      servers: [scriptedStdio('s', { chatter: ['Welcome!', '{', '[]', ''] })],
    });
    for (const name of ['garbage_around', 'not_utf8', 'crlf']) {
      const answer = await callTool(gateway.url, `s__${name}`);
      expect(answer.error).toBeUndefined();
    }
    expect(textOf(await callTool(gateway.url, 's__echo', { a: 1 }))).toBe('{"a":1}');
  });

  test('ids that come back as strings, batches and byte order marks are taken; the first is said once', async () => {
    const warned: string[] = [];
    const logger = { ...silent, warn: (text: string) => void warned.push(text) };
    const gateway = await startGateway({ servers: [scriptedStdio('s')] }, { logger });
    for (const name of ['string_id', 'array', 'bom', 'string_id', 'array'])
      expect(textOf(await callTool(gateway.url, `s__${name}`))).toBe('taken');
    expect(warned.filter((text) => text.includes('back as strings'))).toHaveLength(1);
  });

  test.each(['wrong_id', 'float_id'])("an answer of the kind %s is nobody's", async (name) => {
    const gateway = await startGateway({
      servers: [{ ...scriptedStdio('s'), timeouts: { request_ms: 500 } }],
    });
    const { error, result } = await callTool(gateway.url, `s__${name}`);
    expect(result).toBeUndefined();
    expect(error?.code).toBe(-32000);
    expect(textOf(await callTool(gateway.url, 's__echo', { a: 1 }))).toBe('{"a":1}');
  });

  test.each(['exit', 'half_line_exit'])(
    'with %s the calls in flight fail at once and the child is started again',
    async (name) => {
      const gateway = await startGateway({ servers: [{ ...scriptedStdio('s'), ...quick }] });
      const first = textOf(await callTool(gateway.url, 's__pid'));
      const inFlight = [1, 2, 3].map(() => callTool(gateway.url, 's__hang'));
      await until(
        async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 3,
        'three calls',
      );
      const { error } = await callTool(gateway.url, `s__${name}`);
      expect(error?.code).toBe(-32000);
      for (const answer of await Promise.all(inFlight)) expect(answer.error?.code).toBe(-32000);
      await gateway.up('s');
      expect(textOf(await callTool(gateway.url, 's__pid'))).not.toBe(first);
    },
  );

  test('a line longer than limits.message_bytes fails its call and harms no other', async () => {
    const gateway = await startGateway({
      limits: { message_bytes: 1_000_000 },
      servers: [{ ...scriptedStdio('s'), timeouts: { request_ms: 3000 }, ...quick }],
    });
    const { error, result } = await callTool(gateway.url, 's__big', { bytes: 3_000_000 });
    expect(result).toBeUndefined();
    expect(error?.code).toBe(-32000);
    await gateway.up('s');
    expect(textOf(await callTool(gateway.url, 's__echo', { a: 1 }))).toBe('{"a":1}');
  });

  test('a command that does not exist is an error in /health, not the end', async () => {
    const good = await createUpstream({ tools: [tool('echo')] });
    const gateway = await startGateway(
      { servers: [{ name: 'bad', command: '/no/such/command', args: [] }, good.entry('good')] },
      { wait: ['good'] },
    );
    await until(async () => (await serverHealth(gateway, 'bad')).last_error !== null, 'an error in /health');
    expect((await serverHealth(gateway, 'bad')).last_error).toContain('command');
    expect(textOf(await callTool(gateway.url, 'good__echo', { a: 1 }))).toBe('{"a":1}');
  });
});

test('a question during a call is refused at once, and what the server makes of it is handed on', async () => {
  const upstream = await createUpstream({
    tools: [tool('ask')],
    onCall: async (call) => {
      const answers = [
        await call.ask('elicitation/create', {
          message: 'Sure?',
          requestedSchema: { type: 'object', properties: {} },
        }),
        await call.ask('sampling/createMessage', { messages: [], maxTokens: 1 }),
        await call.ask('roots/list', {}),
        await call.ask('ping', {}),
      ];
      call.text(JSON.stringify(answers.map((answer) => answer.error?.code ?? 'ok')));
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  const session = await openSession(gateway.url);
  for (const headers of [session, JSON_ONLY]) {
    const codes = JSON.parse(textOf(await callTool(gateway.url, 's__ask', {}, headers))) as unknown[];
    expect(codes[0]).toSatisfy((code) => [-32600, -32601, -32602, -32603].includes(code as number));
    expect(codes[1]).toSatisfy((code) => [-32600, -32601, -32603].includes(code as number));
    expect(codes[2]).toBe(-32601);
    expect(codes[3]).toBe('ok');
  }
});
