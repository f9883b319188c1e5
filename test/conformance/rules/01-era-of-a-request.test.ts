import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { openSession, post, send, type Headers, type JsonRpc } from '../../helpers/http.js';
import { answerTo, ask, envelope, REVISION } from '../../helpers/modern.js';

let running: RunningGateway;

beforeAll(async () => {
  const upstream = await createUpstream({
    tools: [
      tool('echo'),
      tool('mirrored', {
        inputSchema: {
          type: 'object',
          properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
        },
      }),
    ],
  });
  running = await startGateway({ servers: [upstream.entry('s')] });
});

const list = (meta?: object): JsonRpc => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/list',
  params: meta ? { _meta: meta } : {},
});
const KEYS = ['protocolVersion', 'clientCapabilities', 'clientInfo'].map(
  (key) => `io.modelcontextprotocol/${key}`,
);

describe('1: the era of a request', () => {
  it.each(KEYS)('is modern by %s in its _meta alone', async (key) => {
    const answer = await post(running.url, list({ [key]: key.endsWith('Version') ? REVISION : {} }));
    // The envelope is not whole: that is a fault of the modern era.
    expect([answer.status, answer.json().error?.code]).toEqual([
      400,
      key.endsWith('Version') ? -32602 : -32602,
    ]);
  });

  it.each([REVISION, '2027-01-01'])('is modern by the header %s alone', async (version) => {
    const answer = await post(running.url, list(), { 'mcp-protocol-version': version });
    expect([answer.status, answer.json().error?.code]).toEqual([400, -32602]);
  });

  it.each(['server/discover', 'subscriptions/listen'])('is modern by the method %s', async (method) => {
    const answer = await post(running.url, { jsonrpc: '2.0', id: 1, method });
    expect([answer.status, answer.json().error?.code]).toEqual([400, -32602]);
  });

  it('is legacy otherwise, with a session and without', async () => {
    for (const headers of [{}, await openSession(running.url)]) {
      const { result } = (await post(running.url, list(), headers)).json();
      expect(result).not.toHaveProperty('resultType');
      expect(result).toHaveProperty('tools');
    }
  });

  it('is modern whatever session it names, and gets no session', async () => {
    const session = (await openSession(running.url))['mcp-session-id'] as string;
    for (const id of [session, 'made-up']) {
      const answer = await ask(running.url, 'tools/list', {}, { headers: { 'mcp-session-id': id } });
      expect(answer.status).toBe(200);
      expect(answer.json().result).toMatchObject({ resultType: 'complete' });
      expect(answer.headers['mcp-session-id']).toBeUndefined();
    }
  });

  it.each(['initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'tasks/list', 'made/up'])(
    'knows no method %s in the modern era: 404/-32601',
    async (method) => {
      const answer = await ask(running.url, method);
      expect([answer.status, answer.json().error?.code]).toEqual([404, -32601]);
    },
  );

  it('names modern revisions alone where it names what it supports', async () => {
    const refused = await ask(running.url, 'tools/list', {}, { version: '2027-01-01' });
    expect(refused.status).toBe(400);
    expect(refused.json().error).toMatchObject({
      code: -32022,
      data: { supported: [REVISION], requested: '2027-01-01' },
    });
    const old = await ask(running.url, 'tools/list', {}, { version: '2025-11-25' });
    expect([old.status, old.json().error?.code]).toEqual([400, -32022]);
    const discovered = await answerTo(running.url, 'server/discover');
    expect(discovered.result?.['supportedVersions']).toEqual([REVISION]);
  });

  it.each<[what: string, version: string, status: number]>([
    ['unknown', '2020-01-01', 400],
    ['not that of its session', '2025-06-18', 200],
  ])('where it is legacy and its version header is %s: %s is %i', async (_what, version, status) => {
    const session = await openSession(running.url);
    const answer = await post(running.url, list(), { ...session, 'mcp-protocol-version': version });
    expect(answer.status).toBe(status);
  });

  describe('is checked in this order, each fault alone and before those after it', () => {
    const body = (params: object, more: object = {}): JsonRpc => ({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 's__mirrored', arguments: { region: 'eu' }, ...params },
      ...more,
    });
    const headers: Headers = {
      'mcp-protocol-version': REVISION,
      'mcp-method': 'tools/call',
      'mcp-name': 's__mirrored',
      'mcp-param-region': 'eu',
    };
    const without = (name: string): Headers =>
      Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
    const unknown = { ...without('mcp-param-region'), 'mcp-method': 'made/up' };
    const future = envelope({ version: '2027-01-01' });
    const rows: [what: string, body: unknown, headers: Headers, status: number, code: number][] = [
      ['shape', { id: 1, method: 5, params: {} }, {}, 400, -32600],
      ['a batch', [body({ _meta: envelope() })], headers, 400, -32600],
      [
        '_meta, and headers that are missing too',
        body({ _meta: { [KEYS[0] as string]: REVISION } }),
        {},
        400,
        -32602,
      ],
      ['headers, and a version that is unknown too', body({ _meta: future }), headers, 400, -32020],
      ['Mcp-Method', body({ _meta: envelope() }), without('mcp-method'), 400, -32020],
      ['Mcp-Name', body({ _meta: envelope() }), without('mcp-name'), 400, -32020],
      [
        'a version, and a method that is unknown too',
        body({ _meta: future }, { method: 'made/up' }),
        { ...unknown, 'mcp-protocol-version': '2027-01-01' },
        400,
        -32022,
      ],
      ['a method', body({ _meta: envelope() }, { method: 'made/up' }), unknown, 404, -32601],
      ['Mcp-Param-*', body({ _meta: envelope() }), without('mcp-param-region'), 400, -32020],
    ];
    it.each(rows)('%s', async (_what, sent, with_, status, code) => {
      const answer = await post(running.url, sent as object, with_);
      expect([answer.status, answer.json().error?.code]).toEqual([status, code]);
    });

    it('and nothing is wrong with a right one', async () => {
      const answer = await post(running.url, body({ _meta: envelope() }), headers);
      expect([answer.status, answer.json().error]).toEqual([200, undefined]);
    });
  });

  it.each(['GET', 'DELETE'])('has no %s in the modern era: 405', async (method) => {
    const session = await openSession(running.url);
    const answer = await send(running.url, undefined, {
      method,
      headers: { ...session, 'mcp-protocol-version': REVISION, accept: 'text/event-stream' },
    });
    expect([answer.status, answer.headers.allow]).toEqual([405, 'POST, OPTIONS']);
    // The session is none the worse for it.
    expect((await post(running.url, list(), session)).status).toBe(200);
  });
});
