import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { openSession, textOf } from '../../helpers/http.js';
import { connect, final, heard } from '../../helpers/legacy.js';
import { answerTo, call, createModernUpstream, EVERYTHING, needs, only } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';

const META = 'io.modelcontextprotocol/';
const initialized = (upstream: Upstream): unknown[] =>
  upstream.received('initialize').map(({ message }) => message.params?.['capabilities']);

describe('3: what an upstream is told that can be asked', () => {
  it('is with a modern one what each client can do, request by request', async () => {
    const upstream = await createModernUpstream({
      tools: [tool('t')],
      onCall: (asked) => asked.text('ok', { resultType: 'complete' }),
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const own = { elicitation: {}, extensions: { 'com.example/x': { a: 1.5 } } };
    await call(running.url, 's__t', {}, { capabilities: own, clientInfo: { name: 'one', version: '1' } });
    await call(running.url, 's__t', {}, { capabilities: {} });
    const told = upstream.calls('t').map(({ message }) => message.params?._meta);
    expect(told[0]).toMatchObject({
      [`${META}clientCapabilities`]: own,
      [`${META}clientInfo`]: { name: 'one', version: '1' },
    });
    expect(told[1]?.[`${META}clientCapabilities`]).toEqual({});
    expect(told[1]).not.toHaveProperty(`${META}clientInfo`);
  });

  it('is with a shared legacy one declared once, without the roots or tasks of any client', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    await connect(running.url);
    await call(running.url, 's__t', {}, { capabilities: EVERYTHING });
    expect(initialized(upstream)).toEqual([
      {
        sampling: { tools: {}, context: {} },
        elicitation: { form: {}, url: {} },
        extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
      },
    ]);
  });

  it('is relayed on a shared one only to a client that can answer, and refused at once to others', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      answer: 'sse',
      async onCall(asked) {
        const answers = [
          await asked.ask('roots/list', {}),
          await asked.ask('elicitation/create', {
            message: 'm',
            requestedSchema: { type: 'object', properties: {} },
          }),
          await asked.ask('elicitation/create', {
            mode: 'url',
            message: 'm',
            url: 'https://a.test',
            elicitationId: 'e',
          }),
        ];
        asked.text(JSON.stringify(answers.map(({ error, result }) => error?.code ?? result)));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const nothing = await call(running.server('s'), 'ask', {}, { capabilities: {} });
    expect(JSON.parse(textOf(nothing))).toEqual([-32601, -32603, -32603]);
    const forms = { capabilities: { elicitation: { form: {} }, roots: {} } };
    let answer = await call(running.server('s'), 'ask', {}, forms);
    const asked: string[] = [];
    for (let round = 0; round < 2; round++) {
      const needed = needs(answer);
      const { requestState } = needed;
      const { key, method } = only(needed);
      asked.push(method);
      const reply = method === 'roots/list' ? { roots: [] } : { action: 'decline' };
      answer = await call(
        running.server('s'),
        'ask',
        {},
        {
          ...forms,
          more: { requestState, inputResponses: { [key]: reply } },
        },
      );
    }
    expect(asked).toEqual(['roots/list', 'elicitation/create']);
    expect(JSON.parse(textOf(answer))).toEqual([{ roots: [] }, { action: 'decline' }, -32602]);
  });
});

describe('3: an upstream with a session for each client', () => {
  const server = async (): Promise<Upstream> =>
    createUpstream({
      tools: [tool('whose'), tool('ask')],
      sessions: true,
      answer: 'sse',
      async onCall(asked) {
        if (asked.params.name === 'whose')
          return asked.text(String(asked.received.headers['mcp-session-id']));
        const { result, error } = await asked.ask('roots/list', {});
        asked.text(JSON.stringify(result ?? error?.code));
      },
    });

  it('has one for each principal, capability set and clientInfo of modern clients, roots included', async () => {
    const upstream = await server();
    const running = await startGateway({
      servers: [upstream.entry('s', { session: 'per-client' as const })],
    });
    const one = { capabilities: { roots: {} }, clientInfo: { name: 'one', version: '1' } };
    const two = { capabilities: {}, clientInfo: { name: 'one', version: '1' } };
    const three = { capabilities: { roots: {} }, clientInfo: { name: 'three', version: '1' } };
    const whose = async (who: object): Promise<string> =>
      textOf(await call(running.url, 's__whose', {}, who));
    const sessions = [await whose(one), await whose(two), await whose(three)];
    expect(new Set(sessions).size).toBe(3);
    expect(await whose(one)).toBe(sessions[0]);
    expect(await whose(three)).toBe(sessions[2]);
    // The registry's own can be asked for nothing.
    expect(initialized(upstream)).toEqual([{}, one.capabilities, two.capabilities, three.capabilities]);

    const { inputRequests, requestState } = needs(await call(running.url, 's__ask', {}, one));
    expect(Object.values(inputRequests)).toEqual([{ method: 'roots/list', params: {} }]);
    const [key] = Object.keys(inputRequests) as [string];
    const more = { requestState, inputResponses: { [key]: { roots: [{ uri: 'file:///mine' }] } } };
    expect(textOf(await call(running.url, 's__ask', {}, { ...one, more }))).toBe(
      '{"roots":[{"uri":"file:///mine"}]}',
    );
    expect(textOf(await call(running.url, 's__ask', {}, two))).toBe('-32601');
  });

  it('is bounded for each upstream, and says so', async () => {
    const upstream = await server();
    const running = await startGateway({
      limits: { per_client: 1 },
      servers: [upstream.entry('s', { session: 'per-client' as const })],
    });
    await call(running.url, 's__whose', {}, { clientInfo: { name: 'one', version: '1' } });
    const second = await call(running.url, 's__whose', {}, { clientInfo: { name: 'two', version: '1' } });
    expect(second.error?.code).toBe(-32603);
    expect(second.error?.message).toContain('limits.per_client');
  });

  it('is closed when nothing was called for a while', async () => {
    const upstream = await server();
    const running = await startGateway({
      mcp: { session: { idle_ttl_seconds: 1, gc_interval_seconds: 1 } },
      servers: [upstream.entry('s', { session: 'per-client' as const })],
    });
    const session = textOf(await call(running.url, 's__whose'));
    expect(upstream.sessions).toContain(session);
    await until(() => !upstream.sessions.has(session), 'the end of the session');
    expect(textOf(await call(running.url, 's__whose'))).not.toBe(session);
  });

  it('hears of changed roots from the client whose session it is, and from no other', async () => {
    const upstream = await server();
    const running = await startGateway({
      servers: [upstream.entry('s', { session: 'per-client' as const })],
    });
    const [one, other] = [await connect(running.url), await connect(running.url)];
    const own = await one.tool('s__whose');
    await other.tool('s__whose');
    await one.say({ method: 'notifications/roots/list_changed' });
    const [told] = await until(() => {
      const found = upstream.received('notifications/roots/list_changed');
      return found.length > 0 && found;
    });
    expect(told?.headers['mcp-session-id']).toBe(own);
    expect(upstream.received('notifications/roots/list_changed')).toHaveLength(1);
  });

  it('shows each client its own lists', async () => {
    let asked = 0;
    const upstream = await createUpstream({
      sessions: true,
      onRequest(request) {
        if (request.message.method !== 'tools/list') return false;
        request.result({ tools: [tool(`tool-${++asked}`)] });
        return true;
      },
    });
    const running = await startGateway({
      servers: [upstream.entry('s', { session: 'per-client' as const })],
    });
    const names = async (who: string): Promise<unknown> => {
      const { result } = await answerTo(
        running.url,
        'tools/list',
        {},
        { clientInfo: { name: who, version: '1' } },
      );
      expect(result?.['cacheScope']).toBe('private');
      return (result?.['tools'] as { name: string }[]).map(({ name }) => name);
    };
    expect(await names('one')).toEqual(['s__tool-2']);
    expect(await names('two')).toEqual(['s__tool-3']);
    expect(await names('one')).toEqual(['s__tool-2']);
  });
});

describe('4: whose a message is', () => {
  it('belongs to the call on whose stream it came, also of clients that call at once', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      answer: 'sse',
      async onCall(asked) {
        const { result } = await asked.ask('elicitation/create', {
          message: `for ${String(asked.args['who'])}`,
          requestedSchema: { type: 'object', properties: {} },
        });
        asked.text(JSON.stringify(result));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const modern = async (who: string): Promise<void> => {
      const parked = needs(await call(running.server('s'), 'ask', { who }, { capabilities: EVERYTHING }));
      const { key, params } = only(parked);
      expect(params['message']).toBe(`for ${who}`);
      const inputResponses = { [key]: { action: 'accept', content: { who } } };
      const more = { requestState: parked.requestState, inputResponses };
      const answer = await call(running.server('s'), 'ask', { who }, { capabilities: EVERYTHING, more });
      expect(textOf(answer)).toContain(`"who":"${who}"`);
    };
    const legacy = async (who: string): Promise<void> => {
      const client = await connect(running.server('s'));
      const stream = await client.stream('ask', { who });
      const [question] = await heard(stream, 'elicitation/create');
      expect(question?.params?.['message']).toBe(`for ${who}`);
      await client.say({ id: question?.id, result: { action: 'accept', content: { who } } });
      expect(textOf(await final(stream))).toContain(`"who":"${who}"`);
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? modern(`m${i}`) : legacy(`l${i}`))));
  });

  it('goes on a shared channel to the sole caller, and to nobody while another client called lately', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      sessions: true,
      getStream: true,
      async onCall(asked) {
        const id = `own-${String(asked.message.id)}`;
        asked.upstream.announce({
          id,
          method: 'elicitation/create',
          params: { message: 'm', requestedSchema: { type: 'object', properties: {} } },
        });
        const found = await until(
          () => asked.upstream.requests.find(({ message }) => message.id === id)?.message,
        );
        asked.text(JSON.stringify(found.error?.code ?? found.result));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    await until(() => upstream.streams.size === 1);
    const who = { capabilities: EVERYTHING, clientInfo: { name: 'one', version: '1' } };
    const first = needs(await call(running.server('s'), 'ask', {}, who));
    const [key] = Object.keys(first.inputRequests) as [string];
    const more = { requestState: first.requestState, inputResponses: { [key]: { action: 'decline' } } };
    expect(textOf(await call(running.server('s'), 'ask', {}, { ...who, more }))).toBe('{"action":"decline"}');
    // Equal in principal and clientInfo: the same client.
    const again = needs(await call(running.server('s'), 'ask', {}, who));
    expect(Object.keys(again.inputRequests)).toHaveLength(1);
    // Another one: it may have been meant for the one before.
    const other = { ...who, clientInfo: { name: 'other', version: '1' } };
    expect(textOf(await call(running.server('s'), 'ask', {}, other))).toBe('-32603');
    expect((await openSession(running.url))['mcp-session-id']).toBeDefined();
  });

  it('reaches a modern client as a log message only where it named a level, and raises that of a legacy upstream', async () => {
    const upstream = await createUpstream({
      tools: [tool('logs')],
      capabilities: { tools: {}, logging: {} },
      answer: 'sse',
      onRequest(asked) {
        if (asked.message.method !== 'logging/setLevel') return false;
        asked.result({});
        return true;
      },
      onCall(asked) {
        asked.log('quiet', 'debug');
        asked.log('loud', 'error');
        asked.text('done');
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const logs = async (logLevel?: string): Promise<unknown[]> => {
      const { stream } = await import('../../helpers/modern.js');
      const told = await stream(
        running.server('s'),
        'tools/call',
        { name: 'logs' },
        logLevel === undefined ? {} : { logLevel },
      );
      await told.done();
      const texts = told.events.map(
        ({ data }) => JSON.parse(data) as { method?: string; params?: { data: string } },
      );
      return texts
        .filter(({ method }) => method === 'notifications/message')
        .map(({ params }) => params?.data);
    };
    expect(await logs()).toEqual([]);
    expect(await logs('warning')).toEqual(['loud']);
    expect(await logs('debug')).toEqual(['quiet', 'loud']);
    await until(() => upstream.received('logging/setLevel').length >= 2);
    expect(upstream.received('logging/setLevel').map(({ message }) => message.params?.['level'])).toEqual([
      'warning',
      'debug',
    ]);
  });
});
