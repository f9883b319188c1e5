import { describe, expect, it } from 'vitest';
import { sleep } from '../../../src/lib/sleep.js';
import { monotonic } from '../../../src/lib/clock.js';

describe('sleep', () => {
  it('waits at least as long as asked', async () => {
    const start = monotonic.now();
    await sleep(30);
    expect(monotonic.now() - start).toBeGreaterThanOrEqual(30);
  });
  it('rejects with the reason of its signal, at once', async () => {
    const controller = new AbortController();
    const start = monotonic.now();
    const sleeping = sleep(60_000, controller.signal);
    controller.abort(new Error('closing'));
    await expect(sleeping).rejects.toThrow('closing');
    await expect(sleep(60_000, controller.signal)).rejects.toThrow('closing');
    expect(monotonic.now() - start).toBeLessThan(1000);
  });
  it('does not wake at once when asked for longer than a timer can wait', async () => {
    const controller = new AbortController();
    const outcome = sleep(2 ** 31 + 1000, controller.signal).then(
      () => 'woke',
      () => 'aborted',
    );
    await sleep(20);
    controller.abort(new Error('enough'));
    expect(await outcome).toBe('aborted');
  });
});
