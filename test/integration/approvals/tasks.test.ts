/** Held calls whose clients want a task: they go on, and the task is that of the server once somebody has said yes. */
import { describe, expect, it } from 'vitest';
import { createConsoleKey } from '../../../src/lib/console-key.js';
import { createUpstream, tool, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { send, type JsonRpc } from '../../helpers/http.js';
import { connect } from '../../helpers/legacy.js';
import { answerTo, call, createModernUpstream } from '../../helpers/modern.js';
import { scratchFolder } from '../../helpers/state.js';
import { until } from '../../helpers/wait.js';

type Json = Record<string, unknown>;
const KEY = createConsoleKey();
const TASKS = 'io.modelcontextprotocol/tasks';
const TIMES = { createdAt: '2026-11-23T00:00:00Z', lastUpdatedAt: '2026-11-23T00:00:00Z' };
const WORK = [tool('work', { execution: { taskSupport: 'optional' } })];
const PAID = { content: [{ type: 'text', text: 'paid' }] };

interface Counted {
  readonly upstream: Upstream;
  readonly calls: unknown[];
  readonly cancelled: unknown[];
}

/** `refuses`: it answers calls with an error. */
async function legacyServer(refuses = false): Promise<Counted> {
  const [calls, cancelled]: unknown[][] = [[], []];
  const upstream = await createUpstream({
    tools: WORK,
    sessions: true,
    capabilities: { tools: {}, tasks: { requests: { tools: { call: {} } }, cancel: {}, list: {} } },
    onRequest(asked) {
      const { method, params } = asked.message;
      const state = { taskId: params?.['taskId'], ...TIMES, ttl: 60_000 };
      if (method === 'tasks/get') asked.result({ ...state, status: 'completed' });
      else if (method === 'tasks/result') asked.result(PAID);
      else if (method === 'tasks/cancel') {
        (cancelled as unknown[]).push(params?.['taskId']);
        asked.result({ ...state, status: 'cancelled' });
      } else return undefined;
      return true;
    },
    onCall(asked) {
      (calls as unknown[]).push(asked.args);
      if (refuses) asked.error(-31_999, 'no such account', { account: 7 });
      else if (asked.params['task'] === undefined) asked.result(PAID);
      else asked.result({ task: { taskId: 't1', status: 'working', ...TIMES, ttl: 60_000 } });
    },
  });
  return { upstream, calls: calls as unknown[], cancelled: cancelled as unknown[] };
}

/** `makes`: it makes tasks; otherwise it answers at once. */
async function modernServer(makes: boolean): Promise<Counted> {
  const calls: unknown[] = [];
  const state = { taskId: 't1', ...TIMES, ttlMs: 60_000, pollIntervalMs: 20 };
  const upstream = await createModernUpstream({
    tools: WORK,
    capabilities: { tools: {}, extensions: { [TASKS]: {} } },
    onRequest(asked) {
      const { method } = asked.message;
      if (method === 'tools/call') {
        calls.push(asked.args);
        asked.result(
          makes ? { resultType: 'task', ...state, status: 'working' } : { resultType: 'complete', ...PAID },
        );
      } else if (method === 'tasks/get')
        asked.result({ resultType: 'complete', ...state, status: 'completed', result: PAID });
      else return undefined;
      return true;
    },
  });
  return { upstream, calls, cancelled: [] };
}

const start = ({ upstream }: Counted): Promise<RunningGateway> =>
  startGateway(
    {
      servers: [{ name: 'bank', url: upstream.url }],
      policy: { default: 'allow', rules: [{ name: 'ask', hold: [{ by: 'caller', confirm: 'page' }] }] },
      state: { dir: scratchFolder() },
    },
    { wait: [], env: { MCPSTEAD_CONSOLE_KEY: KEY } },
  );

/** The holder of the console key decides about the only call that is open. */
async function decide({ base }: RunningGateway, decision: 'approve' | 'deny'): Promise<void> {
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
  const read = await send(`${base}/-/api/v1/approvals`, undefined, { headers });
  const { approvals } = read.json<{ approvals: { id: string; digest: string; state: string }[] }>();
  const open = approvals.filter(({ state }) => state === 'open');
  expect(open).toHaveLength(1);
  const [{ id = '', digest = '' } = {}] = open;
  expect((await send(`${base}/-/api/v1/approvals/${id}`, { decision, digest }, { headers })).status).toBe(
    200,
  );
}

const resultOf = ({ result }: JsonRpc): Json => result ?? {};

describe('a legacy client', () => {
  async function asked(bank: Counted) {
    const gateway = await start(bank);
    const client = await connect(gateway.url);
    const params = { name: 'bank__work', arguments: { n: 1 }, task: { ttl: 60_000 } };
    const made = resultOf(await client.request('tools/call', params))['task'] as Json;
    expect(made).toMatchObject({
      status: 'working',
      // Whoever repeats the call makes a second one: the task is sent on yes.
      statusMessage: expect.stringMatching(/^'work' waits for .*: open \S+\/-\/approvals\/[\w-]+$/) as string,
      pollInterval: expect.any(Number) as number,
    });
    const about = (method: string): Promise<JsonRpc> => client.request(method, { taskId: made['taskId'] });
    return { gateway, client, id: made['taskId'], about };
  }

  it('gets the task of the server after the yes, under the id that it knows', async () => {
    const bank = await legacyServer();
    const { gateway, id, about } = await asked(bank);
    expect(resultOf(await about('tasks/get'))).toMatchObject({ taskId: id, status: 'working' });
    const result = about('tasks/result');
    expect(bank.calls).toEqual([]);
    await decide(gateway, 'approve');
    expect(resultOf(await result)).toMatchObject(PAID);
    expect(resultOf(await about('tasks/get'))).toMatchObject({ taskId: id, status: 'completed' });
    expect(bank.calls).toEqual([{ n: 1 }]);
    await about('tasks/cancel');
    expect(bank.cancelled).toEqual(['t1']);
  });

  it('reads of a no in the task', async () => {
    const bank = await legacyServer();
    const { gateway, about } = await asked(bank);
    const result = about('tasks/result');
    await decide(gateway, 'deny');
    expect((await result).error).toMatchObject({
      code: -32000,
      message: expect.stringContaining('not sent') as string,
    });
    expect(resultOf(await about('tasks/get'))).toMatchObject({ status: 'failed' });
    expect((await about('tasks/cancel')).error?.code).toBe(-32602);
    expect(bank.calls).toEqual([]);
  });

  it('reads the error of its server in the task', async () => {
    const bank = await legacyServer(true);
    const { gateway, about } = await asked(bank);
    const early = about('tasks/result');
    await decide(gateway, 'approve');
    const error = { code: -31_999, message: 'no such account', data: { account: 7 } };
    expect((await early).error).toEqual(error);
    expect((await about('tasks/result')).error).toEqual(error);
  });

  it('finds its tasks in the list, and nobody else does', async () => {
    const bank = await legacyServer();
    const { gateway, client, id } = await asked(bank);
    const tasksOf = async (of: typeof client): Promise<unknown> =>
      resultOf(await of.request('tasks/list', {}))['tasks'];
    expect(await tasksOf(client)).toMatchObject([{ taskId: id, status: 'working' }]);
    expect(await tasksOf(await connect(gateway.server('bank')))).toEqual([]);
  });

  it('cancels the task before anybody has said yes: a later yes is for the next call', async () => {
    const bank = await legacyServer();
    const { gateway, about, client } = await asked(bank);
    expect(resultOf(await about('tasks/cancel'))).toMatchObject({ status: 'cancelled' });
    await decide(gateway, 'approve');
    expect(resultOf(await about('tasks/get'))).toMatchObject({ status: 'cancelled' });
    expect(bank.calls).toEqual([]);
    expect(await client.tool('bank__work', { n: 1 })).toBe('paid');
    expect(bank.calls).toHaveLength(1);
  });

  it('has a task that is unknown to others', async () => {
    const bank = await legacyServer();
    const { gateway, id } = await asked(bank);
    const onServer = await connect(gateway.server('bank'));
    expect((await onServer.request('tasks/get', { taskId: id })).error?.code).toBe(-32602);
  });
});

describe.each([
  ['that makes a task', true],
  ['that answers at once', false],
])('a client of 2026-07-28, of a server %s', (_, makes) => {
  const options = { capabilities: { extensions: { [TASKS]: {} } } };

  it('asks for the state of its task until the call was made', async () => {
    const bank = await modernServer(makes);
    const gateway = await start(bank);
    await until(async () => (await answerTo(gateway.url, 'tools/list')).result?.['tools'], 'the tools');
    const made = resultOf(await call(gateway.url, 'bank__work', { n: 1 }, options));
    expect(made).toMatchObject({ resultType: 'task', status: 'working' });
    const { taskId } = made;
    const get = async (): Promise<Json> =>
      resultOf(await answerTo(gateway.url, 'tasks/get', { taskId }, options));
    expect(await get()).toMatchObject({ resultType: 'complete', taskId, status: 'working' });
    expect(bank.calls).toEqual([]);
    await decide(gateway, 'approve');
    const done = await until(async () => {
      const state = await get();
      return state['status'] === 'completed' ? state : undefined;
    }, 'the end of the task');
    expect(done).toMatchObject({ taskId, result: PAID });
    expect(bank.calls).toEqual([{ n: 1 }]);
  });
});
