import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { check } from '../../../console/src/schema/check.js';
import { collect, defaultsOf, spread } from '../../../console/src/schema/draft.js';
import { shapeOf, type Shape } from '../../../console/src/schema/shape.js';

const schema = {
  type: 'object',
  required: ['path'],
  $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' }, n: { type: 'integer' } } } },
  properties: {
    path: { type: 'string' },
    head: { anyOf: [{ type: 'integer' }, { type: 'null' }], default: 3 },
    kind: { enum: ['a', 2, null] },
    titled: { oneOf: [{ const: 1, title: 'one' }, { const: 2 }] },
    tags: { type: 'array', items: { enum: ['x', 'y'] } },
    rows: { type: 'array', items: { type: 'array', items: { type: 'number' } } },
    node: { $ref: '#/$defs/node' },
    either: { oneOf: [{ type: 'string' }, { type: 'integer' }] },
    tuple: { type: 'array', prefixItems: [{ type: 'string' }] },
    away: { $ref: 'https://schemas.test/x' },
    any: {},
  },
};

const kindOf = (shape: Shape, name: string): string | undefined =>
  shape.kind === 'object' ? shape.fields.find((field) => field.name === name)?.shape.kind : undefined;

describe('the form of a schema', () => {
  const shape = shapeOf(schema);

  it('has a field for each property, for JSON where it cannot draw one', () => {
    const kinds = Object.keys(schema.properties).map((name) => [name, kindOf(shape, name)]);
    expect(Object.fromEntries(kinds)).toEqual({
      path: 'text',
      head: 'number',
      kind: 'choice',
      titled: 'choice',
      tags: 'choices',
      rows: 'list',
      node: 'object',
      either: 'json',
      tuple: 'json',
      away: 'json',
      any: 'json',
    });
    expect(shapeOf({ type: 'object', anyOf: [{ required: ['a'] }] }).kind).toBe('json');
    expect(shapeOf({ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }).kind).toBe('json');
    expect(shapeOf({ $ref: '#/%' }).kind).toBe('json');
    expect(shapeOf('nonsense').kind).toBe('json');
    expect(shapeOf({ type: 'object' })).toMatchObject({ kind: 'object', rest: true });
  });

  it('shows values and makes the same values of them', () => {
    const node = fc.letrec((tie) => ({
      node: fc.record({ n: fc.integer(), next: tie('node') }, { requiredKeys: ['n'] }),
    })).node;
    const value = fc.record(
      {
        path: fc.string({ minLength: 1 }),
        head: fc.integer(),
        kind: fc.constantFrom('a', 2, null),
        titled: fc.constantFrom(1, 2),
        tags: fc.uniqueArray(fc.constantFrom('x', 'y'), { minLength: 1 }),
        rows: fc.array(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true })), { minLength: 1 }),
        node,
        either: fc.oneof(fc.string(), fc.integer()),
        any: fc.jsonValue(),
        further: fc.jsonValue(),
      },
      { requiredKeys: ['path'] },
    );
    fc.assert(
      fc.property(value, (given) => {
        const plain: unknown = JSON.parse(JSON.stringify(given));
        const drafts = spread(shape, plain);
        expect(drafts).toBeDefined();
        const { json = '', problems } = collect(shape, drafts ?? new Map());
        expect([...problems]).toEqual([]);
        expect(JSON.parse(json)).toEqual(plain);
      }),
    );
  });

  it('keeps numbers as they are typed, and says what is wrong where', () => {
    const drafts = new Map([
      ['/path', 'p'],
      ['/head', '1x'],
      ['/either', '{'],
      ['/*', '[1]'],
    ]);
    expect(Object.fromEntries(collect(shape, drafts).problems)).toEqual({
      '/head': 'is not a number',
      '/either': 'line 1, column 2: a name in double quotes is missing',
      '/*': 'is not an object',
    });
    expect(Object.fromEntries(collect(shape, new Map()).problems)).toEqual({ '/path': 'is required' });
    const exact = collect(
      shape,
      new Map([...drafts, ['/head', '10'], ['/either', '1.50'], ['/*', '{"z":1e3}']]),
    );
    expect(exact.json).toBe('{"path":"p","head":10,"either":1.50,"z":1e3}');
  });

  it('cannot show what it would change', () => {
    expect(spread(shape, { path: 5 })).toBeUndefined();
    expect(spread(shape, { path: 'p', kind: 'unknown' })).toBeUndefined();
    expect(spread(shape, [])).toBeUndefined();
  });

  it('starts with defaults where that is wanted', () => {
    expect(Object.fromEntries(defaultsOf(shape))).toEqual({ '/head': '3' });
  });
});

describe('check', () => {
  it('names what the schema forbids, and where', () => {
    const findings = check({ type: 'object', properties: { n: { type: 'integer', minimum: 3 } } }, { n: 1 });
    expect(findings?.map(({ path }) => path)).toContain('/n');
    expect(check(schema, { path: 'p' })).toEqual([]);
  });

  it('leaves out patterns that take for ever, and gives up on schemas that it cannot use', () => {
    const pattern = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
    expect(check(pattern, { a: `${'a'.repeat(40)}!` })).toEqual([]);
    expect(check({ $ref: '#/nowhere' }, {})).toBeNull();
  });
});
