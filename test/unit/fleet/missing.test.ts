/** Sessions of which the store has no record: what is asked before a client hears that its session is unknown. */
import { expect, it } from 'vitest';
import { SessionIds } from '../../../src/fleet/ids.js';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { Members } from '../../../src/fleet/members.js';
import type { SessionRecords } from '../../../src/fleet/records.js';
import { FleetSessions } from '../../../src/fleet/sessions.js';
import type { FleetStore, Script } from '../../../src/fleet/store.js';
import { FleetStats } from '../../../src/observe/stats.js';
import type { Principal } from '../../../src/protocol/ports.js';

const [SELF, OTHER] = ['1111111111', '2222222222'];
const principal = { id: 'somebody' } as Principal;
const log = { debug: () => undefined, warn: () => undefined, info: () => undefined } as never;
const facts = { name: 'n', address: '127.0.0.1:1', draining: false, config: '', lists: '' };
const keys = new FleetKeys(Buffer.alloc(32, 1), []);
const turn = (): Promise<void> => new Promise(setImmediate);

/** A replica that is sure of its store, which has no record of any session. Each of the store's answers takes a turn. */
async function world() {
  const store = { epoch: 'e1' as string | undefined, live: [SELF, OTHER], ran: [] as string[] };
  const sealed = (id: string): Buffer =>
    keys.seal(
      'store',
      `member\0${id}`,
      JSON.stringify({ ...facts, up: [], refused: null, id, v: 1, reloads: 0, at: 1000 }),
    );
  const fleetStore = {
    upSince: -1e6,
    run: async ({ name }: Script) => {
      store.ran.push(name);
      await turn();
      const made = store.epoch === undefined ? 1 : 0;
      store.epoch ??= 'e2';
      return ['1000', store.epoch, made, '0', ...store.live.flatMap((id) => [id, sealed(id)])].map((each) =>
        typeof each === 'string' ? Buffer.from(each) : each,
      );
    },
    get: async (key: string) => {
      store.ran.push('get');
      await turn();
      return key.endsWith(':e') && store.epoch !== undefined ? Buffer.from(store.epoch) : undefined;
    },
  } as unknown as FleetStore;
  const members = new Members({
    ...{ self: SELF, prefix: 'p', keys, store: fleetStore, log },
    facts: () => ({ ...facts, up: [], refused: null }),
    ...{ stranger: () => undefined, ticked: () => undefined, gone: () => undefined },
    ...{ emptied: () => undefined, resumed: () => undefined, reload: () => Promise.resolve() },
  });
  await members.tick();
  expect(members.isSure).toBe(true);
  const probed: string[] = [];
  const on = {
    /** Before the store says that there is no record. */
    read: (): Promise<void> => Promise.resolve(),
    isDead: (): Promise<boolean> => Promise.resolve(true),
  };
  const sessions = new FleetSessions({
    options: {
      ...{ now: () => performance.now(), limit: () => 10, idleTtlMs: 1e6 },
      ...{ opened: () => undefined, ended: () => undefined, left: () => undefined },
    } as never,
    facts: {} as never,
    ids: new SessionIds(keys, SELF),
    records: {
      read: async () => {
        await turn();
        await on.read();
      },
    } as unknown as SessionRecords,
    ...{ members, store: fleetStore, self: SELF, stats: new FleetStats(), log },
    isDraining: () => false,
    isDead: (replica: string) => {
      probed.push(replica);
      return on.isDead();
    },
  });
  const own = new SessionIds(keys, SELF);
  const ask = (id: string) => Promise.resolve(sessions.use(id, principal, '/mcp'));
  return { store, members, sessions, on, probed, own, ask };
}

it('is answered in a few turns, however many others ask meanwhile', async () => {
  const { own, ask } = await world();
  let isAnswered = false;
  const first = ask(own.make()).then((found) => {
    isAnswered = true;
    return found;
  });
  const later: Promise<unknown>[] = [];
  for (let n = 0; n < 50 && !isAnswered; n++) {
    later.push(ask(own.make()));
    await turn();
  }
  expect(isAnswered).toBe(true);
  expect(await first).toBeUndefined();
  for (const found of await Promise.all(later)) expect(found).toBeUndefined();
});

it('costs the store no more than reading two values', async () => {
  const { own, ask, store } = await world();
  store.ran.length = 0;
  for (let n = 0; n < 5; n++) expect(await ask(own.make())).toBeUndefined();
  expect(new Set(store.ran)).toEqual(new Set(['get']));
});

it('is not unknown where the store has just lost everything', async () => {
  const { own, ask, store } = await world();
  store.epoch = undefined;
  expect(await ask(own.make())).toEqual({ kind: 'replica', replica: OTHER });
});

it('is asked of its replica, which is back since the store was read', async () => {
  const { ask, store, members, on, probed } = await world();
  store.live = [SELF];
  await members.tick();
  const id = new SessionIds(keys, OTHER).make();
  on.read = async () => {
    store.live = [SELF, OTHER];
    await members.tick();
  };
  expect(await ask(id)).toEqual({ kind: 'replica', replica: OTHER });
  expect(probed).toEqual([]);
});

it('is asked of a replica that has run out and answers nevertheless, and of no other one', async () => {
  const { ask, store, members, on, probed, own } = await world();
  store.live = [SELF];
  await members.tick();
  const id = new SessionIds(keys, OTHER).make();
  expect(await ask(id)).toBeUndefined();
  on.isDead = () => Promise.resolve(false);
  expect(await ask(id)).toEqual({ kind: 'replica', replica: OTHER });
  expect(probed).toEqual([OTHER, OTHER]);
  expect(await ask(own.make())).toBeUndefined();
});
