import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { connect as netConnect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Agent, fetch as undiciFetch } from 'undici';
import { describe, expect, it } from 'vitest';
import { createGateway, type ConfigInput, type Gateway } from '../../src/index.js';
import { createAuthority, type Authority } from '../helpers/certificates.js';
import { atEnd } from '../helpers/cleanup.js';
import { runCli, runConfig, tempDir } from '../helpers/cli.js';
import { begin, keeping, secureSend } from '../helpers/secure.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until, within } from '../helpers/wait.js';

const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };

/** A folder with a certificate for 127.0.0.1, and the CA that issued it. */
async function files(authority: Authority = createAuthority()) {
  const folder = await tempDir();
  const paths = { cert_file: join(folder, 'cert.pem'), key_file: join(folder, 'key.pem') };
  const renew = async (by: Authority = authority): Promise<void> => {
    const { cert, key } = by.issue({ dns: ['gateway.test'], ip: ['127.0.0.1'] });
    await writeFile(paths.cert_file, cert);
    await writeFile(paths.key_file, key);
  };
  await renew();
  return { folder, paths, renew, ca: authority.cert };
}

interface Running {
  readonly gateway: Gateway;
  readonly origin: string;
  readonly admin: string;
  readonly port: number;
}

async function start(config: ConfigInput, env: NodeJS.ProcessEnv = {}): Promise<Running> {
  const gateway = createGateway({ servers: [], host: '127.0.0.1', port: 0, ...config }, { env });
  atEnd(() => gateway.destroy());
  const { url, admin = '', port } = await gateway.listen();
  return { gateway, origin: url.replace(/\/mcp$/, ''), admin, port };
}

describe('http.tls', () => {
  it('serves https, with a certificate that its CA vouches for', async () => {
    const { paths, ca } = await files();
    const { origin } = await start({ http: { tls: paths } });
    expect(origin).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const { status, text, socket } = await secureSend(`${origin}/mcp`, { ca }, PING);
    expect([status, JSON.parse(text)]).toEqual([200, { jsonrpc: '2.0', id: 1, result: {} }]);
    expect(socket.alpnProtocol === false || socket.alpnProtocol === 'http/1.1').toBe(true);
    await expect(secureSend(`${origin}/mcp`, {}, PING)).rejects.toThrow(/certificate/);
    const answer = await undiciFetch(`${origin}/ready`, {
      dispatcher: new Agent({ connect: { ca }, allowH2: true }),
    });
    expect(await answer.json()).toMatchObject({ ready: true });
  });

  it('serves both SDKs, HTTP+SSE too', async () => {
    const { paths, ca } = await files();
    const { gateway, origin } = await start({ http: { tls: paths }, servers: [scriptedStdio('a')] });
    await until(() => gateway.health().status === 'ok');
    const dispatcher = new Agent({ connect: { ca } });
    atEnd(() => dispatcher.destroy());
    const viaTls = ((url: string | URL, init: object) =>
      undiciFetch(url, { ...init, dispatcher })) as unknown as typeof fetch;
    const url = (path: string): URL => new URL(path, origin);
    const v1 = new ClientV1({ name: 'test', version: '1' });
    await v1.connect(new HttpV1(url('/mcp'), { fetch: viaTls }));
    const names = (await v1.listTools()).tools.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(0);
    await v1.close();
    const old = new ClientV1({ name: 'test', version: '1' });
    await old.connect(
      new SSEClientTransport(url('/sse'), { fetch: viaTls, eventSourceInit: { fetch: viaTls } }),
    );
    expect((await old.listTools()).tools.map(({ name }) => name)).toEqual(names);
    await old.close();
    for (const mode of ['auto', 'legacy'] as const) {
      const v2 = new ClientV2({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
      await v2.connect(new HttpV2(url('/mcp'), { fetch: viaTls }));
      expect((await v2.listTools()).tools.map(({ name }) => name)).toEqual(names);
      await v2.close();
    }
  });

  it('closes connections that do not speak TLS, or an older version of it, and serves the others', async () => {
    const { paths, ca } = await files();
    const { origin, port } = await start({ http: { tls: { ...paths, min_version: 'TLSv1.3' } } });
    const plain = plainRequest({ port, host: '127.0.0.1', path: '/health', agent: false });
    const failed = new Promise<Error>((resolve) => plain.on('error', resolve));
    plain.end();
    expect(await within(failed, 'the end of a connection without TLS')).toBeInstanceOf(Error);
    for (const bytes of ['\0\0\0\0\0\0\0\0', 'x'.repeat(70_000), '\x16\x03\x01\x02\x00\x01']) {
      const socket = netConnect(port, '127.0.0.1');
      socket.on('error', () => undefined).on('data', () => undefined);
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.end(bytes);
      await within(closed, 'the end of a connection');
    }
    const options: ConnectionOptions = { port, host: '127.0.0.1', ca, maxVersion: 'TLSv1.2' };
    const older = tlsConnect(options);
    await within(once(older, 'error'), 'the refusal of TLS 1.2');
    expect((await secureSend(`${origin}/health`, { ca, minVersion: 'TLSv1.3' })).status).toBe(200);
  });

  it('answers pipelined requests one after the other, and an unreadable one with 400', async () => {
    const { paths, ca } = await files();
    const { port } = await start({ http: { tls: paths } });
    const socket = tlsConnect({ port, host: '127.0.0.1', ca });
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    const closed = new Promise((resolve) => socket.on('close', resolve));
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    socket.write(`${get('/ready')}${get('/nowhere')}${get('/health')}`);
    await until(() => (text.match(/HTTP\/1/g) ?? []).length === 3, 'three answers');
    socket.write('NONSENSE\r\n\r\n');
    await within(closed, 'the end of the connection');
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))).toEqual([
      200, 404, 200, 400,
    ]);
  });

  it('drains like a port without TLS', async () => {
    const { paths, ca } = await files();
    const { gateway, origin } = await start({ http: { tls: paths } });
    const text = JSON.stringify(PING);
    const call = begin(
      `${origin}/mcp`,
      { ca, method: 'POST', headers: { 'content-type': 'application/json', 'content-length': text.length } },
      text.slice(0, 9),
    );
    await until(async () => (await secureSend(`${origin}/ready`, { ca })).status === 200);
    const closed = gateway.close();
    await until(async () => {
      const { headers } = await secureSend(`${origin}/health`, { ca });
      return headers.connection === 'close';
    }, 'the beginning of the end');
    call.end(text.slice(9));
    expect((await call.answer).status).toBe(200);
    await closed;
    await expect(secureSend(`${origin}/health`, { ca })).rejects.toThrow('ECONNREFUSED');
  });

  it('names what is wrong with the files, where the config has them', async () => {
    const { paths, folder } = await files();
    const other = createAuthority().issue({ ip: ['127.0.0.1'] });
    const text = join(folder, 'text.pem');
    await writeFile(text, 'no certificate');
    const key = join(folder, 'other.pem');
    await writeFile(key, other.key);
    for (const [tls, why] of [
      [{ ...paths, cert_file: text }, /http\.tls\.cert_file: cannot be used with key_file: /],
      [{ ...paths, key_file: key }, /http\.tls\.cert_file: cannot be used with key_file: .*mismatch/],
      [{ ...paths, client_ca_file: text, client_cert: 'optional' }, /client_ca_file: holds no certificate/],
      [{ ...paths, cert_file: join(folder, 'none') }, /http\.tls\.cert_file: cannot read .*none/],
    ] as const)
      expect(() => createGateway({ servers: [], http: { tls } })).toThrow(why);
  });
});

describe('a reload of the certificate', () => {
  it('applies to new connections, and keeps those that are open', async () => {
    const { paths, renew, ca } = await files();
    const config = { servers: [], host: '127.0.0.1', port: 0, http: { tls: paths } };
    const { gateway, origin } = await start(config);
    const agent = keeping({ ca });
    const before = await secureSend(`${origin}/health`, { agent });
    const expiry = async (): Promise<number> => {
      const { text } = await secureSend(`${origin}/metrics`, { ca });
      return Number(/^mcpstead_tls_expiry_timestamp_seconds (\d+)$/m.exec(text)?.[1]);
    };
    expect((await expiry()) * 1000).toBe(Date.parse(before.peer.valid_to));
    await renew();
    const { restart_required } = await gateway.reload();
    expect(restart_required).toEqual([]);
    const kept = await secureSend(`${origin}/health`, { agent });
    expect(kept.socket).toBe(before.socket);
    const after = await secureSend(`${origin}/health`, { ca });
    expect(after.peer.fingerprint256).not.toBe(before.peer.fingerprint256);
    expect((await expiry()) * 1000).toBe(Date.parse(after.peer.valid_to));
  });

  it('is refused if the files cannot be used, and the old certificate stays', async () => {
    const { paths, ca } = await files();
    const { gateway, origin } = await start({ http: { tls: paths } });
    const before = await secureSend(`${origin}/health`, { ca });
    await writeFile(paths.cert_file, 'half a certifi');
    await expect(gateway.reload()).rejects.toThrow(/cert_file: cannot be used/);
    const after = await secureSend(`${origin}/health`, { ca });
    expect(after.peer.fingerprint256).toBe(before.peer.fingerprint256);
  });

  it('happens on SIGHUP; mcpstead health asks by https', async () => {
    const { paths, renew, ca } = await files();
    const cli = await runConfig({ port: 0, servers: [], http: { tls: paths } });
    const origin = await cli.listening();
    expect(origin).toMatch(/^https:/);
    const shown = async (): Promise<string> =>
      (await secureSend(`${origin}/health`, { ca })).peer.fingerprint256;
    const before = await shown();
    await renew();
    cli.kill('SIGHUP');
    await until(async () => (await shown()) !== before, 'the new certificate');
    await until(() => cli.stdout.includes('TLS certificates renewed'), 'the line of the log');
    const { port } = new URL(origin);
    await writeFile(cli.path, JSON.stringify({ port: Number(port), servers: [], http: { tls: paths } }));
    const asked = runCli(['health', '-c', cli.path]);
    expect([await asked.exit(), asked.stdout]).toEqual([0, 'ready\n']);
    // By URL the certificate has to be right.
    const strange = runCli(['health', '--url', origin]);
    expect(await strange.exit()).toBe(1);
    expect(strange.stderr).toMatch(/not ready: https:.*certificate/);
    const caFile = join(await tempDir(), 'ca.pem');
    await writeFile(caFile, ca);
    const trusted = runCli(['health', '--url', origin], { env: { NODE_EXTRA_CA_CERTS: caFile } });
    expect(await trusted.exit()).toBe(0);
  });

  it('turned on or off, or another client_cert, needs a restart', async () => {
    const { paths, ca } = await files();
    const { gateway, origin } = await start({ http: { tls: paths } });
    const off = await gateway.reload({ servers: [], host: '127.0.0.1', port: 0 });
    expect(off.restart_required).toEqual(['http.tls']);
    expect((await secureSend(`${origin}/health`, { ca })).status).toBe(200);
  });
});

describe('client certificates', () => {
  async function withClients(client_cert: 'optional' | 'required', more: ConfigInput = {}) {
    const clients = createAuthority('Client CA');
    const { paths, folder, ca } = await files();
    const client_ca_file = join(folder, 'clients.pem');
    await writeFile(client_ca_file, clients.cert);
    const running = await start({ http: { tls: { ...paths, client_ca_file, client_cert } }, ...more });
    const issue = (by: Authority) => ({ ca, ...by.issue({ dns: ['laptop.test'] }) });
    return { ...running, clients, client_ca_file, ca, issue };
  }

  it('are required where they are, of the CA for clients alone', async () => {
    const { origin, clients, ca, issue } = await withClients('required');
    expect((await secureSend(`${origin}/mcp`, issue(clients), PING)).status).toBe(200);
    await expect(secureSend(`${origin}/mcp`, { ca }, PING)).rejects.toThrow();
    await expect(secureSend(`${origin}/mcp`, issue(createAuthority('Client CA')), PING)).rejects.toThrow();
    expect((await secureSend(`${origin}/mcp`, issue(clients), PING)).status).toBe(200);
  });

  it('may be missing where they are optional', async () => {
    const { origin, clients, ca, issue } = await withClients('optional');
    expect((await secureSend(`${origin}/mcp`, { ca }, PING)).status).toBe(200);
    expect((await secureSend(`${origin}/mcp`, issue(clients), PING)).status).toBe(200);
  });

  it('identify their holders', async () => {
    const auth = {
      client_cert: { id: 'san_dns' as const, groups: ['laptops'] },
      admins: [{ ids: ['cert:laptop.test'], groups: ['laptops'] }],
    };
    const { gateway, origin, clients, client_ca_file, ca, issue } = await withClients('optional', {
      mcp: { auth },
    });
    const own = issue(clients);
    const reload = (options: object): Promise<number> =>
      secureSend(`${origin}/-/reload`, { method: 'POST', ...options }).then(({ status }) => status);
    expect((await secureSend(`${origin}/mcp`, own, PING)).status).toBe(200);
    expect((await secureSend(`${origin}/mcp`, { ca }, PING)).status).toBe(401);
    // Shown, and of another CA of the same name.
    expect((await secureSend(`${origin}/mcp`, issue(createAuthority('Client CA')), PING)).status).toBe(401);
    const wrong = { ...own, headers: { authorization: 'Bearer wrong' } };
    expect((await secureSend(`${origin}/mcp`, wrong, PING)).status).toBe(401);
    expect(await reload(own)).toBe(200);
    const guest = { ca, ...clients.issue({ dns: ['guest.test'] }) };
    expect(await reload(guest)).toBe(403);
    expect((await secureSend(`${origin}/mcp`, guest, PING)).status).toBe(200);

    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    const opened = await secureSend(`${origin}/mcp`, own, { ...PING, method: 'initialize', params });
    const session = { headers: { 'mcp-session-id': String(opened.headers['mcp-session-id']) } };
    expect((await secureSend(`${origin}/mcp`, { ...own, ...session }, PING)).status).toBe(200);
    // Another holder has no such session.
    expect((await secureSend(`${origin}/mcp`, { ...guest, ...session }, PING)).status).toBe(404);
    await writeFile(client_ca_file, createAuthority('Client CA').cert);
    await gateway.reload();
    expect((await secureSend(`${origin}/mcp`, { ...own, ...session }, PING)).status).toBe(401);
    await writeFile(client_ca_file, clients.cert);
    await gateway.reload();
    expect((await secureSend(`${origin}/mcp`, { ...own, ...session }, PING)).status).toBe(404);
  });

  it('of a CA that was replaced end with their connection, once its answer is there', async () => {
    const { gateway, origin, clients, client_ca_file, ca, issue } = await withClients('optional');
    const own = issue(clients);
    const [idle, busy, without] = [keeping(own), keeping(own), keeping({ ca })];
    const first = await secureSend(`${origin}/health`, { agent: idle });
    const idleClosed = once(first.socket, 'close');
    const other = await secureSend(`${origin}/health`, { agent: without });
    const text = JSON.stringify(PING);
    const headers = { 'content-type': 'application/json', 'content-length': text.length };
    const call = begin(`${origin}/mcp`, { agent: busy, method: 'POST', headers }, text.slice(0, 9));
    // The request has to be under way: a later one is answered, on a connection that was opened later.
    await secureSend(`${origin}/health`, own);
    await secureSend(`${origin}/health`, own);

    await writeFile(client_ca_file, createAuthority('Client CA').cert);
    await gateway.reload();
    await within(idleClosed, 'the end of the idle connection');
    call.end(text.slice(9));
    const answer = await call.answer;
    expect(JSON.parse(answer.text)).toEqual({ jsonrpc: '2.0', id: 1, result: {} });
    if (!answer.socket.destroyed)
      await within(once(answer.socket, 'close'), 'the end of the busy connection');
    const again = await secureSend(`${origin}/health`, { agent: without });
    expect(again.socket).toBe(other.socket);
  });

  it('of a replaced CA are not taken from a resumed TLS session', async () => {
    const { gateway, clients, client_ca_file, port, issue } = await withClients('required');
    const options: ConnectionOptions = {
      host: '127.0.0.1',
      port,
      servername: 'gateway.test',
      maxVersion: 'TLSv1.2',
      ...issue(clients),
    };
    const first = tlsConnect(options);
    await within(once(first, 'secureConnect'), 'a connection');
    const session = first.getSession();
    first.destroy();
    const second = tlsConnect({ ...options, session });
    await within(once(second, 'secureConnect'), 'a resumed connection');
    expect(second.isSessionReused()).toBe(true);
    second.destroy();
    await writeFile(client_ca_file, createAuthority('Client CA').cert);
    await gateway.reload();
    const third = tlsConnect({ ...options, session });
    await within(once(third, 'error'), 'the refusal of the old certificate');
  });

  it('of a replaced CA are not taken from a handshake that began before', async () => {
    const { gateway, clients, client_ca_file, port, issue } = await withClients('required');
    const held: Buffer[] = [];
    let release = (): void => undefined;
    // Passes on the first flight of the client, and holds back the one with its certificate.
    const relay = createServer((near) => {
      const far = netConnect(port, '127.0.0.1');
      let first = true;
      far.on('data', (bytes) => near.write(bytes)).on('close', () => near.destroy());
      near
        .on('close', () => far.destroy())
        .on('data', (bytes: Buffer) => {
          if (first) far.write(bytes);
          else held.push(bytes);
          first = false;
        });
      for (const side of [near, far]) side.on('error', () => undefined);
      release = () => void far.write(Buffer.concat(held));
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    atEnd(() => relay.close());
    const client = tlsConnect({
      host: '127.0.0.1',
      port: (relay.address() as AddressInfo).port,
      servername: 'gateway.test',
      maxVersion: 'TLSv1.2',
      ...issue(clients),
    });
    client.on('error', () => undefined);
    const end = Promise.race([
      new Promise((resolve) => client.once('secureConnect', () => resolve('connected'))),
      new Promise((resolve) => client.once('close', () => resolve('closed'))),
    ]);
    await until(() => held.length > 0);
    await writeFile(client_ca_file, createAuthority('Client CA').cert);
    await gateway.reload();
    release();
    expect(await within(end, 'the end of the handshake')).toBe('closed');
  });

  it('are named by mcpstead health, if it has none', async () => {
    const { paths, folder } = await files();
    const client_ca_file = join(folder, 'clients.pem');
    await writeFile(client_ca_file, createAuthority('Client CA').cert);
    const tls = { ...paths, client_ca_file, client_cert: 'required' };
    const cli = await runConfig({ port: 0, servers: [], http: { tls } });
    const port = Number(new URL(await cli.listening()).port);
    await writeFile(cli.path, JSON.stringify({ port, servers: [], http: { tls } }));
    const asked = runCli(['health', '-c', cli.path]);
    expect(await asked.exit()).toBe(1);
    expect(asked.stderr).toMatch(/http\.tls\.client_cert is required: set admin\.port/);
  });
});
