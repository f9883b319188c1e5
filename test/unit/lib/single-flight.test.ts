import { describe, expect, it } from 'vitest';
import { singleFlight } from '../../../src/lib/single-flight.js';

describe('single flight', () => {
  it('serves callers at the same time by one run and later ones by another', async () => {
    let runs = 0;
    const flight = singleFlight(async () => {
      await Promise.resolve();
      return ++runs;
    });
    expect(await Promise.all([flight.call(), flight.call(), flight.call()])).toEqual([1, 1, 1]);
    expect(flight.running).toBe(false);
    expect(await flight.call()).toBe(2);
  });

  it('gives every waiting caller the failure and starts anew after it', async () => {
    let runs = 0;
    const flight = singleFlight(() => (runs++ ? Promise.resolve('ok') : Promise.reject(new Error('no'))));
    const both = await Promise.allSettled([flight.call(), flight.call()]);
    expect(both.map((r) => r.status)).toEqual(['rejected', 'rejected']);
    expect(await flight.call()).toBe('ok');
  });

  it('turns a synchronous throw into a rejection', async () => {
    const flight = singleFlight(() => {
      throw new Error('at once');
    });
    await expect(flight.call()).rejects.toThrow('at once');
    expect(flight.running).toBe(false);
  });

  it('rejects its callers when cancelled, aborts the run and ignores its late answer', async () => {
    const signals: AbortSignal[] = [];
    const answers: ((value: string) => void)[] = [];
    const flight = singleFlight<string>((signal) => {
      signals.push(signal);
      return new Promise((resolve) => answers.push(resolve));
    });
    const first = flight.call();
    flight.cancel(new Error('closed'));
    await expect(first).rejects.toThrow('closed');
    expect(signals[0]?.aborted).toBe(true);
    const second = flight.call();
    answers[0]?.('stale');
    answers[1]?.('fresh');
    expect(await second).toBe('fresh');
  });
});
