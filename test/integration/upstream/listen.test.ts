import { describe, expect, it } from 'vitest';
import { tool } from '../../fixtures/servers/http-upstream.js';
import { timer, until } from '../../helpers/wait.js';
import { call, openLink, toolCall } from './link.js';
import {
  acknowledge,
  createModernUpstream,
  META,
  type ListenStream,
  type ModernOptions,
} from './modern-server.js';

const quick = { reconnect: { backoff_base_ms: 10, backoff_max_ms: 20 } };

async function listening(options: ModernOptions = {}, entry: object = {}) {
  const upstream = await createModernUpstream({ tools: [tool('t')], ...options });
  const opened = openLink(upstream.entry('s', { ...quick, ...entry }));
  await opened.up();
  const asked = (): (string[] | undefined)[] =>
    upstream
      .received('subscriptions/listen')
      .map(
        ({ message }) => (message.params?.['notifications'] as ListenStream['filter']).resourceSubscriptions,
      );
  return { upstream, asked, ...opened };
}
const RESOURCES = { resources: { listChanged: true, subscribe: true } };

describe('the listen stream of a link', () => {
  it('is opened once, before the lists are read, for what the upstream says that it tells', async () => {
    const { upstream } = await listening({
      capabilities: { tools: { listChanged: true }, prompts: {}, resources: { listChanged: true } },
      onRequest: (request) => {
        if (request.message.method !== 'prompts/list') return false;
        request.result({ resultType: 'complete', prompts: [], ttlMs: 60_000, cacheScope: 'public' });
        return true;
      },
    });
    const [listen] = upstream.received('subscriptions/listen');
    expect(listen?.message.params).toMatchObject({
      notifications: { toolsListChanged: true, resourcesListChanged: true },
      _meta: { [`${META}/protocolVersion`]: '2026-07-28' },
    });
    expect(Object.keys(listen?.message.params?.['notifications'] as object)).toEqual([
      'toolsListChanged',
      'resourcesListChanged',
    ]);
    expect(listen?.headers['mcp-method']).toBe('subscriptions/listen');
    expect(upstream.received('subscriptions/listen').length).toBe(1);
    expect((listen?.at ?? 0) < (upstream.received('tools/list')[0]?.at ?? 0)).toBe(true);
    expect(upstream.received('tools/list').length).toBe(1);
  });

  it('is not opened where there is nothing to tell', async () => {
    const { upstream, link } = await listening({ capabilities: { tools: {} } });
    await link.refresh();
    expect(upstream.received('subscriptions/listen')).toEqual([]);
    expect(link.inFlight).toBe(0);
  });

  it('tells of changed lists, and is no call in flight', async () => {
    const { upstream, link, told } = await listening();
    expect(link.inFlight).toBe(0);
    upstream.options.tools = [tool('t'), tool('u')];
    upstream.listening[0]?.tell('notifications/tools/list_changed');
    await until(() => link.lists.tools.length === 2);
    expect(told.changed).toEqual([['tools']]);
  });

  it('an acknowledgement that comes late has the lists read once more', async () => {
    const { upstream } = await listening({
      onListen: (request) => {
        setTimeout(() => acknowledge(request), 800);
        return true;
      },
    });
    expect(upstream.received('tools/list').length).toBe(1);
    await until(() => upstream.received('tools/list').length === 2);
  });

  it.each([
    ['breaks', (stream: ListenStream | undefined) => stream?.call.destroy()],
    [
      'is ended by the server',
      (stream: ListenStream | undefined) => {
        stream?.call.event(
          JSON.stringify({
            jsonrpc: '2.0',
            id: stream.call.message.id,
            result: { resultType: 'complete', _meta: { [`${META}/subscriptionId`]: stream.call.message.id } },
          }),
        );
        stream?.call.end();
      },
    ],
  ])('that %s is opened again by itself, and the lists are read', async (_name, end) => {
    const { upstream, link } = await listening();
    upstream.options.tools = [tool('t'), tool('while_nobody_heard')];
    end(upstream.listening[0]);
    await until(() => upstream.listening.length === 2);
    await until(() => link.lists.tools.length === 2);
    expect(link.state).toBe('up');
    expect(link.stats.reconnects).toBe(0);
    upstream.options.tools = [];
    upstream.listening[1]?.tell('notifications/tools/list_changed');
    await until(() => link.lists.tools.length === 0);
  });

  it('that an upstream does not have is not asked for again', async () => {
    const { upstream, link } = await listening({
      onListen: (request) => {
        request.raw(request.envelope('error', '{"code":-32601,"message":"Method not found"}'), 404);
        return true;
      },
    });
    await link.refresh();
    expect(upstream.received('subscriptions/listen').length).toBe(1);
    await expect(link.subscribe('test://a')).rejects.toMatchObject({ code: 'invalid_params' });
    expect(upstream.received('subscriptions/listen').length).toBe(1);
    await upstream.stop();
    await link.refresh().catch(() => undefined);
    await until(() => link.state !== 'up');
    await upstream.start();
    await until(() => link.state === 'up');
    expect(upstream.received('subscriptions/listen').length).toBe(2);
  });

  it('outlives every time-out of a call', async () => {
    const { upstream, link } = await listening(
      { onCall: () => undefined },
      { timeouts: { request_ms: 100, total_ms: 200 } },
    );
    // Calls that began later are over by theirs.
    for (let n = 0; n < 2; n++) expect((await call(link, toolCall('t')).done).error).toBeDefined();
    expect(upstream.listening.length).toBe(1);
    expect(upstream.listening[0]?.call.res.closed).toBe(false);
    await link.refresh();
  });

  it('ends with the link, and keeps no drain waiting', async () => {
    const { upstream, link } = await listening();
    await link.drain(600_000);
    await until(() => upstream.abandoned === 1);
  });

  it('is opened again with the connection', async () => {
    const { upstream, link } = await listening({ capabilities: RESOURCES });
    await link.subscribe('test://a');
    await upstream.stop();
    await link.refresh().catch(() => undefined);
    await until(() => link.state !== 'up');
    upstream.requests.length = 0;
    await upstream.start();
    await until(() => link.state === 'up');
    expect(
      upstream.received('subscriptions/listen').map(({ message }) => message.params?.['notifications']),
    ).toEqual([{ resourcesListChanged: true, resourceSubscriptions: ['test://a'] }]);
  });
});

describe('a resource of a modern upstream', () => {
  it('is subscribed to by another stream, which takes the place of the first', async () => {
    const { upstream, link, told, asked } = await listening({ capabilities: RESOURCES });
    await link.subscribe('test://a');
    expect(link.isSubscribed('test://a')).toBe(true);
    expect(asked()).toEqual([undefined, ['test://a']]);
    await until(() => upstream.abandoned === 1);
    upstream.listening[1]?.call.event(
      JSON.stringify({
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: {
          _meta: { [`${META}/subscriptionId`]: upstream.listening[1].call.message.id },
          uri: 'test://a',
          n: 1,
        },
      }),
    );
    await until(() => told.updated.length === 1);
    expect(told.updated[0]?.uri).toBe('test://a');
    expect(told.updated[0]?.notice.bytes.toString()).toBe(
      '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://a","n":1}}',
    );
    // Granted already: no other stream.
    await link.subscribe('test://a');
    link.keepSubscribed('test://a');
    await link.refresh();
    expect(upstream.listening.length).toBe(2);
  });

  it('changes of a moment make one stream', async () => {
    const { link, asked } = await listening({ capabilities: RESOURCES });
    await Promise.all(['test://a', 'test://b', 'test://c'].map((uri) => link.subscribe(uri)));
    link.unsubscribe('test://b', true);
    await until(() => asked().length === 3);
    expect(asked()).toEqual([undefined, ['test://a', 'test://b', 'test://c'], ['test://a', 'test://c']]);
  });

  it('is heard without a gap while one stream takes the place of another', async () => {
    const streams: ListenStream[] = [];
    let hold = false;
    const { link, told, upstream } = await listening({
      capabilities: RESOURCES,
      onListen: (request) => {
        if (!hold) streams.push(acknowledge(request));
        else
          setTimeout(() => {
            // Still on the old one alone; then on both.
            streams[1]?.tell('notifications/resources/updated', { uri: 'test://a', n: 1 });
            const stream = acknowledge(request);
            streams[1]?.tell('notifications/resources/updated', { uri: 'test://a', n: 2 });
            stream.tell('notifications/resources/updated', { uri: 'test://a', n: 2 });
            streams.push(stream);
          }, 30);
        return true;
      },
    });
    await link.subscribe('test://a');
    hold = true;
    await link.subscribe('test://b');
    await until(() => upstream.abandoned === 2);
    streams[2]?.tell('notifications/resources/updated', { uri: 'test://a', n: 3 });
    const numbers = (): number[] =>
      told.updated.map(
        ({ notice }) => (JSON.parse(notice.bytes.toString()) as { params: { n: number } }).params.n,
      );
    await until(() => numbers().includes(3));
    // Two connections keep no order between them: told twice is possible, not told is not.
    expect([...new Set(numbers())].sort()).toEqual([1, 2, 3]);
    expect(numbers().at(-1)).toBe(3);
  });

  it('wanted again while the stream without it is on its way is granted by one that has it', async () => {
    const waiting: (() => void)[] = [];
    let hold = false;
    const { link, asked } = await listening({
      capabilities: RESOURCES,
      onListen: (request) => {
        if (hold) waiting.push(() => acknowledge(request));
        return hold;
      },
    });
    await Promise.all([link.subscribe('test://a'), link.subscribe('test://b')]);
    hold = true;
    link.unsubscribe('test://a', true);
    await until(() => waiting.length === 1);
    let granted = false;
    const again = link.subscribe('test://a').then(() => (granted = true));
    waiting[0]?.();
    await until(() => waiting.length === 2);
    expect(granted).toBe(false);
    waiting[1]?.();
    await again;
    expect(asked().slice(1)).toEqual([['test://a', 'test://b'], ['test://b'], ['test://b', 'test://a']]);
  });

  it('that the upstream leaves out of its acknowledgement is refused', async () => {
    const { link } = await listening({
      capabilities: RESOURCES,
      grant: (uris) => uris.filter((uri) => uri !== 'test://no'),
    });
    await expect(link.subscribe('test://no')).rejects.toMatchObject({
      code: 'invalid_params',
      message: expect.stringContaining('test://no') as string,
    });
    expect(link.isSubscribed('test://no')).toBe(false);
    await link.subscribe('test://yes');
  });

  it('that is not acknowledged in two seconds is refused, and the old stream goes on', async () => {
    let silent = false;
    const { link, upstream } = await listening({ capabilities: RESOURCES, onListen: () => silent });
    silent = true;
    const given = timer(1900);
    await expect(link.subscribe('test://a')).rejects.toMatchObject({ code: 'upstream_protocol_error' });
    expect(given.rung).toBe(true);
    silent = false;
    expect(upstream.listening.length).toBe(1);
    await link.subscribe('test://b');
    expect(upstream.listening.length).toBe(2);
  });

  it('of a link that is down is refused', async () => {
    const upstream = await createModernUpstream();
    const { link } = openLink(upstream.entry('s'));
    await expect(link.subscribe('test://a')).rejects.toMatchObject({ code: 'upstream_disconnected' });
  });

  it('of a task goes to whom it may concern', async () => {
    const { upstream, told } = await listening();
    upstream.listening[0]?.tell('notifications/tasks', { taskId: 't1', status: 'completed' });
    await until(() => told.tasks.length === 1);
    expect(told.tasks[0]?.taskId).toBe('t1');
    expect(told.tasks[0]?.notice.bytes.toString()).not.toContain('subscriptionId');
  });
});
