/** A session whose opening is lost, while something else happens to the link. */
import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { silent, type Logger } from '../../../src/observe/log.js';
import type { Call, Upstream } from '../../fixtures/servers/http-upstream.js';
import { until, within } from '../../helpers/wait.js';
import { call, openLink, toolCall } from './link.js';
import { AGAIN, answering, handshakes, SUBSCRIBING } from './openings.js';

const isUp = (upstream: Upstream, link: { readonly state: string }, sessions: number): Promise<unknown> =>
  until(() => handshakes(upstream) === sessions && link.state === 'up', `up in session ${sessions}`);

test('a stream that is paused at that moment: the connection is made again', async () => {
  const held: ServerResponse[] = [];
  const upstream = await answering(
    (n, res) => {
      if (n === 0) held.push(res);
      return n === 0;
    },
    // Answers to requests of the server are not accepted.
    { transport: 'sse', http: ({ method, message }) => method === 'POST' && message.method === undefined },
  );
  let isPaused = false;
  const log: Logger = {
    ...silent,
    debug: (text) => {
      if (text.includes('reading is paused')) isPaused = true;
    },
  };
  const { link, up } = openLink(upstream.entry('s', { protocol: 'sse', ...AGAIN }), { log });
  await up();
  const id = 'x'.repeat(1000);
  for (let n = 0; n < 1500; n++) upstream.announce({ id: `${id}${n}`, method: 'ping' });
  await until(() => isPaused, 'paused');
  held[0]?.writeHead(503).end();
  await isUp(upstream, link, 2);
});

test('what an older session lost says nothing about the present one', async () => {
  const held: ServerResponse[] = [];
  let isCut = false;
  const calls: Call[] = [];
  const upstream = await answering(
    (n, res) => {
      if (n === 0) held.push(res);
      if (n === 2) res.writeHead(503).end();
      return n === 0 || n === 2;
    },
    {
      onCall: (made) => calls.push(made),
      http: ({ message }, res) => {
        if (message.method !== 'tools/list' || !isCut || handshakes(upstream) > 1) return false;
        res.destroy();
        return true;
      },
    },
  );
  const { link, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  // A call keeps the first session open.
  const first = call(link, toolCall('t'));
  await until(() => calls.length === 1, 'the call');
  isCut = true;
  await link.refresh().catch(() => undefined);
  await isUp(upstream, link, 2);
  held[0]?.writeHead(503).end();
  calls[0]?.text('done');
  expect((await first.done).error).toBeUndefined();
  upstream.dropSessions();
  await link.refresh().catch(() => undefined);
  await isUp(upstream, link, 4);
});

test('the end of an older connection does not end the attempt to make another', async () => {
  const held: ServerResponse[] = [];
  const opening: Call[] = [];
  const upstream = await answering(
    (n, res) => {
      if (n === 0) held.push(res);
      return n === 0;
    },
    {
      transport: 'sse',
      onCall: () => undefined,
      onRequest: (made) => {
        if (made.message.method !== 'initialize') return false;
        opening.push(made);
        return opening.length === 2;
      },
    },
  );
  const { link, told, up } = openLink(upstream.entry('s', { protocol: 'sse', ...AGAIN }));
  await up();
  const first = call(link, toolCall('t'));
  await until(() => upstream.calls().length === 1, 'the call');
  const [stream] = upstream.streams;
  held[0]?.writeHead(503).end();
  await until(() => opening.length === 2, 'another handshake');
  stream?.destroy();
  expect((await first.done).error?.code).toBe('upstream_disconnected');
  opening[1]?.result({
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 's', version: '1' },
  });
  await until(() => link.state === 'up', 'up again');
  expect(told.states).toEqual(['up', 'backoff', 'up']);
  expect([opening.length, upstream.streams.size]).toEqual([2, 1]);
});

test('a recovery that fails late does not concern the next connection', async () => {
  const held: ServerResponse[] = [];
  const subscribing: ServerResponse[] = [];
  let isRenewed = false;
  const upstream = await answering(
    (n, res) => {
      if (n === 1) held.push(res);
      return n === 1;
    },
    {
      ...SUBSCRIBING,
      http: ({ message }, res) => {
        if (message.method !== 'resources/subscribe' || !isRenewed || subscribing.length > 0) return false;
        subscribing.push(res);
        return true;
      },
    },
  );
  const { link, told, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  await link.subscribe('demo://one');
  isRenewed = true;
  upstream.dropSessions();
  const refreshed = link.refresh().catch(() => undefined);
  await until(() => subscribing.length === 1, 'the subscription in the new session');
  held[0]?.writeHead(503).end();
  // It does not wait for the recovery of the connection before.
  await isUp(upstream, link, 3);
  subscribing[0]?.writeHead(503).end();
  await within(refreshed, 'the end of the reading');
  expect(told.states).toEqual(['up', 'backoff', 'up']);
  await link.refresh();
  expect(handshakes(upstream)).toBe(3);
});

test.each([
  ['Streamable HTTP', {}, AGAIN.revision],
  ['HTTP+SSE, which is found out', { transport: 'sse' }, AGAIN.revision],
  ['Streamable HTTP without a verdict on the era', {}, 'auto'],
] as const)(
  'over %s an attempt that opens another session is not a failed one',
  async (_way, way, revision) => {
    const refuse = (res: ServerResponse): boolean => {
      res.writeHead(500).end();
      return true;
    };
    const upstream = await answering((_n, res) => refuse(res), {
      http: ({ message }, res) => message.method === 'server/discover' && refuse(res),
      ...way,
    });
    const reconnect = { ...AGAIN.reconnect, max_attempts: 1 };
    const { link } = openLink(upstream.entry('s', { revision, reconnect }));
    link.start();
    await within(link.settled, 'the end of the attempt');
    expect(link.state).toBe('up');
  },
);

test('after an early answer to the notification its loss counts as well', async () => {
  const upstream = await answering((n, res) => {
    if (n > 0) return false;
    res.writeEarlyHints({ link: '</>; rel=preload' }, () => res.destroy());
    return true;
  });
  const { link, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  await isUp(upstream, link, 2);
});

test.each([
  ['refused', (res: ServerResponse) => void res.writeHead(403).end()],
  ['not answered in time', () => undefined],
])('a renewed subscription that is %s was not lost', async (_what, answer) => {
  let isRenewed = false;
  const upstream = await answering(() => false, {
    ...SUBSCRIBING,
    http: ({ message }, res) => {
      if (message.method !== 'resources/subscribe' || !isRenewed) return false;
      answer(res);
      return true;
    },
  });
  const { link, told, up } = openLink(upstream.entry('s', { ...AGAIN, timeouts: { request_ms: 1000 } }));
  await up();
  await link.subscribe('demo://one');
  isRenewed = true;
  upstream.dropSessions();
  await link.refresh();
  expect([handshakes(upstream), link.state, told.states]).toEqual([2, 'up', ['up']]);
});

test('a call whose session was lost is answered, though a subscription is lost in the next one', async () => {
  let isRenewed = false;
  let isLost = false;
  const upstream = await answering(() => false, {
    ...SUBSCRIBING,
    http: ({ message }, res) => {
      if (message.method !== 'resources/subscribe' || !isRenewed || isLost) return false;
      isLost = true;
      res.writeHead(503).end();
      return true;
    },
  });
  const { link, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  await link.subscribe('demo://one');
  isRenewed = true;
  upstream.dropSessions();
  const answered = await call(link, toolCall('t', { a: 1 })).done;
  expect([answered.error, answered.text]).toEqual([undefined, expect.stringContaining('{\\"a\\":1}')]);
  await isUp(upstream, link, 3);
  await until(() => upstream.sessions.size === 1, 'the end of the session before');
});
