/** Clients over HTTP+SSE of 2024-11-05: `GET /sse`, `POST /messages`. */
import { createServer, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, type AddressInfo } from 'node:net';
import { Client as ClientV2, SSEClientTransport as SseV2 } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  ListRootsRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, test } from 'vitest';
import { createUpstream, tool, type UpstreamOptions } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir } from '../helpers/cli.js';
import { ableClient, exercise, shown } from '../helpers/exercise.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  openSse,
  post,
  send,
  textOf,
  type Answer,
  type Headers,
  type JsonRpc,
  type SseEvent,
  type SseStream,
} from '../helpers/http.js';
import { firstDifference } from '../helpers/pattern.js';
import { everythingStdio, scriptedStdio } from '../helpers/upstreams.js';
import { settled, sleep, until } from '../helpers/wait.js';

const MB = 1_000_000;

/** A client whose every message the test sees. */
class RawClient {
  readonly stream: SseStream;
  /** What the endpoint event said, resolved as clients do. */
  readonly endpoint: string;
  readonly data: string;
  readonly headers: Headers;

  constructor(stream: SseStream, url: string, data: string, headers: Headers) {
    this.stream = stream;
    this.data = data;
    this.endpoint = new URL(data, url).href;
    this.headers = headers;
  }

  static async open(url: string, headers: Headers = {}): Promise<RawClient> {
    const stream = await openSse(url, undefined, headers);
    expect(stream.status).toBe(200);
    const event = await stream.next();
    expect(event.type).toBe('endpoint');
    return new RawClient(stream, url, event.data, headers);
  }

  async initialize(protocolVersion = '2024-11-05', capabilities: object = {}): Promise<JsonRpc> {
    const params = { protocolVersion, capabilities, clientInfo: { name: 'raw', version: '0' } };
    const answer = await this.request({ id: 0, method: 'initialize', params });
    await this.say({ method: 'notifications/initialized' });
    return answer;
  }

  say(body: object): Promise<Answer> {
    return post(this.endpoint, Array.isArray(body) ? body : { jsonrpc: '2.0', ...body }, this.headers);
  }

  /** Sends a request, which is taken with 202, and gives the next message of the stream. */
  async request(body: object): Promise<JsonRpc> {
    const taken = await this.say(body);
    expect([taken.status, taken.text]).toEqual([202, '']);
    return JSON.parse((await this.next()).data) as JsonRpc;
  }

  /** The next event of the stream, but for news of the start. */
  async next(): Promise<SseEvent> {
    for (;;) {
      const event = await this.stream.next();
      if (!event.data.includes('"notifications/tools/list_changed"')) return event;
    }
  }
}

async function scripted(
  options: UpstreamOptions = {},
  more: object = {},
): Promise<{ gateway: RunningGateway; upstream: Awaited<ReturnType<typeof createUpstream>> }> {
  const upstream = await createUpstream({ tools: [tool('echo'), tool('pour')], ...options });
  const gateway = await startGateway({ servers: [upstream.entry('s')], ...more });
  return { gateway, upstream };
}

describe('the two routes', () => {
  test('name an endpoint with an id that cannot be guessed, and answer on the stream', async () => {
    const { gateway } = await scripted();
    const client = await RawClient.open(`${gateway.base}/sse`);
    expect(client.data).toMatch(/^\/messages\?sessionId=[A-Za-z0-9_-]{32}$/);
    expect(client.stream.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'x-accel-buffering': 'no',
    });
    const { result } = await client.initialize();
    expect(result).toMatchObject({ protocolVersion: '2024-11-05', serverInfo: { name: 'mcpstead' } });
    const answer = await client.request(callBody('s__echo', { a: 1.0 }, 'mine'));
    expect(answer.id).toBe('mine');
    expect(textOf(answer)).toBe('{"a":1}');
    expect(client.stream.events.every(({ id }) => id === undefined)).toBe(true);
    const other = await RawClient.open(`${gateway.base}/sse`);
    expect(other.data).not.toBe(client.data);
    const single = await RawClient.open(`${gateway.base}/servers/s/sse`);
    expect(single.data).toMatch(/^\/servers\/s\/messages\?sessionId=/);
  });

  test('name the path that http.public_url puts in front', async () => {
    const { gateway } = await scripted({}, { http: { public_url: 'https://tools.example/mcp-gateway/' } });
    const client = await RawClient.open(`${gateway.base}/servers/s/sse`);
    expect(client.data).toMatch(/^\/mcp-gateway\/servers\/s\/messages\?sessionId=/);
  });

  test('of one server show its own names and its own greeting', async () => {
    const { gateway } = await scripted({ instructions: 'as I say' });
    const client = await RawClient.open(`${gateway.base}/servers/s/sse`);
    expect(new URL(client.endpoint).pathname).toBe('/servers/s/messages');
    const { result } = await client.initialize();
    expect(result).toMatchObject({ serverInfo: { name: 'scripted' }, instructions: 'as I say' });
    expect(textOf(await client.request(callBody('echo', { a: 1 })))).toBe('{"a":1}');
  });

  test.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('negotiate %s', async (revision) => {
    const { gateway } = await scripted();
    const client = await RawClient.open(`${gateway.base}/sse`);
    expect((await client.initialize(revision)).result?.['protocolVersion']).toBe(revision);
    // No id and no priming event: nobody can come back to this stream.
    expect(client.stream.text).not.toMatch(/^(id|retry):/m);
  });

  test('refuse what is not theirs', async () => {
    const { gateway } = await scripted();
    const { base } = gateway;
    const { endpoint } = await RawClient.open(`${base}/sse`);
    const id = new URL(endpoint).search;
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    const status = async (url: string, body?: object, method?: string): Promise<number> =>
      (
        await send(url, body, {
          ...(method ? { method } : {}),
          headers: { 'content-type': 'application/json' },
        })
      ).status;
    expect(await status(`${base}/sse`, ping)).toBe(405);
    expect(await status(`${base}/messages${id}`)).toBe(405);
    expect(await status(`${base}/messages${id}`, undefined, 'DELETE')).toBe(405);
    expect(await status(`${base}/messages`, ping)).toBe(404);
    expect(await status(`${base}/messages?sessionId=nobody`, ping)).toBe(404);
    expect(await status(`${base}/servers/s/messages${id}`, ping)).toBe(404);
    expect(await status(`${base}/servers/nobody/sse`)).toBe(404);
    expect(await status(`${base}/servers/s/sse/`)).toBe(404);
    expect(await status(`${base}/messages${id}`, ping)).toBe(202);
    const wrong = await send(`${base}/sse`, undefined, { headers: { accept: 'application/json' } });
    expect(wrong.status).toBe(405);
    expect(wrong.headers.allow).toBe('GET, OPTIONS');
  });

  test('are no door to sessions of /mcp, nor that to theirs', async () => {
    const { gateway } = await scripted();
    const client = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize();
    const id = new URL(client.endpoint).searchParams.get('sessionId') ?? '';
    const answer = await post(
      gateway.url,
      { jsonrpc: '2.0', id: 1, method: 'ping' },
      { 'mcp-session-id': id },
    );
    expect(answer.status).toBe(404);
  });

  test('answer by HTTP what is no message, and belongs to nothing', async () => {
    const { gateway } = await scripted();
    const client = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize('2025-06-18');
    const refused = async (body: object | string, headers: Headers = {}): Promise<[number, unknown]> => {
      const answer = await post(client.endpoint, body, headers);
      return [answer.status, answer.json().error?.code];
    };
    expect(await refused('{')).toEqual([400, -32700]);
    expect(await refused({ id: 1 })).toEqual([400, -32600]);
    expect(await refused([])).toEqual([400, -32600]);
    expect(await refused([callBody('s__echo')])).toEqual([400, -32600]);
    expect(await refused({ jsonrpc: '2.0', id: 77, result: {} })).toEqual([400, -32600]);
    expect(await refused(callBody('s__echo'), { 'content-type': 'text/plain' })).toEqual([415, -32000]);
    // A request gets its answer where it looks for it.
    const unknown = await client.request({ id: 5, method: 'no/such' });
    expect(unknown).toMatchObject({ id: 5, error: { code: -32601 } });
    const again = await client.request({ id: 6, method: 'initialize', params: {} });
    expect(again).toMatchObject({ id: 6, error: { code: -32600 } });
  });

  test('take batches where the revision has them, and answer with one array', async () => {
    const { gateway } = await scripted();
    const client = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize('2025-03-26');
    const batch = [callBody('s__echo', { n: 1 }, 1), { jsonrpc: '2.0', id: 2, method: 'ping' }];
    expect((await client.say(batch)).status).toBe(202);
    const answers = JSON.parse((await client.next()).data) as JsonRpc[];
    expect(answers.map(({ id }) => id)).toEqual([1, 2]);
    expect((await client.say([{ jsonrpc: '2.0', method: 'notifications/initialized' }])).status).toBe(202);
  });

  test('ask for the token on both, and end with it', async () => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const config = { mcp: { auth: { mode: 'bearer' as const } }, servers: [upstream.entry('s')] };
    const gateway = await startGateway(config, { env: { MCPSTEAD_BEARER_TOKEN: 'right' } });
    expect((await openSse(`${gateway.base}/sse`)).status).toBe(401);
    const client = await RawClient.open(`${gateway.base}/sse`, { authorization: 'Bearer right' });
    await client.initialize();
    expect((await post(client.endpoint, callBody('s__echo'))).status).toBe(401);
    expect(textOf(await client.request(callBody('s__echo')))).toBe('{}');
    await gateway.gateway.reload({ ...config, mcp: {}, host: '127.0.0.1', port: 0 });
    await client.stream.done();
    expect(client.stream.complete).toBe(true);
    expect(
      await gateway.metric('mcpstead_downstream_session_terminations_total{reason="auth_changed"}'),
    ).toBe(1);
  });

  test('end when their server is removed', async () => {
    const { gateway } = await scripted();
    const client = await RawClient.open(`${gateway.base}/servers/s/sse`);
    await client.initialize();
    await gateway.gateway.reload({ servers: [], host: '127.0.0.1', port: 0 });
    await client.stream.done();
    expect(client.stream.complete).toBe(true);
  });

  test('are bounded in number', async () => {
    const { gateway } = await scripted({}, { limits: { sessions: 2 } });
    const streams = await Promise.all([1, 2].map(() => RawClient.open(`${gateway.base}/sse`)));
    expect((await openSse(`${gateway.base}/sse`)).status).toBe(503);
    streams[0]?.stream.close();
    await until(async () => {
      const stream = await openSse(`${gateway.base}/sse`);
      stream.close();
      return stream.status === 200;
    }, 'a place');
  });
});

describe('the one stream', () => {
  test('carries progress, questions and list changes', async () => {
    const { gateway, upstream } = await scripted({
      getStream: true,
      onCall: async (call) => {
        call.progress(1, 2);
        const { result } = await call.ask('elicitation/create', {
          message: 'Sure?',
          requestedSchema: { type: 'object', properties: {} },
        });
        call.text(JSON.stringify(result));
      },
    });
    const client = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize('2025-06-18', { elicitation: {} });
    const progress = await client.request(callBody('s__echo', {}, 'call', { progressToken: 'mine' }));
    expect(progress).toMatchObject({
      method: 'notifications/progress',
      params: { progressToken: 'mine', progress: 1 },
    });
    const question = await client.stream.message();
    expect(question).toMatchObject({ method: 'elicitation/create', params: { message: '[s] Sure?' } });
    const answer = await client.request({ id: question.id, result: { action: 'decline' } });
    expect(answer.id).toBe('call');
    expect(textOf(answer)).toBe('{"action":"decline"}');
    upstream.setTools([tool('echo'), tool('other')]);
    expect((await client.stream.message()).method).toBe('notifications/tools/list_changed');
  });

  test('is kept alive by comments', async () => {
    const { gateway } = await scripted({}, { http: { keep_alive_ms: 100 } });
    const client = await RawClient.open(`${gateway.base}/sse`);
    await until(() => client.stream.text.includes(': keep-alive\n\n'), 'a comment');
  });

  test('carries a large answer as one event, and the others after it', async () => {
    const size = 30 * MB;
    const { gateway } = await scripted({
      onCall: (call) => (call.params.name === 'pour' ? call.big(size) : call.text('small')),
    });
    const client = await RawClient.open(`${gateway.base}/sse`);
    // Answers to clients of older revisions are held: they may have to be converted.
    await client.initialize('2025-11-25');
    client.stream.pause();
    await client.say(callBody('s__pour', {}, 'large'));
    for (let n = 0; n < 20; n++) await client.say(callBody('s__echo', {}, n));
    await settled(() => gateway.metric('mcpstead_requests_in_flight{server="s"}'));
    client.stream.resume();
    const answers: JsonRpc[] = [];
    for (let n = 0; n < 21; n++) answers.push(JSON.parse((await client.next()).data) as JsonRpc);
    const large = answers.find(({ id }) => id === 'large') as JsonRpc;
    expect(firstDifference(Buffer.from(textOf(large), 'latin1'))).toBe(-1);
    expect(textOf(large).length).toBe(size);
    expect(answers.filter(({ id }) => id !== 'large').map(({ id }) => id)).toEqual([...Array(20).keys()]);
  });

  test('that is not read stops upstreams, and takes nothing more', async () => {
    let written = 0;
    const { gateway } = await scripted({
      onCall: async (call) => {
        if (call.params.name === 'echo') return call.text('x'.repeat(50_000));
        const write = call.stream.write.bind(call.stream) as (chunk: Buffer) => boolean;
        call.stream.write = ((chunk: Buffer) => {
          written += chunk.length;
          return write(chunk);
        }) as typeof call.stream.write;
        await call.big(60 * MB);
      },
    });
    const { hostname, port, host } = new URL(gateway.base);
    const socket = connect(Number(port), hostname);
    atEnd(() => socket.destroy());
    socket.write(`GET /sse HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n\r\n`);
    let bytes = 0;
    let tail = '';
    let answers = 0;
    const countIn = (text: string, word: string): number =>
      (tail.slice(1 - word.length) + text).split(word).length - 1;
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      bytes += chunk.length;
      // A session that opens as the server comes up may be told of lists besides.
      answers += countIn(chunk, 'event: message') - countIn(chunk, '"method":"notifications/');
      tail = (tail + chunk).slice(-65_536);
    });
    const [, id] = await until(() => /sessionId=(\S+)/.exec(tail), 'the endpoint');
    const say = (body: object): Promise<Answer> =>
      post(`${gateway.base}/messages?sessionId=${id}`, { jsonrpc: '2.0', ...body });
    const clientInfo = { name: 'slow', version: '0' };
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
    await say({ id: 0, method: 'initialize', params });
    await until(() => answers === 1, 'the answer to initialize');
    socket.pause();
    await say(callBody('s__pour', {}, 'large'));
    await say(callBody('s__pour', {}, 'larger'));
    expect(await settled(() => written)).toBeLessThan(80 * MB);
    // Small answers wait, up to a bound.
    let taken = 0;
    let refused: Answer | undefined;
    while (!refused && taken < 400) {
      const answer = await say(callBody('s__echo', {}, taken));
      if (answer.status === 202) taken++;
      else refused = answer;
    }
    expect(refused?.status).toBe(503);
    expect(written).toBeLessThan(80 * MB);
    expect(taken).toBeGreaterThan(50);
    expect((await say({ method: 'notifications/initialized' })).status).toBe(202);
    socket.resume();
    await until(() => answers === taken + 3, 'all that waited');
    expect(bytes).toBeGreaterThan(120 * MB);
    expect((await say(callBody('s__echo', {}, 'later'))).status).toBe(202);
    await until(() => tail.includes('"later"'), 'one more answer');
  });

  test('goes on after an answer that broke off, with an error in its place', async () => {
    const { gateway } = await scripted({
      onCall: async (call) => {
        if (call.params.name === 'echo') return call.text('fine');
        call.res.writeHead(200, { 'content-type': 'application/json' });
        call.res.write(`{"jsonrpc":"2.0","id":${call.id},"result":{"content":[{"type":"text","text":"`);
        call.res.write('x'.repeat(300_000));
        await sleep(50);
        call.destroy();
      },
    });
    const client = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize('2025-11-25');
    await client.say(callBody('s__pour', {}, 'broken'));
    const cut = await client.next();
    expect(cut.type).toBe('cut');
    expect(await client.stream.message()).toMatchObject({ id: 'broken', error: { code: -32000 } });
    expect(textOf(await client.request(callBody('s__echo', {}, 'next')))).toBe('fine');
  });

  test('closed by its client cancels what that began, and ends the session', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('s')] });
    const client = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize();
    await client.say(callBody('s__hang'));
    await client.say(callBody('s__hang', {}, 2));
    await until(
      async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 2,
      'both calls',
    );
    client.stream.close();
    await until(
      async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 0,
      'the end of both',
    );
    expect(await gateway.metric('mcpstead_downstream_sessions_active')).toBe(0);
    expect(
      await gateway.metric('mcpstead_downstream_session_terminations_total{reason="client_delete"}'),
    ).toBe(1);
    expect(await gateway.metric('mcpstead_mcp_requests_total{method="listen",result="success"}')).toBe(1);
    const heard = await post(gateway.url, callBody('s__cancelled'));
    expect(JSON.parse(textOf(heard.json()))).toMatchObject([
      { reason: 'client gone' },
      { reason: 'client gone' },
    ]);
    expect((await client.say({ id: 3, method: 'ping' })).status).toBe(404);
  });

  test('is told nothing of a call that its client cancelled', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('s')] });
    const client = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize();
    await client.say(callBody('s__hang', {}, 'x'));
    await client.say({ method: 'notifications/cancelled', params: { requestId: 'x', reason: 'enough' } });
    const answer = await client.request(callBody('s__cancelled', {}, 'next'));
    expect(answer.id).toBe('next');
    expect(JSON.parse(textOf(answer))).toMatchObject([{ reason: 'enough' }]);
  });

  test('ends at the end of the gateway, once the calls are answered', async () => {
    const gateway = await startGateway({ servers: [scriptedStdio('s')] });
    const client = await RawClient.open(`${gateway.base}/sse`);
    const silent = await RawClient.open(`${gateway.base}/sse`);
    await client.initialize();
    await client.say(callBody('s__slow', { ms: 500 }, 'slow'));
    await until(
      async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 1,
      'the call',
    );
    const closing = gateway.gateway.close();
    await silent.stream.done();
    expect(textOf(await client.stream.message())).toBe('slow');
    await client.stream.done();
    expect([silent.stream.complete, client.stream.complete]).toEqual([true, true]);
    await closing;
  });
});

/** A reverse proxy that serves the gateway under `/base`, and knows nothing of MCP. */
async function prefixed(target: string): Promise<string> {
  const proxy = createServer((req, res) => {
    if (!req.url?.startsWith('/base/')) {
      res.writeHead(404).end();
      return;
    }
    const { host: _, ...headers } = req.headers;
    const out = httpRequest(`${target}${req.url.slice(5)}`, { method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      res.flushHeaders();
      answer.pipe(res);
    });
    out.on('error', () => res.destroy());
    res.on('close', () => out.destroy());
    req.pipe(out);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  atEnd(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/base`;
}

describe('real clients', () => {
  test('SDK v1 does with server-everything all that can be done', async () => {
    const gateway = await startGateway({ servers: [everythingStdio()] });
    const client = await ableClient(new SSEClientTransport(new URL(`${gateway.base}/sse`)));
    await exercise(client);
    await client.close();
    await until(async () => (await gateway.metric('mcpstead_downstream_sessions_active')) === 0, 'its end');
    expect(await gateway.metric('mcpstead_requests_in_flight{server="everything"}')).toBe(0);
  });

  test('SDK v1 works behind a path prefix', async () => {
    const http = { public_url: 'http://127.0.0.1/base' };
    const gateway = await startGateway({ http, servers: [everythingStdio()] });
    const base = await prefixed(gateway.base);
    for (const path of ['/sse', '/servers/everything/sse']) {
      const client = new Client({ name: 'prefixed', version: '0' });
      await client.connect(new SSEClientTransport(new URL(`${base}${path}`)));
      const name = path === '/sse' ? 'everything__echo' : 'echo';
      expect(shown(await client.callTool({ name, arguments: { message: 'through' } }))).toContain('through');
      await client.close();
    }
  });

  test('SDK v1 is asked for its roots where the server has a session for each client', async () => {
    const gateway = await startGateway({ servers: [{ ...everythingStdio(), session: 'per-client' }] });
    const client = new Client(
      { name: 'roots', version: '0' },
      { capabilities: { roots: { listChanged: true } } },
    );
    let asked = 0;
    client.setRequestHandler(ListRootsRequestSchema, () => {
      asked++;
      return { roots: [{ uri: 'file:///mine', name: 'mine' }] };
    });
    const changed: unknown[] = [];
    client.setNotificationHandler(ToolListChangedNotificationSchema, (notice) => {
      changed.push(notice);
    });
    await client.connect(new SSEClientTransport(new URL(`${gateway.base}/sse`)));
    await until(async () => {
      const { tools } = await client.listTools();
      return tools.some(({ name }) => name === 'everything__get-roots-list');
    }, 'the tool for roots');
    const roots = await client.callTool({ name: 'everything__get-roots-list', arguments: {} });
    expect(shown(roots)).toContain('file:///mine');
    expect(asked).toBeGreaterThan(0);
    await client.close();
  });

  test.each(['legacy', 'auto'] as const)('SDK v2 works, mode %s', async (mode) => {
    const gateway = await startGateway({ servers: [everythingStdio()] });
    const client = new ClientV2({ name: 'v2', version: '0' }, { versionNegotiation: { mode } });
    await client.connect(new SseV2(new URL(`${gateway.base}/sse`)));
    expect((await client.listTools()).tools.length).toBeGreaterThan(5);
    const result = await client.callTool({ name: 'everything__echo', arguments: { message: 'v2' } });
    expect(JSON.stringify(result)).toContain('v2');
    await client.close();
  });

  test('mcp-remote joins a stdio client to it', async () => {
    const gateway = await startGateway({ servers: [everythingStdio()] });
    const main = createRequire(import.meta.url).resolve('mcp-remote/dist/proxy.js');
    const client = await ableClient(
      new StdioClientTransport({
        command: process.execPath,
        args: [main, `${gateway.base}/sse`, '--transport', 'sse-only'],
        env: { PATH: process.env['PATH'] ?? '', MCP_REMOTE_CONFIG_DIR: await tempDir() },
        stderr: 'ignore',
      }),
    );
    const result = await client.callTool({ name: 'everything__echo', arguments: { message: 'remote' } });
    expect(shown(result)).toContain('remote');
    await client.close();
    await until(async () => (await gateway.metric('mcpstead_downstream_sessions_active')) === 0, 'its end');
  });

  test('a gateway takes another one for a server of 2024-11-05', async () => {
    const inner = await startGateway({ servers: [everythingStdio()] });
    const outer = await startGateway({
      servers: [{ name: 'inner', url: `${inner.base}/servers/everything/sse`, protocol: 'sse' }],
    });
    const client = await ableClient(new SSEClientTransport(new URL(`${outer.base}/sse`)));
    await exercise(client, 'inner');
    await client.close();
  });
});
