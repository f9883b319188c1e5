/** The cookies that a browser sends. */
import { expect, it } from 'vitest';
import { cookiesOf } from '../../../src/lib/cookies.js';

it('are pairs in the order of the header', () => {
  expect(cookiesOf('a=1; b=2=3;c=')).toEqual([
    ['a', '1'],
    ['b', '2=3'],
    ['c', ''],
  ]);
  expect(cookiesOf('')).toEqual([]);
  expect(cookiesOf('nameless; ; a=1')).toEqual([['a', '1']]);
});

it('have their names as they are, also with spaces that are not those of the separator', () => {
  expect(cookiesOf('\u00a0a=1; \u00a0b=2;  c=3;\td=4')).toEqual([
    ['\u00a0a', '1'],
    ['\u00a0b', '2'],
    [' c', '3'],
    ['\td', '4'],
  ]);
});
