import { describe, expect, it } from 'vitest';
import { createBudget } from '../../../src/lib/budget.js';
import type { ServerLink, LogLevel } from '../../../src/protocol/ports.js';
import { createInterests } from '../../../src/proxy/interests.js';
import { createKept } from '../../../src/session/kept.js';
import type { Session } from '../../../src/session/store.js';

describe('log levels', () => {
  const told: (LogLevel | undefined)[] = [];
  const links = Array.from({ length: 200 }, (_, i) => ({
    key: `s${i}`,
    server: `s${i}`,
    shared: true,
    setLevel: (level: LogLevel | undefined) => told.push(level),
  })) as unknown as ServerLink[];
  const each = (level: LogLevel | undefined): (LogLevel | undefined)[] => links.map(() => level);
  const sessionOf = (id: number): Session =>
    ({ id: String(id), caller: {}, inFlight: undefined }) as unknown as Session;

  it('of 3,000 sessions cost 200 servers one word for each change of the lowest', () => {
    const interests = createInterests({
      links: () => links,
      own: () => [],
      kept: createKept(createBudget(1e9), () => undefined),
      tell: () => undefined,
    });
    const sessions = Array.from({ length: 3000 }, (_, i) => sessionOf(i));
    for (const session of sessions) interests.setLevel(session, 'warning');
    expect(told.splice(0)).toEqual(each('warning'));
    for (const session of sessions) interests.setLevel(session, 'error');
    expect(told.splice(0)).toEqual(each('error'));
    interests.setLevel(sessions[7] as Session, 'debug');
    interests.setLevel(sessions[7] as Session, 'info');
    expect(told.splice(0)).toEqual([...each('debug'), ...each('info')]);
    for (const session of sessions) interests.drop(session);
    expect(told.splice(0)).toEqual([...each('error'), ...each(undefined)]);
  });
});

describe('an update that comes while subscriptions are on their way', () => {
  const link = {
    key: 's',
    server: 's',
    shared: true,
    setLevel: () => undefined,
    unsubscribe: () => undefined,
  } as unknown as ServerLink;
  const notice = { method: 'notifications/resources/updated', bytes: Buffer.from('{}') };
  const hearers = ['one', 'other'].map((id) => ({ id, inFlight: undefined }) as unknown as Session);
  const [one, other] = hearers as [Session, Session];

  it('is told once to each hearer, when the first of its subscriptions is granted', () => {
    const told: string[] = [];
    const interests = createInterests({
      links: () => [link],
      own: () => [],
      kept: createKept(createBudget(1e9), () => undefined),
      tell: (subscribers, _server, uri) => {
        for (const hearer of subscribers.keys()) told.push(`${(hearer as Session).id} ${uri}`);
      },
    });
    // The same one twice, one that covers it, and one of a client that leaves.
    const settled = ['a://1', 'a://1', 'a:/', 'a://1'].map((uri) => interests.hold(link, uri));
    interests.add(other, link, 'a://1');
    interests.updated(link, 'a://1', notice);
    expect(told.splice(0)).toEqual(['other a://1']);
    interests.add(one, link, 'a://1');
    interests.add(one, link, 'a:/');
    for (const settle of settled.slice(0, 3)) settle(one);
    settled[3]?.();
    expect(told.splice(0)).toEqual(['one a://1']);
    // Nothing is kept of it.
    interests.hold(link, 'a://1')(one);
    expect(told).toEqual([]);
  });
});
