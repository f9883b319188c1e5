/** What operators do by the admin API, and that it is recorded. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { startAdmin, type AdminGateway } from '../../helpers/admin.js';
import { callBody, callTool, openSession, openSse, post, textOf } from '../../helpers/http.js';
import { scratchFolder } from '../../helpers/state.js';
import { everythingStdio, scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';
import type { CallDetail, Calls, Server, SessionRow } from '../../../src/admin/schemas.js';

const wordOf = async (gateway: AdminGateway, server = 's'): Promise<string> =>
  (await gateway.get<Server>(`servers/${server}`)).word;

it('restarts a server: its calls finish, others go to a new process', async () => {
  const gateway = await startAdmin({ servers: [scriptedStdio('s')] });
  const pid = async (): Promise<string> => textOf(await callTool(gateway.url, 's__pid'));
  const before = await pid();
  expect((await gateway.post('servers/s/restart')).json()).toEqual({ done: true });
  await until(async () => (await pid()) !== before, 'another process');
  const { history } = await gateway.get<{ history: { state: string }[] }>('servers/s/history');
  expect(history.map(({ state }) => state)).toEqual(['starting', 'up', 'starting', 'up']);
});

it('turns a server off until a reload, or until it is turned on', async () => {
  const config = { servers: [scriptedStdio('s')] };
  const gateway = await startAdmin(config);
  const off = async (): Promise<void> => {
    expect((await gateway.post('servers/s/disable')).json()).toEqual({ done: true });
    expect(await gateway.get('servers/s')).toMatchObject({
      level: 'off',
      word: 'off',
      action: { command: 'mcpstead restart s', post: 'servers/s/enable' },
    });
    expect((await callTool(gateway.url, 's__echo')).error).toBeDefined();
  };
  await off();
  expect((await gateway.get<{ tools: object[] }>('tools')).tools).toEqual([]);
  await gateway.post('servers/s/enable');
  await until(async () => (await wordOf(gateway)) === 'up', 'the server');
  await off();
  expect((await gateway.post('reload')).json()).toMatchObject({ unchanged: 1 });
  await until(async () => (await wordOf(gateway)) === 'up', 'the server');
});

it('shows a disabled server as off, without a link, until a reload enables it', async () => {
  const config = { servers: [scriptedStdio('a'), { ...scriptedStdio('s'), disabled: true }] };
  const gateway = await startAdmin(config, { wait: ['a'] });
  const { servers } = await gateway.get<{ servers: { name: string; since: string }[] }>('servers');
  expect(servers).toMatchObject([{ name: 'a', level: 'ok' }, { name: 's' }]);
  const row = { name: 's', level: 'off', word: 'off', action: { command: 'mcpstead enable s' } };
  expect(await gateway.get('servers/s')).toMatchObject({ ...row, capabilities: null, tools: 0 });
  expect(await gateway.get('servers/s/history')).toEqual({ history: [] });
  expect(await gateway.get('servers/s/stderr')).toEqual({ lines: [] });
  for (const act of ['restart', 'enable', 'disable', 'refresh'])
    expect((await gateway.post(`servers/s/${act}`)).json(), act).toMatchObject({
      status: 409,
      action: 'enable it: mcpstead enable s',
    });
  expect(await gateway.health()).toMatchObject({ status: 'ok', servers: [{ name: 'a' }] });
  expect(await gateway.metrics()).not.toContain('"s"');
  const watched = await gateway.watch(['servers']);
  expect((await watched.event('servers')).servers).toMatchObject([{ name: 'a' }, row]);
  await gateway.gateway.reload({ ...config, servers: [scriptedStdio('a'), scriptedStdio('s')] });
  await watched.event(
    'servers',
    (event) => event.servers?.some((each) => each.name === 's' && each.level === 'ok') === true,
  );
  await gateway.gateway.reload(config);
  const off = await watched.event(
    'servers',
    (event) =>
      event.servers?.some(
        (each) => each.name === 's' && each.level === 'off' && each.since !== servers[1]?.since,
      ) === true,
  );
  expect(off.removed).toBeUndefined();
});

it('reads the lists of a server anew, or says why it cannot', async () => {
  const gateway = await startAdmin({ servers: [scriptedStdio('s')] });
  expect((await gateway.post('servers/s/refresh')).status).toBe(200);
  await gateway.post('servers/s/disable');
  expect((await gateway.post('servers/s/refresh')).json()).toMatchObject({
    status: 502,
    code: 'upstream_disconnected',
  });
});

it('cancels a call, which its server hears', async () => {
  const gateway = await startAdmin({ servers: [scriptedStdio('s')] });
  const watched = await gateway.watch(['calls']);
  await watched.event('calls');
  const headers = await openSession(gateway.url);
  const call = post(gateway.url, callBody('s__hang', {}, 7), headers);
  const isHanging = ({ name }: { name: string | null }): boolean => name === 'hang';
  const { calls = [] } = await watched.event('calls', (event) => event.calls?.some(isHanging) === true);
  const hanging = calls.find(isHanging);
  const id = hanging?.id ?? '';
  expect(hanging).toMatchObject({ state: 'open', outcome: null, ms: null });
  expect((await gateway.post(`calls/${id}/cancel`)).json()).toEqual({ done: true });
  await call;
  expect(await gateway.get<CallDetail>(`calls/${id}`)).toMatchObject({
    state: 'over',
    outcome: 'cancelled',
    detail: 'cancelled by an operator',
  });
  expect((await gateway.post(`calls/${id}/cancel`)).json()).toMatchObject({ status: 409 });
  await until(
    async () => textOf(await callTool(gateway.url, 's__cancelled')).includes('cancelled by an operator'),
    'the cancellation',
  );
});

it('ends a session', async () => {
  const gateway = await startAdmin({ servers: [] });
  const headers = await openSession(gateway.url);
  const stream = await openSse(gateway.url, undefined, headers);
  const { sessions } = await gateway.get<{ sessions: SessionRow[] }>('sessions');
  expect(sessions).toMatchObject([{ listening: true, client: { name: 'test' } }]);
  expect((await gateway.post(`sessions/${sessions[0]?.id}/end`)).json()).toEqual({ done: true });
  await stream.done();
  expect((await post(gateway.url, callBody('x'), headers)).status).toBe(404);
  expect((await gateway.post('sessions/nobody/end')).status).toBe(404);
});

it('captures bodies for a while, with secrets masked, for operators alone', async () => {
  const { createApiKey, hashApiKey } = await import('../../../src/lib/api-key.js');
  const eyes = createApiKey();
  const keys = [{ name: 'eyes', sha256: [hashApiKey(eyes)] }];
  const env = { MCPSTEAD_BEARER_TOKEN: 'contract-token-1' };
  const gateway = await startAdmin(
    {
      servers: [everythingStdio('all')],
      mcp: { auth: { mode: 'bearer', keys, viewers: [{ ids: ['key:eyes'] }] } },
    },
    { env },
  );
  const token = { authorization: `Bearer ${env.MCPSTEAD_BEARER_TOKEN}` };
  expect((await gateway.post('capture', { server: 'all', tool: 'echo' })).json()).toMatchObject({
    server: 'all',
    tool: 'echo',
    left: 100,
    by: 'operator',
  });
  await callTool(gateway.url, 'all__echo', { message: 'to be seen', password: 'hunter2' }, token);
  await callTool(gateway.url, 'all__get-sum', { a: 1, b: 2 }, token);
  const { calls } = await gateway.get<Calls>('calls');
  const of = (name: string): string => calls.find((call) => call.name === name)?.id ?? '';
  const echo = await gateway.get<CallDetail>(`calls/${of('echo')}`);
  expect(echo).toMatchObject({ captured: true, request: '{"message":"to be seen","password":"***"}' });
  expect(echo.response).toContain('Echo: to be seen');
  expect(await gateway.get(`calls/${of('get-sum')}`)).toMatchObject({ captured: false, request: null });
  const viewer = { authorization: `Bearer ${eyes}` };
  expect(await gateway.get(`calls/${of('echo')}`, viewer)).toMatchObject({
    captured: true,
    request: null,
    response: null,
  });
  for (const path of [
    'capture',
    'servers/all/restart',
    'reload',
    'config/check',
    `calls/${of('echo')}/cancel`,
  ])
    expect((await gateway.post(path, { server: 'all', text: '' }, viewer)).status, path).toBe(403);
  expect(await gateway.get('me')).toMatchObject({ capture: { left: 99 } });
});

it('is in the audit log', async () => {
  const file = `${scratchFolder()}/audit.log`;
  const gateway = await startAdmin({ servers: [scriptedStdio('s')], audit: { file } });
  await gateway.post('servers/s/restart');
  await gateway.ask('me', { authorization: `Bearer mcpo_${'x'.repeat(43)}` });
  await gateway.gateway.close();
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(events).toContainEqual(
    expect.objectContaining({
      event: 'admin',
      act: 'server.restart',
      'user.id': 'operator',
      'mcpstead.server': 's',
    }),
  );
  expect(events).toContainEqual(
    expect.objectContaining({ route: '/-/api/v1/me', 'error.type': 'wrong_token' }),
  );
});
