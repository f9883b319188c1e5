import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { FleetKeys, hiddenName } from '../../../src/fleet/keys.js';

const [OLD, NEW] = [randomBytes(32), randomBytes(32)];

it('seals for one purpose and one context', () => {
  const keys = new FleetKeys(OLD, []);
  const sealed = keys.seal('store', 'member a', 'text');
  expect(keys.open('store', 'member a', sealed)?.toString()).toBe('text');
  expect(keys.open('store', 'member b', sealed)).toBeUndefined();
  expect(keys.open('peer', 'member a', sealed)).toBeUndefined();
  expect(new FleetKeys(NEW, []).open('store', 'member a', sealed)).toBeUndefined();
  expect(sealed.includes('text')).toBe(false);
});

it('opens nothing that was changed or cut', () => {
  const keys = new FleetKeys(OLD, []);
  const sealed = keys.seal('store', 'x', 'a longer text');
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] as number) ^ 1;
    expect(keys.open('store', 'x', changed)).toBeUndefined();
    expect(keys.open('store', 'x', sealed.subarray(0, at))).toBeUndefined();
  }
});

it('opens what either key sealed while the state key is changed', () => {
  const before = new FleetKeys(OLD, [NEW]);
  const after = new FleetKeys(NEW, [OLD]);
  for (const [from, to] of [
    [before, after],
    [after, before],
  ] as const)
    expect(to.open('peer', 'x', from.seal('peer', 'x', 'y'))?.toString()).toBe('y');
  expect(new FleetKeys(NEW, []).open('peer', 'x', before.seal('peer', 'x', 'y'))).toBeUndefined();
});

it('hides names', () => {
  const name = hiddenName(new FleetKeys(OLD, []).current('name'), 'alice');
  expect(name).toMatch(/^[A-Za-z0-9_-]{32}$/);
  expect(name).not.toBe(hiddenName(new FleetKeys(NEW, []).current('name'), 'alice'));
});
