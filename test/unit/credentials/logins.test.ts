/** Logins under way: who may end one, and when. */
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Logins, type LoginWish } from '../../../src/credentials/logins.js';
import type { Grant } from '../../../src/credentials/grants.js';
import { failure, OPEN, scripted, SERVER, type Reply } from '../../helpers/credentials.js';

const { signal } = new AbortController();
const LOCAL = 'http://127.0.0.1:8080/-/oauth/callback';
const PUBLIC = 'https://gw.example/-/oauth/callback';
const TOKEN = 'POST https://as.example/token';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

const WISH: Omit<LoginWish, 'tokens'> = {
  server: 'x',
  serverUrl: 'https://mcp.example/mcp',
  principal: '',
  found: { server: SERVER, resource: 'https://mcp.example/mcp', scopes: undefined, issuers: [] },
  chosen: {
    client: {
      issuer: SERVER.issuer,
      id: 'c',
      kind: 'given',
      authentication: { method: 'client_secret_post', secret: 'secret-c' },
    },
    redirectUri: LOCAL,
  },
  scopes: ['read'],
  asked: ['write'],
  params: {},
};

function setup(
  reply: Reply | (() => Promise<Reply>) = { access_token: 'secret-a', token_type: 'bearer', expires_in: 60 },
) {
  const { fetch, asked } = scripted({ [TOKEN]: reply });
  const tokens = { fetch, guard: OPEN, params: {} };
  const grants: Grant[] = [];
  const counts: string[] = [];
  const answered: (string | undefined)[] = [];
  const logins = new Logins({
    now: Date.now,
    answered: (_wish, code) => {
      answered.push(code);
      return Promise.resolve();
    },
    done: (_wish, grant) => {
      grants.push(grant);
      return Promise.resolve();
    },
    count: (_server, result) => counts.push(result),
  });
  const begin = (redirectUri = LOCAL, more: Partial<LoginWish> = {}) =>
    logins.begin({
      ...WISH,
      chosen: { ...WISH.chosen, redirectUri },
      tokens,
      ...more,
    });
  return { logins, begin, tokens, asked, grants, counts, answered };
}

function answer(
  { url }: { url: string },
  more: Record<string, string> = { code: 'secret-code' },
): URLSearchParams {
  return new URLSearchParams({ state: new URL(url).searchParams.get('state') ?? '', ...more });
}

it('ends once, with a grant that has what was asked, and not the secret of the configuration', async () => {
  const { logins, begin, asked, grants, counts, answered } = setup();
  const attempt = await begin();
  const ended = logins.ended(attempt.id, signal);
  await logins.finish(answer(attempt), {}, signal);
  expect(await ended).toEqual({ state: 'done' });
  expect(grants).toMatchObject([
    {
      access: 'secret-a',
      scopes: ['read'],
      asked: ['write', 'read'],
      expiresAt: Date.now() + 60_000,
      client: { id: 'c', authentication: { method: 'none' } },
    },
  ]);
  expect((await failure(logins.finish(answer(attempt), {}, signal))).message).toContain('was used already');
  expect([asked, counts, answered, logins.bind(attempt.id)]).toEqual([
    [TOKEN],
    ['success'],
    [undefined],
    undefined,
  ]);
});

it('two answers at once: one is used', async () => {
  const { logins, begin, asked } = setup();
  const attempt = await begin();
  const both = await Promise.allSettled([1, 2].map(() => logins.finish(answer(attempt), {}, signal)));
  expect([both.map(({ status }) => status), asked]).toEqual([['fulfilled', 'rejected'], [TOKEN]]);
});

it('what others see of a login has no secret', async () => {
  const { logins, begin } = setup();
  const attempt = await begin();
  for (const seen of [
    attempt,
    logins.find(attempt.id),
    logins.of(answer(attempt)),
    await logins.finish(answer(attempt), {}, signal),
  ])
    expect(Object.keys(seen ?? {}).sort()).toEqual([
      'expires',
      'id',
      'issuer',
      'principal',
      'redirectUri',
      'scopes',
      'server',
      'url',
    ]);
  expect(inspect(attempt, { depth: 20, showHidden: true })).not.toContain('secret');
});

it('at a public redirect URI the browser that began, or the pasted address', async () => {
  const { logins, begin, asked } = setup();
  const attempt = await begin(PUBLIC);
  expect(await failure(logins.finish(answer(attempt), {}, signal))).toMatchObject({ code: 'other_browser' });
  const first = logins.bind(attempt.id);
  const cookie = logins.bind(attempt.id);
  const of = (value = '', isOfHost = true) => ({ cookie: { value, isOfHost } });
  // Another site below the same domain can set any cookie but that of the host.
  for (const other of [{}, of(''), of(first), of('x'), of(cookie, false)])
    expect(await failure(logins.finish(answer(attempt), other, signal))).toMatchObject({
      code: 'other_browser',
    });
  expect(asked).toEqual([]);
  // The attempt is not spent by them.
  await logins.finish(answer(attempt), of(cookie), signal);
  const second = await begin(PUBLIC);
  await logins.finish(answer(second), { pasted: true }, signal);
  const evil = await begin('https://127.evil.example/cb');
  expect(await failure(logins.finish(answer(evil), {}, signal))).toMatchObject({ code: 'other_browser' });
});

it.each([
  ['no state', () => new URLSearchParams({ code: 'c' })],
  ['another state', () => new URLSearchParams({ code: 'c', state: 'x' })],
  [
    'the state twice',
    (url: string) => {
      const q = answer({ url });
      q.append('state', q.get('state') ?? '');
      return q;
    },
  ],
])('%s: nothing is sent, and the login goes on', async (_what, query) => {
  const { logins, begin, asked } = setup();
  const attempt = await begin();
  const returned = query(attempt.url);
  expect(logins.of(returned)).toBeUndefined();
  expect((await failure(logins.finish(returned, { pasted: true }, signal))).message).toContain(
    'begin it again',
  );
  expect(asked).toEqual([]);
  await logins.finish(answer(attempt), {}, signal);
});

it('is over after ten minutes, for who waits, asks or comes back', async () => {
  const { logins, begin, counts } = setup();
  const attempt = await begin();
  const ended = logins.ended(attempt.id, signal);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(await ended).toMatchObject({ state: 'failed' });
  expect([logins.find(attempt.id), logins.stateOf(attempt.id), logins.bind(attempt.id)]).toEqual([
    undefined,
    { state: 'failed', text: 'its 10 minutes are over' },
    undefined,
  ]);
  expect((await failure(logins.finish(answer(attempt), {}, signal))).message).toContain(
    '10 minutes are over',
  );
  await begin();
  expect(counts).toEqual(['expired']);
});

it('keeps a thousand, also when more begin at once, but drops none that is being exchanged', async () => {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const { logins, begin, counts, asked } = setup(async () => {
    await gate;
    return { access_token: 'a', token_type: 'bearer' };
  });
  const busy = await begin();
  let owners = 0;
  const another = () => begin(LOCAL, { principal: `key:${++owners % 30}` });
  const finished = logins.finish(answer(busy), {}, signal);
  await vi.waitUntil(() => asked.length === 1);
  const all = await Promise.all(Array.from({ length: 1010 }, another));
  expect(all.filter(({ id }) => logins.find(id))).toHaveLength(999);
  expect(counts.filter((each) => each === 'expired')).toHaveLength(11);
  go();
  await finished;
  expect(logins.stateOf(busy.id)).toEqual({ state: 'done' });
});

it('fifty of one owner wait, also on other devices: more replace the oldest of his own alone', async () => {
  const { logins, begin, counts, tokens } = setup();
  const alice = await begin(LOCAL, { principal: 'key:alice' });
  const bobs = [];
  for (let n = 0; n < 40; n++) bobs.push((await begin(LOCAL, { principal: 'key:bob' })).id);
  const wish = { ...WISH, principal: 'key:bob', tokens };
  const page = 'https://as.example/device';
  const device = Array.from({ length: 2000 }, () => logins.hold(wish, page, 1_800_000).id);
  const left = [...bobs, ...device].filter((id) => logins.find(id));
  expect(left).toEqual(device.slice(-50));
  expect(logins.find(alice.id)).toBe(alice);
  expect(await logins.ended(bobs[0] as string, signal)).toBeUndefined();
  expect(counts).toHaveLength(1990);
});

it('what comes back with a browser says nothing about the client', async () => {
  const { logins, begin, answered, counts } = setup();
  const attempt = await begin();
  const error = await failure(logins.finish(answer(attempt, { error: 'invalid_client' }), {}, signal));
  expect(error.message).toContain('refused the login: invalid_client');
  expect([answered, counts]).toEqual([[], ['refused']]);
});

it.each([
  [{ error: 'access_denied' }, 200, 'denied', 'access_denied'],
  [{ error: 'server_error' }, 200, 'refused', 'server_error'],
  [{ code: 'secret-code' }, { status: 401, body: { error: 'invalid_client' } }, 'refused', 'invalid_client'],
] as const)('%j fails, and a further login works', async (returned, reply, count, code) => {
  const { logins, begin, counts, answered, grants } = setup(reply);
  const attempt = await begin();
  const error = await failure(logins.finish(answer(attempt, returned), {}, signal));
  expect([error.code, counts, answered, grants]).toEqual([code, [count], [code], []]);
  const state = logins.stateOf(attempt.id);
  expect(state).toMatchObject({ state: 'failed' });
  expect(JSON.stringify([state, error.message])).not.toContain('secret');
  expect((await begin()).id).not.toBe(attempt.id);
});

it('a close ends who waits', async () => {
  const { logins, begin } = setup();
  const attempt = await begin();
  const ended = logins.ended(attempt.id, signal);
  logins.close();
  expect(await ended).toEqual({ state: 'failed', text: 'the gateway is shutting down' });
});

it('an abort of who waits leaves the login', async () => {
  const { logins, begin } = setup();
  const attempt = await begin();
  const stop = new AbortController();
  const ended = logins.ended(attempt.id, stop.signal);
  stop.abort();
  expect(await ended).toEqual({ state: 'waiting' });
  await logins.finish(answer(attempt), {}, signal);
});
