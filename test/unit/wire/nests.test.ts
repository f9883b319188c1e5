import fc from 'fast-check';
import { expect, it } from 'vitest';
import { nestsWithin } from '../../../src/wire/json.js';

/** The deepest nesting of valid JSON. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.entries(value).map(([, each]) => depthOf(each)));
}

const text = fc.array(fc.constantFrom('\\', '"', '[', '{', ']', '}', 'a'), { maxLength: 150 });
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    text.map((parts) => parts.join('')),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      text.map((parts) => parts.join('')),
      tie('value'),
      { maxKeys: 3 },
    ),
  ),
}));

it('nesting is counted outside strings alone, however long they are and whatever is in them', () => {
  fc.assert(
    fc.property(value, (json) => {
      const bytes = Buffer.from(JSON.stringify(json));
      const depth = depthOf(json);
      expect(nestsWithin(bytes, depth)).toBe(true);
      expect(depth === 0 || !nestsWithin(bytes, depth - 1)).toBe(true);
    }),
  );
});

it('a string that does not end says nothing', () => {
  for (const length of [0, 62, 63, 64, 65, 200])
    for (const end of ['', '\\', '\\"', '['])
      expect(nestsWithin(Buffer.from(`["${'a'.repeat(length)}${end}`), 1)).toBe(true);
});
