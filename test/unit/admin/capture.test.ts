import fc from 'fast-check';
import { expect, it } from 'vitest';
import { masked } from '../../../src/admin/capture.js';

const shown = (value: unknown): string => masked(Buffer.from(JSON.stringify(value)), []);

it('masks secret members at any depth, also in JSON inside strings', () => {
  const inner = { user: 'me', password: 'a "quoted\\" one', list: [{ token: 42 }], Api_Key: '' };
  expect(JSON.parse(shown({ text: `Result: ${JSON.stringify(inner, null, 2)} done` }))).toEqual({
    text: `Result: ${JSON.stringify({ ...inner, password: '***', list: [{ token: '***' }], Api_Key: '***' }, null, 2)} done`,
  });
  const twice = shown({
    text: JSON.stringify({ text: JSON.stringify({ secret: 'deep-secret', other: 1 }) }),
  });
  expect(twice).not.toContain('deep-secret');
  expect(twice).toContain('other');
});

it('shows no value of a secret member, however deep its JSON is inside strings', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 30 }), fc.integer({ min: 0, max: 3 }), (noise, depth) => {
      const secret = `S3CR3T${noise}S3CR3T`;
      let value: unknown = { before: noise, password: secret, after: noise };
      for (let i = 0; i < depth; i++) value = { text: JSON.stringify(value) };
      expect(shown(value)).not.toContain('S3CR3T');
    }),
  );
});

it('masks a secret whose string is cut', () => {
  const long = JSON.stringify({ text: JSON.stringify({ password: 'x'.repeat(70_000) }) });
  expect(masked(Buffer.from(long), [])).not.toContain('xxx');
});
