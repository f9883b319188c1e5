import { describe, expect, it } from 'vitest';
import { Pieces } from '../../../src/lib/pieces.js';

describe('pieces of a message', () => {
  it('are the message again, however it was cut', () => {
    const whole = Buffer.from(Array.from({ length: 50_000 }, (_, i) => i % 251));
    const pieces = new Pieces();
    const sizes = [1, 1, 3, 700, 5000, 2, 4096, 1];
    for (let at = 0, i = 0; at < whole.length; i++) {
      const size = i < 400 ? 1 : (sizes[i % sizes.length] as number);
      pieces.push(whole.subarray(at, at + size));
      at += size;
    }
    expect(pieces.joined().equals(whole)).toBe(true);
    expect(pieces.length).toBe(1);
    expect(pieces.taken().equals(whole)).toBe(true);
    expect(pieces.length).toBe(0);
  });

  it('are few, however small they come', () => {
    const pieces = new Pieces();
    for (let i = 0; i < 100_000; i++) pieces.push(Buffer.from('x'));
    expect(pieces.length).toBeLessThan(1000);
  });

  it('do not keep the block alive that a small one came in', () => {
    const pieces = new Pieces();
    pieces.push(Buffer.alloc(65_536).subarray(10, 20));
    expect(pieces.first?.buffer.byteLength).toBe(10);
  });
});
