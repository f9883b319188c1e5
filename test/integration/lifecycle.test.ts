import { writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createGateway, type ConfigInput, type Logger } from '../../src/index.js';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempFile } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  openSession,
  openSse,
  post,
  send,
  textOf,
  type Answer,
  type Headers,
  type JsonRpc,
} from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until, within } from '../helpers/wait.js';

const ping: JsonRpc = { jsonrpc: '2.0', id: 1, method: 'ping' };
const listTools: JsonRpc = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
const initialize: JsonRpc = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25' },
};
const QUICK = { reconnect: { backoff_base_ms: 20, backoff_max_ms: 60 } };
const NEVER_AGAIN = { reconnect: { backoff_base_ms: 600_000, backoff_max_ms: 600_000 } };

const names = async (url: string): Promise<string[]> =>
  ((await post(url, listTools)).json().result?.['tools'] as { name: string }[]).map(({ name }) => name);
const stateOf = async (running: RunningGateway, name: string) =>
  (await running.health()).servers.find((server) => server.name === name);

/** An upstream that is not there, until `start()`. */
async function absent(): Promise<Upstream> {
  const upstream = await createUpstream({ tools: [tool('echo')] });
  await upstream.stop();
  return upstream;
}

/** Accepts connections and never says a word. */
async function mute(): Promise<string> {
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/mcp`;
}

/** Answers `initialize` when told. */
async function gated(): Promise<Upstream & { open(): void }> {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const upstream = await createUpstream({
    tools: [tool('echo')],
    onRequest: async (call) => {
      if (call.message.method === 'initialize') await opened;
      return undefined;
    },
  });
  return Object.assign(upstream, { open });
}

function collector(): Logger & { lines: string[] } {
  const lines: string[] = [];
  const note = (message: string): void => void lines.push(message);
  return { lines, debugEnabled: false, debug() {}, info: note, warn: note, error: note };
}

describe('a required upstream', () => {
  it('keeps /ready and the MCP routes at 503 until it was up once', async () => {
    const needed = await absent();
    const running = await startGateway(
      { servers: [needed.entry('needed', { required: true, ...QUICK }), { ...scriptedStdio('other') }] },
      { wait: ['other'] },
    );
    const ready = await send(`${running.base}/ready`);
    expect([ready.status, ready.json()]).toEqual([503, { ready: false, waiting_for: ['needed'] }]);
    expect(Number(ready.headers['retry-after'])).toBeGreaterThan(0);
    expect((await send(`${running.base}/health`)).status).toBe(200);
    for (const body of [initialize, listTools, callBody('other__echo')]) {
      const refused = await post(running.url, body);
      expect([refused.status, refused.json().error?.code]).toEqual([503, -32000]);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    }
    expect((await post(running.server('other'), ping)).status).toBe(503);
    await needed.start();
    await until(async () => (await send(`${running.base}/ready`)).status === 200);
    expect((await send(`${running.base}/ready`)).json()).toEqual({ ready: true, waiting_for: [] });
    expect(textOf(await callTool(running.url, 'needed__echo', { a: 1 }))).toBe('{"a":1}');
  });

  it('that drops later changes /health alone', async () => {
    const needed = await createUpstream({ tools: [tool('echo')] });
    const running = await startGateway({ servers: [needed.entry('needed', { required: true, ...QUICK })] });
    await needed.stop();
    await callTool(running.url, 'needed__echo');
    await until(async () => (await running.health()).status === 'degraded');
    expect((await send(`${running.base}/ready`)).status).toBe(200);
    expect((await post(running.url, ping)).status).toBe(200);
  });

  it('that comes with a reload changes /health alone', async () => {
    const late = await absent();
    const running = await startGateway({ servers: [] });
    await running.gateway.reload({ servers: [late.entry('late', { required: true })] });
    expect((await running.health()).status).toBe('degraded');
    expect((await send(`${running.base}/ready`)).status).toBe(200);
    expect((await post(running.url, ping)).status).toBe(200);
  });

  it('is waited for no more once a reload drops it, or its `required`', async () => {
    const one = await absent();
    const two = await absent();
    const running = await startGateway(
      {
        servers: [
          one.entry('one', { required: true, ...QUICK }),
          two.entry('two', { required: true, ...QUICK }),
        ],
      },
      { wait: [] },
    );
    await running.gateway.reload({ servers: [two.entry('two', { required: true, ...QUICK })] });
    expect((await send(`${running.base}/ready`)).json()).toEqual({ ready: false, waiting_for: ['two'] });
    await running.gateway.reload({ servers: [two.entry('two', { required: false, ...QUICK })] });
    expect((await send(`${running.base}/ready`)).status).toBe(200);
    expect((await post(running.url, ping)).status).toBe(200);
  });

  it('that uses up max_attempts fails the gateway with a clear error', async () => {
    const gone = await absent();
    const { gateway } = await startGateway(
      {
        servers: [
          gone.entry('gone', {
            required: true,
            reconnect: { max_attempts: 2, backoff_base_ms: 10, backoff_max_ms: 10 },
          }),
        ],
      },
      { wait: [] },
    );
    const error = await within(gateway.failed, 'the failure');
    expect(error.message).toContain("required upstream 'gone'");
    expect(error.message).toContain('ECONNREFUSED');
  });
});

describe('nothing waits for the slowest', () => {
  /** Longer than any test may take: what is answered did not wait for it. */
  const ENDLESS = 600_000;

  it('lists wait for a hanging upstream until startup.wait_ms after the start, never longer', async () => {
    const fast = await createUpstream({ tools: [tool('echo')] });
    const running = await startGateway(
      { servers: [fast.entry('fast'), { name: 'hang', url: await mute() }], startup: { wait_ms: 500 } },
      { wait: ['fast'] },
    );
    const lists = await Promise.all([names(running.url), names(running.url), names(running.url)]);
    expect(lists).toEqual([['fast__echo'], ['fast__echo'], ['fast__echo']]);
    expect(await names(running.url)).toEqual(['fast__echo']);
  });

  it('a list comes as soon as every first attempt has ended, well or badly', async () => {
    const fast = await createUpstream({ tools: [tool('echo')] });
    const dead = await absent();
    const running = await startGateway(
      { servers: [fast.entry('fast'), dead.entry('dead', NEVER_AGAIN)], startup: { wait_ms: ENDLESS } },
      { wait: [] },
    );
    expect(await names(running.url)).toEqual(['fast__echo']);
  });

  it('calls to one server do not wait for another', async () => {
    const fast = await createUpstream({ tools: [tool('echo')] });
    const running = await startGateway(
      { servers: [fast.entry('fast'), { name: 'hang', url: await mute() }], startup: { wait_ms: ENDLESS } },
      { wait: ['fast'] },
    );
    expect(textOf(await callTool(running.url, 'fast__echo', { a: 1 }))).toBe('{"a":1}');
    expect(await names(running.server('fast'))).toEqual(['echo']);
    expect((await post(running.url, ping)).status).toBe(200);
    expect((await post(running.url, initialize)).status).toBe(200);
  });

  it('a call to a server on its first connect waits for it, up to startup.wait_ms of its own', async () => {
    const late = await gated();
    const running = await startGateway(
      { servers: [late.entry('late')], startup: { wait_ms: ENDLESS } },
      { wait: [] },
    );
    const merged = callTool(running.url, 'late__echo', { a: 1 });
    const single = callTool(running.server('late'), 'echo', { b: 1 });
    const list = names(running.url);
    await until(() => late.received('initialize').length === 1);
    late.open();
    expect(textOf(await merged)).toBe('{"a":1}');
    expect(textOf(await single)).toBe('{"b":1}');
    expect(await list).toEqual(['late__echo']);
  });

  it('a call that waited in vain is -32000 and counted', async () => {
    const running = await startGateway(
      { servers: [{ name: 'hang', url: await mute() }], startup: { wait_ms: 150 } },
      { wait: [] },
    );
    // Later than startup.wait_ms after the start: its own wait counts.
    await until(async () => (await names(running.url)).length === 0);
    const { error } = await callTool(running.url, 'hang__x');
    expect(error?.code).toBe(-32000);
    expect(error?.message).toContain("'hang'");
    expect(
      await running.metric(
        'mcpstead_tool_call_errors_total{server="hang",tool="unknown",reason="upstream_disconnected"}',
      ),
    ).toBe(1);
  });

  it('a client that leaves while its call waits takes the call with it', async () => {
    const late = await gated();
    const running = await startGateway(
      { servers: [late.entry('late')], startup: { wait_ms: ENDLESS } },
      { wait: [] },
    );
    const controller = new AbortController();
    const left = send(running.url, callBody('late__echo'), {
      headers: { 'content-type': 'application/json' },
      signal: controller.signal,
    });
    left.catch(() => {});
    const stays = callTool(running.url, 'late__echo', { stays: true });
    await until(() => late.received('initialize').length === 1);
    controller.abort();
    await expect(left).rejects.toThrow();
    await until(
      async () =>
        (await running.metric('mcpstead_mcp_requests_total{method="tools/call",result="error"}')) === 1,
    );
    late.open();
    await stays;
    expect(late.calls('echo')).toHaveLength(1);
  });

  it('what comes later is announced', async () => {
    const late = await gated();
    const running = await startGateway(
      { servers: [late.entry('late')], startup: { wait_ms: 0 } },
      { wait: [] },
    );
    expect(await names(running.url)).toEqual([]);
    const stream = await openSse(running.url, undefined, await openSession(running.url));
    late.open();
    expect((await stream.message()).method).toBe('notifications/tools/list_changed');
    expect(await names(running.url)).toEqual(['late__echo']);
  });

  it('lists wait again for an upstream that a reload added', async () => {
    const late = await gated();
    const running = await startGateway({ servers: [], startup: { wait_ms: ENDLESS } });
    await running.gateway.reload({ servers: [late.entry('late')], startup: { wait_ms: ENDLESS } });
    const list = names(running.url);
    await until(() => late.received('initialize').length === 1);
    late.open();
    expect(await list).toEqual(['late__echo']);
  });
});

describe('reconnecting', () => {
  it('goes on with backoff until the upstream is back, and counts', async () => {
    const flapping = await createUpstream({ tools: [tool('echo')] });
    const running = await startGateway({ servers: [flapping.entry('s', QUICK)] });
    const metric = (name: string): Promise<number> => running.metric(`mcpstead_upstream_${name}`);
    expect(await metric('connected{server="s"}')).toBe(1);
    expect(await metric('reconnects_total{server="s"}')).toBe(0);
    await flapping.stop();
    expect((await callTool(running.url, 's__echo')).error?.code).toBe(-32000);
    await until(async () => (await metric('reconnects_total{server="s"}')) >= 4);
    expect(await metric('connected{server="s"}')).toBe(0);
    // A blip changes nobody's tools.
    expect(await metric('tools_count{server="s"}')).toBe(1);
    expect(await names(running.url)).toEqual(['s__echo']);
    expect(await metric('reconnect_attempts_total{server="s",result="error"}')).toBeGreaterThanOrEqual(3);
    expect(await metric('initialize_total{server="s",result="error"}')).toBeGreaterThanOrEqual(3);
    expect(await metric('health_checks_total{server="s",result="failure"}')).toBeGreaterThanOrEqual(3);
    expect(await metric('current_backoff_seconds{server="s"}')).toBeLessThanOrEqual(0.06);
    expect((await stateOf(running, 's'))?.last_error).toContain('ECONNREFUSED');
    await flapping.start();
    await running.up('s');
    expect(await metric('connected{server="s"}')).toBe(1);
    expect(await metric('in_backoff{server="s"}')).toBe(0);
    expect(await metric('current_backoff_seconds{server="s"}')).toBe(0);
    expect(await metric('reconnect_attempts_total{server="s",result="success"}')).toBe(1);
    expect(await metric('initialize_total{server="s",result="success"}')).toBe(2);
    expect(await stateOf(running, 's')).toMatchObject({ state: 'up', last_error: null });
    expect(textOf(await callTool(running.url, 's__echo', { back: 1 }))).toBe('{"back":1}');
  });

  it('shows the wait while it lasts', async () => {
    const gone = await absent();
    const running = await startGateway({ servers: [gone.entry('s', NEVER_AGAIN)] }, { wait: [] });
    await until(async () => (await running.metric('mcpstead_upstream_in_backoff{server="s"}')) === 1);
    const seconds = await running.metric('mcpstead_upstream_current_backoff_seconds{server="s"}');
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(600);
    expect(await running.metric('mcpstead_upstream_last_seen_seconds{server="s"}')).toBe(-1);
    expect(await stateOf(running, 's')).toMatchObject({ state: 'backoff', connected: false, reconnects: 1 });
  });

  it('stops after max_attempts failures in a row, until a reload', async () => {
    const gone = await absent();
    const config: ConfigInput = {
      servers: [gone.entry('s', { reconnect: { max_attempts: 2, backoff_base_ms: 10, backoff_max_ms: 10 } })],
    };
    const running = await startGateway(config, { wait: [] });
    await until(async () => (await stateOf(running, 's'))?.state === 'down');
    expect(await running.metric('mcpstead_upstream_reconnects_total{server="s"}')).toBe(2);
    expect((await callTool(running.url, 's__echo')).error?.code).toBe(-32000);
    await gone.start();
    expect(await running.gateway.reload(config)).toMatchObject({ unchanged: 1, restarted: 0 });
    await running.up('s');
    expect(textOf(await callTool(running.url, 's__echo', { a: 1 }))).toBe('{"a":1}');
  });

  it('a success in between begins the count of failures anew', async () => {
    /** How many attempts are still to fail. */
    let left = 5;
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onHttp: (received, res) => {
        if (left === 0) return false;
        // What an attempt begins with: the probe, or the handshake where the era is known.
        if (received.message.method === 'server/discover' || received.message.method === 'initialize') left--;
        res.writeHead(500).end();
        return true;
      },
    });
    const running = await startGateway(
      {
        servers: [
          upstream.entry('s', { reconnect: { max_attempts: 8, backoff_base_ms: 200, backoff_max_ms: 200 } }),
        ],
      },
      { wait: [] },
    );
    await running.up('s');
    expect(left).toBe(0);
    left = 4;
    // While it is down an attempt or two find nobody there.
    await upstream.stop();
    await callTool(running.url, 's__echo');
    await until(async () => (await running.health()).servers[0]?.connected === false);
    await upstream.start();
    await until(() => left === 0, 'four more failures');
    await running.up('s');
  });

  it('waits as long as Retry-After says, instead of the backoff, and says so', async () => {
    let first = true;
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onHttp: (received, res) => {
        if (!first || received.message.method !== 'initialize') return false;
        first = false;
        res.writeHead(503, { 'retry-after': '1' }).end('restarting');
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s', QUICK)] }, { wait: [] });
    await until(async () => (await stateOf(running, 's'))?.state === 'backoff');
    const answer = await post(running.url, callBody('s__echo'));
    expect(answer.json().error).toMatchObject({ code: -32000, data: { retryAfter: 1 } });
    expect(answer.json().error?.message).toContain('503');
    // Far more than its own backoff may be.
    expect(
      await running.metric('mcpstead_upstream_current_backoff_seconds{server="s"}'),
    ).toBeGreaterThanOrEqual(1);
    await running.up('s');
  });

  it('hands on the Retry-After of a call', async () => {
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onCall: (call) => call.raw('slow down', 429, { 'retry-after': '7' }),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const { error } = await callTool(running.url, 's__echo');
    expect(error).toMatchObject({ code: -32000, data: { retryAfter: 7 } });
    expect(error?.message).toMatch(/429.*slow down/);
  });

  it('an upstream that was never there does not keep others from their calls', async () => {
    const good = await createUpstream({ tools: [tool('echo')] });
    const gone = await absent();
    const running = await startGateway(
      { servers: [good.entry('good'), gone.entry('gone', QUICK), { name: 'hang', url: await mute() }] },
      { wait: ['good'] },
    );
    for (let i = 0; i < 20; i++)
      expect(textOf(await callTool(running.url, 'good__echo', { i }))).toBe(`{"i":${i}}`);
  });
});

describe('the refresh of the lists', () => {
  const SOON = { tools: { ttl_seconds: 0.5 }, ...QUICK };

  it('finds what has changed', async () => {
    const upstream = await createUpstream({ tools: [tool('a')] });
    const running = await startGateway({ servers: [upstream.entry('s', SOON)] });
    const before = Date.now() / 1000;
    upstream.options.tools = [tool('b')];
    await until(async () => (await names(running.url))[0] === 's__b');
    expect(
      await running.metric('mcpstead_upstream_tools_refresh_total{server="s",result="success"}'),
    ).toBeGreaterThanOrEqual(2);
    expect(
      await running.metric('mcpstead_upstream_tools_last_refresh_timestamp_seconds{server="s"}'),
    ).toBeGreaterThanOrEqual(before);
  });

  it('is the health check: when it fails the link is closed for new calls, those in flight go on', async () => {
    let failing = false;
    let held: Call | undefined;
    const upstream = await createUpstream({
      tools: [tool('held')],
      onCall: (call) => void (held = call),
      onHttp: (received, res) => {
        if (!failing || received.message.method === 'notifications/cancelled') return false;
        res.destroy();
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s', SOON)], startup: { wait_ms: 0 } });
    const call = callTool(running.url, 's__held');
    await until(() => held);
    failing = true;
    await until(async () => !(await stateOf(running, 's'))?.connected);
    expect(await names(running.url)).toEqual(['s__held']);
    const { error } = await callTool(running.url, 's__held');
    expect(error?.code).toBe(-32000);
    expect(
      await running.metric('mcpstead_upstream_health_checks_total{server="s",result="failure"}'),
    ).toBeGreaterThan(0);
    held?.text('went on');
    expect(textOf(await call)).toBe('went on');
    failing = false;
    await running.up('s');
  });

  it('asks a server without lists by ping', async () => {
    const upstream = await createUpstream({ capabilities: {} });
    const running = await startGateway({ servers: [upstream.entry('s', SOON)] });
    await until(() => upstream.received('ping').length >= 2);
    expect(upstream.received('tools/list')).toHaveLength(0);
    expect((await stateOf(running, 's'))?.connected).toBe(true);
  });
});

describe('the drain', () => {
  async function draining(
    config: Partial<ConfigInput> = {},
  ): Promise<RunningGateway & { held: Call[]; session: Headers; upstream: Upstream }> {
    const held: Call[] = [];
    const upstream = await createUpstream({
      sessions: true,
      tools: [tool('held'), tool('echo')],
      onCall: (call) =>
        call.params.name === 'held' ? void held.push(call) : call.text(JSON.stringify(call.args)),
    });
    const running = await startGateway({ servers: [upstream.entry('s')], ...config });
    const session = await openSession(running.url);
    return Object.assign(running, { held, session, upstream });
  }
  const refusedInitialize = async (running: RunningGateway): Promise<Answer> =>
    until(async () => {
      const answer = await post(running.url, initialize);
      return answer.status === 503 ? answer : undefined;
    });

  it('refuses new sessions, serves open ones, ends streams, lets calls end, then closes', async () => {
    const running = await draining();
    const stream = await openSse(running.url, undefined, running.session);
    const call = callTool(running.url, 's__held', {}, running.session);
    await until(() => running.held.length === 1);
    const closed = running.gateway.close();
    const refused = await refusedInitialize(running);
    expect(refused.json().error).toMatchObject({ code: -32000, message: 'gateway shutting down' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.headers['connection']).toBe('close');
    await stream.done();
    expect(stream.complete).toBe(true);
    const ready = await send(`${running.base}/ready`);
    expect([ready.status, ready.json()]).toEqual([503, { ready: false, waiting_for: ['shutting down'] }]);
    expect((await send(`${running.base}/health`)).status).toBe(200);
    const again = await openSse(running.url, undefined, running.session);
    expect(again.status).toBe(503);
    const served = await post(running.url, callBody('s__echo', { late: 1 }, 'late'), running.session);
    expect(textOf(served.json())).toBe('{"late":1}');
    running.held[0]?.text('finished');
    expect(textOf(await call)).toBe('finished');
    await within(closed, 'the end');
    await expect(send(`${running.base}/health`)).rejects.toThrow(/ECONNREFUSED/);
    // The session upstream is ended politely.
    expect(running.upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
  });

  it('of an idle gateway waits for nothing, with clients connected', async () => {
    const running = await draining({ mcp: { session: { shutdown_grace_seconds: 300 } } });
    await openSse(running.url, undefined, running.session);
    await running.gateway.close();
  });

  it('begins after drain_delay_seconds, in which only /ready has changed', async () => {
    const running = await draining({ http: { drain_delay_seconds: 1.5 } });
    const closed = running.gateway.close();
    expect((await send(`${running.base}/ready`)).status).toBe(503);
    expect((await post(running.url, initialize)).status).toBe(200);
    const stream = await openSse(running.url, undefined, await openSession(running.url));
    expect(stream.status).toBe(200);
    await closed;
    await stream.done();
  });

  it('cuts what does not end within the grace, and never makes it look whole', async () => {
    const running = await draining({ mcp: { session: { shutdown_grace_seconds: 0.6 } } });
    const call = post(running.url, callBody('s__held'), running.session);
    call.catch(() => {});
    await until(() => running.held.length === 1);
    await running.gateway.close();
    await expect(call).rejects.toThrow();
  });

  it('refuses a reload', async () => {
    const running = await draining({ http: { drain_delay_seconds: 1 } });
    const closed = running.gateway.close();
    await expect(running.gateway.reload({ servers: [] })).rejects.toThrow(/shutting down/);
    expect((await running.health()).servers).toHaveLength(1);
    await closed;
  });

  it('is the same however often it is asked for, and possible before listen()', async () => {
    const running = await draining();
    await Promise.all([running.gateway.close(), running.gateway.close()]);
    running.gateway.destroy();
    await createGateway({ servers: [] }).close();
  });
});

describe('a reload', () => {
  it('updates in place what needs no new connection', async () => {
    const upstream = await createUpstream({
      sessions: true,
      tools: [tool('echo')],
      onCall: (call) =>
        call.message.params?.arguments?.['hang'] ? undefined : call.text(JSON.stringify(call.args)),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const updates: object[] = [
      { quirks: { inject_accept_header: 'application/json, text/event-stream, x/y' } },
      { reconnect: { backoff_base_ms: 5 } },
      { tools: { ttl_seconds: 77 } },
      { required: true },
      { timeouts: { request_ms: 300 } },
      { drain_seconds: 1 },
      { restart: 'serial' },
    ];
    let config = {};
    for (const update of updates) {
      config = { ...config, ...update };
      expect(await running.gateway.reload({ servers: [upstream.entry('s', config)] })).toMatchObject({
        updated: 1,
        restarted: 0,
        unchanged: 0,
      });
    }
    expect(upstream.received('initialize')).toHaveLength(1);
    expect((await stateOf(running, 's'))?.required).toBe(true);
    await callTool(running.url, 's__echo');
    expect(upstream.calls().at(-1)?.headers.accept).toBe('application/json, text/event-stream, x/y');
    const { error } = await callTool(running.url, 's__echo', { hang: true });
    expect(error?.message).toMatch(/time|silen/i);
  });

  it('restarts what does: url, headers, auth, tls, protocol, revision', async () => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const other = await createUpstream({ tools: [tool('echo')] });
    const running = await startGateway({ servers: [upstream.entry('s')] }, { env: { T: 'token' } });
    const restarts: object[] = [
      { headers: { 'X-Key': '1' } },
      { auth: { type: 'bearer', token_env: 'T' } },
      { tls_skip_verify: true },
      { protocol: 'streamable' },
      { revision: '2025-06-18' },
      { url: other.url },
    ];
    let config = {};
    for (const [n, change] of restarts.entries()) {
      config = { ...config, ...change };
      expect(await running.gateway.reload({ servers: [upstream.entry('s', config)] })).toMatchObject({
        restarted: 1,
        updated: 0,
      });
      await until(
        () => upstream.received('initialize').length + other.received('initialize').length === n + 2,
      );
      await running.up('s');
    }
    await until(async () => {
      await callTool(running.url, 's__echo');
      return other.calls().length > 0;
    });
    expect((await stateOf(running, 's'))?.url).toBe(other.url);
  });

  it('counts at once for limits, http.allowed_*, startup and metrics', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({
      tools: [tool('held'), tool('long_name')],
      onCall: (call) => void held.push(call),
    });
    const servers = [upstream.entry('s')];
    const running = await startGateway({ servers, startup: { wait_ms: 60_000 } });
    const reload = (config: Partial<ConfigInput>) => running.gateway.reload({ servers, ...config });

    await reload({ limits: { body_bytes: 100 } });
    expect((await post(running.url, `${' '.repeat(100)}${JSON.stringify(ping)}`)).status).toBe(413);

    await reload({ limits: { name_length: 10 } });
    for (const name of await names(running.url)) expect(name.length).toBeLessThanOrEqual(10);

    await reload({ limits: { in_flight: 1 } });
    const first = callTool(running.url, 's__held');
    await until(() => held.length === 1);
    const { error } = await callTool(running.url, 's__held');
    expect(error?.code).toBe(-32000);
    expect(error?.message).toContain('busy');
    expect(
      await running.metric('mcpstead_tool_call_errors_total{server="s",tool="held",reason="busy"}'),
    ).toBe(1);
    held[0]?.text('done');
    await first;

    await reload({ limits: { sessions: 1 } });
    const evicted = await openSession(running.url);
    await openSession(running.url);
    expect((await post(running.url, ping, evicted)).status).toBe(404);

    const evil = { origin: 'https://evil.example', host: 'evil.example' };
    expect((await post(running.url, ping, evil)).status).toBe(403);
    await reload({
      http: { allowed_hosts: ['evil.example'], allowed_origins: ['https://evil.example'] },
    });
    expect((await post(running.url, ping, evil)).status).toBe(200);
    await reload({});
    expect((await post(running.url, ping, evil)).status).toBe(403);

    const hanging = { name: 'hang', url: await mute() };
    await reload({ servers: [...servers, hanging], startup: { wait_ms: 0 } });
    expect((await names(running.url)).length).toBe(2);

    await reload({ metrics: { enabled: false } });
    expect((await send(`${running.base}/metrics`)).status).toBe(404);
    await reload({ metrics: { enabled: true } });
    expect((await send(`${running.base}/metrics`)).status).toBe(200);
  });

  it('keeps host, port, logging, mcp.session and the rest of http, and warns', async () => {
    const logger = collector();
    const running = await startGateway({ servers: [] }, { logger });
    const result = await running.gateway.reload({
      host: '127.0.0.2',
      port: 1,
      logging: { level: 'debug', calls: 'all' },
      mcp: { session: { idle_ttl_seconds: 1, gc_interval_seconds: 1, shutdown_grace_seconds: 1 } },
      http: { keep_alive_ms: 1, stream_after_ms: 1, drain_delay_seconds: 9, idle_connection_ms: 1 },
      servers: [],
    });
    const keys = [
      'host',
      'port',
      'logging.level',
      'logging.calls',
      'mcp.session.idle_ttl_seconds',
      'mcp.session.gc_interval_seconds',
      'mcp.session.shutdown_grace_seconds',
      'http.keep_alive_ms',
      'http.stream_after_ms',
      'http.drain_delay_seconds',
      'http.idle_connection_ms',
    ];
    expect([...result.restart_required].sort()).toEqual([...keys].sort());
    for (const key of keys)
      expect(logger.lines.some((line) => line.startsWith(`${key} `) && /restart required/.test(line))).toBe(
        true,
      );
    expect((await post(running.url, ping)).status).toBe(200);
  });

  it('takes the series of a removed server away and keeps those of a restarted one', async () => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const both = [upstream.entry('stays'), upstream.entry('goes')];
    const running = await startGateway({ servers: both });
    await callTool(running.url, 'stays__echo');
    await callTool(running.url, 'goes__echo');
    expect(await running.metrics()).toContain('server="goes"');
    await running.gateway.reload({ servers: [upstream.entry('stays', { headers: { 'X-New': '1' } })] });
    await until(() => upstream.requests.some(({ headers }) => headers['x-new'] === '1'));
    await running.up('stays');
    expect(await running.metrics()).not.toContain('server="goes"');
    expect(await running.metric('mcpstead_tool_calls_total{server="stays",tool="echo"}')).toBe(1);
    await callTool(running.url, 'stays__echo');
    expect(await running.metric('mcpstead_tool_calls_total{server="stays",tool="echo"}')).toBe(2);
    expect((await callTool(running.url, 'goes__echo')).error?.code).toBe(-32602);
    expect((await post(running.server('goes'), ping)).status).toBe(404);
  });

  it('without an argument reads again what counted last', async () => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const running = await startGateway({ servers: [] });
    await running.gateway.reload({ servers: [upstream.entry('s')] });
    expect(await running.gateway.reload()).toMatchObject({ removed: 0, unchanged: 1 });
    const wrong = { servers: [{ name: 'x__y' }] } as ConfigInput;
    await expect(running.gateway.reload(wrong)).rejects.toThrow(/x__y/);
    expect(await running.gateway.reload()).toMatchObject({ removed: 0, unchanged: 1 });
    expect(await running.metric('mcpstead_config_reloads_total{result="success"}')).toBe(3);
    expect(await running.metric('mcpstead_config_reloads_total{result="error"}')).toBe(1);
  });

  it('restarts a server whose secret file changed, though its text did not', async () => {
    const file = await tempFile('key', 'one\n');
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const running = await startGateway({
      servers: [upstream.entry('s', { headers: { 'X-Key': `\${file:${file}}` } })],
    });
    await writeFile(file, 'two\n');
    expect(await running.gateway.reload()).toMatchObject({ restarted: 1 });
    await until(() => upstream.received('initialize').at(-1)?.headers['x-key'] === 'two');
  });
});

it('two gateways in one program know nothing of each other', async () => {
  const upstream = await createUpstream({ tools: [tool('echo')] });
  const one = await startGateway({ servers: [upstream.entry('s')] });
  const two = await startGateway({ servers: [upstream.entry('s'), upstream.entry('t')] });
  const session = await openSession(one.url);
  expect((await post(two.url, ping, session)).status).toBe(404);
  await callTool(one.url, 's__echo');
  expect(await one.metric('mcpstead_tool_calls_total{server="s",tool="echo"}')).toBe(1);
  expect(await two.metric('mcpstead_tool_calls_total{server="s",tool="echo"}')).toBe(0);
  const listeners = process.listenerCount('SIGTERM') + process.listenerCount('SIGHUP');
  await one.gateway.close();
  expect(textOf(await callTool(two.url, 't__echo', { a: 1 }))).toBe('{"a":1}');
  expect(process.listenerCount('SIGTERM') + process.listenerCount('SIGHUP')).toBe(listeners);
});
