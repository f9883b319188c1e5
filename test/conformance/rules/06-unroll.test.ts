import { beforeAll, describe, expect, it } from 'vitest';
import { tool, type Call, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { openSession, post, textOf, type JsonRpc, type SseStream, beat } from '../../helpers/http.js';
import {
  ALL_CAPABILITIES,
  connect,
  final,
  heard,
  messagesOf,
  type LegacyClient,
} from '../../helpers/legacy.js';
import { createModernUpstream } from '../../helpers/modern.js';
import { timer, until } from '../../helpers/wait.js';

const META = 'io.modelcontextprotocol/';
const form = (message: string): object => ({
  method: 'elicitation/create',
  params: { message, requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } },
});
const sampling = {
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }], maxTokens: 5 },
};
const roots = { method: 'roots/list' };

const input = (asked: Call, inputRequests: object | undefined, requestState?: string): void => {
  asked.result({
    resultType: 'input_required',
    ...(inputRequests ? { inputRequests } : {}),
    ...(requestState === undefined ? {} : { requestState }),
  });
};
const done = (asked: Call, text: string): void => {
  asked.text(text, { resultType: 'complete' });
};
const responsesOf = (asked: Call): Record<string, object> | undefined =>
  asked.params['inputResponses'] as Record<string, object> | undefined;

/** Of the rounds of `idle`: which came before a timer of the pace had rung that began at the round before. */
const early: boolean[] = [];
let least = timer(0);

const behaviours: Record<string, (asked: Call) => void> = {
  rounds(asked) {
    const state = asked.params['requestState'];
    if (state === undefined) input(asked, { a: form('First?') }, 'one "quoted" \\ state');
    else if (state === 'one "quoted" \\ state') input(asked, { b: form('Second?'), c: roots }, 'two');
    else done(asked, JSON.stringify(responsesOf(asked)));
  },
  idle(asked) {
    const round = Number(asked.params['requestState'] ?? 0);
    early.push(round > 0 && !least.rung);
    least = timer([220, 470, 970][round] ?? 0);
    if (round < 3) input(asked, undefined, String(round + 1));
    else done(asked, String(responsesOf(asked) === undefined));
  },
  sample(asked) {
    if (responsesOf(asked)) done(asked, JSON.stringify(responsesOf(asked)));
    else input(asked, { s: sampling });
  },
  elicit(asked) {
    if (responsesOf(asked)) done(asked, JSON.stringify(responsesOf(asked)));
    else input(asked, { e: form('Name?') });
  },
  endless(asked) {
    input(asked, { e: form('Again?') });
  },
  odd(asked) {
    asked.result({ resultType: 'input_required', inputRequests: [] });
  },
};

let upstream: Upstream;
let running: RunningGateway;

beforeAll(async () => {
  upstream = await createModernUpstream({
    tools: Object.keys(behaviours).map((name) => tool(name)),
    onCall: (asked) => behaviours[asked.params.name ?? '']?.(asked),
  });
  running = await startGateway({ servers: [upstream.entry('s', { timeouts: { input_ms: 20_000 } })] });
});

/** Answers the next question on the stream of a call. */
async function answer(
  client: LegacyClient,
  stream: SseStream,
  reply: object,
  method = 'elicitation/create',
): Promise<JsonRpc> {
  const question = await until(
    () =>
      messagesOf(stream).findLast(
        (each) => each.method === method && each.id !== undefined && !answered.has(each),
      ),
    method,
  );
  const seen = messagesOf(stream).filter((each) => each.method === method).length;
  const key = `${method} ${seen}`;
  answered.add(question);
  void key;
  await client.say({ id: question.id, ...reply });
  return question;
}
const answered = new WeakSet<JsonRpc>();
const accepted = (name: string): object => ({ result: { action: 'accept', content: { name } } });

describe('6: a call that is unrolled', () => {
  it('asks each question on its own stream, and retries with the answers and the state, round for round', async () => {
    const client = await connect(running.server('s'));
    const stream = await client.stream(
      'rounds',
      { big: 1 },
      { id: 'call', meta: { progressToken: 'p', k: 1.5 } },
    );
    const first = await answer(client, stream, accepted('a'));
    expect(first.params?.['message']).toBe('First?');
    await heard(stream, 'elicitation/create', 2);
    const second = messagesOf(stream).filter((each) => each.method === 'elicitation/create')[1] as JsonRpc;
    expect(second.params?.['message']).toBe('Second?');
    await client.say({ id: second.id, ...accepted('b') });
    await answer(client, stream, { result: { roots: [{ uri: 'file:///x' }] } }, 'roots/list');
    const result = await final(stream);
    expect(result).toMatchObject({ id: 'call' });
    expect(result.result).not.toHaveProperty('resultType');
    expect(JSON.parse(textOf(result))).toEqual({
      b: { action: 'accept', content: { name: 'b' } },
      c: { roots: [{ uri: 'file:///x' }] },
    });

    const sent = upstream.calls('rounds').map(({ message, text }) => ({ message, text }));
    expect(sent).toHaveLength(3);
    expect(sent[1]?.message.params).toMatchObject({
      requestState: 'one "quoted" \\ state',
      inputResponses: { a: { action: 'accept', content: { name: 'a' } } },
      arguments: { big: 1 },
    });
    // Each under an id and a progress token of its own.
    expect(new Set(sent.map(({ message }) => message.id)).size).toBe(3);
    expect(new Set(sent.map(({ message }) => message.params?._meta?.progressToken)).size).toBe(3);
    for (const { message } of sent) {
      expect(message.params?._meta).toMatchObject({
        [`${META}protocolVersion`]: '2026-07-28',
        [`${META}clientInfo`]: { name: 'test', version: '0' },
        k: 1.5,
      });
    }
  });

  it('sends the original params byte for byte in every round', async () => {
    const session = await openSession(running.server('s'));
    const args = '{"n":12345678901234567890.10, "u":"\\u00e9" ,"deep":{"x":[1e2]}}';
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"idle","arguments":${args}}}`;
    const before = upstream.calls('idle').length;
    const result = await post(running.server('s'), body, session);
    expect(result.text).toContain('true');
    const sent = upstream.calls('idle').slice(before);
    expect(sent).toHaveLength(4);
    for (const { text } of sent) expect(text).toContain(`"arguments":${args}`);
  });

  it('tells the upstream what the client can do, in the words of its era', async () => {
    const told = async (capabilities: object, protocolVersion: string): Promise<unknown> => {
      const client = await connect(running.server('s'), { capabilities, protocolVersion });
      const before = upstream.calls('idle').length;
      await client.request('tools/call', { name: 'idle', arguments: {} });
      return upstream.calls('idle')[before]?.message.params?._meta?.[`${META}clientCapabilities`];
    };
    const declared = { ...ALL_CAPABILITIES, tasks: { list: {} }, experimental: { x: {} } };
    expect(await told(declared, '2025-11-25')).toMatchObject({
      elicitation: { form: {}, url: {} },
      sampling: { tools: {}, context: {} },
      roots: {},
      experimental: { x: {} },
    });
    const older = await told(declared, '2025-06-18');
    expect(older).toMatchObject({ elicitation: {}, sampling: {}, roots: {} });
    expect(JSON.stringify(older)).not.toMatch(/url|tools|listChanged|"list"/);
    expect(await told({}, '2025-11-25')).not.toHaveProperty('elicitation');
  });

  it('sends up a cancel where a client answers a form with an error', async () => {
    const client = await connect(running.server('s'));
    const stream = await client.stream('elicit');
    await answer(client, stream, { error: { code: -1, message: 'no' } });
    expect(JSON.parse(textOf(await final(stream)))).toEqual({ e: { action: 'cancel' } });
  });

  it('ends the call where a client answers sampling with an error, and nothing goes up', async () => {
    const client = await connect(running.server('s'));
    const before = upstream.calls('sample').length;
    const stream = await client.stream('sample');
    const own = { code: -7, message: 'not today', data: { d: 1 } };
    await answer(client, stream, { error: own }, 'sampling/createMessage');
    expect((await final(stream)).error).toMatchObject({ code: -32603, data: own });
    expect(upstream.calls('sample')).toHaveLength(before + 1);
  });

  it('fails with a clear error where a server asks for what its client never declared', async () => {
    const client = await connect(running.server('s'), { capabilities: {} });
    const result = await final(await client.stream('elicit'));
    expect(result.error?.code).toBe(-32603);
    expect(result.error?.message).toContain('elicitation/create');
  });

  it('paces rounds that ask nothing', async () => {
    const client = await connect(running.server('s'));
    early.length = 0;
    await client.request('tools/call', { name: 'idle', arguments: {} });
    expect(early).toEqual([false, false, false, false]);
  });

  it('ends with the client: its question is taken back, and nothing goes up', async () => {
    const client = await connect(running.server('s'));
    const before = upstream.calls('elicit').length;
    const stream = await client.stream('elicit', {}, { id: 55 });
    await heard(stream, 'elicitation/create');
    await client.say({ method: 'notifications/cancelled', params: { requestId: 55 } });
    await heard(stream, 'notifications/cancelled');
    await stream.done();
    await beat(running.base);
    expect(upstream.calls('elicit')).toHaveLength(before + 1);
  });

  it('is bounded, and fails clearly where what is needed makes no sense', async () => {
    const client = await connect(running.server('s'));
    const odd = await final(await client.stream('odd'));
    expect(odd.error?.message).toMatch(/upstream 's' needs input with inputRequests that is not an object/);
    const stream = await client.stream('endless');
    for (let round = 1; ; round++) {
      const question = await until(
        () =>
          stream.ended ||
          messagesOf(stream).filter(({ method }) => method === 'elicitation/create')[round - 1],
        `round ${round}`,
      );
      if (typeof question !== 'object') break;
      await client.say({ id: question.id, ...accepted('a') });
    }
    expect((await final(stream)).error?.message).toContain('keeps asking for input');
  });
});
