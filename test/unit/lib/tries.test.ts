import { describe, expect, it } from 'vitest';
import { Tries } from '../../../src/lib/tries.js';

function stage(burst: number, eachMs: number) {
  let now = 1_000_000;
  return {
    tries: new Tries({ burst, eachMs, now: () => now }),
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('tries of an address', () => {
  it.each([
    [20, 3000, 3],
    [60, 1000, 1],
    [20, 1000, 1],
    [1, 500, 1],
  ])('%i at once, then one each %i ms', (burst, eachMs, seconds) => {
    const { tries, pass } = stage(burst, eachMs);
    for (let i = 0; i < burst; i++) {
      expect(tries.wait('a')).toBe(0);
      tries.add('a');
    }
    expect(tries.wait('a')).toBe(seconds);
    expect(tries.wait('b')).toBe(0);
    pass(eachMs - 1);
    expect(tries.wait('a')).toBe(1);
    pass(1);
    expect(tries.wait('a')).toBe(0);
    tries.add('a');
    expect(tries.wait('a')).toBe(seconds);
  });

  it('are all back after a rest, and asking does not count', () => {
    const { tries, pass } = stage(2, 3000);
    for (let i = 0; i < 10; i++) tries.add('a');
    for (let i = 0; i < 10; i++) expect(tries.wait('a')).toBe(3);
    pass(6000);
    expect([tries.wait('a'), tries.size]).toEqual([0, 0]);
  });

  it('make nobody wait longer when the clock is set back', () => {
    const { tries, pass } = stage(20, 3000);
    for (let i = 0; i < 40; i++) tries.add('a');
    pass(-500_000);
    expect(tries.wait('a')).toBe(3);
  });

  it('are remembered for a bounded number of addresses', () => {
    const { tries, pass } = stage(20, 1000);
    for (let i = 0; i < 20_000; i++) tries.add(`a${i}`);
    expect(tries.size).toBe(8192);
    pass(5000);
    tries.add('fresh');
    expect(tries.size).toBe(1);
  });
});
