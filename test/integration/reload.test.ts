import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  JSON_ONLY,
  message,
  openSession,
  openSse,
  post,
  send,
  textOf,
} from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { sleep, until } from '../helpers/wait.js';

/** A server whose calls take a while. */
const working = (ms = 20): Promise<Upstream> =>
  createUpstream({
    sessions: true,
    getStream: true,
    tools: [tool('work'), tool('long')],
    onCall: async (call: Call) => {
      if (call.params.name === 'long') {
        for (let n = 1; n <= 15; n++) {
          call.progress(n);
          await sleep(100);
        }
      } else await sleep(Math.random() * ms);
      call.text(JSON.stringify(call.args));
    },
  });

const initialized = (upstream: Upstream): number => upstream.received('initialize').length;
const names = async (url: string): Promise<string[]> => {
  const { result } = message(await post(url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }));
  return (result?.['tools'] as { name: string }[]).map((one) => one.name);
};

test('ten reloads under eight busy clients: not one failed call, and what did not change is untouched', async () => {
  const same = await working();
  const moved = await working();
  const tuned = await working();
  const extra = await working();
  const config = (round: number): ConfigInput => ({
    servers: [
      same.entry('same'),
      moved.entry('moved', { headers: { 'X-Round': String(round) } }),
      tuned.entry('tuned', { tools: { ttl_seconds: 100 + round }, timeouts: { request_ms: 60_000 + round } }),
      { ...scriptedStdio('child'), env: { ROUND: String(round) } },
      scriptedStdio('stays'),
      ...(round % 2 ? [extra.entry('extra')] : []),
    ],
  });
  const gateway = await startGateway(config(0));
  const pid = textOf(await callTool(gateway.url, 'stays__pid'));
  const session = await openSession(gateway.url);
  const listening = await openSse(gateway.url, undefined, session);

  let busy = true;
  let calls = 0;
  const failures: string[] = [];
  const client = async (n: number): Promise<void> => {
    const headers = n % 2 ? await openSession(gateway.url) : {};
    const tools = ['same__work', 'moved__work', 'tuned__work', 'child__slow', 'stays__slow'];
    for (let k = n; busy; k++) {
      const name = tools[k % tools.length] ?? '';
      try {
        const answer = await post(gateway.url, callBody(name, { n, k, ms: 10 }, k), headers);
        const { error, id } = message(answer);
        if (error || id !== k || !answer.complete) failures.push(`${name}: ${answer.text}`);
      } catch (error) {
        failures.push(`${name}: ${String(error)}`);
      }
      calls++;
    }
  };
  const clients = Array.from({ length: 8 }, (_, n) => client(n));
  const long = ['same__long', 'moved__long'].map((name) =>
    openSse(gateway.url, callBody(name, { name }, 'long', { progressToken: 't' })),
  );
  await sleep(150);

  for (let round = 1; round <= 10; round++) {
    const result = await gateway.gateway.reload(config(round));
    expect(result).toMatchObject({
      added: round % 2,
      removed: 1 - (round % 2),
      restarted: 2,
      updated: 1,
      unchanged: 2,
    });
    // One that is still on its way when the next one comes is never dialled.
    await until(() => initialized(moved) === round + 1, `the link of round ${round}`);
  }
  for (const opening of long) {
    const stream = await opening;
    await stream.done(10_000);
    expect(stream.events.length).toBe(16);
    expect(stream.events.at(-1)?.data).toContain('"result"');
  }
  busy = false;
  await Promise.all(clients);

  expect(failures).toEqual([]);
  expect(calls).toBeGreaterThan(50);
  expect(initialized(same)).toBe(1);
  expect(initialized(tuned)).toBe(1);
  expect(initialized(moved)).toBe(11);
  expect(textOf(await callTool(gateway.url, 'stays__pid'))).toBe(pid);
  // The child of the last round may still be on its way: until it is up, the one before serves.
  const round = async (): Promise<unknown> =>
    (JSON.parse(textOf(await callTool(gateway.url, 'child__env'))) as { ROUND?: unknown }).ROUND;
  await until(async () => (await round()) === '10', 'the child of the last round');
  await callTool(gateway.url, 'moved__work');
  expect(moved.calls().at(-1)?.headers['x-round']).toBe('10');
  expect(listening.ended).toBe(false);
  expect(await gateway.metric('mcpstead_config_reloads_total{result="success"}')).toBe(10);
  expect((await gateway.health()).status).toBe('ok');
}, 40_000);

describe('what a reload does', () => {
  test('an added server is connected and announced, a removed one is gone and announced', async () => {
    const a = await working();
    const b = await working();
    const gateway = await startGateway({ servers: [a.entry('a')] });
    const stream = await openSse(gateway.url, undefined, await openSession(gateway.url));
    expect(await gateway.gateway.reload({ servers: [a.entry('a'), b.entry('b')] })).toMatchObject({
      added: 1,
      unchanged: 1,
    });
    await gateway.up('b');
    expect((await stream.message()).method).toBe('notifications/tools/list_changed');
    expect(await names(gateway.url)).toEqual(['a__work', 'a__long', 'b__work', 'b__long']);
    expect(await gateway.gateway.reload({ servers: [b.entry('b')] })).toMatchObject({
      removed: 1,
      unchanged: 1,
    });
    expect((await stream.message()).method).toBe('notifications/tools/list_changed');
    expect(await names(gateway.url)).toEqual(['b__work', 'b__long']);
    expect((await callTool(gateway.url, 'a__work')).error?.code).toBe(-32602);
    expect((await post(gateway.server('a'), callBody('work'))).status).toBe(404);
    await until(() => a.streams.size === 0, 'the end of the upstream connection');
    expect(await gateway.metrics()).not.toContain('server="a"');
  });

  test('calls in flight on a removed server may end', async () => {
    const a = await working();
    const gateway = await startGateway({ servers: [a.entry('a')] });
    const stream = await openSse(gateway.url, callBody('a__long', {}, 1, { progressToken: 1 }));
    await stream.message();
    await gateway.gateway.reload({ servers: [] });
    await stream.done();
    expect(stream.events.at(-1)?.data).toContain('"result"');
  });

  test('a session of a removed server alone, and its stream, end', async () => {
    const a = await working();
    const gateway = await startGateway({ servers: [a.entry('a')] });
    const session = await openSession(gateway.server('a'));
    const merged = await openSession(gateway.url);
    const stream = await openSse(gateway.server('a'), undefined, session);
    await gateway.gateway.reload({ servers: [] });
    await stream.done();
    expect(stream.complete).toBe(true);
    expect(
      await gateway.metric('mcpstead_downstream_session_terminations_total{reason="server_removed"}'),
    ).toBe(1);
    expect((await post(gateway.url, { jsonrpc: '2.0', id: 1, method: 'ping' }, merged)).status).toBe(200);
  });

  test('a restarted server overlaps: the old one serves until the new one is up', async () => {
    const old = await working();
    let release: () => void = () => {};
    const opened = new Promise<void>((resolve) => (release = resolve));
    const next = await createUpstream({
      tools: [tool('work')],
      onRequest: async (call) => {
        if (call.message.method === 'initialize') await opened;
        return false;
      },
      onCall: (call) => {
        call.text('next');
      },
    });
    const gateway = await startGateway({ servers: [old.entry('s')] });
    expect(await gateway.gateway.reload({ servers: [next.entry('s')] })).toMatchObject({ restarted: 1 });
    await sleep(200);
    expect(textOf(await callTool(gateway.url, 's__work', { a: 1 }))).toBe('{"a":1}');
    release();
    await until(
      async () => textOf(await callTool(gateway.url, 's__work', { a: 1 })) === 'next',
      'the new server',
    );
    expect(await names(gateway.url)).toEqual(['s__work']);
  });

  test('the old one serves for as long as the new one is down, and /health shows both', async () => {
    const old = await working();
    const dead = await working();
    await dead.stop();
    const quick = { timeouts: { connect_ms: 50 }, reconnect: { backoff_base_ms: 20, backoff_max_ms: 40 } };
    const gateway = await startGateway({ servers: [old.entry('s')] });
    await gateway.gateway.reload({ servers: [dead.entry('s', quick)] });
    const entry = async () => (await gateway.health()).servers[0] as unknown as Record<string, unknown>;
    const next = async () => (await entry())['next'] as { state: string; error: string | null } | undefined;
    // Tried several times, for longer than connect_ms.
    await until(
      async () =>
        (await gateway.metric('mcpstead_upstream_reconnect_attempts_total{server="s",result="error"}')) > 5,
    );
    await until(async () => (await next())?.state === 'backoff');
    expect(await entry()).toMatchObject({ connected: true, state: 'up', url: old.url });
    expect((await next())?.error).toContain('ECONNREFUSED');
    expect(textOf(await callTool(gateway.url, 's__work', { a: 1 }))).toBe('{"a":1}');
    await dead.start();
    await until(async () => (await next()) === undefined);
    expect(await entry()).toMatchObject({ connected: true, state: 'up', url: dead.url });
  });

  test('an old one that falls is not dialled again: the new one has its place', async () => {
    const old = await working();
    const dead = await working();
    await dead.stop();
    const quick = { reconnect: { backoff_base_ms: 20, backoff_max_ms: 40 } };
    const gateway = await startGateway({ servers: [old.entry('s', quick)], startup: { wait_ms: 0 } });
    await gateway.gateway.reload({ servers: [dead.entry('s', quick)] });
    await old.stop();
    expect((await callTool(gateway.url, 's__work')).error?.code).toBe(-32000);
    await until(async () => (await gateway.health()).servers[0]?.url === dead.url);
    const before = initialized(old);
    await old.start();
    await dead.start();
    await gateway.up('s');
    expect(initialized(old)).toBe(before);
    expect(textOf(await callTool(gateway.url, 's__work', { a: 1 }))).toBe('{"a":1}');
    expect(dead.received('tools/call')).toHaveLength(1);
  });

  test.each([
    ['headers', { headers: { Authorization: 'Bearer new' } }],
    ['a token in the query', { url: '?token=new-token' }],
  ])('a changed credential (%s) retires the old one after connect_ms all the same', async (_what, change) => {
    const old = await working();
    const dead = await working();
    await dead.stop();
    const more = 'url' in change ? { url: `${dead.url}${change.url}` } : change;
    const before = 'url' in change ? { url: `${old.url}?token=old-token` } : {};
    const gateway = await startGateway({
      servers: [old.entry('s', { sessions: true, ...before })],
      startup: { wait_ms: 0 },
    });
    const timeouts = { timeouts: { connect_ms: 50 } };
    await gateway.gateway.reload({
      servers: [dead.entry('s', { ...timeouts, ...more })],
      startup: { wait_ms: 0 },
    });
    await until(async () => !(await gateway.health()).servers[0]?.connected);
    expect((await callTool(gateway.url, 's__work')).error?.code).toBe(-32000);
    // The session that the old credential opened is ended.
    await until(() => old.requests.some(({ method }) => method === 'DELETE'));
  });

  test('a file that names no servers is refused, servers: [] is not', async () => {
    const upstream = await working();
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    await expect(gateway.gateway.reload({})).rejects.toThrow(/servers: \[\]/);
    expect(await names(gateway.url)).toContain('s__work');
    expect((await gateway.gateway.reload({ servers: [] })).removed).toBe(1);
    expect((await gateway.gateway.reload({})).removed).toBe(0);
  });

  test('restart: serial stops the old child before it starts the new one, and calls wait', async () => {
    const entry = (round: string) => ({
      ...scriptedStdio('s', { delay: 300 }),
      restart: 'serial' as const,
      env: { ROUND: round },
    });
    const gateway = await startGateway({ servers: [entry('0')] });
    const pid = Number(textOf(await callTool(gateway.url, 's__pid')));
    await gateway.gateway.reload({ servers: [entry('1')] });
    const env = JSON.parse(textOf(await callTool(gateway.url, 's__env'))) as Record<string, string>;
    expect(env['ROUND']).toBe('1');
    expect(() => process.kill(pid, 0)).toThrow();
  });

  test('reloads queue, and the last one wins', async () => {
    const upstreams = await Promise.all([working(), working(), working(), working()]);
    const gateway = await startGateway({ servers: [] });
    await Promise.all(
      upstreams.map((upstream, n) => gateway.gateway.reload({ servers: [upstream.entry(`s${n}`)] })),
    );
    expect((await gateway.health()).servers.map((server) => server.name)).toEqual(['s3']);
  });

  test('a wrong config is refused with its problems, counted, and the running one stays', async () => {
    const a = await working();
    const gateway = await startGateway({ servers: [a.entry('a')] });
    const wrong = { servers: [{ name: 'x__y', url: 'ftp://nowhere' }] } as unknown as ConfigInput;
    await expect(gateway.gateway.reload(wrong)).rejects.toThrow(/x__y/);
    expect(textOf(await callTool(gateway.url, 'a__work', { a: 1 }))).toBe('{"a":1}');
    expect(initialized(a)).toBe(1);
    expect(await gateway.metric('mcpstead_config_reloads_total{result="error"}')).toBe(1);
  });

  test('POST /-/reload answers with the counts, and 400 with the text of an error', async () => {
    const a = await working();
    let fail = false;
    const gateway = await startGateway({ servers: [a.entry('a')] });
    const answer = await send(`${gateway.base}/-/reload`, undefined, { method: 'POST' });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ added: 0, removed: 0, restarted: 0, updated: 0, unchanged: 1 });
    const failing = await startGateway(
      { servers: [a.entry('a')] },
      {
        reload: () => {
          fail = true;
          throw new Error('no such file, alas');
        },
      },
    );
    const refused = await send(`${failing.base}/-/reload`, undefined, { method: 'POST' });
    expect(fail).toBe(true);
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('no such file, alas');
  });

  test('a token that a reload drops ends what it opened, and no other', async () => {
    const a = await working();
    const env = { MCPSTEAD_BEARER_TOKEN: 'one-secret-token-0001' };
    const config: ConfigInput = { mcp: { auth: { mode: 'bearer' } }, servers: [a.entry('a')] };
    const gateway = await startGateway(config, { env });
    const one = { authorization: 'Bearer one-secret-token-0001' };
    const two = { authorization: 'Bearer two-secret-token-0002' };
    const session = await openSession(gateway.url, { headers: one });
    const stream = await openSse(gateway.url, undefined, session);
    env.MCPSTEAD_BEARER_TOKEN = 'two-secret-token-0002';
    const reload = `${gateway.base}/-/reload`;
    expect((await send(reload, undefined, { method: 'POST' })).status).toBe(401);
    expect((await send(reload, undefined, { method: 'POST', headers: one })).status).toBe(200);
    await stream.done();
    expect((await post(gateway.url, callBody('a__work'), { ...JSON_ONLY, ...one })).status).toBe(401);
    expect((await post(gateway.url, callBody('a__work'), { ...session, ...two })).status).toBe(404);
    expect(textOf(await callTool(gateway.url, 'a__work', { a: 1 }, two))).toBe('{"a":1}');
    expect(
      await gateway.metric('mcpstead_downstream_session_terminations_total{reason="auth_changed"}'),
    ).toBe(1);
    const again = await openSse(gateway.url, undefined, await openSession(gateway.url, { headers: two }));
    await send(reload, undefined, { method: 'POST', headers: two });
    await sleep(100);
    expect(again.ended).toBe(false);
  });
});
