import { describe, expect, it } from 'vitest';
import { withArguments } from '../../../src/catalog/argument-overrides.js';

const schemaAfter = (inputSchema: unknown, changes: Parameters<typeof withArguments>[1]): unknown => {
  const changed = withArguments(Buffer.from(JSON.stringify({ name: 't', inputSchema })), changes);
  if ('missing' in changed) return changed;
  return (JSON.parse(changed.bytes.toString()) as { inputSchema: unknown }).inputSchema;
};

const two = {
  type: 'object',
  properties: { tenant: { type: 'string' }, body: { type: 'string', description: 'Old.' } },
  required: ['tenant', 'body'],
};

describe('an argument', () => {
  it('with a value leaves the properties and the required ones', () => {
    expect(schemaAfter(two, { tenant: { value: 'acme' } })).toEqual({
      type: 'object',
      properties: { body: { type: 'string', description: 'Old.' } },
      required: ['body'],
    });
    expect(schemaAfter(two, { body: { value: null }, tenant: { value: [1] } })).toEqual({
      type: 'object',
      properties: {},
    });
  });

  it('keeps every other byte', () => {
    const text =
      '{"name":"t", "inputSchema" : { "properties" :{ "a":{} , "tenant" : 1e2,"b" : true} ,"type":"object" },"x":1.0}';
    const changed = withArguments(Buffer.from(text), { tenant: { value: 1 } });
    expect('bytes' in changed && changed.bytes.toString()).toBe(
      '{"name":"t", "inputSchema" : { "properties" :{ "a":{},"b" : true} ,"type":"object" },"x":1.0}',
    );
  });

  it.each([
    [
      { description: 'Old.', type: 'string' },
      { description: 'New "x".', type: 'string' },
    ],
    [{ type: 'string' }, { description: 'New "x".', type: 'string' }],
    [{}, { description: 'New "x".' }],
    [true, { description: 'New "x".' }],
    [false, { description: 'New "x".', not: {} }],
  ])('%j is described', (property, expected) => {
    const schema = { type: 'object', properties: { a: property, b: {} } };
    expect(schemaAfter(schema, { a: { description: 'New "x".' } })).toEqual({
      type: 'object',
      properties: { a: expected, b: {} },
    });
  });

  it.each([
    [{ type: 'object' }],
    [{ type: 'object', properties: { other: {} } }],
    [{ type: 'object', $ref: '#/$defs/x', $defs: { x: { properties: { tenant: {} } } } }],
    [{ type: 'object', anyOf: [{ properties: { tenant: {} } }] }],
    [{ type: 'object', properties: { nested: { properties: { tenant: {} } } } }],
  ])('is missing in %j', (schema) => {
    for (const change of [{ value: 'acme' }, { description: 'x' }])
      expect(schemaAfter(schema, { tenant: change })).toEqual({ missing: 'tenant' });
  });

  it('is missing where a schema has two sets of properties', () => {
    const text = '{"name":"t","inputSchema":{"properties":{"tenant":{}},"properties":{"tenant":{}}}}';
    expect(withArguments(Buffer.from(text), { tenant: { value: 1 } })).toEqual({ missing: 'tenant' });
  });

  it('that others refer to moves to the definitions', () => {
    const schema = {
      type: 'object',
      properties: {
        'te/nant': { type: 'object', properties: { self: { $ref: '#/properties/te~1nant' } } },
        other: { $ref: '#/properties/te~1nant/properties/self' },
        third: { $ref: '#/properties/other' },
      },
      $defs: { argument1: {} },
    };
    expect(schemaAfter(schema, { 'te/nant': { value: {} } })).toEqual({
      type: 'object',
      properties: {
        other: { $ref: '#/$defs/argument1_/properties/self' },
        third: { $ref: '#/properties/other' },
      },
      $defs: {
        argument1: {},
        argument1_: { type: 'object', properties: { self: { $ref: '#/$defs/argument1_' } } },
      },
    });
  });
});
