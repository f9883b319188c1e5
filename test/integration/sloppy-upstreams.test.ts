/** Servers that a direct client gets on with, through the gateway: what they leave out, or say otherwise. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  createUpstream,
  tool,
  type Upstream,
  type UpstreamOptions,
} from '../fixtures/servers/http-upstream.js';
import { createAuthority } from '../helpers/certificates.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempFile } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callTool, textOf } from '../helpers/http.js';
import { connect, heard, messagesOf } from '../helpers/legacy.js';
import { answerTo, createModernUpstream } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

const quick = { reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 } };

async function behind(
  options: UpstreamOptions,
  more: object = {},
): Promise<{ upstream: Upstream; gateway: RunningGateway }> {
  const upstream = await createUpstream({ tools: [tool('t')], sessions: true, ...options });
  return { upstream, gateway: await startGateway({ servers: [upstream.entry('s', { ...quick, ...more })] }) };
}

describe('a list that a server has but does not declare', () => {
  const hidden = (options: UpstreamOptions = {}): UpstreamOptions => ({
    capabilities: { tools: {} },
    onRequest: (call) => {
      if (call.message.method !== 'prompts/list') return false;
      call.result({ prompts: [{ name: 'p' }] });
      return true;
    },
    ...options,
  });

  test('is asked for once on the route of its server, after a client asked for it, and declared then', async () => {
    const { upstream, gateway } = await behind(hidden());
    const all = await connect(gateway.url);
    expect(await all.list('prompts/list', 'prompts')).toEqual([]);
    expect(upstream.received('prompts/list')).toHaveLength(0);
    const client = await connect(gateway.server('s'));
    expect(client.greeting['capabilities']).not.toHaveProperty('prompts');
    expect(await client.list('prompts/list', 'prompts')).toMatchObject([{ name: 'p' }]);
    const asked = upstream.received('prompts/list').length;
    expect(await client.list('prompts/list', 'prompts')).toMatchObject([{ name: 'p' }]);
    expect((await answerTo(gateway.server('s'), 'prompts/list')).result?.['prompts']).toMatchObject([
      { name: 'p' },
    ]);
    expect(upstream.received('prompts/list')).toHaveLength(asked);
    expect((await connect(gateway.server('s'))).greeting['capabilities']).toHaveProperty('prompts');
    expect(await all.list('prompts/list', 'prompts')).toMatchObject([{ name: 's__p' }]);
  });

  test('that it answers with an error is none, and not asked for again', async () => {
    const { upstream, gateway } = await behind({ capabilities: { tools: {} } });
    const client = await connect(gateway.server('s'));
    for (let i = 0; i < 3; i++) expect(await client.list('resources/list', 'resources')).toEqual([]);
    expect(upstream.received('resources/list')).toHaveLength(1);
  });
});

describe('server/discover that is answered with', () => {
  test.each([500, 403, 401])('%i: initialize is tried, and what it reached is not kept', async (status) => {
    let knows = false;
    const { upstream, gateway } = await behind(
      {
        onHttp: (received, res) => {
          if (received.message.method !== 'server/discover') return false;
          if (knows)
            res.writeHead(404, { 'content-type': 'application/json' }).end(NOT_FOUND(received.message.id));
          else res.writeHead(status).end('no');
          return true;
        },
      },
      { tools: { ttl_seconds: 1 } },
    );
    expect(textOf(await callTool(gateway.url, 's__t', { a: 1 }))).toBe('{"a":1}');
    const asked = upstream.received('server/discover').length;
    // At each refresh, until it says what it speaks.
    await until(() => upstream.received('server/discover').length >= asked + 2);
    knows = true;
    const before = upstream.received('server/discover').length;
    await until(() => upstream.received('server/discover').length > before);
    const now = upstream.received('server/discover').length;
    const lists = upstream.received('tools/list').length;
    await until(() => upstream.received('tools/list').length >= lists + 2);
    expect(upstream.received('server/discover')).toHaveLength(now);
    expect(upstream.received('initialize')).toHaveLength(1);
  });

  test('401, as everything is: both errors are one where they are the same', async () => {
    const upstream = await createUpstream({
      onHttp: (_received, res) => {
        res.writeHead(401).end('no');
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', quick)] }, { wait: [] });
    const error = await until(async () => (await gateway.health()).servers[0]?.last_error);
    expect(error).toContain('401');
    expect(error).not.toContain('and to initialize');
  });

  test('500, and initialize with 503: both are told', async () => {
    const upstream = await createUpstream({
      onHttp: (received, res) => {
        res.writeHead(received.message.method === 'initialize' ? 503 : 500).end('no');
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', quick)] }, { wait: [] });
    const error = await until(async () => (await gateway.health()).servers[0]?.last_error);
    expect(error).toMatch(/500.*\(and to initialize: .*503/);
  });
});

const NOT_FOUND = (id: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } });

describe('the cookie of a balancer', () => {
  test.each(['streamable', 'sse'] as const)('is sent back on its link alone (%s)', async (transport) => {
    let given = 0;
    const { upstream, gateway } = await behind(
      {
        transport,
        getStream: true,
        onHttp: (received, res) => {
          if (received.headers.cookie === undefined || !received.headers.cookie.includes('lb='))
            res.setHeader('set-cookie', [`lb=replica-${++given}; Path=/; HttpOnly`, 'odd name=x']);
          return false;
        },
      },
      { session: 'per-client', headers: { cookie: 'own=1' } },
    );
    const clients = [await connect(gateway.url), await connect(gateway.url)];
    const seen = [];
    for (const client of clients) {
      const before = upstream.requests.length;
      expect(textOf((await client.request('tools/call', { name: 's__t', arguments: {} })) as never)).toBe(
        '{}',
      );
      seen.push(upstream.requests.slice(before).find(({ message }) => message.method === 'tools/call'));
    }
    const cookies = seen.map((received) => received?.headers.cookie);
    expect(cookies[0]).toMatch(/^own=1; lb=replica-\d+$/);
    expect(cookies[1]).toMatch(/^own=1; lb=replica-\d+$/);
    expect(cookies[0]).not.toBe(cookies[1]);
  });
});

test.each(['legacy', 'modern'] as const)(
  'a cookie does not follow a redirect from http to https, nor one that is set by a late answer (%s)',
  async (revision) => {
    const authority = createAuthority();
    const seen: (string | undefined)[] = [];
    const answer = (id: unknown): string =>
      JSON.stringify({
        jsonrpc: '2.0',
        id,
        result: { resultType: 'complete', content: [{ type: 'text', text: 'secure' }] },
      });
    const secure = createServer(authority.issue({ ip: ['127.0.0.1'] }), (req, res) => {
      seen.push(req.headers.cookie);
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => void chunks.push(chunk));
      req.on('end', () => {
        const { id } = JSON.parse(Buffer.concat(chunks).toString() || '{}') as { id?: unknown };
        res.writeHead(200, { 'content-type': 'application/json' }).end(answer(id));
      });
    });
    secure.listen(0, '127.0.0.1');
    await once(secure, 'listening');
    atEnd(() => {
      secure.closeAllConnections();
      secure.close();
    });
    const location = `https://127.0.0.1:${(secure.address() as AddressInfo).port}/mcp`;
    let late: (() => void) | undefined;
    const onHttp: UpstreamOptions['onHttp'] = ({ message }, res) => {
      const { name } = (message.params ?? {}) as { name?: string };
      res.setHeader('set-cookie', `lb=${name ?? 'first'}`);
      if (name === 'moves') {
        res.removeHeader('set-cookie');
        res.writeHead(307, { location }).end();
      } else if (name === 'waits')
        late = () => res.writeHead(200, { 'content-type': 'application/json' }).end(answer(message.id));
      else return false;
      return true;
    };
    const options = { tools: [tool('moves'), tool('waits'), tool('t')], onHttp };
    const upstream =
      revision === 'modern' ? await createModernUpstream(options) : await createUpstream(options);
    const entry = {
      ...upstream.entry('s', quick),
      tls: { ca_file: await tempFile('ca.pem', authority.cert) },
    };
    const gateway = await startGateway({ servers: [entry] });
    const waiting = callTool(gateway.url, 's__waits');
    await until(() => late, 'the call that waits');
    expect(textOf(await callTool(gateway.url, 's__moves'))).toBe('secure');
    late?.();
    await waiting;
    expect(textOf(await callTool(gateway.url, 's__t'))).toBe('secure');
    expect(upstream.requests.some(({ headers }) => headers.cookie === 'lb=first')).toBe(true);
    expect(seen.filter((cookie) => cookie !== undefined)).toEqual([]);
    expect(seen.length).toBeGreaterThan(1);
  },
);

describe('a child that writes what is no message', () => {
  test.each(['lines', 'short lines', 'line'] as const)(
    'without end (%s) is stopped, and its neighbour goes on',
    async (kind) => {
      const pieces = { lines: `${'x'.repeat(1000)}\n`, 'short lines': 'x\n', line: 'x'.repeat(1000) };
      const piece = JSON.stringify(pieces[kind]);
      const script = `const all = Buffer.from(${piece}.repeat(1000)); const go = () => process.stdout.write(all, go); go();`;
      const good = await createUpstream({ tools: [tool('t')] });
      const noisy = { name: 'noisy', command: process.execPath, args: ['-e', script], ...quick };
      const gateway = await startGateway(
        { servers: [noisy, good.entry('good')], limits: { message_bytes: 1_048_576 } },
        { wait: ['good'] },
      );
      const why = await until(async () => {
        const { servers } = await gateway.health();
        const error = servers.find(({ name }) => name === 'noisy')?.last_error;
        return error?.includes('not MCP messages') ? error : undefined;
      }, 'the reason');
      expect(why).toContain("upstream 'noisy' wrote more than 8 MB a second to its standard output");
      expect(textOf(await callTool(gateway.url, 'good__t', { a: 1 }))).toBe('{"a":1}');
    },
  );
});

describe('changes of resources and of their templates', () => {
  test('in one go are told once', async () => {
    let extra = 0;
    const { upstream, gateway } = await behind({
      getStream: true,
      capabilities: { tools: {}, resources: { listChanged: true } },
      onRequest: (call) => {
        const name = `r${extra}`;
        if (call.message.method === 'resources/list')
          call.result({ resources: [{ uri: `x:${name}`, name }] });
        else if (call.message.method === 'resources/templates/list')
          call.result({ resourceTemplates: [{ uriTemplate: `x:${name}/{a}`, name }] });
        else return false;
        return true;
      },
    });
    const client = await connect(gateway.url);
    await client.list('resources/list', 'resources');
    await client.list('resources/templates/list', 'resourceTemplates');
    const ears = await client.listen();
    extra++;
    upstream.announce({ method: 'notifications/resources/list_changed' });
    const method = 'notifications/resources/list_changed';
    await heard(ears, method);
    expect(await client.list('resources/list', 'resources')).toMatchObject([{ name: 'r1' }]);
    expect(await client.list('resources/templates/list', 'resourceTemplates')).toMatchObject([
      { name: 'r1' },
    ]);
    extra++;
    upstream.announce({ method });
    await until(() => messagesOf(ears).filter((each) => each.method === method).length > 1, 'the second');
    await client.list('resources/list', 'resources');
    expect(messagesOf(ears).filter((each) => each.method === method)).toHaveLength(2);
  });
});

describe('a URL that was to be opened', () => {
  const elicitations = [{ mode: 'url', message: 'Go', url: 'https://x.test', elicitationId: 'e-1' }];
  const complete = { method: 'notifications/elicitation/complete', params: { elicitationId: 'e-1' } };

  test('is said to be done on the stream of a later call', async () => {
    let visits = 0;
    const { gateway } = await behind({
      onCall: (call) => {
        if (visits++ === 0) return call.error(-32042, 'URL elicitation required', { elicitations });
        call.notify(complete.method, complete.params);
        call.text('done');
      },
    });
    const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
    expect((await client.request('tools/call', { name: 's__t' })).error?.code).toBe(-32042);
    const theirs = await other.stream('s__t');
    await theirs.done();
    const mine = await client.stream('s__t');
    await mine.done();
    expect(messagesOf(mine).map(({ method }) => method)).toEqual([complete.method, undefined]);
    expect(theirs.text).not.toContain(complete.method);
  });

  test('is said to be done on a stream that the client opens afterwards', async () => {
    const { upstream, gateway } = await behind({
      getStream: true,
      onCall: (call) => {
        call.error(-32042, 'URL elicitation required', { elicitations });
      },
    });
    const client = await connect(gateway.url);
    expect((await client.request('tools/call', { name: 's__t' })).error?.code).toBe(-32042);
    upstream.announce(complete);
    // The gateway has read it before what it answers to later.
    upstream.announce({ id: 'later', method: 'ping' });
    await until(
      () => upstream.requests.some(({ message }) => message.id === 'later'),
      'the answer to the ping',
    );
    expect(await heard(await client.listen(), complete.method)).toMatchObject([complete]);
  });
});

describe('a log message that comes when no call is in flight', () => {
  const told = (data: string, level = 'info') => ({
    method: 'notifications/message',
    params: { level, logger: 'l', data },
  });

  test('is told to the one client that used its server lately, at its level, and to nobody where there are two', async () => {
    const { upstream, gateway } = await behind({ getStream: true });
    const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
    const [mine, theirs] = [await client.listen(), await other.listen()];
    await client.tool('s__t', {});
    await client.request('logging/setLevel', { level: 'info' });
    upstream.announce(told('quiet', 'debug'));
    upstream.announce(told('one'));
    expect(await heard(mine, 'notifications/message')).toMatchObject([told('one')]);
    await other.tool('s__t', {});
    upstream.announce(told('whose'));
    upstream.announce({ id: 'later', method: 'ping' });
    await until(() => upstream.requests.some(({ message }) => message.id === 'later'), 'its being read');
    await client.end();
    await other.end();
    await Promise.all([mine.done(), theirs.done()]);
    expect(mine.text).not.toContain('whose');
    expect(theirs.text).not.toContain('notifications/message');
  });

  test('is told to nobody once a reload hides its server', async () => {
    const { upstream, gateway } = await behind({ getStream: true });
    const servers = [upstream.entry('s', quick)];
    const client = await connect(gateway.url);
    const events = await client.listen();
    await client.tool('s__t', {});
    await gateway.gateway.reload({
      servers,
      policy: { rules: [{ name: 'none', deny: [{ servers: ['s'] }] }] },
    });
    upstream.announce(told('hidden'));
    upstream.announce({ id: 'later', method: 'ping' });
    await until(() => upstream.requests.some(({ message }) => message.id === 'later'), 'its being read');
    await gateway.gateway.reload({ servers });
    await client.tool('s__t', {});
    upstream.announce(told('shown'));
    expect(await heard(events, 'notifications/message')).toMatchObject([told('shown')]);
  });
});

describe('a modern client', () => {
  test('is told with each list who answers: the gateway, or the server of the route', async () => {
    const { gateway } = await behind({});
    for (const [url, name] of [
      [gateway.url, 'mcpstead'],
      [gateway.server('s'), 'scripted'],
    ] as const)
      for (const method of ['tools/list', 'prompts/list', 'resources/list', 'server/discover'])
        expect((await answerTo(url, method)).result?.['_meta']).toMatchObject({
          'io.modelcontextprotocol/serverInfo': { name },
        });
  });

  test('that only asks what a server with a link a client has is told what the server said, and starts none', async () => {
    const { upstream, gateway } = await behind({ capabilities: { tools: {} } }, { session: 'per-client' });
    const before = upstream.received('initialize').length;
    const { result } = await answerTo(gateway.server('s'), 'server/discover');
    expect(result?.['capabilities']).toEqual({ tools: { listChanged: true } });
    expect(result?.['_meta']).toMatchObject({ 'io.modelcontextprotocol/serverInfo': { name: 'scripted' } });
    expect(upstream.received('initialize')).toHaveLength(before);
  });
});

describe('a tool of a modern server without an outputSchema whose structured result is no object', () => {
  const text = { type: 'text', text: 'as text' };
  const large = Array.from({ length: 20_000 }, (_, i) => ({ i, text: `item ${i}` }));

  test.each([
    ['an array', [1, 2]],
    ['a text', 'x'],
    ['a number', 1.5],
    ['false', false],
    ['a large array', large],
  ])('gives a legacy client an object with it under result (%s)', async (_what, structuredContent) => {
    const upstream = await createModernUpstream({
      tools: [tool('t')],
      onCall: (call) => {
        call.result({ content: [text], structuredContent, isError: false, resultType: 'complete' });
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(gateway.url);
    const { result } = await client.request('tools/call', { name: 's__t', arguments: {} });
    expect(result).toEqual({
      content: [text],
      structuredContent: { result: structuredContent },
      isError: false,
    });
    const modern = await answerTo(gateway.url, 'tools/call', { name: 's__t', arguments: {} });
    expect(modern.result?.['structuredContent']).toEqual(structuredContent);
  });

  test.each([null, { a: [1] }])(
    'is left as it is where it is an object, or null (%j)',
    async (structuredContent) => {
      const upstream = await createModernUpstream({
        tools: [tool('t')],
        onCall: (call) => {
          call.result({ content: [text], structuredContent, resultType: 'complete' });
        },
      });
      const gateway = await startGateway({ servers: [upstream.entry('s')] });
      const { result } = await (
        await connect(gateway.url)
      ).request('tools/call', { name: 's__t', arguments: {} });
      expect(result).toEqual({ content: [text], structuredContent });
    },
  );
});
