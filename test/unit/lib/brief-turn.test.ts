import { expect, it } from 'vitest';
import { briefTurn } from '../../../src/lib/brief-turn.js';

/** A clock that says these times one after the other, then the last one. */
function saying(times: number[]): { now: () => number; left: () => number } {
  const left = [...times];
  return {
    now: () => (left.length > 1 ? (left.shift() as number) : (left[0] as number)),
    left: () => left.length,
  };
}

it('waits while turns are long', async () => {
  const clock = saying([0, 5, 10, 12, 12.04, 99]);
  await briefTurn(Infinity, clock);
  expect(clock.left()).toBe(1);
});

it('waits for half a second at the most', async () => {
  const clock = saying([0, 100, 200, 300, 400, 500, 600, 700]);
  await briefTurn(Infinity, clock);
  expect(clock.left()).toBe(2);
});

it('waits for no longer than the caller has time', async () => {
  const clock = saying([0, 100, 200, 300, 400, 500, 600, 700]);
  await briefTurn(250, clock);
  expect(clock.left()).toBe(4);
});
