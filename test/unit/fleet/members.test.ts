import { expect, it } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { Members, type MembersDeps } from '../../../src/fleet/members.js';
import { atEnd } from '../../helpers/cleanup.js';

/** A store that keeps who ticks for four seconds, as the script of a tick does, until it loses its data. It has a clock of its own. */
function fleet() {
  let now = 1_000_000;
  let ahead = 0;
  let epoch: string | undefined;
  const rows = new Map<string, { record: Buffer; until: number }>();
  const run = (
    _script: unknown,
    _keys: unknown,
    [id, record, wanted]: (string | Buffer)[],
  ): Promise<unknown> => {
    const time = now + ahead;
    for (const [each, { until }] of rows) if (until <= time || until > time + 4000) rows.delete(each);
    if (typeof record !== 'string') rows.set(String(id), { record: record as Buffer, until: time + 4000 });
    const made = epoch === undefined ? 1 : 0;
    epoch ??= String(wanted);
    const all = [...rows].flatMap(([each, row]) => [Buffer.from(each), row.record]);
    return Promise.resolve([String(time), epoch, made, '0', ...all]);
  };
  const keys = new FleetKeys(Buffer.alloc(32, 1), []);
  const join = (self: string): Members => {
    const nothing = (): undefined => undefined;
    const members = new Members({
      ...{ self, prefix: 'p', keys, now: () => now, clock: () => now },
      store: { upSince: 0, run } as unknown as MembersDeps['store'],
      log: { warn: nothing, info: nothing } as unknown as MembersDeps['log'],
      facts: () =>
        ({
          name: self,
          address: 'a:1',
          draining: false,
          config: '',
          lists: {},
          up: [],
          refused: null,
        }) as never,
      ...{ stranger: nothing, ticked: nothing, gone: nothing, emptied: nothing, resumed: nothing },
      reload: () => Promise.resolve(),
    });
    atEnd(() => {
      members.close();
    });
    return members;
  };
  return {
    join,
    pass: (ms: number) => (now += ms),
    set: (ms: number) => (ahead += ms),
    lose: () => {
      rows.clear();
      epoch = undefined;
    },
  };
}

const [A, B] = ['aaaaaaaaaa', 'bbbbbbbbbb'];
const others = (members: Members): string[] => members.others().map(({ id }) => id);

it.each([
  ['loses its data', { ms: 1000, isLost: true }],
  ['comes back', { ms: 6000, isLost: false }],
])('replicas stay known to each other when the store %s', async (_what, { ms, isLost }) => {
  const { join, pass, lose } = fleet();
  const [a, b] = [join(A), join(B)];
  for (const each of [a, b, a]) await each.tick();
  expect([others(a), others(b)]).toEqual([[B], [A]]);
  pass(ms);
  if (isLost) lose();
  await a.tick();
  expect(others(a)).toEqual([B]);
  await b.tick();
  pass(1000);
  await a.tick();
  expect([others(a), others(b)]).toEqual([[B], [A]]);
});

it('replicas stay known to each other when the store loses its data soon after it came back, and again', async () => {
  const { join, pass, lose } = fleet();
  const [a, b] = [join(A), join(B)];
  for (const each of [a, b, a]) await each.tick();
  pass(6000);
  for (const each of [a, b]) await each.tick();
  for (let time = 0; time < 3; time++) {
    pass(5000);
    lose();
    await a.tick();
    expect(others(a)).toEqual([B]);
    await b.tick();
    await a.tick();
  }
});

it.each([-3_600_000, -1500, 5000, 3_600_000])(
  'replicas stay known to each other when the clock of the store is set by %d ms',
  async (ms) => {
    const { join, pass, set } = fleet();
    const [a, b] = [join(A), join(B)];
    for (const each of [a, b, a]) await each.tick();
    set(ms);
    for (let second = 1; second <= 6; second++) {
      pass(500);
      await a.tick();
      expect(others(a)).toEqual([B]);
      pass(500);
      await b.tick();
      expect(others(b)).toEqual([A]);
    }
    // One that is gone is dropped all the same.
    for (let second = 1; second <= 5; second++) {
      pass(1000);
      set(ms);
      await a.tick();
    }
    expect(others(a)).toEqual([]);
  },
);

it('one that is gone meanwhile is dropped after its time, however often the store says that it is new', async () => {
  const { join, pass, lose } = fleet();
  const [a, b] = [join(A), join(B)];
  for (const each of [a, b, a]) await each.tick();
  for (let second = 1; second <= 5; second++) {
    pass(1000);
    lose();
    await a.tick();
  }
  expect(others(a)).toEqual([]);
});
