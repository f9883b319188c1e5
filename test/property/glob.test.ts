import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileGlob, compileGlobs } from '../../src/lib/glob.js';

/** The definition, character by character; exponential in the number of stars. */
function naive([head, ...rest]: readonly string[], text: readonly string[]): boolean {
  if (head === undefined) return text.length === 0;
  if (head === '*') return naive(rest, text) || (text.length > 0 && naive([head, ...rest], text.slice(1)));
  return text.length > 0 && (head === '?' || head === text[0]) && naive(rest, text.slice(1));
}

const alphabet = fc.constantFrom('a', 'b', '/', '.', '😀', 'é');
const patterns = fc.array(fc.oneof(alphabet, fc.constantFrom('*', '?')), { maxLength: 8 });
const texts = fc.array(alphabet, { maxLength: 12 });

/** A pattern, and a text that it matches. */
const pairs = fc
  .array(
    fc.oneof(
      alphabet.map((character) => [character, character] as const),
      alphabet.map((character) => ['?', character] as const),
      texts.map((text) => ['*', text.join('')] as const),
    ),
    { maxLength: 6 },
  )
  .map((parts) => [parts.map(([glob]) => glob).join(''), parts.map(([, text]) => text).join('')] as const);

describe('a glob', () => {
  it('matches what its definition matches', () => {
    fc.assert(
      fc.property(patterns, texts, (pattern, text) => {
        expect(compileGlob(pattern.join(''))(text.join(''))).toBe(naive(pattern, text));
      }),
      { numRuns: 5000 },
    );
  });

  it('matches a text that was made from it, and without a star nothing longer', () => {
    fc.assert(
      fc.property(pairs, ([pattern, text]) => {
        const glob = compileGlob(pattern);
        expect(glob(text)).toBe(true);
        if (!pattern.includes('*')) expect(glob(`${text}\n`)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes any text, a broken one too', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (pattern, text) => {
        expect(compileGlob(pattern.replaceAll(/[*?]/g, '') + '*')(text)).toBe(
          text.startsWith(pattern.replaceAll(/[*?]/g, '')),
        );
        expect(compileGlob(`?*`)(`\ud800${text}`)).toBe(true);
      }),
    );
  });

  it('does not try again what it has found: a hundred stars that backtracking would never finish', () => {
    const text = 'a'.repeat(20_000);
    for (const one of ['a', '?']) expect(compileGlob(`${`*${one}`.repeat(100)}*b*`)(text), one).toBe(false);
  });
});

describe('several globs', () => {
  it('need one that matches', () => {
    const globs = compileGlobs(['docs', 'files_*', '?']);
    expect(['docs', 'files_', 'files_x', 'q', '', 'Docs', 'xdocs'].map(globs)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(compileGlobs([])('')).toBe(false);
  });
});
