import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutSubscriptionId } from '../../../../src/upstream/listen/listen-frames.js';

const ID = 'io.modelcontextprotocol/subscriptionId';
const strip = (text: string): string | undefined => withoutSubscriptionId(Buffer.from(text))?.toString();

describe('a message of a listen stream', () => {
  it.each([
    [`{"method":"m","params":{"_meta":{"${ID}":1},"uri":"u"}}`, '{"method":"m","params":{"uri":"u"}}'],
    [`{"method":"m","params":{"uri":"u","_meta":{"${ID}":"a}"}}}`, '{"method":"m","params":{"uri":"u"}}'],
    [`{"params":{"_meta":{"${ID}":1}},"method":"m"}`, '{"params":{},"method":"m"}'],
    [`{"params":{"_meta":{ "${ID}" : 1 , "a": 1.0}}}`, '{"params":{"_meta":{ "a": 1.0}}}'],
    [`{"params":{"_meta":{"a":1.0,"${ID}":1}}}`, '{"params":{"_meta":{"a":1.0}}}'],
    [`{"params":{"_meta":{"a":1,"${ID}":1,"b":2}}}`, '{"params":{"_meta":{"a":1,"b":2}}}'],
    ['{"params":{"_meta":{"a":1}}}', '{"params":{"_meta":{"a":1}}}'],
    ['{"method":"m"}', '{"method":"m"}'],
  ])('%s goes on as %s', (text, expected) => {
    expect(strip(text)).toBe(expected);
  });

  it('loses its id and nothing else, wherever it stands', () => {
    const rest = fc.dictionary(
      fc.string().filter((key) => key !== '__proto__' && key !== ID && key !== '_meta'),
      fc.jsonValue(),
      { maxKeys: 3 },
    );
    fc.assert(
      fc.property(
        rest,
        rest,
        rest,
        rest,
        fc.constantFrom(undefined, 1, 2),
        (before, after, left, right, space) => {
          const meta = { ...before, [ID]: 5, ...after };
          const own = Object.fromEntries(Object.entries(meta).filter(([key]) => key !== ID));
          const params = { ...left, _meta: meta, ...right };
          const expected: Record<string, unknown> = { ...params, _meta: own };
          if (Object.keys(own).length === 0) delete expected['_meta'];
          const sent = JSON.stringify({ jsonrpc: '2.0', method: 'm', params }, null, space);
          expect(JSON.parse(strip(sent) ?? '')).toEqual(
            JSON.parse(JSON.stringify({ jsonrpc: '2.0', method: 'm', params: expected })),
          );
        },
      ),
    );
  });
});
