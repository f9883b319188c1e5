import { describe, expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { Boundary } from '../../../src/observe/boundary.js';
import type { Logger } from '../../../src/observe/log.js';
import { GatewayStats } from '../../../src/observe/stats.js';
import type { Principal, View } from '../../../src/protocol/ports.js';
import { sessionCaller } from '../../../src/proxy/callers.js';
import { localSessions } from '../../../src/session/local.js';
import { createSessionStore, type NewSession, type Session } from '../../../src/session/store.js';

const ANYONE: Principal = LOCAL;
const BEARER: Principal = { ...LOCAL, id: 'bearer', kind: 'bearer', credential: 'fingerprint' };
const wanted = (principal: Principal): NewSession => ({
  principal,
  route: '/mcp',
  server: undefined,
  revision: '2025-11-25',
  capabilities: {},
  clientInfo: undefined,
});
const TTL = 1000;

function setup(limit = 100) {
  const stats = new GatewayStats();
  const clock = { now: 0 };
  const ended: Session[] = [];
  const opened: Session[] = [];
  const now = (): number => clock.now;
  const store = createSessionStore({
    now,
    limit: () => limit,
    idleTtlMs: TTL,
    ...localSessions({
      boundary: new Boundary({ error: () => undefined } as unknown as Logger, { add: () => undefined }),
      stats,
      now,
      callerOf: (record) => sessionCaller(record, {} as View),
      opened: (session) => void opened.push(session),
      ended: (session) => void ended.push(session),
      left: (session) => void ended.push(session),
    }),
  });
  const open = (principal = ANYONE): Session => {
    const session = store.open(wanted(principal));
    if (!session) throw new Error('full');
    return session;
  };
  return { stats, clock, store, open, opened, ended };
}
const exchange = () => {
  const causes: string[] = [];
  return { causes, resume: () => undefined, cancel: (why: string) => void causes.push(why) };
};

describe('a session', () => {
  it('is found by its own principal on its own route, and by nobody else', () => {
    const { store, open } = setup();
    const { id } = open(BEARER);
    expect(store.use(id, { ...BEARER, credential: 'rotated' }, '/mcp')).toBeDefined();
    expect(store.use(id, ANYONE, '/mcp')).toBeUndefined();
    expect(store.use(id, BEARER, '/servers/a/mcp')).toBeUndefined();
    expect(store.use(`${id}x`, BEARER, '/mcp')).toBeUndefined();
    expect(store.use('', BEARER, '/mcp')).toBeUndefined();
  });

  it('has an id of 128 random bits or more', () => {
    const { open } = setup();
    const ids = Array.from({ length: 100 }, () => open().id);
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(Buffer.from(id, 'base64url').length).toBeGreaterThanOrEqual(16);
  });

  it('ends once idle for the whole time, not before, and use by strangers keeps nothing alive', () => {
    const { store, open, clock, stats } = setup();
    const used = open();
    const idle = open();
    clock.now = TTL - 1;
    store.sweep();
    expect([...store.all()]).toHaveLength(2);
    store.use(used.id, ANYONE, '/mcp');
    store.use(idle.id, BEARER, '/mcp');
    clock.now = TTL;
    store.sweep();
    expect([...store.all()]).toEqual([used]);
    expect(stats.terminations.get('idle_timeout')).toBe(1);
    expect(stats.sessionDuration.sum).toBe(TTL / 1000);
  });

  it('does not end while it has a stream or a call in flight', () => {
    const { store, open, clock } = setup();
    const listening = open();
    listening.listening = true;
    const calling = open();
    calling.inFlight = new Map([['1', exchange()]]);
    clock.now = 10 * TTL;
    store.sweep();
    expect([...store.all()]).toHaveLength(2);
    calling.inFlight.clear();
    store.sweep();
    expect([...store.all()]).toEqual([listening]);
  });

  it.each([
    ['client_delete', 'session ended by the client'],
    ['idle_timeout', 'session timed out'],
    ['gateway_shutdown', 'gateway shutting down'],
    ['evicted', 'session evicted'],
    ['auth_changed', 'credential withdrawn'],
    ['server_removed', 'server removed'],
  ] as const)('that ends as %s is told of and cancels its calls, once', (reason, cause) => {
    const { store, open, stats, opened, ended } = setup();
    const session = open();
    expect(opened).toEqual([session]);
    const calls = [exchange(), exchange()];
    session.inFlight = new Map(calls.map((call, i) => [String(i), call]));
    store.end(session, reason);
    store.end(session, 'client_delete');
    expect(ended).toEqual([session]);
    expect(session.open).toBe(false);
    for (const { causes } of calls) expect(causes).toEqual([cause]);
    expect([...stats.terminations.values]).toEqual([[reason, 1]]);
    expect(stats.sessionsActive).toBe(0);
    expect(stats.sessionsTotal).toBe(1);
  });
});

describe('at the limit', () => {
  it('the one idle longest without a stream or a call makes room', () => {
    const { store, open, clock, stats } = setup(4);
    const [first, second, third, fourth] = [open(), open(), open(), open()];
    first.listening = true;
    second.inFlight = new Map([['1', exchange()]]);
    clock.now = 5;
    store.use(third.id, ANYONE, '/mcp');
    const fifth = open();
    expect(new Set(store.all())).toEqual(new Set([first, second, third, fifth]));
    expect(stats.terminations.get('evicted')).toBe(1);
    expect([...store.all()]).not.toContain(fourth);
  });

  it('nobody comes in while all are in use', () => {
    const { store, open } = setup(1);
    open().listening = true;
    expect(store.open(wanted(ANYONE))).toBeUndefined();
    expect([...store.all()]).toHaveLength(1);
  });
});

describe('when all sessions are taken', () => {
  const sessionsOf = (limit: number) => {
    let clock = 0;
    const ended: string[] = [];
    const store = createSessionStore({
      now: () => ++clock,
      limit: () => limit,
      idleTtlMs: 1e9,
      opened: (record) =>
        ({ ...record, lastSeen: ++clock, open: true, listening: false }) as unknown as Session,
      ended: (session) => ended.push(session.opener ?? ''),
      left: () => undefined,
    });
    const open = (opener: string): Session | undefined => store.open({ ...wanted(ANYONE), opener });
    return { open, ended };
  };

  it('the address with most of them makes room, though its sessions be in use', () => {
    const { open, ended } = sessionsOf(5);
    open('modest');
    for (let i = 0; i < 4; i++) Object.assign(open('greedy') as object, { listening: true });
    expect(open('next')).toBeDefined();
    expect(ended).toEqual(['greedy']);
    expect(open('third')).toBeDefined();
    expect(ended).toEqual(['greedy', 'greedy']);
  });

  it('an address that has most itself pushes out nobody else', () => {
    const { open, ended } = sessionsOf(4);
    open('modest');
    for (let i = 0; i < 3; i++) Object.assign(open('greedy') as object, { listening: true });
    expect(open('greedy')).toBeUndefined();
    expect(ended).toEqual([]);
  });

  it('with one each, the one that is idle longest goes', () => {
    const { open, ended } = sessionsOf(3);
    for (const each of ['a', 'b', 'c']) open(each);
    expect(open('d')).toBeDefined();
    expect(ended).toEqual(['a']);
  });
});
