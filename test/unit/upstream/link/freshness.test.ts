import { describe, expect, it } from 'vitest';
import { freshnessOf, Hints, lapseMs } from '../../../../src/upstream/link/freshness.js';

const hints = (now: number, ...results: object[]): Hints => {
  const all = new Hints();
  for (const result of results) all.note(Buffer.from(JSON.stringify(result)), now);
  return all;
};

describe('freshness', () => {
  it('lasts as long as that of the stalest part, and is private if one part is', () => {
    const lists = hints(1000, { ttlMs: 500, cacheScope: 'public' }, { ttlMs: 300, cacheScope: 'private' });
    const discover = hints(900, { ttlMs: 350, cacheScope: 'public' });
    expect(freshnessOf([lists, discover], 99_000, false)).toEqual({ until: 1250, scope: 'private' });
    expect(freshnessOf([discover], 99_000, false)).toEqual({ until: 1250, scope: 'public' });
    expect(freshnessOf([discover], 99_000, true).scope).toBe('private');
  });

  it('of what says nothing lasts until it is read again', () => {
    const silent = hints(1000, { ttlMs: 60_000 }, {});
    expect(freshnessOf([silent], 5000, false)).toEqual({ until: 5000, scope: 'public' });
    expect(freshnessOf([undefined], 5000, false)).toEqual({ until: 5000, scope: 'public' });
  });

  it('a ttl of 0, or below, is over at once, and no reason to read again soon', () => {
    const stale = hints(1000, { ttlMs: 0 }, { ttlMs: -5 });
    expect(freshnessOf([stale], 5000, false).until).toBe(1000);
    expect(lapseMs([stale], 1000)).toBeUndefined();
    expect(lapseMs([stale, hints(1000, { ttlMs: 700 })], 1100)).toBe(600);
    expect(stale.stale(1000)).toBe(true);
  });
});
