import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBudget, type Holder } from '../../src/lib/budget.js';

interface Case {
  readonly holder: Holder;
  readonly client: string;
  readonly server: string;
  evicted: boolean;
}

describe('a budget with holders', () => {
  it('never gives out more than its limit, and whoever holds most gives way', () => {
    const step = fc.record({
      client: fc.integer({ min: 0, max: 4 }),
      server: fc.integer({ min: 0, max: 2 }),
      which: fc.nat(5),
      bytes: fc.integer({ min: 1, max: 60 }),
      give: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const limit = 100;
        const budget = createBudget(limit);
        const all = new Map<string, Case>();
        const sumOf = (side: 'client' | 'server', key: string): number =>
          [...all.values()].reduce((sum, each) => sum + (each[side] === key ? each.holder.held : 0), 0);
        for (const { client: c, server: s, which, bytes, give } of steps) {
          const [client, server] = [`c${c}`, `s${s}`];
          const key = `${client} ${server} ${which}`;
          let one = all.get(key);
          if (!one) {
            const made: Case = { client, server, evicted: false, holder: undefined as unknown as Holder };
            Object.assign(made, { holder: budget.holder({ client, server }, () => (made.evicted = true)) });
            all.set(key, (one = made));
          }
          if (give) {
            one.holder.give(bytes);
            continue;
          }
          for (const each of all.values()) each.evicted = false;
          const before = new Map([...all.values()].map((each) => [each, each.holder.held]));
          const largestBefore = Math.max(
            ...[...all.values()].flatMap((each) => [
              sumOf('client', each.client),
              sumOf('server', each.server),
            ]),
          );
          const mine = Math.max(sumOf('client', client), sumOf('server', server));
          const took = one.holder.take(bytes);
          const evicted = [...all.values()].filter((each) => each.evicted);
          // Nobody gives way for what there is room for, nor for one that holds more.
          const total = [...before.values()].reduce((sum, held) => sum + held, 0);
          if (total + bytes <= limit) expect([took, evicted.length]).toEqual([true, 0]);
          for (const each of evicted) {
            expect(each.holder.held).toBe(0);
            const shares = each.client === client || each.server === server;
            if (!shares) expect(largestBefore).toBeGreaterThan(mine);
            expect(Math.max(before.get(each) ?? 0, largestBefore)).toBeGreaterThanOrEqual(
              before.get(one) ?? 0,
            );
          }
          // Refused: nobody else holds more than this one's sides would.
          if (!took) {
            const now = Math.max(sumOf('client', client), sumOf('server', server)) + bytes;
            for (const each of all.values()) {
              if (each.client !== client) expect(sumOf('client', each.client)).toBeLessThanOrEqual(now);
              if (each.server !== server) expect(sumOf('server', each.server)).toBeLessThanOrEqual(now);
            }
          }
          const held = [...all.values()].reduce((sum, each) => sum + each.holder.held, 0);
          expect(budget.used).toBe(held);
          expect(held).toBeLessThanOrEqual(limit);
        }
        for (const { holder } of all.values()) holder.release();
        expect(budget.used).toBe(0);
      }),
    );
  });
});
