import { expect, it } from 'vitest';
import type { SessionRecords } from '../../../src/fleet/records.js';
import { SessionWrites, type SessionWritesDeps } from '../../../src/fleet/writes.js';
import { silent } from '../../../src/observe/log.js';
import type { Session } from '../../../src/session/store.js';

/** A store that fails the first `failures` times for each session. */
function world(failures: number) {
  const asked = new Map<string, number>();
  const records = {
    release: (id: string) => {
      const times = (asked.get(id) ?? 0) + 1;
      asked.set(id, times);
      return times > failures ? Promise.resolve() : Promise.reject(new Error('no answer'));
    },
  };
  const writes = new SessionWrites({
    records: records as unknown as SessionRecords,
    store: { upSince: 0 } as SessionWritesDeps['store'],
    ...{ self: 'a', log: silent, now: () => 0, passed: () => undefined },
    keptOf: () => ({ principal: 'p', route: '/mcp', revision: '2025-11-25', capabilities: {} }),
  });
  const sessions = ['one', 'two'].map((id) => ({ id, open: true }) as Session);
  return { asked, release: (ms: number) => writes.release(sessions, ms) };
}

it('sessions that the store does not release at first are released before the replica ends', async () => {
  const { asked, release } = world(2);
  await release(60_000);
  expect([...asked]).toEqual([
    ['two', 3],
    ['one', 3],
  ]);
});

it('a store that is away does not hold up a replica that ends', async () => {
  const { asked, release } = world(Infinity);
  await release(0);
  expect([...asked.values()]).toEqual([1, 1]);
});
