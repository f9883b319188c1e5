/** Tasks of 2025-11-25 servers in the hands of modern clients, with and without the extension io.modelcontextprotocol/tasks. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { textOf, type JsonRpc } from '../helpers/http.js';
import { heard } from '../helpers/legacy.js';
import { answerTo, ask, call, EVERYTHING, needs, only, stream, type Modern } from '../helpers/modern.js';
import { everythingStdio, startEverything } from '../helpers/upstreams.js';
import { settled, until } from '../helpers/wait.js';

const TASKS = 'io.modelcontextprotocol/tasks';
const RELATED = 'io.modelcontextprotocol/related-task';
const META = 'io.modelcontextprotocol';
const able: Modern = { capabilities: { ...EVERYTHING, extensions: { [TASKS]: {} } } };
const without: Modern = { capabilities: EVERYTHING };
const DIGITS = '12345678901234567890.10';

type Json = Record<string, unknown>;
const resultOf = (answer: JsonRpc): Json => {
  if (!answer.result) throw new Error(JSON.stringify(answer));
  return answer.result;
};

const FIXTURE = fileURLToPath(new URL('../fixtures/servers/conformance.mjs', import.meta.url));

/** An entry for the fixture on SDK v1. */
async function fixture(way: 'http' | 'stdio'): Promise<object> {
  if (way === 'stdio') return { name: 'up', command: process.execPath, args: [FIXTURE, 'stdio'] };
  const child = spawn(process.execPath, [FIXTURE, 'http'], { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(() => child.kill());
  const url = await new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').once('data', (text: string) => {
      resolve(text.trim());
    });
  });
  return { name: 'up', url };
}

function follow(url: string, taskId: unknown, enough: (task: Json) => boolean): Promise<Json> {
  return until(
    async () => {
      const state = resultOf(await answerTo(url, 'tasks/get', { taskId }, able));
      return enough(state) && state;
    },
    `task ${String(taskId)}`,
  );
}
const ended = ({ status }: Json): boolean => ['completed', 'failed', 'cancelled'].includes(String(status));
const asking = ({ status }: Json): boolean => status === 'input_required';

describe.each(['http', 'stdio'] as const)(
  '14: tasks of legacy servers, for modern clients: a server on SDK v1 (%s)',
  (way) => {
    const serving = async (): Promise<RunningGateway> => startGateway({ servers: [await fixture(way)] });

    test('a tool that only runs as a task returns a task to a client with the extension', async () => {
      const gateway = await serving();
      for (const [url, name, prefix] of [
        [gateway.url, 'up__task_required', /^up__/],
        [gateway.server('up'), 'task_required', /^(?!up__)/],
      ] as const) {
        const created = resultOf(await call(url, name, { label: 'It' }, able));
        expect(created).toEqual({
          resultType: 'task',
          taskId: expect.stringMatching(prefix) as unknown,
          status: 'working',
          createdAt: expect.stringMatching(/^\d{4}-/) as string,
          lastUpdatedAt: expect.stringMatching(/^\d{4}-/) as string,
          ttlMs: 60_000,
          pollIntervalMs: 100,
        });
        const { taskId } = created;
        const last = await follow(url, taskId, ended);
        expect(last).toMatchObject({ resultType: 'complete', taskId, status: 'completed' });
        expect(last['result']).toEqual({ content: [{ type: 'text', text: 'It is done' }], _meta: {} });
      }
    });

    test('a tool with optional task support is called without a task', async () => {
      const gateway = await serving();
      expect(textOf(await call(gateway.url, 'up__task_optional', { label: 'It' }, able))).toBe('It is done');
    });

    test('tasks/update answers the questions of a task', async () => {
      const gateway = await serving();
      const { taskId } = resultOf(await call(gateway.url, 'up__task_asking', {}, able));
      const { inputRequests } = await follow(gateway.url, taskId, asking);
      const [[key, question] = ['', undefined]] = Object.entries(inputRequests as Json);
      expect(question).toMatchObject({
        method: 'elicitation/create',
        params: { message: '[up] What is your name?' },
      });
      expect(JSON.stringify(question)).not.toContain(RELATED);
      const answer = { action: 'accept', content: { name: 'N' } };
      const inputResponses = { [key]: answer, 'never-asked': answer };
      const updated = await answerTo(gateway.url, 'tasks/update', { taskId, inputResponses }, able);
      expect(resultOf(updated)).toEqual({ resultType: 'complete' });
      const last = await follow(gateway.url, taskId, ended);
      expect(textOf(last as JsonRpc)).toContain('"name":"N"');
    });

    test('without the extension the call waits for the result, and asks like any call', async () => {
      const gateway = await serving();
      expect(textOf(await call(gateway.url, 'up__task_required', { label: 'It' }, without))).toBe(
        'It is done',
      );
      const needed = needs(await call(gateway.url, 'up__task_asking', {}, without));
      const { key, params } = only(needed);
      expect(params).toMatchObject({ message: '[up] What is your name?' });
      const more = {
        requestState: needed.requestState,
        inputResponses: { [key]: { action: 'accept', content: { name: 'N' } } },
      };
      const done = await call(gateway.url, 'up__task_asking', {}, { ...without, more });
      expect(done.result).toMatchObject({ resultType: 'complete' });
      expect(textOf(done)).toContain('"name":"N"');
    });

    test('an SDK v2 client does not notice the task', async () => {
      const gateway = await serving();
      const client = new Client(
        { name: 'modern', version: '0' },
        { capabilities: { elicitation: {} }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
      );
      client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { name: 'N' } }));
      await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url)));
      atEnd(() => client.close());
      const { tools } = await client.listTools();
      expect(JSON.stringify(tools)).not.toContain('taskSupport');
      const { content } = await client.callTool({ name: 'up__task_asking', arguments: {} });
      expect(JSON.stringify(content)).toContain('\\"name\\":\\"N\\"');
    });

    test('a task is cancelled; cancelling an ended task is not an error, an unknown one is', async () => {
      const gateway = await serving();
      const { taskId } = resultOf(await call(gateway.url, 'up__task_endless', {}, able));
      for (let i = 0; i < 2; i++)
        expect(resultOf(await answerTo(gateway.url, 'tasks/cancel', { taskId }, able))).toEqual({
          resultType: 'complete',
        });
      expect(await follow(gateway.url, taskId, ended)).toMatchObject({ taskId, status: 'cancelled' });
      for (const method of ['tasks/get', 'tasks/cancel', 'tasks/update'])
        expect((await answerTo(gateway.url, method, { taskId: 'up__x' }, able)).error).toEqual({
          code: -32602,
          message: "unknown task 'up__x'",
        });
    });

    test('task notifications with the result arrive on a stream that requests them', async () => {
      const gateway = await serving();
      const { taskId } = resultOf(await call(gateway.url, 'up__task_asking', {}, able));
      const opened = await stream(
        gateway.url,
        'subscriptions/listen',
        { notifications: { taskIds: [taskId, 'up__x'] } },
        { ...able, id: 'a' },
      );
      const [acknowledged] = await heard(opened, 'notifications/subscriptions/acknowledged');
      expect(acknowledged?.params?.['notifications']).toEqual({ taskIds: [taskId] });
      const { inputRequests } = await follow(gateway.url, taskId, asking);
      const [key = ''] = Object.keys(inputRequests as Json);
      const inputResponses = { [key]: { action: 'decline' } };
      await answerTo(gateway.url, 'tasks/update', { taskId, inputResponses }, able);
      const news = await until(async () => {
        const told = await heard(opened, 'notifications/tasks');
        return told.find(({ params }) => params?.['status'] === 'completed')?.params;
      });
      expect(news).toMatchObject({
        taskId,
        result: { content: [{ text: expect.stringContaining('decline') as string }] },
        _meta: { [`${META}/subscriptionId`]: 'a' },
      });
      expect(news).not.toHaveProperty('resultType');
    });
  },
);

test.each(['stdio', 'http'])(
  'server-everything researches as a task for modern clients (%s)',
  async (way) => {
    const server =
      way === 'http'
        ? { name: 'everything', url: (await startEverything('streamableHttp')).url }
        : everythingStdio();
    const gateway = await startGateway({ servers: [server] });
    const name = 'everything__simulate-research-query';
    const args = { topic: 'python', ambiguous: true };
    const { taskId } = resultOf(await call(gateway.url, name, args, able));
    const waiting = needsLater(call(gateway.url, name, args, without));
    const { inputRequests } = await follow(gateway.url, taskId, asking);
    const [key = ''] = Object.keys(inputRequests as Json);
    const answer = { action: 'accept', content: { interpretation: 'snake' } };
    await answerTo(gateway.url, 'tasks/update', { taskId, inputResponses: { [key]: answer } }, able);
    const last = await follow(gateway.url, taskId, ended);
    expect(textOf(last as JsonRpc)).toContain('python (snake)');
    const { key: own, state } = await waiting;
    const more = { requestState: state, inputResponses: { [own]: answer } };
    expect(textOf(await call(gateway.url, name, args, { ...without, more }))).toContain('python (snake)');
  },
);

async function needsLater(answer: Promise<JsonRpc>): Promise<{ key: string; state: string }> {
  const needed = needs(await answer);
  return { key: only(needed).key, state: needed.requestState };
}

/** Each call makes a task; `t1`, `t2` and so on. How they stand, and what tasks/result does, the test says. */
class Scripted {
  upstream!: Upstream;
  readonly states = new Map<string, Json>();
  onResult: (asked: Call, taskId: string) => unknown = () => undefined;
  cancel = true;
  /** The result of tasks that have completed; undefined: `onResult` answers. */
  done: string | undefined;
  private made = 0;

  async start(more: object = {}, entry: object = {}): Promise<RunningGateway> {
    this.upstream = await createUpstream({
      tools: [tool('work', { execution: { taskSupport: 'required' } })],
      capabilities: {
        tools: {},
        tasks: { list: {}, ...(this.cancel ? { cancel: {} } : {}), requests: { tools: { call: {} } } },
      },
      onRequest: (asked) => {
        const { params } = asked;
        const taskId = String(params['taskId']);
        const state = this.states.get(taskId);
        switch (asked.message.method) {
          case 'tools/call': {
            if (params['task'] === undefined) return false;
            const id = `t${++this.made}`;
            this.set(id, {});
            asked.result({ task: this.states.get(id), _meta: { 'com.example/own': 1 } });
            return true;
          }
          case 'tasks/get':
            if (state) asked.result(state);
            else asked.error(-32602, 'Task not found');
            return true;
          case 'tasks/result':
            if (state?.['status'] === 'completed' && this.done !== undefined) asked.text(this.done);
            else this.onResult(asked, taskId);
            return true;
          case 'tasks/cancel':
            this.set(taskId, { status: 'cancelled' });
            asked.result(this.states.get(taskId) as Json);
            return true;
          default:
            return undefined;
        }
      },
    });
    return startGateway({ servers: [this.upstream.entry('up', entry)] as never, ...more });
  }

  set(taskId: string, more: Json): void {
    const base = { taskId, status: 'working', createdAt: '2026-11-23T00:00:00Z', ttl: 60_000 };
    this.states.set(taskId, { ...base, lastUpdatedAt: '2026-11-23T00:00:00Z', pollInterval: 50, ...more });
  }

  /** Asks about a task on the stream of its tasks/result; gives what answers. */
  question(asked: Call, taskId: string, message = 'Sure?'): Promise<Json> {
    const params = { message, requestedSchema: { type: 'object', properties: {} } };
    const _meta = { [RELATED]: { taskId } };
    return asked.ask('elicitation/create', { ...params, _meta }) as Promise<Json>;
  }
}

describe('14: tasks of legacy servers, for modern clients: a scripted server', () => {
  const work = (gateway: RunningGateway, options = able): Promise<JsonRpc> =>
    call(gateway.url, 'up__work', {}, options);

  test('gets a task request with a TTL, without the task members of the modern client', async () => {
    const server = new Scripted();
    const gateway = await server.start();
    const more = { task: { ttl: 5, own: 1 } };
    const created = await call(gateway.url, 'up__work', { x: 1 }, { ...able, more });
    expect(resultOf(created)).toMatchObject({ resultType: 'task', _meta: { 'com.example/own': 1 } });
    expect(server.upstream.calls()[0]?.message.params).toEqual({
      name: 'work',
      arguments: { x: 1 },
      task: { ttl: 3_600_000 },
      _meta: {},
    });
  });

  test('may answer at once instead', async () => {
    const server = new Scripted();
    const gateway = await server.start();
    const { onRequest } = server.upstream.options;
    const big = 'x'.repeat(200_000);
    for (const text of ['at once', big]) {
      server.upstream.options.onRequest = (asked) => {
        if (asked.message.method !== 'tools/call') return onRequest?.(asked);
        asked.text(text, { 'x-own': 1 });
        return true;
      };
      for (const client of [able, without])
        expect(await work(gateway, client)).toMatchObject({
          result: { resultType: 'complete', content: [{ text }], 'x-own': 1 },
        });
    }
  });

  test('a tool error completes its task, a failed request fails it', async () => {
    const server = new Scripted();
    server.onResult = (asked, taskId) => {
      const _meta = { [RELATED]: { taskId }, 'com.example/own': 2 };
      if (taskId === 't1') asked.text('went wrong', { isError: true, _meta });
      else asked.error(-32011, 'No', { x: 1 });
    };
    const gateway = await server.start();
    for (const id of ['t1', 't2']) {
      await work(gateway);
      server.set(id, { status: 'failed', statusMessage: 'Oh' });
    }
    const first = resultOf(await answerTo(gateway.url, 'tasks/get', { taskId: 'up__t1' }, able));
    expect(first).toMatchObject({ status: 'completed', statusMessage: 'Oh' });
    expect(first['result']).toEqual({
      content: [{ type: 'text', text: 'went wrong' }],
      isError: true,
      _meta: { 'com.example/own': 2 },
    });
    const second = resultOf(await answerTo(gateway.url, 'tasks/get', { taskId: 'up__t2' }, able));
    expect(second).toMatchObject({
      status: 'failed',
      error: { code: -32011, message: 'No', data: { x: 1 } },
    });
    expect(second).not.toHaveProperty('result');
  });

  test('the digits of its result and its task are kept', async () => {
    const server = new Scripted();
    const result = `{"content":[],"structuredContent":{"digits":${DIGITS}}}`;
    server.onResult = (asked) => {
      asked.result(result);
    };
    const gateway = await server.start();
    await work(gateway);
    server.set('t1', { status: 'completed' });
    const { onRequest } = server.upstream.options;
    server.upstream.options.onRequest = (asked) => {
      if (asked.message.method !== 'tasks/get') return onRequest?.(asked);
      asked.result(`{"taskId":"t1","x-own":${DIGITS},"status":"completed","ttl":null}`);
      return true;
    };
    const { text } = await ask(gateway.url, 'tasks/get', { taskId: 'up__t1' }, able);
    expect(text).toContain(
      `{"resultType":"complete","taskId":"up__t1","status":"completed","x-own":${DIGITS},"ttlMs":null,"result":${result}}`,
    );
  });

  test('its questions have unique keys, and the answers name the task', async () => {
    const server = new Scripted();
    const answers: Json[] = [];
    server.onResult = async (asked, taskId) => {
      for (let i = 1; i <= 2; i++) answers.push(await server.question(asked, taskId, `Question ${i}`));
      server.done = 'done';
      server.set(taskId, { status: 'completed' });
      asked.text('done');
    };
    const gateway = await server.start();
    const keys = new Set<string>();
    for (const id of ['t1', 't2']) {
      const taskId = `up__${id}`;
      await work(gateway);
      server.set(id, { status: 'input_required' });
      for (let i = 1; i <= 2; i++) {
        const enough = (state: Json): boolean =>
          JSON.stringify(state['inputRequests'] ?? '').includes(`Question ${i}`);
        const { inputRequests } = await follow(gateway.url, taskId, enough);
        const [key = '', ...others] = Object.keys(inputRequests as Json);
        expect(others).toEqual([]);
        expect(keys.has(key)).toBe(false);
        keys.add(key);
        const inputResponses = { [key]: { action: 'accept', content: { i } } };
        await answerTo(gateway.url, 'tasks/update', { taskId, inputResponses }, able);
      }
      expect(await follow(gateway.url, taskId, ended)).toMatchObject({ status: 'completed' });
    }
    expect(answers.map(({ result }) => result)).toEqual(
      ['t1', 't1', 't2', 't2'].map((taskId, i) => ({
        action: 'accept',
        content: { i: (i % 2) + 1 },
        _meta: { [RELATED]: { taskId } },
      })),
    );
  });

  test('concurrent questions may be answered one by one', async () => {
    const server = new Scripted();
    server.onResult = async (asked, taskId) => {
      const both = await Promise.all(['A', 'B'].map((message) => server.question(asked, taskId, message)));
      server.done = JSON.stringify(both.map(({ result }) => (result as Json)['content']));
      server.set(taskId, { status: 'completed' });
      asked.text(server.done);
    };
    const gateway = await server.start();
    await work(gateway);
    server.set('t1', { status: 'input_required' });
    const taskId = 'up__t1';
    const { inputRequests } = await follow(gateway.url, taskId, asking);
    const entries = Object.entries(inputRequests as Record<string, { params: Json }>);
    expect(entries.map(([, { params }]) => params['message'])).toEqual(['[up] A', '[up] B']);
    for (const [i, [key]] of entries.entries()) {
      const inputResponses = { [key]: { action: 'accept', content: { i } } };
      await answerTo(gateway.url, 'tasks/update', { taskId, inputResponses }, able);
      if (i > 0) continue;
      const state = resultOf(await answerTo(gateway.url, 'tasks/get', { taskId }, able));
      expect(state['status']).toBe('input_required');
      expect(Object.keys(state['inputRequests'] as Json)).toEqual([entries[1]?.[0]]);
    }
    const last = await follow(gateway.url, taskId, ended);
    expect(textOf(last as JsonRpc)).toBe('[{"i":0},{"i":1}]');
    expect(server.upstream.received('tasks/result')).toHaveLength(2);
  });

  test('a question that the client cannot answer, or not in time, is an error for the server', async () => {
    const server = new Scripted();
    const answers: Json[] = [];
    server.onResult = async (asked, taskId) => {
      answers.push(await server.question(asked, taskId));
    };
    const gateway = await server.start({ limits: { parked_seconds: 1 } });
    await work(gateway);
    server.set('t1', { status: 'input_required' });
    const poor: Modern = { capabilities: { extensions: { [TASKS]: {} } } };
    const state = resultOf(await answerTo(gateway.url, 'tasks/get', { taskId: 'up__t1' }, poor));
    expect(state['status']).toBe('working');
    await until(() => answers.length === 1);
    expect(answers[0]?.['error']).toMatchObject({ code: -32603 });
    await work(gateway);
    server.set('t2', { status: 'input_required' });
    await follow(gateway.url, 'up__t2', asking);
    await until(() => answers.length === 2, 'the refusal');
    expect(answers[1]?.['error']).toMatchObject({ code: -32603 });
  });

  test('a withdrawn question is no longer open', async () => {
    const server = new Scripted();
    let takeBack: () => void = () => {};
    server.onResult = async (asked, taskId) => {
      void server.question(asked, taskId).catch(() => undefined);
      await new Promise<void>((resolve) => (takeBack = resolve));
      asked.notify('notifications/cancelled', { requestId: `ask-${asked.upstream.asked}` });
    };
    const gateway = await server.start();
    await work(gateway);
    server.set('t1', { status: 'input_required' });
    await follow(gateway.url, 'up__t1', asking);
    takeBack();
    await follow(gateway.url, 'up__t1', ({ status }) => status === 'working');
  });

  test('without cancellation support gets no cancel request', async () => {
    const server = new Scripted();
    server.cancel = false;
    const gateway = await server.start();
    await work(gateway);
    const { result } = await answerTo(gateway.url, 'tasks/cancel', { taskId: 'up__t1' }, able);
    expect(result).toEqual({ resultType: 'complete' });
    expect(server.upstream.received('tasks/cancel')).toEqual([]);
  });

  test('a forgotten task is unknown, with the error of the client era', async () => {
    const server = new Scripted();
    const gateway = await server.start();
    await work(gateway);
    server.states.clear();
    const { error } = await answerTo(gateway.url, 'tasks/get', { taskId: 'up__t1' }, able);
    expect(error).toEqual({ code: -32602, message: "unknown task 'up__t1'" });
  });

  test('tasks/update requires answers that are objects', async () => {
    const server = new Scripted();
    const gateway = await server.start();
    await work(gateway);
    for (const inputResponses of [{ q: 1 }, []]) {
      const params = { taskId: 'up__t1', inputResponses };
      expect((await answerTo(gateway.url, 'tasks/update', params, able)).error?.code).toBe(-32602);
    }
  });

  describe('for a client without the extension', () => {
    test('silence is not a failure while the task exists, and its result is the answer to the call', async () => {
      const server = new Scripted();
      const open: Call[] = [];
      server.onResult = (asked) => open.push(asked);
      const gateway = await server.start({}, { timeouts: { request_ms: 150 } });
      const answer = work(gateway, without);
      await until(() => open.length === 1);
      await until(() => server.upstream.received('tasks/get').length > 3, 'four looks');
      server.set('t1', { status: 'completed' });
      open[0]?.text('done', { _meta: { own: 1 } });
      const { result, error } = await answer;
      expect(error).toBeUndefined();
      expect(result).toEqual({
        resultType: 'complete',
        content: [{ type: 'text', text: 'done' }],
        _meta: { own: 1 },
      });
    });

    test('a broken-off tasks/result is sent again', async () => {
      const server = new Scripted();
      let times = 0;
      server.onResult = (asked) => {
        if (++times < 3) asked.res.destroy();
        else asked.text('done');
      };
      const gateway = await server.start();
      expect(textOf(await work(gateway, without))).toBe('done');
    });

    test('an error of the result is the error of the call, and so is a lost task', async () => {
      const server = new Scripted();
      server.onResult = (asked) => {
        asked.error(-32011, 'No', { x: 1 });
      };
      const gateway = await server.start();
      expect((await work(gateway, without)).error).toEqual({ code: -32011, message: 'No', data: { x: 1 } });
      server.onResult = () => undefined;
      const answer = work(gateway, without);
      await until(() => server.states.has('t2'));
      server.states.delete('t2');
      expect((await answer).error?.message).toContain('Task not found');
    });

    test('a client that disconnects cancels the task', async () => {
      const server = new Scripted();
      const gateway = await server.start({ http: { stream_after_ms: 50 } });
      const opened = await stream(gateway.url, 'tools/call', { name: 'up__work', arguments: {} }, without);
      await until(() => server.upstream.received('tasks/result').length === 1);
      opened.close();
      const [cancel] = await until(() => {
        const found = server.upstream.received('tasks/cancel');
        return found.length > 0 && found;
      }, 'tasks/cancel');
      expect(cancel?.message.params).toEqual({ taskId: 't1' });
      const looks = (taskId: string): number =>
        server.upstream.received('tasks/get').filter(({ message }) => message.params?.['taskId'] === taskId)
          .length;
      // One may have been on its way.
      const before = await settled(() => looks('t1'));
      const other = await stream(gateway.url, 'tools/call', { name: 'up__work', arguments: {} }, without);
      // Looked at as often as the first one would be.
      await until(() => looks('t2') >= 4, 'looks at another task');
      expect(looks('t1')).toBe(before);
      other.close();
    });

    test('a client that does not answer a question cancels the task too', async () => {
      const server = new Scripted();
      server.onResult = (asked, taskId) => server.question(asked, taskId).catch(() => undefined);
      const gateway = await server.start({ limits: { parked_seconds: 1 } });
      needs(await work(gateway, without));
      await until(() => server.upstream.received('tasks/cancel').length === 1, 'tasks/cancel');
    });

    test('timeouts.total_ms limits the call', async () => {
      const server = new Scripted();
      const gateway = await server.start({}, { timeouts: { request_ms: 200, total_ms: 700 } });
      const { error } = await work(gateway, without);
      expect(error?.message).toContain('timeouts.total_ms');
      await until(() => server.upstream.received('tasks/cancel').length === 1, 'tasks/cancel');
    });
  });

  test('a closing gateway refuses open questions and ends all waits', async () => {
    const server = new Scripted();
    const answers: Json[] = [];
    server.onResult = async (asked, taskId) => {
      answers.push(await server.question(asked, taskId));
    };
    const gateway = await server.start({ mcp: { session: { shutdown_grace_seconds: 1 } } });
    await work(gateway);
    server.set('t1', { status: 'input_required' });
    await follow(gateway.url, 'up__t1', asking);
    await gateway.gateway.close();
    await until(() => answers.length === 1, 'the refusal');
    expect(answers[0]?.['error']).toMatchObject({ code: -32603 });
    await until(() => server.upstream.sockets.size === 0, 'no open connection');
  });
});
