import { describe, expect, it } from 'vitest';
import type { AnswerEdit } from '../../../src/protocol/ports.js';
import { tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { timer, until } from '../../helpers/wait.js';
import { call, openLink, toolCall } from './link.js';
import { createModernUpstream, META, REVISION, type ModernOptions } from './modern-server.js';

async function modern(options: ModernOptions, entry: object = {}) {
  const upstream = await createModernUpstream({ tools: [tool('t')], ...options });
  const opened = openLink(upstream.entry('s', entry));
  await opened.up();
  return { upstream, ...opened };
}
const complete = (more: object = {}): object => ({
  resultType: 'complete',
  content: [{ type: 'text', text: 'done' }],
  ...more,
});

describe('a call of a modern HTTP upstream', () => {
  it('is a POST with its revision, its method and the headers of the caller, and nothing of a session', async () => {
    const { upstream, link } = await modern(
      {
        onCall: (request) => {
          request.res.setHeader('mcp-session-id', 'ignored');
          request.result(complete());
        },
      },
      { headers: { 'Mcp-Method': 'forged', 'Mcp-Name': 'forged', 'X-Own': 'kept' } },
    );
    const headers = ['mcp-name', 't', 'mcp-param-region', 'eu'];
    await call(link, toolCall('t'), { headers }).done;
    await call(link, toolCall('t'), { headers: ['mcp-name', 't'] }).done;
    const [first, second] = upstream.calls();
    expect(first?.headers).toMatchObject({
      'mcp-protocol-version': REVISION,
      'mcp-method': 'tools/call',
      'mcp-name': 't',
      'mcp-param-region': 'eu',
      'x-own': 'kept',
      accept: 'application/json, text/event-stream',
    });
    expect(second?.headers['mcp-param-region']).toBeUndefined();
    expect(second?.headers['mcp-session-id']).toBeUndefined();
    expect(upstream.requests.every(({ method }) => method === 'POST')).toBe(true);
  });

  it('a method that no header can carry is not sent', async () => {
    const { upstream, link } = await modern({});
    const answered = await call(link, { method: 'a/b\r\nx: y', params: {} }).done;
    expect(answered.error?.code).toBe('invalid_params');
    expect(upstream.requests.some(({ message }) => message.method?.startsWith('a/b'))).toBe(false);
  });

  it.each([
    [
      'its own id',
      400,
      'ID',
      { code: -32021, message: 'm', data: { requiredCapabilities: { sampling: {} } } },
    ],
    ['no id', 400, undefined, { code: -32020, message: 'm' }],
    ['the id null', 404, 'null', { code: -32601, message: 'm' }],
  ])('an error of JSON-RPC with %s under HTTP %i is its answer', async (_name, status, id, error) => {
    const { upstream, link } = await modern({
      onCall: (request) => {
        const idText = id === 'ID' ? request.id : id;
        const own = idText === undefined ? '' : `"id":${idText},`;
        request.raw(`{"jsonrpc":"2.0",${own}"error":${JSON.stringify(error)}}`, status);
      },
    });
    const answered = await call(link, toolCall('t')).done;
    expect(answered.head).toMatchObject({ kind: 'error', code: error.code });
    expect(JSON.parse(answered.text)).toEqual({ jsonrpc: '2.0', id: 'mine', error });
    expect(link.state).toBe('up');
    expect(upstream.received('server/discover').length).toBe(1);
  });

  it('one that is cancelled has its connection closed, and no notification is sent', async () => {
    const { upstream, link } = await modern({
      onCall: (request) => {
        request.progress(1);
      },
    });
    const { exchange } = call(link, toolCall('t'));
    await until(() => upstream.calls().length === 1);
    exchange.cancel('not wanted');
    await until(() => upstream.abandoned === 1);
    expect(upstream.received('notifications/cancelled')).toEqual([]);
  });

  it('a stream that breaks before its result fails the call, whatever ids its events had', async () => {
    const { upstream, link } = await modern({
      onCall: (request) => {
        request.write('id: 1\nretry: 10\ndata:\n\n');
        request.write(
          `id: 2\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}\n\n`,
        );
        setTimeout(() => {
          request.destroy();
        }, 20);
      },
    });
    const answered = await call(link, toolCall('t')).done;
    expect(answered.error).toMatchObject({ code: 'upstream_protocol_error', data: { broken: true } });
    expect(answered.notices.length).toBe(1);
    expect(upstream.calls().length).toBe(1);
    expect(upstream.requests.every(({ method }) => method === 'POST')).toBe(true);
  });

  it('one that ends without a result is broken too', async () => {
    const { link } = await modern({
      onCall: (request) => {
        request.open();
        request.end();
      },
    });
    const answered = await call(link, toolCall('t')).done;
    expect(answered.error).toMatchObject({ data: { broken: true } });
  });

  it('what does no harm twice is sent once more, and not a third time; a tool call never', async () => {
    let breaks = 1;
    const { upstream, link } = await modern({
      onRequest(request) {
        const { method } = request.message;
        if (method !== 'resources/read' && method !== 'tools/call') return false;
        if (breaks-- > 0) {
          request.open();
          setTimeout(() => {
            request.destroy();
          }, 10);
        } else request.result(complete());
        return true;
      },
    });
    const read = { method: 'resources/read', params: { uri: 'x:1' } };
    const first = await call(link, read, { repeatable: true }).done;
    expect(JSON.parse(first.text)).toMatchObject({ id: 'mine', result: complete() });
    expect(upstream.received('resources/read').length).toBe(2);
    breaks = 2;
    const second = await call(link, read, { repeatable: true }).done;
    expect(second.error).toMatchObject({ data: { broken: true } });
    expect(upstream.received('resources/read').length).toBe(4);
    breaks = 1;
    const tool = await call(link, toolCall('t'), { repeatable: true }).done;
    expect(tool.error).toMatchObject({ data: { broken: true } });
    expect(upstream.calls().length).toBe(1);
  });

  it('text of a lost session is a text like any other', async () => {
    const { upstream, link } = await modern({
      onCall: (request) => {
        request.error(-32000, 'Session expired');
      },
    });
    const answered = await call(link, toolCall('t')).done;
    expect(answered.head).toMatchObject({ code: -32000 });
    expect(upstream.calls().length).toBe(1);
    expect(link.stats.sessionResets.values.size).toBe(0);
  });
});

describe('the result of a modern upstream', () => {
  const result = async (text: string, how: (request: Call, whole: string) => void, edit?: AnswerEdit) => {
    const { link } = await modern({
      onCall: (request) => {
        how(request, request.envelope('result', text));
      },
    });
    return call(link, toolCall('t'), edit ? { edit } : {}).done;
  };
  const inPieces = (request: Call, whole: string): void => {
    request.res.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(whole),
    });
    let at = 0;
    const next = (): void => {
      if (at >= whole.length) {
        request.res.end();
        return;
      }
      request.res.write(whole.slice(at, at + 700));
      at += 700;
      setTimeout(next, 4);
    };
    next();
  };
  const long = 'x'.repeat(4000);

  it.each([
    ['resultType first', `{"resultType":"input_required","requestState":"${long}"}`, 'input_required'],
    [
      '_meta first',
      `{"_meta":{"a":1},"requestState":"${long}","resultType":"input_required"}`,
      'input_required',
    ],
    ['a task', `{"taskId":"t","status":"working","statusMessage":"${long}","resultType":"task"}`, 'task'],
  ])('that is not complete comes whole, with its type: %s', async (_name, text, type) => {
    const answered = await result(text, inPieces, { head: () => [], tail: () => [] });
    expect(answered).toMatchObject({
      writes: 1,
      head: { kind: 'result', resultType: type, bytes: answered.text.length },
    });
    expect(answered.text).toBe(`{"jsonrpc":"2.0","id":"mine","result":${text}}`);
    expect(answered.text.slice(answered.head?.value)).toBe(`${text}}`);
  });

  it.each([
    `{"content":[{"type":"text","text":"${long}"}],"resultType":"complete"}`,
    `{"resultType":"complete","content":[{"type":"text","text":"${long}"}]}`,
    `{"ttlMs":1,"resultType":"complete","content":[{"type":"text","text":"${long}"}]}`,
  ])('that is complete flows: %.40s', async (text) => {
    const answered = await result(text, inPieces);
    expect(answered.head).toMatchObject({ resultType: undefined, bytes: answered.text.length });
    expect(answered.writes).toBeGreaterThan(1);
    expect(answered.text).toBe(`{"jsonrpc":"2.0","id":"mine","result":${text}}`);
  });

  it('that begins with what tells nothing is held whole, complete or not', async () => {
    const text = `{"_meta":{},"content":[{"type":"text","text":"${long}"}],"isError":true,"resultType":"complete"}`;
    const answered = await result(text, inPieces);
    expect(answered).toMatchObject({
      writes: 1,
      isError: true,
      head: { resultType: undefined, bytes: answered.text.length },
    });
  });

  it('shows isError behind resultType and a _meta with serverInfo', async () => {
    const meta = `"_meta":{"${META}/serverInfo":{"name":"a \\"quoted\\" {name","version":"1","icons":[{"src":"x"}]}}`;
    const flows = `{"content":[{"type":"text","text":"${long}"}],"isError":true,"resultType":"complete",${meta}}`;
    expect((await result(flows, inPieces)).isError).toBe(true);
    expect((await result(flows.replace('"isError":true', '"isError":false'), inPieces)).isError).toBe(false);
    // Not its own.
    expect((await result(flows.replace('"isError":true', '"x":{"isError":true}'), inPieces)).isError).toBe(
      false,
    );
  });
});

describe('requests of the gateway to a modern upstream', () => {
  it('carry the envelope with all that some client may be able to do', async () => {
    const { upstream } = await modern({});
    for (const method of ['server/discover', 'tools/list']) {
      const [request] = upstream.received(method);
      expect(request?.headers).toMatchObject({ 'mcp-method': method, 'mcp-protocol-version': REVISION });
      expect(request?.message.params?._meta).toEqual({
        [`${META}/protocolVersion`]: REVISION,
        [`${META}/clientInfo`]: { name: 'mcpstead', version: '0' },
        [`${META}/clientCapabilities`]: {
          elicitation: { form: {}, url: {} },
          sampling: { tools: {}, context: {} },
          roots: {},
          extensions: {
            'io.modelcontextprotocol/tasks': {},
            'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] },
          },
        },
      });
    }
  });

  it('over a link of one client carry what that client can do', async () => {
    const upstream = await createModernUpstream({ tools: [tool('t')] });
    const { up, link } = openLink(upstream.entry('s'), { client: { id: 'c', capabilities: { roots: {} } } });
    await up();
    expect(upstream.received('tools/list')[0]?.message.params?._meta).toMatchObject({
      [`${META}/clientCapabilities`]: { roots: {} },
    });
    expect(link.freshness.scope).toBe('private');
  });

  it('of its own for a task name it in a header', async () => {
    const { upstream, link } = await modern({
      onRequest: (request) => {
        if (request.message.method !== 'tasks/get') return false;
        request.result({ resultType: 'complete', taskId: 'é', status: 'working' });
        return true;
      },
    });
    const answer = await link.request('tasks/get', '{"taskId":"é"}');
    expect(JSON.parse(answer.toString())).toMatchObject({ status: 'working' });
    expect(upstream.received('tasks/get')[0]?.headers['mcp-name']).toBe('=?base64?w6k=?=');
  });

  it('no log level is set, nothing is told, and a link without lists is kept alive by server/discover', async () => {
    const { upstream, link } = await modern({ capabilities: { logging: {} } });
    link.setLevel('debug');
    link.tell(Buffer.from('{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}'));
    await link.refresh();
    expect(upstream.requests.map(({ message }) => message.method)).toEqual([
      'server/discover',
      'server/discover',
      'server/discover',
    ]);
  });
});

describe('how fresh a modern upstream is', () => {
  it('its own hints say, the shortest of all, and whether it is private', async () => {
    const before = performance.now();
    const { link } = await modern({ hints: { ttlMs: 20_000, cacheScope: 'private' } });
    // Counted from when the lists came.
    expect(link.freshness.until).toBeGreaterThanOrEqual(before + 20_000);
    expect(link.freshness.until).toBeLessThanOrEqual(performance.now() + 20_000);
    expect(link.freshness.scope).toBe('private');
  });

  it('without hints it is fresh until the next refresh', async () => {
    const { link } = await modern(
      { hints: {}, discover: { ttlMs: undefined } },
      { tools: { ttl_seconds: 100 } },
    );
    const before = performance.now();
    await link.refresh();
    expect(link.freshness.until).toBeGreaterThanOrEqual(before + 100_000);
    expect(link.freshness.until).toBeLessThanOrEqual(performance.now() + 100_000);
  });

  it('what it says of itself is asked for again once that is stale', async () => {
    let instructions = 'before';
    const { upstream, link, told } = await modern({ discover: () => ({ instructions, ttlMs: 0 }) });
    instructions = 'after';
    await link.refresh();
    expect(link.peer?.instructions).toBe('after');
    expect(told.changed).toEqual([[]]);
    expect(upstream.received('server/discover').length).toBe(2);
  });

  it('and not before', async () => {
    const { upstream, link } = await modern({});
    await link.refresh();
    await link.refresh();
    expect(upstream.received('server/discover').length).toBe(1);
    expect(upstream.received('tools/list').length).toBe(3);
  });

  it('lists that lapse are read again without a timer of minutes', async () => {
    const { upstream } = await modern(
      { hints: { ttlMs: 100, cacheScope: 'public' } },
      { tools: { ttl_seconds: 1_000_000 } },
    );
    // However short it is: five seconds at the least.
    const least = timer(4500);
    await until(() => upstream.received('tools/list').length === 2);
    expect(least.rung).toBe(true);
  });
});
