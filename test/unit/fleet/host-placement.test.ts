import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { HostLease, hostName, type HostLeaseDeps, type HostRole } from '../../../src/fleet/host-placement.js';
import { silent } from '../../../src/observe/log.js';
import { until } from '../../helpers/wait.js';

const keysOf = (fill: number): FleetKeys => new FleetKeys(Buffer.alloc(32, fill), []);
const KEYS = keysOf(1);
const unique = (): string => hostName(KEYS, 'test', randomBytes(8).toString('hex'), '{}');

interface Replica {
  readonly lease: HostLease;
  readonly roles: HostRole[];
  readonly served: Socket[];
  readonly warnings: string[];
}

function replica(name: string, more: Partial<HostLeaseDeps> = {}): Replica {
  const [roles, served, warnings]: [HostRole[], Socket[], string[]] = [[], [], []];
  const lease = new HostLease({
    ...{ name, keys: KEYS, server: 's' },
    log: { ...silent, warn: (line) => warnings.push(line) },
    serve: (socket) => {
      served.push(socket);
      socket.resume();
    },
    changed: (role) => roles.push(role),
    ...more,
  });
  onTestFinished(() => {
    lease.close();
  });
  lease.start();
  return { lease, roles, served, warnings };
}

const became = ({ lease }: Replica, role: HostRole): Promise<unknown> =>
  until(() => lease.role === role, `the role ${role}`);

async function stranger(name: string, answer: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    answer(socket);
  });
  await new Promise<void>((resolve) => server.listen({ path: name }, resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return server;
}

describe.runIf(process.platform === 'linux')('placement: host', () => {
  it('makes one replica the holder, and another one the holder once the first has ended', async () => {
    const name = unique();
    const first = replica(name);
    await became(first, 'holder');
    const [second, third] = [replica(name), replica(name)];
    await Promise.all([became(second, 'guest'), became(third, 'guest')]);
    first.lease.close();
    await until(() => [second, third].filter(({ lease }) => lease.role === 'holder').length === 1);
    await until(() => [second, third].filter(({ lease }) => lease.role === 'guest').length === 1);
    expect([...second.warnings, ...third.warnings]).toEqual([]);
  });

  it('connects guests to the holder, without a lost or a further byte', async () => {
    const name = unique();
    const holder = replica(name);
    await became(holder, 'holder');
    const guest = replica(name);
    await became(guest, 'guest');
    const before = holder.served.length;
    const socket = await guest.lease.connect();
    await until(() => holder.served.length === before + 1);
    const got: Buffer[] = [];
    (holder.served.at(-1) as Socket).on('data', (chunk: Buffer) => got.push(chunk));
    socket.write('hello');
    await until(() => Buffer.concat(got).toString() === 'hello');
    socket.destroy();
  });

  it('refuses a process without the key at once, and goes on', async () => {
    const name = unique();
    const holder = replica(name);
    await became(holder, 'holder');
    const socket = connect({ path: name });
    socket.write(Buffer.alloc(64, 5));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => undefined);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(Buffer.concat(chunks).length).toBeLessThanOrEqual(64);
    expect(holder.served).toEqual([]);
    expect(holder.warnings).toHaveLength(1);
    const guest = replica(name);
    await became(guest, 'guest');
  });

  it('names a stranger that has the socket, and sends it nothing but a nonce', async () => {
    const name = unique();
    const got: Buffer[] = [];
    await stranger(name, (socket) => {
      socket.on('data', (chunk: Buffer) => got.push(chunk));
      socket.write(Buffer.alloc(64, 9));
    });
    const one = replica(name);
    await became(one, 'alone');
    expect(one.warnings.join()).toContain('does not have the state key');
    expect(Buffer.concat(got).length).toBeLessThanOrEqual(32);
  });

  it('does not take a reflected or repeated proof', async () => {
    const name = unique();
    // Sends back what it gets: the nonce of the guest, and then whatever the guest proves.
    await stranger(name, (socket) => {
      socket.on('data', (chunk: Buffer) => socket.write(Buffer.concat([chunk, chunk])));
    });
    const one = replica(name);
    await became(one, 'alone');
  });

  it('does not take another fleet for its own', async () => {
    const name = unique();
    const other = replica(name, { keys: keysOf(2) });
    await became(other, 'holder');
    const one = replica(name);
    await became(one, 'alone');
    expect(other.served).toEqual([]);
  });

  it('does not take a holder that ends for a stranger', async () => {
    const name = unique();
    // Its other sockets close before its name is free.
    let visits = 0;
    const ending = await stranger(name, (socket) => {
      visits++;
      socket.destroy();
    });
    const one = replica(name);
    await until(() => visits >= 2);
    ending.close();
    await until(() => one.roles.length > 0, 'a role');
    expect(one.roles).toEqual(['holder']);
  });

  it('frees the name while requests of guests go on, and tells when they have left', async () => {
    const name = unique();
    const first = replica(name);
    await became(first, 'holder');
    const second = replica(name);
    await became(second, 'guest');
    const socket = await second.lease.connect();
    socket.write('x');
    await until(() => first.served.some(({ bytesRead }) => bytesRead > 64), 'the request');
    let isAlone = false;
    void first.lease.left().then(() => (isAlone = true));
    first.lease.release();
    await became(second, 'holder');
    expect(socket.destroyed).toBe(false);
    expect(isAlone).toBe(false);
    socket.destroy();
    await until(() => isAlone);
    // The socket belongs to the second one by now.
    const other = await first.lease.connect();
    expect(second.served).toHaveLength(1);
    other.destroy();
  });

  it('waits for a holder that does not answer, which may be stopped, but not without end', async () => {
    const name = unique();
    let visits = 0;
    await stranger(name, () => visits++);
    const one = replica(name, { proofMs: 20, patienceMs: 100 });
    await until(() => visits >= 2);
    await became(one, 'alone');
    expect(one.warnings.join()).toContain('does not answer');
  });

  it('has another name for another key, prefix, server or configuration', () => {
    const names = [
      hostName(KEYS, 'a', 's', 'c'),
      hostName(keysOf(2), 'a', 's', 'c'),
      hostName(KEYS, 'b', 's', 'c'),
      hostName(KEYS, 'a', 't', 'c'),
      hostName(KEYS, 'a', 's', 'd'),
      hostName(KEYS, 'as', '', 'c'),
    ];
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^\0mcpstead-[\w-]{32}$/);
  });
});
