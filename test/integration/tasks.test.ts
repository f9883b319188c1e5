/** Tasks of 2025-11-25: made through the gateway, found again by routable ids, asked on `tasks/result`. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { expect, test } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { openSse } from '../helpers/http.js';
import { connect, heard } from '../helpers/legacy.js';
import { everythingStdio, startEverything } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';

const RELATED = 'io.modelcontextprotocol/related-task';

test.each(['stdio', 'http'])(
  'server-everything researches as a task and asks on the way (%s, SDK v1)',
  async (way) => {
    const server =
      way === 'http'
        ? { name: 'everything', url: (await startEverything('streamableHttp')).url }
        : everythingStdio();
    const gateway = await startGateway({ servers: [server] });
    const client = new Client(
      { name: 'tasks', version: '0' },
      { capabilities: { elicitation: {}, sampling: {}, roots: {} } },
    );
    const asked: string[] = [];
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      asked.push(params.message);
      return { action: 'accept', content: { interpretation: 'snake' } };
    });
    await client.connect(new StreamableHTTPClientTransport(new URL(gateway.url)));
    atEnd(() => client.close());
    const name = 'everything__simulate-research-query';
    await until(async () => (await client.listTools()).tools.some((each) => each.name === name), 'the tool');
    const states: string[] = [];
    let taskId = '';
    let text = '';
    const stream = client.experimental.tasks.callToolStream(
      { name, arguments: { topic: 'python', ambiguous: true } },
      undefined,
      { task: { ttl: 60_000 } },
    );
    for await (const message of stream) {
      states.push(message.type);
      if (message.type === 'taskCreated') ({ taskId } = message.task);
      if (message.type === 'error') throw message.error;
      if (message.type === 'result') text = (message.result.content as { text: string }[])[0]?.text ?? '';
    }
    expect(states[0]).toBe('taskCreated');
    expect(taskId).toMatch(/^everything__/);
    // What it does without an answer would be `technical`.
    expect(text).toContain('python (snake)');
    expect(asked).toEqual([expect.stringMatching(/^\[everything\] The research query "python"/)]);
    expect(await client.experimental.tasks.getTask(taskId)).toMatchObject({ taskId, status: 'completed' });
    const { tasks } = await client.experimental.tasks.listTasks();
    expect(tasks.map((task) => task.taskId)).toContain(taskId);
  },
);

/** Makes a task of every call with `task`; `t1`, `t2` and so on. */
async function tasking(): Promise<{ gateway: RunningGateway; upstream: Upstream }> {
  const made: string[] = [];
  const task = (taskId: string, status = 'working'): object => ({
    taskId,
    status,
    ttl: 60_000,
    'x-own': 1.5,
  });
  const upstream: Upstream = await createUpstream({
    tools: [tool('work', { execution: { taskSupport: 'optional' } })],
    getStream: true,
    capabilities: { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
    onRequest: async (call) => {
      const { params } = call;
      const taskId = String(params['taskId']);
      switch (call.message.method) {
        case 'tools/call':
          if (params['task'] === undefined) return false;
          made.push(`t${made.length + 1}`);
          call.result({ task: task(made.at(-1) ?? '') });
          return true;
        case 'tasks/get':
          call.result(task(taskId));
          return true;
        case 'tasks/cancel':
          call.result(task(taskId, 'cancelled'));
          return true;
        case 'tasks/list':
          call.result({ tasks: [...made, 'of-somebody-else'].map((id) => task(id)) });
          return true;
        case 'tasks/result': {
          const related = { [RELATED]: { taskId } };
          const id = `about-${taskId}`;
          const question = {
            message: 'Sure?',
            requestedSchema: { type: 'object', properties: {} },
            _meta: related,
          };
          // On the channel that all share: its task says whose it is.
          upstream.announce({ id, method: 'elicitation/create', params: question });
          const answered = await until(() => upstream.requests.find(({ message }) => message.id === id));
          const text = JSON.stringify(answered.message.result ?? answered.message.error);
          call.result({ content: [{ type: 'text', text }], _meta: related });
          return true;
        }
        default:
          return false;
      }
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('up')] });
  await until(() => upstream.streams.size === 1, 'the GET stream');
  return { gateway, upstream };
}

const call = { name: 'up__work', arguments: {}, task: { ttl: 60_000 } };

test('task ids are routable on the merged endpoint and the own ones elsewhere, in every message about a task', async () => {
  const { gateway } = await tasking();
  for (const [url, name, taskId] of [
    [gateway.url, 'up__work', 'up__t1'],
    [gateway.server('up'), 'work', 't2'],
  ] as const) {
    const client = await connect(url);
    expect(client.greeting['capabilities']).toMatchObject({ tasks: { list: {}, cancel: {} } });
    const created = await client.request('tools/call', { ...call, name });
    expect(created.result).toEqual({ task: { taskId, status: 'working', ttl: 60_000, 'x-own': 1.5 } });
    expect((await client.request('tasks/get', { taskId })).result).toMatchObject({
      taskId,
      status: 'working',
    });
    expect((await client.request('tasks/cancel', { taskId })).result).toMatchObject({
      taskId,
      status: 'cancelled',
    });
    const tasks = await client.list('tasks/list', 'tasks');
    expect(tasks.map((task) => task['taskId'])).toContain(taskId);
    expect(JSON.stringify(tasks)).not.toContain('of-somebody-else');
  }
});

test('questions about tasks on a shared channel go each to the call that waits for its task', async () => {
  const { gateway } = await tasking();
  const clients = [await connect(gateway.url), await connect(gateway.url)];
  const ids: string[] = [];
  for (const client of clients) {
    const { result } = await client.request('tools/call', call);
    ids.push((result?.['task'] as { taskId: string }).taskId);
  }
  const answers = clients.map(async (client, i) => {
    const params = { taskId: ids[i] };
    const body = { jsonrpc: '2.0', id: 7, method: 'tasks/result', params };
    const stream = await openSse(client.url, body, client.headers);
    const question = await stream.message();
    expect(question.params?.['_meta']).toEqual({ [RELATED]: { taskId: ids[i] } });
    const related = { [RELATED]: { taskId: ids[i] } };
    await client.say({ id: question.id, result: { action: 'accept', content: { i }, _meta: related } });
    const { result } = await stream.message();
    expect(result?.['_meta']).toEqual({ [RELATED]: { taskId: ids[i] } });
    // The server knows its task by its own id alone.
    const own = { [RELATED]: { taskId: `t${i + 1}` } };
    expect((result?.['content'] as { text: string }[])[0]?.text).toBe(
      JSON.stringify({ action: 'accept', content: { i }, _meta: own }),
    );
  });
  await Promise.all(answers);
});

test('the status of a task is told to the session that made it alone, under the id it knows', async () => {
  const { gateway, upstream } = await tasking();
  const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
  const [stream, theirs] = [await client.listen(), await other.listen()];
  await client.request('tools/call', call);
  for (const taskId of ['t1', 'of-somebody-else'])
    upstream.announce({ method: 'notifications/tasks/status', params: { taskId, status: 'completed' } });
  const [status] = await heard(stream, 'notifications/tasks/status');
  expect(status?.params).toEqual({ taskId: 'up__t1', status: 'completed' });
  expect(theirs.text).not.toContain('notifications/tasks/status');
});

test('a task that nobody made here does not exist', async () => {
  const { gateway, upstream } = await tasking();
  const client = await connect(gateway.url);
  for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel'])
    for (const taskId of ['up__of-somebody-else', 'of-somebody-else', 'other__t1', ''])
      expect((await client.request(method, { taskId })).error).toMatchObject({ code: -32602 });
  expect(upstream.received('tasks/get')).toEqual([]);
  expect(await client.list('tasks/list', 'tasks')).toEqual([]);
});
