import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readStore } from '../../../src/config/fleet.js';
import { FleetRates } from '../../../src/fleet/rates.js';
import { openStore } from '../../../src/fleet/store.js';
import { silent } from '../../../src/observe/log.js';
import type { Want } from '../../../src/policy/buckets.js';
import { atEnd } from '../../helpers/cleanup.js';
import { has, startStore, type TestStore } from '../../helpers/store.js';
import { until } from '../../helpers/wait.js';

const KEY = randomBytes(32);
/** So slow that nothing is added while a test runs. */
const HOUR = 3_600_000;

function want(key: string, burst: number, interval = HOUR): Want {
  return { rule: 'rule', key, rate: { interval, burst } };
}

async function replica(server: TestStore) {
  const config = readStore(server.url);
  if (typeof config === 'string') throw new Error(config);
  const store = openStore(config, { log: silent, measured: () => undefined, changed: () => undefined });
  atEnd(() => {
    store.close();
  });
  let missed = 0;
  const rates = new FleetRates({ store, prefix: 'p', key: KEY, missed: () => missed++ });
  await until(() => store.upSince !== undefined, 'the store');
  return { rates, store, missed: () => missed };
}

describe.runIf(has('redis', 'cli'))('rates of a fleet', () => {
  test('replicas take from one bucket, and the store sees no names', async () => {
    const server = await startStore();
    const [one, two] = [await replica(server), await replica(server)];
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, at) => (at % 2 ? one : two).rates.take('somebody', [want('bucket', 7)])),
    );
    expect(all.filter((each) => each === 'taken')).toHaveLength(7);
    const waits = all.filter((each) => typeof each === 'object');
    expect(waits).toHaveLength(13);
    for (const wait of waits) {
      expect(wait.index).toBe(0);
      expect(wait.ms).toBeGreaterThan(HOUR / 2);
      expect(wait.ms).toBeLessThanOrEqual(HOUR);
    }
    const keys = server.cli('keys', '*').split('\n');
    expect(keys).toHaveLength(1);
    expect(keys[0] + server.cli('hgetall', keys[0] ?? '')).not.toMatch(/somebody|bucket/);
    expect(Number(server.cli('pttl', keys[0] ?? ''))).toBeGreaterThan(6 * HOUR);
    expect(await one.rates.take('another', [want('bucket', 7)])).toBe('taken');
    expect(one.missed() + two.missed()).toBe(0);
  });

  test('all buckets give, or none', async () => {
    const server = await startStore();
    const { rates } = await replica(server);
    expect(await rates.take('a', [want('small', 1)])).toBe('taken');
    for (let round = 0; round < 3; round++)
      expect(await rates.take('a', [want('large', 2), want('small', 1)])).toMatchObject({ index: 1 });
    expect(await rates.take('a', [want('large', 2)])).toBe('taken');
    expect(await rates.take('a', [want('large', 2)])).toBe('taken');
    // The one that takes longest is in the way.
    expect(await rates.take('a', [want('small', 1), want('large', 2)])).toMatchObject({ index: 1 });
  });

  test('a bucket fills again', async () => {
    const server = await startStore();
    const { rates } = await replica(server);
    expect(await rates.take('a', [want('b', 1, 50)])).toBe('taken');
    await until(async () => (await rates.take('a', [want('b', 1, 50)])) === 'taken');
    await until(() => server.cli('dbsize') === '0');
  });

  test('what somebody else writes is an empty bucket at most', async () => {
    const server = await startStore();
    const { rates, missed } = await replica(server);
    await rates.take('a', [want('b', 3, 1000)]);
    const key = server.cli('keys', '*');
    const [field = ''] = server.cli('hkeys', key).split('\n');
    for (const forged of ['9'.repeat(300), 'inf', '1e300']) {
      server.cli('hset', key, field, forged);
      const wait = await rates.take('a', [want('b', 3, 1000)]);
      expect(wait).toMatchObject({ index: 0 });
      expect((wait as { ms: number }).ms).toBeLessThanOrEqual(1001);
    }
    for (const forged of ['nan', 'x', '-inf', '']) {
      server.cli('hset', key, field, forged);
      expect(await rates.take('a', [want('b', 3, 1000)])).toBe('taken');
    }
    server.cli('del', key);
    server.cli('set', key, 'x');
    expect(await rates.take('a', [want('b', 3, 1000)])).toBe('taken');
    expect(missed()).toBe(0);
    expect(server.cli('type', key)).toBe('hash');
  });

  test('old buckets of one principal are removed', async () => {
    const server = await startStore();
    const { rates } = await replica(server);
    await rates.take('a', [want('stays', 1)]);
    for (let at = 0; at < 600; at++) await rates.take('a', [want(`b${at}`, 1, 0.001)]);
    expect(Number(server.cli('hlen', server.cli('keys', '*')))).toBeLessThan(300);
    expect(await rates.take('a', [want('stays', 1)])).toMatchObject({ index: 0 });
  });

  test('a store that is away or slow is not waited for', async () => {
    const server = await startStore();
    const { rates, store, missed } = await replica(server);
    server.pause();
    expect(await rates.take('a', [want('b', 1)])).toBeUndefined();
    await until(() => store.upSince === undefined);
    expect(await rates.take('a', [want('b', 1)])).toBeUndefined();
    expect(missed()).toBe(2);
    server.resume();
    await until(async () => (await rates.take('a', [want('c', 1)])) === 'taken');
  });
});
