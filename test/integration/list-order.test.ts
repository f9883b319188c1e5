/** Servers that list the same definitions in changing order: clients hear of one change, and then of no more. */
import { expect, test } from 'vitest';
import { createLists, EVERYTHING, type Listed } from '../fixtures/servers/lists.js';
import { tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { connect, heard, messagesOf, type LegacyClient } from '../helpers/legacy.js';
import { createModernUpstream } from './upstream/modern-server.js';
import { answerTo } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

const quick = { reconnect: { backoff_base_ms: 20, backoff_max_ms: 20 } };
const prompt = (name: string): object => ({ name });
const resource = (uri: string): object => ({ uri, name: uri });

/** Puts the first entry of each list last: another order with each reading. */
function rotate(lists: Listed): void {
  for (const kind of ['tools', 'prompts', 'resources', 'templates'] as const) {
    const [first, ...rest] = lists[kind] ?? [];
    if (first) lists[kind] = [...rest, first];
  }
}

const names = async (client: LegacyClient): Promise<unknown[]> =>
  (await client.list('tools/list', 'tools')).map(({ name }) => name);

test('a server that shuffles causes one list_changed of each kind, and its lists are sorted from then on', async () => {
  const lists: Listed = {
    tools: ['c', 'b', 'a'].map((name) => tool(name)),
    prompts: ['y', 'x'].map(prompt),
    resources: ['b://1', 'a://1'].map(resource),
  };
  // Two on a page: the pages change as well.
  const server = await createLists('s', { lists, page: 2, capabilities: EVERYTHING });
  const { upstream } = server;
  const gateway = await startGateway({ servers: [upstream.entry('s', quick)] });
  await until(() => upstream.streams.size === 1, 'the GET stream');
  const client = await connect(gateway.url);
  expect(await names(client)).toEqual(['s__c', 's__b', 's__a']);
  for (const method of ['prompts/list', 'resources/list']) await client.request(method);
  const stream = await client.listen();

  for (let i = 0; i < 6; i++) {
    rotate(lists);
    const reads = upstream.received('resources/templates/list').length;
    server.announce('tools/list_changed');
    // The templates are read last.
    await until(() => upstream.received('resources/templates/list').length > reads, 'the lists read again');
    // A client that holds the new list already is not told.
    if (i === 0) await heard(stream, 'notifications/resources/list_changed');
  }
  expect(await names(client)).toEqual(['s__a', 's__b', 's__c']);
  const prompts = await client.list('prompts/list', 'prompts');
  expect(prompts.map(({ name }) => name)).toEqual(['s__x', 's__y']);
  const resources = await client.list('resources/list', 'resources');
  expect(resources.map(({ uri }) => uri)).toEqual(['a://1', 'b://1']);

  // The last reading changes a list in truth: what the others told comes before it.
  lists.tools?.push(tool('0'));
  server.announce('tools/list_changed');
  await heard(stream, 'notifications/tools/list_changed', 2);
  expect(await names(client)).toEqual(['s__0', 's__a', 's__b', 's__c']);
  const told = messagesOf(stream).map(({ method }) => method);
  expect(told.filter((method) => method === 'notifications/tools/list_changed')).toHaveLength(2);
  expect(told.filter((method) => method === 'notifications/prompts/list_changed')).toHaveLength(1);
  expect(told.filter((method) => method === 'notifications/resources/list_changed')).toHaveLength(1);
});

test('what is known of the order outlasts a connection', async () => {
  const lists: Listed = { tools: ['c', 'a', 'b'].map((name) => tool(name)) };
  const server = await createLists('s', { lists });
  const { upstream } = server;
  const gateway = await startGateway({ servers: [upstream.entry('s', quick)] });
  await until(() => upstream.streams.size === 1, 'the GET stream');
  const client = await connect(gateway.url);
  rotate(lists);
  server.announce('tools/list_changed');
  await until(async () => (await names(client)).join() === 's__a,s__b,s__c', 'the sorted list');
  const stream = await client.listen();
  for (let i = 0; i < 3; i++) {
    await upstream.stop();
    rotate(lists);
    await client.request('tools/call', { name: 's__a' });
    await until(async () => (await gateway.health()).servers[0]?.connected === false, 'the end of the link');
    await upstream.start();
    await gateway.up('s');
    expect(await names(client)).toEqual(['s__a', 's__b', 's__c']);
  }
  await until(() => upstream.streams.size === 1, 'the GET stream');
  lists.tools?.push(tool('d'));
  server.announce('tools/list_changed');
  await heard(stream, 'notifications/tools/list_changed');
  expect(messagesOf(stream).map(({ method }) => method)).toEqual(['notifications/tools/list_changed']);
});

test('a name that is listed twice in changing order has one definition', async () => {
  const lists: Listed = { tools: [tool('a', { title: '2' }), tool('b'), tool('a', { title: '1' })] };
  const server = await createLists('s', { lists });
  const { upstream } = server;
  const gateway = await startGateway({ servers: [upstream.entry('s', quick)] });
  await until(() => upstream.streams.size === 1, 'the GET stream');
  const client = await connect(gateway.url);
  const titles = async (): Promise<string> =>
    JSON.stringify((await client.list('tools/list', 'tools')).map(({ name, title }) => [name, title]));
  expect(await titles()).toBe('[["s__a","2"],["s__b",null]]');
  const stream = await client.listen();
  for (let i = 0; i < 4; i++) {
    lists.tools?.reverse();
    const reads = upstream.received('resources/templates/list').length;
    server.announce('tools/list_changed');
    await until(() => upstream.received('resources/templates/list').length > reads, 'the lists read again');
    if (i === 0) await heard(stream, 'notifications/tools/list_changed');
  }
  expect(await titles()).toBe('[["s__a","1"],["s__b",null]]');
  lists.tools?.push(tool('c'));
  server.announce('tools/list_changed');
  await heard(stream, 'notifications/tools/list_changed', 2);
  expect(messagesOf(stream)).toHaveLength(2);
});

test('the lists of a modern server for fewer capabilities have the same order', async () => {
  let turn = 0;
  const tools = ['c', 'a', 'b'].map((name) => tool(name));
  const hints = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' };
  const upstream = await createModernUpstream({
    onRequest: (call: Call) => {
      if (call.message.method !== 'tools/list') return false;
      const at = turn++ % tools.length;
      call.result({ tools: [...tools.slice(at), ...tools.slice(0, at)], ...hints });
      return true;
    },
  });
  const gateway: RunningGateway = await startGateway({ servers: [upstream.entry('s', quick)] });
  const listed = async (capabilities: object): Promise<string> => {
    const { result } = await answerTo(gateway.url, 'tools/list', {}, { capabilities });
    return (result?.['tools'] as { name: string }[]).map(({ name }) => name).join();
  };
  await until(() => upstream.listening.length === 1, 'the listen stream');
  const sorted = 's__a,s__b,s__c';
  for (let i = 0; i < 4; i++) {
    const before = turn;
    upstream.listening[0]?.tell('notifications/tools/list_changed');
    await until(() => turn > before, 'the list read again');
    for (const capabilities of [{}, { sampling: {} }, { elicitation: {} }])
      await until(async () => (await listed(capabilities)) === sorted, 'the sorted list');
  }
});
