import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renaming } from '../../../src/catalog/render.js';
import { readListPage, readListPageInTurns, sameList } from '../../../src/protocol/lists.js';
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
    ['5', 'it is not an object'],
    ['null', 'it is not an object'],
    ['[]', 'it is not an object'],
    ['{}', 'it has no name'],
    [`{"name":"",${SCHEMA}}`, 'it has no name'],
    [`{"name":7,${SCHEMA}}`, 'it has no name'],
    ['{"name":"a","inputSchema":true}', "the inputSchema of 'a' is not an object"],
    ['{"name":"a","inputSchema":[]}', "the inputSchema of 'a' is not an object"],
    [`{"name":"x","name":"a",${SCHEMA}}`, "'a' has a member twice"],
    [`{"name":"a","description":"1","description":"2",${SCHEMA}}`, "'a' has a member twice"],
    [`{"name":"a",${SCHEMA},${SCHEMA}}`, "'a' has a member twice"],
    [`{"name":"a",${SCHEMA},"outputSchema":{"type":"object"},"outputSchema":{}}`, "'a' has a member twice"],
  ])('leaves %s out (%s) and keeps the others', (bad, why) => {
    const { tools, problems } = page(`{"tools":[{"name":"good",${SCHEMA}},${bad},{"name":"too",${SCHEMA}}]}`);
    expect(tools.map(({ key }) => key)).toEqual(['good', 'too']);
    expect(problems).toEqual([`tool 2 left out: ${why}`]);
  });

  it.each([
    ['{"name":"a"}', '{"inputSchema":{"type":"object"},"name":"a"}'],
    ['{ "name":"a","inputSchema":null}', '{"inputSchema":{"type":"object"}, "name":"a"}'],
    ['{"name":"a","inputSchema":{}}', '{"name":"a","inputSchema":{"type":"object"}}'],
    [
      '{"name":"a","inputSchema":{ "properties":{}}}',
      '{"name":"a","inputSchema":{"type":"object", "properties":{}}}',
    ],
  ])('lists %s as %s, and says so', (given, listed) => {
    const { tools, problems } = page(`{"tools":[${given}]}`);
    expect(tools.map((tool) => JSON.parse(tool.bytes.toString()) as unknown)).toEqual([JSON.parse(listed)]);
    expect(problems.join()).toContain('"type": "object"');
  });

  it.each(['{}', 'null', '[]', '5', '{"tools":{}}', '{"tools":null}', 'x', '{"tools":['])(
    'that is %s is none',
    (text) => {
      expect(() => page(text)).toThrow(/tools\/list/);
    },
  );

  it.each([
    ['title', '5'],
    ['annotations', '"x"'],
    ['annotations', '{"readOnlyHint":"yes"}'],
    ['icons', '[{}]'],
    ['_meta', '[]'],
    ['execution', '{"taskSupport":"sometimes"}'],
    ['outputSchema', '5'],
    ['description', '{}'],
  ])('lists a tool without a %s that is %s: clients refuse whole lists for one', (member, value) => {
    const { tools, problems } = page(`{"tools":[{"${member}":${value}, "name":"a",${SCHEMA}}]}`);
    expect(tools.map(({ bytes }) => bytes.toString())).toEqual([`{ "name":"a",${SCHEMA}}`]);
    expect(problems).toEqual([`'a' is listed without its ${member}, which no client could read`]);
  });

  it('says nothing of a member that is null, and lists the tool without it', () => {
    const { tools, problems } = page(`{"tools":[{"name":"a",${SCHEMA},"title":null,"annotations":null}]}`);
    expect(tools.map(({ bytes }) => bytes.toString())).toEqual([`{"name":"a",${SCHEMA}}`]);
    expect(problems).toEqual([]);
  });

  it.each([
    ['"properties":5', 'properties that are not schemas'],
    ['"properties":{"a":5}', 'properties that are not schemas'],
    ['"required":"a"', 'properties that are not schemas'],
    ['"x":"\\ud800"', 'has half a character in it'],
    ['"x":"\\udc00\\ud800"', 'has half a character in it'],
    ['"x":1e400', 'has a number in it that is too large'],
    [`"x":${'9'.repeat(400)}`, 'has a number in it that is too large'],
  ])('leaves out a tool whose inputSchema has %s', (member, why) => {
    const { tools, problems } = page(
      `{"tools":[{"name":"a","inputSchema":{"type":"object",${member}}},{"name":"b",${SCHEMA}}]}`,
    );
    expect(tools.map(({ key }) => key)).toEqual(['b']);
    expect(problems).toEqual([expect.stringContaining(why)]);
  });

  it('keeps what only looks like it', () => {
    const text = `{"name":"a","title":"1e400 \\\\ud800 \\ud83d\\ude00",${SCHEMA}}`;
    const { tools, problems } = page(`{"tools":[${text}]}`);
    expect(tools.map(({ bytes }) => bytes.toString())).toEqual([text]);
    expect(problems).toEqual([]);
  });

  it.each(['Name', 'n\u0061me', 'DESCRIPTION', 'de\u017fcription', 'InputSchema'])(
    'leaves out a tool with a %s, which some reader takes for another member',
    (member) => {
      const { tools } = page(`{"tools":[{"name":"a",${SCHEMA},"description":"d","${member}":"bank__pay"}]}`);
      expect(tools).toEqual([]);
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

/** The facts of one tool whose schema has these properties; or why it was left out. */
function facts(properties: object, more: object = {}, schema: object = {}) {
  const inputSchema = { type: 'object', properties, ...schema };
  const { tools, problems } = page(JSON.stringify({ tools: [{ name: 'a', inputSchema, ...more }] }));
  return problems[0] ?? tools[0]?.tool;
}
const annotated = (header: unknown, type: unknown = 'string') => ({ type, 'x-mcp-header': header });

describe('what is particular about a tool', () => {
  it('is nothing for most', () => {
    expect(facts({ a: { type: 'string' } })).toBeUndefined();
    expect(
      facts({ a: { type: 'string' } }, { outputSchema: { type: 'object' }, title: 'A' }),
    ).toBeUndefined();
    expect(facts({}, { outputSchema: null })).toBeUndefined();
  });

  it('are the parameters that are mirrored into headers, at any depth of properties', () => {
    const page = { type: 'object', properties: { 'a.b': annotated('X-Size', 'integer') } };
    expect(facts({ region: annotated('Region'), page, dry: annotated('dry', 'boolean') })).toEqual({
      headers: [
        { header: 'mcp-param-region', path: ['region'], type: 'string' },
        { header: 'mcp-param-x-size', path: ['page', 'a.b'], type: 'integer' },
        { header: 'mcp-param-dry', path: ['dry'], type: 'boolean' },
      ],
      wrapsOutput: false,
      taskSupport: undefined,
    });
  });

  it.each([
    ['a parameter of that name', { 'x-mcp-header': { type: 'string' } }, {}],
    ['a default that holds one', { a: { type: 'object', default: annotated('A') } }, {}],
    ['examples and constants', { a: { const: annotated('A'), enum: [annotated('A')] } }, {}],
    ['a keyword that nobody knows', {}, { 'x-own': annotated('A') }],
  ])('is no header for %s', (_, properties, schema) => {
    expect(facts(properties, {}, schema)).toBeUndefined();
  });

  it('is whether its structured result is no object', () => {
    const wraps = (outputSchema: unknown) =>
      (facts({}, { outputSchema }) as { wrapsOutput: boolean } | undefined)?.wrapsOutput;
    expect(wraps({ type: 'array', items: {} })).toBe(true);
    expect(wraps({ anyOf: [{ type: 'object' }, { type: 'null' }] })).toBe(true);
    expect(wraps({ type: ['object', 'null'] })).toBe(true);
    expect(wraps({})).toBe(true);
    expect(wraps(true)).toBe(true);
    expect(wraps({ type: 'object' })).toBeUndefined();
  });

  it('is whether it may be called as a task', () => {
    const supports = (execution: unknown) => facts({}, { execution });
    for (const taskSupport of ['required', 'optional', 'forbidden'])
      expect(supports({ taskSupport })).toEqual({ headers: [], wrapsOutput: false, taskSupport });
    expect(supports({})).toEqual({ headers: [], wrapsOutput: false, taskSupport: undefined });
    expect(supports(null)).toBeUndefined();
    // Ten thousand tools that all say so keep one object.
    expect(supports({ taskSupport: 'optional' })).toBe(supports({ taskSupport: 'optional' }));
  });
});

describe('a tool whose parameters cannot be mirrored into headers', () => {
  const NO_CHAIN = 'has an x-mcp-header where no chain of properties leads to it';
  it.each([
    ['an empty name', { r: annotated('') }, {}, "has an x-mcp-header at 'r' that is not a string, or empty"],
    ['a name that is not a string', { r: annotated(7) }, {}, "at 'r' that is not a string"],
    ['a space', { r: annotated('my region') }, {}, "at 'r' that a header name cannot contain"],
    ['a colon', { r: annotated('a:b') }, {}, 'that a header name cannot contain'],
    ['a line break', { r: annotated('a\r\nb') }, {}, 'that a header name cannot contain'],
    ['a letter above ASCII', { r: annotated('région') }, {}, 'that a header name cannot contain'],
    [
      'the same name in another case',
      { r: annotated('Region'), s: annotated('REGION') },
      {},
      "has the x-mcp-header 'REGION' twice",
    ],
    [
      'the same name deeper down',
      { r: annotated('A'), s: { properties: { t: annotated('a') } } },
      {},
      'twice',
    ],
    ['a number', { r: annotated('R', 'number') }, {}, "at 'r', whose type is not string, integer, boolean"],
    ['an object', { r: annotated('R', 'object') }, {}, 'whose type is not'],
    ['an array', { r: annotated('R', 'array') }, {}, 'whose type is not'],
    ['one of several types', { r: annotated('R', ['string', 'null']) }, {}, 'whose type is not'],
    ['no type', { r: { 'x-mcp-header': 'R', $ref: '#/$defs/r' } }, {}, 'whose type is not'],
    ['the whole', {}, { 'x-mcp-header': 'R' }, NO_CHAIN],
    ['elements', { r: { type: 'array', items: annotated('R') } }, {}, NO_CHAIN],
    ['first elements', { r: { type: 'array', prefixItems: [annotated('R')] } }, {}, NO_CHAIN],
    ['properties of elements', { r: { items: { properties: { a: annotated('R') } } } }, {}, NO_CHAIN],
    ['one of', { r: { oneOf: [{ type: 'null' }, annotated('R')] } }, {}, NO_CHAIN],
    ['any of', {}, { anyOf: [{ properties: { r: annotated('R') } }] }, NO_CHAIN],
    ['all of', {}, { allOf: [{ properties: { r: annotated('R') } }] }, NO_CHAIN],
    ['not', {}, { not: { properties: { r: annotated('R') } } }, NO_CHAIN],
    ['if', {}, { if: { properties: { r: annotated('R') } } }, NO_CHAIN],
    ['then', {}, { then: { properties: { r: annotated('R') } } }, NO_CHAIN],
    ['else', {}, { else: { properties: { r: annotated('R') } } }, NO_CHAIN],
    ['definitions', { r: { $ref: '#/$defs/r' } }, { $defs: { r: annotated('R') } }, NO_CHAIN],
    ['old definitions', {}, { definitions: { r: annotated('R') } }, NO_CHAIN],
    ['further properties', {}, { additionalProperties: annotated('R') }, NO_CHAIN],
    ['patterns', {}, { patternProperties: { '^x': annotated('R') } }, NO_CHAIN],
    ['dependent schemas', {}, { dependentSchemas: { a: { properties: { r: annotated('R') } } } }, NO_CHAIN],
  ])('is left out for %s', (_, properties, schema, why) => {
    const found = facts(properties, {}, schema);
    expect(found).toContain("tool 1 left out: the inputSchema of 'a' has");
    expect(found).toContain(why);
  });

  it('does not take the others with it', () => {
    const bad = { name: 'bad', inputSchema: { type: 'object', properties: { r: annotated('') } } };
    const good = { name: 'good', inputSchema: { type: 'object' } };
    const { tools, problems } = page(JSON.stringify({ tools: [bad, good] }));
    expect(tools.map(({ key }) => key)).toEqual(['good']);
    expect(problems).toHaveLength(1);
  });

  it('is left out as well for a schema deeper than any that a person wrote', () => {
    const deep = (levels: number) => {
      let text = '{}';
      for (let i = 0; i < levels; i++) text = `{"properties":{"a":${text}}}`;
      return `{"tools":[{"name":"a","inputSchema":{"type":"object","properties":{"a":${text}}}}]}`;
    };
    expect(page(deep(20)).problems).toEqual([]);
    expect(page(deep(5000)).problems).toEqual(['tool 1 left out: it is nested deeper than 60']);
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
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a page of 10,000 tools', () => {
  it('is read in turns, with the same result', async () => {
    const filler = 'x'.repeat(700);
    const tools = Array.from(
      { length: 10_000 },
      (_, n) => `{"name":"t${n}","description":"${filler}",${SCHEMA}}`,
    );
    const bytes = Buffer.from(`{"tools":[${tools.join(',')}],"nextCursor":"c"}`);
    let turns = 0;
    let reading = true;
    const turn = (): void => {
      turns++;
      if (reading) setImmediate(turn);
    };
    setImmediate(turn);
    const read = await readListPageInTurns('tools', bytes);
    reading = false;
    // Far more than one turn's time of work, on any machine.
    expect(turns).toBeGreaterThan(2);
    expect(read.nextCursor).toBe('c');
    expect(sameList(read.definitions, readListPage('tools', bytes).definitions)).toBe(true);
    expect(read.definitions).toHaveLength(10_000);
  });

  it.each([
    '{"tools":[{]}',
    '{"tools":[{}}',
    '{"tools":[{} {}]}',
    '{"tools":[],}',
    '{"tools":[]}x',
    '{"tools":[nul]}',
    '{"tools":[{},]}',
    '{"tools":[],"a":{"b":}}',
  ])('that is %s is none', async (text) => {
    await expect(readListPageInTurns('tools', Buffer.from(text))).rejects.toThrow(
      /invalid JSON|without a list/,
    );
    expect(() => JSON.parse(text) as unknown).toThrow();
  });
});
