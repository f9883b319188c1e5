/** Clients of 2026-07-28 in a fleet, whose requests have no session: what they are about is found from every replica. */
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import {
  newKey,
  startProcesses,
  startReplica,
  startReplicas,
  together,
  type ReplicaProcess,
} from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { textOf, type JsonRpc, type SseStream } from '../../helpers/http.js';
import { heard } from '../../helpers/legacy.js';
import {
  answerTo,
  call,
  createModernUpstream,
  EVERYTHING,
  needs,
  stream,
  type Modern,
} from '../../helpers/modern.js';
import { startStore, type TestStore } from '../../helpers/store.js';
import { everythingStdio, scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const able: Modern = { capabilities: EVERYTHING };
const accepted = { action: 'accept', content: { name: 'Ada' } };

async function startUpstream() {
  return createUpstream({
    tools: [tool('once')],
    onCall: async (asked) => {
      const schema = { type: 'object', properties: { name: { type: 'string' } } };
      const answer = await asked.ask('elicitation/create', { message: 'Name?', requestedSchema: schema });
      asked.text(JSON.stringify(answer.result));
    },
  });
}

it('a retry may come to any replica', async () => {
  const store = await startStore();
  const upstream = await startUpstream();
  const [a, b] = (await startReplicas(2, store, { servers: [{ name: 'u', url: upstream.url }] })) as [
    RunningGateway,
    RunningGateway,
  ];
  const { requestState, inputRequests } = needs(await call(a.url, 'u__once', {}, able));
  const [key = ''] = Object.keys(inputRequests);
  const more = { requestState, inputResponses: { [key]: accepted } };
  expect(textOf(await call(b.url, 'u__once', {}, { ...able, more }))).toContain('Ada');
  const late = await call(b.url, 'u__once', {}, { ...able, more });
  expect(late.error).toMatchObject({ code: -32602, data: { reason: 'gone' } });
});

it('a retry whose replica is gone is told so', async () => {
  const store = await startStore();
  const upstream = await startUpstream();
  const config = { servers: [{ name: 'u', url: upstream.url }] };
  const [a, b] = (await startProcesses(2, store, config, newKey())) as [ReplicaProcess, ReplicaProcess];
  const { requestState, inputRequests } = needs(await call(a.url, 'u__once', {}, able));
  const [key = ''] = Object.keys(inputRequests);
  a.kill('SIGKILL');
  await a.exit();
  const more = { requestState, inputResponses: { [key]: accepted } };
  const answer = await call(b.url, 'u__once', {}, { ...able, more });
  expect(answer.error).toMatchObject({ code: -32602, data: { reason: 'gone' } });
});

type Json = Record<string, unknown>;
type Pair = [RunningGateway, RunningGateway];

const TASKS = 'io.modelcontextprotocol/tasks';
const withTasks: Modern = { capabilities: { elicitation: {}, extensions: { [TASKS]: {} } } };
const resultOf = (answer: JsonRpc): Json => answer.result as Json;
const each = { placement: 'each' as const };

async function taskAt(url: string, taskId: unknown, options = withTasks): Promise<JsonRpc> {
  return answerTo(url, 'tasks/get', { taskId }, options);
}

const follow = (url: string, taskId: unknown, status: string): Promise<Json> =>
  until(async () => {
    const state = resultOf(await taskAt(url, taskId));
    return state['status'] === status && state;
  }, `the task to be ${status}`);

async function grantedTo(opened: SseStream): Promise<unknown> {
  const [first] = await until(async () => {
    const told = await heard(opened, 'notifications/subscriptions/acknowledged');
    return told.length > 0 && told;
  }, 'the acknowledgement');
  return first?.params?.['notifications'];
}

describe('a task of a server that runs once in each replica', () => {
  // server-everything keeps its tasks in its own memory.
  const config = { servers: [{ ...everythingStdio(), ...each }] };
  const name = 'everything__simulate-research-query';
  const args = { topic: 'python', ambiguous: true };

  it('is asked for, answered and followed at any replica', async () => {
    const [a, b] = (await startReplicas(2, await startStore(), config)) as Pair;
    const { taskId } = resultOf(await call(a.url, name, args, withTasks));
    expect(taskId).toMatch(/^t\.[0-9a-f]{10}\.[\w-]+\.everything__/);
    const opened = await stream(
      b.url,
      'subscriptions/listen',
      { notifications: { taskIds: [taskId] } },
      withTasks,
    );
    expect(await grantedTo(opened)).toEqual({ taskIds: [taskId] });
    const { inputRequests } = await follow(b.url, taskId, 'input_required');
    const [key = ''] = Object.keys(inputRequests as Json);
    const answer = { action: 'accept', content: { interpretation: 'snake' } };
    await answerTo(b.url, 'tasks/update', { taskId, inputResponses: { [key]: answer } }, withTasks);
    const last = await follow(b.url, taskId, 'completed');
    expect(last['taskId']).toBe(taskId);
    expect(textOf(last as JsonRpc)).toContain('python (snake)');
    const told = await until(async () => {
      const all = await heard(opened, 'notifications/tasks');
      return all.find(({ params }) => params?.['status'] === 'completed');
    }, 'the news of the task');
    expect(told.params?.['taskId']).toBe(taskId);
    expect(await b.metric('mcpstead_fleet_forwarded_total{result="answered"}')).toBeGreaterThan(0);
  });

  it('is the same on the route of its server, and unknown on another one', async () => {
    const [a, b] = (await startReplicas(2, await startStore(), config)) as Pair;
    const route = '/servers/everything/mcp';
    const { taskId } = resultOf(await call(`${a.base}${route}`, 'simulate-research-query', args, withTasks));
    expect(taskId).toMatch(/^t\.[0-9a-f]{10}\./);
    const state = await follow(`${b.base}${route}`, taskId, 'input_required');
    expect(state['taskId']).toBe(taskId);
    expect((await taskAt(b.url, taskId)).error).toMatchObject({ code: -32602 });
    const cancelled = await answerTo(`${b.base}${route}`, 'tasks/cancel', { taskId }, withTasks);
    expect(cancelled.error).toBeUndefined();
    expect((await follow(`${b.base}${route}`, taskId, 'cancelled'))['taskId']).toBe(taskId);
  });

  it('does not exist for another principal, nor under a changed id, which is sent to no replica', async () => {
    const keys = [createApiKey(), createApiKey()];
    const auth = { keys: ['ann', 'ben'].map((of, i) => ({ name: of, sha256: [hashApiKey(keys[i] ?? '')] })) };
    const [a, b] = (await startReplicas(2, await startStore(), { ...config, mcp: { auth } })) as Pair;
    const as = (key = ''): Modern => ({ ...withTasks, headers: { authorization: `Bearer ${key}` } });
    const ann = as(keys[0]);
    const { taskId } = resultOf(await call(a.url, name, args, ann));
    const forwarded = (): Promise<number> => b.metric('mcpstead_fleet_forwarded_total{result="answered"}');
    expect((await taskAt(b.url, taskId, ann)).error).toBeUndefined();
    const before = await forwarded();
    expect((await taskAt(b.url, taskId, as(keys[1]))).error).toMatchObject({ code: -32602 });
    const changed = String(taskId).replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'));
    expect((await taskAt(b.url, changed, ann)).error).toMatchObject({ code: -32602 });
    expect((await taskAt(b.url, String(taskId).split('.')[3], ann)).error).toMatchObject({ code: -32602 });
    expect(await forwarded()).toBe(before);
  });
});

it('a task outlives the replica that made it where its server keeps it', async () => {
  const store = await startStore();
  const state = { taskId: 'one', status: 'working', createdAt: '2026-01-01T00:00:00Z', ttlMs: 60_000 };
  const upstream = await createModernUpstream({
    tools: [tool('work')],
    capabilities: { tools: {}, extensions: { [TASKS]: {} } },
    onRequest: (asked) => {
      const { method } = asked.message;
      if (method === 'tools/call') asked.result({ resultType: 'task', ...state });
      else if (method === 'tasks/get') asked.result({ resultType: 'complete', ...state });
      else return undefined;
      return true;
    },
  });
  const config = { servers: [{ name: 'u', url: upstream.url }] };
  const [a, b] = (await startProcesses(2, store, config)) as [ReplicaProcess, ReplicaProcess];
  const { taskId } = resultOf(await call(a.url, 'u__work', {}, withTasks));
  a.kill('SIGKILL');
  await a.exit();
  // Before b knows that a is gone, it finds that it cannot reach it.
  for (let round = 0; round < 2; round++) {
    expect(resultOf(await taskAt(b.url, taskId))).toMatchObject({ taskId, status: 'working' });
    await together(b.base);
  }
});

describe('a server with a session for each client', () => {
  const config = { servers: [{ ...scriptedStdio('s'), session: 'per-client' as const }] };
  const clients: Modern[] = ['one', 'two', 'three', 'four', 'five', 'six'].map((name) => ({
    clientInfo: { name, version: '1' },
  }));
  const pidOf = async (url: string, client: Modern): Promise<string> =>
    textOf(await call(url, 's__pid', {}, client));
  const pids = (url: string): Promise<string[]> => Promise.all(clients.map((client) => pidOf(url, client)));

  it('has one process for each of them, wherever their requests arrive', async () => {
    const [a, b, c] = await startReplicas(3, await startStore(), config);
    const all = await pids(a?.url ?? '');
    expect(new Set(all).size).toBe(clients.length);
    expect(await pids(b?.url ?? '')).toEqual(all);
    expect(await pids(c?.url ?? '')).toEqual(all);
  });

  it('loses only the clients of a replica that is killed, each of which gets one new process', async () => {
    const replicas = await startProcesses(3, await startStore(), config);
    const [a, b, c] = replicas as [ReplicaProcess, ReplicaProcess, ReplicaProcess];
    const before = await pids(a.url);
    c.kill('SIGKILL');
    await c.exit();
    const after = await pids(a.url);
    expect(await pids(b.url)).toEqual(after);
    await together(a.base, b.base);
    expect(await pids(a.url)).toEqual(after);
    expect(await pids(b.url)).toEqual(after);
    const alive = before.filter((pid) => {
      try {
        return process.kill(Number(pid), 0);
      } catch {
        return false;
      }
    });
    expect(alive.every((pid) => after.includes(pid))).toBe(true);
  });
});

it('a request for a server that is down in one replica goes to one where it is up', async () => {
  const store: TestStore = await startStore();
  const key = newKey();
  const up = { servers: [{ ...scriptedStdio('s'), ...each }] };
  const down = { servers: [{ name: 's', command: 'false', ...each }] };
  const [a, b] = await Promise.all([
    startReplica(store, up, { key }),
    startReplica(store, down, { key, wait: [] }),
  ]);
  await together(a.base, b.base);
  const pid = textOf(await call(a.url, 's__pid'));
  await until(async () => textOf(await call(b.url, 's__pid')) === pid, 'b to know where the server is up');
  expect(textOf(await call(`${b.base}/servers/s/mcp`, 'pid'))).toBe(pid);
  // One that has just started knows the others from its first request on.
  const c = await startReplica(store, down, { key, wait: [] });
  expect(textOf(await call(c.url, 's__pid'))).toBe(pid);
});

it('a retry with the state of a server goes to a replica that is connected to it in this era', async () => {
  const store: TestStore = await startStore();
  const key = newKey();
  const modern = await createModernUpstream({
    tools: [tool('once')],
    onCall(asked) {
      const given = asked.params['inputResponses'];
      if (given) return asked.text(JSON.stringify(given), { resultType: 'complete' });
      asked.result({
        ...{ resultType: 'input_required', requestState: 'of the server' },
        inputRequests: {
          who: {
            method: 'elicitation/create',
            params: { message: 'Name?', requestedSchema: { type: 'object', properties: {} } },
          },
        },
      });
    },
  });
  const legacy = await startUpstream();
  const [a, b] = await Promise.all([
    startReplica(store, { servers: [{ name: 'u', url: modern.url }] }, { key }),
    startReplica(store, { servers: [{ name: 'u', url: legacy.url }] }, { key }),
  ]);
  await together(a.base, b.base);
  const { requestState, inputRequests } = needs(await call(a.url, 'u__once', {}, able));
  const [who = ''] = Object.keys(inputRequests);
  const more = { requestState, inputResponses: { [who]: accepted } };
  const retried = await until(async () => {
    const answer = await call(b.url, 'u__once', {}, { ...able, more });
    return answer.error ? undefined : answer;
  }, 'b to know where the server is of this era');
  expect(textOf(retried)).toContain('Ada');
});
