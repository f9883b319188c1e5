import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { openSession, post, textOf, type JsonRpc } from '../../helpers/http.js';
import { connect } from '../../helpers/legacy.js';
import { answerTo, ask, call, createModernUpstream, EVERYTHING, stream } from '../../helpers/modern.js';

/** Answers a call with the error that its arguments describe, under the HTTP status they name. */
const failing = (request: Call): void => {
  const { code, message, data, status } = request.args as {
    code: number;
    message?: string;
    data?: unknown;
    status?: number;
  };
  const error = JSON.stringify({
    code,
    message: message ?? 'as asked',
    ...(data === undefined ? {} : { data }),
  });
  request.raw(request.envelope('error', error), status ?? 200);
};

describe('8: the codes of errors', () => {
  let legacy: Upstream;
  let modern: Upstream;
  let running: RunningGateway;
  beforeAll(async () => {
    const read = (request: Call): boolean => {
      if (request.message.method !== 'resources/read') return false;
      const uri = String(request.params['uri']);
      const code = uri.startsWith('old:') ? -32002 : -32602;
      request.error(code, 'no such resource', uri.endsWith('bare') ? undefined : { uri, more: 1 });
      return true;
    };
    legacy = await createUpstream({
      tools: [tool('fail')],
      capabilities: { tools: {}, resources: {} },
      onCall: failing,
      onRequest(request) {
        if (/^resources\/(templates\/)?list$/.test(request.message.method ?? '')) {
          request.result({ resources: [], resourceTemplates: [] });
          return true;
        }
        return read(request);
      },
    });
    modern = await createModernUpstream({
      tools: [tool('fail')],
      capabilities: { tools: {}, resources: {} },
      onCall: failing,
      onRequest(request) {
        if (/^resources\/(templates\/)?list$/.test(request.message.method ?? '')) {
          const member = request.message.method === 'resources/list' ? 'resources' : 'resourceTemplates';
          request.result({ resultType: 'complete', [member]: [], ttlMs: 0, cacheScope: 'public' });
          return true;
        }
        return read(request);
      },
    });
    running = await startGateway({
      servers: [
        legacy.entry('old', { reconnect: { backoff_base_ms: 50 } }),
        modern.entry('new', { reconnect: { backoff_base_ms: 50 } }),
      ],
    });
  });

  const toModern = async (server: string, error: object, options = {}): Promise<[number, JsonRpc]> => {
    const answer = await ask(
      running.server(server),
      'tools/call',
      { name: 'fail', arguments: error },
      options,
    );
    return [answer.status, answer.json()];
  };
  const toLegacy = async (server: string, error: object): Promise<[number, JsonRpc]> => {
    const client = await connect(running.server(server), { capabilities: {} });
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'fail', arguments: error } };
    const answer = await post(client.url, body, client.headers);
    return [answer.status, answer.json()];
  };

  it.each([-32000, -32001, -32603, -32602, -1, 42, -32600, -32700])(
    'pass within an era as they are (%d)',
    async (code) => {
      const error = { code, message: 'm', data: { d: [1.5, { x: null }] } };
      expect((await toLegacy('old', error))[1].error).toEqual(error);
      expect((await toModern('new', error))[1].error).toEqual(error);
    },
  );

  it('have for a modern client the status of the code, whatever the upstream answered under', async () => {
    for (const status of [200, 400, 500]) {
      const rows: [code: number, status: number][] = [
        [-32601, 404],
        [-32602, 200],
        [-32603, 200],
        [5, 200],
      ];
      for (const [code, wanted] of rows)
        expect((await toModern('new', { code, status: status === 500 ? 200 : status }))[0]).toBe(wanted);
    }
  });

  it('stay under 200 once a stream has begun', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('late')],
      onCall(request) {
        request.open().progress(1);
        request.error(-32601, 'gone');
      },
    });
    const own = await startGateway({ servers: [upstream.entry('s')] });
    const told = await stream(
      own.server('s'),
      'tools/call',
      { name: 'late' },
      { meta: { progressToken: 1 } },
    );
    await told.done();
    expect(told.status).toBe(200);
    expect(JSON.parse(told.events.at(-1)?.data ?? '')).toMatchObject({ error: { code: -32601 } });
  });

  it('-32002 of a legacy server is -32602 for a modern client, with the URI', async () => {
    for (const uri of ['old:x', 'old:bare']) {
      const answer = await ask(running.server('old'), 'resources/read', { uri });
      expect([answer.status, answer.json().error]).toEqual([
        200,
        { code: -32602, message: 'no such resource', data: uri === 'old:x' ? { uri, more: 1 } : { uri } },
      ]);
    }
  });

  it('-32602 of a modern server for the URI read is -32002 for a legacy client, and for nothing else', async () => {
    const client = await connect(running.server('new'));
    const missing = await client.request('resources/read', { uri: 'new:x' });
    expect(missing.error).toEqual({
      code: -32002,
      message: 'no such resource',
      data: { uri: 'new:x', more: 1 },
    });
    const other = await client.request('resources/read', { uri: 'new:bare' });
    expect(other.error?.code).toBe(-32602);
    expect((await toLegacy('new', { code: -32602, data: { uri: 'new:x' } }))[1].error?.code).toBe(-32602);
  });

  it.each([-32020, -32021, -32022, -32050, -32099])(
    '%d of a legacy server is -32603 for a modern client, the original in its data',
    async (code) => {
      const [status, { error }] = await toModern('old', { code, message: 'm', data: { d: 1 } });
      expect([status, error]).toEqual([
        200,
        { code: -32603, message: 'm', data: { code, message: 'm', data: { d: 1 } } },
      ]);
    },
  );

  it('-32021 of a modern server goes on where the client lacks what it names, and is -32603 where it has it', async () => {
    const data = { requiredCapabilities: { sampling: {} } };
    const error = { code: -32021, message: 'm', data, status: 400 };
    const [status, lacking] = await toModern('new', error);
    expect([status, lacking.error]).toEqual([400, { code: -32021, message: 'm', data }]);
    const [other, declared] = await toModern('new', error, { capabilities: EVERYTHING });
    expect([other, declared.error?.code]).toEqual([200, -32603]);
    expect((await toLegacy('new', error))[1].error).toMatchObject({ code: -32021, data });
  });

  it.each([-32020, -32022])('%d of a modern server is never relayed', async (code) => {
    const [, answer] = await toModern('new', { code, status: 400, data: { supported: ['2026-07-28'] } });
    expect(answer.error?.code).toBe(-32603);
    await running.up('new');
    const [, older] = await toLegacy('new', { code, status: 400, data: { supported: ['2026-07-28'] } });
    expect(older.error?.code).toBe(-32000);
    await running.up('new');
  });

  it("the gateway's own failures are -32603 to modern clients, -32000 to legacy ones", async () => {
    const own = await startGateway(
      { startup: { wait_ms: 0 }, servers: [{ name: 'down', url: 'http://127.0.0.1:9/mcp' }] },
      { wait: [] },
    );
    const answer = await ask(own.url, 'tools/call', { name: 'down__x' });
    expect([answer.status, answer.json().error?.code]).toEqual([200, -32603]);
    const session = await openSession(own.url);
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'down__x' } };
    expect((await post(own.url, body, session)).json().error?.code).toBe(-32000);
  });
});

const MIRRORING = {
  type: 'object',
  properties: {
    region: { type: 'string', 'x-mcp-header': 'Region' },
    count: { type: 'integer', 'x-mcp-header': 'Count' },
    dry: { type: 'boolean', 'x-mcp-header': 'Dry-Run' },
    nested: { type: 'object', properties: { deep: { type: 'string', 'x-mcp-header': 'Deep' } } },
  },
};

describe('9: headers from a modern client', () => {
  let url: string;
  beforeAll(async () => {
    const upstream = await createUpstream({ tools: [tool('mirrored', { inputSchema: MIRRORING })] });
    url = (await startGateway({ servers: [upstream.entry('s')] })).server('s');
  });
  const sent = (args: object, headers: Record<string, string>): Promise<number | undefined> =>
    ask(url, 'tools/call', { name: 'mirrored', arguments: args }, { headers }).then(
      (answer) => answer.json().error?.code,
    );

  it.each<[what: string, args: object, headers: Record<string, string>]>([
    ['missing', { region: 'eu' }, {}],
    ['different', { region: 'eu' }, { 'mcp-param-region': 'us' }],
    ['bad Base64', { region: 'eu' }, { 'mcp-param-region': '=?base64?%%%?=' }],
    ['there without a value', {}, { 'mcp-param-region': 'eu' }],
    ['there for null', { region: null }, { 'mcp-param-region': 'eu' }],
    ['another number', { count: 42 }, { 'mcp-param-count': '43' }],
    ['no number', { count: 42 }, { 'mcp-param-count': 'forty-two' }],
    ['another truth', { dry: true }, { 'mcp-param-dry-run': 'false' }],
    ['missing, deep down', { nested: { deep: 'x' } }, {}],
  ])('are refused with 400/-32020 where they are %s', async (_what, args, headers) => {
    expect(await sent(args, headers)).toBe(-32020);
  });

  it.each<[what: string, args: object, headers: Record<string, string>]>([
    ['equal', { region: 'eu' }, { 'mcp-param-region': 'eu' }],
    [
      'in Base64',
      { region: 'é ' },
      { 'mcp-param-region': `=?base64?${Buffer.from('é ').toString('base64')}?=` },
    ],
    ['surrounded by white space', { region: 'eu' }, { 'mcp-param-region': '  eu ' }],
    ['another spelling of the number', { count: 42 }, { 'mcp-param-count': '42.0' }],
    ['absent for null', { region: null }, {}],
    ['absent', {}, {}],
    ['unknown here', {}, { 'mcp-param-unknown': 'x' }],
    ['deep down', { nested: { deep: 'x' } }, { 'mcp-param-deep': 'x' }],
  ])('are taken where they are %s', async (_what, args, headers) => {
    expect(await sent(args, headers)).toBeUndefined();
  });

  it('may name a tool in Base64', async () => {
    const headers = { 'mcp-name': `=?base64?${Buffer.from('mirrored').toString('base64')}?=` };
    expect(await sent({}, headers)).toBeUndefined();
    const other = { 'mcp-name': `=?base64?${Buffer.from('other').toString('base64')}?=` };
    expect(await sent({}, other)).toBe(-32020);
  });
});

describe('9: headers to a modern upstream', () => {
  it('are made from the body, for clients of both eras, under the own name of each hop', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('mirrored', { inputSchema: MIRRORING }), tool('naïve ☃')],
      onCall: (request) => request.text('ok', { resultType: 'complete' }),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const args = { region: 'Grüße', count: 42, dry: true, nested: { deep: '=?base64?x?=' } };
    const client = await connect(running.url);
    await client.request('tools/call', { name: 's__mirrored', arguments: args });
    const encoded = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;
    await call(running.url, 's__mirrored', args, {
      headers: {
        'mcp-param-region': encoded('Grüße'),
        'mcp-param-count': '42',
        'mcp-param-dry-run': 'true',
        'mcp-param-deep': encoded('=?base64?x?='),
        'mcp-param-beyond': 'for somebody else',
      },
    });
    const [first, second] = upstream.calls('mirrored').map(({ headers }) => headers);
    const wanted = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'mirrored',
      'mcp-param-region': encoded('Grüße'),
      'mcp-param-count': '42',
      'mcp-param-dry-run': 'true',
      'mcp-param-deep': encoded('=?base64?x?='),
    };
    expect(first).toMatchObject(wanted);
    expect(second).toMatchObject({ ...wanted, 'mcp-param-beyond': 'for somebody else' });
    await client.request('tools/call', { name: 's__naïve ☃', arguments: {} });
    expect(upstream.calls('naïve ☃')[0]?.headers['mcp-name']).toBe(encoded('naïve ☃'));
    for (const { headers } of upstream.requests) expect(headers['mcp-session-id']).toBeUndefined();
  });

  it('are made anew after -32020: the list is read again, and the call sent once more', async () => {
    let strict = false;
    const upstream = await createModernUpstream({
      tools: [tool('t')],
      onCall(request) {
        if (strict && request.received.headers['mcp-param-region'] !== 'eu')
          return request.raw(request.envelope('error', '{"code":-32020,"message":"Header mismatch"}'), 400);
        request.text('ok', { resultType: 'complete' });
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    strict = true;
    upstream.options.tools = [tool('t', { inputSchema: MIRRORING })];
    const client = await connect(running.server('s'));
    const before = upstream.received('tools/list').length;
    const answer = await client.request('tools/call', { name: 't', arguments: { region: 'eu' } });
    expect(textOf(answer)).toBe('ok');
    expect(upstream.received('tools/list')).toHaveLength(before + 1);
    expect(upstream.calls('t')).toHaveLength(2);
  });
});

describe('9: tools with an annotation that is none', () => {
  const wrong: Record<string, object> = {
    empty: { properties: { a: { type: 'string', 'x-mcp-header': '' } } },
    no_token: { properties: { a: { type: 'string', 'x-mcp-header': 'a b' } } },
    twice: {
      properties: {
        a: { type: 'string', 'x-mcp-header': 'Same' },
        b: { type: 'string', 'x-mcp-header': 'sAME' },
      },
    },
    no_primitive: { properties: { a: { type: 'object', 'x-mcp-header': 'A' } } },
    a_number: { properties: { a: { type: 'number', 'x-mcp-header': 'A' } } },
    under_items: { properties: { a: { type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } } } },
    under_any_of: { anyOf: [{ properties: { a: { type: 'string', 'x-mcp-header': 'A' } } }] },
    under_if: { if: { properties: { a: { type: 'string', 'x-mcp-header': 'A' } } } },
    in_defs: { $defs: { a: { type: 'string', 'x-mcp-header': 'A' } } },
  };
  it.each(['legacy', 'modern'])('of a %s upstream are left out, each with a warning', async (era) => {
    const warnings: string[] = [];
    const tools = [
      tool('right', { inputSchema: MIRRORING }),
      ...Object.entries(wrong).map(([name, schema]) =>
        tool(name, { inputSchema: { type: 'object', ...schema } }),
      ),
    ];
    const upstream = await (era === 'legacy' ? createUpstream({ tools }) : createModernUpstream({ tools }));
    const nothing = (): void => undefined;
    const running = await startGateway(
      { servers: [upstream.entry('s')] },
      {
        logger: {
          debug: nothing,
          info: nothing,
          warn: (text: string) => void warnings.push(text),
          error: nothing,
        } as never,
      },
    );
    const { result } = await answerTo(running.server('s'), 'tools/list');
    expect((result?.['tools'] as { name: string }[]).map(({ name }) => name)).toEqual(['right']);
    for (const name of Object.keys(wrong)) expect(warnings.join('\n')).toContain(`'${name}'`);
  });
});
