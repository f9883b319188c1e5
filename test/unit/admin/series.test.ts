import { expect, it } from 'vitest';
import { quantile, SeriesRecorder } from '../../../src/admin/series.js';
import { unifiedDiff } from '../../../src/admin/text-diff.js';
import { ServerStats } from '../../../src/observe/stats.js';

it('reads what happened in each interval from the counters', () => {
  const stats = new ServerStats('s');
  const servers = [stats];
  const series = new SeriesRecorder({
    servers: () => servers,
    measure: () => (stats.inFlight = 2),
    minutes: () => 1,
  });
  const call = (seconds: number, failed = false): void => {
    const tool = stats.tool('echo');
    tool.calls++;
    tool.duration.observe(seconds);
    if (failed) tool.errors.add('busy');
    stats.bytesSent += 10;
  };
  call(0.004);
  expect(series.recent(stats)).toMatchObject({ perMinute: 1, failedShare: 0 });
  series.tick();
  call(0.004);
  call(0.2, true);
  series.tick();
  expect(series.view().servers['s']).toMatchObject({
    calls: [1, 2],
    failed: [0, 1],
    in_flight: [2, 2],
    bytes: [10, 20],
  });
  expect(series.recent(stats)).toMatchObject({ perMinute: 3, failedShare: 1 / 3 });
  // What somebody cancelled has not failed.
  stats.tool('echo').errors.add('cancelled');
  expect(series.recent(stats)).toMatchObject({ perMinute: 3, failedShare: 1 / 3 });
  for (let n = 0; n < 10; n++) series.tick();
  expect(series.view().servers['s']?.calls).toEqual([0, 0, 0, 0, 0, 0]);
  expect(series.view(1).servers['s']?.p95_ms).toEqual([null]);
  // A server of the same name counts anew.
  servers[0] = new ServerStats('s');
  series.tick();
  expect(series.view().servers['s']?.calls).toEqual([0]);
  servers.pop();
  series.tick();
  expect(series.view().servers).toEqual({});
});

it('estimates percentiles within a slot', () => {
  const slots = (slot: number, count: number): number[] =>
    Object.assign(new Array<number>(13).fill(0), { [slot]: count });
  expect(quantile(slots(0, 0), 0.5)).toBeNull();
  expect(quantile(slots(1, 10), 0.5)).toBe(7.5);
  expect(quantile(slots(12, 1), 0.95)).toBe(30_000);
});

it('shows the lines that differ, with those around them', () => {
  const before = Array.from({ length: 20 }, (_, n) => `line ${n}`);
  const after = [...before];
  after[2] = 'changed';
  after.splice(15, 1);
  expect(unifiedDiff(before.join('\n'), before.join('\n'), 'f')).toBe('');
  expect(unifiedDiff(before.join('\n'), after.join('\n'), 'f')).toBe(
    [
      '--- f\n+++ f\n@@ -1,6 +1,6 @@\n line 0\n line 1\n-line 2\n+changed\n line 3\n line 4\n line 5',
      '@@ -13,7 +13,6 @@\n line 12\n line 13\n line 14\n-line 15\n line 16\n line 17\n line 18\n',
    ].join('\n'),
  );
});
