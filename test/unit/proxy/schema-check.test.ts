import { beforeAll, describe, expect, it } from 'vitest';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';
import { loadSchemaCheck, schemaCheck, type Misfit } from '../../../src/proxy/schema-check.js';

beforeAll(loadSchemaCheck);

function definitionOf(schema: object): Definition {
  const page = { tools: [{ name: 'x', inputSchema: { type: 'object', ...schema } }] };
  const [definition] = readListPage('tools', Buffer.from(JSON.stringify(page))).definitions;
  if (!definition) throw new Error('the definition is left out');
  return definition;
}

function misfit(schema: object, value: unknown): Misfit | undefined {
  return schemaCheck()?.(definitionOf(schema), Buffer.from(JSON.stringify(value)));
}

const properties = (a: unknown): object => ({ properties: { a } });

describe('arguments that do not fit', () => {
  it.each([
    [properties({ type: 'number' }), { a: 'x' }, '/a', 'Expected "number"'],
    [
      properties({ type: 'array', items: { properties: { b: { type: 'integer' } } } }),
      { a: [{ b: 1 }, { b: 1.5 }] },
      '/a/1/b',
      'integer',
    ],
    [{ required: ['a'] }, {}, '', '"a"'],
    [{ properties: {}, additionalProperties: false }, { b: 1 }, '/b', 'not allowed'],
    [properties({ enum: ['x', 'y'] }), { a: 'z' }, '/a', '["x","y"]'],
    [{ $defs: { n: { type: 'number' } }, ...properties({ $ref: '#/$defs/n' }) }, { a: 'x' }, '/a', 'number'],
    [
      { $schema: 'http://json-schema.org/draft-07/schema#', ...properties({ type: 'null' }) },
      { a: 1 },
      '/a',
      'null',
    ],
  ])('%j: %j', (schema, value, path, error) => {
    const found = misfit(schema, value);
    expect(found?.path).toBe(path);
    expect(found?.error).toContain(error);
    expect(JSON.parse(found?.schema ?? '')).toEqual({ type: 'object', ...schema });
  });
});

describe('what is not checked', () => {
  it.each([
    ['fits', properties({ type: 'number' }), { a: 1 }],
    [
      'a pattern that takes exponential time',
      properties({ pattern: '^(a+)+$' }),
      { a: `${'a'.repeat(50)}!` },
    ],
    ['a format', properties({ format: 'email' }), { a: 'x' }],
    ['unique elements', properties({ uniqueItems: true }), { a: [1, 1] }],
    [
      'a choice that a pattern makes',
      properties({
        oneOf: [
          { type: 'string', pattern: '^a' },
          { type: 'string', pattern: '^b' },
        ],
      }),
      { a: 'a' },
    ],
    ['the opposite of a pattern', properties({ not: { type: 'string', pattern: '^a' } }), { a: 'b' }],
    [
      'a condition with a pattern',
      properties({ if: { type: 'string', pattern: '^a' }, then: { maxLength: 1 } }),
      { a: 'bbb' },
    ],
    [
      'properties by pattern',
      { patternProperties: { '^x-': {} }, additionalProperties: false },
      { 'x-a': 1 },
    ],
    ['a reference that leads nowhere', properties({ $ref: '#/nowhere' }), { a: 1 }],
    ['a reference to itself', properties({ $ref: '#/properties/a' }), { a: 1 }],
    ['a property that every object has', { properties: { a: {} } }, { constructor: 1, toString: 1 }],
  ])('%s', (_, schema, value) => {
    expect(misfit(schema, value)).toBeUndefined();
  });

  it('is a check that takes too many steps, also through keywords that nobody knows', () => {
    for (const keyword of ['$defs', 'unknown']) {
      const parts: Record<string, object> = { d40: { type: 'number' } };
      for (let i = 0; i < 40; i++) {
        const ref = { $ref: `#/${keyword}/d${i + 1}` };
        parts[`d${i}`] = { allOf: [ref, ref] };
      }
      expect(
        misfit({ [keyword]: parts, ...properties({ $ref: `#/${keyword}/d0` }) }, { a: 'x' }),
      ).toBeUndefined();
    }
    const wide = Array.from({ length: 900 }, () => ({ type: 'string' }));
    expect(misfit(properties({ items: { anyOf: wide } }), { a: Array(20_000).fill(1) })).toBeUndefined();
  });

  it('are arguments and schemas of more than 64 KB, and schemas of more than 1000 parts', () => {
    expect(misfit(properties({ type: 'number' }), { a: 'x'.repeat(70_000) })).toBeUndefined();
    expect(
      misfit({ ...properties({ type: 'number' }), description: 'x'.repeat(70_000) }, { a: 'x' }),
    ).toBeUndefined();
    const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`p${i}`, {}]));
    expect(misfit({ properties: { ...many, a: { type: 'number' } } }, { a: 'x' })).toBeUndefined();
  });

  it('does not keep the next check from being made', () => {
    const definition = definitionOf(properties({ items: { type: 'number' } }));
    const check = schemaCheck();
    expect(check?.(definition, Buffer.from(JSON.stringify({ a: Array(20_000).fill(1) })))).toBeUndefined();
    expect(check?.(definition, Buffer.from('{"a":["x"]}'))?.path).toBe('/a/0');
  });
});
