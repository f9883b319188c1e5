/** Records of sessions in a store that somebody else writes to, without the state key: he can delete and put back, and nothing else. */
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { SessionRecords, type KeptSession } from '../../../src/fleet/records.js';
import type { FleetStore } from '../../../src/fleet/store.js';
import { openedStore } from '../../helpers/opened-store.js';
import { startStore, type TestStore } from '../../helpers/store.js';

const [A, B] = ['aaaaaaaaaa', 'bbbbbbbbbb'] as const;
const KEPT: KeptSession = { principal: 'p', route: '/mcp', revision: '2025-11-25', capabilities: {} };
const STATE_KEYS = [randomBytes(32), randomBytes(32)] as const;
const ID = 'the id of a session';

let server: TestStore;
let store: FleetStore;
let strangers: number;
let records: SessionRecords;

const recordsOf = (keys: FleetKeys): SessionRecords =>
  new SessionRecords({
    ...{ store, keys, prefix: 'p', ttlMs: 60_000 },
    stranger: () => strangers++,
  });
/** The only key of a record. */
const key = (): string => server.cli('keys', 'p:s:*');
const raw = async (): Promise<Buffer> => (await store.get(key())) as Buffer;

beforeEach(async () => {
  server = await startStore();
  ({ store } = await openedStore(server.url));
  strangers = 0;
  records = recordsOf(new FleetKeys(STATE_KEYS[0], []));
  expect(await records.put(ID, { generation: 1, owner: A, kept: KEPT })).toBe(true);
});

/** What somebody without the key writes in place of the record at `name`. */
const FORGED: readonly (readonly [
  what: string,
  write: (name: string, own: Buffer) => Promise<void> | void,
])[] = [
  ['a later generation', (name) => store.set(name, Buffer.from(`9:${B}:${'x'.repeat(200)}`))],
  ['another owner', (name) => store.set(name, Buffer.from(`1:${B}:${'x'.repeat(200)}`))],
  [
    'its own record under a later generation',
    (name, own) => store.set(name, Buffer.concat([Buffer.from('2'), own.subarray(1)])),
  ],
  [
    'its own record under another owner',
    (name, own) => store.set(name, Buffer.concat([Buffer.from(`1:${B}:`), own.subarray(13)])),
  ],
  ['a generation that is no number', (name) => store.set(name, Buffer.from(`${'9'.repeat(400)}:${B}:`))],
  ['a beginning alone', (name) => store.set(name, Buffer.from(`9:${B}:`))],
  ['something else', (name) => store.set(name, Buffer.from('hello'))],
  ['32 MB', (name) => void server.cli('setrange', name, '32000000', 'x')],
  ['a list', (name) => void [server.cli('del', name), server.cli('rpush', name, 'a', 'b')]],
  ['a hash', (name) => void [server.cli('del', name), server.cli('hset', name, 'a', 'b')]],
  ['a stream', (name) => void [server.cli('del', name), server.cli('xadd', name, '*', 'a', 'b')]],
];

describe.each(FORGED)('a record that somebody has replaced by %s', (_what, write) => {
  beforeEach(async () => {
    await write(key(), await raw());
  });

  it('takes no session from its owner, who writes it again', async () => {
    expect(await records.isPassed(ID, 1, A)).toBe('strange');
    expect(await records.put(ID, { generation: 1, owner: A, kept: KEPT })).toBe(true);
    expect(strangers).toBeGreaterThan(0);
    expect(await records.isPassed(ID, 1, A)).toBe(false);
    expect(await records.read(ID)).toMatchObject({ generation: 1, owner: A, kept: KEPT });
    expect(Number(server.cli('pttl', key()))).toBeGreaterThan(0);
  });

  it('is taken over by nobody', async () => {
    expect(await records.read(ID)).toBe('strange');
    expect(strangers).toBe(1);
  });

  it('is removed when the session ends', async () => {
    await records.end(ID, 1, A);
    expect(key()).toBe('');
  });

  it('does not keep its owner from leaving the session to others', async () => {
    await records.release(ID, { generation: 1, owner: A, kept: KEPT });
    expect(await records.read(ID)).toMatchObject({ generation: 1, owner: '' });
  });
});

describe('the record of a replica that has gone on with a session', () => {
  it('wins over an older one, which is not put back, ended or left to others', async () => {
    const first = await records.read(ID);
    if (typeof first !== 'object') throw new Error('no record');
    const next = { generation: 2, owner: B, kept: KEPT };
    expect(await records.take(first, next)).toBe(true);
    expect(await records.take(first, next)).toBe(false);
    expect(await records.isPassed(ID, 1, A)).toBe(true);
    expect(await records.put(ID, { generation: 1, owner: A, kept: KEPT })).toBe(false);
    await records.end(ID, 1, A);
    await records.release(ID, { generation: 1, owner: A, kept: KEPT });
    expect(await records.read(ID)).toMatchObject({ generation: 2, owner: B });
    // Somebody puts the first one back: it loses.
    await store.set(key(), first.value);
    expect(await records.isPassed(ID, 2, B)).toBe(false);
    expect(await records.put(ID, next)).toBe(true);
    expect(await records.read(ID)).toMatchObject({ generation: 2, owner: B });
    // The same bytes as before are harmless.
    const bytes = await raw();
    await store.set(key(), bytes);
    expect(await records.isPassed(ID, 2, B)).toBe(false);
    expect(strangers).toBe(0);
  });

  it('is not taken if it is another one than was read, whatever it begins with', async () => {
    const first = await records.read(ID);
    if (typeof first !== 'object') throw new Error('no record');
    await store.set(key(), Buffer.concat([first.value.subarray(0, 20), randomBytes(300)]));
    expect(await records.take(first, { generation: 2, owner: B, kept: KEPT })).toBe(false);
  });

  it('of another session is a stranger', async () => {
    const mine = key();
    const other = 'the id of another session';
    await records.put(other, { generation: 9, owner: B, kept: KEPT });
    const theirs =
      server
        .cli('keys', 'p:s:*')
        .split('\n')
        .find((name) => name !== mine) ?? '';
    server.cli('copy', theirs, mine, 'replace');
    expect(await records.isPassed(ID, 1, A)).toBe('strange');
    expect(await records.read(ID)).toBe('strange');
    expect(await records.read(other)).toMatchObject({ generation: 9, owner: B });
  });

  it('counts under each of two state keys', async () => {
    const [old, next] = STATE_KEYS;
    const both = recordsOf(new FleetKeys(next, [old]));
    expect(await both.read(ID)).toMatchObject({ generation: 1 });
    await both.put(ID, { generation: 2, owner: B, kept: KEPT });
    const first = recordsOf(new FleetKeys(old, [next]));
    expect(await first.isPassed(ID, 1, A)).toBe(true);
    expect(await first.read(ID)).toMatchObject({ generation: 2, owner: B });
    expect(strangers).toBe(0);
  });
});

it('somebody who changes a record at each moment keeps nobody waiting', async () => {
  let writes = 0;
  const busy: FleetStore = {
    ...{
      upSince: 0,
      get: store.get.bind(store),
      set: store.set.bind(store),
      delete: store.delete.bind(store),
    },
    async run(script, keys, args) {
      await store.set(keys[0] ?? '', Buffer.from(`9:${B}:${writes++}`));
      return store.run(script, keys, args);
    },
    close: () => undefined,
  };
  const keys = new FleetKeys(STATE_KEYS[0], []);
  const attacked = new SessionRecords({
    ...{ store: busy, keys, prefix: 'p', ttlMs: 60_000 },
    stranger: () => strangers++,
  });
  await expect(attacked.put(ID, { generation: 1, owner: A, kept: KEPT })).rejects.toThrow(
    'somebody else writes to the records',
  );
  expect(writes).toBe(3);
});
