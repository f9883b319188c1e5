/** Streams that survive their connection, towards clients and from upstreams. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect, test } from 'vitest';
import type { ConfigInput } from '../../src/index.js';
import { startCutter } from '../helpers/cutter.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { textOf, type SseStream } from '../helpers/http.js';
import { connect, final, heard, messagesOf, type LegacyClient } from '../helpers/legacy.js';
import { firstDifference } from '../helpers/pattern.js';
import { timer, until } from '../helpers/wait.js';
import {
  createUpstream,
  tool,
  type Call,
  type Upstream,
  type UpstreamOptions,
} from '../fixtures/servers/http-upstream.js';

interface Held {
  readonly gateway: RunningGateway;
  readonly upstream: Upstream;
  /** The calls that came, to be answered by the test. */
  readonly calls: Call[];
}

async function holding(config: ConfigInput = {}, more: UpstreamOptions = {}): Promise<Held> {
  const calls: Call[] = [];
  const upstream = await createUpstream({
    tools: [tool('hold')],
    onCall: (call) => void calls.push(call),
    ...more,
  });
  const gateway = await startGateway({ ...config, servers: [upstream.entry('up')] });
  return { gateway, upstream, calls };
}

/** A call whose stream has begun: its first event is out. */
async function begun(client: LegacyClient, calls: Call[]): Promise<{ stream: SseStream; call: Call }> {
  const before = calls.length;
  const opening = client.stream('up__hold');
  const call = await until(() => calls[before], 'the call');
  call.log('first');
  const stream = await opening;
  await stream.next();
  return { stream, call };
}

/** Breaks the connection; the gateway has noticed when this returns. */
async function leave(client: LegacyClient, stream: SseStream): Promise<void> {
  stream.close();
  await client.request('ping');
}

const ids = (stream: SseStream): (string | undefined)[] => stream.events.map(({ id }) => id);
const logs = (...streams: SseStream[]): unknown[] =>
  streams
    .flatMap(messagesOf)
    .filter(({ method }) => method === 'notifications/message')
    .map(({ params }) => params?.['data']);
const lastId = (stream: SseStream): string => stream.events.at(-1)?.id ?? '';
const gone = (upstream: Upstream): Promise<boolean> =>
  until(() => upstream.received('notifications/cancelled').length > 0, 'the cancel upstream');

test.each([
  ['2024-11-05', false, false],
  ['2025-03-26', true, false],
  ['2025-06-18', true, false],
  ['2025-11-25', true, true],
])(
  'a client of %s: event ids %s, priming event %s, on both kinds of stream',
  async (protocolVersion, withIds, primed) => {
    const { gateway, upstream, calls } = await holding({}, { getStream: true });
    const client = await connect(gateway.url, { protocolVersion });
    const listening = await client.listen();
    const { stream, call } = await begun(client, calls);
    call.text('done');
    await stream.done();
    await until(() => upstream.streams.size === 1);
    upstream.setTools([tool('hold'), tool('more')]);
    await heard(listening, 'notifications/tools/list_changed');
    for (const each of [stream, listening]) {
      expect(ids(each).every((id) => (id !== undefined) === withIds)).toBe(true);
      expect(each.text.startsWith('id: ')).toBe(withIds);
      expect(/^id: \S+\ndata: \n\n/.test(each.text)).toBe(primed);
      expect(each.text).not.toContain('retry:');
    }
  },
);

test('a call stream broken in the middle goes on with GET and Last-Event-ID, without loss or double', async () => {
  const { gateway, upstream, calls } = await holding();
  const client = await connect(gateway.url);
  const { stream, call } = await begun(client, calls);
  stream.close();
  call.log('second');
  call.log('third');
  const again = await client.listen(lastId(stream));
  await heard(again, 'notifications/message', 2);
  call.log('fourth');
  await heard(again, 'notifications/message', 3);
  again.close();
  call.text('done');
  const last = await client.listen(lastId(again));
  expect(textOf(await final(last))).toBe('done');
  expect(logs(stream, again, last)).toEqual(['first', 'second', 'third', 'fourth']);
  const all = [stream, again, last].flatMap(ids);
  expect(new Set(all).size).toBe(all.length);
  expect(upstream.calls()).toHaveLength(1);
  expect(upstream.received('notifications/cancelled')).toEqual([]);
});

test('an answer whose client never saw it goes out again, also after the call has ended, as often as it is asked for', async () => {
  const { gateway, calls } = await holding();
  const client = await connect(gateway.url);
  const { stream, call } = await begun(client, calls);
  const seen = lastId(stream);
  call.text('done');
  expect(textOf(await final(stream))).toBe('done');
  for (let i = 0; i < 2; i++) expect(textOf(await final(await client.listen(seen)))).toBe('done');
  const nothing = await client.listen(lastId(stream));
  await nothing.done();
  expect(nothing.events).toEqual([]);
});

test('the priming event is enough to come back to a call that has said nothing yet', async () => {
  const { gateway, calls } = await holding({ http: { stream_after_ms: 1 } });
  const client = await connect(gateway.url);
  const stream = await client.stream('up__hold');
  await until(() => stream.text.includes('data: \n'), 'the priming event');
  const [, primed = ''] = /^id: (\S+)/.exec(stream.text) ?? [];
  stream.close();
  const again = await client.listen(primed);
  (await until(() => calls[0], 'the call')).text('done');
  expect(textOf(await final(again))).toBe('done');
});

test('a question asked while its client is away waits for it', async () => {
  const { gateway, calls } = await holding();
  const client = await connect(gateway.url);
  const { stream, call } = await begun(client, calls);
  stream.close();
  const answered = call.ask('elicitation/create', {
    message: 'Sure?',
    requestedSchema: { type: 'object', properties: {} },
  });
  const again = await client.listen(lastId(stream));
  const { id } = await again.message();
  await client.say({ id, result: { action: 'decline' } });
  expect((await answered).result).toEqual({ action: 'decline' });
  call.text('done');
  expect(textOf(await final(again))).toBe('done');
});

test('the stream of a session goes on after a break with what was missed', async () => {
  const { gateway, upstream } = await holding({}, { getStream: true });
  await until(() => upstream.streams.size === 1);
  const client = await connect(gateway.url);
  const stream = await client.listen();
  // Another client hears of each change in the same turn.
  const witness = await (await connect(gateway.url)).listen();
  const change = async (name: string): Promise<void> => {
    const { length } = upstream.received('tools/list');
    upstream.setTools([tool(name)]);
    await until(() => upstream.received('tools/list').length > length, 'the list read again');
  };
  await change('one');
  await heard(stream, 'notifications/tools/list_changed');
  const seen = lastId(stream);
  stream.close();
  await change('two');
  await heard(witness, 'notifications/tools/list_changed', 2);
  const again = await client.listen(seen);
  await heard(again, 'notifications/tools/list_changed');
  expect(ids(again)).not.toContain(seen);
  await change('three');
  await heard(again, 'notifications/tools/list_changed', 2);
});

test('a new stream of a session takes over from the old one, and event ids of the old one do not name events of the new', async () => {
  const { gateway, upstream } = await holding({}, { getStream: true });
  await until(() => upstream.streams.size === 1);
  const client = await connect(gateway.url);
  const old = await client.listen();
  upstream.setTools([tool('one')]);
  await heard(old, 'notifications/tools/list_changed');
  const stream = await client.listen();
  await old.done();
  expect(old.complete).toBe(true);
  upstream.setTools([tool('two')]);
  await heard(stream, 'notifications/tools/list_changed');
  expect(ids(old).filter((id) => ids(stream).includes(id))).toEqual([]);
});

test('the id of an event of another session, or of none, is 400 with a text that says so', async () => {
  const { gateway, calls } = await holding();
  const [client, other] = [await connect(gateway.url), await connect(gateway.url)];
  const { stream } = await begun(client, calls);
  for (const [who, id] of [
    [other, lastId(stream)],
    [client, '99-1'],
    [client, '1-99'],
    [client, '0-5'],
    [client, 'nonsense'],
    [client, '-1'],
  ] as const) {
    const answer = await who.listen(id);
    await answer.done();
    expect(answer.status).toBe(400);
    expect(answer.text).toContain(`the event '${id}' is not one of this session's, or too old`);
  }
});

test('a client that comes back too late for the window gets 400, and its call is cancelled upstream', async () => {
  const { gateway, upstream, calls } = await holding();
  const client = await connect(gateway.url);
  const { stream, call } = await begun(client, calls);
  const seen = lastId(stream);
  stream.close();
  for (let i = 0; i < 300; i++) call.log(i);
  // What comes later on the same stream has passed all of them.
  await call.ask('ping', {});
  const answer = await client.listen(seen);
  await answer.done();
  expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('too old')]);
  await gone(upstream);
});

test('a client that reads again in time gets at most the latest 256 events, in order', async () => {
  const { gateway, calls } = await holding();
  const client = await connect(gateway.url);
  const { stream, call } = await begun(client, calls);
  const seen = lastId(stream);
  await leave(client, stream);
  for (let i = 0; i < 256; i++) call.log(i);
  await call.ask('ping', {});
  const again = await client.listen(seen);
  await heard(again, 'notifications/message', 256);
  expect(logs(again)).toEqual(Array.from({ length: 256 }, (_, i) => i));
});

test('a large result is not copied in while nobody is there: the upstream waits, and goes on when the client is back', async () => {
  const { gateway, calls } = await holding();
  const client = await connect(gateway.url);
  const { stream, call } = await begun(client, calls);
  const seen = lastId(stream);
  await leave(client, stream);
  const size = 24 * 1024 * 1024;
  let written = false;
  const writing = call.big(size, { sse: true }).then(() => (written = true));
  await until(() => call.res.writableNeedDrain, 'the upstream to be held');
  const again = await client.listen(seen);
  const answer = textOf(await final(again));
  await writing;
  expect(written).toBe(true);
  expect(answer).toHaveLength(size);
  expect(firstDifference(Buffer.from(answer))).toBe(-1);
});

test('a call that nobody comes back to within resume_seconds is cancelled upstream with the reason `client gone`', async () => {
  const { gateway, upstream, calls } = await holding({ http: { resume_seconds: 1 } });
  const client = await connect(gateway.url);
  const { stream } = await begun(client, calls);
  const given = timer(900);
  stream.close();
  await gone(upstream);
  expect(given.rung).toBe(true);
  expect(upstream.received('notifications/cancelled')[0]?.message.params).toMatchObject({
    reason: 'client gone',
  });
  expect((await client.listen(lastId(stream))).status).toBe(400);
});

test.each([
  ['with `resume_seconds: 0`', '2025-11-25', 0],
  ['of 2024-11-05', '2024-11-05', 60],
])(
  'the call of a client %s is cancelled as soon as it is gone',
  async (_name, protocolVersion, resume_seconds) => {
    const { gateway, upstream, calls } = await holding({ http: { resume_seconds } });
    const client = await connect(gateway.url, { protocolVersion });
    const { stream } = await begun(client, calls);
    stream.close();
    await gone(upstream);
  },
);

test('a session that ends while its client is away ends its calls at once', async () => {
  const { gateway, upstream, calls } = await holding();
  const client = await connect(gateway.url);
  const { stream } = await begun(client, calls);
  stream.close();
  await client.end();
  await gone(upstream);
});

test('beyond limits.replay_bytes the oldest stream is let go of, and counted', async () => {
  const { gateway, calls } = await holding({ limits: { replay_bytes: 4000 } });
  const client = await connect(gateway.url);
  const first = await begun(client, calls);
  const second = await begun(client, calls);
  first.call.log('x'.repeat(2500));
  await heard(first.stream, 'notifications/message', 2);
  const seen = lastId(second.stream);
  second.call.log('y'.repeat(2500));
  await heard(second.stream, 'notifications/message', 2);
  const [oldest = ''] = ids(first.stream);
  expect((await client.listen(oldest)).status).toBe(400);
  await heard(await client.listen(seen), 'notifications/message');
  expect(await gateway.metric('mcpstead_events_dropped_total{reason="replay_bytes"}')).toBeGreaterThan(0);
});

const info = { name: 'resumption', version: '0' };

test.each(['v1', 'v2'])(
  'SDK %s behind a network that cuts: every progress once, and the result',
  async (version) => {
    const { gateway, calls } = await holding();
    const cutter = await startCutter(gateway.url);
    const url = new URL(cutter.through(gateway.url));
    const seen: number[] = [];
    const onprogress = ({ progress }: { progress: number }): void => void seen.push(progress);
    let result: Promise<unknown>;
    const quick = {
      initialReconnectionDelay: 20,
      maxReconnectionDelay: 50,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 20,
    };
    if (version === 'v1') {
      const client = new ClientV1(info);
      await client.connect(new HttpV1(url, { reconnectionOptions: quick }));
      result = client.callTool({ name: 'up__hold', arguments: {} }, undefined, { onprogress });
      result.finally(() => client.close()).catch(() => undefined);
    } else {
      const client = new ClientV2(info, { versionNegotiation: { mode: 'legacy' } });
      await client.connect(new HttpV2(url, { reconnectionOptions: quick }));
      result = client.callTool({ name: 'up__hold', arguments: {} }, { onprogress });
      result.finally(() => client.close()).catch(() => undefined);
    }
    const call = await until(() => calls[0], 'the call');
    for (let progress = 1; progress <= 6; progress++) {
      call.progress(progress, 6);
      if (progress === 1) await until(() => seen.length === 1, 'the first progress');
      if (progress % 2 === 0) cutter.cut();
    }
    await until(() => seen.length === 6, 'six times progress');
    cutter.cut();
    call.text('done');
    expect(await result).toMatchObject({ content: [{ type: 'text', text: 'done' }] });
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
  },
);

/** An upstream whose answer breaks off after its first event, which has an id or not; GET goes on with it. */
async function breaking(
  how: 'end' | 'destroy',
  withIds: boolean,
): Promise<{ gateway: RunningGateway; asked: string[] }> {
  const asked: string[] = [];
  let open: Call | undefined;
  const event = (call: Call, id: string, text: string): string =>
    `${withIds ? `id: ${id}\n` : ''}retry: 20\ndata: ${text.replace('ID', call.id)}\n\n`;
  const upstream = await createUpstream({
    tools: [tool('hold')],
    async onCall(call) {
      open = call;
      call.write(
        event(
          call,
          'e1',
          '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}',
        ),
      );
      await until(() => call.res.writableLength === 0);
      if (how === 'end') call.end();
      else call.destroy();
    },
    onHttp(received, res) {
      const last = received.headers['last-event-id'];
      if (received.method !== 'GET' || last === undefined || !open) return undefined;
      asked.push(String(last));
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      if (asked.length === 1)
        res.end(
          event(
            open,
            'e2',
            '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":2}}',
          ),
        );
      else
        res.end(
          event(
            open,
            'e3',
            '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"whole"}]}}',
          ),
        );
      return true;
    },
  });
  return { gateway: await startGateway({ servers: [upstream.entry('up')] }), asked };
}

test.each(['end', 'destroy'] as const)(
  'an answer of an upstream that breaks off (%s) after events with ids is gone on with, as often as it breaks',
  async (how) => {
    const { gateway, asked } = await breaking(how, true);
    const client = await connect(gateway.url);
    const stream = await client.stream('up__hold');
    expect(textOf(await final(stream))).toBe('whole');
    expect(logs(stream)).toEqual([1, 2]);
    expect(asked).toEqual(['e1', 'e2']);
  },
);

test.each(['end', 'destroy'] as const)(
  'an answer that breaks off (%s) without event ids fails with an error that says so',
  async (how) => {
    const { gateway, asked } = await breaking(how, false);
    const client = await connect(gateway.url);
    const { error } = await final(await client.stream('up__hold'));
    expect(error?.code).toBe(-32000);
    expect(error?.message).toMatch(
      how === 'end' ? /ended its event stream without an answer/ : /broke off its answer/,
    );
    expect(asked).toEqual([]);
  },
);

test('a client is told how long to wait where the upstream of its call told so, before its stream began or after', async () => {
  const upstream = await createUpstream({
    tools: [tool('hold')],
    onCall(call) {
      if (call.args['when'] === 'before') call.write('id: e1\nretry: 1234\ndata: \n\n');
      call.progress(1);
      if (call.args['when'] === 'after') call.write('retry: 4321\n\n');
      call.progress(2);
      call.text('done');
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('up')] });
  const client = await connect(gateway.url);
  for (const [when, ms] of [
    ['before', 1234],
    ['after', 4321],
    ['never', undefined],
  ] as const) {
    const stream = await client.stream('up__hold', { when }, { meta: { progressToken: 't' } });
    await stream.done();
    expect(/^retry: (\d+)$/m.exec(stream.text)?.[1]).toBe(ms?.toString());
    expect(textOf(await final(stream))).toBe('done');
  }
});

test('an upstream that does not take the id of its own event: the call fails with its status', async () => {
  const upstream = await createUpstream({
    tools: [tool('hold')],
    onCall(call) {
      call.write('id: e1\nretry: 20\ndata: \n\n');
      call.end();
    },
    onHttp(received, res) {
      if (received.headers['last-event-id'] === undefined) return undefined;
      res.writeHead(400).end();
      return true;
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('up')] });
  const client = await connect(gateway.url);
  const { error } = await client.request('tools/call', { name: 'up__hold', arguments: {} });
  expect(error?.message).toMatch(/did not resume it: HTTP 400/);
});

test('a call that waits to be resumed fails at once when its upstream has lost the session', async () => {
  const upstream = await createUpstream({
    sessions: true,
    tools: [tool('hold')],
    onCall(call) {
      if (call.args['again']) return call.text('here');
      // So long would the call wait.
      call.write('id: e1\nretry: 300000\ndata: \n\n');
      call.end();
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('up')] });
  const client = await connect(gateway.url);
  const held = client.request('tools/call', { name: 'up__hold', arguments: {} });
  await until(() => upstream.calls('hold').length === 1);
  upstream.dropSessions();
  const again = await client.request('tools/call', { name: 'up__hold', arguments: { again: true } });
  expect(textOf(again)).toBe('here');
  expect((await held).error?.message).toBe("upstream 'up' lost the session of the call");
});

test('a stale socket loses the request to go on: the call is resumed, and not sent again', async () => {
  let gets = 0;
  const upstream = await createUpstream({
    tools: [tool('hold', { annotations: { readOnlyHint: true, idempotentHint: true } })],
    onCall(call) {
      call.write('id: e1\nretry: 20\ndata: \n\n');
      call.end();
    },
    onHttp({ headers }, res) {
      if (headers['last-event-id'] === undefined) return undefined;
      gets++;
      if (gets === 2) res.socket?.destroy();
      else {
        const { id } = upstream.calls('hold')[0]?.message ?? {};
        const result = { content: [{ type: 'text', text: 'done' }] };
        const last = `data: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`;
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.end(gets === 1 ? 'id: e2\nretry: 20\ndata: \n\n' : last);
      }
      return true;
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('up')] });
  const client = await connect(gateway.url);
  expect(textOf(await client.request('tools/call', { name: 'up__hold', arguments: {} }))).toBe('done');
  expect(upstream.calls('hold')).toHaveLength(1);
});

test("the upstream's own stream is opened again after its last event", async () => {
  const { gateway, upstream } = await holding({}, { getStream: true });
  await until(() => upstream.streams.size === 1);
  const client = await connect(gateway.url);
  const listening = await client.listen();
  for (const stream of upstream.streams) {
    stream.write('id: s-7\nevent: message\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n');
    stream.end();
  }
  upstream.options.tools = [tool('hold'), tool('while_away')];
  await until(() => upstream.requests.some(({ headers }) => headers['last-event-id'] === 's-7'), 'the id');
  // What it may have missed is looked at.
  await heard(listening, 'notifications/tools/list_changed');
});
