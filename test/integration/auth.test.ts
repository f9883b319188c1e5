import { writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createGateway } from '../../src/index.js';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { tempFile } from '../helpers/cli.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  openSession,
  openSse,
  post,
  rawPost,
  send,
  tcp,
  textOf,
  type Headers,
  type JsonRpc,
} from '../helpers/http.js';
import { until } from '../helpers/wait.js';

const TOKEN = 'correct-horse-battery-staple';
const ping: JsonRpc = { jsonrpc: '2.0', id: 1, method: 'ping' };
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const BEARER_MODE = { mcp: { auth: { mode: 'bearer' as const } } };

let upstream: Upstream;
let running: RunningGateway;

beforeAll(async () => {
  upstream = await createUpstream({ tools: [tool('echo')] });
  running = await startGateway(
    { servers: [upstream.entry('one')], ...BEARER_MODE },
    { env: { MCPSTEAD_BEARER_TOKEN: TOKEN } },
  );
});

const refusals: [what: string, headers: Headers, reason: string][] = [
  ['no header', {}, 'missing_header'],
  ['an empty header', { authorization: '' }, 'missing_header'],
  ['another scheme', { authorization: 'Basic dXNlcjpwYXNz' }, 'bad_format'],
  ['the token alone', { authorization: TOKEN }, 'bad_format'],
  ['the scheme alone', { authorization: 'Bearer' }, 'bad_format'],
  ['the scheme and a space', { authorization: 'Bearer ' }, 'bad_format'],
  ['the scheme run into the token', { authorization: `Bearer${TOKEN}` }, 'bad_format'],
  ['another token', bearer('something-else'), 'wrong_token'],
  ['a token that begins right', bearer(`${TOKEN}x`), 'wrong_token'],
  ['the beginning of the token', bearer(TOKEN.slice(0, -1)), 'wrong_token'],
  ['the token in another case', bearer(TOKEN.toUpperCase()), 'wrong_token'],
  ['the token and a no-break space', bearer(`${TOKEN}\u00a0`), 'wrong_token'],
  ['a very long token', bearer('x'.repeat(8000)), 'wrong_token'],
];

describe('bearer', () => {
  it.each(refusals)('%s is 401 with a challenge, and counted', async (_what, headers, reason) => {
    const series = `mcpstead_mcp_auth_failures_total{reason="${reason}"}`;
    const failures = 'mcpstead_mcp_auth_attempts_total{result="failure"}';
    const [before, all] = [await running.metric(series), await running.metric(failures)];
    const answer = await post(running.url, ping, headers);
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(answer.headers['content-type']).toBe('application/json');
    const { error, ...envelope } = answer.json();
    expect(envelope).toEqual({ jsonrpc: '2.0', id: null });
    expect(error?.code).toBe(-32000);
    expect(Object.keys(error ?? {})).toEqual(['code', 'message']);
    expect(answer.text).not.toContain(TOKEN);
    expect(await running.metric(series)).toBe(before + 1);
    expect(await running.metric(failures)).toBe(all + 1);
  });

  it('says the same of every wrong token', async () => {
    const answers = await Promise.all(
      ['a', 'b'.repeat(100), TOKEN.slice(1), `${TOKEN}${TOKEN}`].map((token) =>
        post(running.url, ping, bearer(token)),
      ),
    );
    expect(new Set(answers.map(({ text, status }) => `${status} ${text}`)).size).toBe(1);
  });

  it.each(['Bearer', 'bearer', 'BEARER'])('%s is the scheme, in any case', async (scheme) => {
    const before = await running.metric('mcpstead_mcp_auth_attempts_total{result="success"}');
    expect((await post(running.url, ping, { authorization: `${scheme} ${TOKEN}` })).status).toBe(200);
    expect(await running.metric('mcpstead_mcp_auth_attempts_total{result="success"}')).toBe(before + 1);
  });

  it('guards every route but /health, /ready and /metrics, and every method', async () => {
    const paths = ['/mcp', '/servers/one/mcp', '/servers/nobody/mcp', '/-/reload'];
    for (const path of paths)
      for (const method of ['GET', 'POST', 'DELETE', 'PUT']) {
        const answer = await send(running.base + path, undefined, { method });
        expect([path, method, answer.status]).toEqual([path, method, 401]);
      }
    for (const path of ['/health', '/ready', '/metrics'])
      expect((await send(running.base + path)).status).toBe(200);
  });

  it('is asked before the body is looked at, and no call reaches an upstream', async () => {
    const before = upstream.requests.length;
    for (const body of ['no json', callBody('one__echo'), 'x'.repeat(100_000)])
      expect((await post(running.url, body)).status).toBe(401);
    expect(upstream.requests.length).toBe(before);
  });

  it('lets a session be opened and used, with the token on every request', async () => {
    const session = await openSession(running.url, { headers: bearer(TOKEN) });
    expect(textOf(await callTool(running.url, 'one__echo', { a: 1 }, session))).toBe('{"a":1}');
    const { authorization: _token, ...without } = session;
    expect((await post(running.url, ping, without)).status).toBe(401);
    expect((await post(running.url, ping, { ...session, ...bearer('stolen-session') })).status).toBe(401);
    expect((await post(running.url, ping, session)).status).toBe(200);
  });

  it('keeps the token of the client from the upstream', async () => {
    await callTool(running.url, 'one__echo', {}, bearer(TOKEN));
    for (const { headers } of upstream.requests) expect(headers.authorization).toBeUndefined();
  });

  it('keeps its own token out of /health, /metrics and every refusal', async () => {
    const texts = await Promise.all([
      send(`${running.base}/health`),
      send(`${running.base}/metrics`),
      post(running.url, ping, bearer(`${TOKEN}x`)),
    ]);
    for (const { text } of texts) expect(text).not.toContain(TOKEN);
  });

  it('refuses two Authorization headers that do not both match', async () => {
    const connection = await tcp(running.url);
    const request = rawPost(running.url, ping, bearer(TOKEN)).toString();
    connection.write(
      request.replace('\r\n\r\n', '\r\nAuthorization: Bearer other\r\nConnection: close\r\n\r\n'),
    );
    await connection.done();
    // Node keeps the first of two; a proxy in front may keep the other: either is fine, a crash is not.
    expect(connection.text).toMatch(/^HTTP\/1\.1 (200|400|401) /);
  });

  it('does not start without a token', () => {
    expect(() => createGateway({ ...BEARER_MODE, servers: [] }, { env: {} })).toThrow(
      /MCPSTEAD_BEARER_TOKEN/,
    );
    expect(() =>
      createGateway({ ...BEARER_MODE, servers: [] }, { env: { MCPSTEAD_BEARER_TOKEN: '' } }),
    ).toThrow(/MCPSTEAD_BEARER_TOKEN/);
  });
});

describe('mode none', () => {
  it('lets everybody in, whatever they show, and counts no attempts', async () => {
    const own = await startGateway({ servers: [upstream.entry('one')] });
    for (const headers of [{}, bearer('anything'), { authorization: 'Basic x' }])
      expect((await post(own.url, ping, headers)).status).toBe(200);
    expect(await own.metrics()).not.toMatch(/^mcpstead_mcp_auth_/m);
  });
});

describe('rotation', () => {
  async function rotating(tokens: string): Promise<RunningGateway & { file: string }> {
    const file = await tempFile('tokens', tokens);
    const own = await startGateway(
      { servers: [upstream.entry('one')], ...BEARER_MODE },
      { env: { MCPSTEAD_BEARER_TOKEN_FILE: file } },
    );
    return Object.assign(own, { file });
  }
  const status = async (url: string, headers: Headers): Promise<number> =>
    (await post(url, ping, headers)).status;

  it('takes every token of the file, one a line', async () => {
    const own = await rotating('old-token\nnew-token\n');
    expect(await status(own.url, bearer('old-token'))).toBe(200);
    expect(await status(own.url, bearer('new-token'))).toBe(200);
    expect(await status(own.url, bearer('old-token\tnew-token'))).toBe(401);
    expect(await status(own.url, bearer('other-token'))).toBe(401);
  });

  it('a session opened with one token goes on with another', async () => {
    const own = await rotating('old-token\nnew-token\n');
    const session = await openSession(own.url, { headers: bearer('old-token') });
    expect(await status(own.url, { ...session, ...bearer('new-token') })).toBe(200);
  });

  it('a reload that drops a token ends its sessions and streams, and no others', async () => {
    const own = await rotating('old-token\n');
    await writeFile(own.file, 'old-token\nnew-token\n');
    await own.gateway.reload();
    const old = await openSession(own.url, { headers: bearer('old-token') });
    const young = await openSession(own.url, { headers: bearer('new-token') });
    const oldStream = await openSse(own.url, undefined, old);
    const youngStream = await openSse(own.url, undefined, young);
    await writeFile(own.file, 'new-token\n');
    const reload = await send(`${own.base}/-/reload`, undefined, {
      method: 'POST',
      headers: bearer('new-token'),
    });
    expect(reload.json()).toMatchObject({ unchanged: 1, restarted: 0 });
    await oldStream.done();
    expect(oldStream.complete).toBe(true);
    expect(youngStream.ended).toBe(false);
    expect(await status(own.url, old)).toBe(401);
    expect(await status(own.url, { ...old, ...bearer('new-token') })).toBe(404);
    expect(await status(own.url, young)).toBe(200);
    expect(await own.metric('mcpstead_downstream_session_terminations_total{reason="auth_changed"}')).toBe(1);
  });

  it('a reload to an empty file is refused, and the old tokens count on', async () => {
    const own = await rotating('old-token\n');
    await writeFile(own.file, '\n');
    await expect(own.gateway.reload()).rejects.toThrow(/MCPSTEAD_BEARER_TOKEN/);
    expect(await status(own.url, bearer('old-token'))).toBe(200);
    expect(await own.metric('mcpstead_config_reloads_total{result="error"}')).toBe(1);
  });

  it('a reload from none to bearer counts at once, for open sessions too', async () => {
    const env = { MCPSTEAD_BEARER_TOKEN: TOKEN };
    const own = await startGateway({ servers: [upstream.entry('one')] }, { env });
    const stream = await openSse(own.url, undefined, await openSession(own.url));
    await own.gateway.reload({ servers: [upstream.entry('one')], ...BEARER_MODE });
    await stream.done();
    expect(await status(own.url, {})).toBe(401);
    expect(await status(own.url, bearer(TOKEN))).toBe(200);
    await own.gateway.reload({ servers: [upstream.entry('one')] });
    expect(await status(own.url, {})).toBe(200);
  });

  it('a call in flight of a withdrawn token is cancelled', async () => {
    const holding = await createUpstream({ tools: [tool('held')], onCall: () => undefined });
    const file = await tempFile('tokens', 'old-token');
    const own = await startGateway(
      { servers: [holding.entry('s')], ...BEARER_MODE },
      { env: { MCPSTEAD_BEARER_TOKEN_FILE: file } },
    );
    const session = await openSession(own.url, { headers: bearer('old-token') });
    const call = post(own.url, callBody('s__held'), session);
    await until(() => holding.calls('held').length === 1);
    await writeFile(file, 'new-token');
    await own.gateway.reload();
    expect((await call).text).toBe('');
    await until(() => holding.received('notifications/cancelled').length + holding.abandoned > 0);
  });
});

describe('towards an upstream', () => {
  it('a token from a variable and headers go along, and an unset variable fails that server alone', async () => {
    const own = await startGateway(
      {
        servers: [
          upstream.entry('with', {
            auth: { type: 'bearer' as const, token_env: 'UP_TOKEN' },
            headers: { 'X-API-Key': '${UP_KEY}' },
          }),
          upstream.entry('without', { auth: { type: 'bearer' as const, token_env: 'NOT_SET_ANYWHERE' } }),
        ],
      },
      { env: { UP_TOKEN: 'up-secret', UP_KEY: 'key-secret' }, wait: ['with'] },
    );
    await callTool(own.url, 'with__echo', { mark: 'authorized' });
    const sent = upstream.calls('echo').findLast(({ text }) => text.includes('authorized'));
    expect(sent?.headers).toMatchObject({ authorization: 'Bearer up-secret', 'x-api-key': 'key-secret' });
    const { servers } = await own.health();
    expect(servers.find(({ name }) => name === 'without')).toMatchObject({ connected: false, state: 'down' });
    expect(servers.find(({ name }) => name === 'without')?.last_error).toContain('NOT_SET_ANYWHERE');
    expect(JSON.stringify(servers)).not.toMatch(/up-secret|key-secret/);
    expect((await callTool(own.url, 'without__echo')).error?.message).toContain('NOT_SET_ANYWHERE');
  });

  it('a token file is read again on reload, and the upstream restarts with the new one', async () => {
    const file = await tempFile('token', 'first-secret\n');
    const entry = upstream.entry('s', { auth: { type: 'bearer' as const, token_file: file } });
    const own = await startGateway({ servers: [entry] });
    const shown = async (): Promise<string | undefined> => {
      await callTool(own.url, 's__echo');
      return upstream.calls('echo').at(-1)?.headers.authorization;
    };
    expect(await shown()).toBe('Bearer first-secret');
    await writeFile(file, 'second-secret\n');
    expect(await own.gateway.reload()).toMatchObject({ restarted: 1, unchanged: 0 });
    await until(async () => (await shown()) === 'Bearer second-secret');
    expect(await own.gateway.reload()).toMatchObject({ restarted: 0, unchanged: 1 });
  });

  it('a 401 or 403 of the upstream is upstream_auth_failed, its text without the secret', async () => {
    const picky = await createUpstream({
      tools: [tool('echo')],
      onCall: (call) => call.raw(`no: ${String(call.received.headers.authorization)}`, 403),
    });
    const own = await startGateway(
      { servers: [picky.entry('s', { auth: { type: 'bearer' as const, token_env: 'UP_TOKEN' } })] },
      { env: { UP_TOKEN: 'up-secret' } },
    );
    const { error } = await callTool(own.url, 's__echo');
    expect(error?.code).toBe(-32000);
    expect(error?.message).toContain('403');
    expect(JSON.stringify(error)).not.toContain('up-secret');
    expect(
      await own.metric(
        'mcpstead_tool_call_errors_total{server="s",tool="echo",reason="upstream_auth_failed"}',
      ),
    ).toBe(1);
  });
});

describe('an error of a server', () => {
  it('that quotes what the gateway showed it reaches the client without', async () => {
    const quoting = await createUpstream({
      tools: [tool('echo')],
      onCall: (call) => {
        const { headers } = call.received;
        const shown = { authorization: headers.authorization, key: headers['x-api-key'] };
        call.error(-32055, `no such user: ${headers.authorization}`, { ...shown, mode: 'prompts/list' });
      },
    });
    const entry = {
      ...quoting.entry('q'),
      auth: { type: 'bearer' as const, token_env: 'Q_TOKEN' },
      headers: { 'X-Api-Key': 'key"4' },
    };
    const { url } = await startGateway({ servers: [entry] }, { env: { Q_TOKEN: 'token-of-the-gateway' } });
    expect((await callTool(url, 'q__echo')).error).toEqual({
      code: -32055,
      message: 'no such user: Bearer ***',
      data: { authorization: 'Bearer ***', key: '***', mode: 'prompts/list' },
    });
  });

  it('keeps its words where a setting has the same', async () => {
    const quoting = await createUpstream({
      tools: [tool('echo')],
      onCall: (call) => call.error(-32601, 'prompts/list is not for readonly'),
    });
    const stdio = {
      name: 's',
      command: process.execPath,
      args: ['-e', "process.stderr.write('Error: prompts/list is missing\\n'); process.exit(1)"],
      env: { MODE: 'prompts', ACCESS: 'readonly' },
    };
    const running = await startGateway({ servers: [quoting.entry('q'), stdio] }, { wait: ['q'] });
    expect((await callTool(running.url, 'q__echo')).error?.message).toBe('prompts/list is not for readonly');
    const last = await until(
      async () => (await running.health()).servers.find(({ name }) => name === 's')?.last_error,
    );
    expect(last).toContain('prompts/list is missing');
  });
});
