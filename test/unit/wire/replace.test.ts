import fc from 'fast-check';
import { expect, test } from 'vitest';
import { replace, splice } from '../../../src/wire/splice.js';

const bytes = fc.uint8Array({ maxLength: 3000 }).map((array) => Buffer.from(array));

test('a span is replaced as a copy would have it, wherever it stands and however long it is', () => {
  fc.assert(
    fc.property(
      bytes,
      bytes,
      fc.uint8Array({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 60 }),
      (a, b, old, put) => {
        const whole = Buffer.concat([a, old, b]);
        const span = { start: a.length, end: a.length + old.length };
        const wanted = splice(whole, [{ ...span, bytes: Buffer.from(put) }]);
        expect(replace(whole, span, Buffer.from(put)).equals(wanted)).toBe(true);
      },
    ),
    { numRuns: 2000 },
  );
});

test('what is put in may be a text, and patches come in any order', () => {
  const patches = [
    { start: 6, end: 7, bytes: '42' },
    { start: 0, end: 1, bytes: Buffer.from('x') },
    { start: 6, end: 6, bytes: '-' },
  ];
  expect(splice(Buffer.from('abcdef7gh'), patches).toString()).toBe('xbcdef-42gh');
});

test('a shorter id near an end is put in without a new buffer', () => {
  const whole = Buffer.from(`{"jsonrpc":"2.0","id":12345,"result":{"text":"${'x'.repeat(5000)}"}}`);
  const at = whole.indexOf('12345');
  const done = replace(whole, { start: at, end: at + 5 }, Buffer.from('7'));
  expect(done.buffer).toBe(whole.buffer);
  expect(JSON.parse(done.toString())).toMatchObject({ id: 7 });
});
