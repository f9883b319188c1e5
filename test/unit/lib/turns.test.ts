import { expect, it } from 'vitest';
import { Turns } from '../../../src/lib/turns.js';

it('many that work at once get no more of a turn together than one, and all get on', async () => {
  let now = 0;
  const turns = new Turns({ now: () => now });
  let isOpen = true;
  let since = 0;
  const spent: number[] = [];
  const watch = (): void => {
    spent.push(now - since);
    since = now;
    if (isOpen) setImmediate(watch);
  };
  setImmediate(watch);
  const finished: number[] = [];
  const work = async (id: number, pieces: number): Promise<void> => {
    for (let n = 0; n < pieces; n++) {
      now += 2;
      if (turns.isOver()) await turns.next();
    }
    finished.push(id);
  };
  // The last one is short: it does not wait for the end of the others.
  await Promise.all([work(0, 40), work(1, 40), work(2, 40), work(3, 2)]);
  isOpen = false;
  expect(finished[0]).toBe(3);
  // Each does its first piece at once, before it can know of the others.
  expect(Math.max(...spent.slice(1))).toBeLessThanOrEqual(10);
  expect(spent.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(200);
});
