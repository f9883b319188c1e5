/** What is lost on the way while a session is opened: another session is opened, once. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createUpstream, tool, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { forward } from '../../helpers/both-eras.js';
import { atEnd } from '../../helpers/cleanup.js';
import { startEverything } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';
import { openLink } from './link.js';
import { AGAIN, answering, handshakes, INITIALIZED, SUBSCRIBING } from './openings.js';

type Loss = (res: ServerResponse) => void;

const LOSSES: [string, Loss][] = [
  ['answered 503', (res) => res.writeHead(503).end('try later')],
  ['answered 429', (res) => res.writeHead(429).end()],
  ['cut', (res) => res.destroy()],
];
const initialized = (upstream: Upstream): number => upstream.received(INITIALIZED).length;

/** A proxy that handles the first `notifications/initialized` itself. */
async function losing(url: string, loss: Loss): Promise<string> {
  let isLost = false;
  const proxy = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const body = Buffer.concat(chunks);
      if (!isLost && body.includes(INITIALIZED)) {
        isLost = true;
        return loss(res);
      }
      forward(new URL(req.url ?? '/', url).href, req, res, body);
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  atEnd(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${new URL(url).pathname}`;
}

test.each(
  (['streamableHttp', 'sse'] as const).flatMap((transport) =>
    LOSSES.map(([what, loss]) => [transport, what, loss] as const),
  ),
)('server-everything over %s has its conditional tools when that was %s', async (transport, _what, loss) => {
  const { url } = await startEverything(transport);
  const protocol = transport === 'sse' ? { protocol: 'sse' } : {};
  const { link } = openLink({ name: 's', url: await losing(url, loss), ...protocol, ...AGAIN });
  link.start();
  await until(
    () => link.lists.tools.some(({ key }) => key === 'trigger-elicitation-request'),
    'the tool that depends on a capability of the client',
  );
  expect(link.state).toBe('up');
});

test('a server that answers 500 to each notification is taken as it is, and asked once more only at first', async () => {
  const upstream = await answering((_n, res) => {
    res.writeHead(500).end();
    return true;
  });
  const { link, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  expect([handshakes(upstream), initialized(upstream)]).toEqual([2, 2]);
  // The session that was not begun is ended.
  await until(() => upstream.sessions.size === 1, 'one session');
  await upstream.stop();
  await link.refresh().catch(() => undefined);
  await upstream.start();
  await until(() => link.state === 'up', 'up again');
  expect([handshakes(upstream), initialized(upstream)]).toEqual([3, 3]);
});

test('a server that refuses the notification, but is there, is taken as it is', async () => {
  const upstream = await answering((_n, res) => {
    res.writeHead(400).end();
    return true;
  });
  const { up } = openLink(upstream.entry('s', AGAIN));
  await up();
  expect([handshakes(upstream), initialized(upstream)]).toEqual([1, 1]);
});

test('lost after the wait for it: the connection that is up is made again', async () => {
  const held: ServerResponse[] = [];
  const upstream = await answering((n, res) => {
    if (n === 0) held.push(res);
    return n === 0;
  });
  const { link, told, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  expect(handshakes(upstream)).toBe(1);
  held[0]?.destroy();
  await until(() => handshakes(upstream) === 2 && link.state === 'up', 'another session');
  expect(told.states).toEqual(['up', 'backoff', 'up']);
  expect(initialized(upstream)).toBe(2);
});

test('a message that is lost on a socket that the server was closing is sent again', async () => {
  const changed = 'notifications/roots/list_changed';
  let isCut = false;
  const upstream = await createUpstream({
    sessions: true,
    tools: [tool('t')],
    onHttp: ({ message }, res) => {
      if (message.method !== changed || isCut) return false;
      isCut = true;
      res.destroy();
      return true;
    },
  });
  const { link, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  link.tell(Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: changed })));
  await until(() => upstream.received(changed).length === 2, 'the message again');
  expect(handshakes(upstream)).toBe(1);
});

test('a session that is opened in place of a lost one needs it as well', async () => {
  const upstream = await answering((n, res) => {
    if (n === 1 || n === 2) res.writeHead(503).end();
    return n === 1 || n === 2;
  });
  const { link, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  upstream.dropSessions();
  await link.refresh().catch(() => undefined);
  await until(() => handshakes(upstream) === 3 && link.state === 'up', 'a third session');
});

test.each([
  ['once', 1],
  ['always', Infinity],
])('a subscription that is lost %s when it is renewed: one more session is opened', async (_what, times) => {
  let isRenewed = false;
  let lost = 0;
  const upstream = await createUpstream({
    sessions: true,
    tools: [tool('t')],
    ...SUBSCRIBING,
    onHttp: ({ message }, res) => {
      if (message.method !== 'resources/subscribe' || !isRenewed || lost >= times) return false;
      lost++;
      res.writeHead(503).end('try later');
      return true;
    },
  });
  const { link, up } = openLink(upstream.entry('s', AGAIN));
  await up();
  await link.subscribe('demo://one');
  isRenewed = true;
  upstream.dropSessions();
  await link.refresh().catch(() => undefined);
  await until(() => handshakes(upstream) === 3 && link.state === 'up', 'a third session');
  expect(upstream.received('resources/subscribe')).toHaveLength(3);
  expect(lost).toBe(Math.min(times, 2));
});
