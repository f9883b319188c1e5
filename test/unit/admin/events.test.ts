/** The stream of events to readers that are slow, or gone. */
import { expect, it, vi } from 'vitest';
import { EventHub } from '../../../src/admin/events.js';
import { Watch } from '../../../src/admin/calls.js';
import { LogRing } from '../../../src/admin/logs.js';
import { SeriesRecorder } from '../../../src/admin/series.js';
import type { ChangeEvent, Topic } from '../../../src/admin/schemas.js';
import type { AdminSource } from '../../../src/admin/source.js';
import { Calls, type EndedCall } from '../../../src/observe/calls.js';
import { LOCAL } from '../../../src/auth/authenticate.js';

function stage() {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const calls = new Calls();
  const logs = new LogRing();
  const watch = new Watch({ calls, limit: () => 500 });
  const series = new SeriesRecorder({ servers: () => [], measure: () => undefined, minutes: () => 60 });
  let isPermitted = true;
  const approvals = { news: { changes: 0, open: 0 } };
  const source = {
    ...{ watch, logs, series, approvals },
    servers: () => [],
    disabled: () => [],
    sessions: () => [],
    view: () => ({ parts: () => NO_PARTS }),
    config: () => ({ console: { enabled: true } }),
    permits: () => isPermitted,
    keepAliveMs: () => Infinity,
  } as unknown as AdminSource;
  const hub = new EventHub(source, (work) => work);
  const open = (topics: readonly Topic[], principal = LOCAL) => {
    const outlet = {
      backlog: 0,
      texts: [] as string[],
      ended: false,
      write: (text: string) => void outlet.texts.push(text),
      end: () => void (outlet.ended = true),
    };
    hub.open({ principal, topics: new Set(topics), path: '/' }, outlet);
    const changes = (): ChangeEvent[] =>
      outlet.texts.flatMap((text) =>
        text.startsWith('event: change') ? [JSON.parse(text.split('data: ')[1] ?? '') as ChangeEvent] : [],
      );
    return { outlet, changes };
  };
  return {
    calls,
    approvals,
    watch,
    hub,
    open,
    tick: (times = 1) => vi.advanceTimersByTime(100 * times),
    forbid: () => (isPermitted = false),
  };
}

const NO_PARTS: readonly never[] = [];
const ended = (id: string): EndedCall => ({
  ...{
    method: 'tools/list',
    id,
    principal: LOCAL,
    route: '/mcp',
    sessionId: 's',
    target: undefined,
    sent: false,
  },
  ...{ result: 'success', reason: undefined, outcome: '', ms: 1 },
});

it('leaves calls out for a slow reader, and says how many', () => {
  const { calls, open, tick } = stage();
  const [slow, fast] = [open(['calls']), open(['calls'])];
  slow.outlet.backlog = 300_000;
  for (let n = 0; n < 3; n++) calls.over(ended(String(n)));
  tick();
  expect(slow.changes()).toEqual([]);
  expect(fast.changes()).toMatchObject([{ calls: [{}, {}, {}] }]);
  slow.outlet.backlog = 0;
  calls.over(ended('more'));
  tick();
  expect(slow.changes()).toMatchObject([{ calls: [{}], dropped: 3 }]);
  expect(fast.changes()[1]).not.toHaveProperty('dropped');
});

it('sends the last 20 of many calls', () => {
  const { calls, open, tick } = stage();
  const { changes } = open(['calls']);
  for (let n = 0; n < 5000; n++) calls.over(ended(String(n)));
  tick();
  expect(changes()[0]?.calls).toHaveLength(20);
  expect(changes()[0]?.dropped).toBe(4980);
});

it('only counts calls that pass too fast to be read, but keeps those that fail', () => {
  const { calls, open, tick, watch } = stage();
  const { changes } = open(['calls']);
  for (let n = 0; n < 300; n++) calls.over(ended(String(n)));
  expect(calls.detailed).toBe(false);
  calls.over({ ...ended('bad'), result: 'error', outcome: 'refused' });
  expect(watch.all()).toHaveLength(101);
  tick();
  expect(changes()[0]?.calls?.at(-1)).toMatchObject({ outcome: 'error' });
  expect(changes()[0]?.dropped).toBe(281);
  expect(calls.detailed).toBe(true);
  calls.over(ended('next'));
  tick();
  expect(changes()[1]).toMatchObject({ calls: [{}] });
  expect(changes()[1]).not.toHaveProperty('dropped');
});

it('keeps every call while one is captured', () => {
  const { calls, open, watch } = stage();
  open(['calls']);
  watch.sent = () => undefined;
  for (let n = 0; n < 300; n++) calls.over(ended(String(n)));
  expect(calls.detailed).toBe(true);
  expect(watch.all()).toHaveLength(300);
});

it('disconnects who does not read, and who may not watch any more', () => {
  const { calls, open, tick, forbid, watch } = stage();
  const [gone, expired, other] = [
    open(['calls']),
    open(['calls'], { ...LOCAL, expires: 1 }),
    open(['calls']),
  ];
  gone.outlet.backlog = 2_000_000;
  calls.over(ended('1'));
  tick();
  expect([gone, expired, other].map(({ outlet }) => outlet.ended)).toEqual([true, false, false]);
  tick(10);
  expect([expired, other].map(({ outlet }) => outlet.ended)).toEqual([true, false]);
  forbid();
  tick(10);
  expect(other.outlet.ended).toBe(true);
  expect(watch.isOn).toBe(false);
});

it('collects details of calls only while somebody watches', () => {
  const { calls, hub, open } = stage();
  expect(calls.detailed).toBe(false);
  open(['servers']);
  expect(calls.detailed).toBe(false);
  open(['calls']);
  expect(calls.detailed).toBe(true);
  hub.close();
  expect(calls.detailed).toBe(false);
});

it('says that calls that wait for a yes changed, and how many there are', () => {
  const { approvals, open, tick } = stage();
  approvals.news = { changes: 4, open: 1 };
  const [watcher, other] = [open(['approvals']), open(['calls'])];
  expect(watcher.outlet.texts.at(-1)).toContain('{"topic":"approvals","open":1}');
  tick();
  expect(watcher.changes()).toEqual([]);
  // A vote.
  approvals.news = { changes: 5, open: 1 };
  tick(2);
  // Another replica's, seen at a look at the state.
  approvals.news = { changes: 5, open: 0 };
  tick(2);
  expect(watcher.changes()).toEqual([
    { topic: 'approvals', changed: true, open: 1 },
    { topic: 'approvals', changed: true, open: 0 },
  ]);
  expect(other.changes()).toEqual([]);
});
