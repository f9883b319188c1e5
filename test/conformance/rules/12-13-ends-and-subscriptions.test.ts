import { spawn } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { tempFile } from '../../helpers/cli.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { post, textOf, type JsonRpc, type SseStream } from '../../helpers/http.js';
import { connect, final, heard, messagesOf } from '../../helpers/legacy.js';
import { answerTo, ask, createModernUpstream, stream, type Modern } from '../../helpers/modern.js';
import { sleep, until } from '../../helpers/wait.js';

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';
const UPDATED = 'notifications/resources/updated';

describe('12: the end of a call', () => {
  it('that a modern client leaves closes the stream of a modern upstream, and is told to a legacy one', async () => {
    const options = { tools: [tool('hangs')], onCall: (): void => undefined };
    const modern = await createModernUpstream(options);
    const legacy = await createUpstream(options);
    const running = await startGateway({ servers: [modern.entry('m'), legacy.entry('l')] });
    const cut = async (server: string): Promise<void> => {
      const controller = new AbortController();
      const upstream = server === 'm' ? modern : legacy;
      const asked = ask(
        running.server(server),
        'tools/call',
        { name: 'hangs' },
        { signal: controller.signal },
      ).catch(() => undefined);
      await until(() => upstream.calls('hangs').length === 1);
      controller.abort();
      await asked;
    };
    await cut('m');
    await until(() => modern.abandoned > 0, 'the end of the stream');
    expect(modern.received('notifications/cancelled')).toHaveLength(0);
    await cut('l');
    const [told] = await until(() => {
      const found = legacy.received('notifications/cancelled');
      return found.length > 0 && found;
    });
    expect(told?.message.params?.['requestId']).toBe(legacy.calls('hangs')[0]?.message.id);
  });

  it('that a legacy client cancels closes the stream of a modern upstream', async () => {
    const modern = await createModernUpstream({ tools: [tool('hangs')], onCall: () => undefined });
    const running = await startGateway({ servers: [modern.entry('m')] });
    const client = await connect(running.server('m'));
    const asked = client.request('tools/call', { name: 'hangs' }, 7).catch(() => undefined);
    await until(() => modern.calls('hangs').length === 1);
    await client.say({ method: 'notifications/cancelled', params: { requestId: 7 } });
    await until(() => modern.abandoned > 0, 'the end of the stream');
    await asked;
    expect(modern.received('notifications/cancelled')).toHaveLength(0);
  });

  it('that is long in coming is a stream with comments, without ids for a modern client', async () => {
    let held: Call | undefined;
    const upstream = await createUpstream({
      tools: [tool('slow')],
      onCall(request) {
        held = request;
      },
    });
    const running = await startGateway({
      http: { stream_after_ms: 100, keep_alive_ms: 60 },
      servers: [upstream.entry('s')],
    });
    const told = await stream(running.server('s'), 'tools/call', { name: 'slow' });
    await until(() => /^:/m.test(told.text), 'a comment');
    held?.text('done');
    await told.done();
    expect(told.headers['x-accel-buffering']).toBe('no');
    expect(told.text).toMatch(/^:/m);
    expect(told.text).not.toMatch(/^(id|retry):/m);
    expect(told.events).toHaveLength(1);
  });

  it('ignores ids of a modern upstream, and a Last-Event-ID of a modern client', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('ids')],
      onCall(request) {
        request.write('id: 1\nretry: 5\ndata: \n\n');
        request.progress(1);
        request.text('done', { resultType: 'complete' });
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const told = await stream(
      running.server('s'),
      'tools/call',
      { name: 'ids' },
      { meta: { progressToken: 1 }, headers: { 'last-event-id': '1-1' } },
    );
    await told.done();
    expect(told.text).not.toMatch(/^(id|retry):/m);
    expect(messagesOf(told).map(({ method }) => method)).toEqual(['notifications/progress', undefined]);
  });

  it('that breaks at a modern upstream: a call is not made again, a list and a read are, once', async () => {
    let broken = 0;
    const upstream = await createModernUpstream({
      tools: [tool('breaks')],
      capabilities: { tools: {}, resources: {} },
      async onCall(request) {
        request.open().progress(1);
        await sleep(50);
        request.destroy();
      },
      onRequest(request) {
        const { method } = request.message;
        if (method === 'resources/list')
          request.result({
            resultType: 'complete',
            resources: [{ uri: 'x:1', name: 'x' }],
            ttlMs: 0,
            cacheScope: 'public',
          });
        else if (method === 'resources/templates/list')
          request.result({ resultType: 'complete', resourceTemplates: [], ttlMs: 0, cacheScope: 'public' });
        else if (method === 'resources/read') {
          if (broken++ === 0) {
            request.open();
            request.destroy();
          } else
            request.result({
              resultType: 'complete',
              contents: [{ uri: 'x:1', text: 'read' }],
              ttlMs: 7,
              cacheScope: 'public',
            });
        } else return false;
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const read = await answerTo(running.server('s'), 'resources/read', { uri: 'x:1' });
    expect(read.result).toMatchObject({ contents: [{ text: 'read' }], ttlMs: 7 });
    expect(upstream.received('resources/read')).toHaveLength(2);

    const told = await stream(
      running.server('s'),
      'tools/call',
      { name: 'breaks' },
      { meta: { progressToken: 1 } },
    );
    await told.done();
    expect(told.complete).toBe(false);
    expect(messagesOf(told).filter(({ method }) => method === undefined)).toEqual([]);
    const client = await connect(running.server('s'));
    const older = await final(await client.stream('breaks', {}, { meta: { progressToken: 1 } }));
    expect(older.error?.code).toBe(-32603);
    expect(upstream.calls('breaks')).toHaveLength(2);
  });
});

/** A server with two resources that can be subscribed to. */
async function subscribable(era: 'legacy' | 'modern'): Promise<Upstream> {
  const resources = [
    { uri: 'x:one', name: 'one' },
    { uri: 'x:folder', name: 'folder' },
  ];
  const capabilities = {
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
  };
  const hints = era === 'modern' ? { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' } : {};
  const onRequest = (request: Call): boolean => {
    switch (request.message.method) {
      case 'resources/list':
        request.result({ ...hints, resources });
        return true;
      case 'resources/templates/list':
        request.result({ ...hints, resourceTemplates: [] });
        return true;
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        if (request.params['uri'] === 'x:refused') request.error(-32602, 'not this one');
        else request.result({});
        return true;
      default:
        return false;
    }
  };
  const common = { capabilities, tools: [tool('t')], onRequest };
  return era === 'legacy'
    ? createUpstream({ ...common, getStream: true })
    : createModernUpstream({
        ...common,
        grant: (filter) => ({
          ...filter,
          resourceSubscriptions: ((filter['resourceSubscriptions'] ?? []) as string[]).filter(
            (uri) => uri !== 'x:refused',
          ),
        }),
      });
}

/** Says that a resource was updated, as the server's era says it. */
function update(upstream: Upstream, era: 'legacy' | 'modern', uri: string): void {
  const listen = upstream.received('subscriptions/listen').at(-1);
  const meta = era === 'modern' ? { _meta: { [SUBSCRIPTION]: listen?.message.id, kept: 1.5 } } : {};
  upstream.announce({ method: UPDATED, params: { uri, ...meta } });
}

const listen = (url: string, notifications: object, options: Modern = {}): Promise<SseStream> =>
  stream(url, 'subscriptions/listen', { notifications }, options);

describe.each(['legacy', 'modern'] as const)('13: a stream of changes, with a %s upstream', (era) => {
  it('is acknowledged first, with what was granted alone, and every frame carries its id', async () => {
    const upstream = await subscribable(era);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const told = await listen(
      running.server('s'),
      {
        toolsListChanged: true,
        promptsListChanged: true,
        resourceSubscriptions: ['x:one', 'x:refused', 'nobody:knows'],
        unknown: true,
      },
      { id: 'my stream' },
    );
    const first = await told.message();
    expect(first).toMatchObject({
      method: ACKNOWLEDGED,
      params: {
        _meta: { [SUBSCRIPTION]: 'my stream' },
        notifications: { toolsListChanged: true },
      },
    });
    const { notifications } = first.params as { notifications: { resourceSubscriptions: string[] } };
    expect(notifications.resourceSubscriptions).toContain('x:one');
    expect(notifications.resourceSubscriptions).not.toContain('x:refused');
    expect(notifications).not.toHaveProperty('promptsListChanged');
    expect(notifications).not.toHaveProperty('unknown');
    await until(() => upstream.streams.size === 1);
    update(upstream, era, 'x:one');
    const [updated] = await heard(told, UPDATED);
    expect(updated).toMatchObject({
      method: UPDATED,
      params: { uri: 'x:one', _meta: { [SUBSCRIPTION]: 'my stream' } },
    });
    if (era === 'modern') expect(updated?.params?.['_meta']).toHaveProperty('kept', 1.5);
    upstream.setTools([tool('t'), tool('u')]);
    if (era === 'modern') {
      const listening = upstream.received('subscriptions/listen').at(-1);
      upstream.announce({
        method: 'notifications/tools/list_changed',
        params: { _meta: { [SUBSCRIPTION]: listening?.message.id } },
      });
    }
    const [changed] = await heard(told, 'notifications/tools/list_changed');
    expect(changed).toMatchObject({
      method: 'notifications/tools/list_changed',
      params: { _meta: { [SUBSCRIPTION]: 'my stream' } },
    });
    told.close();
  });

  it('keeps the type of its id, tells each client only what it asked for, and stops with its last listener', async () => {
    const upstream = await subscribable(era);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const one = await listen(running.url, { resourceSubscriptions: ['x:one'] }, { id: 17 });
    const two = await listen(running.url, { resourceSubscriptions: ['x:folder'] }, { id: '17' });
    const [a, b] = [await one.message(), await two.message()];
    expect([a.params?.['_meta'], b.params?.['_meta']]).toEqual([
      { [SUBSCRIPTION]: 17 },
      { [SUBSCRIPTION]: '17' },
    ]);
    await until(() => upstream.streams.size === 1);
    update(upstream, era, 'x:one');
    // A part of the second, and of nobody else.
    update(upstream, era, 'x:folder/part');
    expect((await one.message()).params).toMatchObject({ uri: 'x:one', _meta: { [SUBSCRIPTION]: 17 } });
    expect((await two.message()).params).toMatchObject({
      uri: 'x:folder/part',
      _meta: { [SUBSCRIPTION]: '17' },
    });
    one.close();
    if (era === 'legacy')
      await until(() =>
        upstream.received('resources/unsubscribe').some(({ message }) => message.params?.['uri'] === 'x:one'),
      );
    else
      await until(() => {
        const asked = upstream.received('subscriptions/listen').at(-1)?.message.params?.['notifications'];
        return JSON.stringify(asked).includes('x:folder') && !JSON.stringify(asked).includes('x:one');
      });
    expect(messagesOf(two).filter(({ method }) => method === UPDATED)).toHaveLength(1);
    two.close();
  });

  it('ends in good order with the gateway, and when its server is taken away', async () => {
    const upstream = await subscribable(era);
    const config = { servers: [upstream.entry('s')] };
    const running = await startGateway(config);
    const own = await listen(running.server('s'), { toolsListChanged: true }, { id: 1 });
    const all = await listen(running.url, { toolsListChanged: true }, { id: 2 });
    await own.message();
    await all.message();
    const end = (id: number): object => ({
      jsonrpc: '2.0',
      id,
      result: { resultType: 'complete', _meta: { [SUBSCRIPTION]: id } },
    });
    await running.gateway.reload({ servers: [] });
    await own.done();
    expect(messagesOf(own).at(-1)).toEqual(end(1));
    expect(own.complete).toBe(true);
    expect(all.ended).toBe(false);
    await running.gateway.close();
    await all.done();
    expect(messagesOf(all).at(-1)).toEqual(end(2));
  });

  it('works for legacy clients by their own requests, also where both kinds listen', async () => {
    const upstream = await subscribable(era);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.url);
    const stream = await client.listen();
    expect((await client.request('resources/subscribe', { uri: 'x:one' })).result).toEqual({});
    const refused = await client.request('resources/subscribe', { uri: 'x:refused' });
    expect(refused.error).toBeDefined();
    const modern = await listen(running.url, { resourceSubscriptions: ['x:one'] });
    await modern.message();
    await until(() => upstream.streams.size === 1);
    update(upstream, era, 'x:one');
    const [told] = await heard(stream, UPDATED);
    expect(told?.params?.['uri']).toBe('x:one');
    expect(JSON.stringify(told)).not.toContain(SUBSCRIPTION);
    expect((await modern.message()).params).toMatchObject({ uri: 'x:one' });
    expect((await client.request('resources/unsubscribe', { uri: 'x:one' })).result).toEqual({});
    expect((await client.request('resources/subscribe', { uri: 'x:folder' })).result).toEqual({});
    await until(() => upstream.streams.size === 1);
    update(upstream, era, 'x:one');
    update(upstream, era, 'x:folder');
    expect((await modern.message()).params).toMatchObject({ uri: 'x:one' });
    const all = await heard(stream, UPDATED, 2);
    expect(all.map(({ params }) => params?.['uri'])).toEqual(['x:one', 'x:folder']);
    modern.close();
  });

  it('comes back by itself when the upstream breaks it, and tells what was missed', async () => {
    const upstream = await subscribable(era);
    const running = await startGateway({
      servers: [upstream.entry('s', { reconnect: { backoff_base_ms: 50 } })],
    });
    const told = await listen(running.server('s'), { toolsListChanged: true });
    await told.message();
    await until(() => upstream.streams.size === 1);
    upstream.options.tools = [tool('another')];
    for (const each of upstream.streams) each.destroy();
    await heard(told, 'notifications/tools/list_changed');
    const names = async (): Promise<unknown> =>
      ((await answerTo(running.server('s'), 'tools/list')).result?.['tools'] as { name: string }[]).map(
        ({ name }) => name,
      );
    await until(async () => JSON.stringify(await names()) === '["another"]');
    await until(() => upstream.streams.size === 1);
    told.close();
  });
});

describe('13: a stream of changes', () => {
  it('names a resource by the URI it was asked for where two servers have the same', async () => {
    const [a, b] = [await subscribable('legacy'), await subscribable('modern')];
    const running = await startGateway({ servers: [a.entry('a'), b.entry('b')] });
    const { result } = await answerTo(running.url, 'resources/list');
    const uris = (result?.['resources'] as { uri: string }[]).map(({ uri }) => uri);
    const second = uris.find((uri) => uri !== 'x:one' && uri.endsWith('x:one')) as string;
    const told = await listen(running.url, { resourceSubscriptions: ['x:one', second] });
    await told.message();
    await until(() => a.streams.size === 1 && b.streams.size === 1);
    update(b, 'modern', 'x:one');
    expect((await told.message()).params?.['uri']).toBe(second);
    update(a, 'legacy', 'x:one');
    expect((await told.message()).params?.['uri']).toBe('x:one');
    told.close();
  });

  it.each([undefined, null, [], 'all'])('needs a filter that is an object (%j)', async (notifications) => {
    const running = await startGateway({ servers: [] });
    const answer = await answerTo(running.url, 'subscriptions/listen', { notifications });
    expect(answer.error?.code).toBe(-32602);
  });

  it('on stdio is cancelled by a notification, and its end is told by one', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const main = new URL('../../../dist/cli/main.js', import.meta.url).pathname;
    const config = await tempFile(
      'config.json',
      JSON.stringify({ startup: { wait_ms: 60_000 }, servers: [upstream.entry('s')] }),
    );
    const child = spawn(process.execPath, [main, 'stdio', '--config', config], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const messages = (): JsonRpc[] =>
      output
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as JsonRpc);
    const say = (message: object): void =>
      void child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const listen = (id: unknown): void => {
      say({
        id,
        method: 'subscriptions/listen',
        params: { _meta, notifications: { toolsListChanged: true } },
      });
    };
    try {
      listen('one');
      listen(2);
      listen(2);
      await until(() => messages().filter(({ method }) => method === ACKNOWLEDGED).length === 2);
      // An id in use is nobody else's.
      expect(messages().filter(({ error }) => error?.code === -32600)).toHaveLength(1);
      say({ method: 'notifications/cancelled', params: { requestId: 'one' } });
      say({ id: 3, method: 'tools/call', params: { _meta, name: 's__t', arguments: { a: 1 } } });
      await until(() => messages().some(({ id }) => id === 3));
      expect(textOf(messages().find(({ id }) => id === 3) as JsonRpc)).toBe('{"a":1}');
      child.stdin.end();
      const two = (): JsonRpc[] =>
        messages().filter(
          ({ id, method, params, result }) =>
            (id === 2 && result) || (method === 'notifications/cancelled' && params?.['requestId'] === 2),
        );
      await until(() => two().length === 2, 'the end');
      expect(two().map(({ id, method }) => method ?? id)).toEqual([2, 'notifications/cancelled']);
      expect(messages().some(({ id }) => id === 'one')).toBe(false);
    } finally {
      child.kill();
    }
  });
});

describe('16: who is calling', () => {
  const TOKEN = 'a-token-for-this-test';
  interface Row {
    readonly era: string;
    readonly send: (url: string, headers: Record<string, string>) => Promise<number>;
  }
  const rows: Row[] = [
    {
      era: 'legacy',
      send: async (url, headers) =>
        (await post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, headers)).status,
    },
    {
      era: 'modern',
      send: async (url, headers) =>
        (
          await post(
            url,
            {
              jsonrpc: '2.0',
              id: 1,
              method: 'tools/list',
              params: {
                _meta: {
                  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
                  'io.modelcontextprotocol/clientCapabilities': {},
                },
              },
            },
            { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list', ...headers },
          )
        ).status,
    },
  ];
  const credentials: [what: string, headers: Record<string, string>, status: number][] = [
    ['no credential', {}, 401],
    ['another scheme', { authorization: `Basic ${TOKEN}` }, 401],
    ['a wrong token', { authorization: 'Bearer wrong' }, 401],
    ['the token', { authorization: `Bearer ${TOKEN}` }, 200],
  ];
  const matrix = rows.flatMap((row) =>
    (['/mcp', '/servers/s/mcp'] as const).flatMap((route) =>
      credentials.map(([what, headers, status]) => ({ ...row, route, what, headers, status })),
    ),
  );
  let running: RunningGateway;
  beforeAll(async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    process.env['MCPSTEAD_BEARER_TOKEN'] = TOKEN;
    try {
      running = await startGateway({ mcp: { auth: { mode: 'bearer' } }, servers: [upstream.entry('s')] });
    } finally {
      delete process.env['MCPSTEAD_BEARER_TOKEN'];
    }
  });

  it.each(matrix)(
    'a $era request to $route with $what gets $status',
    async ({ send, route, headers, status }) => {
      expect(await send(`${running.base}${route}`, headers)).toBe(status);
    },
  );
});
