import { describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { openSession, openSse, post } from '../../helpers/http.js';
import { connect, final, heard, messagesOf } from '../../helpers/legacy.js';
import { answerTo, ask, call, createModernUpstream } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';

describe('15: a lost session', () => {
  it('is opened again for a legacy upstream, whichever era asks; level and subscriptions come first', async () => {
    const upstream = await createUpstream({
      tools: [tool('t')],
      sessions: true,
      capabilities: { tools: {}, logging: {} },
      onRequest(request) {
        if (request.message.method !== 'logging/setLevel') return false;
        request.result({});
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.url);
    await client.request('logging/setLevel', { level: 'warning' });
    await until(() => upstream.received('logging/setLevel').length === 1);
    for (const send of [
      () => client.request('tools/call', { name: 's__t', arguments: {} }),
      () => call(running.url, 's__t'),
    ]) {
      upstream.dropSessions();
      const from = upstream.requests.length;
      const lists = upstream.received('tools/list').length;
      expect((await send()).result).toBeDefined();
      const methods = upstream.requests
        .slice(from)
        .map(({ message }) => message.method)
        .filter((method) => method?.startsWith('notifications/') === false);
      // The lists are renewed beside it.
      expect(methods.filter((method) => !method?.endsWith('/list'))).toEqual([
        'tools/call',
        'initialize',
        'logging/setLevel',
        'tools/call',
      ]);
      // Of the next lost session it must be the call that tells.
      await until(() => upstream.received('tools/list').length > lists);
    }
  });

  it('is none where the upstream is modern: such an error goes on as it is', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('t')],
      onCall: (request) => request.error(-32001, 'Session not found'),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    expect((await call(running.url, 's__t')).error).toMatchObject({
      code: -32001,
      message: 'Session not found',
    });
    expect(upstream.calls('t')).toHaveLength(1);
    expect(upstream.received('initialize')).toHaveLength(0);
  });
});

describe('15: streams of a session', () => {
  it('are taken over by a new one; each message goes to one of them, and an id to its own', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.url);
    const first = await client.listen();
    const second = await client.listen();
    await first.done();
    expect(first.complete).toBe(true);
    const told = messagesOf(first).length;
    await running.gateway.reload({ servers: [] });
    await heard(second, 'notifications/tools/list_changed');
    expect(messagesOf(first)).toHaveLength(told);
    const [other] = [await connect(running.url)];
    const stolen = await openSse(running.url, undefined, { ...other.headers, 'last-event-id': '0-1' });
    expect(stolen.status).toBe(400);
  });
});

describe('15: ping', () => {
  it('is answered at once to legacy clients and servers, and is nothing to modern ones', async () => {
    const upstream = await createUpstream({
      tools: [tool('pings')],
      answer: 'sse',
      async onCall(request) {
        request.text(JSON.stringify((await request.ask('ping', {})).result));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.url);
    expect((await client.request('ping')).result).toEqual({});
    expect((await final(await client.stream('s__pings'))).result?.['content']).toEqual([
      { type: 'text', text: '{}' },
    ]);
    const modern = await ask(running.url, 'ping');
    expect([modern.status, modern.json().error?.code]).toEqual([404, -32601]);
  });
});

describe('15: names', () => {
  it('of servers are of these characters, and one that is not keeps working on the merged endpoint', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const running = await startGateway({
      servers: [upstream.entry('good.name-1_x'), upstream.entry('no good')],
    });
    const session = await openSession(running.url);
    const body = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'no good__t', arguments: {} },
    };
    expect((await post(running.url, body, session)).json().result).toBeDefined();
    expect((await post(running.server('good.name-1_x'), { ...body, method: 'ping' })).status).toBe(200);
    expect((await post(running.server('no%20good'), { ...body, method: 'ping' })).status).toBe(404);
  });

  it('of tools are listed as they are, and beyond 128 characters under a stable alias, to both eras', async () => {
    const long = 'x'.repeat(140);
    const upstream = await createUpstream({ tools: [tool('odd name ☃'), tool(long)] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const names = async (): Promise<string[]> =>
      ((await answerTo(running.url, 'tools/list')).result?.['tools'] as { name: string }[]).map(
        ({ name }) => name,
      );
    const [odd, alias] = await names();
    expect(odd).toBe('s__odd name ☃');
    expect(alias).toHaveLength(128);
    expect((await names())[1]).toBe(alias);
    const client = await connect(running.url);
    expect((await client.list('tools/list', 'tools'))[1]?.['name']).toBe(alias);
    await call(running.url, alias as string);
    await until(() => upstream.calls(long).length === 1);
  });
});
