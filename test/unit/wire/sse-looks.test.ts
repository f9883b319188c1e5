import { afterEach, expect, it, vi } from 'vitest';
import { SseReader } from '../../../src/wire/sse-read.js';

afterEach(() => {
  vi.restoreAllMocks();
});

/** Bytes that were searched and copied while a stream was read in pieces of a size. */
function looksAt(text: Buffer, piece: number): number {
  let looks = 0;
  const { indexOf, copy } = Buffer.prototype as unknown as {
    indexOf: (this: Buffer, value: number, from?: number) => number;
    copy: (this: Buffer, ...args: unknown[]) => number;
  };
  vi.spyOn(Buffer.prototype, 'indexOf').mockImplementation(function (this: Buffer, value, from) {
    const found = indexOf.call(this, value as number, from as number);
    looks += (found === -1 ? this.length : found + 1) - Number(from ?? 0);
    return found;
  });
  vi.spyOn(Buffer.prototype, 'copy').mockImplementation(function (this: Buffer, ...args) {
    const copied = copy.apply(this, args);
    looks += copied;
    return copied;
  });
  const reader = new SseReader({ open() {}, data() {}, close() {}, empty() {} });
  for (let at = 0; at < text.length; at += piece) reader.push(text.subarray(at, at + piece));
  return looks;
}

it.each([
  ['CRs', '\r'],
  ['LFs', '\n'],
  ['CRs and LFs', '\r\n'],
  ['LFs, and one CR at the end', '\n', '\r'],
  ['data lines', 'data: x\r'],
  ['comments', ':x\n'],
])('%s are looked at a few times each', (_, line, last = '') => {
  const text = Buffer.from(line.repeat(200_000 / line.length) + last);
  expect(looksAt(text, 65_536)).toBeLessThanOrEqual(4 * text.length);
});

it('a field line in pieces of one byte is not copied anew with each', () => {
  const text = Buffer.from(`id: ${'x'.repeat(60_000)}\n\n`);
  // A piece of one byte is searched twice, and copied once; what is held is copied when it grows.
  expect(looksAt(text, 1)).toBeLessThanOrEqual(6 * text.length);
});
