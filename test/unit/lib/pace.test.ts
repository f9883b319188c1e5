import { expect, test } from 'vitest';
import { Pace } from '../../../src/lib/pace.js';

test('a megabyte of one peer is enough for a turn, and the next turn begins anew', async () => {
  const pace = new Pace({ now: () => 0 });
  for (let n = 0; n < 15; n++) expect(pace.spend(65_536)).toBe(false);
  expect(pace.spend(65_536)).toBe(true);
  await new Promise(setImmediate);
  expect(pace.spend(65_536)).toBe(false);
});

test('so is what takes long', () => {
  let now = 0;
  const pace = new Pace({ now: () => now });
  expect(pace.spend(65_536)).toBe(false);
  now = 8;
  expect(pace.spend(1)).toBe(true);
});

test('small messages are not looked at', () => {
  let looks = 0;
  const pace = new Pace({ now: () => looks++ });
  for (let n = 0; n < 100; n++) pace.spend(200);
  expect(looks).toBe(0);
});
