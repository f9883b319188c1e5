/** A gateway with a server that nobody is logged in to. */
import type { ServerResponse } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { startOidc } from '../fixtures/servers/oidc.mjs';
import { createUpstream, tool, type Received, type Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { startAdmin } from '../helpers/admin.js';
import { tempFile } from '../helpers/cli.js';
import { command } from '../helpers/commands.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { callBody, openSession, post, send } from '../helpers/http.js';
import { until } from '../helpers/wait.js';

let closed: Upstream;
let open: Upstream;

beforeAll(async () => {
  const oidc = await startOidc();
  atEnd(() => {
    oidc.close();
  });
  closed = await createUpstream({ tools: [tool('t')] });
  closed.options.onHttp = ({ path }: Received, res: ServerResponse): boolean => {
    if (path === '/metadata') {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ resource: closed.url, authorization_servers: [oidc.issuer] }));
    } else {
      const challenge = `Bearer resource_metadata="${closed.origin}/metadata"`;
      res.writeHead(401, { 'www-authenticate': challenge }).end('no');
    }
    return true;
  };
  open = await createUpstream({ tools: [tool('t')] });
});

async function start(more: object = {}): Promise<RunningGateway> {
  const entries = [closed.entry('closed', more), open.entry('open')];
  const running = await startGateway({ servers: entries }, { wait: ['open'] });
  const stateOf = async (): Promise<string | undefined> =>
    (await running.health()).servers.find(({ name }) => name === 'closed')?.state;
  await until(async () => (await stateOf()) === 'login_required', 'the end of the attempts');
  return running;
}

describe('a server that nobody is logged in to', () => {
  it('is degraded and says what helps; the others answer', async () => {
    const running = await start();
    const health = await running.health();
    expect(health.status).toBe('degraded');
    expect(health.servers.find(({ name }) => name === 'closed')).toMatchObject({
      connected: false,
      state: 'login_required',
      last_error: 'needs a login: mcpstead login closed',
      login: { per: 'gateway', reason: 'never' },
      word: 'needs login',
      cause: 'needs a login',
      action: { text: 'log in to it', command: 'mcpstead login closed' },
    });
    expect((await send(`${running.base}/ready`)).status).toBe(200);
    const session = await openSession(running.url);
    const { text } = await post(running.url, callBody('open__t', {}), session);
    expect(text).toContain('"content"');
  });

  it('is not asked again before somebody has logged in', async () => {
    const running = await start({ reconnect: { backoff_base_ms: 5, backoff_max_ms: 10 } });
    const before = closed.requests.length;
    const session = await openSession(running.url);
    for (let i = 0; i < 20; i++) await post(running.url, callBody('open__t', {}), session);
    expect(closed.requests).toHaveLength(before);
  });

  it('answers its calls with the command that logs in', async () => {
    const running = await start({ auth: { login_tool: false } });
    const answer = await post(running.server('closed'), {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
    });
    const session = await openSession(running.url);
    const called = await post(running.url, callBody('closed__t', {}), session);
    expect(answer.text).toContain('"upstream \'closed\' needs a login: run: mcpstead login closed"');
    expect(called.text).toMatch(
      /"code":-32000,"message":"upstream 'closed' needs a login: open http\S+, or run: mcpstead login closed"/,
    );
  });

  it('has no lists to read, and says why', async () => {
    const gateway = await startAdmin({ servers: [closed.entry('closed')] }, { wait: [] });
    const refresh = async (): Promise<Record<string, unknown>> =>
      (await gateway.post('servers/closed/refresh')).json<Record<string, unknown>>();
    await until(async () => (await refresh())['code'] === 'login_required', 'the end of the attempts');
    expect(await refresh()).toMatchObject({
      status: 409,
      code: 'login_required',
      action: 'log in to it: mcpstead login closed',
    });
  });

  it('is not ready where it is required', async () => {
    const running = await start({ required: true });
    const ready = await send(`${running.base}/ready`);
    expect([ready.status, ready.text]).toEqual([503, expect.stringContaining('closed')]);
  });

  it('fails check --connect, which names the command', async () => {
    const servers = [closed.entry('closed'), open.entry('open')];
    const path = await tempFile('config.json', JSON.stringify({ servers }));
    const ran = await command(['check', '--connect', '-c', path], {});
    expect(ran.status).toBe(1);
    expect(ran.out).toMatch(/^no +closed +http +needs a login: log in to it: mcpstead login closed\n/);
  });
});
