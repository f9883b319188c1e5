import { createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { readStore } from '../../../src/config/fleet.js';
import {
  openStore,
  StoreError,
  type FleetStore,
  type FleetStoreDeps,
  type Script,
} from '../../../src/fleet/store.js';
import { atEnd } from '../../helpers/cleanup.js';
import { freePort } from '../../helpers/port.js';
import { has, startCluster, startSentinels, startStore } from '../../helpers/store.js';
import { until } from '../../helpers/wait.js';

const ECHO: Script = { name: 'echo', lua: 'return {KEYS[1], ARGV[1], #ARGV[1]}', keys: 1 };
const PUT: Script = { name: 'put', lua: "redis.call('SET', KEYS[1], ARGV[1]) return 1", keys: 1 };

interface Opened {
  readonly store: FleetStore;
  readonly changes: boolean[];
  /** For each change: whether the store was only slow. */
  readonly same: boolean[];
  readonly lines: string[];
  readonly measured: [string, boolean][];
  readonly up: () => Promise<void>;
  readonly down: () => Promise<void>;
}

function open(url: string, more: Partial<FleetStoreDeps> = {}): Opened {
  const config = readStore(url);
  if (typeof config === 'string') throw new Error(config);
  const [changes, lines, measured]: [boolean[], string[], [string, boolean][]] = [[], [], []];
  const same: boolean[] = [];
  const line = (message: string, fields: unknown): void => {
    lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  };
  const store = openStore(config, {
    log: { debugEnabled: false, debug: line, info: line, warn: line, error: line },
    measured: (op, seconds, ok) => {
      expect(seconds).toBeGreaterThanOrEqual(0);
      measured.push([op, ok]);
    },
    changed: (isUp, isSame) => {
      expect(store.upSince !== undefined).toBe(isUp);
      changes.push(isUp);
      same.push(isSame);
    },
    ...more,
  });
  atEnd(() => {
    store.close();
  });
  return {
    store,
    changes,
    same,
    lines,
    measured,
    up: async () => void (await until(() => store.upSince !== undefined, 'the store')),
    down: async () => void (await until(() => store.upSince === undefined, 'the end of the store')),
  };
}

async function failure(promise: Promise<unknown>): Promise<StoreError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(StoreError);
  return error as StoreError;
}

/** Writes until it works. */
async function written(store: FleetStore, key: string): Promise<void> {
  await until(
    () =>
      store.set(key, Buffer.from('x')).then(
        () => true,
        () => false,
      ),
    'a write',
  );
}

describe.runIf(has('redis', 'cli', 'valkey'))('the store of a fleet', () => {
  describe.each(['redis', 'valkey'] as const)('%s', (kind) => {
    test('gets, sets, deletes and runs scripts, with bytes', async () => {
      const server = await startStore({ kind });
      const { store, up, changes, lines, measured } = open(server.url);
      expect(store.upSince).toBeUndefined();
      expect((await failure(store.get('a'))).why).toBe('away');
      await up();
      expect(changes).toEqual([true]);
      const bytes = Buffer.from([0, 255, 13, 10, 36]);
      expect(await store.get('a')).toBeUndefined();
      await store.set('a', bytes);
      expect(await store.get('a')).toEqual(bytes);
      expect(server.cli('ttl', 'a')).toBe('-1');
      await store.set('a', bytes, 60_000);
      expect(Number(server.cli('pttl', 'a'))).toBeGreaterThan(1000);
      await store.delete('a');
      expect(await store.get('a')).toBeUndefined();
      for (let round = 0; round < 3; round++)
        expect(await store.run(ECHO, ['k'], [bytes])).toEqual([Buffer.from('k'), bytes, 5]);
      // The server forgets its scripts.
      server.cli('script', 'flush');
      expect(await store.run(ECHO, ['k'], ['x'])).toEqual([Buffer.from('k'), Buffer.from('x'), 1]);
      expect(measured.map(([op]) => op)).toEqual('get set get set delete get echo echo echo echo'.split(' '));
      expect(measured.every(([, ok]) => ok)).toBe(true);
      expect(lines).toEqual([]);
    });

    test('a paused server: commands end, and later ones work', async () => {
      const server = await startStore({ kind });
      const { store, up, down, changes, same, lines } = open(server.url);
      await up();
      const first = store.upSince;
      server.pause();
      const late = await Promise.all([failure(store.get('a')), failure(store.run(PUT, ['b'], ['1']))]);
      expect(late.map(({ why }) => why)).toEqual(['away', 'away']);
      await down();
      // At once: it is away.
      expect((await failure(store.get('a'))).why).toBe('away');
      server.resume();
      await up();
      // The connection stayed, unless this process was stopped, too.
      expect(store.upSince === first).toBe(same.at(-1));
      await store.set('a', Buffer.from('1'));
      expect(changes).toEqual([true, false, true]);
      expect(lines).toHaveLength(2);
    });

    test('a killed server that comes back empty', async () => {
      const server = await startStore({ kind });
      const { store, up, down, changes } = open(server.url);
      await up();
      await store.run(PUT, ['a'], ['1']);
      await server.kill();
      await down();
      expect((await failure(store.get('a'))).why).toBe('away');
      await startStore({ kind, port: server.port });
      await up();
      expect(await store.get('a')).toBeUndefined();
      // Its scripts are gone too.
      await store.run(PUT, ['a'], ['2']);
      expect(await store.get('a')).toEqual(Buffer.from('2'));
      expect(changes).toEqual([true, false, true]);
    });
  });

  test('a server that comes later', async () => {
    const port = await freePort();
    const { up, lines, changes } = open(`redis://127.0.0.1:${port}`);
    await until(() => lines.length > 0);
    expect(lines).toEqual(['the store of the fleet is away {"cause":"nobody listens at its address"}']);
    await startStore({ port });
    await up();
    expect(changes).toEqual([true]);
    expect(lines).toHaveLength(2);
  });

  test('a wrong password, and no password, are said without it', async () => {
    const server = await startStore({ args: ['--requirepass', 'right-secret'] });
    const wrong = open(`redis://user:wrong-secret@127.0.0.1:${server.port}`);
    const none = open(server.url);
    const right = open(`redis://:right-secret@127.0.0.1:${server.port}`);
    await right.up();
    await until(() => wrong.lines.length > 0 && none.lines.length > 0);
    expect(wrong.lines.join()).toContain('does not accept the user and password');
    expect(none.lines.join()).toContain('asks for a password');
    const { message } = await failure(wrong.store.get('a'));
    expect([...wrong.lines, message].join()).not.toMatch(/secret|user:/);
    expect(wrong.changes).toEqual([]);
  });

  test('a database that is not there is not replaced by another', async () => {
    const server = await startStore({ args: ['--databases', '2'] });
    const one = open(`${server.url}/1`);
    await one.up();
    await one.store.set('a', Buffer.from('1'));
    expect(server.cli('-n', '1', 'get', 'a')).toBe('1');
    const five = open(`${server.url}/5`);
    await until(() => five.lines.some((line) => line.includes('does not have the database')));
    expect(five.store.upSince).toBeUndefined();
  });

  test('a policy that throws keys away is said once', async () => {
    const server = await startStore({ args: ['--maxmemory-policy', 'allkeys-lru'] });
    const { up, lines } = open(server.url);
    await up();
    await until(() => lines.length > 0);
    expect(lines).toHaveLength(1);
    expect(lines.join()).toMatch(/noeviction.*allkeys-lru/);
  });

  test('what a user may not do is refused, and the store stays', async () => {
    const server = await startStore();
    server.cli(
      'acl',
      'setuser',
      'fleet',
      'on',
      '>pass',
      '~p:*',
      '+@read',
      '+@write',
      '+@connection',
      '+eval',
      '+evalsha',
    );
    const { store, up, changes, lines } = open(`redis://fleet:pass@127.0.0.1:${server.port}`);
    await up();
    await store.set('p:a', Buffer.from('1'));
    const { why, message } = await failure(store.set('other', Buffer.from('1')));
    expect(why).toBe('refused');
    expect(message).not.toContain('other');
    await store.run(PUT, ['p:b'], ['1']);
    expect(changes).toEqual([true]);
    expect(lines).toEqual([]);
  });

  test('a replica is no store', async () => {
    const primary = await startStore();
    const replica = await startStore({ args: ['--replicaof', '127.0.0.1', String(primary.port)] });
    const { store, lines, up } = open(replica.url);
    await until(() => lines.some((line) => line.includes('it is a replica')));
    expect(store.upSince).toBeUndefined();
    replica.cli('replicaof', 'no', 'one');
    await up();
  });

  test('sentinels: a killed primary, and its replica', async () => {
    const { url, primary, replica } = await startSentinels();
    const { store, up, down, changes } = open(url);
    await up();
    await store.run(PUT, ['a'], ['1']);
    await until(() => replica.cli('get', 'a') === '1');
    await primary.kill();
    await down();
    await up();
    expect(await store.get('a')).toEqual(Buffer.from('1'));
    await store.run(PUT, ['b'], ['2']);
    expect(replica.cli('get', 'b')).toBe('2');
    expect(changes.slice(0, 3)).toEqual([true, false, true]);
  });

  test('a cluster: each slot, and no primary lost', async () => {
    const { url } = await startCluster();
    const { store, up } = open(url);
    await up();
    for (let at = 0; at < 50; at++) {
      await store.run(PUT, [`k${at}`], [String(at)]);
      expect(await store.get(`k${at}`)).toEqual(Buffer.from(String(at)));
    }
  });

  test('a cluster: a killed primary, and its replica', async () => {
    const { url, primaries } = await startCluster({ replicas: true });
    const { store, up, changes } = open(url);
    await up();
    for (let at = 0; at < 20; at++) await store.set(`k${at}`, Buffer.from('1'));
    await primaries[1]?.kill();
    for (let at = 0; at < 20; at++) await written(store, `k${at}`);
    await up();
    expect(changes.slice(0, 3)).toEqual([true, false, true]);
  });

  test('the package is missing', () => {
    const load = (): never => {
      throw Object.assign(new Error('Cannot find module'), { code: 'MODULE_NOT_FOUND' });
    };
    expect(() => open('redis://127.0.0.1:1', { load })).toThrow('npm install ioredis@~6.0.0');
  });

  test('a closed store does nothing, and says nothing more', async () => {
    const server = await startStore();
    const { store, up, changes, lines } = open(server.url);
    await up();
    server.pause();
    const waiting = failure(store.get('a'));
    store.close();
    store.close();
    expect((await waiting).why).toBe('away');
    expect((await failure(store.get('a'))).message).toBe('the store is closed');
    server.resume();
    await until(() => !server.cli('client', 'list').includes('cmd=get'));
    expect(changes).toEqual([true]);
    expect(lines).toEqual([]);
  });
});

describe('a hostile store', () => {
  /** Answers each command with `answer`. */
  async function hostile(answer: (command: string, socket: Socket) => void): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        answer(data.toString('latin1').toLowerCase(), socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    atEnd(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return `127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  const ANSWERS: readonly [string, string][] = [
    ['a push', '>1\r\n_\r\n'],
    ['a push of null', '>2\r\n$9\r\nsubscribe\r\n$-1\r\n'],
    ['more than was asked for', '$-1\r\n$-1\r\n$-1\r\n'],
    ['an array of a billion', '*999999999\r\n'],
    ['a redirect to nowhere', '-MOVED 5\r\n'],
    ['a line without end', `+${'x'.repeat(20_000)}`],
    ['a lone carriage return', '+a\rX>1\r\n_\r\n'],
    ['null', '$-1\r\n'],
    ['a number', ':5\r\n'],
    ['an endless load', '$48\r\nloading:1\r\nloading_eta_seconds:x\r\nrole:master\r\n\r\n\r\n'],
    ['too many slots', '*1\r\n*3\r\n:0\r\n:999999999999\r\n*2\r\n$1\r\nx\r\n:1\r\n'],
  ];

  test.each(['redis://', 'redis+cluster://', 'redis+sentinel://'])('%s', async (scheme) => {
    for (const [what, answer] of ANSWERS) {
      let asked = 0;
      const address = await hostile((_command, socket) => {
        asked++;
        socket.write(answer, 'latin1');
      });
      const { store } = open(`${scheme}:secret@${address}${scheme.includes('sentinel') ? '/name' : ''}`);
      await until(() => asked > 2, `three questions after ${what}`);
      store.close();
    }
  });
});
