import { expect } from 'vitest';
import { ALL, asksUsers, became, newKey, row } from '../stage.js';
import { until } from '../../../helpers/wait.js';

const check = row('Cancelling a call');

check(ALL, 'An aborted call is cancelled at the server', async (meeting) => {
  const client = await meeting.fresh();
  const key = `${newKey()} of ${meeting.title}`;
  const controller = new AbortController();
  const call = client.call('wait', { key }, { signal: controller.signal, onprogress: () => {} });
  call.catch(() => {});
  await became(client, key, 'waiting');
  controller.abort();
  await expect(call).rejects.toThrow();
  await became(client, key, 'cancelled');
});

check(ALL, 'An aborted call without progress is cancelled too', async (meeting) => {
  const client = await meeting.fresh();
  const key = `${newKey()} of ${meeting.title}`;
  const controller = new AbortController();
  const call = client.call('wait', { key }, { signal: controller.signal });
  call.catch(() => {});
  await became(client, key, 'waiting');
  controller.abort();
  await became(client, key, 'cancelled');
});

check(ALL, 'A cancelled call sends nothing more, and others continue', async (meeting) => {
  const client = await meeting.fresh();
  const [given, kept] = [`${newKey()} of ${meeting.title}`, `${newKey()} of ${meeting.title}`];
  const controllers = [new AbortController(), new AbortController()] as const;
  const calls = [given, kept].map((key, i) => {
    const call = client.call(
      'wait',
      { key },
      { signal: controllers[i === 0 ? 0 : 1].signal, onprogress: () => {} },
    );
    call.catch(() => {});
    return call;
  });
  await became(client, given, 'waiting');
  await became(client, kept, 'waiting');
  controllers[0].abort();
  await became(client, given, 'cancelled');
  const [first] = client.exchanges('tools/call', 'wait');
  expect(first?.messages.filter(({ method }) => method === undefined)).toEqual([]);
  const states = JSON.parse(await client.say('waited')) as Record<string, string>;
  expect(states[kept]).toBe('waiting');
  controllers[1].abort();
  await Promise.allSettled(calls);
  await became(client, kept, 'cancelled');
});

check(
  ['legacy-legacy', 'legacy-modern'],
  'A call aborted during a question asks no further questions',
  async (meeting) => {
    const client = await meeting.fresh();
    const controller = new AbortController();
    let decide: (answer: Record<string, unknown>) => void = () => {};
    client.answers = {
      ...client.answers,
      elicitation: () => new Promise((resolve) => (decide = resolve)),
    };
    const call = client.call('ask_twice', {}, { signal: controller.signal });
    call.catch(() => {});
    await until(() => client.asked.length === 1, 'the question');
    controller.abort();
    await expect(call).rejects.toThrow();
    decide({ action: 'accept', content: { name: 'too late' } });
    // Another call comes and goes: what the first one still had to ask would have come before.
    expect(await client.say('test_simple_text')).toContain('simple text');
    expect(client.asked).toHaveLength(1);
  },
  // Over stdio a second client is one too many for the server to say whom it asks.
  (meeting) => asksUsers(meeting) && meeting.transport === 'HTTP',
);

check(
  ['legacy-legacy'],
  'Each notification arrives once at a client that tries to resume the stream of a cancelled call',
  async (meeting) => {
    // The SDKs try twice to resume a stream that was cut, by default after a second and more.
    const client = await meeting.fresh({ resumeAfterMs: 100 });
    const uri = 'test://static-text';
    const { stop } = await client.follow({ uris: [uri] });
    const controller = new AbortController();
    let steps = 0;
    const call = client.call(
      'wait',
      { key: `${newKey()} of ${meeting.title}` },
      { signal: controller.signal, onprogress: () => void steps++ },
    );
    call.catch(() => {});
    await until(() => steps > 2, 'the stream of the call');
    controller.abort();
    const news = (): number =>
      client.heard.filter(({ method }) => method === 'notifications/resources/updated').length;
    let touched = 0;
    const touch = async (): Promise<void> => {
      await client.call('touch', { uri });
      touched++;
    };
    /** Answers to GET: the server-to-client stream, then both attempts to resume the stream of the call. */
    const streams = (): number[] =>
      client.wire.filter(({ method, status }) => method === 'GET' && status > 0).map(({ status }) => status);
    await until(async () => {
      await touch();
      return streams().length > 2;
    }, 'the last attempt to resume the stream');
    expect(streams()).toEqual([200, 400, 400]);
    for (let more = 0; more < 5; more++) await touch();
    await until(() => news() >= touched, 'the last news');
    expect(news()).toBe(touched);
    await stop();
  },
  // Streams that can be resumed are of this revision.
  ({ kind, transport }) => kind.revision === '2025-11-25' && transport === 'HTTP',
);
