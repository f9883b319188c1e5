import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CallTable } from '../../../../src/upstream/calls/call-table.js';

test('an id is never given twice, and finds what was put under it until that is deleted', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 400 }), fc.infiniteStream(fc.nat()), (steps, picks) => {
      const table = new CallTable<{ id: number }>();
      const held: { id: number }[] = [];
      const used = new Set<number>();
      for (const put of steps) {
        if (put || held.length === 0) {
          const entry = { id: table.nextId() };
          expect(used.has(entry.id)).toBe(false);
          used.add(entry.id);
          table.put(entry);
          held.push(entry);
        } else {
          const [entry] = held.splice((picks.next().value as number) % held.length, 1) as [{ id: number }];
          expect(table.delete(entry)).toBe(true);
          expect(table.delete(entry)).toBe(false);
          expect(table.get(entry.id)).toBeUndefined();
        }
        expect(table.size).toBe(held.length);
      }
      for (const entry of held) expect(table.get(entry.id)).toBe(entry);
      expect(table.all().sort((a, b) => a.id - b.id)).toEqual(held.sort((a, b) => a.id - b.id));
    }),
  );
});

test('ids taken before any is put all find their places, also long after others', () => {
  const table = new CallTable<{ id: number }>();
  const early = Array.from({ length: 5 }, () => ({ id: table.nextId() }));
  const later = Array.from({ length: 500 }, () => {
    const entry = { id: table.nextId() };
    table.put(entry);
    return entry;
  });
  for (const entry of early) table.put(entry);
  for (const entry of [...early, ...later]) expect(table.get(entry.id)).toBe(entry);
});

test('what is deleted must be the very entry', () => {
  const table = new CallTable<{ id: number }>();
  const entry = { id: table.nextId() };
  table.put(entry);
  expect(table.delete({ id: entry.id })).toBe(false);
  expect(table.get(entry.id + 64)).toBeUndefined();
  expect(table.get(entry.id)).toBe(entry);
});
