import { describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { textOf } from '../../helpers/http.js';
import { connect, final, heard } from '../../helpers/legacy.js';
import { answerTo, ask, createModernUpstream, EVERYTHING } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';

const DIGITS = '12345678901234567890.10';

describe('10: what a revision cannot say', () => {
  it('is for older clients a structured result that is no object, put into one; a modern client gets it as it is', async () => {
    const upstream = await createModernUpstream({
      tools: [
        '{"name":"numbers","inputSchema":{"type":"object"},"outputSchema":{"type":"array","items":{"$ref":"#/$defs/n"},"$defs":{"n":{"type":"number"}}}}',
      ],
      onCall: (request) =>
        request.result(`{"resultType":"complete","content":[],"structuredContent":[1.50,${DIGITS}]}`),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    for (const protocolVersion of ['2025-06-18', '2025-11-25']) {
      const client = await connect(running.server('s'), { protocolVersion });
      const [listed] = await client.list('tools/list', 'tools');
      expect(listed?.['outputSchema']).toMatchObject({
        type: 'object',
        required: ['result'],
        properties: { result: { type: 'array' } },
      });
      const schema = JSON.stringify(listed?.['outputSchema']);
      const [, pointer] = /"\$ref":"#([^"]*)"/.exec(schema) ?? [];
      const found = (pointer ?? '')
        .split('/')
        .slice(1)
        .reduce<unknown>(
          (at, key) => (at as Record<string, unknown> | undefined)?.[key],
          listed?.['outputSchema'],
        );
      expect(found).toEqual({ type: 'number' });
      const stream = await client.stream('numbers');
      await stream.done();
      expect(stream.text).toContain(`"structuredContent":{"result":[1.50,${DIGITS}]}`);
      expect(textOf(await final(stream))).toBe(`[1.50,${DIGITS}]`);
    }
    const modern = await ask(running.server('s'), 'tools/list');
    expect(modern.text).toContain('"outputSchema":{"type":"array","items":{"$ref":"#/$defs/n"}');
    const answer = await ask(running.server('s'), 'tools/call', { name: 'numbers' });
    expect(answer.text).toContain(`"structuredContent":[1.50,${DIGITS}]`);
  });

  it('is a schema that is true or false, and a content block that came later: it becomes text, and never vanishes', async () => {
    const block = { type: 'resource_link', uri: 'file:///x', name: 'x' };
    const upstream = await createModernUpstream({
      tools: [tool('any', { inputSchema: { type: 'object', properties: { a: true, b: false } } })],
      onCall: (request) =>
        request.result({
          resultType: 'complete',
          content: [block, { type: 'audio', data: 'AA==', mimeType: 'audio/wav' }],
        }),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const content = async (protocolVersion: string): Promise<unknown> => {
      const client = await connect(running.server('s'), { protocolVersion });
      const [listed] = await client.list('tools/list', 'tools');
      expect(listed?.['inputSchema']).toMatchObject({ properties: { a: {}, b: { not: {} } } });
      const { result } = await client.request('tools/call', { name: 'any', arguments: {} });
      return (result?.['content'] as { type: string; text?: string }[]).map(({ type, text }) => text ?? type);
    };
    expect(await content('2025-06-18')).toEqual(['resource_link', 'audio']);
    expect(await content('2025-03-26')).toEqual(['file:///x', 'audio']);
    expect(await content('2024-11-05')).toEqual(['file:///x', expect.stringContaining('audio/wav')]);
  });

  it('is a question that is put in older words, or goes on as it is', async () => {
    const questions: Record<string, object> = {
      many: {
        method: 'elicitation/create',
        params: {
          message: 'm',
          requestedSchema: {
            type: 'object',
            properties: { a: { type: 'array', items: { type: 'string', enum: ['x'] } } },
          },
        },
      },
      titled: {
        method: 'elicitation/create',
        params: {
          message: 'm',
          requestedSchema: {
            type: 'object',
            properties: { a: { type: 'string', oneOf: [{ const: 'x', title: 'The X' }] } },
          },
        },
      },
    };
    const upstream = await createModernUpstream({
      tools: Object.keys(questions).map((name) => tool(name)),
      onCall(request) {
        const given = request.params['inputResponses'];
        if (given) request.text(JSON.stringify(given), { resultType: 'complete' });
        else
          request.result({
            resultType: 'input_required',
            inputRequests: { q: questions[request.params.name ?? ''] },
          });
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.server('s'), { protocolVersion: '2025-06-18' });
    // A client that cannot offer it may say so.
    const many = await client.stream('many');
    const [choices] = await heard(many, 'elicitation/create');
    expect(choices?.params?.['requestedSchema']).toMatchObject({ properties: { a: { type: 'array' } } });
    await client.say({ id: choices?.id, result: { action: 'decline' } });
    expect(textOf(await final(many))).toBe('{"q":{"action":"decline"}}');
    const stream = await client.stream('titled');
    const [question] = await heard(stream, 'elicitation/create');
    expect(question?.params?.['requestedSchema']).toEqual({
      type: 'object',
      properties: { a: { type: 'string', enum: ['x'], enumNames: ['The X'] } },
    });
    await client.say({ id: question?.id, result: { action: 'accept', content: { a: 'x' } } });
    expect(textOf(await final(stream))).toContain('"a":"x"');
  });

  it('is who a server is, where it does not say', async () => {
    const upstream = await createModernUpstream({ tools: [tool('t')], discover: { _meta: {} } });
    const running = await startGateway({ servers: [upstream.entry('quiet')] });
    const client = await connect(running.server('quiet'));
    expect(client.greeting['serverInfo']).toEqual({ name: 'quiet', version: '0' });
  });

  it('is taken from the two ends of a result, and the rest flows with every digit, unknown field and order', async () => {
    const own = `"content":[{"type":"text","text":"${'x'.repeat(300_000)}"}],"unknown":{"n":${DIGITS},"resultType":"kept"},"isError":false`;
    const upstream = await createModernUpstream({
      tools: [tool('head'), tool('tail')],
      onCall: (request) =>
        request.result(
          request.params.name === 'head'
            ? `{"resultType":"complete","ttlMs":5,${own}}`
            : `{${own},"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}`,
        ),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.server('s'));
    const head = await client.stream('head');
    await head.done();
    expect(head.text).toContain(`"result":{${own}}`);
    const tail = await client.stream('tail');
    await tail.done();
    expect(tail.text).toContain(`"result":{${own}}`);
  });
});

describe('11: lists and how fresh they are', () => {
  it('carry hints for modern clients alone: of a modern server its own, of a legacy one the time to the next refresh', async () => {
    const modern = await createModernUpstream({
      tools: [tool('m')],
      hints: { ttlMs: 30_000, cacheScope: 'public' },
    });
    const legacy = await createUpstream({ tools: [tool('l')] });
    const running = await startGateway({
      servers: [
        modern.entry('m', { tools: { ttl_seconds: 600 } }),
        legacy.entry('l', { tools: { ttl_seconds: 20 } }),
      ],
    });
    const hints = async (url: string, method = 'tools/list'): Promise<[number, unknown]> => {
      const { result } = await answerTo(url, method);
      return [result?.['ttlMs'] as number, result?.['cacheScope']];
    };
    const within = (ttlMs: number, most: number): void => {
      expect(Number.isInteger(ttlMs)).toBe(true);
      expect(ttlMs).toBeGreaterThanOrEqual(0);
      expect(ttlMs).toBeLessThanOrEqual(most);
    };
    for (const method of ['tools/list', 'server/discover']) {
      const [own, scope] = await hints(running.server('m'), method);
      within(own, 30_000);
      expect(own).toBeGreaterThan(10_000);
      expect(scope).toBe('public');
      const [other] = await hints(running.server('l'), method);
      within(other, 20_000);
      const [all, together] = await hints(running.url, method);
      within(all, 20_000);
      expect(together).toBe('public');
    }
    const { result } = await (await connect(running.url)).request('tools/list');
    expect(result).not.toHaveProperty('ttlMs');
    expect(result).not.toHaveProperty('resultType');
  });

  it('are private as soon as one part is', async () => {
    const open = await createModernUpstream({ tools: [tool('a')] });
    const closed = await createModernUpstream({ tools: [tool('b')], hints: { cacheScope: 'private' } });
    const running = await startGateway({ servers: [open.entry('open'), closed.entry('closed')] });
    const scope = async (url: string): Promise<unknown> =>
      (await answerTo(url, 'tools/list')).result?.['cacheScope'];
    expect(await scope(running.server('open'))).toBe('public');
    expect(await scope(running.server('closed'))).toBe('private');
    expect(await scope(running.url)).toBe('private');
  });

  it('are read under the own credential of the gateway, once for all clients', async () => {
    const upstream = await createModernUpstream({ tools: [tool('t')] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const before = upstream.received('tools/list').length;
    for (let i = 0; i < 5; i++) {
      await answerTo(running.url, 'tools/list', {}, { capabilities: EVERYTHING });
      await answerTo(running.url, 'tools/list', {}, { capabilities: {} });
      await (await connect(running.url)).request('tools/list');
    }
    // Once for each set of capabilities, of which none is that of the gateway itself: it declares apps.
    expect(upstream.received('tools/list').length - before).toBeLessThanOrEqual(3);
  });

  it('show each set of capabilities what a modern server lists for it', async () => {
    const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
    let more: object[] = [];
    const upstream = await createModernUpstream({
      onRequest(request) {
        if (request.message.method !== 'tools/list') return false;
        const declared = request.params._meta?.[CAPABILITIES] as Record<string, unknown>;
        const tools = [tool('plain'), ...Object.keys(declared).map((name) => tool(`needs_${name}`)), ...more];
        request.result({ resultType: 'complete', tools, ttlMs: 60_000, cacheScope: 'public' });
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const names = (result: Record<string, unknown> | undefined): string[] =>
      (result?.['tools'] as { name: string }[]).map(({ name }) => name.replace('s__', ''));
    const modern = async (capabilities: object, url = running.url): Promise<string[]> =>
      names((await answerTo(url, 'tools/list', {}, { capabilities })).result);
    expect(await modern({})).toEqual(['plain']);
    expect(await modern({ elicitation: { form: {} } })).toEqual(['plain', 'needs_elicitation']);
    expect(await modern({ sampling: {} }, running.server('s'))).toEqual(['plain', 'needs_sampling']);
    const reads = upstream.received('tools/list').length;
    expect(await modern({ elicitation: { form: { anything: 1 } } })).toEqual(['plain', 'needs_elicitation']);
    expect(upstream.received('tools/list')).toHaveLength(reads);
    const client = await connect(running.url, { capabilities: { roots: {} } });
    // What the gateway does in the place of a legacy client counts as its own.
    expect(names((await client.request('tools/list')).result)).toEqual([
      'plain',
      'needs_roots',
      'needs_extensions',
    ]);
    // When the list of all changes, every set is read again.
    more = [tool('new')];
    await until(() => upstream.streams.size === 1);
    const [listen] = upstream.received('subscriptions/listen');
    upstream.announce({
      method: 'notifications/tools/list_changed',
      params: { _meta: { 'io.modelcontextprotocol/subscriptionId': listen?.message.id } },
    });
    await until(async () => (await modern({})).join() === 'plain,new');
    expect(await modern({ elicitation: {} })).toEqual(['plain', 'needs_elicitation', 'new']);
  });

  it('are read again when their time has come, and when the server says so', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('before')],
      capabilities: { tools: { listChanged: true } },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    await until(() => upstream.streams.size === 1, 'the stream of changes');
    upstream.options.tools = [tool('after')];
    const [listen] = upstream.received('subscriptions/listen');
    upstream.announce({
      method: 'notifications/tools/list_changed',
      params: { _meta: { 'io.modelcontextprotocol/subscriptionId': listen?.message.id } },
    });
    await until(async () => {
      const { result } = await answerTo(running.server('s'), 'tools/list');
      return (result?.['tools'] as { name: string }[]).some(({ name }) => name === 'after');
    });
  });

  it('a resource that a legacy server read, and every result of a retry, is stale and private', async () => {
    const upstream = await createUpstream({
      capabilities: { resources: {} },
      onRequest(request) {
        const { method } = request.message;
        if (method === 'resources/list') request.result({ resources: [{ uri: 'x:1', name: 'x' }] });
        else if (method === 'resources/templates/list') request.result({ resourceTemplates: [] });
        else if (method === 'resources/read')
          request.result(`{"contents":[{"uri":"x:1","text":"${DIGITS}"}]}`);
        else return false;
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const { result } = await answerTo(running.url, 'resources/read', { uri: 'x:1' });
    expect(result).toEqual({
      resultType: 'complete',
      ttlMs: 0,
      cacheScope: 'private',
      contents: [{ uri: 'x:1', text: DIGITS }],
    });
  });

  it('keep their order, and one page holds all', async () => {
    const names = ['zulu', 'alpha', 'mike'];
    const upstream = await createModernUpstream({ tools: names.map((name) => tool(name)) });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    for (let i = 0; i < 3; i++) {
      const { result } = await answerTo(running.server('s'), 'tools/list');
      expect((result?.['tools'] as { name: string }[]).map(({ name }) => name)).toEqual(names);
    }
    const paged = await ask(running.server('s'), 'tools/list', { cursor: 'next' });
    expect([paged.status, paged.json().error?.code]).toEqual([200, -32602]);
  });
});
