import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTraceParent, withTraceParent } from '../../src/protocol/traceparent.js';

const OWN = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('a traceparent', () => {
  it('is inserted or replaced, and nothing else changes', () => {
    const meta = fc.oneof(
      fc.constant(undefined),
      fc.constantFrom(null, 7, 'text', []),
      fc.record(
        { traceparent: fc.oneof(fc.string(), fc.jsonValue()), progressToken: fc.string() },
        { requiredKeys: [] },
      ),
      fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }),
    );
    const params = fc
      .tuple(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }), meta)
      .map(([others, own]) => (own === undefined ? others : { ...others, _meta: own }));
    const message = fc.record(
      { jsonrpc: fc.constant('2.0'), id: fc.integer(), method: fc.constant('tools/call'), params },
      { requiredKeys: ['jsonrpc', 'id', 'method'] },
    );
    fc.assert(
      fc.property(message, fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        const seen = JSON.parse(withTraceParent(Buffer.from(text), OWN).toString()) as typeof value;
        const plain = JSON.parse(text) as typeof value;
        const before: unknown = (plain.params as { _meta?: unknown } | undefined)?._meta;
        const isObject = typeof before === 'object' && before !== null && !Array.isArray(before);
        expect(seen).toEqual({
          ...plain,
          params: { ...plain.params, _meta: { ...(isObject ? before : {}), traceparent: OWN } },
        });
      }),
      { numRuns: 2000 },
    );
  });

  it('is read in its form alone', () => {
    expect(readTraceParent(OWN)).toEqual({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      sampled: true,
    });
    expect(readTraceParent(OWN.replace(/01$/, '00'))?.sampled).toBe(false);
    expect(readTraceParent(`cc${OWN.slice(2)}-more`)?.sampled).toBe(true);
    for (const text of [
      undefined,
      7,
      ['00'],
      '',
      `${OWN}-more`,
      `ff${OWN.slice(2)}`,
      OWN.toUpperCase(),
      OWN.replace('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32)),
      OWN.replace('b7ad6b7169203331', '0'.repeat(16)),
      `${OWN}\n`,
    ])
      expect(readTraceParent(text), String(text)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => readTraceParent(text) === undefined || text.length >= 55));
  });
});
