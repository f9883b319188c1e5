/** The extension io.modelcontextprotocol/tasks of modern upstreams, for clients of both eras. */
import { describe, expect, test } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callTool, textOf, type JsonRpc, type SseStream } from '../helpers/http.js';
import { connect, final, heard, messagesOf } from '../helpers/legacy.js';
import { answerTo, ask, call, createModernUpstream, stream, type Modern } from '../helpers/modern.js';
import { sleep, timer, until } from '../helpers/wait.js';

const TASKS = 'io.modelcontextprotocol/tasks';
const META = 'io.modelcontextprotocol';
const able: Modern = { capabilities: { elicitation: {}, extensions: { [TASKS]: {} } } };
const DIGITS = '12345678901234567890.10';
const FORM = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } };

type State = Record<string, unknown>;

/** A server of the extension whose tasks stand as the test says. */
class TaskServer {
  upstream!: Upstream;
  readonly states = new Map<string, State | string>();
  /** What the next task is to begin with. */
  first: State = {};
  /** What refuses tasks/update, so often. */
  failUpdates = 0;
  private made = 0;

  /** What stands open of subscriptions/listen, with what was asked for. */
  readonly listening: {
    id: unknown;
    taskIds: readonly string[];
    tell: (state: State) => void;
    open: boolean;
  }[] = [];

  async start(): Promise<this> {
    this.upstream = await createModernUpstream({
      tools: [tool('work'), tool('other')],
      capabilities: { tools: { listChanged: true }, extensions: { [TASKS]: {} } },
      onRequest: (asked) => {
        const { params } = asked;
        const taskId = String(params['taskId']);
        const state = this.states.get(taskId);
        switch (asked.message.method) {
          case 'tools/call': {
            if (params.name !== 'work') return false;
            const id = `t${++this.made}`;
            const begun = { ...base(id), ...this.first };
            this.states.set(id, begun);
            asked.result({ resultType: 'task', ...begun });
            return true;
          }
          case 'tasks/get':
            if (state === undefined) asked.error(-32602, 'no such task');
            else if (typeof state === 'string') asked.result(state);
            else asked.result({ resultType: 'complete', ...state });
            return true;
          case 'tasks/update':
            if (this.failUpdates-- > 0) asked.res.destroy();
            else asked.result({ resultType: 'complete' });
            return true;
          case 'tasks/cancel':
            if (typeof state === 'object') this.set(taskId, { status: 'cancelled' });
            asked.result({ resultType: 'complete' });
            return true;
          case 'subscriptions/listen': {
            const { notifications } = params as { notifications: { taskIds?: string[] } };
            const taskIds = (notifications.taskIds ?? []).filter((id) => this.states.has(id));
            const _meta = { [`${META}/subscriptionId`]: asked.message.id };
            const entry = {
              id: asked.message.id,
              taskIds,
              open: true,
              tell: (about: State) => {
                asked.notify('notifications/tasks', { ...about, _meta });
              },
            };
            this.listening.push(entry);
            asked.res.on('close', () => (entry.open = false));
            asked.open();
            asked.notify('notifications/subscriptions/acknowledged', {
              _meta,
              notifications: { ...notifications, ...(notifications.taskIds ? { taskIds } : {}) },
            });
            return true;
          }
          default:
            return undefined;
        }
      },
    });
    return this;
  }

  /** As a process that was started again, whose ids begin at the first one. */
  startAnew(): void {
    this.made = 0;
    this.states.clear();
  }

  set(id: string, more: State): void {
    this.states.set(id, { ...base(id), ...more });
  }

  /** Tells of a task on the streams that asked for it. */
  tell(id: string): void {
    for (const { taskIds, tell, open } of this.listening)
      if (open && taskIds.includes(id)) tell(this.states.get(id) as State);
  }

  received(method: string): { taskId: unknown; name: unknown; params: Record<string, unknown> }[] {
    return this.upstream.received(method).map(({ message, headers }) => ({
      taskId: message.params?.['taskId'],
      name: headers['mcp-name'],
      params: message.params ?? {},
    }));
  }
}

const base = (taskId: string): State => ({
  taskId,
  status: 'working',
  createdAt: '2026-11-23T00:00:00Z',
  lastUpdatedAt: '2026-11-23T00:00:00Z',
  ttlMs: 60_000,
  pollIntervalMs: 50,
});

async function serving(more: object = {}): Promise<{ gateway: RunningGateway; server: TaskServer }> {
  const server = await new TaskServer().start();
  const gateway = await startGateway({
    http: { stream_after_ms: 50 },
    servers: [server.upstream.entry('up', more)] as never,
  });
  return { gateway, server };
}

const resultOf = (answer: JsonRpc): Record<string, unknown> => {
  if (!answer.result) throw new Error(JSON.stringify(answer));
  return answer.result;
};

describe('14: tasks of modern servers, for modern clients', () => {
  test('a task goes by a routable id on the merged endpoint, and by its own one elsewhere and upstream', async () => {
    const { gateway, server } = await serving();
    for (const [url, name, taskId, own] of [
      [gateway.url, 'up__work', 'up__t1', 't1'],
      [gateway.server('up'), 'work', 't2', 't2'],
    ] as const) {
      expect(resultOf(await call(url, name, {}, able))).toEqual({
        resultType: 'task',
        ...base(own),
        taskId,
      });
      const question = { method: 'elicitation/create', params: FORM };
      server.set(own, { status: 'input_required', inputRequests: { q: question } });
      const state = resultOf(await answerTo(url, 'tasks/get', { taskId }, able));
      const message = url === gateway.url ? '[up] Sure?' : 'Sure?';
      expect(state).toMatchObject({
        resultType: 'complete',
        taskId,
        inputRequests: { q: { params: { message } } },
      });
      const inputResponses = { q: { action: 'accept', content: { x: 1 } } };
      const updated = await answerTo(url, 'tasks/update', { taskId, inputResponses }, able);
      expect(resultOf(updated)).toEqual({ resultType: 'complete' });
      const cancelled = await answerTo(url, 'tasks/cancel', { taskId }, able);
      expect(resultOf(cancelled)).toEqual({ resultType: 'complete' });
      for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel'])
        expect(server.received(method).at(-1)).toMatchObject({ taskId: own, name: own });
      expect(server.received('tasks/update').at(-1)?.params).toMatchObject({ inputResponses });
    }
  });

  test('the result in a task keeps its digits and members on the merged endpoint', async () => {
    const { gateway, server } = await serving();
    await call(gateway.url, 'up__work', {}, able);
    const result = `{"content":[{"type":"text","text":"é"}],"x-own":{"digits":${DIGITS},"taskId":"t1"}}`;
    const whole = `{"resultType":"complete","taskId":"t1","status":"completed","x-digits":${DIGITS},"result":${result}}`;
    server.states.set('t1', whole);
    const answer = await ask(gateway.url, 'tasks/get', { taskId: 'up__t1' }, able);
    expect(answer.text).toContain(whole.replace('"taskId":"t1","status"', '"taskId":"up__t1","status"'));
  });

  test('a task that nobody made here does not exist, wherever it is asked for', async () => {
    const { gateway, server } = await serving();
    server.set('t9', {});
    await call(gateway.server('up'), 'work', {}, able);
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      for (const taskId of ['up__t9', 't9', 'other__t9'])
        for (const url of [gateway.url, gateway.server('up')]) {
          const { error } = await answerTo(url, method, { taskId, inputResponses: {} }, able);
          expect(error).toEqual({ code: -32602, message: `unknown task '${taskId}'` });
        }
      expect(server.received(method)).toEqual([]);
    }
  });

  test('a task is forgotten when its time is over, and remembered for as long as it is asked after', async () => {
    const { gateway, server } = await serving();
    server.first = { ttlMs: 1500 };
    const taskId = resultOf(await call(gateway.url, 'up__work', {}, able))['taskId'];
    for (const longer = timer(2000); !longer.rung; await sleep(100))
      expect((await answerTo(gateway.url, 'tasks/get', { taskId }, able)).result).toBeDefined();
    const over = timer(2500);
    await until(() => over.rung, 'the end of its time');
    expect((await answerTo(gateway.url, 'tasks/get', { taskId }, able)).error?.code).toBe(-32602);
  });

  test('methods of tasks are for clients of the extension, and for servers that have it', async () => {
    const { gateway } = await serving();
    const plain = await createUpstream({ tools: [tool('work')] });
    const other = await startGateway({ servers: [plain.entry('up')] });
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const without = await ask(gateway.url, method, { taskId: 'any' });
      expect(without.status).toBe(400);
      expect(without.json().error).toMatchObject({
        code: -32021,
        data: { requiredCapabilities: { extensions: { [TASKS]: {} } } },
      });
      for (const client of [able, {}]) {
        const unknown = await ask(other.url, method, { taskId: 'any' }, client);
        expect(unknown.status).toBe(404);
        expect(unknown.json().error?.code).toBe(-32601);
      }
    }
    for (const method of ['tasks/list', 'tasks/result'])
      expect((await answerTo(gateway.url, method, { taskId: 'up__t1' }, able)).error?.code).toBe(-32601);
  });

  test('what the header names has to be the id of the body', async () => {
    const { gateway, server } = await serving();
    await call(gateway.url, 'up__work', {}, able);
    const wrong = await ask(
      gateway.url,
      'tasks/get',
      { taskId: 'up__t1' },
      { ...able, headers: { 'mcp-name': 't1' } },
    );
    expect(wrong.status).toBe(400);
    expect(wrong.json().error?.code).toBe(-32020);
    expect(server.received('tasks/get')).toEqual([]);
  });

  describe('on streams of changes', () => {
    const listen = (url: string, taskIds: readonly string[], id: string): Promise<SseStream> =>
      stream(url, 'subscriptions/listen', { notifications: { taskIds } }, { ...able, id });
    const granted = async (opened: SseStream): Promise<unknown> =>
      (await heard(opened, 'notifications/subscriptions/acknowledged'))[0]?.params?.['notifications'];

    test('news of a task reach the streams that asked for it alone, each under its own names', async () => {
      const { gateway, server } = await serving();
      for (let i = 0; i < 2; i++) await call(gateway.url, 'up__work', {}, able);
      const [first, second, single, none] = await Promise.all([
        listen(gateway.url, ['up__t1'], 'a'),
        listen(gateway.url, ['up__t2'], 'b'),
        listen(gateway.server('up'), ['t1'], 'c'),
        stream(gateway.url, 'subscriptions/listen', { notifications: { toolsListChanged: true } }, able),
      ]);
      expect(await granted(first)).toEqual({ taskIds: ['up__t1'] });
      expect(await granted(second)).toEqual({ taskIds: ['up__t2'] });
      expect(await granted(single)).toEqual({ taskIds: ['t1'] });
      expect(await granted(none)).toEqual({ toolsListChanged: true });
      await until(
        () => server.listening.find(({ open, taskIds }) => open && taskIds.length === 2),
        'one stream',
      );
      await until(() => server.listening.filter(({ open }) => open).length === 1, 'no other stream');
      const question = { method: 'elicitation/create', params: FORM };
      server.set('t1', { status: 'input_required', inputRequests: { q: question } });
      server.tell('t1');
      const [told] = await heard(first, 'notifications/tasks');
      expect(told?.params).toEqual({
        ...base('up__t1'),
        status: 'input_required',
        inputRequests: { q: { ...question, params: { ...FORM, message: '[up] Sure?' } } },
        _meta: { [`${META}/subscriptionId`]: 'a' },
      });
      const [own] = await heard(single, 'notifications/tasks');
      expect(own?.params).toMatchObject({
        taskId: 't1',
        inputRequests: { q: question },
        _meta: { [`${META}/subscriptionId`]: 'c' },
      });
      for (const other of [second, none])
        expect(messagesOf(other).map(({ method }) => method)).toEqual([
          'notifications/subscriptions/acknowledged',
        ]);
    });

    test('only tasks of its own are granted, and those that the server knows', async () => {
      const { gateway, server } = await serving();
      await call(gateway.url, 'up__work', {}, able);
      server.set('t9', {});
      expect(await granted(await listen(gateway.url, ['up__t9', 'up__t1', 'nobody__x'], 'a'))).toEqual({
        taskIds: ['up__t1'],
      });
      server.states.delete('t1');
      const gone = await listen(gateway.server('up'), ['t1'], 'b');
      // It is listened to already, for the stream before.
      expect(await granted(gone)).toEqual({ taskIds: ['t1'] });
      expect(server.listening.flatMap(({ taskIds }) => taskIds)).not.toContain('t9');
    });

    test('news of a task do not reach somebody whose task had the same id before', async () => {
      const server = await new TaskServer().start();
      const keys = [createApiKey(), createApiKey()] as const;
      const auth = { keys: ['ann', 'ben'].map((name, i) => ({ name, sha256: [hashApiKey(keys[i] ?? '')] })) };
      const gateway = await startGateway({ mcp: { auth }, servers: [server.upstream.entry('up')] as never });
      const as = (key: string): Modern => ({ ...able, headers: { authorization: `Bearer ${key}` } });
      const [ann, ben] = [as(keys[0]), as(keys[1])];
      const follow = (who: Modern, taskIds: readonly string[], id: string): Promise<SseStream> =>
        stream(gateway.url, 'subscriptions/listen', { notifications: { taskIds } }, { ...who, id });
      await call(gateway.url, 'up__work', {}, ann);
      const hers = await follow(ann, ['up__t1'], 'a');
      expect(await granted(hers)).toEqual({ taskIds: ['up__t1'] });
      server.startAnew();
      await call(gateway.url, 'up__work', {}, ben);
      await call(gateway.url, 'up__work', {}, ann);
      const both = [await follow(ben, ['up__t1'], 'b'), await follow(ann, ['up__t2'], 'c')] as const;
      expect(await granted(both[0])).toEqual({ taskIds: ['up__t1'] });
      expect(await granted(both[1])).toEqual({ taskIds: ['up__t2'] });
      await until(
        () => server.listening.some(({ open, taskIds }) => open && taskIds.length === 2),
        'a stream for both tasks',
      );
      server.tell('t1');
      server.tell('t2');
      // The news of the second task come after those of the first one.
      expect(await heard(both[0], 'notifications/tasks')).toHaveLength(1);
      expect(await heard(both[1], 'notifications/tasks')).toHaveLength(1);
      expect(messagesOf(hers).map(({ method }) => method)).toEqual([
        'notifications/subscriptions/acknowledged',
      ]);
    });

    test('the server is not asked any more about a task whose last listener has left', async () => {
      const { gateway, server } = await serving();
      await call(gateway.url, 'up__work', {}, able);
      const [first, second] = [
        await listen(gateway.url, ['up__t1'], 'a'),
        await listen(gateway.url, ['up__t1'], 'b'),
      ];
      await Promise.all([granted(first), granted(second)]);
      first.close();
      await until(
        async () =>
          (await gateway.metric(
            'mcpstead_mcp_requests_total{method="subscriptions/listen",result="success"}',
          )) === 1,
        'the end of the first',
      );
      expect(server.listening.filter(({ open }) => open)).toMatchObject([{ taskIds: ['t1'] }]);
      second.close();
      await until(
        () => server.listening.every(({ open, taskIds }) => !open || taskIds.length === 0),
        'a stream without the task',
      );
    });

    test('a filter with tasks is for clients of the extension, and holds nothing but ids', async () => {
      const { gateway } = await serving();
      const without = await ask(gateway.url, 'subscriptions/listen', {
        notifications: { taskIds: ['up__t1'] },
      });
      expect(without.status).toBe(400);
      expect(without.json().error?.code).toBe(-32021);
      for (const taskIds of ['up__t1', [1], {}]) {
        const { error } = await answerTo(
          gateway.url,
          'subscriptions/listen',
          { notifications: { taskIds } },
          able,
        );
        expect(error?.code).toBe(-32602);
      }
    });
  });
});

describe('14: tasks of modern servers, for legacy clients', () => {
  const work = { name: 'up__work', arguments: { x: 1 } };
  /** The number of times that the task was asked after. */
  const polls = (server: TaskServer): number => server.received('tasks/get').length;

  /** Whoever still asks after the first task does so while another one, begun now, is asked after three times. */
  async function askedNoMore(gateway: RunningGateway, server: TaskServer): Promise<void> {
    const after = (id: string): number =>
      server.received('tasks/get').filter(({ taskId }) => taskId === id).length;
    const before = after('t1');
    const answer = (await connect(gateway.url)).request('tools/call', work);
    await until(() => after('t2') === 3, 'three polls of another task');
    expect(after('t1')).toBe(before);
    server.set('t2', { status: 'completed', result: { content: [] } });
    await answer;
  }

  test('a call waits for the task that it became, with or without a session', async () => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    expect(client.greeting['capabilities']).not.toHaveProperty('tasks');
    const answer = client.request('tools/call', { ...work, task: { ttl: 1 } });
    await until(() => polls(server) > 2, 'polls');
    server.states.set(
      't1',
      `{"taskId":"t1","status":"completed","result":{"resultType":"complete","content":[],"x":${DIGITS},"isError":true}}`,
    );
    expect((await answer).result).toEqual({ content: [], x: Number(DIGITS), isError: true });
    const [sent] = server.received('tools/call');
    expect(sent?.params).not.toHaveProperty('task');
    const capabilities = `${META}/clientCapabilities`;
    const told = { elicitation: { form: {}, url: {} }, extensions: { [TASKS]: {} } };
    for (const { params } of [...server.received('tools/call'), ...server.received('tasks/get')])
      expect(params['_meta']).toMatchObject({
        [capabilities]: told,
        [`${META}/clientInfo`]: { name: 'test' },
      });
    expect(server.received('tasks/get')[0]).toMatchObject({ taskId: 't1', name: 't1' });
    expect(
      await gateway.metric(
        'mcpstead_tool_call_errors_total{server="up",tool="work",reason="upstream_returned_error"}',
      ),
    ).toBe(1);

    const second = callTool(gateway.server('up'), 'work');
    await until(() => server.states.has('t2'), 'the second task');
    server.set('t2', { status: 'completed', result: { content: [{ type: 'text', text: 'two' }] } });
    expect(textOf(await second)).toBe('two');
  });

  test('the digits of the result are those of the server', async () => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    const body = { jsonrpc: '2.0', id: 'an id', method: 'tools/call', params: work };
    const answer = client.say(body);
    await until(() => server.states.has('t1'), 'the task');
    const result = `{"content":[],"structuredContent":{"digits":${DIGITS}}}`;
    server.states.set('t1', `{"taskId":"t1","status":"completed","result":${result}}`);
    expect((await answer).text).toContain(`{"jsonrpc":"2.0","id":"an id","result":${result}}`);
  });

  test('the server decides how often it is asked, within bounds', async () => {
    const { gateway, server } = await serving();
    server.first = { pollIntervalMs: 0 };
    const client = await connect(gateway.url);
    const answer = client.request('tools/call', work);
    await until(() => polls(server) > 3, 'four polls');
    server.set('t1', { pollIntervalMs: 700 });
    /** Begins when the server is asked. */
    let since = timer(0);
    const early: boolean[] = [];
    server.upstream.options.onHttp = ({ message }) => {
      if (message.method === 'tasks/get') {
        early.push(!since.rung);
        since = timer(650);
      }
      return false;
    };
    await until(() => early.length === 3, 'three polls more');
    expect(early.slice(1)).toEqual([false, false]);
    server.set('t1', { status: 'completed', result: { content: [] } });
    expect((await answer).result).toEqual({ content: [] });
  });

  test('a task that fails is an error, one that is cancelled too, and so is one that is gone', async () => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    const ends: [State | undefined, object][] = [
      [
        { status: 'failed', error: { code: -32011, message: 'No', data: { x: 1 } } },
        { code: -32011, message: 'No', data: { x: 1 } },
      ],
      [{ status: 'cancelled' }, { code: -32000 }],
      [{ status: 'failed' }, { code: -32000 }],
      [{ status: 'completed' }, { code: -32000 }],
      [undefined, { code: -32000 }],
    ];
    for (const [i, [end, error]] of ends.entries()) {
      const answer = client.request('tools/call', work);
      const id = `t${i + 1}`;
      await until(() => server.states.has(id), 'the task');
      if (end) server.set(id, end);
      else server.states.delete(id);
      expect((await answer).error).toMatchObject(error);
    }
  });

  test('what a task asks is asked once, on the stream of the call, and the answer goes to the task', async () => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    const opened = await client.stream('up__work');
    const inputRequests: Record<string, object> = { one: { method: 'elicitation/create', params: FORM } };
    server.set('t1', { status: 'input_required', inputRequests });
    const [first] = await heard(opened, 'elicitation/create');
    expect(first?.params).toMatchObject({ message: '[up] Sure?' });
    const asked = polls(server);
    await until(() => polls(server) > asked + 1, 'two polls more');
    inputRequests['two'] = { method: 'roots/list' };
    const [roots] = await heard(opened, 'roots/list');
    server.failUpdates = 1;
    await client.say({ id: first?.id, result: { action: 'accept', content: { n: 1 } } });
    // What did not get through is sent again.
    const updates = await until(() => {
      const found = server.received('tasks/update');
      return found.length === 2 && found;
    }, 'the first answer');
    expect(updates[1]?.params).toMatchObject({
      taskId: 't1',
      inputResponses: { one: { action: 'accept', content: { n: 1 } } },
    });
    delete inputRequests['one'];
    await client.say({ id: roots?.id, result: { roots: [] } });
    await until(() => server.received('tasks/update').length === 3, 'the second answer');
    server.set('t1', { status: 'completed', result: { content: [] } });
    expect((await final(opened)).result).toEqual({ content: [] });
    expect(messagesOf(opened).map(({ method }) => method)).toEqual([
      'elicitation/create',
      'roots/list',
      undefined,
    ]);
  });

  test('a question that the task no longer asks is taken back', async () => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    const opened = await client.stream('up__work');
    server.set('t1', {
      status: 'input_required',
      inputRequests: { one: { method: 'elicitation/create', params: FORM } },
    });
    const [asked] = await heard(opened, 'elicitation/create');
    server.set('t1', {});
    const [taken] = await heard(opened, 'notifications/cancelled');
    expect(taken?.params).toMatchObject({ requestId: asked?.id });
    server.set('t1', { status: 'completed', result: { content: [] } });
    expect((await final(opened)).result).toEqual({ content: [] });
  });

  test('a client that refuses: a form is cancelled, all else ends the call and the task', async () => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    const opened = await client.stream('up__work');
    server.set('t1', {
      status: 'input_required',
      inputRequests: { one: { method: 'elicitation/create', params: FORM }, two: { method: 'roots/list' } },
    });
    const [form] = await heard(opened, 'elicitation/create');
    const [roots] = await heard(opened, 'roots/list');
    await client.say({ id: form?.id, error: { code: -1, message: 'no' } });
    const updated = await until(() => server.received('tasks/update')[0], 'the answer');
    expect(updated.params).toMatchObject({ inputResponses: { one: { action: 'cancel' } } });
    await client.say({ id: roots?.id, error: { code: -7, message: 'never' } });
    expect((await final(opened)).error).toMatchObject({ code: -32603, data: { code: -7, message: 'never' } });
    await until(() => server.received('tasks/cancel').length === 1, 'the end of the task');
    await askedNoMore(gateway, server);
  });

  test.each(['notifications/cancelled', 'the end of the session'])('%s cancels the task', async (how) => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    const answer = client.say({ id: 7, method: 'tools/call', params: work });
    await until(() => polls(server) > 0, 'the task');
    if (how === 'notifications/cancelled')
      await client.say({ method: 'notifications/cancelled', params: { requestId: 7 } });
    else await client.end();
    await answer;
    await until(() => server.received('tasks/cancel').length === 1, 'tasks/cancel');
    expect(server.received('tasks/cancel')[0]).toMatchObject({ taskId: 't1', name: 't1' });
    await askedNoMore(gateway, server);
  });

  test('a task has no longer than timeouts.total_ms; that it is silent for longer than request_ms says nothing', async () => {
    const { gateway, server } = await serving({ timeouts: { request_ms: 200, total_ms: 900 } });
    const client = await connect(gateway.url);
    const total = timer(800);
    const { error } = await client.request('tools/call', work);
    expect(error?.message).toContain('timeouts.total_ms');
    expect(total.rung).toBe(true);
    await until(() => server.received('tasks/cancel').length === 1, 'tasks/cancel');
  });

  test('a task outlives a connection that breaks', async () => {
    const { gateway, server } = await serving();
    const client = await connect(gateway.url);
    const answer = client.request('tools/call', work);
    await until(() => polls(server) > 0, 'the task');
    for (const socket of server.upstream.sockets) socket.destroy();
    const before = polls(server);
    await until(() => polls(server) > before, 'a poll on a new connection');
    server.set('t1', { status: 'completed', result: { content: [] } });
    expect((await answer).result).toEqual({ content: [] });
  });

  test('a task of another method than tools/call is no answer', async () => {
    const upstream = await createModernUpstream({
      capabilities: { prompts: {}, extensions: { [TASKS]: {} } },
      onRequest: (asked) => {
        if (asked.message.method === 'prompts/list')
          asked.result({ resultType: 'complete', prompts: [{ name: 'p' }] });
        else if (asked.message.method === 'prompts/get') asked.result({ resultType: 'task', ...base('t1') });
        else return undefined;
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('up')] });
    const client = await connect(gateway.url);
    const { error } = await client.request('prompts/get', { name: 'up__p' });
    expect(error?.message).toMatch(/made a task of prompts\/get/);
    expect(upstream.received('tasks/get')).toEqual([]);
  });

  test('a gateway that closes waits for no task for longer than its grace, and leaves nothing open', async () => {
    const server = await new TaskServer().start();
    const gateway = await startGateway({
      servers: [server.upstream.entry('up')],
      mcp: { session: { shutdown_grace_seconds: 1 } },
    });
    const client = await connect(gateway.url);
    const answer = client.say({ id: 7, method: 'tools/call', params: work }).catch(() => undefined);
    await until(() => polls(server) > 0, 'the task');
    await gateway.gateway.close();
    await answer;
    expect(server.received('tasks/cancel')).toHaveLength(1);
    const seen = polls(server);
    await until(() => server.upstream.sockets.size === 0, 'no open connection');
    expect(polls(server)).toBe(seen);
  });

  test('a task of a modern client is none for a legacy one', async () => {
    const { gateway } = await serving();
    await call(gateway.url, 'up__work', {}, able);
    const client = await connect(gateway.url);
    expect((await client.request('tasks/get', { taskId: 'up__t1' })).error?.code).toBe(-32602);
    expect(await client.list('tasks/list', 'tasks')).toEqual([]);
  });
});
