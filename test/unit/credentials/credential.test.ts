/** What a credential does when its server or the token endpoint refuses, is slow, or says nothing. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { OAuthCredential, type CredentialDeps } from '../../../src/credentials/credential.js';
import type { Found } from '../../../src/credentials/discovery.js';
import { grantKey, readGrant, writeGrant, type Grant } from '../../../src/credentials/grants.js';
import type { Tokens } from '../../../src/credentials/oauth.js';
import { CredentialProblem } from '../../../src/credentials/problem.js';
import { memoryState } from '../../../src/state/memory.js';
import { atEnd } from '../../helpers/cleanup.js';
import { failure, grantOf, SERVER } from '../../helpers/credentials.js';
import { keptLog } from '../../helpers/state.js';

const KEY = grantKey('x', 'https://mcp.example/mcp', '');
const { signal } = new AbortController();
const FOUND: Found = {
  server: SERVER,
  resource: 'https://mcp.example/mcp',
  scopes: undefined,
  issuers: [SERVER.issuer],
};
const HOUR = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

type Answer = Partial<Tokens> | Error | Promise<Partial<Tokens>>;

/** A token endpoint that answers as `answers` says, in turn, then with tokens of an hour. */
function setup(
  stored: Partial<Grant> | undefined,
  more: Partial<CredentialDeps> = {},
  state = memoryState(Date.now),
) {
  const answers: Answer[] = [];
  const sent: string[] = [];
  const counts: string[] = [];
  const forgotten: string[] = [];
  const found: { value: Found | Error } = { value: FOUND };
  const finds: number[] = [];
  const log = keptLog();
  const deps: CredentialDeps = {
    server: 'x',
    auth: { issuer: undefined, scopes: undefined },
    key: KEY,
    records: () => Promise.resolve(state),
    shared: false,
    log,
    now: Date.now,
    find: async (_challenge, since) => {
      finds.push(since);
      await Promise.resolve();
      if (found.value instanceof Error) throw found.value;
      return found.value;
    },
    checkRegistration: () => undefined,
    client: (grant) => Promise.resolve(grant.client),
    renew: async (grant, _client, aborts) => {
      sent.push(grant.refresh ?? '');
      const n = sent.length;
      const answer = await (answers.shift() ?? {});
      if (answer instanceof Error) throw answer;
      aborts.throwIfAborted();
      return {
        access: `new-${n}`,
        refresh: `refresh-new-${n}`,
        expiresIn: 3600,
        scopes: undefined,
        ...answer,
      };
    },
    forgetClient: ({ id }) => {
      forgotten.push(id);
      return Promise.resolve();
    },
    count: (result) => counts.push(result),
    ...more,
  };
  const credential = new OAuthCredential(deps);
  atEnd(() => {
    credential.close();
  });
  let heard = 0;
  return {
    credential,
    state,
    answers,
    sent,
    counts,
    forgotten,
    found,
    finds,
    log,
    deps,
    get heard() {
      return heard;
    },
    listen: () =>
      credential.onChange(() => {
        heard++;
      }),
    begin: async () => {
      if (stored) await writeGrant(state, KEY, grantOf({ obtainedAt: Date.now(), ...stored }));
      await credential.reload();
    },
    refused: (stamp = credential.stamp, times = 0, challenge = 'Bearer', status: 401 | 403 = 401) =>
      credential.refused({ status, challenge, stamp, times }),
    stored: async () => (await readGrant(state, KEY))?.grant,
  };
}

const denied = () => new CredentialProblem('login', 'as refuses: invalid_grant', { code: 'invalid_grant' });
const down = (retryAfterMs?: number) =>
  new CredentialProblem('temporary', 'as answered HTTP 503', { retryAfterMs });
const passing = (ms: number) => vi.advanceTimersByTimeAsync(ms);

it('shows nothing, and needs nothing, where nobody has logged in', async () => {
  const one = setup(undefined);
  await one.credential.ready(signal);
  expect([one.credential.headers, one.credential.stamp, one.credential.state]).toEqual([[], 0, undefined]);
});

it('renews when a fifth of the life is left, at most five minutes before the end, and stores before it shows', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  const stop = one.listen();
  await passing(HOUR - 331_000);
  expect(one.sent).toEqual([]);
  await passing(61_000);
  expect(one.sent).toEqual(['refresh-1']);
  expect(one.credential.headers).toEqual(['authorization', 'Bearer new-1']);
  expect(one.credential.secrets).toEqual(expect.arrayContaining(['new-1', 'refresh-new-1']));
  expect((await one.stored())?.access).toBe('new-1');
  // Nobody waits for it: it is no login.
  expect(one.heard).toBe(0);
  stop();
});

it('renews nothing while no link is up', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  one.listen()();
  await passing(10 * HOUR);
  expect(one.sent).toEqual([]);
  await one.credential.ready(signal);
  expect(one.sent).toEqual(['refresh-1']);
});

it('a timer beyond what timers can hold renews at its time', async () => {
  const life = 60 * 24 * HOUR;
  const one = setup({ expiresAt: Date.now() + life });
  await one.begin();
  const stop = one.listen();
  await passing(life - 400_000);
  expect(one.sent).toEqual([]);
  await passing(200_000);
  expect(one.sent).toHaveLength(1);
  stop();
});

it('keeps the refresh token where no new one is given, and knows no end where none is said', async () => {
  const one = setup({ expiresAt: Date.now() + 1 });
  await one.begin();
  one.answers.push({ refresh: undefined, expiresIn: undefined });
  await passing(10);
  await one.credential.ready(signal);
  const stop = one.listen();
  const stored = await one.stored();
  expect([stored?.refresh, stored?.expiresAt]).toEqual(['refresh-1', undefined]);
  await passing(10 * HOUR);
  expect(one.sent).toHaveLength(1);
  stop();
});

it('an answer to an older token is asked for again at once', async () => {
  const one = setup({});
  await one.begin();
  await one.refused(0);
  await one.refused(0, 0, 'Bearer error="insufficient_scope", scope="b"', 403);
  expect(one.sent).toEqual([]);
});

it('fifty refusals lead to one renewal, and late ones to none', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  const { stamp } = one.credential;
  await Promise.all(Array.from({ length: 50 }, () => one.refused(stamp)));
  await one.refused(stamp);
  expect([one.sent, one.credential.stamp]).toEqual([['refresh-1'], stamp + 1]);
});

it('a fresh token that is refused is left alone for a minute', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  await one.refused();
  const results = await Promise.all(Array.from({ length: 20 }, () => failure(one.refused(undefined, 1))));
  for (const error of results)
    expect(error).toMatchObject({ code: 'upstream_auth_failed', data: { retryAfter: 60, status: 401 } });
  // A request that is new meets the same.
  expect(await failure(one.refused())).toMatchObject({ code: 'upstream_auth_failed' });
  expect(one.sent).toHaveLength(1);
  await passing(60_000);
  await one.refused();
  expect(one.sent).toHaveLength(2);
});

it('a refusal that waits while another one renews does not renew what is new', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  const { stamp } = one.credential;
  let go: () => void = () => undefined;
  Object.assign(one.deps, {
    find: async () => {
      await new Promise<void>((resolve) => (go = resolve));
      return FOUND;
    },
  });
  const waiting = one.refused(stamp, 1);
  await one.refused(stamp, 0);
  go();
  await waiting;
  expect(one.sent).toHaveLength(1);
});

it.each([
  ['revoked', FOUND],
  [
    'issuer_changed',
    { ...FOUND, server: { ...SERVER, issuer: 'https://b.example' }, issuers: ['https://b.example'] },
  ],
  // The first of two is down: that is no change.
  [
    'revoked',
    {
      ...FOUND,
      server: { ...SERVER, issuer: 'https://b.example' },
      issuers: [SERVER.issuer, 'https://b.example'],
    },
  ],
  ['revoked', new CredentialProblem('temporary', 'down')],
])('a refused token that cannot be renewed: %s', async (reason, found) => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  const stop = one.listen();
  one.answers.push(denied());
  one.found.value = found;
  expect(await failure(one.refused())).toMatchObject({ code: 'login_required', data: { reason } });
  expect([one.credential.missing, one.credential.headers, await one.stored(), one.heard]).toEqual([
    reason,
    [],
    undefined,
    1,
  ]);
  // No further request.
  expect(await failure(one.credential.ready(signal))).toMatchObject({ code: 'login_required' });
  await passing(10 * HOUR);
  expect(one.sent).toHaveLength(1);
  stop();
});

it('a fresh token that is refused because the server has moved needs a login there', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  await one.refused();
  one.found.value = {
    ...FOUND,
    server: { ...SERVER, issuer: 'https://b.example' },
    issuers: ['https://b.example'],
  };
  expect(await failure(one.refused(undefined, 1))).toMatchObject({
    code: 'login_required',
    data: { reason: 'issuer_changed' },
  });
  // What was found before the token was given does not count.
  expect(one.finds.at(-1)).toBe(Date.now());
  expect(await one.stored()).toBeUndefined();
});

it('without a refresh token the server says where to log in, and what is wrong there', async () => {
  const one = setup({ refresh: undefined });
  await one.begin();
  one.found.value = new CredentialProblem('config', 'names no authorization server');
  expect(await failure(one.refused())).toMatchObject({
    code: 'upstream_auth_failed',
    message: "upstream 'x' names no authorization server",
  });
  expect(one.credential.headers).not.toEqual([]);
  one.found.value = FOUND;
  expect(await failure(one.refused())).toMatchObject({ code: 'login_required', data: { reason: 'revoked' } });
});

it('the first refusal leads to a login, or to what prevents it; nobody is told again and again', async () => {
  const one = setup(undefined, {
    checkRegistration: ({ scopes }) => {
      if (scopes) throw new CredentialProblem('config', 'as takes no registration');
    },
  });
  await one.begin();
  const stop = one.listen();
  one.found.value = { ...FOUND, scopes: [] };
  expect(await failure(one.refused())).toMatchObject({
    code: 'upstream_auth_failed',
    message: "upstream 'x' as takes no registration",
  });
  one.found.value = FOUND;
  for (let i = 0; i < 3; i++)
    expect(await failure(one.refused())).toMatchObject({ code: 'login_required', data: { reason: 'never' } });
  expect([one.heard, one.credential.stamp]).toEqual([0, 0]);
  await writeGrant(one.state, KEY, grantOf());
  await one.credential.reload();
  expect([one.heard, one.credential.missing]).toEqual([1, undefined]);
  stop();
});

it.each([0, 1])(
  'a token whose renewal is refused early is used to its end, then asked for once more (after %i failures)',
  async (before) => {
    const one = setup({ expiresAt: Date.now() + HOUR });
    await one.begin();
    const stop = one.listen();
    one.answers.push(...Array.from({ length: before }, () => down()), denied(), denied());
    await passing(HOUR - 1100);
    expect([one.sent.length, one.credential.missing, one.credential.headers]).toEqual([
      before + 1,
      undefined,
      ['authorization', 'Bearer access-1'],
    ]);
    await one.credential.ready(signal);
    await passing(2000);
    expect([one.sent.length, one.credential.missing]).toEqual([before + 2, 'revoked']);
    await passing(10 * HOUR);
    expect(one.sent).toHaveLength(before + 2);
    expect(one.counts.filter((each) => each === 'denied')).toHaveLength(2);
    stop();
  },
);

it('an early refusal, then a good answer at the end', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  const stop = one.listen();
  one.answers.push(denied());
  await passing(HOUR + 1);
  expect(one.credential.headers).toEqual(['authorization', 'Bearer new-2']);
  stop();
});

it('a client that is unknown is forgotten, and its login is over', async () => {
  const one = setup({ expiresAt: Date.now() - 1 });
  await one.begin();
  one.answers.push(new CredentialProblem('config', 'as refuses: invalid_client', { code: 'invalid_client' }));
  expect(await failure(one.credential.ready(signal))).toMatchObject({ code: 'login_required' });
  expect(one.forgotten).toEqual(['c']);
});

it('the client of the configuration is tried again after ten minutes', async () => {
  const client = {
    issuer: SERVER.issuer,
    id: 'own',
    kind: 'given',
    authentication: { method: 'none' },
  } as const;
  const one = setup({ expiresAt: Date.now() - 1, client });
  await one.begin();
  const wrong = () =>
    new CredentialProblem('config', 'as refuses: invalid_client', { code: 'invalid_client' });
  one.answers.push(wrong());
  expect(await failure(one.credential.ready(signal))).toMatchObject({
    code: 'upstream_auth_failed',
    data: { retryAfter: 600 },
  });
  await passing(599_000);
  expect(await failure(one.credential.ready(signal))).toMatchObject({ data: { retryAfter: 1 } });
  expect(one.sent).toHaveLength(1);
  await passing(2000);
  await one.credential.ready(signal);
  expect(one.sent).toHaveLength(2);
});

it('waits longer and longer for a token endpoint that fails, never asks for a login, and recovers', async () => {
  const one = setup({ expiresAt: Date.now() + 1000 });
  await one.begin();
  const stop = one.listen();
  for (let i = 0; i < 20; i++) one.answers.push(i % 2 ? down() : new Error('no answer within 20000 ms'));
  await passing(1000);
  expect(one.sent).toHaveLength(1);
  expect(one.credential.state).toBe('failing');
  expect(await failure(one.credential.ready(signal))).toMatchObject({
    code: 'upstream_auth_failed',
    message: expect.stringContaining('its authorization server does not answer') as string,
  });
  // The call before did not ask again.
  expect(one.sent).toHaveLength(1);
  await passing(5501);
  expect(one.sent).toHaveLength(2);
  await passing(11_001);
  expect(one.sent).toHaveLength(3);
  await passing(2 * HOUR);
  expect(one.sent).toHaveLength(21);
  expect([one.credential.state, one.credential.missing, one.heard]).toEqual(['valid', undefined, 1]);
  stop();
});

it('a call has a token asked for again 30 s after the last attempt at the latest, however many have failed', async () => {
  const one = setup({ expiresAt: Date.now() + 1000 });
  await one.begin();
  const stop = one.listen();
  for (let i = 0; i < 8; i++) one.answers.push(down());
  await passing(1000);
  // Nobody needs it: 5, 10, 20, 40, 80 and 160 s.
  while (one.sent.length < 7) await passing(1000);
  const { data } = (await failure(one.credential.ready(signal))) as { data: { retryAfter: number } };
  expect(data.retryAfter).toBeGreaterThan(29);
  expect(data.retryAfter).toBeLessThan(34);
  await passing(28_000);
  expect(await failure(one.credential.ready(signal))).toMatchObject({ code: 'upstream_auth_failed' });
  expect(one.sent).toHaveLength(7);
  await passing(5001);
  await Promise.all([1, 2, 3].map(() => failure(one.credential.ready(signal))));
  expect(one.sent).toHaveLength(8);
  await passing(33_001);
  await one.credential.ready(signal);
  expect(one.sent).toHaveLength(9);
  expect(one.credential.headers).toEqual(['authorization', 'Bearer new-9']);
  stop();
});

it('a call does not shorten what the authorization server asks to wait', async () => {
  const one = setup({ expiresAt: Date.now() - 1 });
  await one.begin();
  one.answers.push(down(120_000));
  expect(await failure(one.credential.ready(signal))).toMatchObject({ data: { retryAfter: 120 } });
  await passing(119_000);
  expect(await failure(one.credential.ready(signal))).toMatchObject({ data: { retryAfter: 1 } });
  expect(one.sent).toHaveLength(1);
  await passing(1001);
  await one.credential.ready(signal);
  expect(one.sent).toHaveLength(2);
});

it('what the authorization server asks a call to wait holds for the timer of an earlier attempt', async () => {
  const one = setup({ expiresAt: Date.now() + 1000 });
  await one.begin();
  const stop = one.listen();
  for (let i = 0; i < 5; i++) one.answers.push(down());
  one.answers.push(down(600_000));
  await passing(1000);
  while (one.sent.length < 5) await passing(1000);
  // The next one is due in 80 s, for a call after 30.
  await passing(34_000);
  expect(await failure(one.credential.ready(signal))).toMatchObject({ data: { retryAfter: 600 } });
  expect(one.sent).toHaveLength(6);
  await passing(599_000);
  expect(one.sent).toHaveLength(6);
  await passing(1000);
  expect(one.sent).toHaveLength(7);
  expect(one.credential.headers).toEqual(['authorization', 'Bearer new-7']);
  stop();
});

it('waits as long as the server says', async () => {
  const one = setup({ expiresAt: Date.now() + 1000 });
  await one.begin();
  const stop = one.listen();
  one.answers.push(down(120_000));
  await passing(120_000);
  expect(one.sent).toHaveLength(1);
  await passing(2000);
  expect(one.sent).toHaveLength(2);
  stop();
});

it('a refused token ends the wait once: it was to be used to its end', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  const stop = one.listen();
  one.answers.push(denied(), down());
  await passing(HOUR - 200_000);
  expect(one.sent).toHaveLength(1);
  for (let i = 0; i < 5; i++)
    expect(await failure(one.refused())).toMatchObject({ code: 'upstream_auth_failed' });
  expect(one.sent).toHaveLength(2);
  stop();
});

it('a clock that is set back ends a wait', async () => {
  const one = setup({ expiresAt: Date.now() - 1 });
  await one.begin();
  one.answers.push(down(3_000_000));
  await failure(one.credential.ready(signal));
  vi.setSystemTime(Date.now() - HOUR);
  await one.credential.refused({ status: 401, challenge: '', stamp: one.credential.stamp, times: 0 });
  expect(one.sent).toHaveLength(2);
});

it.each(['records', 'lock', 'put', 'get'])(
  'a state whose %s fails does not make the timer spin',
  async (part) => {
    const one = setup({ expiresAt: Date.now() + 10_000 });
    await one.begin();
    const fails = () => Promise.reject(new Error('EIO'));
    if (part === 'records') Object.assign(one.deps, { records: fails });
    else Object.assign(one.state, { [part]: fails });
    const stop = one.listen();
    await passing(60_000);
    const tries = one.log.lines.length;
    expect(tries).toBeGreaterThan(0);
    expect(tries).toBeLessThan(8);
    if (part === 'put') {
      expect([one.credential.headers, one.credential.secrets]).toEqual([
        ['authorization', 'Bearer new-1'],
        ['new-1', 'refresh-new-1', 'access-1'],
      ]);
      // The next one takes what is in memory.
      await passing(HOUR);
      expect(one.sent).toEqual(['refresh-1', 'refresh-new-1']);
    }
    stop();
  },
);

it('without a state that can be read, a token that lives is used', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR }, { shared: true });
  await one.begin();
  Object.assign(one.state, { get: () => Promise.reject(new Error('EIO')) });
  await one.credential.ready(signal);
  const other = setup(undefined, { shared: true }, one.state);
  expect(await failure(other.credential.ready(signal))).toMatchObject({ code: 'upstream_auth_failed' });
});

it('takes what another process has renewed', async () => {
  const one = setup({ expiresAt: Date.now() + 1000 }, { shared: true });
  await one.begin();
  await writeGrant(
    one.state,
    KEY,
    grantOf({ access: 'theirs', refresh: 'theirs-r', obtainedAt: Date.now(), expiresAt: Date.now() + HOUR }),
  );
  const stop = one.listen();
  await passing(1000);
  expect([one.sent, one.counts, one.credential.headers[1]]).toEqual([[], ['shared'], 'Bearer theirs']);
  stop();
});

it('a login in another process is seen within two seconds, a logout when it matters', async () => {
  const one = setup(undefined, { shared: true });
  await one.begin();
  await failure(one.refused());
  const stop = one.listen();
  await writeGrant(one.state, KEY, grantOf());
  await passing(2000);
  expect([one.heard, one.credential.headers[1]]).toEqual([1, 'Bearer access-1']);
  await one.state.delete(KEY);
  expect(await failure(one.refused())).toMatchObject({ code: 'login_required', data: { reason: 'revoked' } });
  expect([one.sent, one.heard]).toEqual([[], 2]);
  stop();
});

it('a logout during a renewal counts: the login does not come back', async () => {
  const one = setup({ expiresAt: Date.now() - 1 });
  await one.begin();
  let go: (tokens: Partial<Tokens>) => void = () => undefined;
  one.answers.push(new Promise((resolve) => (go = resolve)));
  const ready = failure(one.credential.ready(signal));
  await vi.waitUntil(() => one.sent.length === 1);
  await one.state.delete(KEY);
  go({});
  expect(await ready).toMatchObject({ code: 'login_required', data: { reason: 'revoked' } });
  expect([await one.stored(), one.credential.headers]).toEqual([undefined, []]);
});

it('a login during a renewal counts: it is neither replaced nor erased', async () => {
  for (const answer of [{}, denied()]) {
    const one = setup({ expiresAt: Date.now() - 1 });
    await one.begin();
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    one.answers.push(
      gate.then(() => {
        if (answer instanceof Error) throw answer;
        return answer;
      }),
    );
    const ready = one.credential.ready(signal);
    await vi.waitUntil(() => one.sent.length === 1);
    await writeGrant(one.state, KEY, grantOf({ access: 'login', obtainedAt: Date.now() }));
    go();
    await ready;
    expect([(await one.stored())?.access, one.credential.headers[1]]).toEqual(['login', 'Bearer login']);
  }
});

it('a read that began before a renewal does not bring the old token back', async () => {
  const one = setup({ expiresAt: Date.now() + HOUR });
  await one.begin();
  const before = { ...one.state };
  const get = (key: string) => before.get(key);
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  let reads = 0;
  one.state.get = async (key) => {
    const value = await get(key);
    if (++reads === 1) await gate;
    return value;
  };
  const slow = one.credential.reload();
  await vi.waitUntil(() => reads === 1);
  await one.refused();
  go();
  await slow;
  expect(one.credential.headers[1]).toBe('Bearer new-1');
});

it('reload() sees what was written before it, though a read is under way', async () => {
  const one = setup({});
  await one.begin();
  const before = { ...one.state };
  const get = (key: string) => before.get(key);
  const first = get(KEY);
  let isFirst = true;
  one.state.get = (key) => {
    if (!isFirst) return get(key);
    isFirst = false;
    return first;
  };
  const early = one.credential.reload();
  await one.state.delete(KEY);
  await one.credential.reload();
  await early;
  expect(one.credential.headers).toEqual([]);
});

it('a close lets a request for tokens end, and stores its answer', async () => {
  const one = setup({ expiresAt: Date.now() - 1 });
  await one.begin();
  let go: (tokens: Partial<Tokens>) => void = () => undefined;
  one.answers.push(new Promise((resolve) => (go = resolve)));
  const ready = failure(one.credential.ready(signal));
  await vi.waitUntil(() => one.sent.length === 1);
  one.credential.close();
  expect(await ready).toMatchObject({ code: 'upstream_auth_failed' });
  const next = setup(undefined, {}, one.state);
  const follows = next.credential.ready(signal);
  go({});
  await follows;
  expect([next.sent, next.credential.headers[1]]).toEqual([[], 'Bearer new-1']);
});

it('after close nothing runs: neither timer nor refusal', async () => {
  const one = setup({ expiresAt: Date.now() + 1000 });
  await one.begin();
  one.listen();
  one.credential.close();
  one.listen();
  await passing(HOUR);
  expect(await failure(one.refused())).toMatchObject({ code: 'upstream_auth_failed' });
  expect(one.sent).toEqual([]);
});

it('an abort ends the wait of a dial, not the renewal', async () => {
  const one = setup({ expiresAt: Date.now() - 1 });
  await one.begin();
  let go: (tokens: Partial<Tokens>) => void = () => undefined;
  one.answers.push(new Promise((resolve) => (go = resolve)));
  const stop = new AbortController();
  const ready = failure(one.credential.ready(stop.signal));
  await vi.waitUntil(() => one.sent.length === 1);
  stop.abort(new Error('enough'));
  expect((await ready).message).toBe('enough');
  const second = one.credential.ready(signal);
  go({});
  await second;
  expect([one.sent.length, one.credential.headers[1]]).toEqual([1, 'Bearer new-1']);
});

it('a listener that throws does no harm', async () => {
  const one = setup({});
  const stop = one.credential.onChange(() => {
    throw new Error('mine');
  });
  await one.begin();
  expect(one.credential.headers[1]).toBe('Bearer access-1');
  stop();
});

it('a token of another issuer than the one that is configured is not shown', async () => {
  const one = setup({}, { auth: { issuer: 'https://b.example', scopes: undefined } });
  await one.begin();
  expect([one.credential.headers, one.credential.missing]).toEqual([[], 'issuer_changed']);
  expect(await failure(one.credential.ready(signal))).toMatchObject({ data: { reason: 'issuer_changed' } });
});

it.each([
  [
    'Bearer error="insufficient_scope", scope="read write"',
    { code: 'login_required', data: { reason: 'scopes', scopes: ['read', 'write'] } },
  ],
  ['Bearer error="insufficient_scope"', { code: 'login_required', data: { reason: 'scopes' } }],
  [
    'Bearer error="insufficient_scope", scope="read"',
    { code: 'upstream_auth_failed', message: "upstream 'x' wants the scope read, which it was granted" },
  ],
  ['', { code: 'upstream_auth_failed', message: "upstream 'x' refuses the request: HTTP 403" }],
  ['Basic', { code: 'upstream_auth_failed' }],
])('HTTP 403 with %j', async (challenge, error) => {
  const one = setup({});
  await one.begin();
  expect(await failure(one.refused(undefined, 0, challenge, 403))).toMatchObject(error);
  // The link stays up with what it has.
  expect([one.credential.headers[1], one.credential.missing]).toEqual(['Bearer access-1', undefined]);
});

it('remembers what was asked for after the login is over', async () => {
  const one = setup({ asked: ['a', 'b'], refresh: undefined });
  await one.begin();
  await failure(one.refused());
  expect(one.credential.grant).toBeUndefined();
  expect([one.credential.asked(SERVER.issuer), one.credential.asked('https://b.example')]).toEqual([
    ['a', 'b'],
    [],
  ]);
});

function machine(answers: (Grant | Error)[] = []) {
  const asked: (readonly string[])[] = [];
  return {
    asked,
    obtain: (_challenge: unknown, scopes: readonly string[]) => {
      asked.push(scopes);
      const answer =
        answers.shift() ??
        grantOf({
          access: `m-${asked.length}`,
          refresh: undefined,
          obtainedAt: Date.now(),
          expiresAt: Date.now() + HOUR,
        });
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
}

it('tokens without a person are there before the dial, are renewed, and never need a login', async () => {
  const { obtain, asked } = machine([denied()]);
  const one = setup(undefined, { obtain });
  expect(await failure(one.credential.ready(signal))).toMatchObject({ code: 'upstream_auth_failed' });
  await passing(6000);
  await one.credential.ready(signal);
  const stop = one.listen();
  await passing(HOUR);
  expect(asked).toHaveLength(3);
  // The state may lose the record: the token is good all the same.
  await one.state.delete(KEY);
  await one.credential.reload();
  expect([one.credential.headers[1], one.credential.missing]).toEqual(['Bearer m-3', undefined]);
  await one.refused();
  expect(one.credential.headers[1]).toBe('Bearer m-4');
  stop();
});

it('raises the scopes of tokens without a person once', async () => {
  const { obtain, asked } = machine();
  const one = setup(undefined, { obtain });
  await one.credential.ready(signal);
  const challenge = 'Bearer error="insufficient_scope", scope="write"';
  await one.refused(undefined, 0, challenge, 403);
  expect(asked).toEqual([[], ['read', 'write']]);
  expect(await failure(one.refused(undefined, 0, challenge, 403))).toMatchObject({
    message: "upstream 'x' wants the scope write, which it was not granted",
  });
  expect(asked).toHaveLength(2);
});

it('raises the scopes of tokens without a person for requests that are refused together', async () => {
  const { obtain, asked } = machine();
  const one = setup(undefined, { obtain });
  await one.credential.ready(signal);
  const scopes = ['write', 'list', 'list', 'run'];
  await Promise.all(
    scopes.map((scope) =>
      one.refused(undefined, 0, `Bearer error="insufficient_scope", scope="${scope}"`, 403),
    ),
  );
  expect(asked[1]).toEqual(expect.arrayContaining(['read', 'write']));
  expect(asked.at(-1)?.toSorted()).toEqual(['list', 'read', 'run', 'write']);
  expect(asked.length).toBeLessThan(4);
  // It gives what it gives.
  const more = await Promise.all(
    scopes.map((scope) =>
      failure(one.refused(undefined, 1, `Bearer error="insufficient_scope", scope="${scope}"`, 403)),
    ),
  );
  expect(more).toEqual(
    scopes.map(() => expect.objectContaining({ code: 'upstream_auth_failed' }) as unknown),
  );
});

it('asks for more scopes again after that failed', async () => {
  const { obtain, asked } = machine([
    grantOf({ obtainedAt: Date.now(), expiresAt: Date.now() + HOUR }),
    down(),
  ]);
  const one = setup(undefined, { obtain });
  await one.credential.ready(signal);
  const challenge = 'Bearer error="insufficient_scope", scope="write"';
  expect(await failure(one.refused(undefined, 0, challenge, 403))).toMatchObject({
    data: { retryAfter: expect.any(Number) as number },
  });
  await passing(6000);
  await one.refused(undefined, 0, challenge, 403);
  expect(asked.slice(1)).toEqual([
    ['read', 'write'],
    ['read', 'write'],
  ]);
});
