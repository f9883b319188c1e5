/** A server where each user has a login of his own: two users, real tokens, one gateway. */
import { describe, expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../helpers/gateway.js';
import { logInAt, startGuarded, type Guarded } from '../helpers/guarded.js';
import {
  callBody,
  message,
  openSse,
  post,
  send,
  textOf,
  type Headers,
  type JsonRpc,
} from '../helpers/http.js';
import { call } from '../helpers/modern.js';
import { scratchFolder } from '../helpers/state.js';
import { until } from '../helpers/wait.js';

const NAMES = ['alice', 'bob', 'carol'] as const;
type Name = (typeof NAMES)[number];

interface Stage {
  readonly guarded: Guarded;
  readonly running: RunningGateway;
  readonly as: Readonly<Record<Name, Headers>>;
}

async function stage(
  options: Parameters<typeof startGuarded>[0] = {},
  { limits = {}, mcp = {}, dir = scratchFolder() }: { limits?: object; mcp?: object; dir?: string } = {},
): Promise<Stage> {
  const guarded = await startGuarded({ legacy: { tools: [tool('t')], onCall: echoToken }, ...options });
  const keys = NAMES.map((name) => ({ name, key: createApiKey() }));
  const running = await startGateway(
    {
      state: { dir },
      limits,
      servers: [guarded.upstream.entry('x', { auth: { per: 'user' } })],
      mcp: {
        ...mcp,
        auth: { keys: keys.map(({ name, key }) => ({ name, sha256: [hashApiKey(key)] })) },
      },
      metrics: { auth: 'none' },
    },
    { wait: [] },
  );
  const as = Object.fromEntries(keys.map(({ name, key }) => [name, { authorization: `Bearer ${key}` }]));
  return { guarded, running, as: as as unknown as Stage['as'] };
}

/** Answers with the token that the call was made with. */
const echoToken = (asked: Call): void => {
  asked.result({ content: [{ type: 'text', text: String(asked.received.headers.authorization) }] });
};

async function session(running: RunningGateway, as: Headers): Promise<Headers> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const opened = await post(running.url, { jsonrpc: '2.0', id: 0, method: 'initialize', params }, as);
  const id = String(opened.headers['mcp-session-id']);
  return { ...as, 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
}

let ids = 0;
const called = async (running: RunningGateway, as: Headers, args = {}): Promise<JsonRpc> =>
  message(await post(running.url, callBody('x__t', args, ++ids), as));
const linkIn = ({ error }: JsonRpc): string => (error?.data as { url: string }).url;
const names = async (running: RunningGateway, as: Headers): Promise<string[]> =>
  (
    (message(await post(running.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, as)).result?.[
      'tools'
    ] ?? []) as { name: string }[]
  ).map(({ name }) => name);

/** Logs a user in by the link that his call is answered with. */
async function logIn(running: RunningGateway, as: Headers): Promise<void> {
  expect(
    await logInAt(linkIn(await called(running, as)), { authorization: as['authorization'] as string }),
  ).toBe('303 ../login/done');
}

describe('a server where each user logs in for himself', () => {
  it('serves each with his own token, and never with that of another', async () => {
    const { running, guarded, as } = await stage();
    const [alice, bob] = [await session(running, as.alice), await session(running, as.bob)];
    expect(await names(running, alice)).toEqual(['x__login']);
    await logIn(running, alice);
    expect(await names(running, bob)).toEqual(['x__login']);
    expect((await called(running, bob)).error?.data).toMatchObject({ reason: 'never' });
    await logIn(running, bob);
    const tokens = { alice: textOf(await called(running, alice)), bob: textOf(await called(running, bob)) };
    expect(tokens.alice).not.toBe(tokens.bob);
    const calls = Array.from({ length: 200 }, (_, i) =>
      i % 2 === 0 ? ('alice' as const) : ('bob' as const),
    );
    const of = { alice, bob };
    const got = await Promise.all(
      calls.map(async (who, i) =>
        i % 3 === 0
          ? textOf(await call(running.url, 'x__t', {}, { headers: as[who] }))
          : textOf(await called(running, of[who], { i })),
      ),
    );
    expect(got).toEqual(calls.map((who) => tokens[who]));
    const sessions = new Map<string, Set<string>>();
    for (const { token, session: id } of guarded.seen)
      if (id !== undefined) sessions.set(id, (sessions.get(id) ?? new Set()).add(token));
    expect([...sessions.values()].map((each) => each.size)).toEqual([...sessions.values()].map(() => 1));
    expect((await running.health()).status).toBe('ok');
    expect((await running.health()).servers[0]).toMatchObject({ login: { per: 'user', connected: 2 } });
  });

  it('answers with a link that is nobody else’s', async () => {
    const { running, as } = await stage();
    const alice = await session(running, as.alice);
    const link = linkIn(await called(running, alice));
    const bob = { authorization: as.bob['authorization'] as string };
    await expect(logInAt(link, bob)).rejects.toThrow('404');
    await expect(logInAt(link)).rejects.toThrow('40');
    expect((await called(running, alice)).error?.data).toMatchObject({ reason: 'never' });
    await logIn(running, alice);
  });

  it('takes the login of one away, and leaves that of the other', async () => {
    const { running, guarded, as } = await stage();
    const [alice, bob] = [await session(running, as.alice), await session(running, as.bob)];
    await logIn(running, alice);
    await logIn(running, bob);
    const before = textOf(await called(running, bob));
    const told = await openSse(running.url, undefined, alice);
    const out = await send(`${running.base}/-/api/v1/connections/x`, undefined, {
      method: 'DELETE',
      headers: as.alice,
    });
    expect([out.status, out.json()]).toEqual([200, { done: true }]);
    expect(guarded.oidc.asked).toContain('/token/revocation');
    expect((await called(running, alice)).error?.data).toMatchObject({ reason: 'revoked' });
    await until(() => told.text.includes('tools/list_changed'), 'the change of the list');
    expect(await names(running, alice)).toEqual(['x__login']);
    expect(textOf(await called(running, bob))).toBe(before);
  });

  it('has no room for more than limits.per_user; an idle user gives way, and comes back without a login', async () => {
    const { running, as } = await stage(
      {},
      { limits: { per_user: 1 }, mcp: { session: { idle_ttl_seconds: 1, gc_interval_seconds: 1 } } },
    );
    const modern = (who: Name): Promise<JsonRpc> => call(running.url, 'x__t', {}, { headers: as[who] });
    const link = linkIn(await modern('alice'));
    await logInAt(link, { authorization: as.alice['authorization'] as string });
    const token = textOf(await modern('alice'));
    expect((await modern('bob')).error?.message).toContain(
      '1 users have a connection of their own there (limits.per_user)',
    );
    await until(async () => (await modern('bob')).error?.code === -32603, 'room');
    await until(
      async () => ((await modern('bob')).error?.data as { reason?: string } | undefined)?.reason === 'never',
    );
    await until(async () => 'result' in (await modern('alice')), 'room for alice');
    expect(textOf(await modern('alice'))).toBe(token);
  });

  it('knows the login after a restart', async () => {
    const dir = scratchFolder();
    const first = await stage({}, { dir });
    await logIn(first.running, await session(first.running, first.as.alice));
    await first.running.gateway.close();
    const again = await startGateway(
      {
        state: { dir },
        servers: [first.guarded.upstream.entry('x', { auth: { per: 'user' } })],
        mcp: {
          auth: {
            keys: NAMES.map((name) => ({
              name,
              sha256: [hashApiKey((first.as[name]['authorization'] as string).replace('Bearer ', ''))],
            })),
          },
        },
      },
      { wait: [] },
    );
    expect(textOf(await called(again, await session(again, first.as.alice)))).toContain('Bearer ');
    expect((await called(again, await session(again, first.as.bob))).error?.data).toMatchObject({
      reason: 'never',
    });
  });

  it('gives a login to nobody who gets the name of a key later', async () => {
    const dir = scratchFolder();
    const { upstream } = await startGuarded({ legacy: { tools: [tool('t')], onCall: echoToken } });
    const [key, later] = [createApiKey(), createApiKey()];
    const configOf = (of: string) => ({
      host: '127.0.0.1',
      port: 0,
      state: { dir },
      servers: [upstream.entry('x', { auth: { per: 'user' as const } })],
      mcp: { auth: { keys: [{ name: 'alice', sha256: [hashApiKey(of)] }] } },
    });
    const running = await startGateway(configOf(key), { wait: [] });
    await logIn(running, await session(running, { authorization: `Bearer ${key}` }));
    await running.gateway.reload(configOf(later));
    const next = await session(running, { authorization: `Bearer ${later}` });
    await until(async () => 'error' in (await called(running, next)), 'the end of the login');
    expect((await called(running, next)).error?.code).toBe(-32000);
    expect(linkIn(await called(running, next))).toContain('/-/login/');
  });

  it('is a mistake where users cannot be told apart', async () => {
    const { upstream } = await startGuarded();
    await expect(
      startGateway({ servers: [upstream.entry('x', { auth: { per: 'user' } })] }, { wait: [] }),
    ).rejects.toThrow("auth.per: user of the server 'x' (servers[0]) needs users who can be told apart");
  });
});
