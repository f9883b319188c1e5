import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Queue } from '../../../src/lib/queue.js';

test('gives what was put in, in its order, whatever is taken in between', () => {
  const step = fc.oneof(fc.constant('shift' as const), fc.nat(20), fc.record({ gone: fc.nat(20) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new Queue<number>();
      const model: number[] = [];
      for (const each of steps) {
        if (each === 'shift') expect(queue.shift()).toBe(model.shift());
        else if (typeof each === 'number') {
          queue.push(each);
          model.push(each);
        } else {
          queue.delete(each.gone);
          const at = model.indexOf(each.gone);
          if (at !== -1) model.splice(at, 1);
        }
        expect(queue.length).toBe(model.length);
      }
      queue.clear();
      expect([queue.length, queue.shift()]).toEqual([0, undefined]);
    }),
  );
});
