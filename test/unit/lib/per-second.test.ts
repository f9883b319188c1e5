import { expect, it } from 'vitest';
import { PerSecond } from '../../../src/lib/per-second.js';

it('admits so many events in a second, and as many in the next', () => {
  let now = 5000;
  const rate = new PerSecond(2, () => now);
  expect([rate.admits(), rate.admits(), rate.admits()]).toEqual([true, true, false]);
  now = 5999;
  expect(rate.admits()).toBe(false);
  now = 6000;
  expect([rate.admits(), rate.admits(), rate.admits()]).toEqual([true, true, false]);
  // A clock that was set back begins another second.
  now = 5000;
  expect(rate.admits()).toBe(true);
});
