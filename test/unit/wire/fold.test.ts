import fc from 'fast-check';
import { expect, it } from 'vitest';
import { foldName, foldWide } from '../../../src/wire/fold.js';

/** As in each reader: without the short way for plain names. */
const slow = (name: string): string =>
  (name.split('\0')[0] as string).toUpperCase().toLowerCase().replaceAll('i\u0307', 'i');

it('names are folded by the same rules, whether they are plain or not', () => {
  const names = fc.oneof(
    fc.string({ unit: 'grapheme-ascii' }),
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom('K', '\u212a', '\u017f', '\u0130', '\u0131', '\uff21', '\0', 'ß', 'I'),
    }),
  );
  fc.assert(
    fc.property(names, (name) => {
      expect(foldName(name)).toBe(slow(name));
      expect(foldWide(name)).toBe(slow(name.normalize('NFKC')).normalize('NFKC'));
    }),
  );
});
