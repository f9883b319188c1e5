import { expect } from 'vitest';
import { TASKS, textOf, type Json } from '../actors.js';
import { asksUsers, CLIENT, row, visitsPages, type Meeting } from '../stage.js';

const check = row('The client lacks the capability asked for');

/** Tools of the legacy server that ask, and what they need. */
const QUESTIONS = [
  ['test_elicitation', { message: 'Who is there?' }],
  ['test_sampling', { prompt: 'Say it' }],
  ['ask_roots', {}],
] as const;

check(
  ['legacy-legacy', 'modern-legacy'],
  'The server gets an error at once, and its result is forwarded',
  async (meeting) => {
    const client = await meeting.unable();
    for (const [name, args] of QUESTIONS) {
      const result = await client.call(name, args);
      expect(result['isError']).toBe(true);
      expect(textOf(result)).toMatch(/MCP error -326/);
    }
    expect(client.asked).toEqual([]);
  },
);

check(
  ['legacy-legacy', 'modern-legacy'],
  'A client with one capability is asked for that, and other questions fail',
  async (meeting) => {
    const client = await meeting.unable({ sampling: {} });
    const answers = JSON.parse(await client.say('ask_everything')) as Record<string, object>;
    expect(answers).toMatchObject({
      user: { error: -32603 },
      model: { content: { text: 'Paris' } },
      roots: { error: -32601 },
    });
    expect(client.asked.map(({ method }) => method)).toEqual(['sampling/createMessage']);
  },
  // Over stdio the clients of the test before this one have called there a moment ago.
  ({ transport }) => transport === 'HTTP',
);

check(
  ['legacy-legacy', 'modern-legacy'],
  'A client that supports only forms is not sent to a page',
  async (meeting) => {
    const client = await meeting.unable({ elicitation: { form: {} } });
    const result = await client.call('ask_url');
    expect(result['isError']).toBe(true);
    expect(textOf(result)).toContain('-32602');
    expect(client.asked).toEqual([]);
  },
  (meeting) => visitsPages(meeting) && meeting.transport === 'HTTP',
);

check(['modern-modern'], 'The error of the server is relayed with what it names', async (meeting) => {
  const { status, error } = await meeting
    .raw({})
    .request('tools/call', { name: 'test_missing_capability', arguments: {} });
  expect(status).toBe(400);
  expect(error).toMatchObject({ code: -32021, data: { requiredCapabilities: { sampling: {} } } });
});

check(
  ['modern-legacy'],
  'A required page visit is an error for a client that does not support it',
  async (meeting) => {
    const { error } = await meeting
      .raw({ elicitation: { form: {} } })
      .request('tools/call', { name: 'need_url', arguments: { key: `unable ${meeting.title}` } });
    expect(error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { elicitation: { url: {} } } },
    });
  },
);

check(
  ['legacy-modern', 'modern-modern'],
  'The server learns the client capabilities, and asks for nothing else',
  async (meeting) => {
    const client = await meeting.unable();
    expect(await client.say('test_input_required_result_capabilities')).toBe('There is nothing to ask');
    const other = await meeting.unable({ sampling: {} });
    expect(await other.say('test_input_required_result_capabilities')).toBe('Answered');
    expect(other.asked.map(({ method }) => method)).toEqual(['sampling/createMessage']);
  },
);

check(
  ['legacy-modern'],
  'A server that needs a missing capability fails the call with a clear error',
  async (meeting) => {
    const client = await meeting.unable();
    await expect(client.call('test_missing_capability')).rejects.toThrow(/capabilit/i);
    expect(client.asked).toEqual([]);
  },
);

const declared = ({ kind }: Meeting): boolean => kind.revision >= '2025-11-25';
check(
  CLIENT.legacy.filter((column) => column === 'legacy-modern'),
  'Capabilities of a legacy client are sent in the modern format',
  async (meeting) => {
    const client = await meeting.unable({
      elicitation: { form: {}, url: {} },
      sampling: { tools: {} },
      roots: { listChanged: true },
    });
    const { params } = JSON.parse(await client.say('echo')) as { params: { _meta: Record<string, object> } };
    const { elicitation, ...rest } = params._meta['io.modelcontextprotocol/clientCapabilities'] as Json;
    expect(rest).toEqual({
      sampling: declared(meeting) ? { tools: {} } : {},
      roots: {},
      // What the gateway does itself for a client that knows nothing of it.
      extensions: { [TASKS]: {} },
    });
    // Without a mode it stands for forms.
    if (declared(meeting)) expect(elicitation).toEqual({ form: {}, url: {} });
    else expect([{}, { form: {} }]).toContainEqual(elicitation);
  },
  asksUsers,
);
