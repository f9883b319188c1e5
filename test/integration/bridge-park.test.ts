import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { textOf, type JsonRpc } from '../helpers/http.js';
import {
  call,
  createModernUpstream,
  EVERYTHING,
  needs,
  only,
  stream,
  type Modern,
} from '../helpers/modern.js';
import { settled, until } from '../helpers/wait.js';

const SCHEMA = { type: 'object', properties: { name: { type: 'string' } } };
const form = (message: string): object => ({ message, requestedSchema: SCHEMA });
const accepted = { action: 'accept', content: { name: 'a' } };
const able: Modern = { capabilities: EVERYTHING };
const urlError = {
  elicitations: [{ mode: 'url', elicitationId: 'e1', url: 'https://x.test/', message: 'go' }],
};

/** What the upstream was told of its question, if anything. */
const repliesTo = (upstream: Upstream, id: string) =>
  upstream.requests.filter(({ message }) => message.id === id && message.method === undefined);

/** Asks what nobody will answer, and waits until the call is parked. */
async function parks(asked: Call, question: string): Promise<void> {
  const parked = (): Promise<number> => running.metric('mcpstead_parked_calls');
  const before = await parked();
  void asked.ask('elicitation/create', form(question)).catch(() => undefined);
  await until(async () => (await parked()) > before, 'the call to be parked');
}

/** What its server says to a parked call has gone as far as it goes. A retry that comes sooner gets the same. */
const come = (): Promise<unknown> =>
  settled(() => [...upstream.sockets, ...last.sockets].reduce((sum, s) => sum + s.bytesWritten, 0));

const behaviours: Record<string, (asked: Call) => unknown> = {
  async large(asked) {
    await parks(asked, 'Never mind?');
    await asked.big(400_000);
  },
  async moves_on(asked) {
    await parks(asked, 'Never mind?');
    asked.text('went on');
  },
  async urls(asked) {
    await parks(asked, 'Never mind?');
    asked.error(-32042, 'open this', urlError);
  },
  async twice(asked) {
    await asked.ask('elicitation/create', form('First?'));
    const second = await asked.ask('sampling/createMessage', { messages: [], maxTokens: 5 });
    asked.text(String(second.error?.code ?? 'asked'));
  },
  async withdraws(asked) {
    await parks(asked, 'Too slow?');
    asked.notify('notifications/cancelled', { requestId: `ask-${asked.upstream.asked}` });
    asked.text('went on');
  },
};

const legacyUpstream = (more: object = {}): Promise<Upstream> =>
  createUpstream({
    tools: Object.keys(behaviours).map((name) => tool(name)),
    answer: 'sse',
    async onCall(asked) {
      await Promise.resolve(behaviours[asked.params.name ?? '']?.(asked)).catch(() => undefined);
    },
    ...more,
  });

let upstream: Upstream;
let last: Upstream;
let running: RunningGateway;

beforeAll(async () => {
  upstream = await legacyUpstream();
  last = await legacyUpstream({ idOrder: 'last' });
  running = await startGateway({
    servers: [
      upstream.entry('s', { timeouts: { request_ms: 2000 } }),
      last.entry('last', { timeouts: { request_ms: 2000 } }),
    ],
  });
});

const retry = (
  url: string,
  name: string,
  requestState: string,
  inputResponses: object,
  options: Modern = {},
): Promise<JsonRpc> => call(url, name, {}, { ...able, ...options, more: { requestState, inputResponses } });

describe('a parked call', () => {
  it('gives an answer that came meanwhile, and did not fit, the id of the retry: also where the id stands last', async () => {
    const url = running.server('last');
    // The order of a connection is known from its first answer on.
    needs(await call(url, 'moves_on', {}, able));
    const { requestState } = needs(await call(url, 'moves_on', {}, able));
    await come();
    await retry(url, 'moves_on', requestState, {});
    const large = needs(await call(url, 'large', {}, able));
    await come();
    const answer = await retry(url, 'large', large.requestState, {}, { id: 'the-second' });
    expect(answer.id).toBe('the-second');
    expect(textOf(answer)).toHaveLength(400_000);
  });

  it('refuses what is still open once the upstream has answered without it', async () => {
    const url = running.server('s');
    const { requestState } = needs(await call(url, 'moves_on', {}, able));
    const id = `ask-${upstream.asked}`;
    await until(() => repliesTo(upstream, id).length > 0, 'a refusal');
    expect(repliesTo(upstream, id)[0]?.message.error).toBeDefined();
    expect(textOf(await retry(url, 'moves_on', requestState, {}))).toBe('went on');
  });

  it('says nothing to a question that the upstream took back', async () => {
    const url = running.server('s');
    const { requestState } = needs(await call(url, 'withdraws', {}, able));
    const id = `ask-${upstream.asked}`;
    await come();
    expect(textOf(await retry(url, 'withdraws', requestState, {}))).toBe('went on');
    expect(repliesTo(upstream, id)).toEqual([]);
  });

  it('asks to open a URL also where the error that wants it came meanwhile', async () => {
    const url = running.server('s');
    const { requestState } = needs(await call(url, 'urls', {}, able));
    await come();
    const needed = only(needs(await retry(url, 'urls', requestState, {})));
    expect(needed).toMatchObject({
      method: 'elicitation/create',
      params: { mode: 'url', url: 'https://x.test/' },
    });
  });

  it('asks what the latest request can be asked', async () => {
    const url = running.server('s');
    const needed = needs(await call(url, 'twice', {}, able));
    const answers = { [only(needed).key]: accepted };
    const fewer = { capabilities: { elicitation: {} } };
    expect(textOf(await retry(url, 'twice', needed.requestState, answers, fewer))).toBe('-32603');
    const first = needs(await call(url, 'twice', {}, { capabilities: { elicitation: {} } }));
    const more = await retry(url, 'twice', first.requestState, { [only(first).key]: accepted });
    expect(only(needs(more)).method).toBe('sampling/createMessage');
  });

  it('goes on where a reload has put a server of the other era in the place of its own', async () => {
    const modern = await createModernUpstream({ tools: [tool('moves_on')] });
    const gateway = await startGateway({ servers: [upstream.entry('s')] });
    const url = gateway.server('s');
    const { requestState } = needs(await call(url, 'twice', {}, able));
    await gateway.gateway.reload({ host: '127.0.0.1', port: 0, servers: [{ name: 's', url: modern.url }] });
    await until(async () => (await gateway.health()).servers[0]?.connected, 'the new server');
    await until(async () => JSON.stringify(await gateway.health()).includes('"era":"modern"'), 'modern');
    const again = needs(await retry(url, 'twice', requestState, { q1: accepted }));
    expect(only(again).method).toBe('sampling/createMessage');
    expect(modern.calls('twice')).toEqual([]);
  });

  it('reads on from its upstream where the client before read slowly', async () => {
    const slow = await createUpstream({
      tools: [tool('floods')],
      getStream: true,
      answer: 'sse',
      sessions: true,
      async onCall(asked) {
        // More than the sockets on the way take while the client does not read.
        for (let i = 0; i < 400; i++) asked.log('x'.repeat(50_000), 'error');
        await settled(() => asked.res.writableLength);
        const id = `get-${++asked.upstream.asked}`;
        asked.upstream.announce({ id, method: 'elicitation/create', params: form('On the side?') });
        await until(() => repliesTo(asked.upstream, id).length > 0, 'an answer');
        asked.text('done');
      },
    });
    const gateway = await startGateway({ servers: [slow.entry('slow')] });
    await until(() => slow.streams.size > 0, 'the stream of the gateway');
    const url = gateway.server('slow');
    const first = await stream(
      url,
      'tools/call',
      { name: 'floods', arguments: {} },
      { ...able, logLevel: 'debug' },
    );
    first.pause();
    await until(() => slow.asked > 0, 'the question');
    await settled(() => gateway.metric('mcpstead_parked_calls'));
    first.resume();
    await first.done();
    const told = JSON.parse(first.events.at(-1)?.data ?? 'null') as JsonRpc;
    const needed = needs(told);
    const answer = await retry(url, 'floods', needed.requestState, { [only(needed).key]: accepted });
    expect(textOf(answer)).toBe('done');
  });
});
