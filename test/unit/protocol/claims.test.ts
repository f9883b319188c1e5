/** Claims as issuers write them. */
import { expect, it } from 'vitest';
import { claim, groupsOf, nameOf } from '../../../src/protocol/claims.js';

it('a claim is found by its name before its path, and never in a prototype', () => {
  const claims = { 'a.b': 1, a: { b: 2, c: { d: 3 } }, list: [1] };
  expect(claim(claims, 'a.b')).toBe(1);
  expect(claim(claims, 'a.c.d')).toBe(3);
  expect(claim(claims, 'list.0')).toBeUndefined();
  expect(claim(claims, 'constructor')).toBeUndefined();
  expect(claim(claims, 'a.toString')).toBeUndefined();
});

it.each([
  ['ada', 'ada'],
  [42, '42'],
  [1.5, undefined],
  ['', undefined],
  ['a\nb', undefined],
  ['x'.repeat(257), undefined],
  [true, undefined],
])('%j as a name is %j', (value, name) => {
  expect(nameOf(value)).toBe(name);
});

it.each<[object, unknown]>([
  [{}, []],
  [{ groups: null }, []],
  [{ groups: 'dev' }, ['dev']],
  [{ groups: ['dev', 7] }, ['dev', '7']],
  [{ groups: ['dev', ''] }, 'not names'],
  [{ groups: { dev: true } }, 'not names'],
  [{ groups: Array(201).fill('dev') }, 'too many'],
  [{ _claim_names: { groups: 'src1' } }, 'too many'],
  [{ groups: ['dev'], _claim_names: { groups: 'src1' } }, ['dev']],
])('the groups of %j', (claims, groups) => {
  expect(groupsOf({ ...claims }, 'groups')).toEqual(groups);
});
