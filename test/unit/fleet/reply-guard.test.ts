import { describe, expect, test } from 'vitest';
import { ReplyGuard } from '../../../src/fleet/reply-guard.js';
import { isSlots } from '../../../src/fleet/store-answers.js';

const LIMITS = { bytes: 64, elements: 8, depth: 3 };

/** Whether a guard accepts `text` in one piece, and byte by byte; both are the same. */
function accepts(text: string, commands = 1): boolean {
  const [whole, bytes] = [new ReplyGuard(LIMITS), new ReplyGuard(LIMITS)];
  for (let sent = 0; sent < commands; sent++) {
    whole.expect();
    bytes.expect();
  }
  const judged = whole.accept(Buffer.from(text, 'latin1'));
  const piecewise = [...text].every((each) => bytes.accept(Buffer.from(each, 'latin1')));
  expect(piecewise).toBe(judged);
  return judged;
}

describe('what a store answers', () => {
  test.each([
    '+OK\r\n',
    '-ERR no\r\n',
    '-MOVED 5 127.0.0.1:7000\r\n',
    ':-5\r\n',
    '$-1\r\n',
    '$0\r\n\r\n',
    '$5\r\na\r\nbc\r\n',
    '*-1\r\n',
    '*0\r\n',
    '*2\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n',
  ])('%j is a reply', (text) => {
    expect(accepts(text)).toBe(true);
    expect(accepts(text + text, 2)).toBe(true);
    expect(accepts(text + text)).toBe(false);
  });

  test.each([
    ['a push', '>1\r\n_\r\n'],
    ['null of RESP3', '_\r\n'],
    ['a map', '%1\r\n+a\r\n+b\r\n'],
    ['a lone carriage return', '+a\rb\r\n'],
    ['a lone line feed', '+a\nb\r\n'],
    ['no number', ':x\r\n'],
    ['a length below -1', '$-2\r\n'],
    ['a length that is none', '$1x\r\n'],
    ['a bulk that is too short', '$1\r\nxy\r\n'],
    ['a bulk over the limit', '$65\r\n'],
    ['an array over the limit', '*9\r\n'],
    ['nested arrays over the limit', '*4\r\n*5\r\n'],
    ['arrays too deep', '*1\r\n*1\r\n*1\r\n*1\r\n'],
    ['a redirect without an address', '-MOVED 5\r\n'],
    ['a redirect without a slot', '-ASK x 127.0.0.1:1\r\n'],
    ['one reply over the limit', `*2\r\n$40\r\n${'x'.repeat(40)}\r\n$40\r\n`],
    ['nothing but a new line', '\r\n'],
  ])('%s is not', (_what, text) => {
    expect(accepts(text)).toBe(false);
  });

  test('slots', () => {
    const node = ['127.0.0.1', 7000, 'id', []];
    expect(isSlots([[0, 16_383, node, [null, 0], ['', 0]]])).toBe(true);
    expect(isSlots([])).toBe(true);
    for (const wrong of [
      null,
      5,
      [5],
      [[0, 16_384, node]],
      [[5, 4, node]],
      [[0, 1, 'x']],
      [[0, 1, ['a b', 7000]]],
      [[0, 1, ['a', 70_000]]],
      [
        [0, 16_383, node],
        [0, 1, node],
      ],
    ])
      expect(isSlots(wrong)).toBe(false);
  });
});
