import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SlotSet, type Slotted } from '../../../src/lib/slot-set.js';

it('holds what was added and not deleted, in places that are used again', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), (steps) => {
      const set = new SlotSet<Slotted & { name: number }>();
      const entries = Array.from({ length: 10 }, (_, name) => ({ slot: -1, name }));
      const inside = new Set<number>();
      let most = 0;
      for (const step of steps) {
        const entry = entries[step] as (typeof entries)[number];
        if (inside.delete(step)) set.delete(entry);
        else {
          set.add(entry);
          inside.add(step);
        }
        most = Math.max(most, inside.size);
        expect(new Set(set.all().map(({ name }) => name))).toEqual(inside);
        expect(Math.max(-1, ...entries.map(({ slot }) => slot))).toBeLessThan(most);
      }
      set.delete({ slot: 0, name: 99 });
      expect(set.all()).toHaveLength(inside.size);
    }),
  );
});
