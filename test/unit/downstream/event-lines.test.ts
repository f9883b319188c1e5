import { expect, test } from 'vitest';
import { EventLines } from '../../../src/downstream/event-lines.js';
import { Lane, type Outlet } from '../../../src/downstream/lane.js';
import { createBudget } from '../../../src/lib/budget.js';

test('many small messages stop their stream where the client does not read, until they are out', async () => {
  let isOpen = false;
  let sent = 0;
  const outlet: Outlet = {
    drained: () => undefined,
    event: () => {
      sent++;
      return isOpen;
    },
    begin: () => undefined,
    chunk: () => true,
    finish: () => undefined,
    cut: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
  };
  const lane = new Lane(outlet, createBudget(1e9), () => undefined);
  const events = new EventLines(lane);
  let resumed = 0;
  events.onto(() => resumed++);
  expect(events.push(Buffer.from('data: {}\n\n'.repeat(1000)))).toBe(false);
  expect([sent, resumed]).toEqual([1, 0]);
  isOpen = true;
  outlet.drained();
  await new Promise(setImmediate);
  expect([sent, resumed, lane.waiting]).toEqual([1000, 1, 0]);
  expect(events.push(Buffer.from('data: {}\n\n'))).toBe(true);
});
