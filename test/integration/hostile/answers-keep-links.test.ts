/** What a server answers, whatever it is, takes its link no more down than another's. */
import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { callTool, message, post, textOf } from '../../helpers/http.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';
import { createModernUpstream } from '../upstream/modern-server.js';

/** Refreshes and attempts follow at once. */
const SOON = { tools: { ttl_seconds: 1 }, reconnect: { backoff_base_ms: 20, backoff_max_ms: 40 } };

const serverOf = async (gateway: RunningGateway, name = 's') => {
  const found = (await gateway.health()).servers.find((each) => each.name === name);
  if (!found) throw new Error(`${name} is not in /health`);
  return found as typeof found & { lists?: Record<string, { stale: boolean; error: string }> };
};

async function listed(gateway: RunningGateway, method: string, member: string): Promise<string[]> {
  const { result } = message(await post(gateway.url, { jsonrpc: '2.0', id: 1, method }));
  return (result?.[member] as { name: string }[]).map(({ name }) => name);
}

const ALL = { tools: { listChanged: true }, prompts: {}, resources: {} };
const PROMPTS = '{"prompts":[{"name":"p"}]}';

describe('the answer to a list', () => {
  test.each([-32601, -32602])('%i means that there is none', async (code) => {
    const upstream = await createUpstream({
      sessions: true,
      tools: [tool('echo')],
      capabilities: ALL,
      onRequest: (call) => {
        if (!/^(prompts|resources)/.test(call.message.method ?? '')) return false;
        call.error(code, 'no');
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', SOON)] });
    await until(() => upstream.received('prompts/list').length >= 3);
    expect(await serverOf(gateway)).toMatchObject({ connected: true, reconnects: 0, last_error: null });
    expect((await serverOf(gateway)).lists).toBeUndefined();
    expect(await listed(gateway, 'prompts/list', 'prompts')).toEqual([]);
    expect(upstream.received('initialize')).toHaveLength(1);
  });

  const failures: [string, (call: Call) => void][] = [
    ['-32603', (call) => call.error(-32603, 'broken')],
    ['code 0', (call) => call.error(0, '')],
    ['no list', (call) => call.result('{"prompts":{}}')],
    ['no object', (call) => call.result('7')],
    ['no JSON', (call) => call.raw('<html>')],
    ['HTTP 500', (call) => call.raw('oops', 500)],
    ['HTTP 404 without a session', (call) => call.raw('', 404)],
    [
      'HTTP 503 with a JSON-RPC error',
      (call) => call.raw(call.envelope('error', '{"code":-32000,"message":"busy"}'), 503),
    ],
    [
      'an answer that breaks off',
      (call) => {
        call.res.writeHead(200, { 'content-length': 100 }).write('{');
        setImmediate(() => {
          call.destroy();
        });
      },
    ],
    [
      'a nesting of 200,000',
      (call) => call.result(`{"prompts":[],"_meta":${'['.repeat(200_000)}${']'.repeat(200_000)}}`),
    ],
  ];
  test.each(failures)('%s keeps the last good list, and the link', async (_what, fail) => {
    let failing = false;
    const upstream = await createUpstream({
      tools: [tool('echo')],
      capabilities: ALL,
      onRequest: (call) => {
        if (call.message.method !== 'prompts/list') return false;
        if (failing) fail(call);
        else call.result(PROMPTS);
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', SOON)] });
    failing = true;
    const stale = await until(async () => (await serverOf(gateway)).lists?.['prompts']);
    expect(stale).toMatchObject({ stale: true, error: expect.stringContaining("'s'") as string });
    const before = upstream.received('prompts/list').length;
    await until(() => upstream.received('prompts/list').length > before);
    expect(await serverOf(gateway)).toMatchObject({ connected: true, reconnects: 0, last_error: null });
    expect(await listed(gateway, 'prompts/list', 'prompts')).toEqual(['s__p']);
    expect(textOf(await callTool(gateway.url, 's__echo', { a: 1 }))).toBe('{"a":1}');
    failing = false;
    await until(async () => (await serverOf(gateway)).lists === undefined);
    expect(upstream.received('initialize')).toHaveLength(1);
  });
});

describe('the answer to a sign of life', () => {
  test('a ping answered with an error is one', async () => {
    const upstream = await createUpstream({
      capabilities: {},
      onRequest: (call) => {
        if (call.message.method !== 'ping') return false;
        call.error(-32601, 'Method not found');
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', SOON)] });
    await until(() => upstream.received('ping').length >= 3);
    expect(await serverOf(gateway)).toMatchObject({ connected: true, reconnects: 0, last_error: null });
  });

  test('server/discover answered with one 503 is one', async () => {
    let failing = false;
    let failed = 0;
    const upstream = await createModernUpstream({
      tools: [tool('echo')],
      discover: { ttlMs: 0 },
      onRequest: (call) => {
        if (call.message.method !== 'server/discover' || !failing) return false;
        failed++;
        call.raw('busy', 503);
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', SOON)] });
    failing = true;
    await until(() => failed >= 2);
    expect(await serverOf(gateway)).toMatchObject({ connected: true, reconnects: 0, last_error: null });
  });

  test('a child that answers ping with an error is not killed', async () => {
    const gateway = await startGateway({
      servers: [
        {
          ...scriptedStdio('s', { refuse: ['ping', 'tools/list'], capabilities: { tools: {}, logging: {} } }),
          ...SOON,
        },
      ],
    });
    const pid = textOf(await callTool(gateway.url, 's__pid'));
    const refreshes = 'mcpstead_upstream_tools_refresh_total{server="s",result="success"}';
    const before = await gateway.metric(refreshes);
    await until(async () => (await gateway.metric(refreshes)) >= before + 2);
    expect(textOf(await callTool(gateway.url, 's__pid'))).toBe(pid);
    expect(await serverOf(gateway)).toMatchObject({ connected: true, reconnects: 0 });
  });
});

describe('a session that is left', () => {
  test('gets its DELETE where the handshake fails after it was opened', async () => {
    const upstream = await createUpstream({ sessions: true, protocolVersion: '1999-01-01' });
    await startGateway({ servers: [upstream.entry('s', SOON)] }, { wait: [] });
    const deletes = () => upstream.requests.filter(({ method }) => method === 'DELETE');
    await until(() => deletes().length >= 2);
    expect(new Set(deletes().map(({ headers }) => headers['mcp-session-id'])).size).toBe(deletes().length);
  });

  test('gets its DELETE where the link falls', async () => {
    let refused = false;
    const upstream = await createUpstream({
      sessions: true,
      tools: [tool('echo')],
      onHttp: (received, res) => {
        if (!refused || received.method === 'DELETE') return false;
        res.writeHead(403).end();
        return true;
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s', SOON)] });
    const [session] = [...upstream.sessions];
    refused = true;
    await until(async () => !(await serverOf(gateway)).connected);
    await until(() =>
      upstream.requests.some(
        ({ method, headers }) => method === 'DELETE' && headers['mcp-session-id'] === session,
      ),
    );
  });
});

describe('while a link reconnects', () => {
  test('its tools stay listed, and calls wait for it', async () => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const gateway = await startGateway({ servers: [upstream.entry('s', SOON)] });
    await upstream.stop();
    await callTool(gateway.url, 's__echo');
    await until(async () => !(await serverOf(gateway)).connected);
    expect(await listed(gateway, 'tools/list', 'tools')).toEqual(['s__echo']);
    const call = callTool(gateway.url, 's__echo', { a: 1 });
    await upstream.start();
    expect(textOf(await call)).toBe('{"a":1}');
  });
});
