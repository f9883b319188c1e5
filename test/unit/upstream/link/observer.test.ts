import { expect, test } from 'vitest';
import { ServerStats } from '../../../../src/observe/stats.js';
import type { Peer } from '../../../../src/protocol/ports.js';
import { LinkObserver } from '../../../../src/upstream/link/observer.js';

const PEER: Peer = {
  era: 'legacy',
  revision: '2025-06-18',
  capabilities: {},
  serverInfo: Buffer.from('{}'),
  instructions: undefined,
};

/** Everything that a link can report once. */
function useAll(observer: LinkObserver): void {
  observer.sent(10);
  observer.received(20);
  observer.dropped();
  observer.initialized('success', performance.now());
  observer.reconnected('error');
  observer.checked(true);
  observer.sessionReset('expired');
  observer.listsRead('success', performance.now());
  observer.waits(4000);
  observer.waited(3000);
  observer.down();
}

test('counters of every link of a server add up', () => {
  const stats = new ServerStats('s');
  for (const isShown of [true, false]) useAll(new LinkObserver(stats, isShown));
  expect(stats).toMatchObject({
    bytesSent: 20,
    bytesReceived: 40,
    unreadable: 2,
    reconnects: 2,
    backoffSeconds: 6,
  });
  expect(stats.initialize.get('success')).toBe(2);
  expect(stats.initializeDuration.count).toBe(2);
  expect(stats.reconnectAttempts.get('error')).toBe(2);
  expect(stats.healthChecks.get('success')).toBe(2);
  expect(stats.sessionResets.get('expired')).toBe(2);
  expect(stats.toolsRefresh.get('success')).toBe(2);
  expect(stats.toolsRefreshDuration.count).toBe(2);
});

test("the gauges show the server's shared link, whatever its other links do", () => {
  const stats = new ServerStats('s');
  const shared = new LinkObserver(stats, true);
  shared.up(PEER, 3);
  shared.listsRead('success', performance.now());
  const gauges = (): object => {
    const { connected, toolsCount, lastSeen, inBackoff, currentBackoffSeconds, toolsLastRefresh } = stats;
    const { era, revision } = stats;
    return {
      connected,
      toolsCount,
      lastSeen,
      inBackoff,
      currentBackoffSeconds,
      toolsLastRefresh,
      era,
      revision,
    };
  };
  const before = gauges();
  expect(before).toMatchObject({ connected: true, toolsCount: 3, era: 'legacy', revision: '2025-06-18' });

  const own = new LinkObserver(stats, false);
  own.up({ ...PEER, era: 'modern', revision: '2026-07-28' }, 9);
  own.lists(7);
  own.seen();
  own.waits(5000);
  useAll(own);
  expect(gauges()).toEqual(before);

  shared.waits(5000);
  own.waited(5000);
  expect(stats).toMatchObject({ inBackoff: true, currentBackoffSeconds: 5 });
  shared.waited(0);
  shared.down();
  shared.lists(0);
  expect(stats).toMatchObject({
    inBackoff: false,
    currentBackoffSeconds: 0,
    connected: false,
    toolsCount: 0,
  });
});
