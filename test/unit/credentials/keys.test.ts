/** The keys of servers in a store that several gateways share. */
import { expect, it, vi } from 'vitest';
import type { KeyServer } from '../../../src/config/types.js';
import { Keys } from '../../../src/credentials/keys.js';
import type { KeyRecords } from '../../../src/credentials/key-records.js';
import { EVERYBODY } from '../../../src/protocol/logins.js';
import { failure } from '../../helpers/credentials.js';
import { keptLog } from '../../helpers/state.js';
import { http } from '../config/helpers.js';

const server = (more: object = {}): KeyServer => http({ auth: { type: 'key', ...more } }) as KeyServer;
const SIGNAL = new AbortController().signal;

/** A store in memory. */
function store(): KeyRecords & { readonly all: Map<string, { generation: number; value: object }> } {
  const all = new Map<string, { generation: number; value: object }>();
  let last = 0;
  return {
    all,
    get: (key) => Promise.resolve(all.get(key)),
    put(key, value, ifGeneration) {
      if ((all.get(key)?.generation ?? 0) !== ifGeneration) return Promise.resolve(false);
      all.set(key, { generation: ++last, value });
      return Promise.resolve(true);
    },
    delete(key) {
      all.delete(key);
      return Promise.resolve();
    },
    isDamaged: () => Promise.resolve(false),
    async *keys() {
      yield* await Promise.resolve([...all.keys()]);
    },
  };
}

function keysIn(records: KeyRecords) {
  const log = keptLog();
  const keys = new Keys({ records: () => Promise.resolve(records), shared: true, log, loggedIn: vi.fn() });
  return { keys, log };
}

const refusal = (stamp: number) => ({ status: 401, challenge: '', stamp, times: 0 }) as const;

it('takes the key that another process was given before it gives one up', async () => {
  const records = store();
  const [{ keys: one }, { keys: two }] = [keysIn(records), keysIn(records)];
  const credential = one.of(server());
  two.of(server());
  await one.set('x', EVERYBODY, 'first');
  await credential.ready(SIGNAL);
  const { stamp } = credential;
  await two.set('x', EVERYBODY, 'second');
  await credential.refused(refusal(stamp));
  expect(credential.headers).toEqual(['authorization', 'Bearer second']);
  // A request that was sent with the first key says nothing about the second one.
  await credential.refused(refusal(stamp));
  expect(credential.missing).toBeUndefined();
  one.close();
  two.close();
});

it('keeps a refused key out of use in every process, until it is set again', async () => {
  const records = store();
  const { keys, log } = keysIn(records);
  const credential = keys.of(server());
  await keys.set('x', EVERYBODY, 'the-key');
  await credential.ready(SIGNAL);
  const heard = vi.fn();
  const stop = credential.onChange(heard);
  expect((await failure(credential.refused(refusal(credential.stamp)))).data).toMatchObject({
    reason: 'revoked',
  });
  expect([credential.headers, heard.mock.calls.length]).toEqual([[], 1]);
  const { keys: other } = keysIn(records);
  expect((await failure(other.of(server()).ready(SIGNAL))).data).toMatchObject({ reason: 'revoked' });
  await keys.set('x', EVERYBODY, 'the-key');
  expect([credential.headers.length, heard.mock.calls.length]).toEqual([2, 2]);
  stop();
  expect(log.lines.join('\n')).not.toContain('the-key');
  keys.close();
  other.close();
});

it('gives a refused key up in memory if the store cannot be written', async () => {
  const records = store();
  const { keys } = keysIn(records);
  const credential = keys.of(server());
  await keys.set('x', EVERYBODY, 'the-key');
  await credential.ready(SIGNAL);
  records.put = () => Promise.reject(new Error('disk full'));
  expect((await failure(credential.refused(refusal(credential.stamp)))).code).toBe('login_required');
  expect((await failure(credential.ready(SIGNAL))).code).toBe('login_required');
  keys.close();
});

it('gives a key to no other URL, and erases those that no server uses', async () => {
  const records = store();
  const { keys } = keysIn(records);
  keys.of(server());
  await keys.set('x', EVERYBODY, 'the-key');
  const moved = { ...server(), url: 'http://127.0.0.1:3001/mcp' } as KeyServer;
  expect((await failure(keys.of(moved).ready(SIGNAL))).data).toMatchObject({ reason: 'never' });
  expect(await keys.prune(new Set(['x']))).toEqual([]);
  expect(await keys.prune(new Set())).toEqual(['x']);
  expect(records.all.size).toBe(0);
  expect((await failure(keys.set('x', 'key:ada', 'k'))).message).toContain('one key serves everybody');
  expect((await failure(keys.set('x', EVERYBODY, 'a b'))).message).not.toContain('a b');
  expect((await failure(keys.set('y', EVERYBODY, 'k'))).message).toContain("'y' takes no key");
  keys.close();
});
