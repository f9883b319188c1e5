/** The members of a fleet in a store that is slow, or that somebody else writes to. */
import { randomBytes } from 'node:crypto';
import { createServer, connect, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { Members, type MembersDeps } from '../../../src/fleet/members.js';
import type { FleetStore } from '../../../src/fleet/store.js';
import { silent } from '../../../src/observe/log.js';
import { atEnd } from '../../helpers/cleanup.js';
import { openedStore } from '../../helpers/opened-store.js';
import { startStore } from '../../helpers/store.js';
import { until } from '../../helpers/wait.js';

const [A, B, C] = ['aaaaaaaaaa', 'bbbbbbbbbb', 'cccccccccc'] as const;
const KEYS = new FleetKeys(randomBytes(32), []);
const YEAR = 365 * 86_400_000;

interface Replica {
  readonly members: Members;
  readonly count: { strangers: number; emptied: number; reloads: number; gone: string[] };
  /** Moves its clocks on. */
  readonly later: (ms: number) => void;
}

/** Ticks only when it is told to. */
function replica(self: string, store: FleetStore, more: Partial<MembersDeps> = {}): Replica {
  const count = { strangers: 0, emptied: 0, reloads: 0, gone: [] as string[] };
  let ahead = 0;
  const members = new Members({
    ...{ self, store, prefix: 'p', keys: KEYS, log: silent },
    facts: () => ({
      name: self,
      address: '127.0.0.1:1',
      draining: false,
      config: '',
      refused: null,
      up: [],
      lists: '',
    }),
    stranger: () => count.strangers++,
    ticked: () => undefined,
    gone: ({ id }) => count.gone.push(id),
    emptied: () => count.emptied++,
    resumed: () => undefined,
    reload: () => Promise.resolve(void count.reloads++),
    now: () => performance.now() + ahead,
    clock: () => Date.now() + ahead,
    ...more,
  });
  atEnd(() => {
    members.close();
  });
  return { members, count, later: (ms) => (ahead += ms) };
}

const ids = ({ members }: Replica): string[] => [...members.live.keys()].sort();

/** Ticks until all see each other. */
async function together(...replicas: readonly Replica[]): Promise<void> {
  await until(async () => {
    for (const { members } of replicas) await members.tick();
    return replicas.every(({ members }) => members.live.size === replicas.length);
  }, 'the replicas to see each other');
}

describe('a slow store', () => {
  it('that is stopped for a moment proves as much afterwards as before', async () => {
    const server = await startStore();
    const { store, came } = await openedStore(server.url);
    const a = replica(A, store);
    await together(a);
    expect(a.members.isSure).toBe(false);
    a.later(10_000);
    await a.members.tick();
    expect(a.members.isSure).toBe(true);
    const since = store.upSince;
    server.pause();
    await a.members.tick();
    await until(() => store.upSince === undefined, 'the store to be away');
    expect(a.members.isSure).toBe(false);
    server.resume();
    await until(() => store.upSince !== undefined, 'the store to be back');
    await a.members.tick();
    // On a machine that stops this process, too, the break may have been long: then it says so.
    expect(came).toHaveLength(2);
    expect(a.members.isSure).toBe(came[1]);
    expect(store.upSince === since).toBe(came[1]);
  });

  it('with another connection proves nothing for a while', async () => {
    const server = await startStore();
    const { store, came } = await openedStore(server.url);
    const a = replica(A, store);
    await together(a);
    a.later(10_000);
    await a.members.tick();
    expect(a.members.isSure).toBe(true);
    server.cli('client', 'kill', 'type', 'normal');
    await until(() => came.length === 2, 'the store to be back');
    expect(came).toEqual([false, false]);
    await a.members.tick();
    // By its own clock, 10 s ahead, the store has been up for so long; a replica whose clock is right has to wait.
    const b = replica(B, store);
    await b.members.tick();
    expect(b.members.isSure).toBe(false);
    b.later(5000);
    await b.members.tick();
    expect(b.members.isSure).toBe(true);
  });

  it('that was not read for long proves nothing, though it answers', async () => {
    const server = await startStore();
    const { store } = await openedStore(server.url);
    const a = replica(A, store);
    await together(a);
    a.later(10_000);
    await a.members.tick();
    expect(a.members.isSure).toBe(true);
    a.later(4001);
    expect(a.members.isSure).toBe(false);
  });
});

describe('somebody who writes to the store', () => {
  const TYPES: readonly (readonly string[])[] = [
    ['set', 'x'],
    ['rpush', 'x'],
    ['sadd', 'x'],
    ['hset', 'x', 'y'],
    ['zadd', '1', 'x'],
    ['xadd', '*', 'x', 'y'],
  ];

  it.each(['z', 'h', 'e', 'n'])('breaks no fleet by another type of {r}:%s', async (name) => {
    const server = await startStore();
    const { store } = await openedStore(server.url);
    const [a, b] = [replica(A, store), replica(B, store)] as const;
    await together(a, b);
    for (const [command = '', ...rest] of TYPES) {
      server.cli('del', `p:{r}:${name}`);
      server.cli(command, `p:{r}:${name}`, ...rest);
      await together(a, b);
      expect(await a.members.askReload()).toBeGreaterThan(0);
    }
  });

  it('breaks no fleet by values that are too large', async () => {
    const server = await startStore();
    const { store, came } = await openedStore(server.url);
    const [a, b] = [replica(A, store), replica(B, store)] as const;
    await together(a, b);
    for (const name of ['e', 'n']) server.cli('setrange', `p:{r}:${name}`, '100000000', 'x');
    server.cli(
      'eval',
      `for i = 1, 200 do redis.call('HSET', KEYS[1], string.format('%010x', i), string.rep('x', 1000000)) redis.call('ZADD', KEYS[2], '1e15', string.format('%010x', i)) end`,
      '2',
      'p:{r}:h',
      'p:{r}:z',
    );
    await together(a, b);
    expect(await a.members.askReload()).toBeGreaterThan(0);
    // The connection was not ended by answers that are too large.
    expect(came).toHaveLength(1);
  });

  it('fills no memory of replicas with 100,000 of his own', async () => {
    const server = await startStore();
    const { store } = await openedStore(server.url);
    const [a, b] = [replica(A, store), replica(B, store)] as const;
    await together(a, b);
    const fake = (expiry: string): string =>
      `local now = redis.call('TIME')[1] * 1000 for i = 1, 100000 do local id = string.format('%010x', i) redis.call('ZADD', KEYS[2], ${expiry}, id) redis.call('HSET', KEYS[1], id, 'x') end`;
    for (const expiry of ["'9e18'", "'inf'", 'now + 3900']) {
      server.cli('eval', fake(expiry), '2', 'p:{r}:h', 'p:{r}:z');
      await a.members.tick();
      expect(a.members.live.size).toBeLessThanOrEqual(2);
    }
    await together(a, b);
    expect(a.count.strangers).toBeLessThan(100_000);
  });

  it('who asks for a thousand reloads gets one every few seconds', async () => {
    const server = await startStore();
    const { store } = await openedStore(server.url);
    let now = 0;
    const a = replica(A, store, { now: () => now });
    await together(a);
    for (let n = 0; n < 50; n++) {
      server.cli('incrby', 'p:{r}:n', '20');
      await a.members.tick();
    }
    expect(a.count.reloads).toBe(1);
    // The last one is not lost.
    now += 3000;
    await a.members.tick();
    expect(a.count.reloads).toBe(2);
    const last = Number(server.cli('get', 'p:{r}:n'));
    await until(async () => {
      await a.members.tick();
      return a.members.live.get(A)?.reloads === last;
    }, 'the number of the last reload');
  });

  it('who changes the epoch all the time has sessions written again every ten seconds, and makes nobody sure', async () => {
    const server = await startStore();
    const { store } = await openedStore(server.url);
    const a = replica(A, store);
    await together(a);
    a.later(20_000);
    const epoch = (n: number): string => n.toString(16).padStart(24, '0');
    for (let n = 0; n < 20; n++) {
      server.cli('set', 'p:{r}:e', epoch(n));
      await a.members.tick();
      expect(a.members.isSure).toBe(false);
    }
    expect(a.count.emptied).toBe(1);
    a.later(10_000);
    await a.members.tick();
    expect(a.count.emptied).toBe(2);
    expect(a.members.isSure).toBe(false);
    a.later(10_000);
    await a.members.tick();
    expect(a.members.isSure).toBe(true);
    expect(a.count.emptied).toBe(2);
  });

  it('keeps no replica that is gone for long by what it wrote', async () => {
    const server = await startStore();
    const { store } = await openedStore(server.url);
    const [a, b] = [replica(A, store), replica(B, store)] as const;
    await together(a, b);
    const record = (await store.run(
      { name: 'hget', keys: 1, lua: `return redis.call('HGET', KEYS[1], ARGV[1])` },
      ['p:{r}:h'],
      [B],
    )) as Buffer;
    const put = {
      name: 'putback',
      keys: 2,
      lua: `redis.call('ZADD', KEYS[1], redis.call('TIME')[1] * 1000 + 3000, ARGV[1]) redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])`,
    };
    await b.members.leave();
    await a.members.tick();
    expect(ids(a)).toEqual([A]);
    expect(a.count.gone).toEqual([B]);
    // The same under another name, and to others the same later: not theirs.
    await store.run(put, ['p:{r}:z', 'p:{r}:h'], [C, record]);
    await a.members.tick();
    expect(ids(a)).toEqual([A]);
    expect(a.count.strangers).toBe(1);
  });
});

describe('a clock of the store that jumps', () => {
  /** Passes replies of the store on, with other times of ticks. */
  async function shifted(port: number): Promise<{ url: string; by: (ms: number | string) => void }> {
    let by: number | string = 0;
    const proxy = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      for (const socket of [near, far]) socket.on('error', () => undefined);
      near.on('close', () => far.destroy());
      near.pipe(far);
      far.on('data', (data: Buffer) => {
        const text = data.toString('latin1').replace(/\$13\r\n(\d{13})\r\n\$24/, (_all, time: string) => {
          const said = typeof by === 'string' ? by : String(Number(time) + by);
          return `$${said.length}\r\n${said}\r\n$24`;
        });
        near.write(Buffer.from(text, 'latin1'));
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    atEnd(() => proxy.close());
    return {
      url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      by: (ms) => (by = ms),
    };
  }

  it('by years, back or on, or that is no clock, costs nobody the fleet for good', async () => {
    const server = await startStore();
    const way = await shifted(server.port);
    const { store } = await openedStore(way.url);
    const [a, b] = [replica(A, store), replica(B, store)] as const;
    await together(a, b);
    for (const jump of [YEAR * 10, -YEAR * 10, 0, 20_000, -20_000]) {
      way.by(jump);
      await together(a, b);
      await until(async () => {
        await a.members.tick();
        return Math.abs((a.members.clockOffset ?? 0) + jump) < 5000;
      }, 'the time of the store');
    }
    for (const none of ['NaN', '', '-1e999', '99999999999999999999', 'x'.repeat(1000)]) {
      way.by(none);
      await a.members.tick();
      expect(a.members.storeTime()).toBeGreaterThan(0);
    }
    way.by(0);
    await together(a, b);
  });

  it('does not keep alive what ran out before', async () => {
    const server = await startStore();
    const { store } = await openedStore(server.url);
    const [a, b] = [replica(A, store), replica(B, store)] as const;
    await together(a, b);
    // As if B had written itself an hour later, before the clock was set back.
    server.cli('zadd', 'p:{r}:z', String(Date.now() + 3_600_000), B);
    await a.members.tick();
    expect(ids(a)).toEqual([A]);
    expect(a.count.gone).toEqual([B]);
  });
});
