import { NO_LISTS } from '../protocol/lists.js';
import type { ServerLink } from '../protocol/ports.js';

/** Takes the place of a client's own link where a limit allows no further one: calls are refused with the reason. `why`: without the word busy. */
export function fullLink({ server, stats, peer }: ServerLink, why: string): ServerLink {
  return {
    server,
    key: server,
    shared: false,
    era: 'legacy',
    state: 'down',
    firstConnect: false,
    schemes: [],
    listsFor: undefined,
    freshness: { until: 0, scope: 'private' },
    timeouts: { request_ms: 0, total_ms: 0 },
    stats,
    lastError: `busy: ${why}`,
    inputMs: 0,
    retryAfter: undefined,
    peer,
    lists: NO_LISTS,
    settled: Promise.resolve(),
    send() {
      throw new Error('not up');
    },
    refresh: () => Promise.reject(new Error('not up')),
    doubt() {},
    subscribe: () => Promise.reject(new Error('not up')),
    keepSubscribed() {},
    isSubscribed: () => false,
    unsubscribe() {},
    watchTask: () => Promise.reject(new Error('not up')),
    unwatchTask() {},
    tell() {},
    request: () => Promise.reject(new Error('not up')),
    setLevel() {},
  };
}
