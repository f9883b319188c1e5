import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { callBody, callTool, openSse, post, rawPost, SSE_ONLY, tcp, textOf } from '../../helpers/http.js';
import { connect, final, heard, messagesOf } from '../../helpers/legacy.js';
import { ask, call, EVERYTHING, needs, only } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';

const NO_FAULTS = /^mcpstead_internal_errors_total\{.*\} [1-9]/m;
const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

describe('answers that nobody waits for any more', () => {
  it('the second of two in one piece is not written to a stream that has ended', async () => {
    const upstream = await createUpstream({
      tools: [tool('twice'), tool('echo')],
      onCall: (asked) => {
        if (asked.params.name === 'echo') return asked.text('alive');
        const log = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}';
        const answer = asked.envelope('result', '{"content":[]}');
        asked.write([log, answer, answer, log].map((each) => `data: ${each}\n\n`).join(''));
        asked.end();
        return undefined;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('one')] });
    for (const headers of [{}, SSE_ONLY]) {
      const stream = await openSse(running.url, callBody('one__twice'), headers);
      await stream.done();
      expect(messagesOf(stream).filter(({ result }) => result)).toHaveLength(1);
    }
    expect(textOf(await callTool(running.url, 'one__echo'))).toBe('alive');
    expect(await running.metrics()).not.toMatch(NO_FAULTS);
  });
});

describe('a call that is parked', () => {
  it.each([
    ['data 130 deep', `{"code":-32000,"message":"no","data":${deep(130)}}`],
    ['data 5,000 deep, in the codes of the other era', `{"code":-32050,"message":"no","data":${deep(5000)}}`],
    ['no object', '"no"'],
  ])('and ends with an error of %s: its client gets an error', async (_, error) => {
    const upstream = await createUpstream({
      tools: [tool('park'), tool('echo')],
      onCall: async (asked) => {
        if (asked.params.name === 'echo') return asked.text('alive');
        await asked.ask('elicitation/create', { message: 'm', requestedSchema: {} });
        asked.event(asked.envelope('error', error));
        asked.end();
        return undefined;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('one')] });
    const first = await call(running.url, 'one__park', {}, { capabilities: EVERYTHING });
    const state = needs(first);
    const more = {
      requestState: state.requestState,
      inputResponses: { [only(state).key]: { action: 'accept', content: {} } },
    };
    const answer = await call(running.url, 'one__park', {}, { capabilities: EVERYTHING, more });
    expect(answer.error).toBeDefined();
    expect(textOf(await callTool(running.url, 'one__echo'))).toBe('alive');
    expect(await running.metrics()).not.toMatch(NO_FAULTS);
  });

  it('gives its place to another client when its own has most of them', async () => {
    const upstream = await createUpstream({
      tools: [tool('park')],
      onCall: async (asked) => {
        await asked.ask('elicitation/create', { message: 'm', requestedSchema: {} });
        asked.text('done');
      },
    });
    const limits = { parked: 3 };
    const running = await startGateway({ servers: [upstream.entry('one')], limits });
    const of = (name: string) => ({ capabilities: EVERYTHING, clientInfo: { name, version: '1' } });
    const greedy: object[] = [];
    for (let i = 0; i < 3; i++) greedy.push(needs(await call(running.url, 'one__park', {}, of('greedy'))));
    // While it would have as many as the greedy one, nobody gives way.
    expect((await call(running.url, 'one__park', {}, of('greedy'))).result).toMatchObject({
      content: [{ text: 'done' }],
    });
    needs(await call(running.url, 'one__park', {}, of('modest')));
    expect(await running.metric('mcpstead_parked_calls')).toBe(3);
    const retry = async (at: number) => {
      const state = needs({ result: greedy[at] as Record<string, unknown> });
      const more = {
        requestState: state.requestState,
        inputResponses: { [only(state).key]: { action: 'accept', content: {} } },
      };
      return call(running.url, 'one__park', {}, { ...of('greedy'), more });
    };
    // The oldest one went.
    expect((await retry(0)).error?.message).toContain('ended');
    expect((await retry(2)).result).toBeDefined();
  });
});

describe('questions to a client that does not read', () => {
  it('are refused once a megabyte waits', async () => {
    const refused: unknown[] = [];
    const held: Call[] = [];
    const upstream = await createUpstream({ tools: [tool('flood')], onCall: (asked) => held.push(asked) });
    const running = await startGateway({ servers: [upstream.entry('one')] });
    const client = await connect(running.url);
    const connection = await tcp(running.url);
    connection.write(rawPost(running.url, callBody('one__flood'), client.headers));
    await until(() => held.length === 1);
    const [asked] = held as [Call];
    connection.socket.pause();
    const text = 'x'.repeat(500_000);
    const messages = [{ role: 'user', content: { type: 'text', text } }];
    for (let i = 0; i < 60 && refused.length === 0; i++) {
      asked.event(
        JSON.stringify({
          jsonrpc: '2.0',
          id: `q${i}`,
          method: 'sampling/createMessage',
          params: { messages, maxTokens: 1 },
        }),
      );
      await until(
        () =>
          running.gateway.health().status === 'ok' &&
          (upstream.requests.some((r) => r.message.id === `q${i}`) || i < 60),
      );
      for (const { message } of upstream.requests)
        if (message.error && !refused.includes(message.id)) refused.push(message.id, message.error.message);
    }
    await until(() => upstream.requests.some((r) => r.message.error?.message.includes('does not read')));
    connection.destroy();
  });
});

describe('log levels', () => {
  it('unreadable messages are dropped, whatever the level', async () => {
    const upstream = await createUpstream({
      tools: [tool('log')],
      capabilities: { tools: {}, logging: {} },
      onRequest: (asked) => {
        if (asked.message.method !== 'logging/setLevel') return false;
        asked.result({});
        return true;
      },
      onCall: (asked) => {
        asked.event(
          `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":${deep(126)}}}`,
        );
        asked.event('{"jsonrpc":"2.0","method":"notifications/message","params":null}');
        asked.event(
          '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"last"}}',
        );
        asked.text('alive');
      },
    });
    const running = await startGateway({ servers: [upstream.entry('one')] });
    const client = await connect(running.url);
    await client.request('logging/setLevel', { level: 'warning' });
    const stream = await client.stream('one__log');
    await heard(stream, 'notifications/message');
    expect(textOf(await final(stream))).toBe('alive');
    expect(await running.metrics()).not.toMatch(NO_FAULTS);
  });
});

describe('templates of several servers', () => {
  const templates = (...listed: string[]) =>
    createUpstream({
      capabilities: { resources: {} },
      onRequest: (asked) => {
        const { method } = asked.message;
        if (method === 'resources/list') asked.result({ resources: [] });
        else if (method === 'resources/templates/list')
          asked.result({
            resourceTemplates: listed.map((uriTemplate) => ({ uriTemplate, name: uriTemplate })),
          });
        else if (method === 'resources/read')
          asked.result({ contents: [{ uri: asked.params['uri'], text: listed.join() }] });
        else return false;
        return true;
      },
    });

  it('the most specific one is read, and a tie is an error that names both', async () => {
    const greedy = await templates('{+any}', 'tie://{a}/x');
    const exact = await templates('db://tables/{name}', 'tie://{b}/x');
    const running = await startGateway({ servers: [greedy.entry('a'), exact.entry('z')] });
    const client = await connect(running.url);
    const read = (uri: string) => client.request('resources/read', { uri });
    const textIn = async (uri: string) =>
      ((await read(uri)).result?.['contents'] as { text: string }[] | undefined)?.[0]?.text;
    expect(await textIn('db://tables/users')).toContain('db://tables');
    expect(await textIn('other://x')).toContain('{+any}');
    const tie = await read('tie://1/x');
    expect(tie.error?.code).toBe(-32602);
    expect(tie.error?.message).toContain('mcpstead:a:tie://1/x');
    expect(tie.error?.message).toContain('mcpstead:z:tie://1/x');
    expect(await textIn('mcpstead:z:tie://1/x')).toContain('db://tables');
    // A view of one server has nobody else's.
    const alone = await connect(running.server('z'));
    expect((await alone.request('resources/read', { uri: 'tie://1/x' })).result).toBeDefined();
    expect((await ask(running.url, 'resources/read', { uri: 'tie://1/x' })).text).toContain(
      'mcpstead:z:tie://1/x',
    );
    await post(running.url, '{}');
  });
});
