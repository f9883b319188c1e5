import { describe, expect, it } from 'vitest';
import { backoffMs, upperBoundMs } from '../../../src/lib/backoff.js';

describe('backoff', () => {
  it('doubles its bound with each failure up to the maximum', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 2000].map((n) => upperBoundMs(n, 1000, 30_000))).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });
  it('waits anything between nothing and the bound', () => {
    expect(backoffMs(3, 1000, 30_000, () => 0)).toBe(0);
    expect(backoffMs(3, 1000, 30_000, () => 0.5)).toBe(2000);
    expect(backoffMs(9, 1000, 30_000, () => 0.9999)).toBeLessThanOrEqual(30_000);
  });
});
