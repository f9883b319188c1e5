/** `session: per-client`: an upstream session, or a child process, of its own for every client. */
import { realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { expect, test } from 'vitest';
import { tempDir } from '../helpers/cli.js';
import { startGateway } from '../helpers/gateway.js';
import { callTool, post, textOf } from '../helpers/http.js';
import { connect, heard, messagesOf } from '../helpers/legacy.js';
import { call, EVERYTHING, needs, only } from '../helpers/modern.js';
import { everythingStdio, filesystemStdio, scriptedStdio } from '../helpers/upstreams.js';
import { atEnd } from '../helpers/cleanup.js';
import { until } from '../helpers/wait.js';
import { createLists } from '../fixtures/servers/lists.js';
import { alive } from '../helpers/process.js';

const own = { session: 'per-client' as const };

test('every client session has an upstream session of its own, opened with exactly its capabilities and closed with it', async () => {
  const { upstream } = await createLists('up', { sessions: true });
  const gateway = await startGateway({ servers: [upstream.entry('up', own)] });
  const [registry] = upstream.received('initialize');
  expect(registry?.message.params?.['capabilities']).toEqual({});
  const [a, b] = [
    await connect(gateway.url, { capabilities: { roots: { listChanged: true }, 'x-own': 1 } }),
    await connect(gateway.url, { capabilities: { sampling: {} } }),
  ];
  for (const client of [a, b]) for (let i = 0; i < 2; i++) await client.tool('up__echo', {});
  expect(
    upstream
      .received('initialize')
      .slice(1)
      .map(({ message }) => message.params?.['capabilities']),
  ).toEqual([{ roots: { listChanged: true }, 'x-own': 1 }, { sampling: {} }]);
  const sessions = upstream.calls().map(({ headers }) => headers['mcp-session-id']);
  expect(new Set(sessions).size).toBe(2);
  await a.say({ method: 'notifications/roots/list_changed' });
  await until(() => upstream.received('notifications/roots/list_changed').length === 1, 'the notification');
  const [told] = upstream.received('notifications/roots/list_changed');
  expect(told?.headers['mcp-session-id']).toBe(sessions[0]);
  await a.end();
  await until(() => upstream.requests.some(({ method }) => method === 'DELETE'), 'the end of the session');
  const [ended] = upstream.requests.filter(({ method }) => method === 'DELETE');
  expect(ended?.headers['mcp-session-id']).toBe(sessions[0]);
  expect(await b.tool('up__echo', {})).toBe('{}');
});

test('a child process of its own for every client, on either endpoint, ended with its session', async () => {
  const gateway = await startGateway({ servers: [{ ...scriptedStdio('up'), ...own }] });
  const [a, b, c] = [
    await connect(gateway.url),
    await connect(gateway.url),
    await connect(gateway.server('up')),
  ];
  const pids = [await a.tool('up__pid'), await b.tool('up__pid'), await c.tool('pid')].map(Number);
  expect(new Set(pids).size).toBe(3);
  expect(Number(await a.tool('up__pid'))).toBe(pids[0]);
  await a.end();
  await until(() => !alive(pids[0] as number), 'the end of the child');
  expect(pids.slice(1).every(alive)).toBe(true);
  expect(Number(await b.tool('up__pid'))).toBe(pids[1]);
  gateway.gateway.destroy();
  await until(() => !pids.some(alive), 'the end of all children');
});

test('a call without a session goes over the link of the registry, which nobody can be asked on', async () => {
  const gateway = await startGateway({ servers: [{ ...scriptedStdio('up'), ...own }] });
  const text = JSON.stringify(await callTool(gateway.url, 'up__ask'));
  expect(text).toContain('-32603');
});

test('server-filesystem works in the roots of each client', async () => {
  const [base, dirA, dirB] = (await Promise.all(
    (await Promise.all([tempDir(), tempDir(), tempDir()])).map((path) => realpath(path)),
  )) as [string, string, string];
  await writeFile(join(dirA, 'note.txt'), 'of a');
  const gateway = await startGateway({ servers: [{ ...filesystemStdio(base), ...own }] });
  const clientWith = async (dir: string): Promise<Client> => {
    const client = new Client(
      { name: 'roots', version: '0' },
      { capabilities: { roots: { listChanged: true } } },
    );
    client.setRequestHandler(ListRootsRequestSchema, () => ({
      roots: [{ uri: pathToFileURL(dir).href, name: 'd' }],
    }));
    await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url)));
    atEnd(() => client.close());
    return client;
  };
  const [a, b] = [await clientWith(dirA), await clientWith(dirB)];
  const allowed = async (client: Client): Promise<string> =>
    JSON.stringify(await client.callTool({ name: 'files__list_allowed_directories', arguments: {} }));
  await until(async () => (await allowed(a)).includes(dirA), 'the roots of a');
  await until(async () => (await allowed(b)).includes(dirB), 'the roots of b');
  expect(await allowed(a)).not.toContain(dirB);
  expect(await allowed(b)).not.toContain(dirA);
  const path = join(dirA, 'note.txt');
  const readBy = (client: Client) => client.callTool({ name: 'files__read_text_file', arguments: { path } });
  expect(JSON.stringify(await readBy(a))).toContain('of a');
  expect((await readBy(b)).isError).toBe(true);
});

test('what the upstream says or asks outside of calls goes to the stream of its client, by its level, and the answer back', async () => {
  const { upstream } = await createLists('up', { sessions: true });
  const gateway = await startGateway({ servers: [upstream.entry('up', own)] });
  const client = await connect(gateway.url);
  const stream = await client.listen();
  await client.tool('up__echo');
  await client.request('logging/setLevel', { level: 'warning' });
  // The registry's own stream, and that of the client.
  await until(() => upstream.streams.size === 2, 'both streams');
  for (const level of ['info', 'error'])
    upstream.announce({ method: 'notifications/message', params: { level, data: level } });
  upstream.announce({
    id: 'q',
    method: 'elicitation/create',
    params: { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } },
  });
  const [question] = await heard(stream, 'elicitation/create');
  expect(question?.params?.['message']).toBe('[up] Sure?');
  await client.say({ id: question?.id, result: { action: 'cancel' } });
  const answers = await until(() => {
    const found = upstream.requests.filter(({ message }) => message.id === 'q');
    return found.length === 2 && found;
  }, 'both answers');
  // Nobody is behind the registry's own.
  expect(answers.filter(({ message }) => message.error)).toHaveLength(1);
  expect(answers.filter(({ message }) => message.result).map(({ message }) => message.result)).toEqual([
    { action: 'cancel' },
  ]);
  const logs = messagesOf(stream).filter(({ method }) => method === 'notifications/message');
  expect(logs.map(({ params }) => params?.['data'])).toEqual(['error']);
});

test('beyond limits.per_client a session is told that the server is busy; one that ends makes room', async () => {
  const gateway = await startGateway({
    servers: [{ ...scriptedStdio('up'), ...own }],
    limits: { per_client: 2 },
  });
  const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
  await a.tool('up__pid');
  await b.tool('up__pid');
  const third = await connect(gateway.url);
  const { error } = await third.request('tools/call', { name: 'up__pid', arguments: {} });
  expect(error).toMatchObject({
    code: -32000,
    message: expect.stringMatching(/busy.*limits\.per_client/) as string,
  });
  await a.end();
  const fourth = await connect(gateway.url);
  expect(Number(await fourth.tool('up__pid'))).toBeGreaterThan(0);
});

test('a reload that changes the server starts links of the sessions again; subscriptions and the level go with them', async () => {
  const { upstream, lists } = await createLists('up', { sessions: true });
  lists.resources = [{ uri: 'a://1', name: '1' }];
  const servers = [upstream.entry('up', own)];
  const gateway = await startGateway({ servers });
  const client = await connect(gateway.url);
  const stream = await client.listen();
  await client.tool('up__echo');
  await client.request('resources/subscribe', { uri: 'a://1' });
  await client.request('logging/setLevel', { level: 'error' });
  const [first] = upstream.received('resources/subscribe');
  const old = first?.headers['mcp-session-id'];
  await gateway.gateway.reload({ servers: [{ ...servers[0], headers: { 'x-new': '1' } }] });
  const again = await until(
    () => upstream.received('resources/subscribe').find(({ headers }) => headers['mcp-session-id'] !== old),
    'the subscription on the new link',
  );
  expect(again.headers['x-new']).toBe('1');
  await until(
    () =>
      upstream
        .received('logging/setLevel')
        .some(
          ({ headers, message }) =>
            headers['mcp-session-id'] === again.headers['mcp-session-id'] &&
            message.params?.['level'] === 'error',
        ),
    'the level on the new link',
  );
  expect(await client.tool('up__echo', { n: 2 })).toBe('{"n":2}');
  await until(() => upstream.streams.size >= 2, 'the streams of the new links');
  upstream.announce({ method: 'notifications/resources/updated', params: { uri: 'a://1' } });
  await heard(stream, 'notifications/resources/updated');
});

test('a reload that removes the server ends the links of the sessions', async () => {
  const gateway = await startGateway({
    servers: [{ ...scriptedStdio('up'), ...own }, scriptedStdio('other')],
  });
  const client = await connect(gateway.url);
  const pid = Number(await client.tool('up__pid'));
  await gateway.gateway.reload({ servers: [scriptedStdio('other')] });
  await until(() => !alive(pid), 'the end of the child');
  expect((await client.request('tools/call', { name: 'up__pid', arguments: {} })).error?.code).toBe(-32602);
  expect(Number(await client.tool('other__pid'))).toBeGreaterThan(0);
});

test('a child that dies is started again for its client alone', async () => {
  const gateway = await startGateway({
    servers: [{ ...scriptedStdio('up'), ...own, reconnect: { backoff_base_ms: 20 } }],
  });
  const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
  const before = [await a.tool('up__pid'), await b.tool('up__pid')];
  expect((await a.request('tools/call', { name: 'up__exit', arguments: {} })).error?.code).toBe(-32000);
  const after = await until(async () => {
    const { result } = await a.request('tools/call', { name: 'up__pid', arguments: {} });
    return (result?.['content'] as { text: string }[] | undefined)?.[0]?.text;
  }, 'a new child');
  expect(after).not.toBe(before[0]);
  expect(await b.tool('up__pid')).toBe(before[1]);
});

test('probing alone, an initialize that is never used, leaves nothing behind once its session is deleted', async () => {
  const gateway = await startGateway({
    servers: [{ ...scriptedStdio('up'), ...own }],
    limits: { per_client: 1 },
  });
  for (let i = 0; i < 3; i++) {
    const client = await connect(gateway.url);
    expect(Number(await client.tool('up__pid'))).toBeGreaterThan(0);
    expect((await client.end()).status).toBe(200);
    expect((await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'ping' }, client.headers)).status).toBe(
      404,
    );
  }
});

const bearer = { mcp: { auth: { mode: 'bearer' as const } } };
const environment = { env: { ...process.env, MCPSTEAD_BEARER_TOKEN: 'a-token-of-the-test' } };
const withToken = {
  capabilities: EVERYTHING,
  clientInfo: { name: 'c', version: '1' },
  headers: { authorization: 'Bearer a-token-of-the-test' },
};

test('a modern client is asked by its own child although an earlier call of it waits for an answer that does not come', async () => {
  const gateway = await startGateway({ servers: [{ ...everythingStdio(), ...own }], ...bearer }, environment);
  const asked = async (name: string, args: object = {}): Promise<string> =>
    only(needs(await call(gateway.server('everything'), name, args, withToken))).method;
  expect(await asked('trigger-sampling-request', { prompt: 'x' })).toBe('sampling/createMessage');
  expect(await asked('trigger-elicitation-request')).toBe('elicitation/create');
});

test('a question of one of two clients with the same token and program, who share a child, does not reach the other', async () => {
  const gateway = await startGateway(
    { servers: [{ ...scriptedStdio('up'), ...own }], ...bearer },
    environment,
  );
  const tool = (name: string): ReturnType<typeof call> => call(gateway.server('up'), name, {}, withToken);
  const first = tool('ask_late');
  await until(async () => textOf(await tool('received')).includes('ask_late'), 'the call of the first');
  expect(textOf(await tool('nudge'))).toBe('nudged');
  expect(textOf(await first)).toContain('"code":-32');
});
