import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  checkParamHeaders,
  decodeHeaderValue,
  encodeHeaderValue,
  paramHeaders,
} from '../../src/protocol/modern/param-headers.js';
import type { ParamHeader } from '../../src/protocol/schema.js';

const units = fc.constantFrom('a', ' ', '\t', '\n', '\0', '=', '?', '/', 'é', '水', '🚀', '~', '"', '\\');
const texts = fc.oneof(
  fc.string({ unit: units }),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: units }).map((text) => `=?base64?${text}?=`),
);

it('any text comes through a header as it was, and the header is one that any hop lets through', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const value = encodeHeaderValue(text);
      expect(value).toMatch(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
      expect(decodeHeaderValue(value)).toBe(Buffer.from(text).toString());
      expect(decodeHeaderValue(` ${value}\t`)).toBe(Buffer.from(text).toString());
    }),
    { numRuns: 2000 },
  );
});

const keys = fc.constantFrom('a', 'b', 'c', '__proto__', 'é', 'constructor');
const scalars = fc.oneof(
  texts,
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(null, 2 ** 53, -0),
);
const values = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, scalars, tie('object'), fc.array(tie('value'), { maxLength: 2 })),
  object: fc.dictionary(keys, tie('value'), { maxKeys: 4 }),
}));
const headerLists = fc.uniqueArray(fc.array(keys, { minLength: 1, maxLength: 3 }), {
  selector: (path) => path.join('/'),
  maxLength: 6,
});

it('what is computed for a call is what is asked of it, and nothing else will do', () => {
  fc.assert(
    fc.property(values.object, headerLists, fc.nat(), (args, paths, pick) => {
      const headers: ParamHeader[] = paths.map((path, i) => ({
        header: `mcp-param-${i}`,
        path,
        type: 'string',
      }));
      const json = JSON.stringify(args);
      const body = Buffer.from(`{"arguments":${json}}`);
      const span = { start: 13, end: body.length - 1 };
      const lines = paramHeaders(headers, body, span);
      const sent = new Map<string, string>();
      for (let i = 0; i < lines.length; i += 2) sent.set(lines[i] as string, lines[i + 1] as string);
      const check = () => checkParamHeaders(headers, body, span, (name) => sent.get(name));
      expect(check()).toBeUndefined();

      const parsed = JSON.parse(json) as unknown;
      for (const { header, path } of headers) {
        let value: unknown = parsed;
        for (const key of path) {
          const inside = typeof value === 'object' && value !== null && !Array.isArray(value);
          value =
            inside && Object.hasOwn(value as object, key)
              ? (value as Record<string, unknown>)[key]
              : undefined;
        }
        const text = sent.get(header);
        if (text === undefined) expect(value === null || typeof value !== 'string').toBe(true);
        else expect(decodeHeaderValue(text)).toBe(Buffer.from(String(value)).toString());
      }

      const names = [...sent.keys()];
      if (names.length === 0) return;
      const name = names[pick % names.length] as string;
      const right = sent.get(name) as string;
      sent.delete(name);
      expect(check()).toContain(`${name} is missing`);
      sent.set(name, `${right}x`);
      expect(check()).toContain(name);
    }),
    { numRuns: 1000 },
  );
});
