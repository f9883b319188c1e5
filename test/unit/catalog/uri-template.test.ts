import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_LOOKS, MAX_TEMPLATES, UriTemplates } from '../../../src/catalog/uri-template.js';

function of(...listed: readonly (readonly [template: string, server: string])[]): UriTemplates<string> {
  const templates = new UriTemplates<string>();
  for (const [template, server] of listed) templates.add(template, server, template);
  return templates;
}
const matches = (template: string, uri: string): boolean => of([template, 'one']).find(uri).length > 0;

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
  expect(matches('{x}'.repeat(17), 'a')).toBe(false);
  expect(matches('x'.repeat(2049), 'x'.repeat(2049))).toBe(false);
  expect(matches('a://{x}', `a://${'x'.repeat(3000)}`)).toBe(false);
});

test('the most specific template covers a URI, whatever its server is called', () => {
  const templates = of(
    ['{+any}', 'a'],
    ['db://{+rest}', 'b'],
    ['db://tables/{name}', 'z'],
    ['db://tables/{name}/rows', 'm'],
  );
  const found = (uri: string): string[] => templates.find(uri).map(({ server }) => server);
  expect(found('db://tables/users')).toEqual(['z']);
  expect(found('db://tables/users/rows')).toEqual(['m']);
  expect(found('db://views/1')).toEqual(['b']);
  expect(found('other')).toEqual(['a']);
  expect(of(['db://{x}', 'b']).find('file:///x')).toEqual([]);
});

test('of templates that are equally specific all are named, one a server', () => {
  const templates = of(['db://{x}/a', 'one'], ['db://{y}/a', 'two'], ['db://{z}/a', 'one']);
  expect(templates.find('db://1/a').map(({ server }) => server)).toEqual(['one', 'two']);
});

test('the most specific one is found by its index as by looking at all', () => {
  const word = fc.constantFrom('a', 'b', 'ab', '/', 'x://', 'x://a/');
  const template = fc
    .array(fc.oneof(word, fc.constantFrom('{x}', '{+x}', '{/x}', '{?x}')), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join(''));
  const uri = fc.array(word, { maxLength: 6 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.uniqueArray(template, { maxLength: 12 }), uri, (list, text) => {
      const covering = list.filter((each) => matches(each, text));
      const rank = (each: string): [number, number] => {
        const [head = ''] = each.split('{');
        return [head.length, each.replaceAll(/\{[^}]*\}/g, '').length];
      };
      const best = covering.map(rank).sort(([a, b], [c, d]) => c - a || d - b)[0];
      const expected = covering.filter((each) => String(rank(each)) === String(best));
      const found = of(...list.map((each, i) => [each, `s${i}`] as const)).find(text);
      expect(found.map(({ template: each }) => each).sort()).toEqual(expected.sort());
    }),
  );
});

test('20,000 templates of 2,000 characters that nearly match cost a bounded number of looks', () => {
  const templates = new UriTemplates<number>();
  for (let i = 0; i < 20_000; i++) templates.add(`a://{+x}${'a'.repeat(1980)}${i}{+y}a`, 'evil', i);
  templates.add('a://good/{x}', 'good', -1);
  let looks = 0;
  const uri = `a://${'a'.repeat(2044)}`;
  templates.find(uri, (count) => (looks = count));
  expect(looks).toBeGreaterThan(0);
  expect(looks).toBeLessThanOrEqual(MAX_LOOKS + 40 * uri.length);
  expect(MAX_TEMPLATES).toBe(1000);
  expect(templates.find('a://good/1').map(({ server }) => server)).toEqual(['good']);
});
