/** Requests to addresses that others have named, over real sockets. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createNetServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { createGuardedFetch, isSpecial, type Resolve } from '../../../src/upstream/http/guarded-fetch.js';
import { GuardError, type Guard, type SmallRequest } from '../../../src/protocol/small-request.js';
import { atEnd } from '../../helpers/cleanup.js';
import { failure } from '../../helpers/credentials.js';
import { silent } from '../../../src/observe/log.js';

const OPEN: Guard = { origins: new Set(), allowHosts: [], isLoopback: false, caFile: undefined };
const LOCAL: Guard = { ...OPEN, isLoopback: true };
const { signal } = new AbortController();

function get(url: string, more: Partial<SmallRequest> = {}): SmallRequest {
  return { url, method: 'GET', headers: {}, timeoutMs: 10_000, maxBytes: 1000, ...more };
}

/** A name has the addresses that the test gives; every question is recorded. */
function resolving(addresses: readonly string[]): { resolve: Resolve; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    resolve: (hostname, _options, callback) => {
      asked.push(hostname);
      const found: LookupAddress[] = addresses.map((address) => ({
        address,
        family: address.includes(':') ? 6 : 4,
      }));
      process.nextTick(callback, null, found);
    },
  };
}

async function refusal(promise: Promise<unknown>): Promise<GuardError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof GuardError)) throw new Error(`no GuardError: ${String(error)}`);
  return error;
}

async function serve(answer: (req: IncomingMessage, res: ServerResponse) => void) {
  const seen: string[] = [];
  const server = createServer((req, res) => {
    seen.push(`${req.method} ${req.url}`);
    answer(req, res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

it.each([
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '169.254.169.254',
  '172.31.255.255',
  '192.168.0.1',
  '198.19.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '0.0.0.0',
  '::',
  '::1',
  '::ffff:10.0.0.1',
  '::ffff:a00:1',
  '::10.0.0.1',
  '64:ff9b::a00:1',
  '64:ff9b:1::1',
  '2001::1',
  '2001:db8::1',
  '2002:a00:1::1',
  '3fff::1',
  '5f00::1',
  'fc00::1',
  'fd12::1',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
])('%s is special', (address) => {
  expect(isSpecial(address)).toBe(true);
});

it.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '::ffff:808:808', '2001:4860::1', '2a00::1', '2003::1'])(
  '%s is public',
  (address) => {
    expect(isSpecial(address)).toBe(false);
  },
);

it.each([
  'https://10.0.0.1/',
  'https://0x7f.1/',
  'https://0177.0.0.1/',
  'https://2130706433/',
  'https://127.1/',
  'https://[::1]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[2002:7f00:1::]/',
  'https://169.254.169.254/latest',
  'https://１２７.0.0.1/',
])('refuses the literal of %s without a connection', async (url) => {
  const { resolve, asked } = resolving(['8.8.8.8']);
  const { kind } = await refusal(createGuardedFetch({}, silent, resolve)(get(url), OPEN, signal));
  expect([kind, asked]).toEqual(['private', []]);
});

it.each([
  ['http://example.com/', OPEN],
  ['http://127.0.0.1/', OPEN],
  ['http://localhost/', OPEN],
  ['http://localhost./', LOCAL],
  ['http://10.0.0.1/', LOCAL],
  ['http://example.com/', LOCAL],
  ['javascript:alert(1)', LOCAL],
  ['file:///etc/passwd', LOCAL],
  ['https://user@example.com/', OPEN],
])('refuses %s as insecure', async (url, guard) => {
  const { kind, host } = await refusal(createGuardedFetch({}, silent)(get(url), guard, signal));
  expect(kind).toBe('insecure');
  expect(host).not.toBe('');
});

it.each([
  [['10.0.0.1']],
  [['8.8.8.8', '127.0.0.1']],
  [['2a00::1', '::ffff:10.0.0.1']],
  [['8.8.8.8', 'fe80::1']],
])('refuses a name with the addresses %j, however the connection reports it', async (addresses) => {
  const { resolve, asked } = resolving(addresses);
  const fetch = createGuardedFetch({}, silent, resolve);
  const error = await refusal(fetch(get('https://rebinding.example/'), OPEN, signal));
  expect([error.kind, error.host, asked]).toEqual(['private', 'rebinding.example', ['rebinding.example']]);
});

it('judges the addresses that the connection uses: a name is resolved once', async () => {
  const { url } = await serve((_req, res) => res.end('ok'));
  const { port } = new URL(url);
  const { resolve, asked } = resolving(['127.0.0.1']);
  const fetch = createGuardedFetch({}, silent, resolve);
  const answer = await fetch(get(`http://x.localhost:${port}/`), LOCAL, signal);
  expect([answer.status, asked]).toEqual([200, ['x.localhost']]);
});

it('refuses http to a name below localhost that is not on this machine', async () => {
  const { resolve } = resolving(['8.8.8.8']);
  const fetch = createGuardedFetch({}, silent, resolve);
  expect((await refusal(fetch(get('http://x.localhost/'), LOCAL, signal))).kind).toBe('insecure');
});

it('a loopback server exempts loopback alone', async () => {
  const fetch = createGuardedFetch({}, silent, resolving(['10.0.0.1']).resolve);
  expect((await refusal(fetch(get('https://id.example/'), LOCAL, signal))).kind).toBe('private');
});

it.each([
  [{ origins: new Set(['https://id.internal:1']) }, 'https://id.internal:1/'],
  [{ allowHosts: ['id.internal'] }, 'https://id.internal:1/'],
  [{ allowHosts: ['id.internal:1'] }, 'https://id.internal:1/'],
  [{ allowHosts: ['id.internal:443'] }, 'https://id.internal/'],
])('%j exempts %s from the judgement', async (more, url) => {
  const { resolve, asked } = resolving(['127.0.0.1']);
  const fetch = createGuardedFetch({}, silent, resolve);
  // The system resolves it, and knows no such name.
  const error: unknown = await fetch(get(url), { ...OPEN, ...more }, signal).catch((e: unknown) => e);
  expect([error instanceof GuardError, asked]).toEqual([false, []]);
});

it('another port or host than the exempt one is judged', async () => {
  const fetch = createGuardedFetch({}, silent, resolving(['127.0.0.1']).resolve);
  const guard = { ...OPEN, origins: new Set(['https://id.internal:1']), allowHosts: ['b.internal:2'] };
  for (const url of ['https://id.internal:2/', 'https://b.internal/', 'https://a.b.internal:2/'])
    expect((await refusal(fetch(get(url), guard, signal))).kind).toBe('private');
});

it('follows three redirects within the origin', async () => {
  const { url, seen } = await serve((req, res) => {
    const step = Number(req.url?.slice(1));
    if (step < 3) res.writeHead(302, { location: `/${step + 1}` }).end();
    else res.end('there');
  });
  const answer = await createGuardedFetch({}, silent)(get(`${url}/0`), LOCAL, signal);
  expect(answer.body.toString()).toBe('there');
  expect(seen).toEqual(['GET /0', 'GET /1', 'GET /2', 'GET /3']);
});

it.each([
  ['/again', 'too often'],
  ['http://127.0.0.1:1/', 'to another origin'],
  ['https://example.com/', 'to another origin'],
  ['javascript:alert(1)', 'to another origin'],
  ['http://', 'to another origin'],
])('refuses redirects to %s', async (location, text) => {
  const { url } = await serve((_req, res) => res.writeHead(307, { location }).end());
  const error = await refusal(createGuardedFetch({}, silent)(get(url), LOCAL, signal));
  expect([error.kind, error.message.endsWith(text)]).toEqual(['redirect', true]);
});

it('a POST follows no redirect', async () => {
  const { url, seen } = await serve((_req, res) => res.writeHead(307, { location: '/next' }).end());
  const request = get(`${url}/token`, { method: 'POST', body: 'secret' });
  expect((await createGuardedFetch({}, silent)(request, LOCAL, signal)).status).toBe(307);
  expect(seen).toEqual(['POST /token']);
});

it('cuts a body that is too large', async () => {
  let isOpen = true;
  const { url } = await serve((_req, res) => {
    res.on('close', () => {
      isOpen = false;
    });
    const write = (): void => {
      if (isOpen) res.write('x'.repeat(10_000), write);
    };
    write();
  });
  const fetched = createGuardedFetch({}, silent)(get(url), LOCAL, signal);
  await expect(fetched).rejects.toThrow('more than 1000 bytes');
});

it('cuts a body that drips, and redirects that take their time, at one time-out', async () => {
  const { url } = await serve((req, res) => {
    if (req.url === '/0') return res.writeHead(302, { location: '/1' }).end();
    const drip = setInterval(() => res.write('x'), 10);
    return res.on('close', () => {
      clearInterval(drip);
    });
  });
  const request = get(`${url}/0`, { timeoutMs: 300, maxBytes: 1_000_000 });
  await expect(createGuardedFetch({}, silent)(request, LOCAL, signal)).rejects.toThrow('no answer within');
});

it('a server that never answers, and an abort', async () => {
  const server = createNetServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<{ destroy(): void }>();
  const connected = once(server, 'connection');
  server.on('connection', (socket) => sockets.add(socket));
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const stop = new AbortController();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/?secret`;
  const fetched = createGuardedFetch({}, silent)(get(url), LOCAL, stop.signal);
  await connected;
  stop.abort(new Error('enough'));
  const error = await failure(fetched);
  expect(error).toBeInstanceOf(Error);
  expect(error.message).not.toContain('secret');
});

it('through a proxy only literals are judged', async () => {
  const { url, seen } = await serve((_req, res) => res.end('via'));
  const env = { http_proxy: url, https_proxy: url };
  const { resolve, asked } = resolving(['10.0.0.1']);
  const fetch = createGuardedFetch(env, silent, resolve);
  expect((await refusal(fetch(get('https://10.0.0.1/'), OPEN, signal))).kind).toBe('private');
  expect(seen).toEqual([]);
  expect((await fetch(get('http://x.localhost/a'), LOCAL, signal)).body.toString()).toBe('via');
  expect([seen, asked]).toEqual([['GET http://x.localhost/a'], []]);
});

it('no proxy is asked for what is on this machine', async () => {
  const env = { http_proxy: 'http://127.0.0.1:1', https_proxy: 'http://127.0.0.1:1' };
  const { url } = await serve((_req, res) => res.end('straight'));
  const fetch = createGuardedFetch(env, silent);
  expect((await fetch(get(url), LOCAL, signal)).body.toString()).toBe('straight');
});

describe('behind a proxy, with names resolved here too', () => {
  const RESOLVING: Guard = { ...OPEN, resolvesBehindProxy: true };

  /** A proxy that records what it is asked for, and opens no tunnel. */
  async function proxied() {
    const asked: string[] = [];
    const server = createServer();
    server.on('connect', (req, socket) => {
      asked.push(req.url ?? '');
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    return { env: { https_proxy: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }, asked };
  }

  it.each([[['10.0.0.1']], [['8.8.8.8', '::1']]])(
    'a name with the addresses %j is refused',
    async (addresses) => {
      const { env, asked } = await proxied();
      const fetch = createGuardedFetch(env, silent, resolving(addresses).resolve);
      const { kind, host } = await refusal(fetch(get('https://app.example/c'), RESOLVING, signal));
      expect([kind, host, asked]).toEqual(['private', 'app.example', []]);
    },
  );

  it('an unresolvable name is an error, also one without addresses', async () => {
    const { env, asked } = await proxied();
    const fails: Resolve = (_name, _options, callback) => {
      process.nextTick(callback, Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
    };
    for (const resolve of [fails, resolving([]).resolve])
      await expect(
        createGuardedFetch(env, silent, resolve)(get('https://app.example/c'), RESOLVING, signal),
      ).rejects.toThrow('cannot resolve host app.example');
    expect(asked).toEqual([]);
  });

  it('a public name and a host of the configuration go to the proxy, the latter unresolved', async () => {
    const { env, asked } = await proxied();
    const open = resolving(['8.8.8.8']);
    await expect(
      createGuardedFetch(env, silent, open.resolve)(get('https://app.example/c'), RESOLVING, signal),
    ).rejects.toThrow('answered 502');
    const none = resolving([]);
    const guard = { ...RESOLVING, allowHosts: ['app.internal:443'] };
    await expect(
      createGuardedFetch(env, silent, none.resolve)(get('https://app.internal/c'), guard, signal),
    ).rejects.toThrow('answered 502');
    expect(asked).toEqual(['app.example:443', 'app.internal:443']);
    expect([open.asked, none.asked]).toEqual([['app.example'], []]);
  });

  it('a name that never resolves is given up at the time-out, and when the request is aborted', async () => {
    const { env } = await proxied();
    const fetch = createGuardedFetch(env, silent, () => {});
    const late = fetch(get('https://app.example/c', { timeoutMs: 20 }), RESOLVING, signal);
    await expect(late).rejects.toThrow('no answer within');
    const stop = new AbortController();
    const stopped = fetch(get('https://app.example/c'), RESOLVING, stop.signal);
    stop.abort(new Error('enough'));
    await expect(stopped).rejects.toThrow('aborted');
    await expect(fetch(get('https://app.example/c'), RESOLVING, stop.signal)).rejects.toThrow('aborted');
  });
});

it('follows fewer redirects where the guard says so', async () => {
  const { url, seen } = await serve((req, res) => {
    res.writeHead(302, { location: `${req.url}x` }).end();
  });
  const fetch = createGuardedFetch({}, silent);
  const none = await refusal(fetch(get(`${url}/a`), { ...LOCAL, redirects: 0 }, signal));
  expect([none.kind, none.message]).toEqual(['redirect', `'${new URL(url).host}' redirects`]);
  expect(seen).toEqual(['GET /a']);
  expect((await refusal(fetch(get(`${url}/b`), { ...LOCAL, redirects: 1 }, signal))).kind).toBe('redirect');
  expect(seen).toEqual(['GET /a', 'GET /b', 'GET /bx']);
});
