import fc from 'fast-check';
import { expect, it } from 'vitest';
import { cleanName } from '../../../src/authorization-server/client-names.js';

it.each([
  ['Claude', 'Claude'],
  ['  Visual   Studio\tCode\r\n', 'Visual Studio Code'],
  ['Clau\u200bde', 'Claude'],
  ['\u202eevil\u202c', 'evil'],
  ['\u2066a\u2069\u200f\ufeff', 'a'],
  ['a\u2028b\u2029c', 'a b c'],
  ['a\u0000b\u001b[31mc', 'a b [31mc'],
  ['a\u00a0\u3000b', 'a b'],
  ['\u3164\u2800x\u115f', 'x'],
  ['\ud800x', 'x'],
  ['Z\u0301\u0302\u0303\u0304\u0305\u0306!', 'Ź\u0302\u0303\u0304!'],
  ['\u0301\u0302x', 'x'],
  ['e\u200b\u0301', 'é'],
  ['a\udb40\u200b\udd00b', 'a b'],
  ['<b>&amp;', '<b>&amp;'],
  ['日本語 👩', '日本語 👩'],
])('%j is shown as %j', (name, shown) => {
  expect(cleanName(name)).toBe(shown);
});

it.each(['', ' ', '\u200b\u200b', '\u202e\n', '\u3164'])('nothing is left of %j', (name) => {
  expect(cleanName(name)).toBeUndefined();
});

it('has at most 80 characters, none of them cut in two', () => {
  expect(cleanName('x'.repeat(200))).toBe('x'.repeat(80));
  expect(cleanName('👩'.repeat(200))).toBe('👩'.repeat(80));
  expect(cleanName(`${'x'.repeat(79)} y`)).toBe('x'.repeat(79));
});

const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.constantFrom(
        '\u0301',
        '\u034f',
        '\u0327',
        '\u200b',
        '\ud83d',
        '\udc69',
        '\udb40',
        '\udd00',
        'e',
        ' ',
      ),
    ),
    { maxLength: 120 },
  )
  .map((pieces) => pieces.join(''));

it('whatever the name is, one visible line is left, or nothing', () => {
  fc.assert(
    fc.property(text, (name) => {
      const shown = cleanName(name);
      if (shown === undefined) return;
      expect([...shown].length).toBeLessThanOrEqual(80);
      expect(shown).toBe(shown.trim());
      expect(shown).not.toBe('');
      expect(shown).not.toMatch(/[\p{C}\p{DI}\u2800]|\p{Zl}|\p{Zp}|\p{M}{4}| {2}/u);
      expect(cleanName(shown)).toBe(shown);
    }),
    { numRuns: 2000 },
  );
});
