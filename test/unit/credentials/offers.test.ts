/** Links to logins that are offered: how long they hold, how many there are, and when they have led to a login. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Offers } from '../../../src/credentials/offers.js';
import type { LoginAttempt } from '../../../src/protocol/logins.js';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

const WANTED = { server: 'x', owner: '', principal: 'key:ada', name: 'ada', scopes: ['read', 'write'] };
const never = new AbortController().signal;

function setup() {
  const heard = new Set<() => void>();
  const login = { state: undefined as 'missing' | 'there' | undefined };
  const offers = new Offers({
    now: Date.now,
    stateOf: () => login.state,
    watch: (_server, _owner, each) => {
      heard.add(each);
      return () => heard.delete(each);
    },
  });
  const change = (state: typeof login.state): void => {
    login.state = state;
    for (const each of [...heard]) each();
  };
  return { offers, heard, change };
}

const attempt = (id: string): LoginAttempt => ({ id }) as LoginAttempt;

describe('an offer', () => {
  it('is the same one for the same login and principal, until it is about to end', () => {
    const { offers } = setup();
    const first = offers.offer(WANTED);
    expect(first.id).toMatch(/^[\w-]{22}$/);
    expect(offers.offer({ ...WANTED, scopes: ['write', 'read'] })).toBe(first);
    const others = [
      offers.offer({ ...WANTED, server: 'y' }),
      offers.offer({ ...WANTED, owner: 'key:ada' }),
      offers.offer({ ...WANTED, principal: 'key:bob' }),
      offers.offer({ ...WANTED, scopes: ['read'] }),
    ];
    expect(new Set([first, ...others].map(({ id }) => id)).size).toBe(5);
    vi.advanceTimersByTime(545_000);
    expect(offers.offer(WANTED).id).not.toBe(first.id);
    expect(offers.find(first.id)).toBe(first);
    vi.advanceTimersByTime(55_000);
    expect([offers.find(first.id), offers.isDone(first.id)]).toEqual([undefined, undefined]);
  });

  it('is one of at most 1,000, and of 50 of a principal: the oldest ends', async () => {
    const { offers, heard } = setup();
    const first = offers.offer(WANTED);
    const done = offers.done(first.id, never);
    const own = Array.from({ length: 50 }, (_, n) => offers.offer({ ...WANTED, server: `s${n}` }));
    expect([offers.find(first.id), await done, heard.size]).toEqual([undefined, false, 0]);
    for (let n = 0; n < 951; n++) offers.offer({ ...WANTED, principal: `key:${n}` });
    expect(own.map(({ id }) => offers.find(id) !== undefined)).toEqual([
      false,
      ...Array<boolean>(49).fill(true),
    ]);
  });

  it('is one of ten of a principal for a server, which may name other scopes each time', () => {
    const { offers } = setup();
    const other = offers.offer({ ...WANTED, server: 'y' });
    const all = Array.from({ length: 200 }, (_, n) => offers.offer({ ...WANTED, scopes: [`s${n}`] }).id);
    expect(all.filter((id) => offers.find(id))).toEqual(all.slice(-10));
    expect(offers.find(other.id)).toBe(other);
  });

  it('is done by every login to its server for its owner, and is then not given again', async () => {
    const { offers, heard } = setup();
    const offer = offers.offer(WANTED);
    const done = offers.done(offer.id, never);
    offers.loggedIn('y', '');
    offers.loggedIn('x', 'key:ada');
    expect(offers.isDone(offer.id)).toBe(false);
    offers.loggedIn('x', '');
    expect([await done, await offers.done(offer.id, never), heard.size]).toEqual([true, true, 0]);
    expect(offers.offer(WANTED).id).not.toBe(offer.id);
  });

  it('is done by a login of another process, where one was missing', async () => {
    const { offers, change } = setup();
    change('missing');
    const offer = offers.offer(WANTED);
    const done = offers.done(offer.id, never);
    change('missing');
    change('there');
    expect(await done).toBe(true);
    // For more scopes, a token that is renewed is not a login.
    const more = offers.offer({ ...WANTED, scopes: ['admin'] });
    change('there');
    expect(offers.isDone(more.id)).toBe(false);
  });

  it('is not done once it is over, when the signal aborts, or when all end', async () => {
    const { offers, heard } = setup();
    const { id } = offers.offer(WANTED);
    const stop = new AbortController();
    const aborted = offers.done(id, stop.signal);
    stop.abort();
    expect(await aborted).toBe(false);
    const late = offers.done(id, never);
    await vi.advanceTimersByTimeAsync(600_000);
    expect([await late, vi.getTimerCount(), heard.size]).toEqual([false, 0, 0]);
    const other = offers.done(offers.offer(WANTED).id, never);
    offers.close();
    expect([await other, vi.getTimerCount()]).toEqual([false, 0]);
    expect(await offers.done('none', never)).toBe(false);
  });

  it('begins one login at a time, and another one once that cannot be used', async () => {
    const { offers } = setup();
    const { id } = offers.offer(WANTED);
    let begun = 0;
    const begin = (): Promise<LoginAttempt> => Promise.resolve(attempt(String(++begun)));
    const go = (isOpen: boolean) => offers.attempt(id, () => Promise.resolve(isOpen), begin);
    expect(await Promise.all([go(true), go(true)])).toEqual([attempt('1'), attempt('1')]);
    expect([await go(true), await go(false)]).toEqual([attempt('1'), attempt('2')]);
    const failed = offers.attempt(
      id,
      () => Promise.resolve(false),
      () => Promise.reject(new Error('no')),
    );
    await expect(failed).rejects.toThrow('no');
    expect(await go(true)).toEqual(attempt('2'));
    expect(await offers.attempt('none', () => Promise.resolve(true), begin)).toBeUndefined();
  });
});
