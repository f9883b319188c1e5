import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createSeal, digest, isOurs } from '../../../src/bridge/seal.js';

const KEY = Buffer.alloc(32, 7);
let now = 1_000_000;
const sealOf = (replica = 'a', key: Buffer | undefined = KEY) => createSeal({ key, replica, now: () => now });

describe('a sealed state', () => {
  const payload = { call: 'c1', method: 'tools/call', name: 'wait', n: 1.5, deep: { a: [null, 'é"'] } };

  it('gives back what was put in, and shows none of it', () => {
    const state = sealOf().seal(payload, 1000);
    expect(sealOf().open(state)).toEqual({ ok: true, payload });
    expect(state).toMatch(/^mcpstead\.1\.[A-Za-z0-9_-]+$/);
    const inside = Buffer.from(state.slice('mcpstead.1.'.length), 'base64url').toString('latin1');
    expect(inside).not.toMatch(/tools|wait|c1|"r"/);
  });

  it('is another one each time', () => {
    const seal = sealOf();
    expect(seal.seal(payload, 1000)).not.toBe(seal.seal(payload, 1000));
  });

  it('is expired from its last millisecond on', () => {
    now = 1_000_000;
    const state = sealOf().seal(payload, 1000);
    now = 1_000_999;
    expect(sealOf().open(state)).toMatchObject({ ok: true });
    now = 1_001_000;
    expect(sealOf().open(state)).toEqual({ ok: false, reason: 'expired' });
    now = 1_000_000;
  });

  it('of another replica is known by the key that both have', () => {
    const state = sealOf('a').seal(payload, 1000);
    expect(sealOf('b').open(state)).toEqual({ ok: false, reason: 'other_replica' });
  });

  it('under another key is a forged one, and each seal without a key has one of its own', () => {
    const state = sealOf().seal(payload, 1000);
    expect(sealOf('a', Buffer.alloc(32, 8)).open(state)).toEqual({ ok: false, reason: 'forged' });
    const [one, two] = [0, 0].map(() => createSeal({ key: undefined, replica: 'a', now: () => now }));
    const own = one?.seal(payload, 1000) as string;
    expect(one?.open(own)).toMatchObject({ ok: true });
    expect(two?.open(own)).toEqual({ ok: false, reason: 'forged' });
  });

  it('with any one character changed is a forged one', () => {
    const state = sealOf().seal({ a: 1 }, 1000);
    for (let i = 0; i < state.length; i++) {
      const other = state[i] === 'A' ? 'B' : 'A';
      const changed = state.slice(0, i) + other + state.slice(i + 1);
      expect(sealOf().open(changed), `at ${i}`).toEqual({ ok: false, reason: 'forged' });
    }
  });

  it.each([
    ['nothing', ''],
    ['the prefix alone', 'mcpstead.1.'],
    ['no Base64', 'mcpstead.1.%%%%'],
    ['too short', 'mcpstead.1.AAAA'],
    ['another version', 'mcpstead.2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
    ['a megabyte', `mcpstead.1.${'A'.repeat(1 << 20)}`],
  ])('that is %s is a forged one', (_, text) => {
    expect(sealOf().open(text)).toEqual({ ok: false, reason: 'forged' });
  });

  it('cut, or with padding, is a forged one', () => {
    const state = sealOf().seal({ a: 1 }, 1000);
    for (const text of [state.slice(0, -1), `${state}=`, `${state}A`, ` ${state}`])
      expect(sealOf().open(text)).toEqual({ ok: false, reason: 'forged' });
  });

  it('is known as one of ours by how it begins', () => {
    expect(isOurs(sealOf().seal({}, 1))).toBe(true);
    expect(isOurs('eyJhIjoxfQ')).toBe(false);
  });
});

it('a key that is not 32 bytes long makes no seal', () => {
  expect(() => sealOf('a', Buffer.alloc(16))).toThrow('a key must have 32 bytes');
});

it('a digest stands for bytes, and is short', () => {
  const bytes = Buffer.from('{"a":1}');
  expect(digest(bytes)).toBe(createHash('sha256').update('{"a":1}').digest('base64url'));
  expect(digest(bytes)).toHaveLength(43);
  expect(digest(Buffer.from('{"a":2}'))).not.toBe(digest(bytes));
});
