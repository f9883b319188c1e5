/** What upstreams ask clients: elicitation, sampling, roots; whose question it is, and whose answer. */
import { expect, test } from 'vitest';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { textOf, type JsonRpc, type SseStream } from '../helpers/http.js';
import { connect, final, heard, LegacyClient } from '../helpers/legacy.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';
import {
  createUpstream,
  tool,
  type Call,
  type Message,
  type Upstream,
  type UpstreamOptions,
} from '../fixtures/servers/http-upstream.js';

const FORM = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } };
const SAMPLING = { messages: [], maxTokens: 10, includeContext: 'allServers' };
const YES = { action: 'accept', content: { ok: true } };

/** `ask` asks what its arguments say on its own stream and answers with the answer; `hold` waits for `release`. */
async function asking(
  more: UpstreamOptions = {},
  server: object = {},
): Promise<{ gateway: RunningGateway; upstream: Upstream; held: Call[] }> {
  const held: Call[] = [];
  const upstream = await createUpstream({
    tools: [tool('ask'), tool('hold')],
    onCall: async (call) => {
      if (call.params.name !== 'ask') {
        held.push(call);
        return;
      }
      const { method, params } = call.args as { method: string; params: object };
      // A test that has ended answers no more.
      const answer = await call.ask(method, params).catch(() => undefined);
      if (answer) call.text(JSON.stringify({ result: answer.result, error: answer.error }));
    },
    ...more,
  });
  const gateway = await startGateway({ servers: [upstream.entry('up', server)] });
  if (more.getStream) await until(() => upstream.streams.size === 1, "the upstream's GET stream");
  return { gateway, upstream, held };
}

const ask = (client: LegacyClient, method: string, params: object = FORM): Promise<SseStream> =>
  client.stream(client.url.endsWith('/servers/up/mcp') ? 'ask' : 'up__ask', { method, params });

/** What the upstream was answered, as its call tells. */
const answerOf = async (stream: SseStream): Promise<{ result?: unknown; error?: { code: number } }> =>
  JSON.parse(textOf(await final(stream))) as { result?: unknown; error?: { code: number } };

/** Asks on the GET stream of the upstream; gives what answers. */
async function announce(upstream: Upstream, method: string, params: object = {}): Promise<Message> {
  const id = `shared-${++upstream.asked}`;
  upstream.announce({ id, method, params });
  return until(
    () => upstream.requests.find(({ message }) => message.id === id && message.method === undefined)?.message,
    `an answer to ${method}`,
  );
}

test.each([
  ['elicitation/create', FORM, YES],
  [
    'sampling/createMessage',
    SAMPLING,
    { role: 'assistant', model: 'm', content: { type: 'text', text: 'hi' } },
  ],
  ['roots/list', {}, { roots: [{ uri: 'file:///home', name: 'home' }] }],
])(
  '%s goes to the client on the stream of its call, and the answer goes back as it is',
  async (method, params, result) => {
    const { gateway } = await asking();
    const client = await connect(gateway.url);
    const stream = await ask(client, method, params);
    const question = await stream.message();
    expect(question.method).toBe(method);
    expect((await client.say({ id: question.id, result })).status).toBe(202);
    expect(await answerOf(stream)).toEqual({ result });
  },
);

test('an error of the client goes back as an error, with its data', async () => {
  const { gateway } = await asking();
  const client = await connect(gateway.url);
  const stream = await ask(client, 'sampling/createMessage', SAMPLING);
  const { id } = await stream.message();
  const error = { code: -1, message: 'User rejected sampling request', data: { n: 1 } };
  await client.say({ id, error });
  expect(await answerOf(stream)).toEqual({ error });
});

test('on the merged endpoint a question shows who asks and asks for no context of others; on its own endpoint it is untouched', async () => {
  const { gateway } = await asking();
  const merged = await connect(gateway.url);
  expect((await (await ask(merged, 'elicitation/create')).message()).params).toEqual({
    ...FORM,
    message: '[up] Sure?',
  });
  expect((await (await ask(merged, 'sampling/createMessage', SAMPLING)).message()).params).toEqual({
    ...SAMPLING,
    includeContext: 'none',
  });
  const single = await connect(gateway.server('up'));
  expect((await (await ask(single, 'elicitation/create')).message()).params).toEqual(FORM);
  expect((await (await ask(single, 'sampling/createMessage', SAMPLING)).message()).params).toEqual(SAMPLING);
});

test('ids and progress tokens of questions are the own ones of the session, and progress of the client goes back under the token of the upstream', async () => {
  const { gateway, upstream } = await asking();
  const client = await connect(gateway.url);
  const params = { ...FORM, _meta: { progressToken: 'theirs', other: 1 } };
  const first = await ask(client, 'elicitation/create', params);
  const second = await ask(client, 'elicitation/create', params);
  const questions = [await first.message(), await second.message()];
  expect(new Set(questions.map(({ id }) => id)).size).toBe(2);
  const [question] = questions as [JsonRpc, JsonRpc];
  const meta = question.params?.['_meta'] as { progressToken: unknown; other: unknown };
  expect(meta.other).toBe(1);
  expect(meta.progressToken).not.toBe('theirs');
  await client.say({
    method: 'notifications/progress',
    params: { progressToken: meta.progressToken, progress: 1 },
  });
  const [heard] = await until(() => {
    const found = upstream.received('notifications/progress');
    return found.length > 0 && found;
  }, 'the progress');
  expect(heard?.message.params).toEqual({ progressToken: 'theirs', progress: 1 });
  for (const { id } of questions) await client.say({ id, result: YES });
  expect(await answerOf(first)).toEqual({ result: YES });
  expect(await answerOf(second)).toEqual({ result: YES });
});

test.each([
  ['roots/list', {}, {}, -32601],
  ['sampling/createMessage', SAMPLING, {}, -32603],
  ['elicitation/create', FORM, {}, -32603],
  ['elicitation/create', { ...FORM, mode: 'url', url: 'https://x.test' }, { elicitation: {} }, -32602],
  ['elicitation/create', FORM, { elicitation: { url: {} } }, -32602],
])('%s %j to a client with %j is refused at once with %i', async (method, params, capabilities, code) => {
  const { gateway } = await asking();
  const client = await connect(gateway.url, { capabilities });
  const stream = await ask(client, method, params);
  expect((await answerOf(stream)).error?.code).toBe(code);
});

test('`elicitation: {}` of a client stands for forms', async () => {
  const { gateway } = await asking();
  const client = await connect(gateway.url, {
    capabilities: { elicitation: {} },
    protocolVersion: '2025-06-18',
  });
  const stream = await ask(client, 'elicitation/create');
  await client.say({ id: (await stream.message()).id, result: YES });
  expect(await answerOf(stream)).toEqual({ result: YES });
});

test('a call without a session cannot be asked: the upstream hears so at once', async () => {
  const { gateway } = await asking();
  const client = await connect(gateway.url);
  const { 'mcp-session-id': _none, ...headers } = client.headers;
  const nobody = new LegacyClient(client.url, headers, {});
  expect((await answerOf(await ask(nobody, 'elicitation/create'))).error?.code).toBe(-32603);
});

test.each(['its connection', 'its session'])(
  'a client that ends %s while it is asked: the upstream gets an error at once',
  async (what) => {
    const { gateway, upstream } = await asking();
    const client = await connect(gateway.url, {
      protocolVersion: what === 'its session' ? '2025-11-25' : '2024-11-05',
    });
    const stream = await ask(client, 'elicitation/create');
    await stream.message();
    if (what === 'its session') await client.end();
    else stream.close();
    const answer = await until(
      () => upstream.requests.find(({ message }) => message.id === 'ask-1' && message.error)?.message,
      'the error',
    );
    expect(answer.error).toMatchObject({ code: -32603 });
    await until(() => upstream.received('notifications/cancelled').length === 1, 'the cancel');
  },
);

test('a client that gives no answer within input_ms: the upstream gets an error, the client is told, a late answer is taken and dropped', async () => {
  const { gateway, upstream } = await asking({}, { timeouts: { input_ms: 200 } });
  const client = await connect(gateway.url);
  const stream = await ask(client, 'elicitation/create');
  const { id } = await stream.message();
  const cancelled = await stream.message();
  expect(cancelled).toMatchObject({ method: 'notifications/cancelled', params: { requestId: id } });
  expect((await answerOf(stream)).error).toMatchObject({ code: -32603, message: /200 ms/ });
  const before = upstream.requests.length;
  expect((await client.say({ id, result: YES })).status).toBe(202);
  await client.request('ping');
  expect(upstream.requests.length).toBe(before);
});

test('the silence clock of a call stands still while its client is asked, and runs again after the answer', async () => {
  const { gateway } = await asking(
    {
      tools: [tool('ask'), tool('silent')],
      onCall: async (call) => {
        if (call.params.name === 'silent') return;
        await call.ask('elicitation/create', FORM);
        if (call.args['end'] === true) call.text('done');
      },
    },
    { timeouts: { request_ms: 600 } },
  );
  const client = await connect(gateway.url);
  const bystander = await connect(gateway.url);
  for (const end of [true, false]) {
    const stream = await client.stream('up__ask', { end });
    const { id } = await stream.message();
    // A silence that began later ends by request_ms; that of the call does not.
    expect((await bystander.request('tools/call', { name: 'up__silent' })).error?.message).toMatch(
      /request_ms/,
    );
    expect(stream.events).toHaveLength(1);
    expect(stream.ended).toBe(false);
    await client.say({ id, result: YES });
    const answer = await stream.message();
    if (end) expect(textOf(answer)).toBe('done');
    else expect(answer.error?.message).toMatch(/request_ms/);
  }
});

test('a question that the upstream takes back is withdrawn under the id its client knows', async () => {
  const { gateway } = await asking({
    onCall: async (call) => {
      call.event(JSON.stringify({ jsonrpc: '2.0', id: 'mine', method: 'elicitation/create', params: FORM }));
      await until(() => call.upstream.received('tools/call').length === 1);
      call.notify('notifications/cancelled', { requestId: 'mine' });
      call.text('changed my mind');
    },
  });
  const client = await connect(gateway.url);
  const stream = await client.stream('up__ask');
  const { id } = await stream.message();
  expect(await stream.message()).toMatchObject({
    method: 'notifications/cancelled',
    params: { requestId: id },
  });
  expect(textOf(await stream.message())).toBe('changed my mind');
  expect((await client.say({ id, result: YES })).status).toBe(202);
});

test('a question still open when its call ends is withdrawn before the answer', async () => {
  const { gateway, upstream } = await asking({
    onCall: (call) => {
      call.event(JSON.stringify({ jsonrpc: '2.0', id: 'open', method: 'elicitation/create', params: FORM }));
      call.text('over');
    },
  });
  const client = await connect(gateway.url);
  const stream = await client.stream('up__ask');
  const { id } = await stream.message();
  expect(await stream.message()).toMatchObject({
    method: 'notifications/cancelled',
    params: { requestId: id },
  });
  expect(textOf(await stream.message())).toBe('over');
  await until(
    () => upstream.requests.some(({ message }) => message.id === 'open' && message.error),
    'the error',
  );
});

test('forged and foreign answers are 400 and reach nobody, a second answer is taken and dropped', async () => {
  const { gateway, upstream } = await asking();
  const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
  const stream = await ask(client, 'elicitation/create');
  const { id } = await stream.message();
  for (const [who, forged] of [
    [other, id],
    [client, 987_654],
    [client, String(id)],
    [client, 'ask-1'],
    [client, -1],
    [client, 1.5],
  ] as const) {
    const answer = await who.say({ id: forged, result: { action: 'decline' } });
    expect([answer.status, answer.json().error?.code]).toEqual([400, -32600]);
  }
  expect(upstream.requests.some(({ message }) => message.id === 'ask-1')).toBe(false);
  expect((await client.say({ id, result: YES })).status).toBe(202);
  expect((await client.say({ id, result: { action: 'decline' } })).status).toBe(202);
  expect(await answerOf(stream)).toEqual({ result: YES });
  expect(upstream.requests.filter(({ message }) => message.id === 'ask-1')).toHaveLength(1);
  // Neither session has ended over it.
  expect((await client.request('ping')).result).toEqual({});
  expect((await other.request('ping')).result).toEqual({});
});

test('six clients asked at the same time on one shared upstream each see only their own question, and each answer goes home', async () => {
  const { gateway, upstream } = await asking();
  const clients = await Promise.all(Array.from({ length: 6 }, () => connect(gateway.url)));
  const streams = await Promise.all(
    clients.map((client, i) => ask(client, 'elicitation/create', { ...FORM, message: `for ${i}` })),
  );
  await until(() => upstream.asked === 6, 'six questions');
  const ids = await Promise.all(
    streams.map(async (stream, i) => {
      const question = await stream.message();
      expect(question.params?.['message']).toBe(`[up] for ${i}`);
      return question.id;
    }),
  );
  await Promise.all(
    clients.map((client, i) => client.say({ id: ids[i], result: { action: 'accept', content: { i } } })),
  );
  await Promise.all(
    streams.map(async (stream, i) => {
      expect(await answerOf(stream)).toEqual({ result: { action: 'accept', content: { i } } });
      await stream.done();
      expect(stream.events).toHaveLength(2);
    }),
  );
});

test("a question on the upstream's GET stream belongs to the sole call in flight", async () => {
  const { gateway, upstream, held } = await asking({ getStream: true });
  const client = await connect(gateway.url);
  const opening = client.stream('up__hold');
  await until(() => held.length === 1, 'the call');
  const asked = announce(upstream, 'elicitation/create', FORM);
  const stream = await opening;
  const { id, params } = await stream.message();
  expect(params?.['message']).toBe('[up] Sure?');
  await client.say({ id, result: YES });
  expect((await asked).result).toEqual(YES);
  held[0]?.text('done');
  expect(textOf(await stream.message())).toBe('done');
});

test.each([
  ['roots/list', -32601],
  ['sampling/createMessage', -32603],
])(
  '%s on a shared channel is refused with %i while there is no call in flight, or more than one',
  async (method, code) => {
    const { gateway, upstream, held } = await asking({ getStream: true });
    expect((await announce(upstream, method)).error?.code).toBe(code);
    const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
    const streams = [a.stream('up__hold'), b.stream('up__hold')];
    await until(() => held.length === 2, 'both calls');
    expect((await announce(upstream, method)).error?.code).toBe(code);
    for (const call of held) call.text('done');
    for (const stream of streams) expect((await stream).events.length).toBeLessThanOrEqual(1);
  },
);

test('a question on a shared channel is refused while another client had a call there a moment ago', async () => {
  const { gateway, upstream, held } = await asking({ getStream: true });
  const [a, b] = [await connect(gateway.url), await connect(gateway.url)];
  const before = a.tool('up__hold');
  (await until(() => held.shift(), 'the first call')).text('done');
  await before;
  const after = b.tool('up__hold');
  const call = await until(() => held.shift(), 'the second call');
  // It may be meant for the client before.
  expect((await announce(upstream, 'elicitation/create', FORM)).error?.code).toBe(-32603);
  call.text('done');
  expect(await after).toBe('done');
});

test('a question on a shared channel is asked of a client with several calls in flight, on its newest', async () => {
  const { gateway, upstream, held } = await asking({ getStream: true });
  const client = await connect(gateway.url);
  const older = client.stream('up__hold');
  await until(() => held.length === 1, 'the first call');
  const newer = client.stream('up__hold');
  await until(() => held.length === 2, 'the second call');
  const asked = announce(upstream, 'elicitation/create', FORM);
  const stream = await newer;
  const { id } = await stream.message();
  await client.say({ id, result: YES });
  expect((await asked).result).toEqual(YES);
  for (const call of held.splice(0)) call.text('done');
  expect(textOf(await stream.message())).toBe('done');
  expect(textOf(await final(await older))).toBe('done');
  // Another client that calls too: nobody is asked, and the server is told why.
  const another = await connect(gateway.url);
  const both = [client.stream('up__hold'), another.stream('up__hold')];
  await until(() => held.length === 2, 'a call of each');
  expect((await announce(upstream, 'elicitation/create', FORM)).error?.message).toContain(
    'set session: per-client',
  );
  for (const call of held.splice(0)) call.text('done');
  await Promise.all(both);
});

test('over stdio, one channel for all, the sole caller is asked; of two at once neither', async () => {
  const gateway = await startGateway({ servers: [scriptedStdio('up')] });
  const client = await connect(gateway.url);
  const stream = await client.stream('up__ask');
  const { id } = await stream.message();
  await client.say({ id, result: YES });
  expect(JSON.parse(textOf(await stream.message()))).toMatchObject({ result: YES });
  const other = await connect(gateway.url);
  const hanging = await other.stream(
    'up__progress',
    { steps: 1000, ms: 5 },
    { meta: { progressToken: 'p' } },
  );
  await hanging.message();
  expect(JSON.parse(await client.tool('up__ask'))).toMatchObject({ error: { code: -32603 } });
});

test('`roots` of a shared server are the answer of the gateway itself, whoever calls', async () => {
  const { gateway, upstream } = await asking({ getStream: true }, { roots: ['file:///srv'] });
  expect(upstream.received('initialize')[0]?.message.params?.['capabilities']).toHaveProperty('roots');
  expect((await announce(upstream, 'roots/list')).result).toEqual({ roots: [{ uri: 'file:///srv' }] });
  const client = await connect(gateway.url, { capabilities: {} });
  expect(await answerOf(await ask(client, 'roots/list', {}))).toEqual({
    result: { roots: [{ uri: 'file:///srv' }] },
  });
});

test('a shared upstream is told of elicitation and sampling, never of roots or tasks of clients', async () => {
  const { upstream } = await asking();
  expect(upstream.received('initialize')[0]?.message.params?.['capabilities']).toEqual({
    elicitation: { form: {}, url: {} },
    sampling: { tools: {}, context: {} },
    extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
  });
});

test('the completion of a url elicitation reaches the session that was asked, and no other', async () => {
  const { gateway, upstream } = await asking({ getStream: true });
  const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
  const [mine, theirs] = [await client.listen(), await other.listen()];
  const params = { mode: 'url', message: 'Go', url: 'https://x.test', elicitationId: 'e-1' };
  const stream = await ask(client, 'elicitation/create', params);
  const question = await stream.message();
  expect(question.params).toEqual({ ...params, message: '[up] Go' });
  await client.say({ id: question.id, result: { action: 'accept' } });
  expect(await answerOf(stream)).toEqual({ result: { action: 'accept' } });
  upstream.announce({ method: 'notifications/elicitation/complete', params: { elicitationId: 'unknown' } });
  upstream.announce({ method: 'notifications/elicitation/complete', params: { elicitationId: 'e-1' } });
  const method = 'notifications/elicitation/complete';
  expect(await heard(mine, method)).toEqual([{ jsonrpc: '2.0', method, params: { elicitationId: 'e-1' } }]);
  expect(theirs.text).not.toContain(method);
});

test('the completion of an elicitation that an error asked for reaches its session as well', async () => {
  const elicitations = [{ mode: 'url', message: 'Go', url: 'https://x.test', elicitationId: 'e-2' }];
  const { gateway, upstream } = await asking({
    getStream: true,
    onCall: (call) => call.error(-32042, 'URL elicitation required', { elicitations }),
  });
  const client = await connect(gateway.url);
  const stream = await client.listen();
  const answer = await client.request('tools/call', { name: 'up__ask', arguments: {} });
  expect(answer.error).toEqual({ code: -32042, message: 'URL elicitation required', data: { elicitations } });
  upstream.announce({ method: 'notifications/elicitation/complete', params: { elicitationId: 'e-2' } });
  const [complete] = await heard(stream, 'notifications/elicitation/complete');
  expect(complete?.params).toEqual({ elicitationId: 'e-2' });
});

test('a question about a task whose result nobody waits for is not put to whoever happens to call', async () => {
  const { gateway, upstream, held } = await asking({ getStream: true });
  const client = await connect(gateway.url);
  const opening = client.tool('up__hold');
  const call = await until(() => held[0], 'the call');
  const _meta = { 'io.modelcontextprotocol/related-task': { taskId: 'of-somebody-else' } };
  expect((await announce(upstream, 'elicitation/create', { ...FORM, _meta })).error?.code).toBe(-32603);
  call.text('done');
  expect(await opening).toBe('done');
});

test('a ping of an upstream is answered by the gateway on every channel, never relayed', async () => {
  const { gateway, upstream } = await asking({ getStream: true });
  expect((await announce(upstream, 'ping')).result).toEqual({});
  const client = await connect(gateway.url);
  expect(JSON.parse(await client.tool('up__ask', { method: 'ping', params: {} }))).toEqual({ result: {} });
});

test('who takes only JSON cannot be asked', async () => {
  const { gateway } = await asking();
  const client = await connect(gateway.url);
  Object.assign(client.headers, { accept: 'application/json' });
  const text = await client.tool('up__ask', { method: 'elicitation/create', params: FORM });
  expect(JSON.parse(text)).toMatchObject({ error: { code: -32603 } });
});
