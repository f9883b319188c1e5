import { expect } from 'vitest';
import { until } from '../../../helpers/wait.js';
import { atEnd } from '../../../helpers/cleanup.js';
import { tempFile } from '../../../helpers/cli.js';
import { connect, RawModern, ROOTS, SAMPLED, textOf, type Actor, type Json } from '../actors.js';
import { ALL, asksUsers, CLIENT, gateway, newKey, row, urls, visitsPages, type Meeting } from '../stage.js';

const check = row('Elicitation, sampling and roots asked for during a call');

const accepted = (field: string): Json => ({ action: 'accept', content: { [field]: `my ${field}` } });
const methods = ({ asked }: Actor): string[] => asked.map(({ method }) => method);
/** The same question under the names that the suite gives it in each era. */
const tool = ({ server }: Meeting, legacy: string, modern: string): string =>
  server === 'legacy' ? legacy : `test_input_required_result_${modern}`;

check(
  ALL,
  'A question to the user is shown, and the answer reaches the call',
  async (meeting) => {
    const client = await meeting.client();
    if (meeting.server === 'legacy') {
      expect(await client.say('test_elicitation', { message: 'Who is there?' })).toBe(
        'User response: action=accept, content={"response":"my response"}',
      );
      expect(client.asked).toMatchObject([{ params: { message: 'Who is there?' } }]);
    } else {
      expect(await client.say('test_input_required_result_elicitation')).toBe('Hello, my name!');
      expect(client.asked).toMatchObject([{ params: { message: 'What is your name?' } }]);
    }
    expect(methods(client)).toEqual(['elicitation/create']);
    expect(client.asked[0]?.params['requestedSchema']).toMatchObject({ type: 'object' });
  },
  asksUsers,
);

check(ALL, 'The model is asked, and its answer reaches the call', async (meeting) => {
  const client = await meeting.client();
  const name = tool(meeting, 'test_sampling', 'sampling');
  expect(await client.say(name, { prompt: 'What is the capital of France?' })).toContain('Paris');
  expect(methods(client)).toEqual(['sampling/createMessage']);
  expect(client.asked[0]?.params).toMatchObject({
    messages: [{ role: 'user', content: { type: 'text', text: 'What is the capital of France?' } }],
    maxTokens: 100,
  });
});

check(ALL, 'Roots are requested and reach the call', async (meeting) => {
  const client = await meeting.client();
  expect(await client.say(tool(meeting, 'ask_roots', 'list_roots'))).toBe('Roots: file:///home/test');
  expect(methods(client)).toEqual(['roots/list']);
});

check(
  ALL,
  'A call asks twice, one after the other, and gets both answers',
  async (meeting) => {
    const client = await meeting.client();
    expect(JSON.parse(await client.say('ask_twice'))).toEqual({
      first: accepted('name'),
      second: accepted('colour'),
    });
    expect(client.asked.map(({ params }) => params['message'])).toEqual([
      'What is your name?',
      'What is your colour?',
    ]);
  },
  asksUsers,
);

check(
  ALL,
  'A call asks the user, the model and for roots at once, and gets three answers',
  async (meeting) => {
    const client = await meeting.client();
    expect(JSON.parse(await client.say('ask_everything'))).toEqual({
      user: accepted('name'),
      model: SAMPLED,
      roots: ROOTS,
    });
    expect(methods(client).sort()).toEqual(['elicitation/create', 'roots/list', 'sampling/createMessage']);
  },
  asksUsers,
);

check(['modern-legacy'], 'Questions that are open at once come in one round', async (meeting) => {
  const raw = meeting.raw();
  const first = await raw.call('ask_everything');
  expect(first['resultType']).toBe('input_required');
  const questions = Object.entries(
    first['inputRequests'] as Record<string, { method: string; params?: Json }>,
  );
  expect(questions.map(([, { method }]) => method).sort()).toEqual([
    'elicitation/create',
    'roots/list',
    'sampling/createMessage',
  ]);
  for (const [, question] of questions) {
    expect(question).not.toHaveProperty('id');
    expect(question).not.toHaveProperty('jsonrpc');
  }
  const answers = {
    'elicitation/create': accepted('name'),
    'sampling/createMessage': SAMPLED,
    'roots/list': ROOTS,
  };
  const inputResponses = Object.fromEntries(
    questions.map(([key, { method }]) => [key, answers[method as keyof typeof answers]]),
  );
  const last = await raw.call('ask_everything', {}, { inputResponses, requestState: first['requestState'] });
  expect(JSON.parse(textOf(last))).toEqual({ user: accepted('name'), model: SAMPLED, roots: ROOTS });
});

check(['modern-legacy'], 'A missing answer is requested again, and the others are kept', async (meeting) => {
  const raw = meeting.raw();
  const first = await raw.call('ask_everything');
  const questions = first['inputRequests'] as Record<string, { method: string }>;
  const keyOf = (method: string): string =>
    Object.keys(questions).find((key) => questions[key]?.method === method) ?? '';
  const second = await raw.call(
    'ask_everything',
    {},
    {
      inputResponses: {
        [keyOf('sampling/createMessage')]: SAMPLED,
        [keyOf('roots/list')]: ROOTS,
        unheard_of: accepted('name'),
      },
      requestState: first['requestState'],
    },
  );
  const left = second['inputRequests'] as Record<string, { method: string }>;
  expect(Object.values(left).map(({ method }) => method)).toEqual(['elicitation/create']);
  expect(second['requestState']).not.toBe(first['requestState']);
  const [key = ''] = Object.keys(left);
  const last = await raw.call(
    'ask_everything',
    {},
    { inputResponses: { [key]: accepted('name') }, requestState: second['requestState'] },
  );
  expect(JSON.parse(textOf(last))).toEqual({ user: accepted('name'), model: SAMPLED, roots: ROOTS });
});

/** What a round wants, answered. */
function answered(round: Json, field: string): Json {
  expect(round['resultType']).toBe('input_required');
  const [key = ''] = Object.keys(round['inputRequests'] as Json);
  return { inputResponses: { [key]: accepted(field) }, requestState: round['requestState'] };
}

/** The last round of it: a call that is left open would keep others from being asked over stdio. */
async function finish(raw: RawModern, second: Json): Promise<void> {
  const last = await raw.call('ask_twice', {}, answered(second, 'colour'));
  expect(JSON.parse(textOf(last))).toEqual({ first: accepted('name'), second: accepted('colour') });
}

/** The first round of a call that asks, and the answers to it. */
async function firstRound(raw: RawModern): Promise<{ state: string; inputResponses: Json }> {
  const first = await raw.call('ask_twice');
  const { inputResponses, requestState } = answered(first, 'name');
  return { state: String(requestState), inputResponses: inputResponses as Json };
}

check(
  ['modern-legacy'],
  'A changed state is refused, and the call continues with the correct one',
  async (meeting) => {
    const raw = meeting.raw();
    const { state, inputResponses } = await firstRound(raw);
    const middle = Math.floor(state.length / 2);
    const changed = `${state.slice(0, middle)}${state[middle] === 'A' ? 'B' : 'A'}${state.slice(middle + 1)}`;
    for (const requestState of [changed, `${state}x`, 'nonsense', ''])
      await expect(raw.call('ask_twice', {}, { inputResponses, requestState })).rejects.toMatchObject({
        code: -32602,
      });
    await finish(raw, await raw.call('ask_twice', {}, { inputResponses, requestState: state }));
  },
);

check(['modern-legacy'], 'A state is good for its own call alone', async (meeting) => {
  const raw = meeting.raw();
  const { state, inputResponses } = await firstRound(raw);
  const more = { inputResponses, requestState: state };
  await expect(raw.call('ask_everything', {}, more)).rejects.toMatchObject({ code: -32602 });
  await expect(raw.call('ask_twice', { other: 1 }, more)).rejects.toMatchObject({ code: -32602 });
  const elsewhere = new RawModern(gateway.server('modern-http'), meeting.kind);
  await expect(elsewhere.call('ask_twice', {}, more)).rejects.toMatchObject({ code: -32602 });
  await finish(raw, await raw.call('ask_twice', {}, more));
});

check(['modern-legacy'], 'A state is good once', async (meeting) => {
  const raw = meeting.raw();
  const { state, inputResponses } = await firstRound(raw);
  const second = await raw.call('ask_twice', {}, { inputResponses, requestState: state });
  await expect(raw.call('ask_twice', {}, { inputResponses, requestState: state })).rejects.toMatchObject({
    code: -32602,
  });
  await finish(raw, second);
});

check(
  ['modern-modern'],
  'The state of a server is returned byte for byte, and never invented',
  async (meeting) => {
    const raw = meeting.raw();
    const first = await raw.call('test_input_required_result_request_state');
    const inputResponses = { confirm: { action: 'accept', content: { ok: true } } };
    const tampered = { inputResponses, requestState: `${String(first['requestState'])}x` };
    await expect(raw.call('test_input_required_result_request_state', {}, tampered)).rejects.toMatchObject({
      code: -32602,
      data: { reason: 'invalid_request_state' },
    });
    const last = await raw.call(
      'test_input_required_result_request_state',
      {},
      { inputResponses, requestState: first['requestState'] },
    );
    expect(textOf(last)).toBe('state-ok');
    expect(await raw.call('test_input_required_result_elicitation')).not.toHaveProperty('requestState');
  },
);

check(
  ALL,
  'A prompt asks before it is returned',
  async (meeting) => {
    const client = await meeting.client();
    const { messages } = await client.prompt(tool(meeting, 'asking_prompt', 'prompt'));
    expect(messages).toEqual([
      { role: 'user', content: { type: 'text', text: 'Use the following context: my context' } },
    ]);
    expect(methods(client)).toEqual(['elicitation/create']);
  },
  asksUsers,
);

check(
  ALL,
  'A resource asks before it is read',
  async (meeting) => {
    const client = await meeting.client();
    const { contents } = await client.read('test://asking');
    expect(JSON.parse((contents as { text: string }[])[0]?.text ?? '')).toEqual(accepted('name'));
    expect(methods(client)).toEqual(['elicitation/create']);
  },
  asksUsers,
);

check(
  ALL,
  'A declined question reaches the call',
  async (meeting) => {
    const client = await meeting.client();
    client.answers = { ...client.answers, elicitation: () => ({ action: 'decline' }) };
    expect(JSON.parse(await client.say('ask_twice'))).toMatchObject({
      first: { action: 'decline' },
      second: { action: 'decline' },
    });
  },
  asksUsers,
);

check(
  ['legacy-modern'],
  'A failed question to the user counts as cancelled',
  async (meeting) => {
    const client = await meeting.client();
    client.answers = { ...client.answers, elicitation: () => Promise.reject(new Error('no window')) };
    expect(JSON.parse(await client.say('ask_twice'))).toEqual({
      first: { action: 'cancel' },
      second: { action: 'cancel' },
    });
  },
  asksUsers,
);

check(
  ['legacy-modern'],
  'A failed question to the model ends the call with the error of the client',
  async (meeting) => {
    const client = await meeting.client();
    client.answers = { ...client.answers, sampling: () => Promise.reject(new Error('no model')) };
    await expect(client.call('test_input_required_result_sampling')).rejects.toMatchObject({ code: -32603 });
    expect(JSON.stringify(client.last('tools/call').answer.error?.data)).toContain('no model');
  },
);

check(['legacy-legacy'], 'An error of the client reaches the server as it is', async (meeting) => {
  const client = await meeting.client();
  client.answers = { ...client.answers, sampling: () => Promise.reject(new Error('no model')) };
  const result = await client.call('test_sampling', { prompt: 'Say it' });
  expect(result['isError']).toBe(true);
  expect(textOf(result)).toContain('no model');
});

check(
  ['modern-modern', 'legacy-modern'],
  'A server that requests only its state gets it, round by round',
  async (meeting) => {
    const client = await meeting.client();
    expect(await client.say('ask_nothing')).toBe('answered in round 3');
    expect(client.asked).toEqual([]);
  },
  // The gateway lets time pass between rounds.
  ({ kind }) => kind.revision >= '2025-11-25',
);

check(
  ALL,
  'Progress and logs arrive before a question and after its answer',
  async (meeting) => {
    const client = await meeting.client();
    const options = await client.atLevel('info');
    const result = await client.say('report_and_ask', {}, { ...options, onprogress: () => {} });
    expect(JSON.parse(result)).toEqual(accepted('name'));
    // On the wire: SDK v2 tells of the rounds by progress of its own.
    const heard = client.exchanges('tools/call').flatMap(({ request, messages }) =>
      messages.map((message) => ({
        ...message,
        token: (request.params?.['_meta'] as Json)['progressToken'],
      })),
    );
    const of = (method: string): typeof heard => heard.filter((message) => message.method === method);
    const steps = of('notifications/progress');
    expect(steps.map(({ params }) => params?.['progress'])).toEqual([1, 2]);
    for (const { params, token } of steps) expect(params?.['progressToken']).toBe(token);
    expect(of('notifications/message').map(({ params }) => params?.['data'])).toEqual([
      { round: 1 },
      { round: 2 },
    ]);
  },
  asksUsers,
);

check(
  ALL,
  'A user is sent to a page',
  async (meeting) => {
    const client = await meeting.client();
    expect(JSON.parse(await client.say('ask_url'))).toMatchObject({ action: 'accept' });
    expect(client.asked).toMatchObject([
      {
        method: 'elicitation/create',
        params: { mode: 'url', message: 'Please sign in', url: 'https://login.test/start' },
      },
    ]);
  },
  visitsPages,
);

check(
  CLIENT.legacy,
  'A page has an id for a legacy client, which is notified at its completion',
  async (meeting) => {
    const client = await meeting.client();
    await client.call('ask_url');
    const id = client.asked[0]?.params['elicitationId'];
    expect(id).toEqual(expect.any(String));
    const done = await until(
      () => client.heard.find(({ method }) => method === 'notifications/elicitation/complete'),
      'the end of the visit',
    );
    expect(done.params).toMatchObject({ elicitationId: id });
  },
  visitsPages,
);

check(
  CLIENT.modern,
  'A page has no id for a modern client, and no completion notification',
  async (meeting) => {
    const client = await meeting.client();
    await client.call('ask_url');
    expect(client.asked[0]?.params).not.toHaveProperty('elicitationId');
    expect(client.wire.map(({ text }) => text).join('')).not.toContain('elicitation/complete');
  },
);

check(['modern-legacy'], 'An error that requires a page visit becomes a question', async (meeting) => {
  const client = await meeting.client();
  const key = newKey() + meeting.transport;
  expect(await client.say('need_url', { key })).toBe('signed in');
  expect(client.asked).toMatchObject([
    { params: { mode: 'url', message: 'Please sign in', url: `https://login.test/${key}` } },
  ]);
  expect(client.asked[0]?.params).not.toHaveProperty('elicitationId');
});

check(
  ['legacy-legacy'],
  'An error that requires a page visit is forwarded',
  async (meeting) => {
    const client = await meeting.client();
    const key = newKey() + meeting.title;
    await expect(client.call('need_url', { key })).rejects.toMatchObject({ code: -32042 });
    expect(client.last('tools/call').answer.error).toMatchObject({
      data: { elicitations: [{ mode: 'url', url: `https://login.test/${key}`, elicitationId: key }] },
    });
  },
  visitsPages,
);

check(
  ALL,
  'On the merged endpoint a question names its server',
  async (meeting) => {
    const client = await connect(meeting.kind, gateway.url);
    atEnd(() => client.close());
    await client.call(`${meeting.upstream()}__ask_twice`);
    expect(client.asked.map(({ params }) => params['message'])).toEqual([
      `[${meeting.upstream()}] What is your name?`,
      `[${meeting.upstream()}] What is your colour?`,
    ]);
  },
  // Over stdio a second client is one too many for the server to say whom it asks.
  (meeting) => asksUsers(meeting) && meeting.transport === 'HTTP',
);

check(
  ALL,
  'A client that uses the gateway over stdio is asked too',
  async (meeting) => {
    const config = await tempFile(
      'config.json',
      JSON.stringify({ startup: { wait_ms: 15_000 }, servers: [{ name: 'up', url: urls[meeting.server] }] }),
    );
    const client = await connect(meeting.kind, { config });
    atEnd(() => client.close());
    expect((await client.list('tools')).map(({ name }) => name)).toContain('up__ask_twice');
    expect(JSON.parse(await client.say('up__ask_twice'))).toEqual({
      first: accepted('name'),
      second: accepted('colour'),
    });
    expect(client.asked).toHaveLength(2);
  },
  ({ kind, transport }) => kind.revision >= '2025-11-25' && transport === 'HTTP',
);
