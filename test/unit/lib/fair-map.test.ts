import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairMap } from '../../../src/lib/fair-map.js';

describe('a map that owners share', () => {
  it('takes the oldest entry from the owner with the most', () => {
    const map = new FairMap<string, number>(4);
    map.set('a1', 'a', 1);
    map.set('b1', 'b', 2);
    map.set('b2', 'b', 3);
    map.set('b3', 'b', 4);
    map.set('a2', 'a', 5);
    expect(map.get('b1')).toBeUndefined();
    expect([map.get('a1'), map.get('a2'), map.get('b2'), map.get('b3')]).toEqual([1, 5, 3, 4]);
  });

  it('behaves as a simple model of it does', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key: fc.nat(30), owner: fc.nat(4) }),
      fc.record({ kind: fc.constant('delete' as const), key: fc.nat(30), owner: fc.constant(0) }),
      fc.record({ kind: fc.constant('drop' as const), key: fc.constant(0), owner: fc.nat(4) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 200 }), (limit, steps) => {
        const map = new FairMap<number, number>(limit);
        /** Least recently set first. */
        let model: { key: number; owner: number; value: number }[] = [];
        const count = (owner: number): number => model.filter((each) => each.owner === owner).length;
        steps.forEach(({ kind, key, owner }, value) => {
          if (kind === 'drop') {
            map.drop(owner);
            model = model.filter((each) => each.owner !== owner);
          } else {
            expect(kind === 'delete' && map.delete(key)).toBe(
              kind === 'delete' && model.some((each) => each.key === key),
            );
            model = model.filter((each) => each.key !== key);
            if (kind === 'set') {
              map.set(key, owner, value);
              model.push({ key, owner, value });
            }
          }
          if (model.length > limit) {
            const most = Math.max(...model.map((each) => count(each.owner)));
            const [gone] = model.filter((each) => map.get(each.key) === undefined);
            if (!gone) throw new Error('nothing was evicted');
            expect(count(gone.owner)).toBe(most);
            expect(model.find((each) => each.owner === gone.owner)).toBe(gone);
            model = model.filter((each) => each !== gone);
          }
          expect(map.size).toBe(model.length);
          for (const each of model) expect(map.get(each.key)).toBe(each.value);
        });
      }),
      { numRuns: 500 },
    );
  });
});
