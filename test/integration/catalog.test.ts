/** Resources, templates, prompts and completion of several upstreams on one endpoint; changes, subscriptions, log levels. */
import { expect, test } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { post, textOf } from '../helpers/http.js';
import { connect, heard, messagesOf, type LegacyClient } from '../helpers/legacy.js';
import { answerTo } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';
import { tool } from '../fixtures/servers/http-upstream.js';
import { createLists, type ListsOptions, type ListsUpstream } from '../fixtures/servers/lists.js';

const resource = (uri: string, more: object = {}): object => ({ uri, name: uri, ...more });
const template = (uriTemplate: string): object => ({ uriTemplate, name: uriTemplate });
const prompt = (name: string): object => ({ name, description: `The prompt ${name}` });
const many = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** Upstreams `a`, `b` ... with these options, and a gateway before them whose links hear what they say. */
async function several(
  options: readonly ListsOptions[],
  config: ConfigInput = {},
): Promise<{ gateway: RunningGateway; ups: ListsUpstream[] }> {
  const ups: ListsUpstream[] = [];
  for (const [i, each] of options.entries()) ups.push(await createLists('abc'[i] ?? 'z', each));
  const servers = ups.map(({ upstream }, i) =>
    upstream.entry('abc'[i] ?? 'z', { reconnect: { backoff_base_ms: 20 } }),
  );
  const gateway = await startGateway({ ...config, servers });
  for (const { upstream } of ups)
    if (upstream.options.getStream) await until(() => upstream.streams.size === 1, 'the GET stream');
  return { gateway, ups };
}

/** A client that holds every list, and so need not hear of what came with the connections. */
async function informed(url: string): Promise<LegacyClient> {
  const client = await connect(url);
  for (const method of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'])
    await client.request(method);
  return client;
}

const uris = async (client: LegacyClient): Promise<unknown[]> =>
  (await client.list('resources/list', 'resources')).map(({ uri }) => uri);

const read = async (client: LegacyClient, uri: string): Promise<unknown> => {
  const { result, error } = await client.request('resources/read', { uri });
  return result ? (result['contents'] as { text: string; uri: string }[])[0] : error;
};

test('lists of every kind are merged over all pages of all upstreams, in a stable order', async () => {
  const { gateway } = await several([
    {
      page: 2,
      lists: {
        resources: many(5, (i) => resource(`a://${i}`, { title: 'T', size: 1, 'x-own': { n: i } })),
        templates: many(3, (i) => template(`a${i}://{x}`)),
        prompts: many(4, (i) => prompt(`p${i}`)),
      },
    },
    { lists: { resources: [resource('b://0')], templates: [template('b://{x}')], prompts: [prompt('p0')] } },
  ]);
  const client = await connect(gateway.url);
  expect(await uris(client)).toEqual([...many(5, (i) => `a://${i}`), 'b://0']);
  // Beside its name and, for a tool, its description nothing of a definition is touched.
  expect((await client.list('resources/list', 'resources'))[3]).toEqual(
    resource('a://3', { title: 'T', size: 1, 'x-own': { n: 3 } }),
  );
  const templates = await client.list('resources/templates/list', 'resourceTemplates');
  expect(templates.map(({ uriTemplate }) => uriTemplate)).toEqual([
    ...many(3, (i) => `a${i}://{x}`),
    'b://{x}',
  ]);
  const prompts = await client.list('prompts/list', 'prompts');
  expect(prompts.map(({ name }) => name)).toEqual([...many(4, (i) => `a__p${i}`), 'b__p0']);
  expect(prompts[0]).toEqual({ ...prompt('p0'), name: 'a__p0' });
  expect((await client.request('resources/list', { cursor: 'from elsewhere' })).error?.code).toBe(-32602);
});

test('prompts go by qualified names, completion by prompt or template, each to its own upstream', async () => {
  const { gateway } = await several([
    { lists: { prompts: [prompt('p')], templates: [template('a://{x}')] } },
    { lists: { prompts: [prompt('p')], templates: [template('b://{x}')] } },
  ]);
  const client = await connect(gateway.url);
  for (const server of ['a', 'b']) {
    const got = await client.request('prompts/get', { name: `${server}__p`, arguments: { k: 'v' } });
    expect(got.result).toMatchObject({ messages: [{ content: { text: `${server} p {"k":"v"}` } }] });
    const argument = { name: 'k', value: 'v' };
    for (const [ref, own] of [
      [
        { type: 'ref/prompt', name: `${server}__p` },
        { type: 'ref/prompt', name: 'p' },
      ],
      [
        { type: 'ref/resource', uri: `${server}://{x}` },
        { type: 'ref/resource', uri: `${server}://{x}` },
      ],
    ]) {
      const completed = await client.request('completion/complete', { ref, argument });
      expect(completed.result).toEqual({ completion: { values: [server, JSON.stringify(own)] } });
    }
  }
  for (const params of [{ name: 'c__p' }, { name: 'p' }, {}])
    expect((await client.request('prompts/get', params)).error?.code).toBe(-32602);
  for (const ref of [
    undefined,
    {},
    { type: 'ref/other' },
    { type: 'ref/prompt' },
    { type: 'ref/prompt', name: 'c__p' },
  ])
    expect((await client.request('completion/complete', { ref })).error?.code).toBe(-32602);
});

test('a read goes to the upstream that lists the URI, else to one whose template covers it', async () => {
  const { gateway } = await several([
    { lists: { resources: [resource('note://1')], templates: [template('file:///a/{+path}')] } },
    { lists: { resources: [resource('file:///a/of-b')], templates: [template('note://{id}')] } },
  ]);
  const client = await connect(gateway.url);
  for (const [uri, text] of [
    ['note://1', 'a'],
    ['note://2', 'b'],
    ['file:///a/of-b', 'b'],
    ['file:///a/deep/down.txt', 'a'],
  ] as const)
    expect(await read(client, uri)).toEqual({ uri, text });
});

test('a URI that two upstreams list is there twice, the second in a qualified form that is read under its own', async () => {
  const shared = [resource('same://1', { name: 'N' })];
  const { gateway } = await several([
    { lists: { resources: shared, templates: [template('t://{x}')] } },
    { lists: { resources: shared, templates: [template('t://{x}')] } },
  ]);
  const client = await connect(gateway.url);
  expect(await client.list('resources/list', 'resources')).toEqual([
    { uri: 'same://1', name: 'N' },
    { uri: 'mcpstead:b:same://1', name: 'N' },
  ]);
  const templates = await client.list('resources/templates/list', 'resourceTemplates');
  expect(templates.map(({ uriTemplate }) => uriTemplate)).toEqual(['t://{x}', 'mcpstead:b:t://{x}']);
  expect(await read(client, 'same://1')).toEqual({ uri: 'same://1', text: 'a' });
  expect(await read(client, 'mcpstead:b:same://1')).toEqual({ uri: 'same://1', text: 'b' });
  expect(await read(client, 't://5')).toEqual({ uri: 't://5', text: 'a' });
  expect(await read(client, 'mcpstead:b:t://5')).toEqual({ uri: 't://5', text: 'b' });
  const ref = { type: 'ref/resource', uri: 'mcpstead:b:t://{x}' };
  const completed = await client.request('completion/complete', { ref, argument: { name: 'x', value: '' } });
  expect(completed.result).toMatchObject({
    completion: { values: ['b', '{"type":"ref/resource","uri":"t://{x}"}'] },
  });
});

test('a read of what nobody has is -32002 with the URI, and so is one that the upstream does not have', async () => {
  const { gateway } = await several([{ lists: { templates: [template('a://{x}')] } }]);
  const client = await connect(gateway.url);
  for (const uri of ['nobody://1', 'a://missing', 'mcpstead:nobody:x', 'mcpstead:', 'no uri at all'])
    expect(await read(client, uri)).toMatchObject({ code: -32002, data: { uri } });
  expect((await client.request('resources/read', {})).error?.code).toBe(-32602);
});

test('the capabilities told are the union of what the upstreams have, instructions stand under names', async () => {
  const { gateway } = await several([
    { capabilities: { tools: {}, prompts: {} }, instructions: 'Of a.' },
    { capabilities: { resources: { subscribe: true }, experimental: {} }, instructions: ' Of b.\n' },
    { capabilities: { completions: {}, logging: {} } },
  ]);
  const { greeting } = await connect(gateway.url);
  expect(greeting['capabilities']).toEqual({
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    completions: {},
    logging: {},
  });
  expect(greeting['instructions']).toBe('## a\nOf a.\n\n## b\nOf b.');
});

test('instructions are bounded in all', async () => {
  const { gateway } = await several([{ instructions: 'x'.repeat(20_000) }, { instructions: 'never seen' }]);
  const { greeting } = await connect(gateway.url);
  const text = greeting['instructions'] as string;
  expect(text.length).toBeLessThan(17_000);
  expect(text).not.toContain('never seen');
  const { greeting: own } = await connect(gateway.server('a'));
  expect(own['instructions']).toHaveLength(20_000);
});

test('lists of a kind that nobody has are empty, on the merged and on the own endpoint', async () => {
  const { gateway, ups } = await several([{ capabilities: { tools: {} }, getStream: false }]);
  for (const url of [gateway.url, gateway.server('a')]) {
    // On its own endpoint the server is asked for what it does not declare.
    if (url === gateway.url) expect(ups[0]?.upstream.received('prompts/list')).toEqual([]);
    const client = await connect(url);
    expect(await client.list('resources/list', 'resources')).toEqual([]);
    expect(await client.list('resources/templates/list', 'resourceTemplates')).toEqual([]);
    expect(await client.list('prompts/list', 'prompts')).toEqual([]);
  }
});

test("an upstream's own endpoint shows names, instructions, capabilities and server info untouched", async () => {
  const capabilities = {
    tools: {},
    prompts: {},
    resources: { subscribe: true, 'x-own': 1 },
    experimental: { e: { f: 1 } },
  };
  const { gateway } = await several([
    { lists: { prompts: [prompt('p')], resources: [resource('same://1')] } },
    {
      lists: { prompts: [prompt('p')], resources: [resource('same://1')] },
      capabilities,
      instructions: 'Mine.',
    },
  ]);
  const client = await connect(gateway.server('b'));
  expect(client.greeting).toEqual({
    protocolVersion: '2025-11-25',
    capabilities: {
      ...capabilities,
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { ...capabilities.resources, listChanged: true },
    },
    serverInfo: { name: 'scripted', version: '1.0.0' },
    instructions: 'Mine.',
  });
  expect(await client.list('prompts/list', 'prompts')).toEqual([prompt('p')]);
  expect(await client.list('tools/list', 'tools')).toEqual([tool('echo')]);
  expect(await uris(client)).toEqual(['same://1']);
  expect(await read(client, 'same://1')).toEqual({ uri: 'same://1', text: 'b' });
  const got = await client.request('prompts/get', { name: 'p' });
  expect(got.result).toMatchObject({ messages: [{ content: { text: 'b p undefined' } }] });
});

test('before an upstream has connected, a client is told of everything it may have', async () => {
  const { upstream } = await createLists('a');
  await upstream.stop();
  const gateway = await startGateway({ servers: [upstream.entry('a')] }, { wait: [] });
  // At once: `initialize` there waits, and says that the server is down.
  const { result } = await answerTo(gateway.server('a'), 'server/discover');
  expect(result?.['capabilities']).toMatchObject({
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    completions: {},
  });
});

test.each([
  ['tools', 'tools/list', 'tools', tool('new')],
  ['prompts', 'prompts/list', 'prompts', prompt('new')],
  ['resources', 'resources/list', 'resources', resource('new://1')],
  ['resources', 'resources/templates/list', 'resourceTemplates', template('new://{x}')],
] as const)(
  'a change of %s (%s) is told once to the sessions that see it, and the list is fresh by then',
  async (kind, method, member, definition) => {
    const { gateway, ups } = await several([{}, {}]);
    const [merged, own, other] = [
      await informed(gateway.url),
      await informed(gateway.server('a')),
      await informed(gateway.server('b')),
    ];
    const streams = [await merged.listen(), await own.listen(), await other.listen()] as const;
    const before = (await merged.list(method, member)).length;
    const [up] = ups as [ListsUpstream];
    up.lists[member === 'resourceTemplates' ? 'templates' : member] = [
      ...(member === 'tools' ? [tool('echo')] : []),
      definition,
    ];
    // Several at once are read once.
    for (let i = 0; i < 5; i++) up.announce(`${kind}/list_changed`);
    const reads = up.upstream.received(method).length;
    await heard(streams[0], `notifications/${kind}/list_changed`);
    expect(await merged.list(method, member)).toHaveLength(before + 1);
    await heard(streams[1], `notifications/${kind}/list_changed`);
    expect(up.upstream.received(method).length).toBe(reads + 1);
    expect(streams[2].events).toEqual([]);
    for (const stream of streams.slice(0, 2))
      expect(messagesOf(stream).map((each) => each.method)).toEqual([`notifications/${kind}/list_changed`]);
  },
);

test('list_changed of an upstream whose lists are the same is told to nobody', async () => {
  const { gateway, ups } = await several([{}]);
  const client = await informed(gateway.url);
  const stream = await client.listen();
  const { upstream } = (ups as [ListsUpstream])[0];
  const reads = upstream.received('tools/list').length;
  upstream.announce({ method: 'notifications/tools/list_changed' });
  await until(() => upstream.received('tools/list').length > reads, 'the list read again');
  // Whatever that told comes before what is told later.
  const [up] = ups as [ListsUpstream];
  up.lists.prompts = [prompt('new')];
  up.announce('prompts/list_changed');
  await heard(stream, 'notifications/prompts/list_changed');
  expect(messagesOf(stream).map(({ method }) => method)).toEqual(['notifications/prompts/list_changed']);
});

test('subscriptions are counted: the first one goes upstream, the last one out unsubscribes, updates reach subscribers alone', async () => {
  const { gateway, ups } = await several([{ lists: { resources: [resource('a://1'), resource('a://2')] } }]);
  const [up] = ups as [ListsUpstream];
  const clients = await Promise.all(many(3, () => connect(gateway.url)));
  const [one, two, three] = clients as [LegacyClient, LegacyClient, LegacyClient];
  const streams = await Promise.all(clients.map((client) => client.listen()));
  for (const client of [one, one, two])
    expect((await client.request('resources/subscribe', { uri: 'a://1' })).result).toEqual({});
  await three.request('resources/subscribe', { uri: 'a://2' });
  expect(up.upstream.received('resources/subscribe').map(({ message }) => message.params?.['uri'])).toEqual([
    'a://1',
    'a://2',
  ]);
  const updated = 'notifications/resources/updated';
  up.announce('resources/updated', { uri: 'a://1', 'x-own': 1 });
  up.announce('resources/updated', { uri: 'a://2' });
  const expected = ['a://1', 'a://1', 'a://2'];
  for (const [i, stream] of streams.entries()) {
    const found = await heard(stream, updated);
    expect(found.map(({ params }) => params?.['uri'])).toEqual([expected[i]]);
  }
  expect((await heard(streams[0] as never, updated))[0]?.params).toEqual({ uri: 'a://1', 'x-own': 1 });
  await one.request('resources/unsubscribe', { uri: 'a://1' });
  expect(up.upstream.received('resources/unsubscribe')).toEqual([]);
  up.announce('resources/updated', { uri: 'a://1' });
  await heard(streams[1] as never, updated, 2);
  expect(messagesOf(streams[0] as never).filter(({ method }) => method === updated)).toHaveLength(1);
  await two.request('resources/unsubscribe', { uri: 'a://1' });
  expect([...up.subscribed]).toEqual(['a://2']);
  await three.end();
  await until(() => up.subscribed.size === 0, 'the end of the session to unsubscribe');
});

test('an update below a subscribed URI reaches its subscribers, one beside it nobody', async () => {
  const { gateway, ups } = await several([{ lists: { resources: [resource('file:///d')] } }]);
  const [up] = ups as [ListsUpstream];
  const client = await connect(gateway.url);
  const stream = await client.listen();
  await client.request('resources/subscribe', { uri: 'file:///d' });
  for (const uri of ['file:///data', 'file:///', 'file:///d/x']) up.announce('resources/updated', { uri });
  const found = await heard(stream, 'notifications/resources/updated');
  expect(found.map(({ params }) => params?.['uri'])).toEqual(['file:///d/x']);
});

test('updates of a resource that is listed in the qualified form come in that form', async () => {
  const lists = { resources: [resource('same://1')] };
  const { gateway, ups } = await several([{ lists: { ...lists } }, { lists: { ...lists } }]);
  const client = await connect(gateway.url);
  const stream = await client.listen();
  await client.request('resources/subscribe', { uri: 'mcpstead:b:same://1' });
  expect([...(ups[1] as ListsUpstream).subscribed]).toEqual(['same://1']);
  (ups[0] as ListsUpstream).announce('resources/updated', { uri: 'same://1' });
  (ups[1] as ListsUpstream).announce('resources/updated', { uri: 'same://1' });
  const found = await heard(stream, 'notifications/resources/updated');
  expect(found.map(({ params }) => params?.['uri'])).toEqual(['mcpstead:b:same://1']);
});

test('a subscription to what nobody has is refused, and one that the upstream refuses is not kept', async () => {
  const { gateway, ups } = await several([
    {
      lists: { resources: [resource('a://no')] },
      onRequest: (call) => {
        if (call.message.method !== 'resources/subscribe') return undefined;
        call.error(-32000, 'not this one');
        return true;
      },
    },
  ]);
  const client = await connect(gateway.url);
  expect((await client.request('resources/subscribe', { uri: 'nobody://1' })).error?.code).toBe(-32002);
  for (let i = 0; i < 2; i++)
    expect((await client.request('resources/subscribe', { uri: 'a://no' })).error?.message).toBe(
      'not this one',
    );
  expect(ups[0]?.upstream.received('resources/subscribe')).toHaveLength(2);
  const alone = { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri: 'a://no' } };
  expect((await post(gateway.url, alone)).json().error?.message).toMatch(/needs a session/);
});

test.each(['restarted', 'forgets its session'])(
  'subscriptions and the log level are renewed when the upstream %s',
  async (what) => {
    const { gateway, ups } = await several([{ sessions: true, lists: { resources: [resource('a://1')] } }]);
    const [up] = ups as [ListsUpstream];
    const client = await connect(gateway.url);
    const stream = await client.listen();
    await client.request('resources/subscribe', { uri: 'a://1' });
    await client.request('logging/setLevel', { level: 'debug' });
    await until(() => up.level === 'debug', 'the level');
    if (what === 'restarted') {
      await up.upstream.stop();
      await until(async () => !(await gateway.health()).servers[0]?.connected, 'the loss to be noticed');
      up.subscribed.clear();
      await up.upstream.start();
    } else {
      up.upstream.dropSessions();
      for (const each of up.upstream.streams) each.destroy();
      expect(await client.tool('a__echo', { n: 1 })).toBe('{"n":1}');
    }
    await until(() => up.subscribed.has('a://1') && up.level === 'debug', 'both again');
    await until(() => up.upstream.streams.size === 1, 'the GET stream');
    up.announce('resources/updated', { uri: 'a://1' });
    await heard(stream, 'notifications/resources/updated');
  },
);

test('a session that is lost again while subscriptions are renewed leaves no call waiting', async () => {
  let renewals = 0;
  const { gateway, ups } = await several([
    {
      sessions: true,
      lists: { resources: [resource('a://1')] },
      onRequest: (call) => {
        if (call.message.method !== 'resources/subscribe' || ++renewals !== 2) return undefined;
        call.upstream.dropSessions();
        call.raw(call.envelope('error', '{"code":-32001,"message":"Session not found"}'), 404);
        return true;
      },
    },
  ]);
  const [up] = ups as [ListsUpstream];
  const client = await connect(gateway.url);
  await client.request('resources/subscribe', { uri: 'a://1' });
  up.upstream.dropSessions();
  // Lost twice under one call: that one may fail, but not wait.
  await client.request('tools/call', { name: 'a__echo', arguments: {} });
  expect(await client.tool('a__echo', { n: 2 })).toBe('{"n":2}');
  await until(() => up.subscribed.has('a://1'), 'the subscription');
});

test('the upstream sends what the most verbose session wants, each session gets what it asked for', async () => {
  const { gateway, ups } = await several([
    {
      onCall: (call) => {
        for (const level of ['debug', 'warning', 'odd']) call.log(level, level);
        call.text('done');
      },
    },
  ]);
  const [up] = ups as [ListsUpstream];
  const [quiet, verbose, plain] = [
    await connect(gateway.url),
    await connect(gateway.url),
    await connect(gateway.url),
  ];
  await quiet.request('logging/setLevel', { level: 'warning' });
  await until(() => up.level === 'warning');
  await verbose.request('logging/setLevel', { level: 'debug' });
  await until(() => up.level === 'debug');
  await quiet.request('logging/setLevel', { level: 'error' });
  const levels = async (client: LegacyClient): Promise<unknown[]> => {
    const stream = await client.stream('a__echo');
    await stream.done();
    return messagesOf(stream)
      .filter(({ method }) => method === 'notifications/message')
      .map(({ params }) => params?.['level']);
  };
  // A level that is none is not for the gateway to judge.
  expect(await levels(quiet)).toEqual(['odd']);
  expect(await levels(verbose)).toEqual(['debug', 'warning', 'odd']);
  expect(await levels(plain)).toEqual(['debug', 'warning', 'odd']);
  expect(up.level).toBe('debug');
  await verbose.end();
  await until(() => up.level === 'error', 'the level of who is left');
  for (const level of ['loud', 7, undefined])
    expect((await quiet.request('logging/setLevel', { level })).error?.code).toBe(-32602);
});

test('log messages on a shared channel go to the sole call in flight, else to nobody', async () => {
  const held: (() => void)[] = [];
  const { gateway, ups } = await several([{ onCall: (call) => void held.push(() => call.text('done')) }]);
  const [up] = ups as [ListsUpstream];
  const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
  const listening = [await client.listen(), await other.listen()];
  up.announce('message', { level: 'info', data: 'to nobody' });
  const opening = client.stream('a__echo');
  await until(() => held.length === 1, 'the call');
  up.announce('message', { level: 'info', data: 'to the caller' });
  const stream = await opening;
  expect((await stream.message()).params?.['data']).toBe('to the caller');
  held[0]?.();
  expect(textOf(await stream.message())).toBe('done');
  for (const each of listening) expect(each.text).not.toContain('notifications/message');
});
