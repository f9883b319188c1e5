/** Searches and checks of arguments, with whatever servers list and clients send. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { SearchIndex, serverTerms, wordsOf, type Searchable } from '../../src/catalog/search-index.js';
import { mostSimilar, pairsOf, similarity } from '../../src/catalog/similar.js';
import { readListPage } from '../../src/protocol/lists.js';
import { loadSchemaCheck, schemaCheck } from '../../src/proxy/schema-check.js';

const text = fc.string({ unit: 'binary', maxLength: 200 });
const word = fc.constantFrom(
  'get',
  'Event',
  'events',
  '_',
  '-',
  ' ',
  'HTTP',
  'é',
  '天',
  '"',
  '\\',
  '\u0000',
  '2',
);
const phrase = fc.array(word, { maxLength: 20 }).map((words) => words.join(''));
const any = fc.oneof(text, phrase);

const tools = fc.array(
  fc.record({
    name: fc.oneof(phrase, text).filter((name) => name !== ''),
    description: any,
    inputSchema: fc
      .dictionary(any, fc.constant({}), { maxKeys: 5 })
      .map((properties) => ({ type: 'object', properties })),
  }),
  { maxLength: 12 },
);

function searchables(listed: readonly object[]): Searchable[] {
  const { definitions } = readListPage('tools', Buffer.from(JSON.stringify({ tools: listed })));
  const server = serverTerms('server', 'Events');
  return definitions.map((definition) => ({ name: `server__${definition.key}`, definition, server }));
}

function search(all: readonly Searchable[], query: string, limit: number): (readonly [string, number])[] {
  const steps = SearchIndex.build(all);
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value.search(query, limit).map(({ tool, score }) => [tool.name, score] as const);
}

describe('words', () => {
  it('are short, in lower case, and have nothing but letters, marks and digits', () => {
    fc.assert(
      fc.property(any, (given) => {
        for (const each of wordsOf(given)) {
          expect(each.length).toBeGreaterThan(0);
          expect(each.length).toBeLessThanOrEqual(40);
          // A cut may leave half a character.
          expect(each.slice(0, 39)).toMatch(/^[\p{L}\p{M}\p{N}\ud800-\udfff]*$/u);
          expect(each).toBe(each.toLowerCase());
        }
      }),
    );
  });

  it('of ASCII are those that the expressions for Unicode find', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', maxLength: 100 }), (given) => {
        const [, ...expected] = wordsOf(`é ${given}`);
        expect(wordsOf(given)).toEqual(expected);
      }),
    );
  });
});

describe('a search', () => {
  it('gives the same each time, sorted, and at most so many', () => {
    fc.assert(
      fc.property(tools, any, fc.integer({ min: 1, max: 20 }), (listed, query, limit) => {
        const all = searchables(listed);
        const found = search(all, query, limit);
        expect(found.length).toBeLessThanOrEqual(limit);
        for (const [i, [name, score]] of found.entries()) {
          expect(score).toBeGreaterThan(0);
          expect(Number.isFinite(score)).toBe(true);
          const next = found[i + 1];
          if (next) expect(score > next[1] || (score === next[1] && name <= next[0])).toBe(true);
        }
        expect(search(searchables(listed), query, limit)).toEqual(found);
        // With all of them, a longer list begins with the shorter one.
        expect(search(all, query, 100).slice(0, limit)).toEqual(found);
      }),
    );
  });
});

describe('similarity', () => {
  it('is between 0 and 1, and 1 for the name itself', () => {
    fc.assert(
      fc.property(any, any, (wanted, name) => {
        const found = similarity(pairsOf(wanted), name);
        expect(found).toBeGreaterThanOrEqual(0);
        expect(found).toBeLessThanOrEqual(1);
        if (wanted.length > 1) expect(similarity(pairsOf(wanted), wanted)).toBe(1);
      }),
    );
  });

  it('of the most similar names is that of a sorted list', () => {
    const names = fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b', '_'), maxLength: 6 }), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(names, fc.string({ unit: fc.constantFrom('a', 'b', '_') }), (all, wanted) => {
        const pairs = pairsOf(wanted);
        const sorted = all
          .map((name) => ({ name, score: similarity(pairs, name) }))
          .filter(({ score }) => score > 0)
          .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
        expect(mostSimilar(wanted, all, 3)).toEqual(sorted.slice(0, 3).map(({ name }) => name));
      }),
    );
  });
});

describe('a check of arguments', () => {
  beforeAll(loadSchemaCheck);

  const keyword = fc.constantFrom(
    'type',
    'properties',
    'required',
    'items',
    'anyOf',
    'allOf',
    'oneOf',
    'not',
    'if',
    'then',
    '$ref',
    '$defs',
    '$id',
    'enum',
    'const',
    'pattern',
    'patternProperties',
    'format',
    'uniqueItems',
    'additionalProperties',
    'minLength',
    'minimum',
    'multipleOf',
    'dependentSchemas',
    'unevaluatedProperties',
    'contains',
    '__proto__',
    'constructor',
    'x',
  );
  const { schema } = fc.letrec<{ schema: unknown }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        true,
        false,
        null,
        1,
        'string',
        'object',
        '#',
        '#/properties/x',
        '#/$defs/x',
        '(a+)+$',
        [],
        ['x'],
      ),
      fc.array(tie('schema'), { maxLength: 3 }),
      fc.dictionary(keyword, tie('schema'), { maxKeys: 4 }),
    ),
  }));

  it('never throws, and gives the same each time', () => {
    fc.assert(
      fc.property(
        fc.dictionary(keyword, schema, { maxKeys: 5 }),
        fc.jsonValue({ maxDepth: 4 }),
        (given, value) => {
          const page = JSON.stringify({ tools: [{ name: 'x', inputSchema: { ...given, type: 'object' } }] });
          const [definition] = readListPage('tools', Buffer.from(page)).definitions;
          const check = schemaCheck();
          if (!definition || !check) return;
          const bytes = Buffer.from(JSON.stringify(value));
          const found = check(definition, bytes);
          expect(check(definition, bytes)).toEqual(found);
          if (found) expect(found.error.length).toBeLessThanOrEqual(512);
        },
      ),
    );
  });
});
