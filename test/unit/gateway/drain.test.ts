import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createTaskCancels } from '../../../src/bridge/tasks/cancel.js';
import { drain, type DrainDeps } from '../../../src/gateway/drain.js';
import type { Links } from '../../../src/gateway/links.js';
import type { Link } from '../../../src/protocol/ports.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const forever = (): Promise<never> => new Promise(() => undefined);

/** `takes`: how long each step takes; undefined: it never ends. */
function begin(takes: { transports?: number; links?: number | undefined; cancels?: 'never' } = {}) {
  const done: string[] = [];
  const after = async (ms: number | undefined): Promise<void> => {
    if (ms === undefined) await forever();
    else if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  };
  const links = {
    close: (ms: number) => {
      done.push(`close links within ${ms}`);
      return after('links' in takes ? takes.links : 0);
    },
    destroy: () => done.push('destroy links'),
    gone: (ms: number) => {
      done.push(`children gone within ${ms}`);
      return Promise.resolve();
    },
  };
  const cancels = createTaskCancels();
  if (takes.cancels) cancels.send({ request: forever } as unknown as Link, '{}');
  const deps: DrainDeps = {
    links: links as unknown as Links,
    cancels,
    fleet: undefined,
    sessions: () => [],
    awaits: () => false,
    endServerStream: () => undefined,
    quietPeers: () => Promise.resolve(),
    quiet: () => done.push('quiet'),
    unpark: () => undefined,
    closePeers: () => Promise.resolve(),
    closeTransports: (ms) => {
      done.push(`close transports within ${ms}`);
      return after(takes.transports ?? 0);
    },
    endSessions: () => done.push('end sessions'),
  };
  return { deps, done };
}

/** Runs the timers until it is over; returns how long that took. */
async function run({ deps }: ReturnType<typeof begin>, graceMs: number): Promise<number> {
  const since = performance.now();
  let isOver = false;
  const all = drain(deps, graceMs).then(() => (isOver = true));
  for (let turn = 0; turn < 100 && !isOver; turn++) {
    await new Promise(setImmediate);
    if (!isOver) vi.runOnlyPendingTimers();
  }
  await all;
  expect(vi.getTimerCount()).toBe(0);
  return performance.now() - since;
}

it('a drain ends streams, then requests, sessions, links, and children last', async () => {
  const on = begin();
  expect(await run(on, 4000)).toBe(0);
  expect(on.done).toEqual([
    'quiet',
    'close transports within 3000',
    'end sessions',
    'close links within 4000',
    'destroy links',
    'children gone within 1000',
  ]);
});

it('a drain gives links what requests left of the grace period', async () => {
  const on = begin({ transports: 3000 });
  await run(on, 4000);
  expect(on.done).toContain('close links within 1000');
});

it('a drain is not held by a link that does not close', async () => {
  const on = begin({ transports: 3000, links: undefined });
  expect(await run(on, 4000)).toBe(4000);
  expect(on.done.slice(-2)).toEqual(['destroy links', 'children gone within 1000']);
});

it('a drain is not held by a task that is not cancelled', async () => {
  const on = begin({ cancels: 'never' });
  expect(await run(on, 4000)).toBe(500);
  expect(on.done).toContain('close links within 3500');
});

it('a drain without a grace period still lets links close', async () => {
  const on = begin({ links: undefined });
  expect(await run(on, 0)).toBe(100);
  expect(on.done).toContain('close links within 100');
});

/** A fleet, in which a request through another replica takes this long; undefined: it never ends. */
function inFleet(peersMs: number | undefined, awaited: () => boolean) {
  const on = begin();
  const fleet = {
    releasePlaced: () => undefined,
    isIdle: () => true,
    leave: () => void on.done.push(`leave at ${performance.now() - since}`),
    unnoticed: () => Promise.resolve(),
    placedReleased: () => Promise.resolve(),
  };
  const since = performance.now();
  const until = since + (peersMs ?? Infinity);
  const deps: DrainDeps = {
    ...on.deps,
    fleet: fleet as unknown as NonNullable<DrainDeps['fleet']>,
    sessions: () => [{}] as never,
    awaits: awaited,
    quietPeers: (ms) =>
      new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(ms, until - performance.now())))),
  };
  return { ...on, deps };
}

it('a drain waits for calls through other replicas that began while its own port was closing', async () => {
  const on = inFleet(2000, () => false);
  await run(on, 4000);
  expect(on.done).toContain('leave at 2000');
});

it('a drain is not held by clients that lose the connections of their calls again and again', async () => {
  const on = inFleet(undefined, () => true);
  expect(await run(on, 4000)).toBeLessThanOrEqual(4000);
  expect(on.done).toContain('leave at 3000');
});
