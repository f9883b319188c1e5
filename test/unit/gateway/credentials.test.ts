/** The credentials of the gateway: which configuration counts when a reload changes a server while its connections drain. */
import { expect, it, vi } from 'vitest';
import { resolveConfig } from '../../../src/config/index.js';
import type { Config, HttpServerConfig } from '../../../src/config/types.js';
import { GatewayCredentials } from '../../../src/gateway/credentials.js';
import { GatewayStats } from '../../../src/observe/stats.js';
import { ownedKey, placeOfUrl } from '../../../src/credentials/owned-records.js';
import { memoryState } from '../../../src/state/memory.js';
import type { Sealed } from '../../../src/state/sealed.js';
import { atEnd } from '../../helpers/cleanup.js';
import { failure } from '../../helpers/credentials.js';
import { keptLog } from '../../helpers/state.js';

const { signal } = new AbortController();
const REFUSED = { status: 401, challenge: 'Bearer', stamp: 0, times: 0 } as const;

/** A server on a port that nobody listens on: what cannot be reached shows which configuration was used. */
function configOf(port: number) {
  const { config } = resolveConfig(
    {
      mcp: { auth: { keys: [{ name: 'alice', sha256: ['a'.repeat(43)] }] } },
      servers: [{ name: 'x', url: `http://127.0.0.1:${port}/mcp`, auth: { type: 'oauth', per: 'user' } }],
    },
    {},
  );
  return { config, server: config.servers[0] as HttpServerConfig };
}

function credentialsOf(config: () => Config, store: Sealed = memoryState(Date.now)) {
  let opened = 0;
  const credentials = new GatewayCredentials({
    config,
    env: {},
    log: keptLog(),
    stats: new GatewayStats(),
    state: () => {
      opened++;
      return Promise.resolve({ store, lasts: false } as never);
    },
    origin: () => 'http://127.0.0.1:8766',
    isListening: () => true,
    permits: () => true,
    shownBy: () => undefined,
    idTokenOf: () => Promise.resolve(undefined),
  });
  atEnd(() => {
    credentials.close();
  });
  return { credentials, opened: () => opened };
}

it('who comes back without a login under way makes the gateway open nothing', async () => {
  const { credentials, opened } = credentialsOf(() => configOf(1).config);
  const error = await failure(credentials.finish(new URLSearchParams('state=s&code=c'), {}, signal));
  expect([error.message, opened()]).toEqual([expect.stringContaining('this login is unknown'), 0]);
});

it('a connection that drains does not bring back the configuration before', async () => {
  let current = configOf(1);
  const { credentials } = credentialsOf(() => current.config);
  const [alice, bob] = ['key:alice', 'key:bob'].map((owner) => credentials.of(current.server, owner));
  current = configOf(2);
  const next = credentials.of(current.server, 'key:alice');
  expect((await failure(next?.refused(REFUSED) as Promise<void>)).message).toContain('127.0.0.1:2 ');
  // A call that was under way is refused only now.
  for (const old of [alice, bob])
    expect((await failure(old?.refused(REFUSED) as Promise<void>)).message).toBe('is not in use any more');
  const error = await failure(credentials.login('x', 'key:alice', [], signal));
  expect(error.message).toContain('127.0.0.1:2 ');
  expect(credentials.of(current.server, 'key:alice')).toBe(next);
});

it('logins of a key that is gone are erased once the state can be used again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  atEnd(() => {
    vi.useRealTimers();
  });
  const state = memoryState(Date.now);
  let isAway = true;
  const store: Sealed = {
    ...state,
    keys(kind) {
      if (isAway) throw new Error('the store is away');
      return state.keys(kind);
    },
  };
  const { config, server } = configOf(1);
  const { credentials } = credentialsOf(() => config, store);
  await failure(credentials.login('x', 'key:alice', [], signal));
  const [alice, bob] = ['key:alice', 'key:bob'].map((owner) =>
    ownedKey('grant', 'x', placeOfUrl(server.url), owner),
  ) as [string, string];
  for (const key of [alice, bob]) await state.put(key, {}, 0);
  await credentials.eraseOwners(new Set(['key:alice']));
  expect(await state.get(alice)).toBeDefined();
  isAway = false;
  await vi.advanceTimersByTimeAsync(5000);
  await vi.waitFor(async () => {
    expect([await state.get(alice), await state.get(bob)]).toEqual([undefined, expect.anything()]);
  });
});
