import { ToolSchema } from '@modelcontextprotocol/sdk/types.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eraPatches } from '../../../src/catalog/era-patches.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';
import type { Era } from '../../../src/protocol/revisions.js';
import { splice } from '../../../src/wire/splice.js';

function definition(text: string): Definition {
  const { definitions, problems } = readListPage('tools', Buffer.from(`{"tools":[${text}]}`));
  if (!definitions[0]) throw new Error(problems[0]);
  return definitions[0];
}
function shown(text: string, era: Era): string {
  const read = definition(text);
  return splice(read.bytes, eraPatches(read, era)).toString();
}
const INPUT = '"inputSchema":{"type":"object"}';
/** A tool with these schemas, as legacy clients see it. */
const output = (schema: string): string => {
  const legacy = shown(`{"name":"a",${INPUT},"outputSchema":${schema}}`, 'legacy');
  return legacy.slice(`{"name":"a",${INPUT},"outputSchema":`.length, -1);
};
const input = (schema: string): string =>
  shown(`{"name":"a","inputSchema":${schema}}`, 'legacy').slice('{"name":"a","inputSchema":'.length, -1);

describe('a modern client', () => {
  it.each([
    [
      `{"name":"a", "execution": {"taskSupport":"optional"} ,"n":1.0,${INPUT}}`,
      `{"name":"a" ,"n":1.0,${INPUT}}`,
    ],
    [`{ "execution":{"x":"}"},\n"name":"a",${INPUT}}`, `{ "name":"a",${INPUT}}`],
    [`{"name":"a",${INPUT},"execution":{} }`, `{"name":"a",${INPUT} }`],
    [`{"name":"a",${INPUT},"e\\u0078ecution":{}}`, `{"name":"a",${INPUT}}`],
  ])('sees %s without its execution', (text, expected) => {
    expect(shown(text, 'modern')).toBe(expected);
    expect(shown(text, 'legacy')).toBe(text);
  });

  it('sees every other definition byte for byte', () => {
    const text = `{"name":"a","inputSchema":{"type":"object","properties":{"a":true}},"outputSchema":{"type":"array"}}`;
    expect(shown(text, 'modern')).toBe(text);
  });
});

describe('a legacy client', () => {
  it('sees a result that is no object inside one', () => {
    expect(output('{ "type":"array", "items":{"minimum":1.50} }')).toBe(
      '{"type":"object","properties":{"result":{ "type":"array", "items":{"minimum":1.50} }},"required":["result"]}',
    );
    expect(output('true')).toBe('{"type":"object","properties":{"result":{}},"required":["result"]}');
    expect(output('false')).toBe(
      '{"type":"object","properties":{"result":{"not":{}}},"required":["result"]}',
    );
    expect(output('{}')).toBe('{"type":"object","properties":{"result":{}},"required":["result"]}');
  });

  it('sees one that is an object as it came', () => {
    expect(output('{"type":"object","$ref":"#/$defs/a"}')).toBe('{"type":"object","$ref":"#/$defs/a"}');
  });

  it('finds the references of a wrapped schema where it stands now, and its dialect at the top', () => {
    const schema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      anyOf: [{ $ref: '#/definitions/node' }, { type: 'null' }],
      definitions: {
        node: {
          type: 'object',
          properties: { next: { $ref: '#' }, $ref: { $dynamicRef: '#/definitions/node' } },
        },
        far: { $ref: 'https://example.com/schema#/x' },
        named: { $ref: '#anchor' },
      },
    };
    expect(JSON.parse(output(JSON.stringify(schema)))).toEqual({
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: {
        result: {
          ...schema,
          anyOf: [{ $ref: '#/properties/result/definitions/node' }, { type: 'null' }],
          definitions: {
            ...schema.definitions,
            node: {
              type: 'object',
              properties: {
                next: { $ref: '#/properties/result' },
                $ref: { $dynamicRef: '#/properties/result/definitions/node' },
              },
            },
          },
        },
      },
      required: ['result'],
    });
  });

  it.each([
    [
      'what only looks like a reference',
      '{"type":"array","default":[{"$ref":"#/a"}],"const":{"$ref":"#"},"items":{"enum":[{"$ref":"#"}]}}',
    ],
    ['references below an $id of its own', '{"type":"array","items":{"$id":"https://x/y","$ref":"#/a"}}'],
    [
      'references of a schema with an $id',
      '{"$id":"https://x/y","type":"array","items":{"$ref":"#/$defs/a"}}',
    ],
  ])('finds %s as it was', (_, schema) => {
    expect(output(schema)).toBe(`{"type":"object","properties":{"result":${schema}},"required":["result"]}`);
  });

  it('finds references below an $id that names a place alone', () => {
    expect(output('{"type":"array","items":{"$id":"#item","$ref":"#/a"}}')).toContain(
      '{"$id":"#item","$ref":"#/properties/result/a"}',
    );
  });

  it('sees schemas in the place of booleans among properties, at any depth', () => {
    expect(input('{"type":"object","properties":{"a":true, "b" : false ,"c":{"default":true}}}')).toBe(
      '{"type":"object","properties":{"a":{}, "b" : {"not":{}} ,"c":{"default":true}}}',
    );
    expect(
      input(
        '{"type":"object","additionalProperties":false,"properties":{"a":{"items":{"anyOf":[{"properties":{"x":true}}]}}},"$defs":{"properties":{"properties":{"y":false}},"z":true}}',
      ),
    ).toBe(
      '{"type":"object","additionalProperties":false,"properties":{"a":{"items":{"anyOf":[{"properties":{"x":{}}}]}}},"$defs":{"properties":{"properties":{"y":{"not":{}}}},"z":true}}',
    );
    expect(output('{"type":"object","properties":{"a":true}}')).toBe(
      '{"type":"object","properties":{"a":{}}}',
    );
    expect(output('{"items":{"properties":{"a":true,"b":{"$ref":"#"}}}}')).toBe(
      '{"type":"object","properties":{"result":{"items":{"properties":{"a":{},"b":{"$ref":"#/properties/result"}}}}},"required":["result"]}',
    );
  });

  it('sees booleans that are no schema of a property as they came', () => {
    const schema =
      '{"type":"object","properties":{"properties":{"type":"object","default":{"properties":{"a":true}}},"b":{"readOnly":true}},"unevaluatedProperties":false}';
    expect(input(schema)).toBe(schema);
  });
});

it('whatever a schema holds, what comes out is JSON that legacy SDK clients accept', () => {
  const names = fc.constantFrom('a', 'properties', '$ref', 'execution', 'é"', 'items', '$id');
  const schemas = fc.letrec((tie) => ({
    schema: fc.oneof(
      { maxDepth: 4 },
      fc.boolean(),
      fc.record(
        {
          type: fc.constantFrom('object', 'array', 'string'),
          properties: fc.dictionary(names, tie('schema'), { maxKeys: 3 }),
          $defs: fc.dictionary(names, tie('schema'), { maxKeys: 2 }),
          items: tie('schema'),
          anyOf: fc.array(tie('schema'), { maxLength: 2 }),
          $ref: fc.constantFrom('#', '#/$defs/a', '#x', 'other#/a'),
          $id: fc.constantFrom('#a', 'https://x/'),
          default: fc.jsonValue({ maxDepth: 2 }),
          additionalProperties: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
    ),
  }));
  const space = fc.constantFrom(undefined, 1);
  fc.assert(
    fc.property(schemas.schema, schemas.schema, fc.boolean(), space, (a, b, execution, spaces) => {
      const inputSchema = { ...(a as object), type: 'object' };
      const tool = {
        ...(execution ? { execution: { taskSupport: 'optional' } } : {}),
        name: 'a',
        inputSchema,
        outputSchema: b,
      };
      const text = JSON.stringify(tool, null, spaces);
      const { execution: _, ...modern } = JSON.parse(text) as typeof tool;
      expect(JSON.parse(shown(text, 'modern'))).toEqual(modern);

      const legacy = JSON.parse(shown(text, 'legacy')) as {
        outputSchema: { type?: string; properties?: Record<string, unknown> };
        inputSchema: { properties?: Record<string, unknown> };
      };
      expect(legacy.outputSchema.type).toBe('object');
      for (const schema of [legacy.inputSchema, legacy.outputSchema])
        for (const property of Object.values(schema.properties ?? {})) expect(typeof property).toBe('object');
      expect(ToolSchema.safeParse(legacy).error).toBeUndefined();
      expect(shown(shown(text, 'legacy'), 'legacy')).toBe(shown(text, 'legacy'));
    }),
    { numRuns: 1000 },
  );
});
