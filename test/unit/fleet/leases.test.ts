import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { leaseNames, sealLease, type StoredLease } from '../../../src/fleet/lease-values.js';
import { FleetLease, type FleetLeaseDeps, type LeaseRole } from '../../../src/fleet/leases.js';
import { StoreError, type FleetStore } from '../../../src/fleet/store.js';
import { silent } from '../../../src/observe/log.js';

const KEY = Buffer.alloc(32, 1);
const KEYS = new FleetKeys(KEY, []);
const [A, B, C] = ['aaaaaaaaaa', 'bbbbbbbbbb', 'cccccccccc'];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance', 'Date'] });
  vi.setSystemTime(1_700_000_000_000);
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

/** What the script does, for a store whose clock is that of the test. */
class Store {
  readonly values = new Map<string, { value: Buffer; until: number }>();
  /** Of which the next replies are lost after the script has run. */
  lost = 0;

  get(key: string): Buffer | undefined {
    const held = this.values.get(key);
    if (held && held.until <= performance.now()) this.values.delete(key);
    return this.values.get(key)?.value;
  }

  put(key: string, value: Buffer, ttlMs = 10_000): void {
    this.values.set(key, { value, until: performance.now() + ttlMs });
  }

  /** The way of one replica to it. */
  seenBy(): { isCut: boolean; commands: number; store: FleetStore } {
    const way = {
      isCut: false,
      commands: 0,
      store: {
        run: async (_script: unknown, [key = '']: string[], args: (string | number | Buffer)[]) => {
          way.commands++;
          await Promise.resolve();
          if (way.isCut) throw new StoreError('away', 'cut');
          const answer = this.#run(key, args);
          if (this.lost > 0 && this.lost-- > 0) throw new StoreError('away', 'the reply is lost');
          return answer;
        },
      } as unknown as FleetStore,
    };
    return way;
  }

  #run(key: string, [value = '', makes, exact = '', ...begins]: (string | number | Buffer)[]): unknown {
    const held = this.get(key);
    if (!held) {
      if (makes !== 1) return 0;
      this.put(key, Buffer.from(value as Buffer));
      return 2;
    }
    const text = held.toString('latin1');
    const isMine =
      (exact.toString() !== '' && held.equals(Buffer.from(exact as Buffer))) ||
      begins.some((begin) => text.startsWith(begin.toString()));
    if (isMine) {
      this.put(key, Buffer.from(value as Buffer));
      return 1;
    }
    const entry = this.values.get(key) as { until: number };
    entry.until = Math.min(entry.until, performance.now() + 10_000);
    return [entry.until - performance.now(), held];
  }
}

interface Replica {
  readonly lease: FleetLease;
  readonly roles: LeaseRole[];
  readonly way: ReturnType<Store['seenBy']>;
  readonly skew: { now: number; clock: number };
  readonly facts: { sure: boolean; strangers: number; warnings: string[]; killed: number; resumed: number };
  /** Starts a child, which ends when it is killed, or by the function that is returned. */
  child(): () => void;
}

function replica(store: Store, self: string, more: Partial<FleetLeaseDeps> = {}): Replica {
  const way = store.seenBy();
  const skew = { now: 0, clock: 0 };
  const facts = { sure: true, strangers: 0, warnings: [] as string[], killed: 0, resumed: 0 };
  const roles: LeaseRole[] = [];
  const lease = new FleetLease({
    ...{ self, prefix: 'p', server: 's', config: '{}', keys: KEYS, store: way.store },
    log: { ...silent, warn: (line) => facts.warnings.push(line) },
    isSure: () => facts.sure,
    storeTime: () => 1_700_000_000_000 + performance.now(),
    isKnown: (id) => [A, B, C].includes(id),
    stranger: () => facts.strangers++,
    changed: (role) => roles.push(role),
    now: () => performance.now() + skew.now,
    clock: () => Date.now() + skew.clock,
    ...more,
  });
  const child = (): (() => void) => {
    const ended = lease.started({
      kill: () => {
        facts.killed++;
        ended();
      },
      resume: () => facts.resumed++,
    });
    return ended;
  };
  return { lease, roles, way, skew, facts, child };
}

const [NAME = ''] = leaseNames(KEYS, 'p', 's', '{}');
const STORED = `p:l:${NAME}`;
const sealed = (lease: Partial<StoredLease>, keys = KEYS): Buffer =>
  sealLease(keys, NAME, { number: 1, owner: B, at: 1_700_000_000_000 + performance.now(), ...lease });

/** A replica that has the lease. */
async function holder(store: Store, self = A): Promise<Replica> {
  const made = replica(store, self);
  made.lease.start();
  await pass(3000);
  expect(made.lease.holds()).toBe(true);
  return made;
}

describe('a lease', () => {
  it('has one holder; the others know it, and one of them follows after it was released', async () => {
    const store = new Store();
    const [a, b, c] = [await holder(store), replica(store, B), replica(store, C)];
    for (const { lease } of [b, c]) lease.start();
    await pass(5000);
    expect([a, b, c].map(({ lease }) => lease.role)).toEqual(['holder', 'guest', 'guest']);
    expect(b.lease.owner).toBe(A);
    expect(b.lease.holds()).toBe(false);
    const ended = a.child();
    const released = a.lease.release();
    await pass(5000);
    // Not before its child has ended.
    expect([a, b, c].map(({ lease }) => lease.role)).toEqual(['holder', 'guest', 'guest']);
    ended();
    await released;
    await pass(2100);
    const roles = [b, c].map(({ lease }) => lease.role).sort();
    expect(roles).toEqual(['guest', 'holder']);
    expect([...b.roles, ...c.roles].filter((role) => role === 'holder')).toHaveLength(1);
  });

  it('waits before it begins where no replica was seen with it, and not after one that ran out', async () => {
    const store = new Store();
    const a = replica(store, A);
    a.lease.start();
    await pass(1000);
    expect(store.get(STORED)).toBeDefined();
    expect(a.lease.role).toBe('seeking');
    await pass(1600);
    expect(a.lease.role).toBe('holder');
    const b = replica(store, B);
    b.lease.start();
    await pass(100);
    // Killed.
    a.lease.close();
    await pass(10_000);
    expect(b.lease.role).toBe('holder');
    expect(b.roles).toEqual(['guest', 'holder']);
  });

  it('is not taken while the store is young', async () => {
    const store = new Store();
    const a = replica(store, A);
    a.facts.sure = false;
    a.lease.start();
    await pass(20_000);
    expect(store.get(STORED)).toBeUndefined();
    expect(a.lease.role).toBe('seeking');
    a.facts.sure = true;
    await pass(4000);
    expect(a.lease.role).toBe('holder');
    // The holder writes it again, as long as it may be sure that nobody else has it.
    a.facts.sure = false;
    store.values.clear();
    await pass(2000);
    expect(store.get(STORED)).toBeDefined();
    expect(a.lease.holds()).toBe(true);
  });

  it('is counted from the moment a renewal was sent, also if its reply is lost', async () => {
    const store = new Store();
    const a = await holder(store);
    store.lost = 2;
    await pass(4000);
    expect(a.lease.role).toBe('holder');
    expect(store.lost).toBe(0);
    const b = replica(store, B);
    store.lost = 1;
    a.lease.close();
    await pass(10_001);
    b.lease.start();
    await pass(6000);
    expect(b.lease.role).toBe('holder');
  });
});

describe('a holder that is cut off', () => {
  it('sends nothing after 6 s, and goes on if the store is back before 8', async () => {
    const store = new Store();
    const a = await holder(store);
    a.child();
    a.way.isCut = true;
    await pass(5900);
    await pass(200);
    expect(a.lease.holds()).toBe(false);
    expect(a.lease.role).toBe('paused');
    expect(a.facts.killed).toBe(0);
    a.way.isCut = false;
    await pass(600);
    expect(a.lease.holds()).toBe(true);
    expect(a.facts).toMatchObject({ killed: 0, resumed: 1 });
    expect(a.roles).toEqual(['holder', 'paused', 'holder']);
  });

  it('has killed its children before another one begins', async () => {
    const store = new Store();
    const [a, b] = [await holder(store), replica(store, B)];
    b.lease.start();
    a.child();
    await pass(2000);
    a.way.isCut = true;
    while (a.facts.killed === 0) {
      expect(b.lease.role).toBe('guest');
      await pass(50);
    }
    expect(a.lease.role).toBe('seeking');
    expect(b.lease.role).toBe('guest');
    await pass(2200);
    expect(b.lease.role).toBe('holder');
    a.way.isCut = false;
    await pass(1000);
    expect(a.lease.role).toBe('guest');
    expect(a.lease.owner).toBe(B);
  });

  it('begins no new term before its children have ended', async () => {
    const store = new Store();
    const a = await holder(store);
    let ended = (): void => undefined;
    ended = a.lease.started({ kill: () => undefined, resume: () => undefined });
    a.skew.clock += 9000;
    a.lease.check();
    await pass(5000);
    expect(a.lease.role).toBe('seeking');
    ended();
    await pass(100);
    expect(a.lease.role).toBe('holder');
  });
});

describe('the two clocks', () => {
  it.each(['now', 'clock'] as const)(
    'a holder that was stopped, as %s tells, sends nothing',
    async (which) => {
      const store = new Store();
      const a = await holder(store);
      a.child();
      a.skew[which] += 6500;
      // No timer has run.
      expect(a.lease.holds()).toBe(false);
      expect(a.lease.role).toBe('paused');
      a.skew[which] += 5000;
      a.lease.check();
      expect(a.facts.killed).toBe(1);
      expect(a.lease.role).toBe('seeking');
    },
  );

  it('kills at once what a replica has that was stopped for longer than the lease', async () => {
    const store = new Store();
    const [a, b] = [await holder(store), replica(store, B)];
    b.lease.start();
    await pass(2000);
    a.child();
    // Its commands do not reach the store, and its timers do nothing.
    a.way.isCut = true;
    a.skew.now -= 30_000;
    a.skew.clock -= 30_000;
    await pass(12_000);
    expect(b.lease.role).toBe('holder');
    a.skew.now = a.skew.clock = 0;
    expect(a.lease.holds()).toBe(false);
    expect(a.facts.killed).toBe(1);
  });

  it('a wall clock that is set back changes nothing; one that is set forward costs the child', async () => {
    const store = new Store();
    const a = await holder(store);
    a.child();
    a.skew.clock -= 3_600_000;
    await pass(5000);
    expect(a.lease.holds()).toBe(true);
    a.skew.clock += 7_200_000;
    expect(a.lease.holds()).toBe(false);
    expect(a.facts.killed).toBe(1);
    await pass(2500);
    expect(a.lease.holds()).toBe(true);
  });
});

describe('somebody else who writes to the store', () => {
  const other = new FleetKeys(randomBytes(32), []);

  it.each([
    ['is not sealed', () => Buffer.from(`9:${B}:x`)],
    ['is sealed with another key', () => sealed({}, other)],
    ['is empty', () => Buffer.alloc(0)],
    ['was put back', () => sealed({ at: 1_700_000_000_000 - 60_000 })],
  ])('a value that %s blocks the lease until it runs out, even an immortal one', async (_what, value) => {
    const store = new Store();
    store.put(STORED, value(), Infinity);
    const a = replica(store, A);
    a.lease.start();
    await pass(9000);
    expect(a.lease.role).toBe('seeking');
    expect(a.facts.strangers).toBeGreaterThan(0);
    expect(a.facts.warnings).toHaveLength(1);
    await pass(1500);
    expect(a.lease.role).toBe('holder');
  });

  it('leads nobody to a replica that is not known', async () => {
    const store = new Store();
    store.put(STORED, sealed({ owner: 'dddddddddd' }));
    const a = replica(store, A);
    a.lease.start();
    await pass(5000);
    expect(a.roles).toEqual([]);
    expect(a.lease.owner).toBe('');
  });

  it('does not cost the holder its lease with a forged value, or with one from its past', async () => {
    const store = new Store();
    const first = await holder(store);
    const old = store.get(STORED) as Buffer;
    await first.lease.release();
    const freed = store.get(STORED) as Buffer;
    const b = replica(store, B);
    b.lease.start();
    await pass(100);
    expect(b.lease.role).toBe('holder');
    b.child();
    for (const value of [Buffer.from('forged'), old, freed]) {
      store.put(STORED, value);
      await pass(2200);
      expect(b.lease.holds()).toBe(true);
      expect(store.get(STORED)?.toString('latin1')).toContain(`:${B}:`);
    }
    expect(b.facts).toMatchObject({ killed: 0, strangers: 3 });
  });

  it('cannot make two holders by removing the value', async () => {
    const store = new Store();
    const [a, b] = [await holder(store), replica(store, B)];
    a.child();
    b.lease.start();
    for (let n = 0; n < 200; n++) {
      await pass(97);
      store.values.clear();
      expect(a.lease.holds() && b.lease.holds()).toBe(false);
    }
    // One that has not seen the holder waits until this one has seen it.
    const c = replica(store, C);
    c.lease.start();
    for (let n = 0; n < 100; n++) {
      await pass(97);
      expect([a, b, c].filter(({ lease }) => lease.holds()).length).toBeLessThan(2);
    }
    expect([a, b, c].filter(({ lease }) => lease.holds())).toHaveLength(1);
  });
});

describe('a change of the state key', () => {
  it.each([
    [[1], [1, 2]],
    [
      [1, 2],
      [2, 1],
    ],
    [[2, 1], [2]],
  ])('replicas with the keys %j and %j have one holder', async (ours, theirs) => {
    const of = ([first = 0, ...others]: number[]): FleetKeys =>
      new FleetKeys(
        Buffer.alloc(32, first),
        others.map((fill) => Buffer.alloc(32, fill)),
      );
    for (const [x, y] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      const store = new Store();
      const a = replica(store, A, { keys: of(x) });
      a.lease.start();
      await pass(3000);
      const b = replica(store, B, { keys: of(y) });
      b.lease.start();
      await pass(8000);
      expect([a.lease.role, b.lease.role, b.lease.owner]).toEqual(['holder', 'guest', A]);
      await a.lease.release();
      await pass(2500);
      expect(b.lease.role).toBe('holder');
    }
  });
});
