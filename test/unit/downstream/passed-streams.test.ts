import { expect, it } from 'vitest';
import { EventBounds, PassedStreams } from '../../../src/downstream/http/passed-streams.js';
import type { Wheel, WheelTimer } from '../../../src/lib/wheel.js';

it('a stream is between two events only after an empty line, however its bytes are cut', () => {
  const text = Buffer.from('id: 1\ndata: x\n\n: keep-alive\n\nid: 2\ndata: y\n\n');
  const ends = new Set([15, 29, text.length]);
  for (const size of [1, 2, 3, 7]) {
    const bounds = new EventBounds();
    expect(bounds.isBetween).toBe(true);
    for (let at = 0; at < text.length; at += size) {
      bounds.passed(text.subarray(at, at + size));
      bounds.passed(Buffer.alloc(0));
      expect(bounds.isBetween).toBe(ends.has(Math.min(at + size, text.length)));
    }
  }
});

it('streams end some at a time, also those that come late, and no forgotten one', () => {
  const due: (() => void)[] = [];
  const wheel = {
    after: (_ms: number, fn: () => void) => (due.push(fn), {} as WheelTimer),
  } as unknown as Wheel;
  const streams = new PassedStreams(wheel);
  const ended: number[] = [];
  const add = (): (() => void) =>
    streams.add({
      finish: (retryMs) => {
        ended.push(retryMs);
      },
    });
  const forget = add();
  for (let n = 0; n < 120; n++) add();
  forget();
  expect(due).toHaveLength(0);
  streams.end();
  expect(ended).toHaveLength(50);
  for (const total of [100, 120]) {
    due.shift()?.();
    expect(ended).toHaveLength(total);
  }
  expect(due).toHaveLength(0);
  add();
  add();
  expect(due).toHaveLength(1);
  due.shift()?.();
  expect(ended).toHaveLength(122);
  expect(ended.every((ms) => ms >= 500 && ms <= 1500)).toBe(true);
});
