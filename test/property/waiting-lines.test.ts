import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WaitingLines } from '../../src/observe/audit/waiting.js';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc
    .record({ of: fc.constantFrom('a', 'é', '\u2028', '\ud83d\ude00', '\ud800'), times: fc.nat(120_000) })
    .map(({ of, times }) => of.repeat(times)),
);
const step = fc.oneof(
  { weight: 3, arbitrary: text.map((line) => ({ line: line.replaceAll('\n', ' ') })) },
  { weight: 1, arbitrary: fc.integer({ min: -5, max: 600_000 }).map((room) => ({ room })) },
);

it('what is taken are the lines that were added, in order, whole, and no more than there is room for', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const lines = new WaitingLines();
      const model: Buffer[] = [];
      const taken: { got: Buffer; wanted: Buffer }[] = [];
      const take = (room: number): void => {
        const got = lines.take(room);
        if (!got) return expect(model).toEqual([]);
        let wanted = Buffer.alloc(0);
        while (model[0] && wanted.length < got.length)
          wanted = Buffer.concat([wanted, model.shift() as Buffer]);
        expect(got.equals(wanted)).toBe(true);
        const isOne = got.indexOf('\n') === got.length - 1;
        expect(isOne || got.length <= room).toBe(true);
        taken.push({ got, wanted });
      };
      for (const each of steps) {
        if ('room' in each) take(each.room);
        else {
          const bytes = Buffer.from(each.line);
          expect(lines.add(each.line).equals(bytes)).toBe(true);
          model.push(Buffer.concat([bytes, Buffer.from('\n')]));
        }
        expect(lines.count).toBe(model.length);
        expect(lines.bytes).toBe(model.reduce((sum, { length }) => sum + length, 0));
        expect(lines.first).toBe(model[0]?.length);
      }
      while (lines.count > 0) take(Infinity);
      expect(model).toEqual([]);
      // Nobody writes into what was taken.
      for (const { got, wanted } of taken) expect(got.equals(wanted)).toBe(true);
    }),
  );
});
