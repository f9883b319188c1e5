import { describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { callBody, openSession, post, tcp, textOf, callTool, rawPost } from '../../helpers/http.js';
import { connect } from '../../helpers/legacy.js';
import { ask } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';

const OLD = { 'mcp-protocol-version': '2025-03-26' };

describe('batches', () => {
  it('have at most 100 elements', async () => {
    const { url } = await startGateway({ servers: [] });
    const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    const full = await post(url, `[${Array(100).fill(ping).join()}]`, OLD);
    expect(full.json<unknown[]>().length).toBe(100);
    for (const element of [ping, '0']) {
      const more = await post(url, `[${Array(101).fill(element).join()}]`, OLD);
      expect([more.status, more.json().error?.code]).toEqual([400, -32600]);
      expect(more.json().error?.message).toContain('at most 100 elements');
    }
    // What follows is not looked at, be it what it may.
    const large = await post(url, `[${'0,'.repeat(900_000)}`, OLD);
    expect(large.json().error?.message).toContain('at most 100 elements');
  });

  it.each([
    ['[1,]', 'unexpected character at byte 3'],
    ['[1 2]', "expected ',' or ']' at byte 3"],
    ['[{"a":}]', 'unexpected character at byte 6'],
    ['[1', 'unexpected end at byte 1'],
    ['[1]x', 'unexpected text after the value at byte 3'],
    ['[,1]', 'unexpected character at byte 1'],
    ['["a\u0001"]', 'control character in a string at byte 3'],
  ])('%s is no JSON: %s', async (body, why) => {
    const { url } = await startGateway({ servers: [] });
    const answer = await post(url, body, OLD);
    expect([answer.status, answer.json().error]).toMatchObject([400, { code: -32700 }]);
    expect(answer.json().error?.message).toBe(`Parse error: ${why}`);
  });

  it('hold no more than limits.message_bytes in all, lists among them', async () => {
    const upstream = await createUpstream({ tools: [tool('large', { description: 'x'.repeat(50_000) })] });
    const limits = { message_bytes: 120_000 };
    const { url } = await startGateway({ servers: [upstream.entry('one')], limits });
    const list = (id: number): string => `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`;
    const answer = await post(url, `[${[1, 2, 3, 4].map(list).join()}]`, OLD);
    const answers = answer.json<
      {
        id: number;
        result?: object;
        error?: { message: string };
      }[]
    >();
    expect(answers.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    expect(answers.filter(({ result }) => result)).toHaveLength(2);
    expect(answers[3]?.error?.message).toContain('limits.message_bytes');
  });

  it('leave the rest undone when their client leaves', async () => {
    const upstream = await createUpstream({ tools: [tool('never')], onCall: () => undefined });
    const { url } = await startGateway({ servers: [upstream.entry('one')] });
    const connection = await tcp(url);
    connection.write(
      rawPost(
        url,
        [1, 2, 3].map((id) => callBody('one__never', {}, id)),
        OLD,
      ),
    );
    await until(() => upstream.calls().length === 3);
    connection.destroy();
    await until(() => upstream.abandoned === 3);
  });
});

describe('names that two readers could take for different ones', () => {
  it.each([
    '{"jsonrpc":"2.0","id":1,"method":"ping","ID":2}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","\\u0069d":1}',
    '{"jsonrpc":"2.0","\\u0069d":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","re\u017fult":{}}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}',
    '{"j\\u0073onrpc":"2.0","id":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","argument\u017f":{}}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","tas\u212aId":"x"}}',
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"PROGRESSTOKEN":1}}}`,
    '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}',
    '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info","level":"debug"}}',
  ])('%s is 400', async (body) => {
    const { url } = await startGateway({ servers: [] });
    const answer = await post(url, body);
    expect([answer.status, answer.json().error?.code]).toEqual([400, -32600]);
  });
});

describe('what is kept for a client', () => {
  const initialize = (params: object): object => ({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', ...params },
  });

  it('an id has at most 1 KB', async () => {
    const { url } = await startGateway({ servers: [] });
    const of = (bytes: number): object => ({ jsonrpc: '2.0', id: 'x'.repeat(bytes - 2), method: 'ping' });
    expect((await post(url, of(1024))).status).toBe(200);
    const long = await post(url, of(1025));
    expect([long.status, long.json().id, long.json().error?.code]).toEqual([400, null, -32600]);
    expect(long.json().error?.message).toContain('1024');
  });

  it('capabilities have at most 16 KB, clientInfo 64 KB, in both eras', async () => {
    const running = await startGateway({ servers: [] });
    const { url } = running;
    const capabilities = { experimental: { x: { y: 'x'.repeat(16_384) } } };
    const clientInfo = { name: 'x', version: '1', icons: [{ src: `data:${'x'.repeat(65_536)}` }] };
    for (const [params, name, max] of [
      [{ capabilities, clientInfo: {} }, 'params.capabilities', 16_384],
      [{ capabilities: {}, clientInfo }, 'params.clientInfo', 65_536],
    ] as const) {
      const { error } = (await post(url, initialize(params))).json();
      expect(error?.code).toBe(-32602);
      expect(error?.message).toContain(name);
      expect(error?.message).toContain(`at most ${max}`);
    }
    for (const options of [{ capabilities }, { clientInfo }]) {
      const { status, text } = await ask(url, 'server/discover', {}, options);
      expect(status).toBe(400);
      expect(text).toMatch(/"code":-32602.*at most (16384|65536)/);
    }
    expect(await running.metric('mcpstead_downstream_sessions_active')).toBe(0);
    const most = { name: 'x', version: '1', icons: [{ src: 'x'.repeat(65_000) }] };
    expect((await post(url, initialize({ capabilities: {}, clientInfo: most }))).status).toBe(200);
    expect((await ask(url, 'server/discover', {}, { clientInfo: most })).status).toBe(200);
  });

  it('a capability that is null is none', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      onCall: async (asked) => {
        const answer = await asked.ask('elicitation/create', { message: 'm', requestedSchema: {} });
        asked.text(JSON.stringify(answer.error));
      },
    });
    const { url } = await startGateway({ servers: [upstream.entry('one')] });
    const client = await connect(url, { capabilities: { elicitation: null } });
    expect(await client.tool('one__ask')).toContain('-32603');
  });

  it('URIs, task ids and tokens have at most 2 KB, 256 KB in all', async () => {
    const capabilities = { resources: { subscribe: true } };
    const upstream = await createUpstream({
      capabilities,
      onRequest: (asked) => {
        if (asked.message.method === 'resources/list') asked.result({ resources: [] });
        else if (asked.message.method === 'resources/templates/list')
          asked.result({ resourceTemplates: [{ uriTemplate: 'a://{+x}', name: 'x' }] });
        else if (asked.message.method === 'resources/subscribe') asked.result({});
        else return false;
        return true;
      },
    });
    const { url } = await startGateway({ servers: [upstream.entry('one')] });
    const client = await connect(url);
    const subscribe = (uri: string) => client.request('resources/subscribe', { uri });
    const long = await subscribe(`a://${'x'.repeat(2045)}`);
    expect([long.error?.code, long.error?.message]).toEqual([-32602, expect.stringContaining('2048')]);
    for (let i = 0; i < 126; i++)
      expect((await subscribe(`a://${String(i).padStart(2044, 'x')}`)).error).toBeUndefined();
    const over: (string | undefined)[] = [];
    for (let i = 126; i < 130; i++)
      over.push((await subscribe(`a://${String(i).padStart(2044, 'x')}`)).error?.message);
    expect(over.at(-1)).toContain('262144');
    // What is given up makes room.
    await client.request('resources/unsubscribe', { uri: `a://${'0'.padStart(2044, 'x')}` });
    await client.request('resources/unsubscribe', { uri: `a://${'1'.padStart(2044, 'x')}` });
    expect((await subscribe(`a://${'y'.padStart(2000, 'x')}`)).error).toBeUndefined();

    const token = await post(url, callBody('one__x', {}, 1, { progressToken: 'x'.repeat(2049) }), {
      ...client.headers,
    });
    expect(token.json().error?.code).toBe(-32602);
    expect(token.json().error?.message).toContain('2048');
    const notifications = { resourceSubscriptions: [`a://${'x'.repeat(3000)}`] };
    const listen = await ask(url, 'subscriptions/listen', { notifications });
    expect(listen.text).toMatch(/"code":-32602.*2048/);
    const many = {
      resourceSubscriptions: Array.from({ length: 140 }, (_, i) => `a://${String(i).padStart(2000, 'x')}`),
    };
    expect((await ask(url, 'subscriptions/listen', { notifications: many })).text).toMatch(/-32602.*262144/);
  });
});

describe('a Host that only looks like ours', () => {
  it.each(['[::1].evil.com', '[::1]evil', '[::1]:80.evil.com', '[127.0.0.1].evil.com'])(
    '%s is refused',
    async (host) => {
      const { base } = await startGateway({ servers: [] });
      const connection = await tcp(base);
      connection.write(`GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      await connection.done();
      expect(connection.text).toMatch(/^HTTP\/1\.1 403/);
    },
  );
  it.each(['[::1]', '[::1]:80', 'localhost:1', '127.0.0.1', 'localhost.'])('%s is taken', async (host) => {
    const { base } = await startGateway({ servers: [] });
    const connection = await tcp(base);
    connection.write(`GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    await connection.done();
    expect(connection.text).toMatch(/^HTTP\/1\.1 200/);
  });
});

describe('many sessions', () => {
  it('an answer that is due to a session goes on while others come', async () => {
    const upstream = await createUpstream({ tools: [tool('a')] });
    const running = await startGateway({ servers: [upstream.entry('one')], limits: { sessions: 3 } });
    const first = await openSession(running.url);
    for (let i = 0; i < 5; i++) await openSession(running.url);
    expect((await post(running.url, callBody('one__a'), first)).status).toBe(404);
    expect(textOf(await callTool(running.url, 'one__a'))).toBe('{}');
  });
});
