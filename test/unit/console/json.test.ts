import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { indented, mistakeOf } from '../../../console/src/json.js';
import { lineDiff } from '../../../console/src/diff.js';
import { indexOf, search } from '../../../console/src/screens/search.js';

const spaced = fc
  .json()
  .chain((text) => fc.constantFrom(text, ` ${text}\n`, JSON.stringify(JSON.parse(text), null, 2)));

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('JSON as text', () => {
  it('finds a mistake exactly where JSON.parse does not read it', () => {
    const damaged = fc
      .tuple(
        spaced,
        fc.nat(),
        fc.constantFrom('', ',', '"', '}', ']', '{', '\\', '0', '-', '\u0001', 'e', ':'),
        fc.nat(2),
      )
      .map(([text, at, put, drop]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + put + text.slice(place + drop);
      });
    fc.assert(
      fc.property(fc.oneof(spaced, damaged, fc.string()), (text) => {
        expect(mistakeOf(text) === null).toBe(parses(text));
      }),
      { numRuns: 3_000 },
    );
  });

  it('says where', () => {
    expect(mistakeOf('{\n  "a": 1,\n  "b" 2\n}')).toEqual({
      line: 3,
      column: 7,
      message: 'a colon is missing after the name',
    });
    expect(mistakeOf('[1, 2')).toMatchObject({ line: 1, column: 1, message: 'this [ has no ]' });
    expect(mistakeOf(`${'['.repeat(2_000)}`)?.message).toContain('levels');
  });

  it('indents without a change of the value, its numbers or its strings', () => {
    fc.assert(
      fc.property(spaced, (text) => {
        expect(JSON.parse(indented(text))).toEqual(JSON.parse(text));
        expect(indented(indented(text))).toBe(indented(text));
      }),
    );
    expect(indented('{"n":1.0,"big":12345678901234567890,"e":[]}')).toBe(
      '{\n  "n": 1.0,\n  "big": 12345678901234567890,\n  "e": []\n}',
    );
    expect(indented('not json')).toBe('not json');
  });
});

describe('lineDiff', () => {
  it('leads from one text to the other', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const diff = lineDiff(before.join('\n'), after.join('\n')).split('\n');
        const signs = (sign: string): number => diff.filter((line) => line.startsWith(sign)).length;
        expect(after.length - before.length).toBe(signs('+') - signs('-'));
        if (before.join() === after.join()) expect(signs('+') + signs('-')).toBe(0);
      }),
    );
    expect(lineDiff('a\nb', 'a\nc')).toBe(' a\n-b\n+c');
  });
});

describe('search', () => {
  it('wants all words, in names or texts, and puts names first', () => {
    const rows = [
      { name: 'write_file', text: 'Writes' },
      { name: 'read', text: 'Reads a FILE' },
    ];
    const index = indexOf(
      rows,
      ({ name }) => name,
      ({ text }) => [text, null],
    );
    expect(search(index, 'file').map(({ name }) => name)).toEqual(['write_file', 'read']);
    expect(search(index, 'file reads').map(({ name }) => name)).toEqual(['read']);
    expect(search(index, ' ')).toHaveLength(2);
    expect(search(index, 'nothing')).toEqual([]);
  });
});
