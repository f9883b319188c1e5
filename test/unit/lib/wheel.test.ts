import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import fc from 'fast-check';
import { createWheel } from '../../../src/lib/wheel.js';

describe('the timer wheel', () => {
  let now = 0;
  const clock = { now: () => now };
  const pass = (ms: number) => {
    for (const end = now + ms; now < end;) {
      const step = Math.min(10, end - now);
      now += step;
      vi.advanceTimersByTime(step);
    }
  };
  beforeEach(() => {
    now = 1_000_007;
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  });
  afterEach(() => vi.useRealTimers());

  it('fires a timer once, never early and at most one resolution late', () => {
    const wheel = createWheel({ clock });
    const start = now;
    const fired: number[] = [];
    wheel.after(1000, () => fired.push(now - start));
    pass(5000);
    expect(fired).toHaveLength(1);
    expect(fired[0]).toBeGreaterThanOrEqual(1000);
    expect(fired[0]).toBeLessThanOrEqual(1510);
  });

  it('never fires a timer of 0 ms', () => {
    const wheel = createWheel({ clock });
    const fn = vi.fn();
    const timer = wheel.after(0, fn);
    timer.move(100);
    timer.pause();
    timer.resume();
    pass(2000);
    expect(fn).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('moves a timer later and sooner', () => {
    const wheel = createWheel({ clock });
    const start = now;
    let later = 0;
    let sooner = 0;
    const a = wheel.after(1000, () => (later = now - start));
    const b = wheel.after(100_000, () => (sooner = now - start));
    b.move(500);
    pass(900);
    a.move(1000);
    pass(5000);
    expect(later).toBeGreaterThanOrEqual(1900);
    expect(later).toBeLessThanOrEqual(2410);
    expect(sooner).toBeGreaterThanOrEqual(500);
    expect(sooner).toBeLessThanOrEqual(1010);
  });

  it('holds a timer longer than one round of the wheel', () => {
    const wheel = createWheel({ clock });
    const start = now;
    let at = 0;
    wheel.after(300_000, () => (at = now - start));
    pass(310_000);
    expect(at).toBeGreaterThanOrEqual(300_000);
    expect(at).toBeLessThanOrEqual(300_510);
  });

  it('lets time stand still while a timer is paused', () => {
    const wheel = createWheel({ clock });
    const start = now;
    let at = 0;
    const timer = wheel.after(1000, () => (at = now - start));
    pass(600);
    timer.pause();
    timer.pause();
    pass(10_000);
    expect(at).toBe(0);
    timer.resume();
    timer.resume();
    pass(3000);
    expect(at).toBeGreaterThanOrEqual(11_000);
    expect(at).toBeLessThanOrEqual(11_510);
  });

  it('takes what a paused timer was moved to', () => {
    const wheel = createWheel({ clock });
    const fn = vi.fn();
    const timer = wheel.after(1000, fn);
    timer.pause();
    timer.move(5000);
    timer.resume();
    pass(4990);
    expect(fn).not.toHaveBeenCalled();
    pass(600);
    expect(fn).toHaveBeenCalledOnce();
  });

  it('runs a timer of the runtime only while something is armed', () => {
    const wheel = createWheel({ clock });
    expect(vi.getTimerCount()).toBe(0);
    const timer = wheel.after(1000, () => {});
    wheel.after(300, () => {});
    expect(vi.getTimerCount()).toBe(1);
    pass(600);
    expect(vi.getTimerCount()).toBe(1);
    timer.pause();
    pass(300);
    expect(vi.getTimerCount()).toBe(0);
    timer.resume();
    expect(vi.getTimerCount()).toBe(1);
    timer.cancel();
    pass(300);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('lets a firing timer cancel or arm others, also of the same slot', () => {
    const wheel = createWheel({ clock });
    const fired: string[] = [];
    wheel.after(1000, () => {
      fired.push('a');
      b.cancel();
      wheel.after(100, () => fired.push('c'));
    });
    const b = wheel.after(1000, () => fired.push('b'));
    pass(3000);
    expect(fired).toEqual(['a', 'c']);
  });

  it('fires all that is due after the loop was blocked for long', () => {
    const wheel = createWheel({ clock });
    const fired: number[] = [];
    for (const ms of [300, 5000, 60_000, 200_000, 900_000]) wheel.after(ms, () => fired.push(ms));
    now += 600_000;
    vi.advanceTimersByTime(250);
    expect(fired.sort((x, y) => x - y)).toEqual([300, 5000, 60_000, 200_000]);
  });

  it('forgets all timers when closed', () => {
    const wheel = createWheel({ clock });
    const fn = vi.fn();
    const timer = wheel.after(100, fn);
    wheel.close();
    timer.move(100);
    wheel.after(100, fn);
    pass(1000);
    expect(fn).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps every promise under any sequence of calls', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.constantFrom('move', 'pause', 'resume', 'cancel', 'pass'),
            fc.nat(4),
            fc.integer({ min: 1, max: 200_000 }),
          ),
          { maxLength: 40 },
        ),
        (steps) => {
          const wheel = createWheel({ clock });
          // What each timer should do, kept the simple way.
          const models = Array.from({ length: 5 }, (_, i) => {
            const model = { due: now + 1000 * (i + 1), left: -1, over: false, late: 0 };
            const timer = wheel.after(1000 * (i + 1), () => {
              expect(model.over).toBe(false);
              expect(model.left).toBe(-1);
              expect(now).toBeGreaterThanOrEqual(model.due);
              expect(now).toBeLessThanOrEqual(model.due + 510);
              model.over = true;
            });
            return { model, timer };
          });
          for (const [what, index, ms] of steps) {
            const { model, timer } = models[index] as (typeof models)[number];
            if (what === 'pass') pass(ms % 3000);
            else if (what === 'move') {
              timer.move(ms);
              if (model.left >= 0) model.left = ms;
              else model.due = now + ms;
            } else if (what === 'pause') {
              timer.pause();
              if (model.left < 0) model.left = Math.max(0, model.due - now);
            } else if (what === 'resume') {
              timer.resume();
              if (model.left >= 0) {
                model.due = now + model.left;
                model.left = -1;
              }
            } else {
              timer.cancel();
              if (!model.over) model.over = true;
            }
          }
          for (let i = 0; i < 900; i++) {
            now += 250;
            vi.advanceTimersByTime(250);
          }
          for (const { model } of models) expect(model.over || model.left >= 0).toBe(true);
          wheel.close();
        },
      ),
      { numRuns: 60 },
    );
  });
});
