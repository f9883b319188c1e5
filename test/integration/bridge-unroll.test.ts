import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { call, createModernUpstream } from '../helpers/modern.js';
import { openSse, post, textOf, beat } from '../helpers/http.js';
import { connect, final, heard, messagesOf } from '../helpers/legacy.js';
import { until } from '../helpers/wait.js';

const form = {
  method: 'elicitation/create',
  params: { message: 'Name?', requestedSchema: { type: 'object', properties: {} } },
};
const sampling = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 5 } };

const asks: Record<string, object> = {
  form: { a: form },
  sample: { a: sampling },
  both: { a: form, b: sampling },
};

async function stage() {
  const upstream = await createModernUpstream({
    tools: Object.keys(asks).map((name) => tool(name)),
    onCall(asked: Call) {
      asked.result({ resultType: 'input_required', inputRequests: asks[asked.params.name ?? ''] });
    },
  });
  const running = await startGateway({ servers: [upstream.entry('s')] });
  return { upstream, running, client: await connect(running.server('s')) };
}

describe('a call that is unrolled', () => {
  it.each(Object.keys(asks))('says nothing more once its client cancelled it: %s', async (name) => {
    const { upstream, client, running } = await stage();
    const stream = await client.stream(name, {}, { id: 55 });
    await until(() => messagesOf(stream).some(({ id }) => id !== undefined), 'a question');
    await client.say({ method: 'notifications/cancelled', params: { requestId: 55 } });
    await stream.done();
    await beat(running.base);
    expect(messagesOf(stream).filter(({ method }) => method === undefined)).toEqual([]);
    expect(upstream.calls(name)).toHaveLength(1);
  });

  it.each(Object.keys(asks))('sends nothing up for a session that ends: %s', async (name) => {
    const { upstream, client, running } = await stage();
    const stream = await client.stream(name, {}, { id: 56 });
    await until(() => messagesOf(stream).some(({ id }) => id !== undefined), 'a question');
    await client.end();
    await stream.done();
    await beat(running.base);
    expect(messagesOf(stream).filter(({ method }) => method === undefined)).toEqual([]);
    expect(upstream.calls(name)).toHaveLength(1);
    expect(
      await running.metric(
        'mcpstead_tool_call_errors_total{server="s",tool="' + name + '",reason="cancelled"}',
      ),
    ).toBe(1);
  });

  it('takes back what it still asks once one answer has ended it', async () => {
    const { client } = await stage();
    const stream = await client.stream('both', {}, { id: 57 });
    const [asked] = await heard(stream, 'sampling/createMessage');
    await client.say({ id: asked?.id, error: { code: -1, message: 'no' } });
    await stream.done();
    const told = messagesOf(stream);
    expect(told.some(({ method }) => method === 'notifications/cancelled')).toBe(true);
    expect(told.at(-1)).toMatchObject({ id: 57, error: { code: -32603 } });
  });
});

describe('a call to a modern upstream', () => {
  it('brings no state and no answers of a legacy client, which has neither', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('asks')],
      onCall(asked) {
        if (asked.params['requestState'] === undefined)
          asked.result({ resultType: 'input_required', inputRequests: { a: form }, requestState: 'own' });
        else asked.text(JSON.stringify(asked.params), { resultType: 'complete' });
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.server('s'));
    const params = {
      requestState: 'forged',
      name: 'asks',
      inputResponses: { a: {} },
      arguments: { kept: 1 },
    };
    const stream = await openSse(
      running.server('s'),
      { jsonrpc: '2.0', id: 3, method: 'tools/call', params },
      client.headers,
    );
    const [asked] = await heard(stream, 'elicitation/create');
    await client.say({ id: asked?.id, result: { action: 'decline' } });
    const text = textOf(await final(stream));
    expect(JSON.parse(text)).toMatchObject({
      requestState: 'own',
      inputResponses: { a: { action: 'decline' } },
      arguments: { kept: 1 },
    });
    expect(upstream.calls()[0]?.text).not.toContain('forged');
  });

  it('has each parameter in one header, also where the upstream listed it only lately', async () => {
    const listed = {
      inputSchema: { type: 'object', properties: { city: { type: 'string', 'x-mcp-header': 'City' } } },
    };
    let tools: object[] = [tool('where')];
    const upstream = await createModernUpstream({
      tools,
      onRequest(asked) {
        if (asked.message.method === 'tools/list') {
          asked.result({ resultType: 'complete', tools, ttlMs: 60_000, cacheScope: 'public' });
          return true;
        }
        if (asked.message.method !== 'tools/call') return undefined;
        if (tools.length === 1 && upstream.calls().length === 1) {
          tools = [tool('where', listed)];
          asked.raw(asked.envelope('error', '{"code":-32020,"message":"Header mismatch"}'), 400);
        } else asked.text('there', { resultType: 'complete' });
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const headers = { 'mcp-param-city': 'Oslo' };
    const answer = await call(running.server('s'), 'where', { city: 'Bergen' }, { headers });
    expect(answer.result).toBeDefined();
    const lines = upstream.calls('where').map((received) => received.headers['mcp-param-city']);
    expect(lines).toEqual(['Oslo', 'Bergen']);
  });

  it('is not made again where its answer broke off, whatever the tool says of itself', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('reads', { annotations: { readOnlyHint: true, idempotentHint: true } })],
      onCall(asked) {
        asked.progress(1);
        setTimeout(() => {
          asked.destroy();
        }, 50);
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.server('s'));
    const { error } = await client.request('tools/call', { name: 'reads', arguments: {} });
    expect(error?.code).toBe(-32603);
    expect(upstream.calls('reads')).toHaveLength(1);
  });
});

describe('notifications of modern clients', () => {
  it('of the protocol itself reach no shared upstream; those of an extension do', async () => {
    const upstream = await createUpstream({
      capabilities: { tools: {}, extensions: { 'com.example/x': {} }, experimental: {} },
      tools: [tool('a')],
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const url = running.server('s');
    const tell = (method: string) =>
      post(
        url,
        { jsonrpc: '2.0', method, params: {} },
        { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method },
      );
    for (const method of [
      'notifications/initialized',
      'notifications/roots/list_changed',
      'notifications/progress',
      'notifications/cancelled',
      'notifications/com.example/hello',
    ])
      expect((await tell(method)).status).toBe(202);
    await until(() => upstream.received('notifications/com.example/hello').length > 0, 'the extension');
    expect(upstream.received('notifications/roots/list_changed')).toEqual([]);
    expect(upstream.received('notifications/progress')).toEqual([]);
    expect(upstream.received('notifications/cancelled')).toEqual([]);
    expect(upstream.received('notifications/initialized')).toHaveLength(1);
  });
});
