/** Sessions that are kept outside the gateway: its store answers later, and now and then not at all. */
import { PassThrough } from 'node:stream';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { describe, expect, test } from 'vitest';
import type { ConfigInput, Logger } from '../../src/index.js';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { Elsewhere } from '../helpers/elsewhere.js';
import { ableClient, exercise } from '../helpers/exercise.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  MCP_HEADERS,
  message,
  openSession,
  openSse,
  post,
  send,
  textOf,
  type Answer,
  type Headers,
  type JsonRpc,
  beat,
} from '../helpers/http.js';
import { connect, final, messagesOf } from '../helpers/legacy.js';
import { everythingStdio } from '../helpers/upstreams.js';
import { timer, until } from '../helpers/wait.js';

const ACTIVE = 'mcpstead_downstream_sessions_active';

const rpc = (method: string, id?: number | string, params: object = {}): JsonRpc => ({
  jsonrpc: '2.0',
  ...(id === undefined ? {} : { id }),
  method,
  params: params as Record<string, unknown>,
});
const initialize = (id: number | string = 0): JsonRpc =>
  rpc('initialize', id, {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '0' },
  });
const cancelled = (requestId: number | string): JsonRpc =>
  rpc('notifications/cancelled', undefined, { requestId });

interface Setup {
  readonly elsewhere: Elsewhere;
  readonly upstream: Upstream;
  readonly gateway: RunningGateway;
  /** Calls of `hold`, to be answered by the test. */
  readonly calls: Call[];
  readonly lines: string[];
}

/** The tool `hold` answers when told, `echo` at once. */
async function setup(config: ConfigInput = {}, elsewhere = new Elsewhere()): Promise<Setup> {
  const calls: Call[] = [];
  const upstream = await createUpstream({
    tools: [tool('echo'), tool('hold')],
    getStream: true,
    onCall: (call) => {
      if (call.params.name === 'hold') calls.push(call);
      else call.text(JSON.stringify(call.args));
    },
  });
  const lines: string[] = [];
  const write = (text: string, fields?: object): void => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const logger: Logger = { debugEnabled: true, debug: write, info: write, warn: write, error: write };
  const gateway = await startGateway(
    { ...config, servers: [upstream.entry('up')] },
    { sessions: elsewhere.sessions, logger },
  );
  return { elsewhere, upstream, gateway, calls, lines };
}

const end = (url: string, headers: Headers): Promise<Answer> =>
  send(url, undefined, { method: 'DELETE', headers });

/** Begins a request and leaves once the store has been asked. */
async function leaveWhileLooking(
  elsewhere: Elsewhere,
  url: string,
  body: object | undefined,
  headers: Headers,
): Promise<void> {
  const controller = new AbortController();
  const waiting = elsewhere.waiting + 1;
  const gone = send(url, body, {
    headers: { ...MCP_HEADERS, ...(body ? {} : { accept: 'text/event-stream' }), ...headers },
    signal: controller.signal,
  }).catch(() => 'gone');
  await until(() => elsewhere.waiting === waiting, 'the store to be asked');
  controller.abort();
  expect(await gone).toBe('gone');
  // The gateway has to hear of it too.
  await beat(url);
}

describe('a store that answers later', () => {
  test('carries a session from its beginning to its end', async () => {
    const { elsewhere, gateway } = await setup();
    const client = await connect(gateway.url);
    expect(elsewhere.records.size).toBe(1);
    expect(await gateway.metric(ACTIVE)).toBe(1);
    expect((await client.request('ping')).result).toEqual({});
    expect(await client.tool('up__echo', { a: 1 })).toBe('{"a":1}');
    expect((await client.list('tools/list', 'tools')).map(({ name }) => name)).toEqual([
      'up__echo',
      'up__hold',
    ]);
    expect((await client.request('logging/setLevel', { level: 'error' })).result).toEqual({});
    expect((await client.request('initialize')).error).toMatchObject({ code: -32600 });
    expect((await client.say({ id: 77, result: {} })).status).toBe(400);
    expect((await client.end()).status).toBe(200);
    expect(elsewhere.records.size).toBe(0);
    expect(await gateway.metric(ACTIVE)).toBe(0);
    expect((await client.say(rpc('ping', 1))).status).toBe(404);
    expect((await client.end()).status).toBe(404);
  });

  test('keeps no session from others, and is not asked without an id', async () => {
    const { elsewhere, gateway } = await setup();
    const session = await openSession(gateway.url);
    expect((await post(gateway.server('up'), rpc('ping', 1), session)).status).toBe(404);
    expect((await post(gateway.url, rpc('ping', 1), { ...session, 'mcp-session-id': 'x' })).status).toBe(404);
    expect(
      (await post(gateway.url, rpc('ping', 1), { ...session, 'mcp-protocol-version': '2025-06-18' })).status,
    ).toBe(200);
    const before = elsewhere.asked.length;
    expect((await post(gateway.url, callBody('up__echo'))).status).toBe(200);
    expect(elsewhere.asked).toHaveLength(before);
  });

  test('that is full says so', async () => {
    const { gateway } = await setup({ limits: { sessions: 1 } });
    await openSession(gateway.url);
    const answer = await post(gateway.url, initialize());
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    expect(answer.json().error?.message).toMatch(/too many sessions/);
  });

  test.each(['application/json', 'text/event-stream'])(
    'refuses as it does at once, where the answer is to be %s',
    async (accept) => {
      const { elsewhere, gateway } = await setup({ http: { stream_after_ms: 1 } });
      elsewhere.ms = 40;
      const session = await openSession(gateway.url);
      const lost = { ...session, 'mcp-session-id': 'lost', accept };
      expect((await post(gateway.url, callBody('up__echo'), lost)).status).toBe(404);
      expect(textOf(message(await post(gateway.url, callBody('up__echo'), { ...session, accept })))).toBe(
        '{}',
      );
    },
  );

  test('opens the stream of a session, on which changes come', async () => {
    const { gateway, upstream } = await setup();
    const client = await connect(gateway.url);
    const stream = await client.listen();
    await until(() => upstream.streams.size === 1, 'the stream of the server');
    upstream.setTools([tool('echo'), tool('other')]);
    await until(() => messagesOf(stream).some(({ method }) => method === 'notifications/tools/list_changed'));
    expect((await client.end()).status).toBe(200);
    await stream.done();
  });

  test('lets a client come back to the stream of a call', async () => {
    const { gateway, calls } = await setup();
    const client = await connect(gateway.url);
    const opening = client.stream('up__hold');
    const call = await until(() => calls[0], 'the call');
    call.log('first');
    const stream = await opening;
    await stream.next();
    stream.close();
    await client.request('ping');
    call.log('second');
    call.text('done');
    const again = await client.listen(stream.events.at(-1)?.id);
    expect(textOf(await final(again))).toBe('done');
    expect(messagesOf(again).filter(({ method }) => method === 'notifications/message')).toHaveLength(1);
  });

  test('is asked once for a batch', async () => {
    const { elsewhere, gateway } = await setup();
    const session = await openSession(gateway.url, { protocolVersion: '2025-03-26' });
    const before = elsewhere.asked.length;
    const batch = [callBody('up__echo', { a: 1 }, 1), rpc('ping', 2), rpc('notifications/initialized')];
    const answer = await post(gateway.url, batch, session);
    expect(answer.json<JsonRpc[]>().map(({ id }) => id)).toEqual([1, 2]);
    expect(elsewhere.asked.slice(before)).toEqual(['use']);
    const lost = await post(gateway.url, batch, { ...session, 'mcp-session-id': 'lost' });
    expect(lost.status).toBe(404);
  });

  test('lets a call be cancelled', async () => {
    const { gateway, calls, upstream } = await setup();
    const session = await openSession(gateway.url);
    const answer = post(gateway.url, callBody('up__hold', {}, 7), session);
    await until(() => calls[0], 'the call');
    expect((await post(gateway.url, callBody('up__hold', {}, 7), session)).json().error?.code).toBe(-32600);
    expect((await post(gateway.url, cancelled(7), session)).status).toBe(202);
    expect((await answer).text).toBe('');
    await until(() => upstream.received('notifications/cancelled').length === 1, 'the cancel upstream');
  });

  test('may find a session that ends just then: it is an ended one', async () => {
    const { elsewhere, gateway, upstream } = await setup();
    const session = await openSession(gateway.url);
    const release = elsewhere.hold();
    const ending = end(gateway.url, session);
    await until(() => elsewhere.waiting === 1, 'the store to be asked');
    const calling = post(gateway.url, callBody('up__echo'), session);
    await until(() => elsewhere.waiting === 2, 'the store to be asked');
    release();
    expect([(await ending).status, (await calling).status]).toEqual([200, 404]);
    expect(upstream.calls()).toHaveLength(0);
  });

  test('ends its sessions when their server is removed', async () => {
    const { elsewhere, gateway } = await setup();
    await openSession(gateway.server('up'));
    await gateway.gateway.reload({ servers: [] });
    await until(() => elsewhere.records.size === 0, 'the end of the record');
    expect(
      await gateway.metric('mcpstead_downstream_session_terminations_total{reason="server_removed"}'),
    ).toBe(1);
  });
});

describe('a client that leaves while the store looks', () => {
  test('has called nothing, and nothing of it stays', async () => {
    const { elsewhere, gateway, upstream } = await setup();
    const session = await openSession(gateway.url, { protocolVersion: '2025-03-26' });
    const release = elsewhere.hold();
    await leaveWhileLooking(elsewhere, gateway.url, callBody('up__echo', { never: 1 }), session);
    await leaveWhileLooking(elsewhere, gateway.url, [callBody('up__echo', { never: 2 })], session);
    await leaveWhileLooking(elsewhere, gateway.url, undefined, session);
    release();
    expect(textOf((await post(gateway.url, callBody('up__echo'), session)).json())).toBe('{}');
    expect(upstream.calls('echo')).toHaveLength(1);
    expect(await gateway.metric('mcpstead_requests_in_flight{server="up"}')).toBe(0);
    expect(await gateway.metric('mcpstead_mcp_requests_total{method="listen",result="success"}')).toBe(0);
  });

  test('has still said what it told', async () => {
    const { elsewhere, gateway, calls, upstream } = await setup();
    const session = await openSession(gateway.url);
    void post(gateway.url, callBody('up__hold', {}, 7), session).catch(() => undefined);
    await until(() => calls[0], 'the call');
    const release = elsewhere.hold();
    await leaveWhileLooking(elsewhere, gateway.url, cancelled(7), session);
    release();
    await until(() => upstream.received('notifications/cancelled').length === 1, 'the cancel upstream');
  });

  test('has no session, if it is the one to be opened', async () => {
    const { elsewhere, gateway } = await setup();
    const release = elsewhere.hold();
    await leaveWhileLooking(elsewhere, gateway.url, initialize(), {});
    release();
    await until(() => elsewhere.asked.includes('end'), 'its end');
    await until(() => elsewhere.records.size === 0, 'the end of the record');
    expect(await gateway.metric(ACTIVE)).toBe(0);
    expect(await gateway.metric('mcpstead_downstream_session_terminations_total{reason="init_failed"}')).toBe(
      1,
    );
  });

  test('has no session either, if the gateway ends meanwhile', async () => {
    const { elsewhere, gateway } = await setup();
    const release = elsewhere.hold();
    const answer = post(gateway.url, initialize());
    await until(() => elsewhere.waiting === 1, 'the store to be asked');
    const closing = gateway.gateway.close();
    release();
    expect((await answer).status).toBe(503);
    await closing;
    await until(() => elsewhere.records.size === 0, 'the end of the record');
  });
});

describe('a store that fails', () => {
  test.each([
    ['later', false],
    ['at once', true],
  ])('%s costs no session: the client is to try again', async (_when, atOnce) => {
    const { elsewhere, gateway, lines, upstream } = await setup();
    const session = await openSession(gateway.url, { protocolVersion: '2025-03-26' });
    const id = session['mcp-session-id'] as string;
    elsewhere.atOnce = atOnce;
    elsewhere.error = Object.assign(new Error(`no answer of redis://user:secret@host about ${id}`), {
      code: 'ECONNREFUSED',
    });
    elsewhere.failing = ['open', 'use', 'end'];
    const answers = {
      call: await post(gateway.url, callBody('up__echo', {}, 5), session),
      ping: await post(gateway.url, rpc('ping', 5), session),
      notification: await post(gateway.url, rpc('notifications/initialized'), session),
      response: await post(gateway.url, { jsonrpc: '2.0', id: 5, result: {} }, session),
      batch: await post(gateway.url, [rpc('ping', 5)], session),
      initialize: await post(gateway.url, initialize(5)),
      listen: await send(gateway.url, undefined, { headers: { accept: 'text/event-stream', ...session } }),
      end: await end(gateway.url, session),
    };
    for (const [what, answer] of Object.entries(answers)) {
      const { error, id: to } = answer.json();
      expect([what, answer.status, answer.headers['retry-after'], error?.code]).toEqual([
        what,
        503,
        '1',
        -32000,
      ]);
      expect(answer.text).not.toMatch(/secret|redis/);
      expect([what, to]).toEqual([what, ['call', 'ping', 'initialize'].includes(what) ? 5 : null]);
    }
    const failures = lines.filter((line) => line.startsWith('the session store failed'));
    expect(failures).toEqual(
      Array.from({ length: 8 }, () => 'the session store failed {"error":"Error","code":"ECONNREFUSED"}'),
    );
    expect(lines.join('\n')).not.toMatch(new RegExp(`secret|redis|${id}`));
    expect(upstream.calls('echo')).toHaveLength(0);
    elsewhere.failing = [];
    expect(textOf((await post(gateway.url, callBody('up__echo'), session)).json())).toBe('{}');
    expect(await gateway.metric(ACTIVE)).toBe(1);
  });

  test('says nothing in time: its clients do not wait for ever, and what it opens later is no session', async () => {
    const { elsewhere, gateway, lines } = await setup();
    const session = await openSession(gateway.url);
    const answerNow = elsewhere.hold();
    // Not at once: what it is given is five seconds.
    const given = timer(4900);
    const answers = await Promise.all([
      post(gateway.url, callBody('up__echo', {}, 5), session),
      post(gateway.url, initialize(6)),
    ]);
    expect(given.rung).toBe(true);
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    expect(lines.filter((line) => line.startsWith('the session store failed'))).toEqual(
      Array.from({ length: 2 }, () => 'the session store failed {"error":"TimeoutError"}'),
    );
    answerNow();
    await until(() => elsewhere.records.size === 1, 'the end of the session that came too late');
    expect(await gateway.metric(ACTIVE)).toBe(1);
    expect(textOf((await post(gateway.url, callBody('up__echo'), session)).json())).toBe('{}');
  });

  test('now and then is no more than that: whoever tries again is served', async () => {
    const { elsewhere, gateway } = await setup();
    const session = await openSession(gateway.url);
    let refused = 0;
    for (let i = 0; i < 30; i++) {
      elsewhere.failing = i % 3 === 0 ? ['use'] : [];
      const answer = await post(gateway.url, callBody('up__echo', { i }), session);
      if (answer.status === 503) refused++;
      else expect(textOf(answer.json())).toBe(`{"i":${i}}`);
    }
    expect(refused).toBe(10);
    expect(elsewhere.records.size).toBe(1);
  });

  test('at the end of a session says so, and the client can end it again', async () => {
    const { elsewhere, gateway } = await setup();
    const session = await openSession(gateway.url);
    elsewhere.failing = ['end'];
    expect((await end(gateway.url, session)).status).toBe(503);
    expect(await gateway.metric(ACTIVE)).toBe(0);
    elsewhere.failing = [];
    expect((await end(gateway.url, session)).status).toBe(200);
    expect(elsewhere.records.size).toBe(0);
  });
});

describe('two gateways with one store', () => {
  test('serve the same session, each with what it knows of its client', async () => {
    const one = await setup();
    const two = await setup({}, one.elsewhere);
    const session = await openSession(one.gateway.url);
    expect(textOf((await post(one.gateway.url, callBody('up__echo', { at: 1 }), session)).json())).toBe(
      '{"at":1}',
    );
    expect(textOf((await post(two.gateway.url, callBody('up__echo', { at: 2 }), session)).json())).toBe(
      '{"at":2}',
    );
    const many = await Promise.all(
      Array.from({ length: 5 }, (_, i) => post(two.gateway.url, callBody('up__echo', {}, i), session)),
    );
    expect(many.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect([await one.gateway.metric(ACTIVE), await two.gateway.metric(ACTIVE)]).toEqual([1, 1]);
    const other = { ...session, 'mcp-protocol-version': '2025-06-18' };
    expect((await post(two.gateway.url, rpc('ping', 1), other)).status).toBe(200);
    const stream = await openSse(one.gateway.url, undefined, session);
    expect((await end(two.gateway.url, session)).status).toBe(200);
    expect((await post(one.gateway.url, rpc('ping', 1), session)).status).toBe(404);
    await stream.done();
    expect([await one.gateway.metric(ACTIVE), await two.gateway.metric(ACTIVE)]).toEqual([0, 0]);
  });

  test('a session outlives the one that opened it', async () => {
    const one = await setup();
    const two = await setup({}, one.elsewhere);
    const session = await openSession(one.gateway.url);
    await one.gateway.gateway.close();
    expect(textOf((await post(two.gateway.url, callBody('up__echo', { at: 2 }), session)).json())).toBe(
      '{"at":2}',
    );
  });
});

/** A client of the door with lines, all of whose messages are written at once. */
function lines(gateway: RunningGateway, bodies: readonly object[]) {
  const input = new PassThrough();
  const output = new PassThrough();
  const said: JsonRpc[] = [];
  let text = '';
  output.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const whole = text.split('\n');
    text = whole.pop() as string;
    for (const line of whole) {
      const each = JSON.parse(line) as JsonRpc;
      if (each.method?.endsWith('list_changed') !== true) said.push(each);
    }
  });
  const left = gateway.gateway.attach(input, output);
  input.write(bodies.map((body) => `${JSON.stringify(body)}\n`).join(''));
  return { input, output, said, left };
}

describe('clients with one stream', () => {
  test('stdio: nothing overtakes the handshake, and the order stays', async () => {
    const { elsewhere, gateway, upstream } = await setup();
    const release = elsewhere.hold();
    const client = lines(gateway, [
      initialize(),
      rpc('notifications/initialized'),
      rpc('ping', 1),
      callBody('up__hold', {}, 2),
      cancelled(2),
      callBody('up__echo', { last: true }, 3),
    ]);
    await until(() => elsewhere.waiting === 1, 'the store to be asked');
    await beat(gateway.base);
    expect(client.said).toEqual([]);
    expect(upstream.calls()).toHaveLength(0);
    release();
    await until(() => client.said.length === 3, 'the answers');
    expect(client.said.map(({ id }) => id)).toEqual([0, 1, 3]);
    await until(() => upstream.received('notifications/cancelled').length === 1, 'the cancel upstream');
    // The session lives with the stream: it is not looked for.
    expect(elsewhere.asked).toEqual(['open']);
    client.input.end();
    await client.left;
    await until(() => elsewhere.records.size === 0, 'the end of the record');
  });

  test('stdio: a client that has said all and ends its input is answered', async () => {
    const { elsewhere, gateway } = await setup();
    elsewhere.ms = 50;
    const client = lines(gateway, [initialize(), callBody('up__echo', { a: 1 }, 1), rpc('ping', 2)]);
    client.input.end();
    await client.left;
    await until(() => client.output.readableEnded, 'the end of the output');
    expect(client.said.map(({ id }) => id).sort()).toEqual([0, 1, 2]);
    await until(() => elsewhere.records.size === 0, 'the end of the record');
  });

  test('stdio: where the store fails the client is told, and may begin again', async () => {
    const { elsewhere, gateway } = await setup();
    elsewhere.failing = ['open'];
    const client = lines(gateway, [initialize(0)]);
    await until(() => client.said.length === 1, 'the refusal');
    expect(client.said[0]).toMatchObject({ id: 0, error: { code: -32000 } });
    elsewhere.failing = [];
    client.input.write(
      [initialize(1), initialize(2), rpc('ping', 3)].map((body) => `${JSON.stringify(body)}\n`).join(''),
    );
    await until(() => client.said.length === 4, 'the answers');
    expect(client.said.slice(1).map(({ id, error }) => [id, error?.code])).toEqual([
      [1, undefined],
      [2, -32600],
      [3, undefined],
    ]);
    expect(elsewhere.records.size).toBe(1);
  });

  test('HTTP+SSE: what is posted meanwhile waits its turn', async () => {
    const { elsewhere, gateway, upstream } = await setup();
    const stream = await openSse(`${gateway.base}/sse`);
    const endpoint = new URL((await stream.next()).data, `${gateway.base}/sse`).href;
    const release = elsewhere.hold();
    expect((await post(endpoint, initialize())).status).toBe(202);
    await until(() => elsewhere.waiting === 1, 'the store to be asked');
    const posts = [];
    for (const body of [callBody('up__hold', {}, 2), cancelled(2), callBody('up__echo', { last: true }, 3)]) {
      posts.push(post(endpoint, body));
      await beat(gateway.base);
    }
    expect(stream.events).toHaveLength(1);
    release();
    expect((await Promise.all(posts)).map(({ status }) => status)).toEqual([202, 202, 202]);
    await until(() => stream.events.length === 3, 'the answers');
    expect(stream.events.slice(1).map(({ data }) => (JSON.parse(data) as JsonRpc).id)).toEqual([0, 3]);
    await until(() => upstream.received('notifications/cancelled').length === 1, 'the cancel upstream');
    expect(elsewhere.asked).toEqual(['open']);
    stream.close();
    await until(() => elsewhere.records.size === 0, 'the end of the record');
  });

  test('HTTP+SSE: who leaves before its session is open has none', async () => {
    const { elsewhere, gateway, upstream } = await setup();
    const stream = await openSse(`${gateway.base}/sse`);
    const endpoint = new URL((await stream.next()).data, `${gateway.base}/sse`).href;
    const release = elsewhere.hold();
    await post(endpoint, initialize());
    const late = post(endpoint, callBody('up__echo', {}, 1));
    await until(() => elsewhere.waiting === 1, 'the store to be asked');
    await beat(gateway.base);
    stream.close();
    await beat(gateway.base);
    release();
    expect((await late).status).toBe(404);
    await until(() => elsewhere.asked.includes('end') && elsewhere.records.size === 0, 'its end');
    expect(upstream.calls()).toHaveLength(0);
    expect(await gateway.metric(ACTIVE)).toBe(0);
  });
});

describe('real clients', () => {
  const everything = async (): Promise<[RunningGateway, Elsewhere]> => {
    const elsewhere = new Elsewhere();
    return [
      await startGateway({ servers: [everythingStdio()] }, { sessions: elsewhere.sessions }),
      elsewhere,
    ];
  };

  test.each([
    ['Streamable HTTP', (gateway: RunningGateway) => new HttpV1(new URL(gateway.url))],
    ['HTTP+SSE', (gateway: RunningGateway) => new SSEClientTransport(new URL(`${gateway.base}/sse`))],
  ])(
    'SDK v1 does with server-everything all that can be done, over %s',
    async (_name, transport) => {
      const [gateway, elsewhere] = await everything();
      const client = await ableClient(transport(gateway));
      await exercise(client);
      await client.close();
      expect(elsewhere.asked.length).toBeGreaterThan(0);
    },
    60_000,
  );

  test('SDK v2 calls and ends its session', async () => {
    const [gateway, elsewhere] = await everything();
    const client = new ClientV2({ name: 'v2', version: '0' });
    const transport = new HttpV2(new URL(gateway.url));
    await client.connect(transport);
    const result = await client.callTool({ name: 'everything__echo', arguments: { message: 'far' } });
    expect(JSON.stringify(result)).toContain('far');
    await transport.terminateSession();
    await client.close();
    expect(elsewhere.records.size).toBe(0);
  });
});
