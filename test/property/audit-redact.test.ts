import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keptArguments } from '../../src/observe/audit/record.js';
import { KEPT_BYTES, redact } from '../../src/observe/audit/redact.js';

const SECRETS = new Set(['password', 'api_key']);
const HIDDEN = ['password', 'PassWord', 'API_KEY', 'pass\\u0077ord'];

const keys = fc.oneof(fc.constantFrom('a', 'password', 'PassWord', 'API_KEY', 'token'), fc.string());
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, true, false, 0, -1.5e-7, 12345678901234567890n.toString()),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(keys, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

/** What the text of a value must say. */
function hidden(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hidden);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      SECRETS.has(name.toLowerCase()) ? '***' : hidden(member),
    ]),
  );
}

describe('kept arguments', () => {
  it('are the value without its secrets, on one line', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 1, '\t', '\r\n'), (value, space) => {
        const bytes = Buffer.from(JSON.stringify(value, undefined, space));
        const kept = keptArguments(bytes, SECRETS);
        expect(kept).not.toMatch(/[\n\r\u0085\u2028\u2029]/);
        expect(JSON.parse(kept)).toEqual(JSON.parse(JSON.stringify(hidden(value))));
      }),
      { numRuns: 2000 },
    );
  });

  it('are JSON on one line, whatever bytes came, and never more than their limit', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      '\\',
      '"a"',
      '"password"',
      '1',
      'tru',
      ' ',
      '\n',
      '\u2028',
      '\0',
    );
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.array(pieces, { maxLength: 60 }).map((parts) => Buffer.from(parts.join(''))),
    );
    fc.assert(
      fc.property(hostile, (bytes) => {
        const kept = keptArguments(bytes, SECRETS);
        expect(kept).not.toMatch(/[\n\r\u0085\u2028\u2029]/);
        JSON.parse(kept);
        expect(Buffer.byteLength(redact(bytes, SECRETS).text)).toBeLessThanOrEqual(KEPT_BYTES);
      }),
      { numRuns: 3000 },
    );
  });

  it('hide a secret at any depth, however its name is written and wherever the text is cut', () => {
    const secret = 'the-secret-value';
    const around = fc.tuple(fc.nat(40), fc.constantFrom(...HIDDEN), fc.nat(KEPT_BYTES * 9), fc.boolean());
    fc.assert(
      fc.property(around, ([depth, name, padding, nested]) => {
        const value = nested ? `[{"x":["${secret}"]},"${secret}"]` : `"${secret}"`;
        const inner = `{"pad":"${'p'.repeat(padding)}","${name}":${value},"after":1}`;
        const text = `${'{"a":['.repeat(depth)}${inner}${']}'.repeat(depth)}`;
        expect(keptArguments(Buffer.from(text), SECRETS)).not.toContain(secret);
      }),
      { numRuns: 300 },
    );
  });

  it('keep numbers as they are written, and the beginning of what is too long', () => {
    const text = '{"id":12345678901234567890,"x":1.0}';
    expect(keptArguments(Buffer.from(text), SECRETS)).toBe(text);
    const long = `{"a":1,"text":"${'é'.repeat(KEPT_BYTES)}"}`;
    const kept = JSON.parse(keptArguments(Buffer.from(long), SECRETS)) as string;
    expect(kept.startsWith('{"a":1,"text":"éé')).toBe(true);
    expect(Buffer.byteLength(kept)).toBeGreaterThan(KEPT_BYTES - 4);
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(KEPT_BYTES);
  });

  it('that nest deep take no stack', () => {
    const depth = 20_000;
    const kept = keptArguments(Buffer.from(`${'['.repeat(depth)}${']'.repeat(depth)}`), SECRETS);
    expect(typeof JSON.parse(kept)).toBe('string');
  });
});
