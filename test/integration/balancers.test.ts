/** Gateways behind nginx and HAProxy, configured as packaging/balancers does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { BALANCERS } from '../helpers/balancer-programs.js';
import { startBalancer } from '../helpers/balancers.js';
import { Elsewhere } from '../helpers/elsewhere.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callBody, callTool, message, openSession, openSse, post, send, textOf } from '../helpers/http.js';
import { root } from '../helpers/markdown.js';
import { freePort } from '../helpers/port.js';
import { until } from '../helpers/wait.js';

const list = (id: string): object => ({ jsonrpc: '2.0', id, method: 'tools/list' });
/** Two gateways that know each other's sessions; the tools of each have its name. */
async function pair(): Promise<{ readonly gateways: RunningGateway[]; readonly upstream: Upstream }> {
  const upstream = await createUpstream({ tools: [tool('work')] });
  const { sessions } = new Elsewhere();
  const gateways = await Promise.all(
    ['a', 'b'].map((name) => startGateway({ servers: [upstream.entry(name)] }, { sessions })),
  );
  return { gateways, upstream };
}
const basesOf = (gateways: readonly RunningGateway[]): string[] => gateways.map(({ base }) => base);

/** The gateway that answers a request with these headers. */
async function whoHas(url: string, headers: Record<string, string>, id: string): Promise<string> {
  const { result } = message(await post(url, list(id), headers));
  const [first] = result?.['tools'] as { name: string }[];
  return first?.name.split('__')[0] ?? '';
}

describe.each(BALANCERS)('%s', (name) => {
  it('keeps a session at one gateway, and spreads sessions', async () => {
    const { gateways } = await pair();
    const { url } = await startBalancer(name, basesOf(gateways));
    const met = new Set<string>();
    for (let n = 0; n < 16; n++) {
      const session = await openSession(url);
      const who = new Set<string>();
      for (let turn = 0; turn < 4; turn++) who.add(await whoHas(url, session, `list-${n}-${turn}`));
      expect(who.size).toBe(1);
      for (const gateway of who) met.add(gateway);
    }
    expect(met).toEqual(new Set(['a', 'b']));
  });

  it('passes JSON answers, and bodies that are larger than its buffers, both ways', async () => {
    const upstream = await createUpstream({
      tools: [tool('echo')],
      onCall: (call) => {
        call.text(JSON.stringify(call.args));
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const { url } = await startBalancer(name, [gateway.base]);
    const session = await openSession(url);
    const large = 'x'.repeat(2_000_000);
    for (const text of ['small', large]) {
      const answer = await callTool(url, 's__echo', { text }, session);
      expect(textOf(answer)).toBe(JSON.stringify({ text }));
    }
  });

  it('passes events at once, of calls and of the server stream', async () => {
    let release: () => void = () => undefined;
    const upstream = await createUpstream({
      tools: [tool('slow')],
      onCall: async (call) => {
        call.progress(1, 2);
        await new Promise<void>((resolve) => (release = resolve));
        call.text('done');
      },
    });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const { url } = await startBalancer(name, [gateway.base]);
    const session = await openSession(url);
    const server = await openSse(url, undefined, session);
    const body = { ...callBody('s__slow', {}, 'slow', { progressToken: 'p' }) };
    const call = await openSse(url, body, session);
    // The call has not ended: what comes was not kept back.
    expect(await call.message()).toMatchObject({ method: 'notifications/progress' });
    expect(call.ended).toBe(false);
    release();
    expect(textOf(await call.message())).toBe('done');
    await call.done();
    expect(call.complete).toBe(true);

    await gateway.gateway.reload({ host: '127.0.0.1', port: 0, servers: [] });
    expect(await server.message()).toMatchObject({ method: 'notifications/tools/list_changed' });
    expect(server.ended).toBe(false);
    server.close();
  });

  it('gives a gateway that is not ready no sessions, and sends no call twice', async () => {
    const calls: string[] = [];
    const upstream = await createUpstream({
      tools: [tool('work')],
      onCall: (call) => {
        calls.push(String(call.args['n']));
        call.text('done');
      },
    });
    const ready = await startGateway({ servers: [upstream.entry('a')] });
    const port = await freePort();
    const waiting = await startGateway(
      { servers: [{ name: 'b', url: `http://127.0.0.1:${port}/mcp`, required: true }] },
      { wait: [] },
    );
    expect((await send(`${waiting.base}/ready`)).status).toBe(503);
    const { url } = await startBalancer(name, [ready.base, waiting.base]);
    // HAProxy has to notice first; nginx tries another gateway at once.
    if (name === 'haproxy')
      await until(async () => {
        for (let n = 0; n < 8; n++) if (!(await openSession(url).catch(() => undefined))) return false;
        return true;
      });
    else for (let n = 0; n < 8; n++) await openSession(url);
    expect(await waiting.metric('mcpstead_downstream_sessions_total')).toBe(0);
    const session = await openSession(url);
    for (let n = 0; n < 8; n++) await callTool(url, 'a__work', { n }, session);
    expect(calls).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
  });

  it('keeps the metrics of gateways from clients', async () => {
    const gateway = await startGateway({ servers: [] });
    const { base } = await startBalancer(name, [gateway.base]);
    expect((await send(`${base}/metrics`)).status).toBe(404);
  });
});

it('envoy.yaml, which no test runs, is YAML with the filter and the check of the page', () => {
  const text = readFileSync(join(root, 'packaging/balancers/envoy.yaml'), 'utf8');
  const envoy = parse(text) as { static_resources: { clusters: unknown[] } };
  expect(envoy.static_resources.clusters).toMatchObject([
    { health_checks: [{ http_health_check: { path: '/ready' } }] },
  ]);
  expect(text).toContain('name: envoy.http.stateful_session.envelope');
});
