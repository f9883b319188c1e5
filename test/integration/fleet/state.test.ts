import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readStore } from '../../../src/config/fleet.js';
import { openFleetState } from '../../../src/fleet/state.js';
import { openStore, type FleetStore } from '../../../src/fleet/store.js';
import { silent } from '../../../src/observe/log.js';
import { openFolder } from '../../../src/state/folder.js';
import { importFolder } from '../../../src/state/import.js';
import { openState } from '../../../src/state/open.js';
import { StateError, type Sealed } from '../../../src/state/sealed.js';
import { fixedKeys, type StateKeys } from '../../../src/state/state-key.js';
import { atEnd } from '../../helpers/cleanup.js';
import { all, keptLog, scratchFolder } from '../../helpers/state.js';
import { has, startStore, type TestStore } from '../../helpers/store.js';
import { until } from '../../helpers/wait.js';

const KEYS: StateKeys = { current: randomBytes(32), older: [] };
const never = new AbortController().signal;

interface Replica {
  readonly state: Sealed;
  readonly store: FleetStore;
  readonly lines: string[];
  readonly strangers: () => number;
}

async function replica(server: Pick<TestStore, 'url'>, keys = KEYS, prefix = 'p'): Promise<Replica> {
  const config = readStore(server.url);
  if (typeof config === 'string') throw new Error(config);
  const store = openStore(config, { log: silent, measured: () => undefined, changed: () => undefined });
  const log = keptLog();
  let strangers = 0;
  const state = openFleetState({ store, keys, prefix, log, stranger: () => strangers++ });
  atEnd(async () => {
    await state.close();
    store.close();
  });
  await until(() => store.upSince !== undefined, 'the store');
  return { state, store, lines: log.lines, strangers: () => strangers };
}

/** The record of `key`: its name in the store, of those that are there. */
function names(server: TestStore): string[] {
  return server
    .cli('keys', '*')
    .split('\n')
    .filter((name) => /\}:[0-9a-f]{64}$/.test(name));
}

async function value(state: Sealed, key: string): Promise<unknown> {
  return (await state.get(key))?.value;
}

describe.runIf(has('redis', 'cli'))('the state in the store of a fleet', () => {
  test('replicas share records, and the store sees neither names nor values', async () => {
    const server = await startStore();
    const [one, two] = [await replica(server), await replica(server)];
    expect(await one.state.get('grant:secret-name')).toBeUndefined();
    expect(await one.state.put('grant:secret-name', { token: 'secret-value' }, 0)).toBe(true);
    const there = await two.state.get('grant:secret-name');
    expect(there?.value).toEqual({ token: 'secret-value' });
    const generation = there?.generation ?? 0;
    expect(await two.state.put('grant:secret-name', { token: 'b' }, generation)).toBe(true);
    expect(await one.state.put('grant:secret-name', { token: 'c' }, generation)).toBe(false);
    expect(await one.state.put('grant:secret-name', { token: 'c' }, 0)).toBe(false);
    expect(await value(one.state, 'grant:secret-name')).toEqual({ token: 'b' });
    expect(await all(one.state.keys('grant'))).toEqual(['grant:secret-name']);
    expect(await all(one.state.keys('client'))).toEqual([]);
    const dump = server
      .cli('keys', '*')
      .split('\n')
      .map((name) => name + (name.endsWith('}') ? server.cli('hgetall', name) : server.cli('get', name)));
    expect(dump).toHaveLength(2);
    expect(dump.join()).not.toMatch(/secret|grant|token/);
    await two.state.delete('grant:secret-name');
    expect(await one.state.get('grant:secret-name')).toBeUndefined();
    expect(await all(one.state.keys('grant'))).toEqual([]);
    expect(await one.state.put('grant:secret-name', { token: 'd' }, 0)).toBe(true);
    expect((await two.state.get('grant:secret-name'))?.generation).toBeGreaterThan(generation + 2);
    expect(await value(two.state, 'grant:secret-name')).toEqual({ token: 'd' });
    expect(server.cli('keys', 'p:*').split('\n')).toHaveLength(2);
    expect(one.strangers() + two.strangers()).toBe(0);
  });

  test('records expire, there and in the index', async () => {
    const server = await startStore();
    const { state } = await replica(server);
    await state.put('sign-in:short', {}, 0, { ttlMs: 300 });
    await state.put('sign-in:long', {}, 0, { ttlMs: 60_000 });
    expect((await all(state.keys('sign-in'))).sort()).toEqual(['sign-in:long', 'sign-in:short']);
    await until(async () => (await state.get('sign-in:short')) === undefined);
    expect(await all(state.keys('sign-in'))).toEqual(['sign-in:long']);
    const [index = ''] = server.cli('keys', '*}').split('\n');
    expect(server.cli('hlen', index)).toBe('1');
    await until(() => names(server).length === 1);
    expect(await state.put('sign-in:short', { again: true }, 0)).toBe(true);
  });

  test('two fleets, and another key, do not meet', async () => {
    const server = await startStore();
    const one = await replica(server);
    const two = await replica(server, KEYS, 'q');
    const three = await replica(server, { current: randomBytes(32), older: [] });
    await one.state.put('pin:a', { of: 1 }, 0);
    for (const { state } of [two, three]) {
      expect(await state.get('pin:a')).toBeUndefined();
      expect(await state.put('pin:a', { of: 2 }, 0)).toBe(true);
    }
    expect(await value(one.state, 'pin:a')).toEqual({ of: 1 });
  });

  test('forged, swapped and replayed values are ignored, counted, and set right', async () => {
    const server = await startStore();
    const one = await replica(server);
    await one.state.put('grant:a', { of: 'a' }, 0);
    const [a = ''] = names(server);
    await one.state.put('grant:b', { of: 'b' }, 0);
    const b = names(server).find((name) => name !== a) ?? '';
    const first = server.cli('get', a);
    const { generation = 0 } = (await one.state.get('grant:a')) ?? {};
    await one.state.put('grant:a', { of: 'a2' }, generation);
    // Replayed: the newer one comes back.
    server.cli('set', a, first);
    expect(await value(one.state, 'grant:a')).toEqual({ of: 'a2' });
    expect(one.strangers()).toBe(1);
    expect(server.cli('get', a)).not.toBe(first);
    const two = await replica(server);
    expect(await value(two.state, 'grant:a')).toEqual({ of: 'a2' });
    // Swapped and forged: this process has it, another one counts it as missing.
    for (const forged of [server.cli('get', b), 'x', 'mcpstead.cred.1.AAAA']) {
      server.cli('set', a, forged);
      const other = await replica(server);
      expect(await other.state.get('grant:a')).toBeUndefined();
      expect(await other.state.isDamaged('grant:a')).toBe(true);
      expect(other.strangers()).toBeGreaterThan(0);
      expect(other.lines.join()).toContain('is damaged');
      expect(await value(one.state, 'grant:a')).toEqual({ of: 'a2' });
      expect(await other.state.isDamaged('grant:a')).toBe(false);
    }
    // Of another type, or larger than any record.
    for (const write of [
      ['lpush', a, 'x'],
      ['hset', a, 'x', 'y'],
      ['setrange', a, '40000000', 'x'],
    ]) {
      server.cli('del', a);
      server.cli(...write);
      const other = await replica(server);
      expect(await other.state.get('grant:a')).toBeUndefined();
      expect(await other.state.isDamaged('grant:a')).toBe(true);
      expect(await value(two.state, 'grant:a')).toEqual({ of: 'a2' });
      expect(server.cli('type', a)).toBe('string');
    }
    // Deleted here, and brought back.
    const last = server.cli('get', b);
    await one.state.delete('grant:b');
    server.cli('set', b, last);
    expect(await one.state.get('grant:b')).toBeUndefined();
    expect(await one.state.put('grant:b', { of: 'new' }, 0)).toBe(true);
    expect(await value(two.state, 'grant:b')).toEqual({ of: 'new' });
  });

  test('an index of another type, or with entries that are too large, ends no connection and is made anew', async () => {
    const server = await startStore();
    const one = await replica(server);
    await one.state.put('grant:a', { of: 'a' }, 0);
    const index = server.cli('keys', '*}');
    const since = one.store.upSince;
    const large = `for n = 1, 50 do redis.call('HSET', KEYS[1], n, string.rep('x', 1000000)) end`;
    server.cli('eval', large, '1', index);
    expect(await all(one.state.keys('grant'))).toEqual(['grant:a']);
    for (const write of [
      ['set', index, 'x'],
      ['rpush', index, 'x'],
    ]) {
      server.cli('del', index);
      server.cli(...write);
      expect(await all(one.state.keys('grant'))).toEqual([]);
      server.cli('del', index);
      server.cli(...write);
      const { generation = 0 } = (await one.state.get('grant:a')) ?? {};
      expect(await one.state.put('grant:a', { of: 'next' }, generation)).toBe(true);
      expect(await all(one.state.keys('grant'))).toEqual(['grant:a']);
    }
    expect(one.store.upSince).toBe(since);
  });

  test('a lock that somebody else has written, and that does not end, is taken from him', async () => {
    const server = await startStore();
    const one = await replica(server);
    const release = await one.state.lock('grant:a', 60_000, never);
    const lock = server.cli('keys', '*:l:*');
    for (const write of [
      ['set', lock, 'x'],
      ['rpush', lock, 'x'],
      ['set', lock, 'x', 'PX', '99999999999'],
    ]) {
      await release();
      server.cli('del', lock);
      server.cli(...write);
      await (
        await one.state.lock('grant:a', 60_000, never)
      )();
      expect(server.cli('keys', '*:l:*')).toBe('');
    }
  });

  test('an index has no keys that were not sealed as its own', async () => {
    const server = await startStore();
    const one = await replica(server);
    await one.state.put('grant:a', {}, 0);
    await one.state.put('client:a', {}, 0);
    const indexes = server.cli('keys', '*}').split('\n');
    const [first = '', second = ''] = indexes;
    const entries = server.cli('hgetall', first).split('\n');
    server.cli('hset', second, ...entries);
    server.cli('hset', first, 'name', 'value');
    server.cli('hset', first, 'f'.repeat(64), entries[1] ?? '');
    expect(await all(one.state.keys('grant'))).toEqual(['grant:a']);
    expect(await all(one.state.keys('client'))).toEqual(['client:a']);
    expect(one.strangers()).toBe(3);
  });

  test('the store is away: what lasts fails, the rest is kept and written later', async () => {
    const server = await startStore();
    const one = await replica(server);
    await one.state.put('grant:a', { n: 1 }, 0);
    const { generation = 0 } = (await one.state.get('grant:a')) ?? {};
    server.pause();
    await until(() =>
      one.store.get('x').then(
        () => false,
        () => one.store.upSince === undefined,
      ),
    );
    expect(await value(one.state, 'grant:a')).toEqual({ n: 1 });
    await expect(one.state.get('grant:other')).rejects.toThrow(StateError);
    await expect(all(one.state.keys('grant'))).rejects.toThrow(StateError);
    await expect(one.state.put('revocation:a', {}, 0, { durable: true })).rejects.toThrow(StateError);
    expect(await one.state.put('grant:a', { n: 2 }, generation)).toBe(true);
    expect(await one.state.put('grant:a', { n: 3 }, generation)).toBe(false);
    expect(await one.state.put('grant:a', { n: 3 }, generation + 1)).toBe(true);
    expect(await one.state.put('grant:new', { n: 4 }, 0)).toBe(true);
    expect(await value(one.state, 'grant:a')).toEqual({ n: 3 });
    expect(await value(one.state, 'grant:new')).toEqual({ n: 4 });
    const release = await one.state.lock('grant:a', 60_000, never);
    await release();
    server.resume();
    await until(() => one.lines.some((line) => line.includes('can be written to the store again')));
    const two = await replica(server);
    expect(await value(two.state, 'grant:a')).toEqual({ n: 3 });
    expect(await value(two.state, 'grant:new')).toEqual({ n: 4 });
    expect(one.lines).toHaveLength(2);
  });

  test('a change that waits gives way to one that another replica has made', async () => {
    const server = await startStore();
    server.cli('acl', 'setuser', 'one', 'on', '>pass', '~*', '+@all');
    const [one, two] = [
      await replica({ url: `redis://one:pass@127.0.0.1:${server.port}` }),
      await replica(server),
    ];
    await one.state.put('grant:a', { n: 1 }, 0);
    const { generation = 0 } = (await one.state.get('grant:a')) ?? {};
    server.cli('acl', 'setuser', 'one', '-eval', '-evalsha');
    expect(await one.state.put('grant:a', { n: 'late' }, generation)).toBe(true);
    expect(await two.state.put('grant:a', { n: 2 }, generation)).toBe(true);
    server.cli('acl', 'setuser', 'one', '+@all');
    await until(() => one.lines.some((line) => line.includes('is dropped')));
    expect(await value(one.state, 'grant:a')).toEqual({ n: 2 });
  });

  test('the records of a folder are imported once', async () => {
    const server = await startStore();
    const dir = scratchFolder();
    const log = keptLog();
    const folder = await openFolder({ dir, keys: fixedKeys(KEYS), log });
    await folder.put('grant:a', { of: 'folder' }, 0);
    await folder.put('pin:b', { of: 'folder' }, 0);
    await folder.close();
    const { state } = await replica(server);
    await state.put('pin:b', { of: 'fleet' }, 0);
    const config = {
      state: { dir, key_command: [], older_keys: [] },
      mcp: { state_key: KEYS.current },
    } as unknown as Parameters<typeof openState>[0];
    const imported = (): number => log.lines.filter((line) => line.includes('imported the records')).length;
    const opened = await openState(config, {}, log, () => state);
    expect(opened.lasts).toBe(true);
    await until(() => imported() === 1);
    expect(await value(opened.store, 'grant:a')).toEqual({ of: 'folder' });
    expect(await value(opened.store, 'pin:b')).toEqual({ of: 'fleet' });
    await opened.store.delete('grant:a');
    await importFolder({ dir, keys: fixedKeys(KEYS), to: state, log });
    expect(await opened.store.get('grant:a')).toBeUndefined();
    expect(imported()).toBe(1);
  });

  test('a lock has one holder in all replicas, and ends after its time', async () => {
    const server = await startStore();
    const [one, two] = [await replica(server), await replica(server)];
    const release = await one.state.lock('grant:a', 60_000, never);
    let isHeld = true;
    const second = two.state.lock('grant:a', 300, never).then((end) => {
      expect(isHeld).toBe(false);
      return end;
    });
    await one.state.put('grant:a', {}, 0);
    const abort = new AbortController();
    const third = one.state.lock('grant:a', 60_000, abort.signal);
    abort.abort(new Error('enough'));
    await expect(third).rejects.toThrow('enough');
    isHeld = false;
    await release();
    await second;
    // The second one does not release it.
    await (
      await one.state.lock('grant:a', 60_000, never)
    )();
  });

  test('a lock whose holder is gone is free within seconds; one that is there keeps it', async () => {
    const server = await startStore();
    const [one, two] = [await replica(server), await replica(server)];
    const release = await one.state.lock('grant:a', 60_000, never);
    const left = (): number => Number(server.cli('pttl', server.cli('keys', '*:l:*')));
    const first = left();
    expect(first).toBeLessThanOrEqual(8000);
    await until(() => left() < first - 1000, 'the time to run out');
    await until(() => left() > first - 1000, 'a renewal');
    one.store.close();
    await (
      await two.state.lock('grant:a', 60_000, AbortSignal.timeout(15_000))
    )();
    await release();
  });

  test('keys are rotated without a loss', async () => {
    const server = await startStore();
    const [old, next] = [randomBytes(32), randomBytes(32)];
    const orders: StateKeys[] = [
      { current: old, older: [] },
      { current: old, older: [next] },
      { current: next, older: [old] },
      { current: next, older: [] },
    ];
    const expected = new Map<string, number>();
    for (const [at, keys] of orders.entries()) {
      // Two releases at a time.
      const replicas = await Promise.all(
        [keys, orders[Math.max(0, at - 1)] ?? keys].map((each) => replica(server, each)),
      );
      for (const [which, { state }] of replicas.entries()) {
        const key = `grant:${at}-${which}`;
        expect(await state.put(key, { n: 0 }, 0)).toBe(true);
        expected.set(key, 0);
      }
      for (const [key, n] of expected)
        for (const { state } of replicas) {
          const there = await state.get(key);
          expect(there?.value, `${key} in step ${at}`).toEqual({ n: expected.get(key) });
          const { generation = 0 } = there ?? {};
          const puts = await Promise.all(
            replicas.map((each, who) => each.state.put(key, { n: n * 2 + who + 1 }, generation)),
          );
          expect(puts.filter(Boolean), `${key} in step ${at}`).toHaveLength(1);
          expected.set(key, n * 2 + puts.indexOf(true) + 1);
          expect(await value(state, key)).toEqual({ n: expected.get(key) });
        }
      expect((await all((replicas[0] as Replica).state.keys('grant'))).sort()).toEqual(
        [...expected.keys()].sort(),
      );
      if (at === 2) {
        // What it does by itself after a while, and again soon if the store was too slow.
        const { state } = replicas[0] as Replica & { state: { sweep(): Promise<void> } };
        await until(
          () =>
            state.sweep().then(
              () => true,
              () => false,
            ),
          'all records under the names of the new key',
        );
      }
      for (const { state, store } of replicas) {
        await state.close();
        store.close();
      }
    }
  });

  test('any order of puts and deletes of two replicas is as one after another', async () => {
    const server = await startStore();
    const replicas = [await replica(server), await replica(server)] as const;
    let round = 0;
    const step = fc.record({
      who: fc.constantFrom(0, 1),
      key: fc.constantFrom('a', 'b'),
      act: fc.constantFrom('put', 'stale', 'race', 'delete', 'new'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const model = new Map<string, { generation: number; n: number }>();
        const prefix = `pin:${round++}-`;
        for (const [n, { who, key: short, act }] of steps.entries()) {
          const key = prefix + short;
          const { state } = replicas[who];
          const known = model.get(key);
          const generation = known?.generation ?? 0;
          let isDone = false;
          if (act === 'delete') {
            await state.delete(key);
            model.delete(key);
          } else if (act === 'race') {
            const puts = await Promise.all(replicas.map((each) => each.state.put(key, { n }, generation)));
            expect(puts.filter(Boolean)).toHaveLength(1);
            isDone = true;
          } else {
            const from = act === 'new' ? 0 : act === 'stale' ? generation + 7 : generation;
            isDone = await state.put(key, { n }, from);
            expect(isDone).toBe(from === generation);
          }
          const there = await replicas[(1 - who) as 0 | 1].state.get(key);
          if (isDone) model.set(key, { generation: there?.generation ?? 0, n });
          expect(there?.value).toEqual(model.has(key) ? { n: model.get(key)?.n } : undefined);
          if (known && isDone) expect(there?.generation).toBeGreaterThan(known.generation);
        }
      }),
      { numRuns: 60 },
    );
  });
});
