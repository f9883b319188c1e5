/** The port for other replicas: who has not the key of the fleet gets nothing there, and learns nothing. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createTlsServer } from 'node:https';
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { PEER_CIPHER, pskIdentity } from '../../../src/fleet/hop.js';
import { PeerHeaders } from '../../../src/fleet/peer-header.js';
import type { Principal } from '../../../src/protocol/ports.js';
import { createAuthority } from '../../helpers/certificates.js';
import { atEnd } from '../../helpers/cleanup.js';
import { tempFile } from '../../helpers/cli.js';
import { fleetOf, newKey, roaming, startReplica, together } from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { callBody, post, send, type Headers } from '../../helpers/http.js';
import { freePort } from '../../helpers/port.js';
import { startStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const CONFIG = { servers: [{ ...scriptedStdio('s'), placement: 'each' as const }] };
const ANYBODY: Principal = {
  ...{ id: 'anonymous', kind: 'anonymous', name: 'anonymous', credential: '', expires: undefined },
  ...{ groups: [], scopes: [], claims: {} },
};
const HOP = fileURLToPath(new URL('../../../build/fleet/hop.js', import.meta.url));
const KEYS = fileURLToPath(new URL('../../../build/fleet/keys.js', import.meta.url));

interface Pair {
  readonly a: RunningGateway;
  readonly b: RunningGateway;
  /** The origin of the port for replicas of `a`. */
  readonly peer: string;
  readonly port: number;
  readonly key: string;
}

async function startPair(tls: 'off' | 'psk'): Promise<Pair> {
  const store = await startStore();
  const key = newKey();
  const port = await freePort();
  const a = await startReplica(store, CONFIG, { key, fleet: { listen: { port, tls } } });
  const b = await startReplica(store, CONFIG, { key, fleet: { listen: { tls } } });
  await together(a.base, b.base);
  return { a, b, peer: `http://127.0.0.1:${port}`, port, key };
}

const call = (peer: string, headers: Headers) => post(`${peer}/mcp`, callBody('s__cwd', {}, 3), headers);

describe('the port for replicas', () => {
  it('says who it is, and serves nothing without an introduction', async () => {
    const { a, b, peer } = await startPair('off');
    const { replica } = await fleetOf(a.base);
    expect((await send(`${peer}/-/peer`)).json()).toEqual({ replica });
    const client = await roaming(b.url);
    const session = { 'mcp-session-id': client.id };
    for (const path of [
      '/mcp',
      '/servers/s/mcp',
      '/messages?sessionId=x',
      '/health',
      '/metrics',
      '/-/reload',
      '/',
    ])
      expect((await send(`${peer}${path}`)).status).toBe(403);
    expect((await call(peer, session)).status).toBe(403);
    expect(await a.metric('mcpstead_fleet_strangers_total')).toBeGreaterThan(7);
  });

  it('believes no introduction but a fresh one for itself, of its own fleet', async () => {
    const { a, b, peer, key } = await startPair('off');
    const client = await roaming(b.url);
    await client.at(b).listen();
    const [self, other] = [(await fleetOf(a.base)).replica, (await fleetOf(b.base)).replica];
    const keys = new FleetKeys(Buffer.from(key, 'base64url'), []);
    const introduce = (to: string, at = Date.now(), by = keys): Headers => ({
      'mcp-session-id': client.id,
      'mcpstead-peer': new PeerHeaders({ keys: by, self: other, now: () => at }).make(to, ANYBODY),
    });
    // Not its session: it says so, and does nothing.
    expect((await call(peer, introduce(self))).status).toBe(421);
    for (const wrong of [
      introduce(other),
      introduce(self, Date.now() - 400_000),
      introduce(self, Date.now() + 400_000),
      introduce(self, Date.now(), new FleetKeys(randomBytes(32), [])),
      { ...introduce(self), 'mcpstead-peer': introduce(self)['mcpstead-peer']?.slice(0, -1) ?? '' },
    ])
      expect((await call(peer, wrong)).status).toBe(403);
    // Only MCP and the admin API, whoever asks.
    for (const path of ['/health', '/metrics', '/-/reload', '/-/pins', '/-/console/'])
      expect((await send(`${peer}${path}`, undefined, { headers: introduce(self) })).status).toBe(404);
    // What is for operators needs a key, whoever introduces the request.
    expect((await call(`${peer}/-`, introduce(self))).status).toBe(401);
  });

  it('believes an introduction of a client nowhere else', async () => {
    const { a, b, key } = await startPair('off');
    const keys = new FleetKeys(Buffer.from(key, 'base64url'), []);
    const [self, other] = [(await fleetOf(a.base)).replica, (await fleetOf(b.base)).replica];
    const header = new PeerHeaders({ keys, self: other, now: Date.now }).make(self, {
      ...ANYBODY,
      id: 'somebody',
    });
    const client = await roaming(a.url);
    const answer = await post(a.url, callBody('s__cwd', {}, 9), {
      ...client.here.headers,
      'mcpstead-peer': header,
    });
    // The session is anonymous, and so is who asks.
    expect(answer.status).toBe(200);
  });

  it('carries neither credentials nor cookies from one replica to another', async () => {
    const store = await startStore();
    const key = newKey();
    const [wire, port] = [await freePort(), await freePort()];
    const seen: Buffer[] = [];
    const tap = createServer((near) => {
      const far = connectTcp(port, '127.0.0.1');
      near.on('data', (chunk: Buffer) => seen.push(chunk));
      for (const socket of [near, far]) socket.on('error', () => undefined);
      near.pipe(far).pipe(near);
    }).listen(wire, '127.0.0.1');
    await once(tap, 'listening');
    atEnd(() => tap.close());
    const env = { MCPSTEAD_BEARER_TOKEN: 'the-token-of-all' };
    const config = { ...CONFIG, mcp: { auth: { mode: 'bearer' as const } } };
    const fleet = { listen: { port }, address: `127.0.0.1:${wire}` };
    const a = await startReplica(store, config, { key, env, fleet });
    const b = await startReplica(store, config, { key, env });
    await until(async () => (await fleetOf(b.base)).replicas === 2, 'two replicas');
    const headers = { authorization: 'Bearer the-token-of-all', cookie: 'session=secret-cookie' };
    const client = await roaming(a.url, { headers });
    expect(await client.at(b, headers).tool('s__cwd')).toBeDefined();
    const text = Buffer.concat(seen).toString('latin1');
    expect(text).toContain('POST /mcp HTTP/1.1');
    for (const secret of ['the-token-of-all', 'secret-cookie', 'uthorization', 'ookie', 'Origin', 'orwarded'])
      expect(text).not.toContain(secret);
  });
});

describe('the port for replicas with TLS', () => {
  const shake = (port: number, options: ConnectionOptions): Promise<string> =>
    new Promise((resolve) => {
      const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
      socket.once('secureConnect', () => {
        socket.destroy();
        resolve('connected');
      });
      socket.once('error', (error: Error) => {
        resolve(error.message);
      });
      socket.once('close', () => {
        resolve('closed');
      });
    });

  it('forwards as without, and shakes hands only with the key', async () => {
    const { a, b, port, key } = await startPair('psk');
    const client = await roaming(a.url);
    expect(await client.at(b).tool('s__cwd')).toBeDefined();
    const stream = await client.at(b).listen();
    expect(stream.status).toBe(200);
    stream.close();

    const keys = new FleetKeys(Buffer.from(key, 'base64url'), []);
    const psk = (identity: string, secret: Buffer): ConnectionOptions => ({
      ...{ minVersion: 'TLSv1.3', ciphers: PEER_CIPHER },
      pskCallback: () => ({ identity, psk: secret }),
    });
    const identity = pskIdentity(keys.number);
    expect(await shake(port, psk(identity, keys.current('peer')))).toBe('connected');
    for (const wrong of [
      {},
      { maxVersion: 'TLSv1.2' as const },
      psk(identity, randomBytes(32)),
      psk(identity, keys.current('store')),
      psk('mcpstead 999', keys.current('peer')),
      psk('', keys.current('peer')),
      psk('root', keys.current('peer')),
      { ...createAuthority().issue({ dns: ['replica'] }) },
    ])
      expect(await shake(port, wrong)).not.toBe('connected');
    // Plain HTTP gets nothing either.
    await expect(send(`http://127.0.0.1:${port}/-/peer`)).rejects.toThrow();
  });

  it('is refused by replicas if it shows a certificate, even one that this machine trusts', async () => {
    const authority = createAuthority();
    const bodies: string[] = [];
    const server = createTlsServer(authority.issue({ ip: ['127.0.0.1'] }), (req, res) => {
      req.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
      bodies.push(req.url ?? '');
      res.end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    const script = `
      const { Hop } = await import(${JSON.stringify(HOP)});
      const { FleetKeys } = await import(${JSON.stringify(KEYS)});
      const hop = new Hop('127.0.0.1:${port}', { keys: new FleetKeys(Buffer.alloc(32, 1), []), secure: true, caught: console.error });
      const say = (what) => { console.log(what); process.exit(); };
      hop.send({ method: 'POST', path: '/mcp', headers: [], body: Buffer.from('secret') }, {
        head: (status) => say('answered ' + status), data: () => true, end: () => say('ended'),
        said: () => say('said'), failed: (sent) => say('failed, sent: ' + sent),
      });`;
    const ca = await tempFile('ca.pem', authority.cert);
    const run = promisify(execFile);
    // The same machine trusts it: a client that checks certificates alone would send the request.
    const trusting = `const r = await fetch('https://127.0.0.1:${port}/trusted'); console.log(r.status)`;
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
    const evaluate = (text: string) =>
      run(process.execPath, ['--input-type=module', '-e', text], { env }).then(({ stdout }) => stdout.trim());
    expect(await evaluate(trusting)).toBe('200');
    expect(await evaluate(script)).toBe('failed, sent: false');
    expect(bodies).toEqual(['/trusted']);
  });
});
