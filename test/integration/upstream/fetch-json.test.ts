import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, it } from 'vitest';
import { silent } from '../../../src/observe/log.js';
import type { SmallRequest } from '../../../src/protocol/small-request.js';
import { createFetcher, type Fetcher } from '../../../src/upstream/http/fetch-json.js';
import { createAuthority } from '../../helpers/certificates.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const serve = async (handler: http.RequestListener): Promise<string> =>
  `http://127.0.0.1:${await listen(http.createServer(handler))}`;

function fetcher(env: NodeJS.ProcessEnv = {}): Fetcher {
  const made = createFetcher(env, silent);
  closing.push(() => {
    made.close();
  });
  return made;
}

const never = new AbortController().signal;
const get = (url: string, more: Partial<SmallRequest> = {}): SmallRequest => ({
  url,
  method: 'GET',
  headers: { accept: 'application/json' },
  timeoutMs: 30_000,
  maxBytes: 1000,
  ...more,
});

it('sends a request with its headers and body, and returns status and body', async () => {
  const url = await serve((req, res) => {
    let body = '';
    req.on('data', (chunk) => (body += String(chunk)));
    req.on('end', () => {
      const { method, url: path, headers } = req;
      res
        .writeHead(418)
        .end(
          JSON.stringify({ method, path, body, accept: headers.accept, coding: headers['accept-encoding'] }),
        );
    });
  });
  const { status, body } = await fetcher().fetch(
    get(`${url}/a?b=c`, { method: 'POST', body: 'token=x' }),
    never,
  );
  expect(status).toBe(418);
  expect(JSON.parse(body.toString())).toEqual({
    method: 'POST',
    path: '/a?b=c',
    body: 'token=x',
    accept: 'application/json',
    coding: 'identity',
  });
});

it('does not follow a redirect', async () => {
  const asked: unknown[] = [];
  const url = await serve((req, res) => {
    asked.push(req.url);
    res.writeHead(302, { location: '/elsewhere' }).end();
  });
  expect(await fetcher().fetch(get(`${url}/a`), never)).toMatchObject({ status: 302 });
  expect(asked).toEqual(['/a']);
});

it.each([
  ['with a length', { 'content-length': '1001' }],
  ['in chunks', {}],
])('rejects a body that is too long, %s', async (_what, headers) => {
  const url = await serve((_req, res) => res.writeHead(200, headers).end('x'.repeat(1001)));
  await expect(fetcher().fetch(get(url), never)).rejects.toThrow('answered with more than 1000 bytes');
  const exact = await serve((_req, res) => res.end('x'.repeat(1000)));
  expect((await fetcher().fetch(get(exact), never)).body).toHaveLength(1000);
});

it('rejects a coded body', async () => {
  const url = await serve((_req, res) =>
    res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}')),
  );
  await expect(fetcher().fetch(get(url), never)).rejects.toThrow("the content coding 'gzip'");
});

it('rejects an answer that does not come, or does not end, within the time', async () => {
  const silence = await serve(() => undefined);
  await expect(fetcher().fetch(get(silence, { timeoutMs: 50 }), never)).rejects.toThrow(
    'no answer within 50 ms',
  );
  const drip = await serve((_req, res) => {
    res.writeHead(200).write('{');
  });
  await expect(fetcher().fetch(get(drip, { timeoutMs: 50 }), never)).rejects.toThrow(
    'no answer within 50 ms',
  );
});

it('rejects what is aborted, before and while it runs, and what runs when it is closed', async () => {
  const arrived: (() => void)[] = [];
  const url = await serve(() => arrived.shift()?.());
  const own = fetcher();
  await expect(own.fetch(get(url), AbortSignal.abort())).rejects.toThrow('aborted');
  const controller = new AbortController();
  arrived.push(() => {
    controller.abort();
  });
  await expect(own.fetch(get(url), controller.signal)).rejects.toThrow('aborted');
  arrived.push(() => {
    own.close();
  });
  await expect(own.fetch(get(url), never)).rejects.toThrow('closed');
});

it('says why there is no connection', async () => {
  const server = http.createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  await expect(fetcher().fetch(get(`http://127.0.0.1:${port}`), never)).rejects.toThrow(/ECONNREFUSED/);
  await expect(fetcher().fetch(get('http://nobody.invalid/'), never)).rejects.toThrow(
    /cannot resolve host nobody.invalid/,
  );
});

it('goes through the proxy of the environment', async () => {
  const asked: unknown[] = [];
  const proxy = await serve((req, res) => {
    asked.push(req.url);
    res.end('{}');
  });
  const env = { http_proxy: proxy.slice('http://'.length), no_proxy: 'direct.invalid' };
  expect(await fetcher(env).fetch(get('http://id.invalid/keys?x'), never)).toMatchObject({ status: 200 });
  expect(asked).toEqual(['http://id.invalid/keys?x']);
  await expect(fetcher(env).fetch(get('http://direct.invalid/'), never)).rejects.toThrow(
    'cannot resolve host',
  );
});

it('trusts the certificates that the environment names, and no others', async () => {
  const authority = createAuthority();
  const port = await listen(
    https.createServer(authority.issue({ ip: ['127.0.0.1'] }), (_req, res) => res.end('{}')),
  );
  const url = `https://127.0.0.1:${port}/`;
  await expect(fetcher().fetch(get(url), never)).rejects.toThrow(/certificate is not trusted/);
  const folder = mkdtempSync(join(tmpdir(), 'mcpstead-'));
  closing.push(() => {
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, 'ca.pem'), authority.cert);
  const env = { NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem') };
  expect(await fetcher(env).fetch(get(url), never)).toMatchObject({ status: 200 });
});

it('keeps connections to a bounded number of origins', async () => {
  const own = fetcher();
  const urls = await Promise.all(Array.from({ length: 40 }, () => serve((_req, res) => res.end('{}'))));
  for (const url of [...urls, ...urls]) expect((await own.fetch(get(url), never)).status).toBe(200);
});
