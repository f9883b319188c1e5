import { beforeAll, describe, expect, it } from 'vitest';
import { createUpstream, tool, type Call, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { textOf, type JsonRpc } from '../../helpers/http.js';
import { answerTo, ask, call, EVERYTHING, needs, only, stream, type Modern } from '../../helpers/modern.js';
import { settled, until } from '../../helpers/wait.js';

const SCHEMA = { type: 'object', properties: { name: { type: 'string' } } };
const form = (message: string): object => ({ message, requestedSchema: SCHEMA });
const accepted = (name: string): object => ({ action: 'accept', content: { name } });
const able: Modern = { capabilities: EVERYTHING };

/** The texts of answers to several questions, in order. */
const joined = (answers: { result?: Record<string, unknown>; error?: { code: number } }[]): string =>
  JSON.stringify(answers.map(({ result, error }) => result ?? error?.code));

const count = (): Promise<number> => running.far.metric('mcpstead_parked_calls');
/** How many were parked when the call came. */
let before = 0;
/** Waits until the call that came last is parked. */
async function parked(): Promise<void> {
  await until(async () => (await count()) > before, 'the call to be parked');
}
/** Asks what nobody will answer, and waits until the call is parked. */
async function parks(asked: Call, question: string): Promise<void> {
  void asked.ask('elicitation/create', form(question)).catch(() => undefined);
  await parked();
}

/** What its server says to a parked call has gone as far as it goes. A retry that comes sooner gets the same. */
const come = (): Promise<unknown> =>
  settled(() => [...upstream.sockets].reduce((sum, s) => sum + s.bytesWritten, 0));

const behaviours: Record<string, (call: Call) => unknown> = {
  async once(asked) {
    asked.text(joined([await asked.ask('elicitation/create', form('Your name?'))]));
  },
  silent() {},
  async twice(asked) {
    const first = await asked.ask('elicitation/create', form('First?'));
    const second = await asked.ask('elicitation/create', form('Second?'));
    asked.text(joined([first, second]));
  },
  async together(asked) {
    const all = await Promise.all([
      asked.ask('elicitation/create', form('One?')),
      asked.ask('sampling/createMessage', { messages: [], maxTokens: 5, includeContext: 'allServers' }),
      asked.ask('roots/list', {}),
    ]);
    asked.text(joined(all));
  },
  async late(asked) {
    const first = asked.ask('elicitation/create', form('First?'));
    await parked();
    const second = asked.ask('elicitation/create', form('Later?'));
    asked.text(joined(await Promise.all([first, second])));
  },
  async impatient(asked) {
    await parks(asked, 'Too slow?');
    asked.notify('notifications/cancelled', { requestId: `ask-${asked.upstream.asked}` });
    asked.text('went on without');
  },
  async chatty(asked) {
    const answer = asked.ask('elicitation/create', form('Name?'));
    await parked();
    for (let i = 1; i <= 3; i++) asked.progress(i, 9);
    asked.log('kept', 'error');
    asked.log('too quiet', 'debug');
    await answer;
    asked.progress(8, 9);
    asked.text('done');
  },
  async answers_at_once(asked) {
    await parks(asked, 'Never mind?');
    asked.text('no need any more');
  },
  async large(asked) {
    await parks(asked, 'Never mind?');
    asked.text('x'.repeat(200_000));
  },
  async fails(asked) {
    await parks(asked, 'Never mind?');
    asked.error(-32099, 'broke', { why: 1.5 });
  },
  async marked(asked) {
    const answer = await asked.ask('elicitation/create', {
      ...form('Name?'),
      task: { ttl: 1 },
      elicitationId: 'e',
      'com.example/kept': 12.5,
      _meta: { progressToken: 9, 'io.modelcontextprotocol/related-task': { taskId: 't' }, kept: true },
    });
    asked.text(joined([answer]));
  },
};

let upstream: Upstream;
let running: RunningGateway;
let url: string;

beforeAll(async () => {
  upstream = await createUpstream({
    tools: [...Object.keys(behaviours), 'gone'].map((name) => tool(name)),
    answer: 'sse',
    async onCall(asked) {
      before = await count();
      // Who is never answered gives up in the end.
      await Promise.resolve(behaviours[asked.params.name ?? '']?.(asked)).catch(() => undefined);
    },
  });
  running = await startGateway({
    limits: { parked: 50, parked_seconds: 300 },
    servers: [upstream.entry('s'), upstream.entry('impatient', { timeouts: { request_ms: 400 } })],
  });
  url = running.server('s');
});

const retry = (
  tool: string,
  state: string,
  inputResponses: object | undefined,
  options: Modern & { args?: object } = {},
): Promise<JsonRpc> =>
  call(url, tool, options.args ?? {}, {
    ...able,
    ...options,
    more: { requestState: state, ...(inputResponses ? { inputResponses } : {}) },
  });

describe('5: a call that is parked', () => {
  it('says what is needed, and goes on with the answer', async () => {
    const { inputRequests, requestState } = needs(await call(url, 'once', {}, able));
    expect(Object.values(inputRequests)).toEqual([
      { method: 'elicitation/create', params: form('Your name?') },
    ]);
    const [key] = Object.keys(inputRequests) as [string];
    const answer = await retry('once', requestState, { [key]: accepted('Ada'), unknown: accepted('x') });
    expect(answer.result).toMatchObject({ resultType: 'complete' });
    expect(textOf(answer)).toBe(JSON.stringify([accepted('Ada')]));
    expect(upstream.calls('once')).toHaveLength(1);
  });

  it('takes as many rounds as are asked, each with a state of its own', async () => {
    const first = needs(await call(url, 'twice', {}, able));
    const [one] = Object.keys(first.inputRequests) as [string];
    const second = needs(await retry('twice', first.requestState, { [one]: accepted('a') }));
    expect(second.requestState).not.toBe(first.requestState);
    const [two] = Object.keys(second.inputRequests) as [string];
    expect(two).not.toBe(one);
    const answer = await retry('twice', second.requestState, { [two]: accepted('b') });
    expect(textOf(answer)).toBe(JSON.stringify([accepted('a'), accepted('b')]));
  });

  it('asks together what is asked together', async () => {
    const { inputRequests, requestState } = needs(await call(url, 'together', {}, able));
    const responses: Record<string, object> = {};
    for (const [key, { method }] of Object.entries(inputRequests))
      responses[key] =
        method === 'elicitation/create'
          ? accepted('a')
          : method === 'roots/list'
            ? { roots: [] }
            : { role: 'assistant', model: 'm', content: { type: 'text', text: 'b' } };
    expect(Object.values(inputRequests).map(({ method }) => method)).toEqual([
      'elicitation/create',
      'sampling/createMessage',
      'roots/list',
    ]);
    expect(JSON.parse(textOf(await retry('together', requestState, responses)))).toHaveLength(3);
  });

  it('delivers what came, and asks again for the rest, under a fresh state', async () => {
    const first = needs(await call(url, 'together', {}, able));
    const keys = Object.keys(first.inputRequests) as [string, string, string];
    const again = needs(await retry('together', first.requestState, { [keys[0]]: accepted('a') }));
    expect(Object.keys(again.inputRequests)).toEqual(keys.slice(1));
    const nothing = needs(await retry('together', again.requestState, undefined));
    expect(Object.keys(nothing.inputRequests)).toEqual(keys.slice(1));
    const sample = { role: 'assistant', model: 'm', content: { type: 'text', text: 'b' } };
    const answer = await retry('together', nothing.requestState, {
      [keys[1]]: sample,
      [keys[2]]: { roots: [] },
    });
    expect(JSON.parse(textOf(answer))).toEqual([accepted('a'), sample, { roots: [] }]);
  });

  it('leaves for the next round what is asked later', async () => {
    const first = needs(await call(url, 'late', {}, able));
    expect(Object.keys(first.inputRequests)).toHaveLength(1);
    await come();
    const [one] = Object.keys(first.inputRequests) as [string];
    const second = needs(await retry('late', first.requestState, { [one]: accepted('a') }));
    const [two] = Object.keys(second.inputRequests) as [string];
    expect(second.inputRequests[two]?.params).toEqual(form('Later?'));
    expect(textOf(await retry('late', second.requestState, { [two]: accepted('b') }))).toBe(
      JSON.stringify([accepted('a'), accepted('b')]),
    );
  });

  it('makes a new call of a retry without a state', async () => {
    const before = upstream.calls('once').length;
    needs(await call(url, 'once', {}, able));
    needs(await call(url, 'once', {}, { ...able, more: { inputResponses: { q1: accepted('a') } } }));
    expect(upstream.calls('once')).toHaveLength(before + 2);
  });

  it.each(['impatient', 'answers_at_once'])(
    'keeps the result that came while its client was away (%s)',
    async (name) => {
      const { inputRequests, requestState } = needs(await call(url, name, {}, able));
      await come();
      const [key] = Object.keys(inputRequests) as [string];
      const answer = await retry(name, requestState, { [key]: accepted('a') }, { id: 'another-id' });
      expect(answer).toMatchObject({ id: 'another-id', result: { resultType: 'complete' } });
      expect(textOf(answer)).toMatch(/without|no need/);
    },
  );

  it('keeps an error that came meanwhile, in the codes of its client', async () => {
    const { requestState } = needs(await call(url, 'fails', {}, able));
    await come();
    const answer = await retry('fails', requestState, {}, { id: 77 });
    expect(answer).toMatchObject({
      id: 77,
      error: { code: -32603, data: { code: -32099, data: { why: 1.5 } } },
    });
  });

  it('keeps a larger result too, at the upstream', async () => {
    const { requestState } = needs(await call(url, 'large', {}, able));
    await come();
    const answer = await retry('large', requestState, {}, { id: 'a longer id than before' });
    expect(answer.id).toBe('a longer id than before');
    expect(textOf(answer)).toHaveLength(200_000);
  });

  it('tells the last progress and the logs of between under the token and level of the retry', async () => {
    const { inputRequests, requestState } = needs(
      await call(url, 'chatty', {}, { ...able, meta: { progressToken: 'old' } }),
    );
    await come();
    const [key] = Object.keys(inputRequests) as [string];
    const told = await stream(
      url,
      'tools/call',
      { name: 'chatty', arguments: {}, requestState, inputResponses: { [key]: accepted('a') } },
      { ...able, logLevel: 'info', meta: { progressToken: 'new' } },
    );
    await told.done();
    const messages = told.events.map(({ data }) => JSON.parse(data) as JsonRpc);
    expect(messages.filter(({ method }) => method === 'notifications/progress').map((m) => m.params)).toEqual(
      [
        { progressToken: 'new', progress: 3, total: 9 },
        { progressToken: 'new', progress: 8, total: 9 },
      ],
    );
    expect(messages.filter(({ method }) => method === 'notifications/message').map((m) => m.params)).toEqual([
      { level: 'error', data: 'kept' },
    ]);
  });

  it('takes out of a question what only its own era knows, and nothing else', async () => {
    const needed = needs(await call(url, 'marked', {}, able));
    const { requestState } = needed;
    const { key, params } = only(needed);
    expect(params).toEqual({ ...form('Name?'), 'com.example/kept': 12.5, _meta: { kept: true } });
    await retry('marked', requestState, { [key]: accepted('a') });
  });

  it('is longer silent than a call may be', async () => {
    const own = running.server('impatient');
    const { inputRequests, requestState } = needs(await call(own, 'once', {}, able));
    // A call that came later is silent for longer than it may be.
    expect((await call(own, 'silent', {}, able)).error?.message).toMatch(/request_ms/);
    const inputResponses = { [Object.keys(inputRequests)[0] as string]: accepted('a') };
    const answer = await call(own, 'once', {}, { ...able, more: { requestState, inputResponses } });
    expect(textOf(answer)).toContain('accept');
  });

  it('refuses at once what is asked during anything else', async () => {
    let asked: unknown;
    const other = await createUpstream({
      capabilities: { completions: {} },
      answer: 'sse',
      async onRequest(request) {
        if (request.message.method !== 'completion/complete') return false;
        asked = (await request.ask('elicitation/create', form('Now?'))).error?.code;
        request.result({ completion: { values: [] } });
        return true;
      },
    });
    const own = await startGateway({ servers: [other.entry('c')] });
    const params = { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'a', value: 'b' } };
    const answer = await answerTo(own.server('c'), 'completion/complete', params, able);
    expect(answer.result).toEqual({ resultType: 'complete', completion: { values: [] } });
    expect(asked).toBe(-32603);
  });

  it('marks on the merged endpoint who asks, and lets nobody look into other servers', async () => {
    const { inputRequests } = needs(await call(running.url, 's__together', {}, able));
    const [elicitation, sampling] = Object.values(inputRequests);
    expect(elicitation?.params['message']).toBe('[s] One?');
    expect(sampling?.params['includeContext']).toBe('none');
  });
});

describe('5: the state of a parked call', () => {
  interface Parked {
    readonly state: string;
    readonly key: string;
  }
  async function park(args: object = { a: 1, b: [2, { c: 3 }] }): Promise<Parked> {
    const { inputRequests, requestState } = needs(await call(url, 'once', args, able));
    return { state: requestState, key: Object.keys(inputRequests)[0] as string };
  }
  const args = { a: 1, b: [2, { c: 3 }] };
  const reasonOf = (answer: JsonRpc): unknown =>
    (answer.error?.data as { reason?: unknown } | undefined)?.reason;

  it('is refused where it was altered, made up, or cut; the call goes on', async () => {
    const { state, key } = await park();
    const flip = (at: number): string =>
      state.slice(0, at) + (state[at] === 'A' ? 'B' : 'A') + state.slice(at + 1);
    const wrong = [
      flip(20),
      flip(state.length - 5),
      state.slice(0, -4),
      `${state}AAAA`,
      'mcpstead.1.AAAA',
      'made up',
      '',
    ];
    for (const presented of wrong) {
      const answer = await retry('once', presented, { [key]: accepted('evil') }, { args });
      expect(answer.error).toMatchObject({ code: -32602, data: { reason: 'forged' } });
    }
    expect(textOf(await retry('once', state, { [key]: accepted('good') }, { args }))).toContain('good');
  });

  it('is refused with other arguments, another name, another method, on another route', async () => {
    const { state, key } = await park();
    const answers = { [key]: accepted('evil') };
    const others: JsonRpc[] = [
      await retry('once', state, answers, { args: { ...args, a: 2 } }),
      await retry('once', state, answers, { args: {} }),
      await retry('twice', state, answers, { args }),
      await call(running.url, 's__once', args, {
        ...able,
        more: { requestState: state, inputResponses: answers },
      }),
      await answerTo(
        url,
        'prompts/get',
        { name: 'once', arguments: args, requestState: state, inputResponses: answers },
        able,
      ),
    ];
    for (const answer of others)
      expect([answer.error?.code, reasonOf(answer)]).toEqual([-32602, 'other_request']);
    expect(textOf(await retry('once', state, { [key]: accepted('good') }, { args }))).toContain('good');
  });

  it('is taken with the same arguments in another order and spelling', async () => {
    const { state, key } = await park();
    const answer = await retry('once', state, { [key]: accepted('a') }, { args: { b: [2, { c: 3 }], a: 1 } });
    expect(textOf(answer)).toContain('accept');
  });

  it('is refused the second time; the round that runs goes on', async () => {
    const first = needs(await call(url, 'twice', {}, able));
    const [one] = Object.keys(first.inputRequests) as [string];
    const second = needs(await retry('twice', first.requestState, { [one]: accepted('a') }));
    const replayed = await retry('twice', first.requestState, { [one]: accepted('evil') });
    expect([replayed.error?.code, reasonOf(replayed)]).toEqual([-32602, 'used']);
    const [two] = Object.keys(second.inputRequests) as [string];
    expect(textOf(await retry('twice', second.requestState, { [two]: accepted('b') }))).toBe(
      JSON.stringify([accepted('a'), accepted('b')]),
    );
    const late = await retry('twice', second.requestState, { [two]: accepted('evil') });
    expect([late.error?.code, reasonOf(late)]).toEqual([-32602, 'gone']);
  });

  it('is not used up by answers that are none', async () => {
    const { state, key } = await park();
    for (const inputResponses of [[], { [key]: 'yes' }, { [key]: null }])
      expect((await retry('once', state, inputResponses, { args })).error?.code).toBe(-32602);
    expect(textOf(await retry('once', state, { [key]: accepted('good') }, { args }))).toContain('good');
  });

  it('is known to belong elsewhere by a replica with the same key, and forged to one with another', async () => {
    const { state, key } = await park();
    const before = process.env['MCPSTEAD_STATE_KEY'];
    const secret = Buffer.alloc(32, 7).toString('base64url');
    try {
      process.env['MCPSTEAD_STATE_KEY'] = secret;
      const one = await startGateway({ servers: [upstream.entry('s')] });
      const two = await startGateway({ servers: [upstream.entry('s')] });
      const given = needs(await call(one.server('s'), 'once', {}, able)).requestState;
      const more = { requestState: given, inputResponses: { q1: accepted('a') } };
      const elsewhere = await call(two.server('s'), 'once', {}, { ...able, more });
      expect([elsewhere.error?.code, reasonOf(elsewhere)]).toEqual([-32602, 'other_replica']);
      const forged = await call(two.server('s'), 'once', args, {
        ...able,
        more: { requestState: state, inputResponses: { [key]: accepted('a') } },
      });
      expect(reasonOf(forged)).toBe('forged');
      expect(JSON.stringify([elsewhere, forged])).not.toContain(secret);
    } finally {
      if (before === undefined) delete process.env['MCPSTEAD_STATE_KEY'];
      else process.env['MCPSTEAD_STATE_KEY'] = before;
    }
    expect(textOf(await retry('once', state, { [key]: accepted('good') }, { args }))).toContain('good');
  });
});

describe('5: the bounds of parked calls', () => {
  it('expire: every question gets an error, the upstream is told, the state is worth nothing', async () => {
    const own = await startGateway({
      limits: { parked_seconds: 1 },
      servers: [upstream.entry('s')],
    });
    const before = upstream.received('notifications/cancelled').length;
    const { requestState } = needs(await call(own.server('s'), 'once', {}, able));
    expect(await own.far.metric('mcpstead_parked_calls')).toBe(1);
    await until(() => upstream.received('notifications/cancelled').length > before, 'the cancel');
    const answer = upstream.requests.findLast(({ message }) => message.error !== undefined);
    expect(answer?.message.error?.code).toBe(-32603);
    const late = await call(own.server('s'), 'once', {}, { ...able, more: { requestState } });
    expect(late.error?.code).toBe(-32602);
    expect(await own.far.metric('mcpstead_parked_calls')).toBe(0);
    expect(await own.far.metric('mcpstead_parked_calls_total{result="expired"}')).toBe(1);
  });

  it('refuse a question at once where too many are parked', async () => {
    const own = await startGateway({ limits: { parked: 1 }, servers: [upstream.entry('s')] });
    needs(await call(own.server('s'), 'once', {}, able));
    const second = await call(own.server('s'), 'once', {}, able);
    expect(textOf(second)).toBe('[-32603]');
    expect(await own.far.metric('mcpstead_parked_calls_total{result="refused"}')).toBe(1);
  });

  it('end with the gateway: the upstream hears that nobody comes back', async () => {
    const own = await startGateway({ servers: [upstream.entry('s')] });
    const before = upstream.received('notifications/cancelled').length;
    needs(await call(own.server('s'), 'once', {}, able));
    await own.far.gateway.close();
    await until(() => upstream.received('notifications/cancelled').length > before, 'the cancel');
  });

  it('count no call that asks nothing, and cancel the one whose client leaves', async () => {
    const cancels = upstream.received('notifications/cancelled').length;
    const waiting = await createUpstream({
      tools: [tool('hangs')],
      onCall: () => undefined,
    });
    const own = await startGateway({ servers: [waiting.entry('s')] });
    const controller = new AbortController();
    const left = ask(
      own.server('s'),
      'tools/call',
      { name: 'hangs' },
      { capabilities: EVERYTHING, signal: controller.signal },
    ).catch(() => undefined);
    await until(() => waiting.calls('hangs').length === 1, 'the call');
    expect(await own.far.metric('mcpstead_parked_calls')).toBe(0);
    controller.abort();
    await left;
    await until(() => waiting.received('notifications/cancelled').length === 1, 'the cancel');
    expect(upstream.received('notifications/cancelled')).toHaveLength(cancels);
  });
});
