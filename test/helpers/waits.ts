import { vi } from 'vitest';
import { atEnd } from './cleanup.js';

/** Timers with these durations fire immediately, until the test ends. Returns the recorded durations. */
export function recordWaits(lengths: readonly number[]): number[] {
  const waits: number[] = [];
  const real = globalThis.setTimeout;
  const spy = vi.spyOn(globalThis, 'setTimeout').mockImplementation((run: () => void, ms?: number) => {
    if (ms === undefined || !lengths.includes(ms)) return real(run, ms);
    waits.push(ms);
    return real(run, 0);
  });
  atEnd(() => {
    spy.mockRestore();
  });
  return waits;
}
