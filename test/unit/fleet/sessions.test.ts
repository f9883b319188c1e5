import { expect, it } from 'vitest';
import { SessionIds } from '../../../src/fleet/ids.js';
import { FleetKeys } from '../../../src/fleet/keys.js';
import type { FoundRecord, SessionRecords } from '../../../src/fleet/records.js';
import { FleetSessions, type FleetSessionsDeps } from '../../../src/fleet/sessions.js';
import { FleetStats } from '../../../src/observe/stats.js';
import type { Principal } from '../../../src/protocol/ports.js';
import type { Session, SessionRecord } from '../../../src/session/store.js';

const [SELF, GONE] = ['1111111111', '2222222222'];
const principal = { id: 'somebody' } as Principal;
const log = { debug: () => undefined, warn: () => undefined } as unknown as FleetSessionsDeps['log'];

/** A store in which a replica that is gone has left one session; each answer of it comes when a test says so. */
function world() {
  const keys = new FleetKeys(Buffer.alloc(32, 1), []);
  const id = new SessionIds(keys, GONE).make();
  let owner = GONE;
  const on = { isLost: false, limit: 10 };
  const waiting: (() => void)[] = [];
  const said = <T>(value: () => T): Promise<T> =>
    new Promise((resolve) =>
      waiting.push(() => {
        resolve(value());
      }),
    );
  const kept = { principal: principal.id, route: '/mcp', revision: '2025-11-25' };
  const found = (): FoundRecord =>
    ({ owner, generation: 1, kept, name: 'n', value: Buffer.from('v') }) as unknown as FoundRecord;
  const records = {
    read: () => said(found),
    take: ({ owner: read }: FoundRecord) => {
      if (read !== owner) return said(() => false);
      owner = SELF;
      return on.isLost ? Promise.reject(new Error('no answer')) : said(() => true);
    },
    isPassed: () => Promise.resolve(false),
    put: () => Promise.resolve(true),
  };
  const opened = (record: SessionRecord): Session =>
    ({ ...record, open: true, lastSeen: 0, openedAt: 0 }) as unknown as Session;
  const sessions = new FleetSessions({
    options: {
      ...{ now: () => 0, limit: () => on.limit, idleTtlMs: 1e6 },
      ...{ opened, ended: () => undefined, left: () => undefined },
    },
    facts: { keptOf: () => kept, restore: () => undefined, isIdle: () => true } as never,
    ids: new SessionIds(keys, SELF),
    records: records as unknown as SessionRecords,
    members: {
      ...{ isSure: true, isLate: false, live: new Map(), isStillSure: () => Promise.resolve(true) },
      ...{ find: () => undefined, others: () => [] },
    } as unknown as FleetSessionsDeps['members'],
    store: { upSince: 0 } as unknown as FleetSessionsDeps['store'],
    ...{ self: SELF, stats: new FleetStats(), log },
    isDraining: () => false,
    isDead: () => Promise.resolve(true),
  });
  /** Lets the oldest answer come, and all that follows from it. */
  const next = async (): Promise<void> => {
    waiting.shift()?.();
    await new Promise(setImmediate);
  };
  return { id, sessions, next, waiting, on };
}

it('a request that finds a session taken over by another one, which is not done yet, waits for it', async () => {
  const { id, sessions, next, waiting } = world();
  const first = Promise.resolve(sessions.use(id, principal, '/mcp'));
  await next();
  // The store has the new owner, and its word is on the way.
  const second = Promise.resolve(sessions.use(id, principal, '/mcp'));
  expect(waiting).toHaveLength(2);
  const [, read] = waiting;
  read?.();
  waiting.splice(1);
  await new Promise(setImmediate);
  await next();
  const session = await first;
  expect(session).toMatchObject({ id, open: true });
  expect(await second).toBe(session);
});

it('a request whose look-up was on its way when the session was taken over finds it', async () => {
  const { id, sessions, next, waiting } = world();
  const first = Promise.resolve(sessions.use(id, principal, '/mcp'));
  await next();
  const second = Promise.resolve(sessions.use(id, principal, '/mcp'));
  await next();
  await next();
  expect(waiting).toHaveLength(0);
  expect(await second).toBe(await first);
});

it('a session whose take-over was done, which the store could not say in time, is there nevertheless', async () => {
  const { id, sessions, next, on } = world();
  on.isLost = true;
  const asked = Promise.resolve(sessions.use(id, principal, '/mcp'));
  await next();
  on.isLost = false;
  sessions.ticked();
  await new Promise(setImmediate);
  await next();
  await next();
  expect(await asked).toMatchObject({ id, open: true });
});

it('a session for which there was no room is there once there is', async () => {
  const { id, sessions, next, on } = world();
  const ask = async () => {
    const asked = Promise.resolve(sessions.use(id, principal, '/mcp'));
    await next();
    await next();
    return await asked;
  };
  on.limit = 0;
  for (let n = 0; n < 2; n++) expect(await ask()).toMatchObject({ code: 'unavailable' });
  on.limit = 10;
  expect(await ask()).toMatchObject({ id, open: true });
});
