import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import {
  callBody,
  callTool,
  openSession,
  openSse,
  post,
  textOf,
  type Answer,
  type Headers,
  type JsonRpc,
} from '../helpers/http.js';
import { until } from '../helpers/wait.js';

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const NOTIFICATION = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
const list = (params?: object): JsonRpc => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/list',
  ...(params ? { params: params as Record<string, unknown> } : {}),
});
const namesOf = (answer: Answer): string[] =>
  (answer.json().result?.['tools'] as { name: string }[]).map(({ name }) => name);
const LEGACY = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];

let first: Upstream;
let last: Upstream;
let running: RunningGateway;

beforeAll(async () => {
  const tools = [tool('echo'), tool('noisy'), tool('fails'), tool('hangs')];
  const onCall: NonNullable<Upstream['options']['onCall']> = (call) => {
    switch (call.params.name) {
      case 'noisy':
        call.progress(1);
        call.log('something to read');
        return call.text('after the noise');
      case 'fails':
        return call.error(-32055, 'of my own', { exact: 1 });
      case 'hangs':
        return;
      default:
        return call.text(JSON.stringify(call.args));
    }
  };
  first = await createUpstream({ tools, onCall, idOrder: 'first' });
  last = await createUpstream({ tools, onCall, idOrder: 'last' });
  const dead = await createUpstream();
  await dead.stop();
  running = await startGateway(
    {
      servers: [
        first.entry('first'),
        last.entry('last'),
        dead.entry('dead', { reconnect: { backoff_base_ms: 60_000, backoff_max_ms: 60_000 } }),
      ],
    },
    { wait: ['first', 'last'] },
  );
  await until(async () => (await running.health()).servers.some(({ state }) => state === 'backoff'));
});

describe('a batch', () => {
  it('is answered in one array, each answer under its own id, notifications apart', async () => {
    const answer = await post(
      running.url,
      `[${PING}, ${NOTIFICATION},\n ${JSON.stringify(callBody('first__echo', { a: 1 }, 'call'))}]`,
    );
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.json<JsonRpc[]>()).toEqual([
      { jsonrpc: '2.0', id: 1, result: {} },
      { jsonrpc: '2.0', id: 'call', result: { content: [{ type: 'text', text: '{"a":1}' }] } },
    ]);
  });

  it('with no request in it gets 202', async () => {
    const answer = await post(running.url, `[${NOTIFICATION},${NOTIFICATION}]`);
    expect([answer.status, answer.text]).toEqual([202, '']);
  });

  it('answers what is wrong in it in its place', async () => {
    const parts = [
      PING,
      '5',
      '{"jsonrpc":"1.0","id":"old","method":"ping"}',
      '{"jsonrpc":"2.0","id":"nobody","method":"no/such"}',
      JSON.stringify(callBody('dead__x', {}, 'down')),
      JSON.stringify(callBody('first__fails', {}, 'own')),
      JSON.stringify(callBody('who__x', {}, 'who')),
    ];
    const answers = (await post(running.url, `[${parts.join(',')}]`)).json<JsonRpc[]>();
    expect(answers.map(({ id, error }) => [id, error?.code])).toEqual([
      [1, undefined],
      [null, -32600],
      ['old', -32600],
      ['nobody', -32601],
      ['down', -32000],
      ['own', -32055],
      ['who', -32602],
    ]);
  });

  it('drops progress and logs of its calls', async () => {
    const answer = await post(
      running.url,
      JSON.stringify([
        callBody('last__noisy', {}, 1, { progressToken: 't' }),
        callBody('first__echo', {}, 2),
      ]),
    );
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.text).not.toContain('something to read');
    expect(answer.json<JsonRpc[]>().map(({ id }) => id)).toEqual([1, 2]);
  });

  it('is one event for a client that takes streams alone', async () => {
    const stream = await openSse(running.url, `[${PING},${PING}]`, { accept: 'text/event-stream' });
    await stream.done();
    expect(stream.events).toHaveLength(1);
    expect(JSON.parse(stream.events[0]?.data ?? '')).toHaveLength(2);
  });

  it('of a hundred calls comes back whole and in order', async () => {
    const batch = Array.from({ length: 100 }, (_, i) =>
      callBody(i % 2 ? 'first__echo' : 'last__echo', { i }, i),
    );
    const answers = (await post(running.url, batch)).json<JsonRpc[]>();
    expect(answers.map((answer) => textOf(answer))).toEqual(batch.map((_, i) => `{"i":${i}}`));
  });

  it('is taken on sessions of 2025-03-26 and older, on no younger one', async () => {
    for (const protocolVersion of LEGACY) {
      const session = await openSession(running.url, { protocolVersion });
      const answer = await post(running.url, `[${PING}]`, session);
      if (protocolVersion <= '2025-03-26') expect(answer.json<JsonRpc[]>()).toHaveLength(1);
      else {
        expect(answer.status).toBe(400);
        expect(answer.json()).toMatchObject({ id: null, error: { code: -32600 } });
      }
    }
  });

  it.each(['2025-06-18', '2025-11-25', '2026-07-28'])(
    'without a session under the header %s is 400/-32600',
    async (version) => {
      const answer = await post(running.url, `[${PING}]`, { 'mcp-protocol-version': version });
      expect([answer.status, answer.json().error?.code]).toEqual([400, -32600]);
    },
  );

  it.each([
    ['no element', '[]'],
    [
      'an initialize',
      `[${PING},{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}]`,
    ],
    [
      'a message of the modern era',
      `[${PING},{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}]`,
    ],
  ])('with %s is 400/-32600 as a whole', async (_what, body) => {
    const answer = await post(running.url, body);
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ id: null, error: { code: -32600 } });
    expect(answer.headers['mcp-session-id']).toBeUndefined();
  });

  it('of an unknown session is 404/-32001', async () => {
    const answer = await post(running.url, `[${PING}]`, { 'mcp-session-id': 'made-up' });
    expect([answer.status, answer.json().error?.code]).toEqual([404, -32001]);
  });

  it('whose client leaves cancels its calls', async () => {
    const before = first.abandoned;
    const controller = new AbortController();
    const batch = [callBody('first__hangs', {}, 1), callBody('first__hangs', {}, 2)];
    const stream = openSse(running.url, batch, {}, { signal: controller.signal }).catch(() => undefined);
    await until(() => first.calls('hangs').length >= 2);
    controller.abort();
    await stream;
    await until(() => first.abandoned + first.received('notifications/cancelled').length >= before + 2);
  });
});

describe('what is refused, by JSON-RPC code', () => {
  const rows: [
    what: string,
    body: string | Buffer,
    status: number,
    code: number,
    id: unknown,
    text?: string,
  ][] = [
    ['no JSON', 'hello', 400, -32700, null],
    ['an empty body', '', 400, -32700, null],
    ['white space', ' \r\n', 400, -32700, null],
    ['half an object', '{"jsonrpc":"2.0","id":1', 400, -32700, null],
    ['text after the message', `${PING} x`, 400, -32700, null],
    ['two messages', `${PING}\n${PING}`, 400, -32700, null],
    ['two BOMs', `\ufeff\ufeff${PING}`, 400, -32700, null],
    ['single quotes', "{'jsonrpc':'2.0'}", 400, -32700, null],
    ['what is no UTF-8', Buffer.from(PING.replace('ping', 'p\xff'), 'latin1'), 400, -32700, null],
    ['a number', '42', 400, -32600, null],
    ['a text', '"ping"', 400, -32600, null],
    ['null', 'null', 400, -32600, null],
    ['an empty object', '{}', 400, -32600, null, "jsonrpc must be '2.0'"],
    [
      'another version',
      '{"jsonrpc":"1.0","id":"a","method":"ping"}',
      400,
      -32600,
      'a',
      "jsonrpc must be '2.0'",
    ],
    [
      'a version as a number',
      '{"jsonrpc":2.0,"id":3,"method":"ping"}',
      400,
      -32600,
      3,
      "jsonrpc must be '2.0'",
    ],
    ['no method', '{"jsonrpc":"2.0","id":4}', 400, -32600, 4, 'method is required'],
    ['a method that is no text', '{"jsonrpc":"2.0","id":5,"method":5}', 400, -32600, 5],
    ['the id null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600, null],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', 400, -32600, null],
    ['an id that is a list', '{"jsonrpc":"2.0","id":[1],"method":"ping"}', 400, -32600, null],
    ['an id that is true', '{"jsonrpc":"2.0","id":true,"method":"ping"}', 400, -32600, null],
    ['a method and a result', '{"jsonrpc":"2.0","id":6,"method":"ping","result":{}}', 400, -32600, 6],
    ['the method twice', '{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/list"}', 400, -32600, 7],
    [
      'the method twice, once escaped',
      '{"jsonrpc":"2.0","id":8,"method":"ping","m\\u0065thod":"x"}',
      400,
      -32600,
      8,
    ],
    ['the method in another case', '{"jsonrpc":"2.0","id":9,"method":"ping","Method":"x"}', 400, -32600, 9],
    ['an unknown method', '{"jsonrpc":"2.0","id":10,"method":"no/such"}', 200, -32601, 10],
    ['an empty method', '{"jsonrpc":"2.0","id":11,"method":""}', 200, -32601, 11],
    ['tools/call without params', '{"jsonrpc":"2.0","id":12,"method":"tools/call"}', 200, -32602, 12],
    [
      'tools/call without a name',
      '{"jsonrpc":"2.0","id":13,"method":"tools/call","params":{}}',
      200,
      -32602,
      13,
    ],
    [
      'tools/call with a number as name',
      '{"jsonrpc":"2.0","id":14,"method":"tools/call","params":{"name":1}}',
      200,
      -32602,
      14,
    ],
    ['a tool that is not server__tool', JSON.stringify(callBody('echo', {}, 15)), 200, -32602, 15],
    ['a tool of an unknown server', JSON.stringify(callBody('who__echo', {}, 16)), 200, -32602, 16],
    ['a tool of no server', JSON.stringify(callBody('__echo', {}, 17)), 200, -32602, 17],
    ['a tool with an empty name', JSON.stringify(callBody('', {}, 18)), 200, -32602, 18],
    ['a tool of a server that is down', JSON.stringify(callBody('dead__echo', {}, 19)), 200, -32000, 19],
    ['a list with a cursor', JSON.stringify(list({ cursor: 'x' })), 200, -32602, 1],
  ];

  it.each(rows)('%s', async (_what, body, status, code, id, text = '') => {
    const answer = await post(running.url, body);
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toBe('application/json');
    const { jsonrpc, error, ...more } = answer.json();
    expect(jsonrpc).toBe('2.0');
    expect(more).toEqual({ id });
    expect(error?.code).toBe(code);
    expect(error?.message).toContain(text);
    expect(error?.message).not.toBe('');
  });

  it('a BOM before the message is not', async () => {
    expect((await post(running.url, `\ufeff${PING}`)).json().result).toEqual({});
    expect((await post(running.url, `\ufeff[${PING}]`)).status).toBe(200);
  });

  it('nesting deeper than 128, in arguments too; 128 is taken', async () => {
    const nested = (depth: number): string =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"first__echo","arguments":{"x":${'['.repeat(depth - 3)}${']'.repeat(depth - 3)}}}}`;
    expect((await post(running.url, nested(128))).json().result).toBeDefined();
    const answer = await post(running.url, nested(129));
    expect([answer.status, answer.json().error?.code]).toEqual([400, -32700]);
  });

  it('an error of the upstream goes on with its code, message and data, byte for byte', async () => {
    const upstream = await createUpstream({
      tools: [tool('fail')],
      onCall: (call) =>
        call.raw(
          `{"jsonrpc":"2.0","error":{"code":-32055,"message":"of my \\u006fwn","data":{"n":1.0,"big":12345678901234567890},"more":[]},"id":${call.id}}`,
        ),
    });
    const own = await startGateway({ servers: [upstream.entry('s')] });
    const answer = await post(own.url, callBody('s__fail', {}, 'x'));
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(
      '{"jsonrpc":"2.0","id":"x","error":{"code":-32055,"message":"of my \\u006fwn","data":{"n":1.0,"big":12345678901234567890},"more":[]}}',
    );
  });

  it('an HTTP error of the upstream is -32000 with its status and at most 512 characters of its body', async () => {
    const upstream = await createUpstream({
      tools: [tool('fail')],
      onCall: (call) => call.raw(`<h1>Oops</h1>${'x'.repeat(2000)}`, 502, { 'content-type': 'text/html' }),
    });
    const own = await startGateway({ servers: [upstream.entry('s')] });
    const { error } = await callTool(own.url, 's__fail');
    expect(error?.code).toBe(-32000);
    expect(error?.message).toMatch(/502.*<h1>Oops<\/h1>x+/);
    expect(error?.message.match(/x/g)?.length).toBeLessThanOrEqual(512);
  });
});

describe('ids', () => {
  const ids = [
    '0',
    '1',
    '-1',
    '9007199254740993',
    '12345678901234567890123',
    '1.5',
    '1e3',
    '""',
    '"a"',
    '"1"',
    '"\\u0061\\n"',
    '"with \\"quotes\\" and \\\\"',
    '"日本 🚀"',
    `"${'long'.repeat(255)}"`,
  ];

  it.each(ids)('%s comes back exactly as sent', async (id) => {
    const methods = [
      '"method":"ping"',
      '"method":"tools/list"',
      '"method":"no/such"',
      '"method":"tools/call","params":{"name":"first__echo"}',
      '"method":"tools/call","params":{"name":"last__echo"}',
      '"method":"tools/call","params":{"name":"first__fails"}',
      '"method":"tools/call","params":{"name":"last__fails"}',
      '"method":"tools/call","params":{"name":"dead__x"}',
    ];
    for (const method of methods)
      for (const body of [
        `{"jsonrpc":"2.0","id":${id},${method}}`,
        `{${method},"id" : ${id} ,"jsonrpc":"2.0"}`,
      ]) {
        const { text } = await post(running.url, body);
        expect(text.startsWith(`{"jsonrpc":"2.0","id":${id},`) || text.endsWith(`"id":${id}}`)).toBe(true);
      }
  });
});

describe('the name asked for', () => {
  it('is split at the first "__"', async () => {
    const upstream = await createUpstream({ tools: [tool('a__b'), tool('__c')] });
    const own = await startGateway({ servers: [upstream.entry('s')] });
    for (const name of ['a__b', '__c']) {
      await callTool(own.url, `s__${name}`);
      expect(upstream.calls(name)).toHaveLength(1);
    }
  });

  it('may be escaped, and goes upstream as the one it stands for', async () => {
    const answer = await post(
      running.url,
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fir\\u0073t__echo","arguments":{"esc":1}}}',
    );
    expect(textOf(answer.json())).toBe('{"esc":1}');
  });

  it('that no list has goes to the server of its prefix, counted as unknown', async () => {
    const own = await startGateway({ servers: [first.entry('s')] });
    expect(textOf(await callTool(own.url, 's__not_listed', { a: 1 }))).toBe('{"a":1}');
    expect(first.calls('not_listed')).toHaveLength(1);
    expect(textOf(await callTool(own.server('s'), 'not_listed_either', { b: 1 }))).toBe('{"b":1}');
    expect(await own.metric('mcpstead_tool_calls_total{server="s",tool="unknown"}')).toBe(2);
    expect(await own.metrics()).not.toContain('not_listed');
  });

  it('of a server that is down is -32000 with its name, listed or not', async () => {
    const { error } = await callTool(running.url, 'dead__whatever');
    expect(error?.code).toBe(-32000);
    expect(error?.message).toContain("'dead'");
    expect((await callTool(running.server('dead'), 'whatever')).error?.code).toBe(-32000);
  });

  it('of nobody is -32602 with one text for all', async () => {
    const texts = new Set<string>();
    for (const name of ['who__echo', 'echo', '__x', 'who__', 'FIRST__echo']) {
      const { error } = await callTool(running.url, name);
      expect(error?.code).toBe(-32602);
      texts.add((error?.message ?? '').replace(`'${name}'`, 'NAME'));
    }
    expect(texts.size).toBe(1);
  });

  it('on the route of one server is its own: the qualified one goes there as it is', async () => {
    await callTool(running.server('first'), 'first__echo');
    expect(first.calls('first__echo')).toHaveLength(1);
  });
});

describe('what a call says', () => {
  it('arrives byte for byte but for id and name; _meta is handed on', async () => {
    const params =
      '{ "_meta":{"x/y":[1.0], "traceparent":"00-abc"},"arguments" :{"a":1.0,"b":12345678901234567890, "__proto__":{"c":"\\u0041"}},"name":"first__echo" , "extra":null}';
    await post(running.url, `{"method":"tools/call","params":${params},"jsonrpc":"2.0","id":"mine"}`);
    const sent = first.calls('echo').at(-1)?.text ?? '';
    const id = /"id":(\d+)\}$/.exec(sent)?.[1];
    expect(sent).toBe(
      `{"method":"tools/call","params":${params.replace('"first__echo"', '"echo"')},"jsonrpc":"2.0","id":${id}}`,
    );
  });

  it('takes none of the client’s own headers upstream', async () => {
    await post(running.url, callBody('last__echo', { mark: 'headers' }), {
      authorization: 'Bearer of-the-client',
      cookie: 'session=1',
      'x-custom': 'yes',
      'user-agent': 'some-client',
    });
    const headers = last.calls('echo').at(-1)?.headers ?? {};
    expect(headers).not.toHaveProperty('authorization');
    expect(headers).not.toHaveProperty('cookie');
    expect(headers).not.toHaveProperty('x-custom');
    expect(headers['user-agent']).not.toBe('some-client');
  });
});

describe('tools/list', () => {
  const odd =
    '{"name":"odd","x-future":{"n":1.0,"big":12345678901234567890},"inputSchema":{"type":"object","properties":{"__proto__":{}}},"title":"\\u004fdd"}';

  it('shows the connected servers in the order of their names, each tool in its own order', async () => {
    expect(namesOf(await post(running.url, list()))).toEqual(
      ['first', 'last'].flatMap((server) =>
        ['echo', 'noisy', 'fails', 'hangs'].map((name) => `${server}__${name}`),
      ),
    );
  });

  it('qualifies name and description and keeps every other byte', async () => {
    const upstream = await createUpstream({
      tools: [
        odd,
        '{ "description" : "Says \\u0022hi\\u0022\\n" , "name" : "said" , "inputSchema" : {"type":"object"} }',
        '{"name":"empty","description":"","inputSchema":{"type":"object"}}',
        '{"name":"null","description":null,"inputSchema":{"type":"object"}}',
        '{"name":"number","description":7,"inputSchema":{"type":"object"}}',
      ],
    });
    const own = await startGateway({ servers: [upstream.entry('s')] });
    const { text } = await post(own.url, list());
    expect(text).toBe(
      '{"jsonrpc":"2.0","id":1,"result":{"tools":[' +
        [
          odd.replace('"odd"', '"s__odd","description":"Tool from s"'),
          '{ "description" : "[s] Says \\u0022hi\\u0022\\n" , "name" : "s__said" , "inputSchema" : {"type":"object"} }',
          '{"name":"s__empty","description":"[s] ","inputSchema":{"type":"object"}}',
          '{"name":"s__null","description":"Tool from s","inputSchema":{"type":"object"}}',
          '{"name":"s__number","description":"Tool from s","inputSchema":{"type":"object"}}',
        ].join(',') +
        ']}}',
    );
    expect((await post(own.server('s'), list())).text).toContain(`[${odd},`);
  });

  it('reads every page of an upstream', async () => {
    const tools = Array.from({ length: 25 }, (_, i) => tool(`t${i}`));
    const upstream = await createUpstream({ tools, pageSize: 7 });
    const own = await startGateway({ servers: [upstream.entry('s')] });
    expect(namesOf(await post(own.url, list()))).toEqual(tools.map((_, i) => `s__t${i}`));
    expect(upstream.received('tools/list')).toHaveLength(4);
  });

  it('is one page: null as cursor is none, any other is -32602', async () => {
    expect((await post(running.url, list({ cursor: null }))).json().result).not.toHaveProperty('nextCursor');
    expect((await post(running.url, list({}))).status).toBe(200);
    for (const cursor of ['', 'x', 1, {}])
      expect((await post(running.url, list({ cursor }))).json().error?.code).toBe(-32602);
  });

  it('of no server at all is empty', async () => {
    const own = await startGateway({ servers: [] });
    expect((await post(own.url, list())).text).toBe('{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}');
  });

  it('has a server without tools as a healthy one', async () => {
    const upstream = await createUpstream({ capabilities: {} });
    const own = await startGateway({ servers: [upstream.entry('bare')] });
    expect(await own.health()).toMatchObject({
      status: 'ok',
      servers: [{ connected: true, tools_count: 0 }],
    });
    expect(upstream.received('tools/list')).toHaveLength(0);
    expect(namesOf(await post(own.url, list()))).toEqual([]);
  });

  it('gives names that are too long a stable alias that can be called', async () => {
    const long = 'x'.repeat(127);
    const upstream = await createUpstream({ tools: [tool(long), tool(`${long}y`), tool('short_enough')] });
    const own = await startGateway({ servers: [upstream.entry('s')], limits: { name_length: 0 } });
    const names = namesOf(await post(own.url, list()));
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(128);
    await callTool(own.url, names[0] as string);
    await callTool(own.url, names[1] as string);
    expect(upstream.calls(long)).toHaveLength(1);
    expect(upstream.calls(`${long}y`)).toHaveLength(1);
    const strict = await startGateway({ servers: [upstream.entry('s')], limits: { name_length: 13 } });
    const short = namesOf(await post(strict.url, list()));
    for (const name of short) expect(name.length).toBeLessThanOrEqual(13);
    await callTool(strict.url, short[2] as string);
    expect(upstream.calls('short_enough')).toHaveLength(1);
  });
});

describe('a request of the modern era', () => {
  const META = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'modern', version: '1' },
  };
  const cases: [what: string, body: JsonRpc, headers: Headers, code: number][] = [
    ['with the modern header alone', list(), { 'mcp-protocol-version': '2026-07-28' }, -32602],
    [
      'with a part of the envelope',
      list({ _meta: { 'io.modelcontextprotocol/clientInfo': {} } }),
      {},
      -32602,
    ],
    ['with an envelope and no headers', list({ _meta: META }), {}, -32020],
    ['server/discover without an envelope', { jsonrpc: '2.0', id: 1, method: 'server/discover' }, {}, -32602],
    [
      'subscriptions/listen without one',
      { jsonrpc: '2.0', id: 1, method: 'subscriptions/listen' },
      {},
      -32602,
    ],
  ];

  it.each(cases)('(%s) is 400, with a session and without', async (_what, body, headers, code) => {
    for (const session of [{}, await openSession(running.url)]) {
      const answer = await post(running.url, body, { ...session, ...headers });
      expect(answer.status).toBe(400);
      expect(answer.json()).toMatchObject({ id: 1, error: { code } });
    }
  });

  it('lets SDK v2 in auto mode speak it', async () => {
    const client = new Client({ name: 'v2', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(new StreamableHTTPClientTransport(new URL(running.url)));
    try {
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain('first__echo');
      const result = await client.callTool({ name: 'first__echo', arguments: { v: 2 } });
      expect(result.content).toEqual([{ type: 'text', text: '{"v":2}' }]);
    } finally {
      await client.close();
    }
  });
});
