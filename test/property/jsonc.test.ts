import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ConfigError } from '../../src/config/index.js';
import { parseText } from '../../src/config/syntax.js';

const space = fc.stringMatching(/^[ \t\n]{0,3}$/);
const gap = fc
  .tuple(space, fc.constantFrom('', '// c "{\n', '/* ", ] */', '/*\n*/'), space)
  .map((parts) => parts.join(''));

/** JSON with what it may have between its words, and what it says. */
const document = fc.tuple(fc.jsonValue({ maxDepth: 4 }), fc.array(gap, { minLength: 8 }), fc.boolean());

it('JSON means what it means without comments, white space and trailing commas', () => {
  fc.assert(
    fc.property(document, ([said, gaps, trailing]) => {
      const value = { value: said };
      let at = 0;
      const next = (): string => gaps[at++ % gaps.length] ?? '';
      const write = (each: unknown): string => {
        if (typeof each !== 'object' || each === null) return JSON.stringify(each);
        const parts = Array.isArray(each)
          ? each.map((item) => next() + write(item) + next())
          : Object.entries(each).map(
              ([key, item]) => next() + JSON.stringify(key) + next() + ':' + next() + write(item) + next(),
            );
        const inner = parts.join(',') + (trailing && parts.length > 0 ? `,${next()}` : '');
        return Array.isArray(each) ? `[${inner}]` : `{${inner}}`;
      };
      const text = next() + write(value) + next();
      expect(parsed(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
    { numRuns: 500 },
  );
});

it('whatever else is in a .json file is an error with a place', () => {
  const word = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '1',
    'a',
    '#',
    '- ',
    "'",
    '*a',
    '\n',
    '"',
    '//',
    '/*',
    '?',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), (words) => {
      const text = words.join('');
      try {
        parseText(text, 'x.json');
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        for (const line of (error as Error).message.split('\n')) expect(line).toMatch(/^x\.json:\d+:\d+: /);
        return;
      }
      const strict = text
        .replace(/("[^"\n]*")|\/\/[^\n]*|\/\*[^]*?(\*\/|$)/g, '$1')
        .replace(/,(?=\s*[}\]])/g, '');
      JSON.parse(strict);
    }),
    { numRuns: 3000 },
  );
});

function parsed(text: string): unknown {
  return JSON.parse(JSON.stringify(parseText(text, 'x.json').value));
}
