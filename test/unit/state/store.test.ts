import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silent } from '../../../src/observe/log.js';
import { openFolder } from '../../../src/state/folder.js';
import { memoryState } from '../../../src/state/memory.js';
import type { Sealed } from '../../../src/state/sealed.js';
import { fixedKeys } from '../../../src/state/state-key.js';
import { all, scratchFolder } from '../../helpers/state.js';

const STORES: [string, (now: () => number) => Promise<Sealed>][] = [
  ['memory', (now) => Promise.resolve(memoryState(now))],
  [
    'a folder',
    (now) =>
      openFolder({
        dir: join(scratchFolder(), 'state'),
        keys: fixedKeys({ current: randomBytes(32), older: [] }),
        log: silent,
        now,
      }),
  ],
];

describe.each(STORES)('state in %s', (_name, open) => {
  const clock = { now: 1_000_000 };
  const store = (): Promise<Sealed> => open(() => clock.now);
  const signal = new AbortController().signal;

  it('writes a record only if nobody has written it since', async () => {
    const state = await store();
    expect(await state.get('pin:files')).toBeUndefined();
    expect(await state.put('pin:files', { a: 1 }, 7)).toBe(false);
    expect(await state.put('pin:files', { a: 1 }, 0)).toBe(true);
    expect(await state.put('pin:files', { a: 2 }, 0)).toBe(false);
    const first = await state.get('pin:files');
    expect(first?.value).toEqual({ a: 1 });
    const generation = first?.generation ?? 0;
    expect(await state.put('pin:files', { a: 2 }, generation)).toBe(true);
    expect(await state.put('pin:files', { a: 3 }, generation)).toBe(false);
    expect((await state.get('pin:files'))?.value).toEqual({ a: 2 });
  });

  it('tells a record from one that was deleted and made anew', async () => {
    const state = await store();
    await state.put('grant:x', { token: 'old' }, 0);
    const old = await state.get('grant:x');
    await state.delete('grant:x');
    expect(await state.get('grant:x')).toBeUndefined();
    await state.put('grant:x', { token: 'new' }, 0);
    expect(await state.put('grant:x', { token: 'refreshed' }, old?.generation ?? 0)).toBe(false);
    expect((await state.get('grant:x'))?.value).toEqual({ token: 'new' });
  });

  it('forgets a record at the end of its time', async () => {
    const state = await store();
    await state.put('login:1', { at: 1 }, 0, { ttlMs: 500 });
    await state.put('login:2', { at: 2 }, 0);
    clock.now += 499;
    expect((await state.get('login:1'))?.value).toEqual({ at: 1 });
    expect((await all(state.keys('login'))).sort()).toEqual(['login:1', 'login:2']);
    clock.now += 1;
    expect(await state.get('login:1')).toBeUndefined();
    expect(await all(state.keys('login'))).toEqual(['login:2']);
    expect(await state.put('login:1', { at: 3 }, 0)).toBe(true);
    expect((await state.get('login:1'))?.value).toEqual({ at: 3 });
  });

  it('lists the keys of a kind', async () => {
    const state = await store();
    await Promise.all(['pin:a', 'pin:b', 'grant:a', 'client:a'].map((key) => state.put(key, { key }, 0)));
    await state.delete('pin:b');
    await state.delete('pin:never');
    expect(await all(state.keys('pin'))).toEqual(['pin:a']);
    expect(await all(state.keys('grant'))).toEqual(['grant:a']);
    expect(await all(state.keys('revocation'))).toEqual([]);
  });

  it('keeps values apart from the objects of its callers', async () => {
    const state = await store();
    const value = { list: [1] };
    await state.put('pin:own', value, 0);
    value.list.push(2);
    const read = await state.get('pin:own');
    (read?.value as typeof value).list.push(3);
    expect((await state.get('pin:own'))?.value).toEqual({ list: [1] });
  });

  it('refuses keys without a kind, and the name of an index', async () => {
    const state = await store();
    for (const key of ['', 'pin', 'pin:', ':x', 'constructor:x', 'unknown:x']) {
      await expect(state.get(key)).rejects.toThrow(TypeError);
      await expect(state.put(key, {}, 0)).rejects.toThrow(TypeError);
    }
  });

  it('gives a lock to one holder at a time, in order', async () => {
    const state = await store();
    const order: string[] = [];
    const first = await state.lock('grant:l', 60_000, signal);
    const others = ['b', 'c'].map(async (name) => {
      const release = await state.lock('grant:l', 60_000, signal);
      order.push(name);
      await state.put(`client:${name}`, {}, 0);
      order.push(`${name} done`);
      await release();
    });
    // Another lock is free meanwhile.
    await (
      await state.lock('grant:other', 60_000, signal)
    )();
    order.push('a done');
    await first();
    await first();
    await Promise.all(others);
    expect(order).toEqual(['a done', 'b', 'b done', 'c', 'c done']);
  });

  it('gives up a lock when the signal aborts, and releases it by itself', async () => {
    const state = await store();
    const release = await state.lock('grant:l', 60_000, signal);
    const impatient = new AbortController();
    const waiting = state.lock('grant:l', 60_000, impatient.signal);
    impatient.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(state.lock('grant:l', 60_000, impatient.signal)).rejects.toThrow('enough');
    await release();
    await state.lock('grant:l', 1, signal);
    // Only its time ends this one.
    await (
      await state.lock('grant:l', 60_000, signal)
    )();
  });

  it('lets one of many writers through', async () => {
    const state = await store();
    await state.put('pin:count', { n: 0 }, 0);
    const add = async (): Promise<void> => {
      for (;;) {
        const read = await state.get('pin:count');
        if (!read) throw new Error('the record is gone');
        const { n } = read.value as { n: number };
        if (await state.put('pin:count', { n: n + 1 }, read.generation)) return;
      }
    };
    await Promise.all(Array.from({ length: 12 }, add));
    expect((await state.get('pin:count'))?.value).toEqual({ n: 12 });
  });
});
