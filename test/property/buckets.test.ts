import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Buckets, type Want } from '../../src/policy/buckets.js';

const rate = (perSecond: number, burst: number): Want['rate'] => ({ interval: 1000 / perSecond, burst });

describe('buckets', () => {
  it('let in what a queue of tokens would, and say when there is room again', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 80 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 8 }),
        (pauses, perSecond, burst) => {
          let now = 0;
          const buckets = new Buckets(() => now);
          const want = { rate: rate(perSecond, burst), rule: 'r', key: 'k' };
          let tokens = burst;
          for (const pause of pauses) {
            now += pause;
            tokens = Math.min(burst, tokens + (pause * perSecond) / 1000);
            const wait = buckets.take('a', [want]);
            // The model counts fractions another way.
            if (Math.abs(tokens - 1) < 1e-6) return;
            expect(wait === undefined, `${tokens} tokens at ${now}`).toBe(tokens > 1);
            if (!wait) {
              tokens -= 1;
              continue;
            }
            expect(wait.ms).toBeCloseTo(((1 - tokens) * 1000) / perSecond, 3);
            const [before, after] = [now + wait.ms - 0.01, now + wait.ms];
            now = before;
            expect(buckets.take('a', [want])).toBeDefined();
            now = after;
            expect(buckets.take('a', [want])).toBeUndefined();
            tokens = 0;
          }
        },
      ),
    );
  });

  it('take from all that a call wants, or from none', () => {
    let now = 0;
    const buckets = new Buckets(() => now);
    const narrow = { rate: rate(1, 1), rule: 'narrow', key: 'n' };
    const wide = { rate: rate(1, 3), rule: 'wide', key: 'w' };
    expect(buckets.take('a', [wide, narrow])).toBeUndefined();
    for (let i = 0; i < 5; i++) expect(buckets.take('a', [wide, narrow])).toEqual({ index: 1, ms: 1000 });
    expect(buckets.take('a', [wide])).toBeUndefined();
    expect(buckets.take('a', [wide])).toBeUndefined();
    expect(buckets.take('a', [wide])).toEqual({ index: 0, ms: 1000 });
    now = 1000;
    expect(buckets.take('a', [narrow, wide])).toBeUndefined();
  });

  it('are bounded, and nobody empties one of his own or of others by using many', () => {
    const slow = rate(0.001, 2);
    const attack = fc.array(fc.record({ rule: fc.nat(2), key: fc.nat(400) }), {
      minLength: 100,
      maxLength: 400,
    });
    fc.assert(
      fc.property(attack, (calls) => {
        const buckets = new Buckets(() => 0, 20);
        const wantOf = (owner: string, rule: number, key: number): Want => ({
          rate: slow,
          rule: `r${rule}`,
          key: `r${rule} ${owner} ${key}`,
        });
        const victim = wantOf('victim', 0, 0);
        const first = wantOf('attacker', 0, 0);
        for (const want of [victim, victim]) expect(buckets.take('victim', [want])).toBeUndefined();
        for (const want of [first, first]) expect(buckets.take('attacker', [want])).toBeUndefined();
        for (const { rule, key } of calls) {
          buckets.take('attacker', [wantOf('attacker', rule, key + 1)]);
          expect(buckets.size).toBeLessThanOrEqual(20);
        }
        expect(buckets.take('victim', [victim])).toBeDefined();
        expect(buckets.take('attacker', [first])).toBeDefined();
        // Another owner has what is his.
        expect(buckets.take('other', [wantOf('other', 0, 0)])).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });

  it('are bounded with any number of owners', () => {
    const buckets = new Buckets(() => 0, 50);
    for (let i = 0; i < 2000; i++) buckets.take(`o${i}`, [{ rate: rate(1, 1), rule: 'r', key: `k${i}` }]);
    expect(buckets.size).toBe(50);
  });
});
