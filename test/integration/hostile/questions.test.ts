import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { connect, final, heard, messagesOf } from '../../helpers/legacy.js';
import { call, createModernUpstream, EVERYTHING } from '../../helpers/modern.js';
import { callTool, textOf } from '../../helpers/http.js';
import { until } from '../../helpers/wait.js';

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

/** Sends a question as written on the stream of its call, then answers with what became of it. */
async function asks(asked: Call, method: string, params: string): Promise<void> {
  const id = `q${++asked.upstream.asked}`;
  asked.event(`{"jsonrpc":"2.0","id":"${id}","method":"${method}","params":${params}}`);
  const answer = await until(
    () => asked.upstream.requests.find((r) => r.message.id === id && r.message.method === undefined),
    'an answer to the question',
  );
  asked.text(answer.text);
}

/** Questions that nobody may be asked: two readers could read them differently, or they cannot be read. */
const DOUBTFUL: Record<string, [method: string, params: string]> = {
  message_twice: ['elicitation/create', '{"message":"a","requestedSchema":{},"message":"b"}'],
  message_folded: ['elicitation/create', '{"message":"a","requestedSchema":{},"Message":"b"}'],
  message_long_s: ['elicitation/create', '{"message":"a","requestedSchema":{},"me\u017fsage":"b"}'],
  message_escaped: ['elicitation/create', '{"message":"a","requestedSchema":{},"m\\u0065ssage":"b"}'],
  mode_twice: ['elicitation/create', '{"mode":"form","message":"a","mode":"url","url":"http://evil"}'],
  context_twice: [
    'sampling/createMessage',
    '{"messages":[],"maxTokens":1,"includeContext":"none","includeContext":"allServers"}',
  ],
  deep: ['elicitation/create', `{"message":"a","requestedSchema":{"properties":{"a":${deep(200)}}}}`],
};

/** Questions with holes in them, and as they come: the client is asked. */
const HOLES: Record<string, [method: string, params: string]> = {
  null_property: ['elicitation/create', '{"message":"m","requestedSchema":{"properties":{"a":null}}}'],
  null_choice: [
    'elicitation/create',
    '{"message":"m","requestedSchema":{"properties":{"a":{"type":"string","oneOf":[null]}}}}',
  ],
  null_schema: ['elicitation/create', '{"message":"m","requestedSchema":null}'],
  null_mode: ['elicitation/create', '{"message":"m","mode":null,"requestedSchema":{}}'],
};

describe('questions of a server that is up to no good', () => {
  let upstream: Upstream;
  let running: RunningGateway;

  beforeAll(async () => {
    const all = { ...DOUBTFUL, ...HOLES };
    upstream = await createUpstream({
      tools: [...Object.keys(all).map((name) => tool(name)), tool('echo'), tool('url')],
      onCall: async (asked) => {
        const question: [string, string] | undefined = all[asked.params.name ?? ''];
        if (question) await asks(asked, ...question);
        else if (asked.params.name === 'url') asked.error(-32042, 'open', null);
        else asked.text('alive');
      },
    });
    running = await startGateway({ servers: [upstream.entry('bank')] });
  });

  const stillThere = async (): Promise<void> => {
    expect(textOf(await callTool(running.url, 'bank__echo'))).toBe('alive');
    expect(await running.metrics()).not.toMatch(/^mcpstead_internal_errors_total\{.*\} [1-9]/m);
  };

  it.each(Object.keys(DOUBTFUL))('%s: no client is asked', async (name) => {
    const client = await connect(running.url);
    const stream = await client.stream(`bank__${name}`);
    const answer = await final(stream);
    expect(messagesOf(stream).filter((each) => each.method !== undefined)).toEqual([]);
    expect(JSON.parse(textOf(answer))).toMatchObject({ error: { code: -32602 } });
    // Nor a modern one.
    const modern = await call(running.url, `bank__${name}`, {}, { capabilities: EVERYTHING });
    expect(JSON.parse(textOf(modern))).toMatchObject({ error: { code: -32602 } });
    await stillThere();
  });

  it.each(Object.keys(HOLES))('%s: asked, in every revision', async (name) => {
    for (const protocolVersion of ['2025-06-18', '2025-11-25']) {
      const client = await connect(running.url, { protocolVersion });
      const stream = await client.stream(`bank__${name}`);
      const [question] = await heard(stream, 'elicitation/create');
      expect(question?.params?.['message']).toBe('[bank] m');
      await client.say({ id: question?.id, result: { action: 'decline' } });
      expect(JSON.parse(textOf(await final(stream)))).toMatchObject({ result: { action: 'decline' } });
    }
    await stillThere();
  });

  it('an error that asks to open URLs and names none is handed on', async () => {
    const client = await connect(running.url);
    expect((await client.request('tools/call', { name: 'bank__url' })).error).toMatchObject({ code: -32042 });
    const modern = await call(running.url, 'bank__url', {}, { capabilities: EVERYTHING });
    expect(modern.error).toBeDefined();
    await stillThere();
  });
});

describe('input requests of a modern server', () => {
  const required = (requests: string): string =>
    `{"resultType":"input_required","inputRequests":${requests},"requestState":"s"}`;
  const RESULTS: Record<string, string> = {
    null_params: required('{"a":{"method":"roots/list","params":null}}'),
    text_params: required('{"a":{"method":"elicitation/create","params":"x"}}'),
    message_twice: required(
      '{"a":{"method":"elicitation/create","params":{"message":"a","requestedSchema":{},"message":"b"}}}',
    ),
    two_of_a_key: required('{"a":{"method":"roots/list"},"a":{"method":"elicitation/create"}}'),
    method_twice: required('{"a":{"method":"roots/list","method":"elicitation/create"}}'),
    null_request: required('{"a":null}'),
    null_requests: '{"resultType":"input_required","inputRequests":null}',
  };

  it('are refused where two readers could read them differently, for clients of both eras', async () => {
    const upstream = await createModernUpstream({
      tools: [...Object.keys(RESULTS).map((name) => tool(name)), tool('echo')],
      onRequest: (asked) => {
        const result = RESULTS[asked.params.name ?? ''];
        if (asked.message.method !== 'tools/call' || result === undefined) return undefined;
        if (asked.params['inputResponses']) asked.result({ resultType: 'complete', content: [] });
        else asked.result(result);
        return true;
      },
    });
    const running = await startGateway({ servers: [upstream.entry('bank')] });
    const client = await connect(running.url);
    for (const name of Object.keys(RESULTS)) {
      const modern = await call(running.url, `bank__${name}`, {}, { capabilities: EVERYTHING });
      const stream = await client.stream(`bank__${name}`);
      if (name === 'null_params') {
        // Null is as good as absent.
        expect(modern.result?.['resultType']).toBe('input_required');
        const [question] = await heard(stream, 'roots/list');
        await client.say({ id: question?.id, result: { roots: [] } });
        expect((await final(stream)).result).toBeDefined();
      } else {
        expect([name, modern.error?.code]).toEqual([name, -32603]);
        expect((await final(stream)).error).toBeDefined();
        expect(messagesOf(stream).filter((each) => each.method !== undefined)).toEqual([]);
      }
    }
    expect(await running.metrics()).not.toMatch(/^mcpstead_internal_errors_total\{.*\} [1-9]/m);
  });
});
