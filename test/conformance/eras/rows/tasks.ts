import { expect } from 'vitest';
import { NET, until } from '../../../helpers/wait.js';
import { ABLE, RawModern, TASKS, textOf, type Json } from '../actors.js';
import { asksUsers, became, gateway, newKey, row, type Meeting } from '../stage.js';

const check = row('Tasks');
const ABLE_WITH_TASKS = { ...ABLE, extensions: { [TASKS]: {} } };
const ENDED = ['completed', 'failed', 'cancelled'];
const withV1 = ({ kind }: Meeting): boolean => kind.sdk === 1;

/** Asks after a task until `enough`. */
function follow(raw: RawModern, taskId: string, enough: (task: Json) => boolean): Promise<Json> {
  return until(async () => {
    const { result } = await raw.request('tasks/get', { taskId });
    return result && enough(result) ? result : undefined;
  }, `task ${taskId}`);
}
const ended = ({ status }: Json): boolean => ENDED.includes(String(status));

/** Calls a tool that becomes a task; gives the id. */
async function started(raw: RawModern, name: string, args: Json = {}): Promise<string> {
  const created = await raw.call(name, args);
  expect(created).toMatchObject({
    resultType: 'task',
    taskId: expect.any(String) as string,
    status: expect.any(String) as string,
    createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
    lastUpdatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
  });
  expect(created).toHaveProperty('ttlMs');
  for (const member of ['task', 'ttl', 'pollInterval']) expect(created).not.toHaveProperty(member);
  return String(created['taskId']);
}

check(
  ['legacy-legacy'],
  'A legacy client runs a task: creates it, gets it, lists it, and fetches its result',
  async (meeting) => {
    const { v1 } = await meeting.client();
    if (!v1) throw new Error('only SDK v1 has tasks');
    await v1.listTools();
    const seen: string[] = [];
    let taskId = '';
    let text = '';
    for await (const message of v1.experimental.tasks.callToolStream(
      { name: 'task_required', arguments: { label: 'the work' } },
      undefined,
      { task: { ttl: 60_000 } },
    )) {
      seen.push(message.type);
      if (message.type === 'taskCreated') ({ taskId } = message.task);
      if (message.type === 'error') throw message.error;
      if (message.type === 'result') text = textOf(message.result);
    }
    expect(seen[0]).toBe('taskCreated');
    expect(text).toBe('the work is done');
    expect(await v1.experimental.tasks.getTask(taskId)).toMatchObject({ taskId, status: 'completed' });
    const { tasks } = await v1.experimental.tasks.listTasks();
    expect(tasks.map((task) => task.taskId)).toContain(taskId);
  },
  withV1,
);

check(
  ['legacy-legacy'],
  'A task of a legacy server asks a question',
  async (meeting) => {
    const client = await meeting.client();
    const { v1 } = client;
    if (!v1) throw new Error('only SDK v1 has tasks');
    await v1.listTools();
    let text = '';
    for await (const message of v1.experimental.tasks.callToolStream(
      { name: 'task_asking', arguments: {} },
      undefined,
      { task: { ttl: 60_000 } },
    ))
      if (message.type === 'result') text = textOf(message.result);
    expect(JSON.parse(text)).toEqual({ action: 'accept', content: { name: 'my name' } });
    expect(client.asked).toHaveLength(1);
  },
  withV1,
);

check(
  ['legacy-legacy'],
  'A legacy client cancels its task',
  async (meeting) => {
    const { v1 } = await meeting.client();
    if (!v1) throw new Error('only SDK v1 has tasks');
    await v1.listTools();
    const cancelled: unknown[] = [];
    for await (const message of v1.experimental.tasks.callToolStream(
      { name: 'task_endless', arguments: {} },
      undefined,
      { task: { ttl: 60_000 }, timeout: NET },
    )) {
      if (message.type !== 'taskCreated') continue;
      const { taskId } = message.task;
      expect(await v1.experimental.tasks.cancelTask(taskId)).toMatchObject({ taskId, status: 'cancelled' });
      cancelled.push(taskId);
      break;
    }
    expect(cancelled).toHaveLength(1);
  },
  withV1,
);

check(['modern-modern'], 'A call becomes a task, which ends with its result', async (meeting) => {
  const raw = meeting.raw(ABLE_WITH_TASKS);
  const taskId = await started(raw, 'slow_compute', { seconds: 0.1, label: 'It' });
  const { status, result } = await follow(raw, taskId, ended);
  expect(status).toBe('completed');
  expect(textOf(result as Json)).toBe('It took 0.1 s');
});

check(
  ['modern-modern'],
  'A tool error is the result of its task, a protocol error is its error',
  async (meeting) => {
    const raw = meeting.raw(ABLE_WITH_TASKS);
    const [failing, broken] = [await started(raw, 'failing_job'), await started(raw, 'protocol_error_job')];
    expect(await follow(raw, failing, ended)).toMatchObject({
      status: 'completed',
      result: { isError: true },
    });
    expect(await follow(raw, broken, ended)).toMatchObject({ status: 'failed', error: { code: -32603 } });
  },
);

check(['modern-modern'], 'Without the extension the server is told so', async (meeting) => {
  const raw = meeting.raw();
  expect(textOf(await raw.call('slow_compute', { seconds: 0, label: 'It' }))).toBe('It took 0 s');
  const { status, error } = await raw.request('tools/call', { name: 'failing_job', arguments: {} });
  expect(status).toBe(400);
  expect(error).toMatchObject({
    code: -32021,
    data: { requiredCapabilities: { extensions: { [TASKS]: {} } } },
  });
});

check(['modern-modern'], 'News of a task come on a stream that asks for them', async (meeting) => {
  const raw = meeting.raw(ABLE_WITH_TASKS);
  const taskId = await started(raw, 'confirm_delete', { filename: 'a.txt' });
  await follow(raw, taskId, ({ status }) => status === 'input_required');
  const { exchange, close } = await raw.open('subscriptions/listen', {
    notifications: { taskIds: [taskId] },
  });
  await until(() => exchange.messages.length > 0, 'the acknowledgement');
  expect(exchange.messages[0]?.params).toMatchObject({ notifications: { taskIds: [taskId] } });
  await raw.request('tasks/cancel', { taskId });
  await until(() => exchange.messages.length > 1, 'news of the task');
  expect(exchange.messages[1]).toMatchObject({
    method: 'notifications/tasks',
    params: { taskId, status: 'cancelled' },
  });
  close();
});

check(['modern-modern'], 'Tasks are found again on the merged endpoint', async (meeting) => {
  const raw = new RawModern(gateway.url, meeting.kind, ABLE_WITH_TASKS);
  const taskId = await started(raw, `${meeting.upstream()}__slow_compute`, { seconds: 0.1, label: 'It' });
  const { taskId: same, status } = await follow(raw, taskId, ended);
  expect(same).toBe(taskId);
  expect(status).toBe('completed');
});

check(
  ['modern-legacy'],
  'A call of a task tool becomes a task, which ends with its result',
  async (meeting) => {
    const raw = meeting.raw(ABLE_WITH_TASKS);
    const taskId = await started(raw, 'task_required', { label: 'The work' });
    const { status, result } = await follow(raw, taskId, ended);
    expect(status).toBe('completed');
    expect(textOf(result as Json)).toBe('The work is done');
  },
);

check(['modern-legacy'], 'Without the extension the call waits for the plain result', async (meeting) => {
  const client = await meeting.client();
  expect(await client.say('task_required', { label: 'The work' })).toBe('The work is done');
  expect(await client.say('task_optional', { label: 'The work' })).toBe('The work is done');
});

check(
  ['modern-modern', 'modern-legacy'],
  'A task asks a question and continues with the answer',
  async (meeting) => {
    const raw = meeting.raw(ABLE_WITH_TASKS);
    const taskId =
      meeting.server === 'legacy'
        ? await started(raw, 'task_asking')
        : await started(raw, 'confirm_delete', { filename: 'a.txt' });
    const { inputRequests } = await follow(raw, taskId, ({ status }) => status === 'input_required');
    const [[key, question] = ['', undefined]] = Object.entries(inputRequests as Json);
    expect(question).toMatchObject({ method: 'elicitation/create' });
    const answer = { action: 'accept', content: { name: 'N' } };
    const { result } = await raw.request('tasks/update', { taskId, inputResponses: { [key]: answer } });
    expect(result).toMatchObject({ resultType: 'complete' });
    expect(result).not.toHaveProperty('taskId');
    const last = await follow(raw, taskId, ended);
    expect(last['status']).toBe('completed');
    expect(textOf(last['result'] as Json)).toContain(JSON.stringify(answer).slice(1, -1));
  },
);

check(
  ['modern-modern', 'modern-legacy'],
  'A task is cancelled, and an unknown one is invalid',
  async (meeting) => {
    const raw = meeting.raw(ABLE_WITH_TASKS);
    const taskId =
      meeting.server === 'legacy'
        ? await started(raw, 'task_endless')
        : await started(raw, 'slow_compute', { seconds: 60, label: newKey() });
    const { result } = await raw.request('tasks/cancel', { taskId });
    expect(result).toMatchObject({ resultType: 'complete' });
    expect((await follow(raw, taskId, ended))['status']).toBe('cancelled');
    const { error } = await raw.request('tasks/get', { taskId: 'nobody-knows' });
    expect(error?.code).toBe(-32602);
  },
);

check(['modern-legacy'], 'A client without the extension has no methods of tasks', async (meeting) => {
  const { status, error } = await meeting.raw().request('tasks/get', { taskId: 'any' });
  expect(status).toBe(400);
  expect(error).toMatchObject({
    code: -32021,
    data: { requiredCapabilities: { extensions: { [TASKS]: {} } } },
  });
});

check(['legacy-modern'], 'The gateway waits for a task and answers with its result', async (meeting) => {
  const client = await meeting.client();
  expect(await client.say('slow_compute', { seconds: 0.2, label: 'It' })).toBe('It took 0.2 s');
});

// Its tool takes a second.
const oneOfThem = ({ kind, transport }: Meeting): boolean =>
  kind.revision === '2025-11-25' && transport === 'HTTP';
check(
  ['legacy-modern'],
  'A tool error of a task is the result of the call',
  async (meeting) => {
    const client = await meeting.client();
    const failed = await client.call('failing_job');
    expect(failed).toMatchObject({ isError: true, content: [{ text: 'The job failed' }] });
  },
  oneOfThem,
);

check(['legacy-modern'], 'A task that the protocol fails is an error', async (meeting) => {
  const client = await meeting.client();
  await expect(client.call('protocol_error_job')).rejects.toThrow(/The job went to pieces/);
  expect(client.last('tools/call').answer.error?.code).toBe(-32603);
});

check(
  ['legacy-modern'],
  'A question of a task is asked on the stream of the call',
  async (meeting) => {
    const client = await meeting.client();
    expect(JSON.parse(await client.say('confirm_delete', { filename: 'a.txt' }))).toMatchObject({
      filename: 'a.txt',
      answer: { action: 'accept', content: { confirm: 'my confirm' } },
    });
    expect(client.asked).toMatchObject([{ params: { message: 'Delete a.txt?' } }]);
    const both = JSON.parse(await client.say('multi_input')) as Json;
    expect(Object.keys(both).sort()).toEqual(['first', 'second']);
    expect(client.asked).toHaveLength(3);
    expect(await client.say('test_tool_with_task')).toBe('Hello, my name, after a while');
  },
  asksUsers,
);

check(['legacy-modern'], 'A call that is given up cancels its task', async (meeting) => {
  const client = await meeting.client();
  const key = `${newKey()} of ${meeting.title}`;
  const controller = new AbortController();
  const call = client.call('slow_compute', { seconds: 60, label: key }, { signal: controller.signal });
  call.catch(() => {});
  await became(client, key, 'waiting');
  controller.abort();
  await expect(call).rejects.toThrow();
  await became(client, key, 'cancelled');
});

check(['legacy-modern'], 'A legacy client is told of no tasks', async (meeting) => {
  const client = await meeting.client();
  expect(client.capabilities).not.toHaveProperty('tasks');
  for (const tool of await client.list('tools')) expect(tool).not.toHaveProperty('execution');
});
