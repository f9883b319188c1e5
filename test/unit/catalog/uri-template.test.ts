import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matcherOf } from '../../../src/catalog/uri-template.js';

const matches = (template: string, uri: string): boolean | undefined => matcherOf(template)?.(uri);

test.each([
  ['a://{x}', 'a://1', true],
  ['a://{x}', 'a://', false],
  ['a://{x}', 'a://1/2', false],
  ['a://{x}/{y}', 'a://1/2', true],
  ['file:///{+path}', 'file:///deep/down.txt', true],
  ['a://x{?q,r}', 'a://x', true],
  ['a://x{?q,r}', 'a://x?q=1&r=2', true],
  ['a://x{?q}', 'a://xy', false],
  ['a://x{#frag}', 'a://x#part', true],
  ['a://x{/seg*}', 'a://x/1/2', true],
  ['a://x{.ext}', 'a://x.tar', true],
  ['a://x{;p}', 'a://x;p=1', true],
  ['a://(.*)+{x}', 'a://(.*)+1', true],
  ['a://.{x}', 'a://b1', false],
  ['plain://only', 'plain://only', true],
  ['plain://only', 'plain://onlyx', false],
])('%s and %s: %s', (template, uri, expected) => {
  expect(matches(template, uri)).toBe(expected);
});

test('what a simple template expands to, it matches', () => {
  const value = fc
    .string({ minLength: 1, maxLength: 40 })
    .map(encodeURIComponent)
    .filter((text) => text !== '');
  fc.assert(
    fc.property(value, value, (x, y) => {
      expect(matches('t://{x}/fixed/{y}', `t://${x}/fixed/${y}`)).toBe(true);
      expect(matches('t://{+x}', `t://${x}/${y}`)).toBe(true);
    }),
  );
});

test('a template without expressions matches itself alone, whatever characters it has', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), fc.string({ maxLength: 60 }), (template, uri) => {
      fc.pre(!template.includes('{'));
      expect(matches(template, template)).toBe(true);
      expect(matches(template, uri)).toBe(template === uri);
    }),
  );
});

test('what costs too much to match is not matched at all', () => {
  expect(matcherOf('{x}'.repeat(17))).toBeUndefined();
  expect(matcherOf('x'.repeat(2049))).toBeUndefined();
  expect(matches('a://{x}', `a://${'x'.repeat(3000)}`)).toBe(false);
});

// To try every way would take years: that the answer comes is the proof.
test('many expressions in a row and a URI that just fails', () => {
  expect(matcherOf(`${'{+x}'.repeat(16)}!`)?.('a'.repeat(100))).toBe(false);
});

test('worst case: the most expressions there may be, the longest URI', () => {
  expect(matcherOf(`${'{+x}'.repeat(16)}!`)?.('a'.repeat(2048))).toBe(false);
});
