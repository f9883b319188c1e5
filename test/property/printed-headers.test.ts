/** What a command prints as headers, in any form. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readPrintedHeaders } from '../../src/credentials/printed-headers.js';

const NAME = fc.stringMatching(/^x-[!#$%&'*+.^_`|~0-9a-z-]{1,12}$/);
const VALUE = fc.stringMatching(/^[\x21-\x7e]([\t\x20-\x7e]{0,20}[\x21-\x7e])?$/);
const HEADERS = fc
  .uniqueArray(fc.tuple(NAME, VALUE), { minLength: 1, maxLength: 20, selector: ([name]) => name })
  .map((entries) => entries.filter(([name]) => name !== '__proto__'));

it('reads what was written', () => {
  fc.assert(
    fc.property(
      HEADERS,
      fc.option(fc.integer({ min: 1, max: 86_400 }), { nil: undefined }),
      (entries, life) => {
        const text = JSON.stringify({ headers: Object.fromEntries(entries), expires_in: life });
        expect(readPrintedHeaders(text)).toEqual({ headers: entries.flat(), expiresIn: life });
      },
    ),
  );
});

it('whatever it reads can be sent in a header, and whatever it refuses is not in the error', () => {
  const name = fc.oneof(NAME, fc.string(), fc.constantFrom('Host', 'Mcp-Session-Id', 'Connection', 'TE'));
  const value = fc.oneof(VALUE, fc.string({ unit: 'binary' }), fc.jsonValue());
  const life = fc.oneof(fc.double(), fc.string(), fc.constant(undefined));
  fc.assert(
    fc.property(fc.dictionary(name, value), life, (headers, expires_in) => {
      const text = JSON.stringify({ headers, expires_in });
      try {
        const read = readPrintedHeaders(text);
        expect(read.headers.length).toBe(2 * Object.keys(headers).length);
        read.headers.forEach((each, i) => {
          expect(each).toMatch(i % 2 === 0 ? /^[!#$%&'*+.^_`|~0-9a-z-]+$/ : /^[\t\x20-\x7e]+$/);
          if (i % 2 === 0) expect(each).not.toMatch(/^(host|te|connection|mcp-.*|proxy-.*|content-length)$/);
        });
        expect(read.expiresIn ?? 1).toBeGreaterThan(0);
      } catch (error) {
        expect((error as Error).message).toMatch(/^(did not print|printed) [ -~]{1,300}$/);
      }
    }),
  );
});

it('takes any bytes', () => {
  const printed = fc.oneof(fc.string({ unit: 'binary' }), fc.json());
  fc.assert(
    fc.property(printed, (text) => {
      try {
        readPrintedHeaders(text);
      } catch (error) {
        expect((error as Error).message).toMatch(/^(did not print|printed) /);
      }
    }),
  );
  expect(() => readPrintedHeaders(' '.repeat(65_537))).toThrow('more than 65536 bytes');
});
