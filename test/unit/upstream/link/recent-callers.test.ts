import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentCallers } from '../../../../src/upstream/link/recent-callers.js';

test('a client alone was never joined by others', () => {
  const callers = new RecentCallers();
  expect(callers.othersLately('a', 0)).toBe(false);
  callers.note('a', 0);
  callers.note('a', 5);
  expect(callers.othersLately('a', 6)).toBe(false);
});

test('others count for ten seconds after their last call', () => {
  const callers = new RecentCallers();
  callers.note('b', 1000);
  callers.note('a', 2000);
  expect(callers.othersLately('a', 10_999)).toBe(true);
  expect(callers.othersLately('a', 11_000)).toBe(false);
  expect(callers.othersLately('b', 11_999)).toBe(true);
  expect(callers.othersLately('c', 11_999)).toBe(true);
});

test('it says what a memory of all calls would say, for whoever calls at that moment', () => {
  const call = fc.record({
    client: fc.constantFrom('a', 'b', 'c', 'd'),
    after: fc.integer({ min: 0, max: 12_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(call, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 0, max: 12_000 }),
      (calls, after) => {
        const callers = new RecentCallers();
        const last = new Map<string, number>();
        let now = 0;
        for (const each of calls) {
          now += each.after;
          callers.note(each.client, now);
          last.set(each.client, now);
        }
        const { client } = calls.at(-1) as { client: string };
        now += after;
        const others = [...last].some(([who, at]) => who !== client && now - at < 10_000);
        expect(callers.othersLately(client, now)).toBe(others);
      },
    ),
  );
});
