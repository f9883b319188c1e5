import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  JSON_ONLY,
  message,
  openSession,
  openSse,
  post,
  rawPost,
  send,
  tcp,
  textOf,
  type Answer,
  type Headers,
  type JsonRpc,
} from '../helpers/http.js';
import { until } from '../helpers/wait.js';

const ping: JsonRpc = { jsonrpc: '2.0', id: 'p', method: 'ping' };
const listTools: JsonRpc = { jsonrpc: '2.0', id: 'l', method: 'tools/list' };
const initialize = (protocolVersion?: unknown): JsonRpc => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '0' } },
});
const cancelled = (requestId: string | number): JsonRpc => ({
  jsonrpc: '2.0',
  method: 'notifications/cancelled',
  params: { requestId, reason: 'changed my mind' },
});
const end = (url: string, headers: Headers = {}): Promise<Answer> =>
  send(url, undefined, { method: 'DELETE', headers });

/** Its tool `held` answers when told; `progress` sends progress first; the others at once. */
async function heldUpstream(): Promise<Upstream & { release(): void; held: Call[] }> {
  const held: Call[] = [];
  const upstream = await createUpstream({
    tools: [tool('echo'), tool('held'), tool('progress')],
    onCall: (call) => {
      if (call.params.name !== 'held' && call.params.name !== 'progress')
        return call.text(JSON.stringify(call.args));
      if (call.params.name === 'progress') call.progress(1);
      held.push(call);
    },
  });
  return Object.assign(upstream, {
    held,
    release() {
      for (const call of held.splice(0)) call.text('released');
    },
  });
}

/** What an upstream over HTTP hears when a call of it is cancelled. */
const cancels = (upstream: Upstream): unknown[] =>
  upstream.received('notifications/cancelled').map(({ message: { params } }) => params?.['requestId']);

let upstream: Awaited<ReturnType<typeof heldUpstream>>;
let running: RunningGateway;

beforeAll(async () => {
  upstream = await heldUpstream();
  running = await startGateway({ servers: [upstream.entry('one'), upstream.entry('two')] });
});

/** Waits until so many calls are held upstream, so that what follows meets them in flight. */
const holding = (n: number, of = upstream): Promise<boolean> =>
  until(() => of.held.length === n, `${n} calls`);

describe('initialize', () => {
  it.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])(
    'is answered with %s when that is asked for',
    async (version) => {
      const answer = await post(running.url, initialize(version));
      expect(answer.status).toBe(200);
      expect(answer.json().result).toEqual({
        protocolVersion: version,
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: 'mcpstead', version: expect.any(String) as string },
      });
    },
  );

  it.each(['1999-01-01', '2025-12-31', 'next', ''])(
    'with the unknown version %j is answered with 2025-11-25',
    async (version) => {
      const answer = await post(running.url, initialize(version));
      expect(answer.json().result?.['protocolVersion']).toBe('2025-11-25');
      expect(answer.headers['mcp-session-id']).toBeDefined();
    },
  );

  it('without a version is answered with 2025-11-25', async () => {
    for (const body of [
      { jsonrpc: '2.0', id: 1, method: 'initialize' },
      { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} },
    ])
      expect((await post(running.url, body)).json().result?.['protocolVersion']).toBe('2025-11-25');
  });

  it('carries a session id of visible ASCII with 128 random bits or more, never the same twice', async () => {
    const ids = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const id = (await openSession(running.url))['mcp-session-id'] as string;
      expect(id).toMatch(/^[\x21-\x7e]{22,}$/);
      ids.add(id);
    }
    expect(ids.size).toBe(20);
  });

  it('carries its session id on an event stream too', async () => {
    const answer = await post(running.url, initialize('2025-06-18'), { accept: 'text/event-stream' });
    expect(answer.headers['mcp-session-id']).toBeDefined();
    expect(message(answer).result?.['protocolVersion']).toBe('2025-06-18');
  });

  it('on a session is 400/-32600 and changes nothing', async () => {
    const session = await openSession(running.url);
    const answer = await post(running.url, initialize('2025-06-18'), session);
    expect([answer.status, answer.json().error?.code]).toEqual([400, -32600]);
    expect(answer.headers['mcp-session-id']).toBeUndefined();
    expect((await post(running.url, ping, session)).status).toBe(200);
  });

  it('that fails, or comes as a notification, leaves no session and counts as init_failed', async () => {
    const own = await startGateway({ servers: [] });
    const bad = await post(own.url, initialize(42));
    expect([bad.status, bad.json().error?.code]).toEqual([200, -32602]);
    expect(bad.headers['mcp-session-id']).toBeUndefined();
    const { id: _id, ...notification } = initialize('2025-11-25');
    const told = await post(own.url, notification);
    expect([told.status, told.text]).toEqual([202, '']);
    expect(told.headers['mcp-session-id']).toBeUndefined();
    expect(await own.metric('mcpstead_downstream_session_terminations_total{reason="init_failed"}')).toBe(2);
    expect(await own.metric('mcpstead_downstream_sessions_active')).toBe(0);
  });
});

describe('a session id', () => {
  const everything = async (url: string, headers: Headers): Promise<number[]> => [
    (await post(url, ping, headers)).status,
    (await post(url, callBody('one__echo'), headers)).status,
    (await post(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, headers)).status,
    (await send(url, undefined, { headers: { accept: 'text/event-stream', ...headers } })).status,
    (await end(url, headers)).status,
  ];
  const gone = [404, 404, 404, 404, 404];

  it('that nobody was given is 404/-32001', async () => {
    const headers = { 'mcp-session-id': 'made-up' };
    expect(await everything(running.url, headers)).toEqual(gone);
    const answer = await post(running.url, ping, headers);
    expect(answer.json()).toMatchObject({ jsonrpc: '2.0', id: 'p', error: { code: -32001 } });
    expect((await end(running.url, headers)).json().error?.code).toBe(-32001);
  });

  it('that is empty is 404', async () => {
    expect((await post(running.url, ping, { 'mcp-session-id': '' })).status).toBe(404);
  });

  it('of an ended session is 404, its DELETE too', async () => {
    const session = await openSession(running.url);
    expect((await end(running.url, session)).status).toBe(200);
    expect(await everything(running.url, session)).toEqual(gone);
  });

  it('of another route is 404, in each direction', async () => {
    const merged = await openSession(running.url);
    const single = await openSession(running.server('one'));
    expect(await everything(running.server('one'), merged)).toEqual(gone);
    expect(await everything(running.url, single)).toEqual(gone);
    expect(await everything(running.server('two'), single)).toEqual(gone);
    expect((await post(running.url, ping, merged)).status).toBe(200);
    expect((await post(running.server('one'), ping, single)).status).toBe(200);
  });

  it('of another principal is 404: what was opened without a token is unknown to who has one', async () => {
    let mode: 'none' | 'bearer' = 'none';
    const own = await startGateway({ servers: [] }, { env: { MCPSTEAD_BEARER_TOKEN: 'some-token' } });
    const session = await openSession(own.url);
    mode = 'bearer';
    await own.gateway.reload({ servers: [], mcp: { auth: { mode } } });
    const headers = { ...session, authorization: 'Bearer some-token' };
    expect((await post(own.url, ping, headers)).status).toBe(404);
    expect((await post(own.url, ping, session)).status).toBe(401);
  });

  it('is not needed: curl works without a handshake', async () => {
    expect((await post(running.url, ping)).status).toBe(200);
    expect((await post(running.url, listTools)).json().result?.['tools']).toHaveLength(6);
    expect(textOf(await callTool(running.url, 'one__echo', { a: 1 }))).toBe('{"a":1}');
    expect((await post(running.url, { jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(
      202,
    );
    const deleted = await end(running.url);
    expect(deleted.status).toBe(200);
  });
});

describe('the MCP-Protocol-Version header', () => {
  it.each(['1999-01-01', 'garbage', '2025-11-26'])('%s is 400/-32000', async (version) => {
    const session = await openSession(running.url);
    for (const headers of [{}, session]) {
      const answer = await post(running.url, ping, { ...headers, 'mcp-protocol-version': version });
      expect([answer.status, answer.json().error?.code]).toEqual([400, -32000]);
      expect(answer.text).toContain(version);
    }
  });

  it('that is known, but not what the session negotiated, is taken: that of the session counts', async () => {
    const session = await openSession(running.url, { protocolVersion: '2025-06-18' });
    const answer = await post(running.url, ping, { ...session, 'mcp-protocol-version': '2025-11-25' });
    expect([answer.status, answer.json().error?.code]).toEqual([200, undefined]);
    expect((await post(running.url, ping, session)).status).toBe(200);
    const { 'mcp-protocol-version': _version, ...without } = session;
    expect((await post(running.url, ping, without)).status).toBe(200);
  });

  it.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])(
    '%s is taken without a session',
    async (version) => {
      expect((await post(running.url, ping, { 'mcp-protocol-version': version })).status).toBe(200);
    },
  );
});

describe('the end of a session', () => {
  const terminations = (own: RunningGateway, reason: string): Promise<number> =>
    own.metric(`mcpstead_downstream_session_terminations_total{reason="${reason}"}`);

  it('comes when it has been idle too long', async () => {
    const own = await startGateway({
      servers: [],
      mcp: { session: { idle_ttl_seconds: 1.5, gc_interval_seconds: 0.05 } },
    });
    const idle = await openSession(own.url);
    const used = await openSession(own.url);
    const streaming = await openSession(own.url);
    await openSse(own.url, undefined, streaming);
    await until(async () => {
      expect((await post(own.url, ping, used)).status).toBe(200);
      return (await terminations(own, 'idle_timeout')) === 1;
    });
    expect((await post(own.url, ping, idle)).status).toBe(404);
    expect((await post(own.url, ping, used)).status).toBe(200);
    expect((await post(own.url, ping, streaming)).status).toBe(200);
    expect(await own.metric('mcpstead_downstream_sessions_active')).toBe(2);
  });

  it('does not come while a call is in flight', async () => {
    const slow = await heldUpstream();
    const own = await startGateway({
      servers: [slow.entry('s')],
      mcp: { session: { idle_ttl_seconds: 1, gc_interval_seconds: 0.05 } },
    });
    const session = await openSession(own.url);
    const other = await openSession(own.url);
    const call = post(own.url, callBody('s__held'), session);
    await until(async () => (await post(own.url, { ...ping }, other)).status && slow.held.length === 1);
    await until(async () => (await terminations(own, 'idle_timeout')) === 1, 'the end of the other session');
    slow.release();
    expect(textOf((await call).json())).toBe('released');
    await until(async () => (await terminations(own, 'idle_timeout')) === 2, 'its end once idle');
  });

  it('comes for the one longest idle without a stream when there are limits.sessions', async () => {
    const own = await startGateway({ servers: [], limits: { sessions: 3 } });
    const streaming = await openSession(own.url);
    await openSse(own.url, undefined, streaming);
    const first = await openSession(own.url);
    const second = await openSession(own.url);
    await post(own.url, ping, first);
    const third = await openSession(own.url);
    expect(await terminations(own, 'evicted')).toBe(1);
    const alive = async (session: Headers): Promise<boolean> =>
      (await post(own.url, ping, session)).status === 200;
    expect(await alive(second)).toBe(false);
    for (const session of [streaming, first, third]) expect(await alive(session)).toBe(true);
  });

  it('comes for none that has a stream: then initialize is 503 with Retry-After', async () => {
    const own = await startGateway({ servers: [], limits: { sessions: 2 } });
    for (let i = 0; i < 2; i++) await openSse(own.url, undefined, await openSession(own.url));
    const answer = await post(own.url, initialize('2025-11-25'));
    expect([answer.status, answer.json().error?.code]).toEqual([503, -32000]);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(answer.text).toContain('limits.sessions');
  });

  it('ends its stream and counts why and how long', async () => {
    const own = await startGateway({ servers: [] });
    const session = await openSession(own.url);
    expect(await own.metric('mcpstead_downstream_sessions_active')).toBe(1);
    expect(await own.metric('mcpstead_downstream_sessions_total')).toBe(1);
    const stream = await openSse(own.url, undefined, session);
    await end(own.url, session);
    await stream.done();
    expect(stream.complete).toBe(true);
    expect(await terminations(own, 'client_delete')).toBe(1);
    expect(await own.metric('mcpstead_downstream_sessions_active')).toBe(0);
    expect(await own.metric('mcpstead_downstream_sessions_total')).toBe(1);
    expect(await own.metric('mcpstead_downstream_session_duration_seconds_count')).toBe(1);
    expect(await own.metric('mcpstead_downstream_session_duration_seconds_bucket{le="1"}')).toBe(1);
    expect(await own.metric('mcpstead_mcp_requests_total{method="terminate",result="success"}')).toBe(1);
    expect(await own.metric('mcpstead_mcp_requests_total{method="listen",result="success"}')).toBe(1);
  });
});

describe('ids in flight', () => {
  it('the same id twice in one session: the second is 400/-32600, the first is not disturbed', async () => {
    const session = await openSession(running.url);
    const first = post(running.url, callBody('one__held', {}, 'same'), session);
    await holding(1);
    for (const body of [
      JSON.stringify(callBody('one__echo', {}, 'same')),
      '{"jsonrpc":"2.0","id":"\\u0073ame","method":"tools/call","params":{"name":"two__echo"}}',
    ]) {
      const second = await post(running.url, body, session);
      expect([second.status, second.json().error?.code]).toEqual([400, -32600]);
    }
    upstream.release();
    expect(textOf((await first).json())).toBe('released');
    expect((await post(running.url, callBody('one__echo', {}, 'same'), session)).json().result).toBeDefined();
  });

  it('the same id is free in another session, without one, and as another type', async () => {
    const session = await openSession(running.url);
    const first = post(running.url, callBody('one__held', {}, 1), session);
    await holding(1);
    expect(textOf(await callTool(running.url, 'one__echo', { a: 1 }, await openSession(running.url)))).toBe(
      '{"a":1}',
    );
    expect(textOf(await callTool(running.url, 'one__echo', { b: 1 }))).toBe('{"b":1}');
    expect((await post(running.url, callBody('one__echo', {}, '1'), session)).json().result).toBeDefined();
    upstream.release();
    await first;
  });

  it('is free again after a call that failed or was cancelled', async () => {
    const session = await openSession(running.url);
    for (const name of ['nobody__x', 'one__missing']) await post(running.url, callBody(name, {}, 7), session);
    const held = post(running.url, callBody('one__held', {}, 7), session);
    await holding(1);
    await post(running.url, cancelled(7), session);
    await held;
    upstream.held.length = 0;
    expect((await post(running.url, callBody('one__echo', {}, 7), session)).json().result).toBeDefined();
  });
});

describe('notifications/cancelled', () => {
  it('ends the call of its session, and the upstream hears of it', async () => {
    const own = await heldUpstream();
    const gateway = await startGateway({ servers: [own.entry('s')] });
    const session = await openSession(gateway.url);
    const call = post(gateway.url, callBody('s__held', {}, 'mine'), session);
    await holding(1, own);
    const sent = await post(gateway.url, cancelled('mine'), session);
    expect([sent.status, sent.text]).toEqual([202, '']);
    // Nothing is said about a cancelled request: its exchange just ends.
    expect((await call).text).toBe('');
    await until(() => cancels(own).length === 1, 'the cancellation upstream');
    expect(cancels(own)).toEqual([own.held[0]?.message.id]);
    expect(
      await gateway.metric('mcpstead_tool_call_errors_total{server="s",tool="held",reason="cancelled"}'),
    ).toBe(1);
  });

  it('ends a stream that has begun without an answer on it', async () => {
    const own = await heldUpstream();
    const gateway = await startGateway({ servers: [own.entry('s')] });
    const session = await openSession(gateway.url);
    const stream = await openSse(
      gateway.url,
      callBody('s__progress', {}, 5, { progressToken: 'tok' }),
      session,
    );
    expect((await stream.message()).method).toBe('notifications/progress');
    await post(gateway.url, cancelled(5), session);
    await stream.done();
    expect(stream.complete).toBe(true);
    expect(stream.events).toHaveLength(1);
    await until(() => own.abandoned === 1 || cancels(own).length === 1, 'the cancellation upstream');
  });

  it('of another session, of an unknown id or without a session does nothing and gets 202', async () => {
    const session = await openSession(running.url);
    const call = post(running.url, callBody('one__held', {}, 'safe'), session);
    await holding(1);
    const other = await openSession(running.url);
    for (const headers of [other, {}, session]) {
      const id = headers === session ? 'nobody' : 'safe';
      expect((await post(running.url, cancelled(id), headers)).status).toBe(202);
    }
    expect(
      (await post(running.url, { jsonrpc: '2.0', method: 'notifications/cancelled' }, session)).status,
    ).toBe(202);
    upstream.release();
    expect(textOf((await call).json())).toBe('released');
  });

  it('does not cancel a call of the same id as text', async () => {
    const session = await openSession(running.url);
    const call = post(running.url, callBody('one__held', {}, 1), session);
    await holding(1);
    await post(running.url, cancelled('1'), session);
    upstream.release();
    expect(textOf((await call).json())).toBe('released');
  });
});

describe('who leaves', () => {
  it.each([
    ['without a session', false, {}],
    ['of a session that waits for JSON', true, JSON_ONLY],
    ['of a session that takes both', true, {}],
  ] as const)('a client %s cancels its call', async (_who, inSession, headers) => {
    const own = await heldUpstream();
    const gateway = await startGateway({ servers: [own.entry('s')] });
    const session = inSession ? await openSession(gateway.url) : {};
    const connection = await tcp(gateway.url);
    connection.write(rawPost(gateway.url, callBody('s__held'), { ...session, ...headers }));
    await holding(1, own);
    connection.destroy();
    await until(() => own.abandoned === 1 || cancels(own).length === 1, 'the cancellation upstream');
    await until(
      async () =>
        (await gateway.metric(
          'mcpstead_tool_call_errors_total{server="s",tool="held",reason="cancelled"}',
        )) === 1,
    );
    await until(async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 0);
  });

  it('a client whose stream carries no event ids cancels by leaving it', async () => {
    const own = await heldUpstream();
    const gateway = await startGateway({ servers: [own.entry('s')] });
    const stream = await openSse(
      gateway.url,
      callBody('s__progress', {}, 1, { progressToken: 't' }),
      await openSession(gateway.url, { protocolVersion: '2024-11-05' }),
    );
    await stream.message();
    stream.close();
    await until(() => own.abandoned === 1 || cancels(own).length === 1, 'the cancellation upstream');
  });

  it('DELETE cancels every call of the session and no other', async () => {
    const own = await heldUpstream();
    const gateway = await startGateway({ servers: [own.entry('s')] });
    const session = await openSession(gateway.url);
    const mine = [1, 2].map((id) => post(gateway.url, callBody('s__held', {}, id), session));
    const others = post(gateway.url, callBody('s__held', {}, 1), await openSession(gateway.url));
    await holding(3, own);
    expect((await end(gateway.url, session)).status).toBe(200);
    for (const call of mine) expect((await call).text).toBe('');
    await until(() => cancels(own).length === 2, 'two cancellations upstream');
    own.release();
    expect(textOf((await others).json())).toBe('released');
  });

  it('the idle time-out of a session whose stream is gone does not outlive its call', async () => {
    const own = await heldUpstream();
    const gateway = await startGateway({
      servers: [own.entry('s')],
      mcp: { session: { idle_ttl_seconds: 1, gc_interval_seconds: 0.05 } },
    });
    const connection = await tcp(gateway.url);
    connection.write(rawPost(gateway.url, callBody('s__held'), await openSession(gateway.url)));
    await holding(1, own);
    connection.destroy();
    await until(
      async () =>
        (await gateway.metric('mcpstead_downstream_session_terminations_total{reason="idle_timeout"}')) === 1,
    );
    expect(await gateway.metric('mcpstead_downstream_sessions_active')).toBe(0);
  });
});

describe('the GET stream', () => {
  /** A session that holds the lists of the start, and so need not hear of them. */
  const informed = async (url: string): Promise<Headers> => {
    const session = await openSession(url);
    await post(url, listTools, session);
    return session;
  };

  it('of a session is taken over by a new one; the old one ends cleanly', async () => {
    const own = await createUpstream({ tools: [tool('a')], getStream: true });
    const gateway = await startGateway({ servers: [own.entry('s')] });
    const session = await informed(gateway.url);
    const old = await openSse(gateway.url, undefined, session);
    const young = await openSse(gateway.url, undefined, session);
    await old.done();
    expect(old.complete).toBe(true);
    await until(() => own.streams.size > 0);
    own.setTools([tool('a'), tool('b')]);
    expect(await young.message()).toEqual({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    expect(old.events).toHaveLength(0);
  });

  it('hears of a changed list, which is then the new one', async () => {
    const own = await createUpstream({ tools: [tool('a')], getStream: true });
    const quiet = await createUpstream({ tools: [tool('q')] });
    const gateway = await startGateway({ servers: [own.entry('s'), quiet.entry('quiet')] });
    const merged = await openSse(gateway.url, undefined, await informed(gateway.url));
    const single = await openSse(gateway.server('s'), undefined, await informed(gateway.server('s')));
    const elsewhere = await openSse(
      gateway.server('quiet'),
      undefined,
      await informed(gateway.server('quiet')),
    );
    await until(() => own.streams.size > 0);
    own.setTools([tool('b'), tool('c')]);
    for (const stream of [merged, single])
      expect((await stream.message()).method).toBe('notifications/tools/list_changed');
    const names = async (url: string): Promise<string[]> =>
      ((await post(url, listTools)).json().result?.['tools'] as { name: string }[]).map(({ name }) => name);
    expect(await names(gateway.url)).toEqual(['quiet__q', 's__b', 's__c']);
    expect(await names(gateway.server('s'))).toEqual(['b', 'c']);
    expect(elsewhere.events).toHaveLength(0);
  });

  it('hears of an upstream that comes back with other tools, not of the blip', async () => {
    const own = await createUpstream({ tools: [tool('a')], getStream: true });
    const gateway = await startGateway({
      servers: [own.entry('s', { reconnect: { backoff_base_ms: 20, backoff_max_ms: 40 } })],
    });
    const stream = await openSse(gateway.url, undefined, await informed(gateway.url));
    await own.stop();
    expect((await callTool(gateway.url, 's__a')).error).toBeDefined();
    await until(async () => !(await gateway.health()).servers[0]?.connected);
    expect((await post(gateway.url, listTools)).json().result?.['tools']).toHaveLength(1);
    expect(stream.events).toHaveLength(0);
    own.options.tools = [tool('a'), tool('b')];
    await own.start();
    await gateway.up('s');
    expect((await stream.message()).method).toBe('notifications/tools/list_changed');
    expect((await post(gateway.url, listTools)).json().result?.['tools']).toHaveLength(2);
  });

  it('gets a comment now and then', async () => {
    const own = await startGateway({ servers: [], http: { keep_alive_ms: 300 } });
    const stream = await openSse(own.url, undefined, await openSession(own.url));
    await until(() => (stream.text.match(/^:/gm) ?? []).length >= 2, 'two comments');
    expect(stream.events).toHaveLength(0);
  });

  it('whose client leaves is forgotten, the session stays', async () => {
    const own = await startGateway({ servers: [], limits: { sessions: 1 } });
    const session = await openSession(own.url);
    const stream = await openSse(own.url, undefined, session);
    expect((await post(own.url, initialize('2025-11-25'))).status).toBe(503);
    stream.close();
    expect((await post(own.url, ping, session)).status).toBe(200);
    await until(async () => (await post(own.url, initialize('2025-11-25'))).status === 200);
  });
});

describe('legacy clients', () => {
  it('are pinged back at once, without any upstream', async () => {
    const own = await startGateway({ servers: [] });
    const session = await openSession(own.url);
    expect((await post(own.url, ping, session)).text).toBe('{"jsonrpc":"2.0","id":"p","result":{}}');
  });

  it('that answer what nobody asked are told so', async () => {
    const session = await openSession(running.url);
    const answer = await post(running.url, { jsonrpc: '2.0', id: 'x', result: {} }, session);
    expect([answer.status, answer.json().error?.code]).toEqual([400, -32600]);
  });
});
