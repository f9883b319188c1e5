import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ambiguous, readArguments } from '../../src/policy/arguments.js';
import { repetitionsOf } from '../../src/policy/repetitions.js';
import { isPlainUri } from '../../src/policy/uris.js';
import { foldName } from '../../src/wire/fold.js';

const read = (text: string): unknown => {
  try {
    return readArguments(Buffer.from(text));
  } catch (error) {
    if (error instanceof Ambiguous) return error;
    throw error;
  }
};

/** Whether an object, at any depth, has keys that fold to the same name, or a number or text that is refused. */
function isDoubtful(value: unknown): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value);
  if (typeof value === 'string') return /\p{Surrogate}/u.test(value);
  if (Array.isArray(value)) return value.some(isDoubtful);
  if (typeof value !== 'object' || value === null) return false;
  const keys = Object.keys(value).map(foldName);
  return new Set(keys).size < keys.length || Object.entries(value).some((entry) => entry.some(isDoubtful));
}

describe('arguments', () => {
  it('are read as JSON.parse reads them, or refused where they can be read in two ways', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const text = JSON.stringify(value);
        const plain = JSON.parse(text) as unknown;
        const found = read(text);
        if (isDoubtful(plain)) expect(found).toBeInstanceOf(Ambiguous);
        else expect(found).toEqual(plain);
      }),
    );
  });

  it('with a key that is added once more are refused, wherever it is', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 8 }),
        fc.array(fc.constantFrom('[', '{"k":'), { maxLength: 20 }),
        (key, around) => {
          const written = JSON.stringify(key);
          const text = `{"a":${around.join('')}{${written}:1,${written}:2}${around
            .map((open) => (open === '[' ? ']' : '}'))
            .reverse()
            .join('')}}`;
          expect(read(text)).toBeInstanceOf(Ambiguous);
        },
      ),
    );
  });

  it('of any bytes are read or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(['object']).toContain(typeof read(text));
      }),
    );
  });
});

describe('patterns', () => {
  it('of any text have a count of repetitions', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab()[]{}|*+?\\0123456789,^') }), (text) => {
        expect(repetitionsOf(text)).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  it('repeat as often as their nested counts multiplied', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }), (counts) => {
        const pattern = counts.reduce((inner, count) => `(?:${inner}){${count}}`, 'a');
        expect(repetitionsOf(`x${pattern}|y`)).toBe(counts.reduce((a, b) => a * b, 1));
      }),
    );
  });
});

describe('plain URIs', () => {
  it('stay the same when a URL parser normalises them', () => {
    const part = fc.string({ unit: fc.constantFrom(...'aZ09-._~%2e5cF\\/ \t{}') });
    fc.assert(
      fc.property(fc.constantFrom('file:///', 'https://host/'), part, (front, rest) => {
        const uri = front + rest;
        if (!isPlainUri(uri)) return;
        const { pathname, protocol, host } = new URL(uri);
        // The parser encodes spaces and braces, which changes no resource.
        const encoded = uri.replaceAll(' ', '%20').replaceAll('{', '%7B').replaceAll('}', '%7D');
        expect(`${protocol}//${host}${pathname}`.toLowerCase()).toBe(encoded.toLowerCase());
      }),
    );
  });
});
