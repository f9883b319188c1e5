import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { HttpServerConfig } from '../../../src/config/types.js';
import { silent } from '../../../src/observe/log.js';
import { decoder } from '../../../src/upstream/http/decoder.js';
import { createDispatcher, explain, staleSocket } from '../../../src/upstream/http/dispatcher.js';
import type { Controller, Dispatcher, UpstreamHandler } from '../../../src/upstream/http/dispatcher.js';
import { createAuthority } from '../../helpers/certificates.js';
import { settled } from '../../helpers/wait.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function listen<T extends net.Server>(server: T): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function config(url: string, more: Partial<HttpServerConfig> = {}): HttpServerConfig {
  return {
    kind: 'http',
    name: 'x',
    where: 'config.yaml:1',
    url,
    protocol: 'auto',
    headers: {},
    auth: { type: 'none' },
    tls_skip_verify: false,
    tls: {},
    required: false,
    reconnect: { max_attempts: 0, backoff_base_ms: 1000, backoff_max_ms: 30_000 },
    tools: { ttl_seconds: 300 },
    quirks: { normalize_sse_events: false },
    revision: 'auto',
    session: 'shared',
    roots: [],
    overrides: {},
    extensions: {},
    pin: 'off',
    drain_seconds: 30,
    restart: 'overlap',
    timeouts: {
      connect_ms: 2000,
      probe_ms: 5000,
      request_ms: 300_000,
      total_ms: 0,
      start_ms: 120_000,
      input_ms: 600_000,
    },
    ...more,
  };
}

function open(url: string, more?: Partial<HttpServerConfig>, environment = {}): Dispatcher {
  const dispatcher = createDispatcher(config(url, more), { logger: silent, environment });
  closing.push(() => dispatcher.destroy());
  return dispatcher;
}

interface Answer {
  status: number;
  body: string;
  headers: Record<string, string | string[] | undefined>;
}

function send(
  dispatcher: Dispatcher,
  url: string,
  options: {
    body?: string;
    method?: 'POST' | 'GET';
    headers?: string[];
    handler?: Partial<UpstreamHandler>;
  } = {},
): Promise<Answer> {
  const { origin, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let status = 0;
    let headers: Answer['headers'] = {};
    let over = 0;
    dispatcher.dispatch(
      {
        method: options.method ?? 'POST',
        path: pathname,
        origin,
        headers: options.headers ?? ['content-type', 'application/json'],
        body: options.body === undefined ? null : Buffer.from(options.body),
      },
      {
        onRequestStart() {},
        onResponseStart(_controller, code, names) {
          if (code < 200) return;
          status = code;
          headers = names;
        },
        onResponseData(_controller, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd() {
          expect(++over).toBe(1);
          resolve({ status, headers, body: Buffer.concat(chunks).toString() });
        },
        onResponseError(_controller, error) {
          expect(++over).toBe(1);
          reject(error);
        },
        ...options.handler,
      },
    );
  });
}

const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => {
      throw new Error('did not fail');
    },
    (error: Error) => error,
  );

describe('an exchange with an upstream', () => {
  it('carries body and headers there and status, headers and body back, on one socket', async () => {
    let connections = 0;
    const server = http.createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        response.setHeader('x-seen', request.headers['x-key'] as string);
        response.end(`${request.method} ${request.url} ${body}`);
      });
    });
    server.on('connection', () => connections++);
    const url = `http://127.0.0.1:${await listen(server)}/mcp`;
    const dispatcher = open(url);
    for (let i = 0; i < 3; i++) {
      const answer = await send(dispatcher, url, { body: `n${i}`, headers: ['X-Key', 'v'] });
      expect(answer).toMatchObject({ status: 200, body: `POST /mcp n${i}` });
      expect(answer.headers['x-seen']).toBe('v');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(connections).toBe(1);
  });

  it('has TCP ask after a silent peer, once it is connected', async () => {
    const set = vi.spyOn(net.Socket.prototype, 'setKeepAlive');
    closing.push(() => set.mockRestore());
    let connected: boolean[] = [];
    set.mockImplementation(function (this: net.Socket) {
      connected = [...connected, !this.connecting];
      return this;
    });
    const server = http.createServer((_request, response) => response.end('ok'));
    const url = `http://127.0.0.1:${await listen(server)}/`;
    expect((await send(open(url), url)).body).toBe('ok');
    expect([set.mock.calls, connected]).toEqual([[[true, 60_000]], [true]]);
  });

  it('skips nothing and waits for nobody: 50 at once use 50 sockets', async () => {
    const waiting: http.ServerResponse[] = [];
    const server = http.createServer((_request, response) => {
      waiting.push(response);
      if (waiting.length === 50) for (const each of waiting) each.end('ok');
    });
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const dispatcher = open(url);
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(dispatcher, url)));
    expect(answers.every((answer) => answer.body === 'ok')).toBe(true);
  });

  it('ends in exactly one error, without a controller, when there is no connection', async () => {
    const server = net.createServer();
    const port = await listen(server);
    server.close();
    const url = `http://127.0.0.1:${port}/`;
    let seen: unknown = 'not called';
    const error = await new Promise<Error>((resolve) => {
      send(open(url), url, {
        handler: {
          onResponseError: (controller, reason) => {
            seen = controller;
            resolve(reason);
          },
        },
      }).catch(() => {});
    });
    expect(seen).toBeUndefined();
    expect(explain(error)).toBe(`connect ECONNREFUSED 127.0.0.1:${port}`);
    expect(staleSocket(error)).toEqual({ reused: false, silent: true });
  });

  it('gives up on a connection after connect_ms', async () => {
    // A port that accepts TCP and says nothing: TLS never comes to an end.
    const port = await listen(net.createServer());
    const url = `https://127.0.0.1:${port}/`;
    const base = config(url);
    const dispatcher = open(url, { timeouts: { ...base.timeouts, connect_ms: 300 }, tls_skip_verify: true });
    const error = await failure(send(dispatcher, url));
    expect(explain(error)).toBe('no connection in time (timeouts.connect_ms)');
  });

  it('finds the address of the other family when one fails', async () => {
    const url = `http://localhost:${await listen(http.createServer((_q, response) => response.end('v4')))}/`;
    expect((await send(open(url), url)).body).toBe('v4');
  });

  it('names a host that does not resolve', async () => {
    const url = 'http://no-such-host.invalid/';
    expect(explain(await failure(send(open(url), url)))).toMatch(
      /^cannot resolve host no-such-host\.invalid$/,
    );
  });

  it('aborts before it started as soon as it starts, without a byte sent', async () => {
    let requests = 0;
    const server = http.createServer((_request, response) => {
      requests++;
      response.end('ok');
    });
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const dispatcher = open(url);
    const reason = new Error('client gone');
    const error = await failure(
      send(dispatcher, url, { handler: { onRequestStart: (controller) => controller.abort(reason) } }),
    );
    expect(error).toBe(reason);
    expect((await send(dispatcher, url)).body).toBe('ok');
    expect(requests).toBe(1);
  });

  it('closes the socket of an exchange that is aborted in mid-answer', async () => {
    const server = http.createServer((_request, response) => {
      response.write('first');
    });
    const url = `http://127.0.0.1:${await listen(server)}/`;
    let closed = false;
    server.on('connection', (socket: net.Socket) => socket.on('close', () => (closed = true)));
    const reason = new Error('client gone');
    const error = await failure(
      send(open(url), url, { handler: { onResponseData: (controller) => controller.abort(reason) } }),
    );
    expect(error).toBe(reason);
    await expect.poll(() => closed).toBe(true);
  });

  it('stops reading while paused and goes on where it was', async () => {
    const size = 64 * 1024 * 1024;
    let written = 0;
    const server = http.createServer((_request, response) => {
      const chunk = Buffer.alloc(1024 * 1024, 'x');
      const more = () => {
        while (written < size) {
          written += chunk.length;
          if (!response.write(chunk)) return response.once('drain', more);
        }
        return response.end();
      };
      more();
    });
    const url = `http://127.0.0.1:${await listen(server)}/`;
    let received = 0;
    let paused: Controller | undefined;
    const done = send(open(url), url, {
      handler: {
        onResponseData(controller, chunk) {
          received += chunk.length;
          if (!paused) {
            paused = controller;
            controller.pause();
          }
        },
      },
    });
    expect(await settled(() => written)).toBeLessThan(size / 2);
    expect(received).toBeLessThan(1024 * 1024);
    paused?.resume();
    await done;
    expect(received).toBe(size);
  });

  it('never takes half an answer for a whole one', async () => {
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    });
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const error = await failure(send(open(url), url));
    expect(explain(error)).toMatch(/closed the connection/);
    expect(staleSocket(error)).toMatchObject({ reused: false, silent: false });
  });

  it('leaves no socket behind for exchanges that were given up at any moment', async () => {
    const server = http.createServer((_request, response) => {
      response.write('x'.repeat(100_000));
      setTimeout(() => response.end('end'), 5);
    });
    const url = `http://127.0.0.1:${await listen(server)}/`;
    let sockets = 0;
    server.on('connection', (socket: net.Socket) => {
      sockets++;
      socket.on('close', () => sockets--);
    });
    const dispatcher = open(url);
    const reason = new Error('client gone');
    const abort = (controller: Controller) => controller.abort(reason);
    for (let round = 0; round < 40; round++) {
      await Promise.allSettled(
        [
          {},
          { onRequestStart: abort },
          { onResponseStart: abort },
          { onResponseData: abort },
          {
            onResponseStart(controller: Controller) {
              controller.pause();
              setTimeout(abort, 5, controller);
            },
          },
        ].map((handler) => send(dispatcher, url, { body: '{}', handler })),
      );
    }
    await expect.poll(() => sockets).toBeLessThan(15);
  });

  it('ends what is in flight on destroy and lets it finish on close', async () => {
    const waiting: http.ServerResponse[] = [];
    const server = http.createServer((_request, response) => waiting.push(response));
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const first = open(url);
    const killed = failure(send(first, url));
    await expect.poll(() => waiting.length).toBe(1);
    first.destroy(new Error('server removed'));
    expect((await killed).message).toBe('server removed');
    expect((await failure(send(first, url))).message).toMatch(/closed/);

    const second = open(url);
    const finished = send(second, url);
    await expect.poll(() => waiting.length).toBe(2);
    let closed = false;
    const closingDown = second.close().then(() => (closed = true));
    // An exchange of another one goes its way meanwhile.
    const third = send(open(url), url);
    await expect.poll(() => waiting.length).toBe(3);
    waiting[2]?.end('third');
    expect((await third).body).toBe('third');
    expect(closed).toBe(false);
    waiting[1]?.end('done');
    expect((await finished).body).toBe('done');
    await closingDown;
  });
});

describe('a stale socket', () => {
  /** Answers the first request of a connection and resets it at the second. */
  function flaky(): net.Server {
    return net.createServer((socket) => {
      let requests = 0;
      socket.on('data', () => {
        if (++requests === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        else socket.resetAndDestroy();
      });
    });
  }

  it('is told from a fresh one that fails, and from one that had begun to answer', async () => {
    const url = `http://127.0.0.1:${await listen(flaky())}/`;
    const dispatcher = open(url);
    await send(dispatcher, url, { body: '{}' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const stale = staleSocket(await failure(send(dispatcher, url, { body: '{}' })));
    expect(stale).toEqual({ reused: true, silent: true });

    const fresh = net.createServer((socket) => socket.on('data', () => socket.resetAndDestroy()));
    const other = `http://127.0.0.1:${await listen(fresh)}/`;
    const error = await failure(send(open(other), other, { body: '{}' }));
    expect(staleSocket(error)).toEqual({ reused: false, silent: true });

    let requests = 0;
    const begun = net.createServer((socket) =>
      socket.on('data', () => {
        if (++requests === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        else socket.end('HTTP/1.1 200 OK\r\n');
      }),
    );
    const third = `http://127.0.0.1:${await listen(begun)}/`;
    const dispatcher3 = open(third);
    await send(dispatcher3, third, { body: '{}' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const partial = staleSocket(await failure(send(dispatcher3, third, { body: '{}' })));
    expect(partial).toEqual({ reused: true, silent: false });
  });

  it('that closed while idle is replaced without a failure', async () => {
    const server = http.createServer((_request, response) => response.end('ok'));
    server.keepAliveTimeout = 60_000;
    const sockets: net.Socket[] = [];
    server.on('connection', (socket: net.Socket) => sockets.push(socket));
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const dispatcher = open(url);
    for (let i = 0; i < 5; i++) {
      expect((await send(dispatcher, url, { body: '{}' })).body).toBe('ok');
      const socket = sockets[i];
      if (!socket) throw new Error('no socket of its own');
      socket.end();
      await once(socket, 'close');
    }
    expect(sockets).toHaveLength(5);
  });

  it('is met less often after lowering: in the end each exchange has its own', async () => {
    let connections = 0;
    const server = http.createServer((_request, response) => response.end('ok'));
    server.on('connection', () => connections++);
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const dispatcher = open(url);
    await send(dispatcher, url);
    dispatcher.lowerKeepAlive();
    dispatcher.lowerKeepAlive();
    dispatcher.lowerKeepAlive();
    for (let i = 0; i < 3; i++) {
      expect((await send(dispatcher, url)).body).toBe('ok');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(connections).toBe(4);
  });

  it('lowering lets exchanges in flight end', async () => {
    const waiting: http.ServerResponse[] = [];
    const server = http.createServer((_request, response) => waiting.push(response));
    const url = `http://127.0.0.1:${await listen(server)}/`;
    const dispatcher = open(url);
    const running = send(dispatcher, url);
    await expect.poll(() => waiting.length).toBe(1);
    dispatcher.lowerKeepAlive();
    waiting[0]?.end('still here');
    expect((await running).body).toBe('still here');
  });
});

describe('TLS towards an upstream', () => {
  const authority = createAuthority();
  let folder: string;
  let ca: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mcpstead-tls-'));
    ca = join(folder, 'ca.pem');
    writeFileSync(ca, authority.cert);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function secure(options: https.ServerOptions = {}, names = { ip: ['127.0.0.1'] }): Promise<string> {
    const server = https.createServer({ ...authority.issue(names), ...options }, (_q, r) => r.end('safe'));
    return `https://127.0.0.1:${await listen(server)}/`;
  }

  it('refuses a certificate that nobody vouches for and says what to do', async () => {
    const url = await secure();
    const error = await failure(send(open(url), url));
    expect(explain(error)).toMatch(/^certificate is not trusted .*tls\.ca_file$/);
    expect(staleSocket(error)).toEqual({ reused: false, silent: true });
  });

  it('trusts what ca_file, SSL_CERT_FILE, SSL_CERT_DIR or NODE_EXTRA_CA_CERTS name', async () => {
    const url = await secure();
    expect((await send(open(url, { tls: { ca_file: ca } }), url)).body).toBe('safe');
    for (const environment of [
      { SSL_CERT_FILE: ca },
      { SSL_CERT_DIR: `/nowhere:${folder}` },
      { NODE_EXTRA_CA_CERTS: ca },
    ]) {
      expect((await send(open(url, {}, environment), url)).body).toBe('safe');
    }
  });

  it('skips verification for the one upstream that says so', async () => {
    const url = await secure();
    const careless = open(url, { tls_skip_verify: true });
    const careful = open(url);
    expect((await send(careless, url)).body).toBe('safe');
    expect(explain(await failure(send(careful, url)))).toMatch(/not trusted/);
    expect((await send(careless, url)).body).toBe('safe');
  });

  it('checks the name, or the one that server_name gives', async () => {
    const server = https.createServer(authority.issue({ dns: ['inner.example'] }), (request, response) =>
      response.end(String((request.socket as net.Socket & { servername?: string }).servername)),
    );
    const url = `https://127.0.0.1:${await listen(server)}/`;
    const error = await failure(send(open(url, { tls: { ca_file: ca } }), url));
    expect(explain(error)).toMatch(/does not match/);
    const named = open(url, { tls: { ca_file: ca, server_name: 'inner.example' } });
    expect((await send(named, url)).body).toBe('inner.example');
  });

  it('shows its own certificate where one is asked for', async () => {
    const url = await secure({ requestCert: true, rejectUnauthorized: true, ca: authority.cert });
    await failure(send(open(url, { tls: { ca_file: ca } }), url));
    const own = authority.issue({ dns: ['client'] });
    writeFileSync(join(folder, 'c.pem'), own.cert);
    writeFileSync(join(folder, 'k.pem'), own.key);
    const tls = { ca_file: ca, cert_file: join(folder, 'c.pem'), key_file: join(folder, 'k.pem') };
    expect((await send(open(url, { tls }), url)).body).toBe('safe');
  });

  it('names key and file of what cannot be used, before the first call', () => {
    const url = 'https://127.0.0.1:1/';
    expect(() => open(url, { tls: { ca_file: join(folder, 'none.pem') } })).toThrow(
      /^tls\.ca_file: cannot read .*none\.pem \(ENOENT\)$/,
    );
    writeFileSync(join(folder, 'junk.pem'), 'junk');
    expect(() => open(url, { tls: { ca_file: join(folder, 'junk.pem') } })).toThrow(/has no certificate/);
    const tls = { cert_file: ca, key_file: join(folder, 'junk.pem') };
    expect(() => open(url, { tls })).toThrow(/do not make a key pair/);
  });

  it('tells a stale socket here too', async () => {
    let requests = 0;
    const server = https.createServer(authority.issue({ ip: ['127.0.0.1'] }), (request, response) => {
      if (++requests === 1) response.end('ok');
      else request.socket.destroy();
    });
    const url = `https://127.0.0.1:${await listen(server)}/`;
    const dispatcher = open(url, { tls: { ca_file: ca } });
    await send(dispatcher, url, { body: '{}' });
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(staleSocket(await failure(send(dispatcher, url, { body: '{}' })))).toEqual({
      reused: true,
      silent: true,
    });
  });

  describe('and proxies', () => {
    interface Seen {
      line: string;
      authorization: string | undefined;
      host: string | undefined;
    }
    async function proxy(refuse = 0): Promise<{ port: number; seen: Seen[] }> {
      const seen: Seen[] = [];
      const note = (request: http.IncomingMessage) =>
        seen.push({
          line: `${request.method} ${request.url}`,
          authorization: request.headers['proxy-authorization'],
          host: request.headers.host,
        });
      const server = http.createServer((request, response) => {
        note(request);
        const target = new URL(request.url as string);
        request.pipe(http.request(target, { method: request.method }, (answer) => answer.pipe(response)));
      });
      server.on('connect', (request: http.IncomingMessage, client: net.Socket) => {
        note(request);
        if (refuse) return client.end(`HTTP/1.1 ${refuse} No\r\ncontent-length: 0\r\n\r\n`);
        const target = net.connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
          client.write('HTTP/1.1 200 Connection established\r\n\r\n');
          target.pipe(client).pipe(target);
        });
        target.on('error', () => client.destroy());
        client.on('error', () => target.destroy());
        return undefined;
      });
      return { port: await listen(server), seen };
    }

    it('reach an https upstream through CONNECT, with the credentials of the proxy URL', async () => {
      const url = await secure();
      const { port, seen } = await proxy();
      const via = open(url, { tls: { ca_file: ca }, proxy: `http://user:p%40ss@127.0.0.1:${port}` });
      expect((await send(via, url)).body).toBe('safe');
      expect((await send(via, url)).body).toBe('safe');
      expect(seen[0]).toEqual({
        line: `CONNECT ${new URL(url).host}`,
        authorization: `Basic ${Buffer.from('user:p@ss').toString('base64')}`,
        host: new URL(url).host,
      });
    });

    it('verify the upstream, not the tunnel', async () => {
      const url = await secure();
      const { port } = await proxy();
      const error = await failure(send(open(url, { proxy: `http://127.0.0.1:${port}` }), url));
      expect(explain(error)).toMatch(/not trusted/);
    });

    it('reach a plain upstream by its whole URL', async () => {
      const server = http.createServer((request, response) =>
        response.end(`plain ${request.url} ${request.headers['proxy-authorization'] ?? 'no secret'}`),
      );
      const url = `http://127.0.0.1:${await listen(server)}/mcp`;
      const { port, seen } = await proxy();
      const via = open(url, { proxy: `http://user:pw@127.0.0.1:${port}` });
      expect((await send(via, url, { body: '{}' })).body).toBe('plain /mcp no secret');
      expect(seen[0]).toMatchObject({ line: `POST ${url}`, host: new URL(url).host });
      expect(seen[0]?.authorization).toMatch(/^Basic /);
    });

    it('are not used by an upstream that has none', async () => {
      const url = await secure();
      const { port, seen } = await proxy();
      const environment = { HTTPS_PROXY: `http://127.0.0.1:${port}` };
      expect((await send(open(url, { tls: { ca_file: ca } }, environment), url)).body).toBe('safe');
      expect(seen).toEqual([]);
    });

    it('say so when they refuse, and name no password', async () => {
      const url = await secure();
      const { port } = await proxy(407);
      const via = open(url, { tls: { ca_file: ca }, proxy: `http://user:secret@127.0.0.1:${port}` });
      const error = await failure(send(via, url));
      expect(explain(error)).toBe(`proxy 127.0.0.1:${port} answered 407 to CONNECT ${new URL(url).host}`);
      expect(staleSocket(error)).toEqual({ reused: false, silent: true });
    });

    it('say so when they are down, or of a kind that is not supported', async () => {
      const url = await secure();
      const { port } = await proxy();
      const server = net.createServer();
      const dead = await listen(server);
      server.close();
      const error = await failure(send(open(url, { proxy: `http://127.0.0.1:${dead}` }), url));
      expect(explain(error)).toBe(`proxy 127.0.0.1:${dead}: connect ECONNREFUSED 127.0.0.1:${dead}`);
      expect(() => open(url, { proxy: `socks5://127.0.0.1:${port}` })).toThrow(
        /socks5:\/\/ is not supported/,
      );
    });
  });
});

describe('the decoder', () => {
  const text = 'data: {"jsonrpc":"2.0"}\n\n'.repeat(1000);
  async function decode(encoding: string, body: Buffer, max = 1e6): Promise<string> {
    const stream = decoder(encoding, max);
    if (!stream) return body.toString();
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    for (let i = 0; i < body.length; i += 7) stream.write(body.subarray(i, i + 7));
    stream.end();
    await once(stream, 'end');
    return Buffer.concat(chunks).toString();
  }

  it('understands gzip, deflate and br, in any pieces, and leaves identity alone', async () => {
    expect(await decode('gzip', gzipSync(text))).toBe(text);
    expect(await decode('GZIP ', gzipSync(text))).toBe(text);
    expect(await decode('deflate', deflateSync(text))).toBe(text);
    expect(await decode('br', brotliCompressSync(text))).toBe(text);
    expect(decoder('identity', 10)).toBeUndefined();
    expect(decoder(undefined, 10)).toBeUndefined();
  });

  it('stops at its bound, however small the body', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024));
    await expect(decode('gzip', bomb, 1024 * 1024)).rejects.toThrow('larger than 1048576 bytes');
  });

  it('fails on what is cut or no such coding', async () => {
    await expect(decode('gzip', gzipSync(text).subarray(0, 50))).rejects.toThrow();
    await expect(decode('gzip', Buffer.from('{"plain":1}'))).rejects.toThrow();
    expect(() => decoder('zstd', 10)).toThrow("content encoding 'zstd' is not supported");
  });
});
