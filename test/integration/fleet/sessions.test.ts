/** Sessions of a fleet: any replica serves any session, and it moves to where it is used. */
import { beforeAll, describe, expect, it } from 'vitest';
import { SessionIds } from '../../../src/fleet/ids.js';
import { makeReplicaId } from '../../../src/protocol/elsewhere.js';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { fleetOf, newKey, roaming, startReplica, startReplicas, together } from '../../helpers/fleet.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { callBody, openSession, openSse, post, send, SSE_ONLY } from '../../helpers/http.js';
import { connect, final, heard, messagesOf } from '../../helpers/legacy.js';
import { startStore, type TestStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { settled, until } from '../../helpers/wait.js';

const KEY = newKey();
/** `q` is asked for questions alone: of a server over stdio, only a sole caller gets them. */
const CONFIG = {
  servers: ['s', 'q'].map((name) => ({ ...scriptedStdio(name), placement: 'each' as const })),
};
let store: TestStore;
let replicas: RunningGateway[];
let a: RunningGateway;
let b: RunningGateway;
let c: RunningGateway;

beforeAll(async () => {
  store = await startStore();
  replicas = await startReplicas(3, store, CONFIG, { key: KEY });
  [a, b, c] = replicas as [RunningGateway, RunningGateway, RunningGateway];
});

/** Commands about sessions that the replicas have sent to the store. */
async function commands(): Promise<number> {
  let sum = 0;
  for (const replica of replicas)
    for (const [, op, count] of (await replica.metrics()).matchAll(
      /^mcpstead_fleet_store_seconds_count\{op="([^"]+)"\} (\d+)$/gm,
    ))
      if (op !== 'tick') sum += Number(count);
  return sum;
}

describe('a session', () => {
  it('is served by every replica, under one id', async () => {
    const client = await roaming(a.url);
    expect(client.id).toMatch(/^[A-Za-z0-9_-]{43}$/);
    for (const replica of replicas)
      expect(await client.at(replica).tool('s__echo', { text: 'x' })).toBeDefined();
    expect(await a.metric('mcpstead_downstream_sessions_active')).toBeGreaterThan(0);
  });

  it('streams through another replica as its own would', async () => {
    const client = await roaming(a.url);
    const stream = await client
      .at(b)
      .stream('s__progress', { mark: 'far' }, { meta: { progressToken: 'p' } });
    const answer = await final(stream);
    expect(JSON.stringify(answer)).toContain('progress done far');
    expect(messagesOf(stream).filter(({ method }) => method === 'notifications/progress')).toHaveLength(3);
  });

  it('is asked through another replica, and answers through a third', async () => {
    const client = await roaming(a.url);
    const stream = await client.at(b).stream('q__ask');
    const [question] = await heard(stream, 'elicitation/create');
    const answered = await client.at(c).say({ id: question?.id, result: { action: 'accept', content: {} } });
    expect(answered.status).toBe(202);
    expect(JSON.stringify(await final(stream))).toContain('accept');
  });

  it('cancels through another replica', async () => {
    const client = await roaming(a.url);
    const stream = await client.at(b).stream('s__hang', {}, { id: 77 });
    const cancel = { method: 'notifications/cancelled', params: { requestId: 77, reason: 'enough' } };
    expect((await client.at(c).say(cancel)).status).toBe(202);
    await stream.done();
    const asked = JSON.parse(await client.at(a).tool('s__cancelled')) as object[];
    expect(asked.length).toBeGreaterThan(0);
  });

  it('hears through its server that a client of another replica has left', async () => {
    const client = await roaming(a.url, { protocolVersion: '2024-11-05' });
    const before = (JSON.parse(await client.at(a).tool('s__cancelled')) as object[]).length;
    const stream = await client.at(b).stream('s__hang', {}, { id: 78 });
    stream.close();
    await until(
      async () => (JSON.parse(await client.at(a).tool('s__cancelled')) as object[]).length > before,
      'the cancellation',
    );
  });

  it('moves to the replica where its stream is opened, and leads there from everywhere', async () => {
    const client = await roaming(a.url);
    const before = await a.metric('mcpstead_fleet_handed_over_total');
    const stream = await client.at(b).listen();
    expect(stream.status).toBe(200);
    expect(await a.metric('mcpstead_fleet_handed_over_total')).toBe(before + 1);
    expect(await client.at(b).tool('s__echo')).toBeDefined();
    // The home knows where it went.
    expect(await client.at(a).tool('s__echo')).toBeDefined();
    expect(await client.at(c).tool('s__echo')).toBeDefined();
    await client.at(c).tool('s__list_changed');
    expect(stream.ended).toBe(false);
    stream.close();
  });

  it('stays where a call of it runs', async () => {
    const client = await roaming(a.url);
    const call = await client.at(a).stream('s__hang', {}, { id: 79 });
    const before = await a.metric('mcpstead_fleet_handed_over_total');
    const stream = await client.at(b).listen();
    expect(stream.status).toBe(200);
    expect(await a.metric('mcpstead_fleet_handed_over_total')).toBe(before);
    call.close();
    stream.close();
  });

  it('keeps its level and its subscriptions when it moves', async () => {
    const client = await roaming(a.url);
    await client.at(a).request('logging/setLevel', { level: 'error' });
    const stream = await client.at(b).listen();
    await client.at(b).tool('s__log');
    const other = await client.at(b).stream('s__log');
    await final(other);
    expect(messagesOf(other).some(({ method }) => method === 'notifications/message')).toBe(false);
    stream.close();
  });

  it('ends for all when it is deleted through another replica', async () => {
    const client = await roaming(a.url);
    expect((await client.at(b).end()).status).toBe(200);
    for (const replica of replicas) {
      const answer = await post(replica.url, callBody('s__echo', {}, 5), client.here.headers);
      expect(answer.status).toBe(404);
    }
  });

  it('takes batches and HTTP+SSE messages through another replica', async () => {
    const old = await openSession(a.url, { protocolVersion: '2025-03-26' });
    const batch = [callBody('s__echo', { text: '1' }, 1), callBody('s__echo', { text: '2' }, 2)];
    const answers = (await post(b.url, batch, old)).json<unknown[]>();
    expect(answers).toHaveLength(2);

    const stream = await openSse(`${a.base}/sse`, undefined, SSE_ONLY);
    const path = (await stream.next()).data;
    const init = {
      ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
      params: { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
    };
    expect((await post(`${b.base}${path}`, init)).status).toBe(202);
    expect((await stream.message()).result).toBeDefined();
    expect((await post(`${c.base}${path}`, callBody('s__echo', {}, 2))).status).toBe(202);
    expect((await stream.message()).id).toBe(2);
    stream.close();
  });
});

describe('ids', () => {
  it('that were made up are unknown without a command to the store', async () => {
    const real = (await roaming(a.url)).id;
    const before = await settled(commands);
    const forged = [
      `${real.slice(0, -1)}${real.endsWith('A') ? 'B' : 'A'}`,
      'x'.repeat(43),
      new SessionIds(new FleetKeys(Buffer.alloc(32, 7), []), makeReplicaId()).make(),
    ];
    for (const id of forged)
      for (const replica of replicas) {
        const answer = await post(replica.url, callBody('s__echo', {}, 5), { 'mcp-session-id': id });
        expect(answer.status).toBe(404);
      }
    expect(await commands()).toBe(before);
  });

  it('of sessions that never were lead nowhere', async () => {
    const { replica } = await fleetOf(a.base);
    const ids = new SessionIds(new FleetKeys(Buffer.from(KEY, 'base64url'), []), replica);
    for (const each of replicas) {
      const answer = await post(each.url, callBody('s__echo', {}, 5), { 'mcp-session-id': ids.make() });
      expect(answer.status).toBe(404);
    }
  }, 60_000);
});

it('a call on its own replica costs no command', async () => {
  const client = await connect(a.url);
  await client.tool('s__echo');
  const before = await settled(commands);
  // It was written when it was opened.
  expect(before).toBeGreaterThan(0);
  for (let n = 0; n < 50; n++) await client.tool('s__echo');
  expect(await commands()).toBe(before);
});

it('nothing in the store can be read', async () => {
  const client = await connect(a.url, { headers: { 'user-agent': 'secret-agent' } });
  await until(() => store.cli('keys', 'mcpstead:s:*') !== '', 'the record');
  const names = store.cli('keys', '*').split('\n');
  const dump = names
    .map((name) => {
      const type = store.cli('type', name);
      if (type === 'hash') return store.cli('hgetall', name);
      if (type === 'zset') return store.cli('zrange', name, '0', '-1');
      return store.cli('get', name);
    })
    .join('\n');
  for (const text of [
    client.headers['mcp-session-id'] as string,
    'anonymous',
    '/mcp',
    '2025-11-25',
    '127.0.0.1',
  ])
    expect(names.join('\n') + dump).not.toContain(text);
});

it('two fleets share a store by their prefixes', async () => {
  const [other] = await startReplicas(1, store, CONFIG, { key: KEY, fleet: { prefix: 'other' } });
  expect((await fleetOf((other as RunningGateway).base)).replicas).toBe(1);
  expect((await fleetOf(a.base)).replicas).toBe(3);
});

it('a replica with another key is ignored, and counted', async () => {
  const stranger = await startReplica(store, CONFIG, { key: newKey() });
  await until(
    async () => (await a.metric('mcpstead_fleet_strangers_total')) > 0,
    'a stranger in the metrics',
  );
  await together(...replicas.map(({ base }) => base));
  expect((await fleetOf(stranger.base)).replicas).toBe(1);
});

it('without a store nothing of a fleet is there', async () => {
  const alone = await startGateway(CONFIG);
  const client = await connect(alone.url);
  expect(client.headers['mcp-session-id']).toMatch(/^[A-Za-z0-9_-]{32}$/);
  expect(await alone.metrics()).not.toMatch(/^mcpstead_fleet_[a-z_]+ /m);
  expect((await send(`${alone.base}/health`)).text).not.toContain('"fleet"');
});
