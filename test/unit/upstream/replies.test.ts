/** What is sent to a server beside requests: so many at once, so much waiting, so long each. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Wheel, WheelTimer } from '../../../src/lib/wheel.js';
import { silent } from '../../../src/observe/log.js';
import type { Unaccepted } from '../../../src/upstream/http/post-message.js';
import { Replies } from '../../../src/upstream/http/replies.js';

interface Sent {
  readonly body: Buffer;
  readonly done: (failure?: Unaccepted) => void;
  aborted: boolean;
}

describe('replies to a server', () => {
  const sent: Sent[] = [];
  const told: boolean[] = [];
  const timers: { ms: number; fire: () => void; cancelled: boolean }[] = [];
  let replies: Replies;

  const wheel: Wheel = {
    after(ms, fire) {
      const timer = { ms, fire, cancelled: false };
      timers.push(timer);
      const cancel = (): void => void (timer.cancelled = true);
      return { cancel, move() {}, pause() {}, resume() {} } satisfies WheelTimer;
    },
    close() {},
  };
  const post = (count: number, bytes = 10): void => {
    for (let n = 0; n < count; n++) replies.post(Buffer.alloc(bytes));
  };
  const take = (count: number): void => {
    for (const each of sent.filter(({ aborted }) => !aborted).slice(taken, taken + count)) each.done();
    taken += count;
  };
  let taken = 0;

  beforeEach(() => {
    sent.length = told.length = timers.length = taken = 0;
    replies = new Replies({
      server: 's',
      wheel,
      log: silent,
      send(body, done) {
        const one: Sent = { body, done, aborted: false };
        sent.push(one);
        return () => {
          one.aborted = true;
        };
      },
      full: (on) => told.push(on),
    });
  });

  it('16 are under way at once, the rest waits in its order', () => {
    for (let n = 0; n < 20; n++) replies.post(Buffer.from([n]));
    expect(sent).toHaveLength(16);
    take(1);
    expect(sent).toHaveLength(17);
    take(16);
    expect(sent.map(({ body }) => body[0])).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('with more than 1 MB waiting it says so, and again once half of that is gone', () => {
    post(16);
    post(16, 65_536);
    expect([told, replies.full]).toEqual([[], false]);
    post(1, 1);
    expect([told, replies.full]).toEqual([[true], true]);
    take(8);
    expect(told).toEqual([true]);
    take(1);
    expect([told, replies.full]).toEqual([[true, false], false]);
  });

  it('one that is not taken in 10 s is given up, and the next one goes', () => {
    post(17);
    expect(timers.map(({ ms }) => ms)).toEqual(Array(16).fill(10_000));
    timers[3]?.fire();
    expect(sent.map(({ aborted }) => aborted).indexOf(true)).toBe(3);
    expect(sent).toHaveLength(17);
    // What is said of it afterwards counts no more.
    sent[3]?.done({ reason: 'too late', isLost: true });
    post(1);
    expect(sent).toHaveLength(17);
  });

  it('one that is taken has no clock any more', () => {
    post(1);
    take(1);
    expect(timers.map(({ cancelled }) => cancelled)).toEqual([true]);
  });

  it('at the end those under way are given up, and none follows', () => {
    post(16);
    post(2, 1_000_000);
    replies.destroy();
    post(1);
    expect(sent).toHaveLength(16);
    expect(sent.every(({ aborted }) => aborted)).toBe(true);
    expect(timers.every(({ cancelled }) => cancelled)).toBe(true);
    expect(told).toEqual([true]);
  });
});
