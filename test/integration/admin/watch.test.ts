/** What the admin API shows of servers, calls and sessions, and when. */
import { describe, expect, it } from 'vitest';
import { startAdmin } from '../../helpers/admin.js';
import { callTool, openSession } from '../../helpers/http.js';
import { post } from '../../helpers/http.js';
import { callBody } from '../../helpers/http.js';
import { everythingStdio, scriptedStdio } from '../../helpers/upstreams.js';
import type { CallDetail, Calls, Me, Server, ServerDetail, Tool, Tools } from '../../../src/admin/schemas.js';

const all = everythingStdio('all');

describe('servers', () => {
  it('say what they are, with the same words as /health', async () => {
    const gateway = await startAdmin(
      { servers: [all, { name: 'gone', command: 'no-such-program', args: [] }] },
      { wait: ['all'] },
    );
    const { servers } = await gateway.get<{ servers: Server[] }>('servers');
    expect(servers.map(({ name, level, word }) => [name, level, word])).toEqual([
      ['all', 'ok', 'up'],
      ['gone', 'failed', 'down'],
    ]);
    const [up, down] = servers;
    expect(up).toMatchObject({ kind: 'stdio', era: 'legacy', cause: null, action: null });
    expect(up?.tokens).toBeGreaterThan(100);
    expect(down).toMatchObject({
      cause: expect.stringContaining("command 'no-such-program' is not in PATH") as string,
      action: {
        text: 'install it, or write its full path',
        command: 'mcpstead restart gone',
        post: 'servers/gone/restart',
      },
    });
    const health = (await gateway.health()).servers as unknown as Server[];
    expect(health.map(({ word, cause, action }) => ({ word, cause, action }))).toEqual(
      servers.map(({ word, cause, action }) => ({ word, cause, action })),
    );
    const detail = await gateway.get<ServerDetail>('servers/all');
    expect(detail).toMatchObject({ name: 'all', capabilities: { tools: {} }, legacy: null });
    const { history } = await gateway.get<{ history: object[] }>('servers/gone/history');
    expect(history.slice(0, 2)).toMatchObject([{ state: 'starting', cause: null }, { state: 'backoff' }]);
    expect((await gateway.ask('servers/nobody')).json()).toMatchObject({ status: 404, code: 'not_found' });
  });

  it('tell what they wrote to stderr, without their secrets', async () => {
    const gateway = await startAdmin(
      {
        servers: [
          {
            name: 's',
            command: process.execPath,
            args: ['-e', "console.error('\x1b[31mtoken is ' + process.env.API_TOKEN); process.exit(3)"],
            env: { API_TOKEN: 'child-secret-1' },
          },
        ],
      },
      { wait: [] },
    );
    const stream = await gateway.watch(['servers']);
    await stream.event('servers', (event) => event.servers?.[0]?.word === 'down');
    expect((await gateway.get<{ lines: string[] }>('servers/s/stderr')).lines).toContain('token is ***');
  });
});

it('lists tools with their names, and what they take of a context', async () => {
  const gateway = await startAdmin({ servers: [all] });
  const { tools, tokens } = await gateway.get<Tools>('tools');
  const echo = tools.find(({ name }) => name === 'all__echo');
  expect(echo).toMatchObject({ server: 'all', own_name: 'echo' });
  expect(echo).not.toHaveProperty('definition');
  expect(tokens).toBe(tools.reduce((sum, tool) => sum + tool.tokens, 0));
  const one = await gateway.get<Tool>('tools/all__echo');
  expect(one.definition).toMatchObject({ name: 'echo', inputSchema: { type: 'object' } });
  expect(
    (await gateway.get<{ prompts: object[] }>('prompts?server=all&full=true')).prompts.length,
  ).toBeGreaterThan(0);
  const { resources } = await gateway.get<{ resources: { template: boolean }[] }>('resources');
  expect(resources.some(({ template }) => template)).toBe(true);
  expect((await gateway.ask('tools?full=maybe')).json()).toMatchObject({
    status: 400,
    code: 'invalid_params',
  });
});

describe('calls', () => {
  it('are there if they failed before anybody looked', async () => {
    const gateway = await startAdmin({ servers: [all] });
    await callTool(gateway.url, 'all__echo', { message: 'not to be seen' });
    await callTool(gateway.url, 'all__nothing', {});
    const { calls, watched } = await gateway.get<Calls>('calls');
    expect(watched).toBe(false);
    expect(calls).toMatchObject([{ method: 'tools/call', outcome: 'tool_error', state: 'over' }]);
  });

  it('of others appear as they happen, without their arguments', async () => {
    const gateway = await startAdmin({ servers: [all] });
    const watched = await gateway.watch(['calls', 'sessions']);
    await watched.event('calls');
    const headers = await openSession(gateway.url);
    await callTool(gateway.url, 'all__echo', { message: 'not to be seen' }, headers);
    const { calls = [] } = await watched.event(
      'calls',
      (event) => event.calls?.some(({ name, state }) => name === 'echo' && state === 'over') === true,
    );
    const echo = calls.find(({ name }) => name === 'echo');
    expect(echo).toMatchObject({
      server: 'all',
      client: { name: 'test', version: '0' },
      principal: 'anonymous',
      route: '/mcp',
      session: headers['mcp-session-id']?.slice(0, 8),
      client_era: 'legacy',
      server_era: 'legacy',
      outcome: 'ok',
      reason: null,
      captured: false,
    });
    expect(echo?.bytes_out).toBeGreaterThan(10);
    expect(await gateway.get<CallDetail>(`calls/${echo?.id}`)).toMatchObject({ id: echo?.id, request: null });
    const { sessions = [] } = await watched.event('sessions', (event) => (event.sessions?.length ?? 0) > 0);
    expect(sessions).toMatchObject([{ client: { name: 'test' }, era: 'legacy', calls: 0, listening: false }]);
    expect(watched.stream.text).not.toContain('not to be seen');
    expect(watched.stream.text).not.toContain(headers['mcp-session-id']);
  });

  it('show clients without a session', async () => {
    const gateway = await startAdmin({ servers: [all] });
    const watched = await gateway.watch(['sessions']);
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'modern client', version: '2' },
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    await post(gateway.url, callBody('all__echo', { message: 'x' }, 1, meta), {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'all__echo',
    });
    const { sessions = [] } = await watched.event('sessions', (event) => (event.sessions?.length ?? 0) > 0);
    const [row] = sessions;
    expect(row).toMatchObject({
      session: null,
      client: { name: 'modern client' },
      era: 'modern',
      revision: '2026-07-28',
    });
  });
});

describe('events', () => {
  it('tell that a server has gone, with the cause and a way out', async () => {
    const gateway = await startAdmin({ servers: [scriptedStdio('s')] });
    const watched = await gateway.watch(['status']);
    expect((await watched.event('status')).servers).toMatchObject([{ name: 's', word: 'up' }]);
    await callTool(gateway.url, 's__exit', {}).catch(() => undefined);
    const event = await watched.event(
      'status',
      ({ servers }) => servers?.[0] !== undefined && servers[0].word !== 'up',
    );
    expect(event.servers?.[0]).toMatchObject({ word: 'down', level: 'failed' });
    expect(event.servers?.[0]?.cause).not.toBeNull();
    expect(event.servers?.[0]?.action).not.toBeNull();
  });

  it('have at most 16 watchers, and end with the rights of theirs', async () => {
    const gateway = await startAdmin({ servers: [] });
    const streams = await Promise.all(Array.from({ length: 16 }, () => gateway.watch(['servers'])));
    expect((await gateway.ask('events?topics=servers')).json()).toMatchObject({ status: 503, code: 'busy' });
    await gateway.gateway.reload({ servers: [], host: '127.0.0.1', port: 0, console: { enabled: false } });
    await Promise.all(streams.map(({ stream }) => stream.done()));
  });

  it('end when the gateway shuts down', async () => {
    const gateway = await startAdmin({ servers: [] });
    const { stream } = await gateway.watch(['servers']);
    await gateway.gateway.close();
    await stream.done();
  });
});

it('says who asks and what the gateway is', async () => {
  const gateway = await startAdmin({ servers: [] });
  expect(await gateway.get<Me>('me')).toMatchObject({
    state: 'serving',
    endpoint: gateway.url,
    role: 'operator',
  });
});
