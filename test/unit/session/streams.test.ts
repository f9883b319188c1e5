import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWheel } from '../../../src/lib/wheel.js';
import type { StreamTarget } from '../../../src/protocol/ports.js';
import type { Session } from '../../../src/session/store.js';
import type { CallStream } from '../../../src/session/call-stream.js';
import { createStreams, type Streams } from '../../../src/session/streams.js';

/** Keeps what it is sent. */
class Target implements StreamTarget {
  drained = (): void => undefined;
  backlog = 0;
  primed: string | undefined;
  readonly events: [id: string | undefined, text: string][] = [];
  ended = false;
  #open: string | undefined;
  prime(id: string): void {
    this.primed = id;
  }
  retryIn(): void {}
  event(message: Buffer, id: string | undefined): boolean {
    this.events.push([id, message.toString()]);
    return true;
  }
  begin(id: string | undefined): void {
    this.#open = id;
    this.events.push([id, '']);
  }
  chunk(bytes: Buffer): boolean {
    (this.events.at(-1) as [string, string])[1] += bytes.toString();
    return true;
  }
  finish(): void {
    expect(this.#open).toBeDefined();
  }
  end(last?: Buffer, id?: string): void {
    if (last) this.event(last, id);
    this.ended = true;
  }
  destroy(): void {
    this.ended = true;
  }
}

const sessionOf = (revision = '2025-11-25'): Session =>
  ({ revision, open: true, listening: false }) as unknown as Session;

const streamsWith = (replayBytes = 1e6, dropped: (reason: string) => void = () => undefined): Streams =>
  createStreams({ wheel: createWheel(), resumeMs: 60_000, replayBytes: () => replayBytes, dropped });

const quiet = { resume() {}, cancel() {} };
const notice = (text: string) => ({ method: 'x', bytes: Buffer.from(text) });

test('however often and wherever a client breaks off, it has heard every event once, in order', () => {
  const steps = fc.array(fc.constantFrom('event', 'break', 'back'), { maxLength: 100 });
  fc.assert(
    fc.property(steps, (all) => {
      const streams = streamsWith();
      const session = sessionOf();
      let target: Target | undefined = new Target();
      const first = target;
      const stream = streams.open(session, target, quiet, '1') as CallStream;
      let last = first.primed as string;
      const heard: string[] = [];
      let said = 0;
      const leave = (): void => {
        if (!target) return;
        heard.push(...target.events.map(([, text]) => text));
        last = target.events.at(-1)?.[0] ?? last;
        stream.left(target);
        target = undefined;
      };
      const back = (): void => {
        if (target) return;
        const next = new Target();
        expect(streams.resume(session, last, () => next)).toBeTypeOf('function');
        target = next;
      };
      for (const step of all) {
        if (step === 'event') stream.event(Buffer.from(String(said++)));
        else if (step === 'break') leave();
        else back();
      }
      leave();
      back();
      leave();
      expect(heard).toEqual(Array.from({ length: said }, (_, i) => String(i)));
    }),
  );
});

test('all that is kept stays within limits.replay_bytes, whatever comes', () => {
  const event = fc.record({ session: fc.nat(3), bytes: fc.integer({ min: 1, max: 400 }) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (all) => {
      const dropped: string[] = [];
      const streams = streamsWith(1000, (reason) => void dropped.push(reason));
      const sessions = Array.from({ length: 4 }, () => sessionOf());
      const targets = sessions.map((session) => {
        const target = new Target();
        streams.listen(session, target)();
        return target;
      });
      for (const { session, bytes } of all)
        streams.notify(sessions[session] as Session, notice('x'.repeat(bytes)));
      let kept = 0;
      sessions.forEach((session, i) => {
        for (let seq = 0; seq <= all.length; seq++) {
          const target = new Target();
          if (typeof streams.resume(session, `0-${seq}`, () => target) === 'string') continue;
          kept += target.events.reduce((sum, [, text]) => sum + text.length, 0);
          break;
        }
        expect(targets[i]?.events).toEqual([]);
      });
      expect(kept).toBeLessThanOrEqual(1000);
      if (all.reduce((sum, { bytes }) => sum + bytes, 0) <= 1000) expect(dropped).toEqual([]);
    }),
  );
});

test('a takeover ends the old stream, and leaving that one later does not count for the new', () => {
  const streams = streamsWith();
  const session = sessionOf();
  const [old, next] = [new Target(), new Target()];
  const leave = streams.listen(session, old);
  streams.notify(session, notice('one'));
  streams.listen(session, next);
  expect(old.ended).toBe(true);
  leave();
  expect(session.listening).toBe(true);
  streams.notify(session, notice('two'));
  expect(next.events).toEqual([['0-2', 'two']]);
  expect(streams.resume(session, '0-0', () => new Target())).toContain('too old');
});

test('a client too slow for what its stream is told is let go of', () => {
  const dropped: string[] = [];
  const streams = streamsWith(1e6, (reason) => void dropped.push(reason));
  const session = sessionOf();
  const target = new Target();
  streams.listen(session, target);
  target.backlog = 2_000_000;
  expect(streams.notify(session, notice('more'))).toBe(false);
  expect([target.ended, dropped]).toEqual([true, ['slow_client']]);
});

test('a revision without event ids has streams that nobody can come back to', () => {
  const streams = streamsWith();
  const session = sessionOf('2024-11-05');
  expect(streams.open(session, new Target(), quiet, '1')).toBeUndefined();
  const target = new Target();
  streams.listen(session, target)();
  streams.notify(session, notice('one'));
  expect(target.primed).toBeUndefined();
  expect(streams.resume(session, '0-0', () => new Target())).toBeTypeOf('string');
});

test('what waits for a stream is bounded, and told once, whether its client comes back or opens another one', () => {
  const dropped: string[] = [];
  const streams = streamsWith(1e7, (reason) => void dropped.push(reason));
  const session = sessionOf();
  const large = notice('x'.repeat(400_000));
  for (let i = 0; i < 64; i++) streams.notifyOnceOpen(session, large);
  expect(dropped).toHaveLength(62);
  const first = new Target();
  const leave = streams.listen(session, first);
  expect(first.events.map(([, { length }]) => length)).toEqual([400_000, 400_000]);
  leave();
  streams.notifyOnceOpen(session, notice('late'));
  const back = new Target();
  const left = streams.resume(session, first.events.at(-1)?.[0] as string, () => back);
  expect(back.events.map(([, text]) => text)).toEqual(['late']);
  (left as () => void)();
  streams.notifyOnceOpen(session, notice('later'));
  const other = new Target();
  streams.listen(session, other);
  expect(other.events.map(([, text]) => text)).toEqual(['later']);
});

test('a client that has lost the connection of its call is awaited until it is back, also once the call has ended', () => {
  const streams = streamsWith();
  const session = sessionOf();
  const first = new Target();
  const stream = streams.open(session, first, quiet, '1') as CallStream;
  expect(streams.awaits(session)).toBe(false);
  stream.left(first);
  expect(streams.awaits(session)).toBe(true);
  stream.event(notice('the answer').bytes);
  stream.end();
  expect([streams.awaits(session), streams.kept(session)]).toEqual([true, 'running']);
  const again = new Target();
  streams.resume(session, first.primed as string, () => again);
  expect(again.events.map(([, text]) => text)).toEqual(['the answer']);
  expect([streams.awaits(session), streams.kept(session)]).toEqual([false, 'ended']);
});

test('nobody is awaited for longer than three seconds', () => {
  const after: { ms: number; fn: () => void }[] = [];
  const timer = { move() {}, cancel() {}, pause() {}, resume() {} };
  const wheel = {
    after(ms: number, fn: () => void) {
      after.push({ ms, fn });
      return timer;
    },
    close() {},
  };
  const rest = { resumeMs: 60_000, replayBytes: () => 1e6, dropped: () => undefined };
  const streams = createStreams({ wheel, ...rest });
  const session = sessionOf();
  const target = new Target();
  (streams.open(session, target, quiet, '1') as CallStream).left(target);
  for (const { ms, fn } of after) if (ms <= 3000) fn();
  expect([streams.awaits(session), streams.kept(session)]).toEqual([false, 'running']);
});

test('a client that comes back for a call that another process had is told so, and is never given the stream of another call', () => {
  const gone = (rawId: string) => Buffer.from(`${rawId} is gone`);
  const rest = { resumeMs: 60_000, replayBytes: () => 1e6, dropped: () => undefined };
  const streams = createStreams({ wheel: createWheel(), gone, ...rest });
  const session = { ...sessionOf(), generation: 2 } as Session;
  const idOf = (rawId: string): string => Buffer.from(rawId).toString('base64url');
  const told: string[] = [];
  for (let number = 1; number <= 3; number++) {
    const target = new Target();
    streams.resume(session, `1-${number}-1-${idOf('"old"')}`, () => target);
    expect(target.events).toEqual([[expect.any(String), '"old" is gone']]);
    told.push(target.events[0]?.[0] as string);
  }
  const first = new Target();
  for (let number = 1; number <= 3; number++) {
    const stream = streams.open(session, first, quiet, `${number}`) as CallStream;
    for (const text of ['a', 'b', 'c']) stream.event(notice(text).bytes);
  }
  for (const id of told)
    expect(streams.resume(session, id, () => new Target())).toContain('not one of this session');
  expect(first.ended).toBe(false);
});
