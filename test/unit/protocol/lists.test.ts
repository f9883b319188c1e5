import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listResult, renaming } from '../../../src/catalog/render.js';
import { readListPage, sameList } from '../../../src/protocol/lists.js';
import { splice } from '../../../src/wire/splice.js';

const page = (text: string) => {
  const { definitions, ...rest } = readListPage('tools', Buffer.from(text));
  return { tools: definitions, ...rest };
};
const SCHEMA = '"inputSchema":{"type":"object"}';

describe('a page of tools', () => {
  it('keeps each definition as the bytes it came in', () => {
    const one = `{ "name":"a" , "n":1.0, ${SCHEMA} }`;
    const two = `{"name":"\\u0062","description":"x",${SCHEMA}}`;
    const { tools, nextCursor, problems } = page(`{"nextCursor":"c","tools":[ ${one}\n,${two} ]}`);
    expect(tools.map((tool) => tool.bytes.toString())).toEqual([one, two]);
    expect(tools.map(({ key }) => key)).toEqual(['a', 'b']);
    expect(nextCursor).toBe('c');
    expect(problems).toEqual([]);
  });

  it.each([
    ['5', 'it is no object'],
    ['null', 'it is no object'],
    ['[]', 'it is no object'],
    ['{}', 'it has no name'],
    [`{"name":"",${SCHEMA}}`, 'it has no name'],
    [`{"name":7,${SCHEMA}}`, 'it has no name'],
    ['{"name":"a"}', "the inputSchema of 'a' is no object"],
    ['{"name":"a","inputSchema":true}', "the inputSchema of 'a' is no object"],
    ['{"name":"a","inputSchema":[]}', "the inputSchema of 'a' is no object"],
    [`{"name":"x","name":"a",${SCHEMA}}`, "'a' has a member twice"],
    [`{"name":"a","description":"1","description":"2",${SCHEMA}}`, "'a' has a member twice"],
  ])('leaves %s out (%s) and keeps the others', (bad, why) => {
    const { tools, problems } = page(`{"tools":[{"name":"good",${SCHEMA}},${bad},{"name":"too",${SCHEMA}}]}`);
    expect(tools.map(({ key }) => key)).toEqual(['good', 'too']);
    expect(problems).toEqual([`tool 2 left out: ${why}`]);
  });

  it.each(['{}', 'null', '[]', '5', '{"tools":{}}', '{"tools":null}', 'x', '{"tools":['])(
    'that is %s is none',
    (text) => {
      expect(() => page(text)).toThrow(/tools\/list/);
    },
  );

  it('knows which tools may be called twice', () => {
    const repeatable = (annotations: string): boolean | undefined =>
      page(`{"tools":[{"name":"a",${SCHEMA},"annotations":${annotations}}]}`).tools[0]?.repeatable;
    expect(repeatable('{"readOnlyHint":true}')).toBe(true);
    expect(repeatable('{"idempotentHint":true}')).toBe(true);
    expect(repeatable('{"readOnlyHint":"true"}')).toBe(false);
    expect(repeatable('{"destructiveHint":false}')).toBe(false);
    expect(repeatable('null')).toBe(false);
  });

  it('is the same as another if every byte is', () => {
    const [a, b] = ['{"name":"a"', '{"name":"b"'].map(
      (start) => page(`{"tools":[${start},${SCHEMA}}]}`).tools,
    );
    expect(sameList(a ?? [], a ?? [])).toBe(true);
    expect(sameList(a ?? [], b ?? [])).toBe(false);
    expect(sameList(a ?? [], [])).toBe(false);
  });
});

describe('a definition for the merged list', () => {
  it('differs in name and description alone, whatever else it holds', () => {
    const strings = fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', 'é', '🚀', '}') });
    const descriptions = fc.oneof(strings, fc.constant(undefined), fc.constantFrom(null, 7, {}, []));
    const members = fc.dictionary(
      strings.map((key) => `x${key}`),
      fc.jsonValue({ maxDepth: 2 }),
      { maxKeys: 4 },
    );
    fc.assert(
      fc.property(
        strings.filter((name) => name !== ''),
        descriptions,
        members,
        fc.boolean(),
        (name, description, more, nameFirst) => {
          const own = { name, ...(description === undefined ? {} : { description }) };
          const rest = { ...more, inputSchema: { type: 'object' } };
          const definition = nameFirst ? { ...own, ...rest } : { ...rest, ...own };
          const { tools } = page(JSON.stringify({ tools: [definition] }));
          const [read] = tools;
          if (!read) throw new Error('left out');
          const shown = splice(read.bytes, renaming('tools', read, 'srv', 'srv__q'));
          const expected = typeof description === 'string' ? `[srv] ${description}` : 'Tool from srv';
          // As JSON has it: -0 is 0 there.
          const original = JSON.parse(JSON.stringify(definition)) as object;
          expect(JSON.parse(shown.toString())).toEqual({
            ...original,
            name: 'srv__q',
            description: expected,
          });
          expect(JSON.parse(listResult('tools', [shown, shown]).toString())).toHaveProperty(
            'tools.length',
            2,
          );
        },
      ),
      { numRuns: 500 },
    );
    expect(listResult('tools', []).toString()).toBe('{"tools":[]}');
  });
});
