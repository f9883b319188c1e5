/** The list of the grants whose access tokens are refused. */
import { expect, it, vi } from 'vitest';
import { Endings } from '../../../src/authorization-server/endings.js';
import { endedIds, type Records } from '../../../src/authorization-server/records.js';
import { silent } from '../../../src/observe/log.js';
import { memoryState } from '../../../src/state/memory.js';
import { atEnd } from '../../helpers/cleanup.js';

const ID = 'a'.repeat(38);
const OTHER = 'b'.repeat(38);

function stage() {
  const store = memoryState(Date.now);
  const isAway = { writing: false };
  const records: Records = {
    get: (key) => store.get(key),
    put: (...given) => (isAway.writing ? Promise.reject(new Error('away')) : store.put(...given)),
    delete: (key) => store.delete(key),
    keys: (kind) => store.keys(kind),
    lock: (...given) => store.lock(...given),
  };
  const ended = vi.fn<(ids: ReadonlySet<string>) => void>();
  const open = () => {
    const endings = new Endings({ records: () => Promise.resolve(records), log: silent, ended });
    atEnd(() => {
      endings.close();
    });
    return endings;
  };
  return { isAway, store, open, ended };
}

it('keeps what could not be written, and writes it once the store is there again', async () => {
  const { isAway, store, open, ended } = stage();
  const [here, elsewhere] = [open(), open()];
  isAway.writing = true;
  await here.add(ID, 600_000);
  for (let n = 0; n < 3; n++) {
    await here.read();
    expect(here.has(ID)).toBe(true);
  }
  await elsewhere.add(OTHER, 600_000);
  isAway.writing = false;
  await here.read();
  expect(await endedIds(store)).toEqual(new Set([ID]));
  await elsewhere.read();
  await here.read();
  expect([here, elsewhere].map((each) => [each.has(ID), each.has(OTHER)])).toEqual([
    [true, true],
    [true, true],
  ]);
  // Each is told once for each of both.
  expect(ended).toHaveBeenCalledTimes(4);
});

it('forgets what could not be written once its tokens have expired', async () => {
  const { isAway, store, open } = stage();
  const endings = open();
  isAway.writing = true;
  await endings.add(ID, 0);
  await endings.read();
  await endings.read();
  expect(endings.has(ID)).toBe(false);
  isAway.writing = false;
  await endings.read();
  expect(await endedIds(store)).toEqual(new Set());
});
