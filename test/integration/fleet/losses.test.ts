/** Rows of the table of docs/fleet.md that failures.test.ts has not: what is lost, and what is not. */
import { expect, it, onTestFinished } from 'vitest';
import {
  fleetOf,
  newKey,
  pinged,
  roaming,
  startProcesses,
  startReplica,
  together,
  type ReplicaProcess,
} from '../../helpers/fleet.js';
import { post, send } from '../../helpers/http.js';
import { final, type LegacyClient } from '../../helpers/legacy.js';
import { freePort } from '../../helpers/port.js';
import { startCut, startStore, type TestStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const CONFIG = {
  servers: ['s', 'q'].map((name) => ({ ...scriptedStdio(name), placement: 'each' as const })),
};
const recorded = (store: TestStore): Promise<unknown> =>
  until(() => store.cli('keys', '*:s:*').split('\n').filter(Boolean).length === 1, 'the record');
const counted = async ({ base }: { readonly base: string }, name: string): Promise<number> =>
  Number(
    new RegExp(`^mcpstead_fleet_${name}_total (\\d+)`, 'm').exec((await send(`${base}/metrics`)).text)?.[1],
  );
const startTwo = async (
  store: TestStore,
  config: object = CONFIG,
): Promise<[ReplicaProcess, ReplicaProcess]> =>
  (await startProcesses(2, store, config)) as [ReplicaProcess, ReplicaProcess];

it.each(['kept', 'taken over'])(
  'a call of a replica that is stopped for seconds, whose session is %s',
  async (fate) => {
    const store = await startStore();
    const [a, b] = await startTwo(store);
    const client = await roaming(a.url);
    const server = await client.at(a).listen();
    await recorded(store);
    const call = await client
      .at(a)
      .stream('s__progress', { steps: 5, ms: 200, mark: 'stopped' }, { meta: { progressToken: 1 } });
    const { id } = await call.next();
    a.kill('SIGSTOP');
    onTestFinished(() => {
      a.kill('SIGCONT');
    });
    await until(async () => (await fleetOf(b.base)).replicas === 1, 'the replica to run out');
    if (fate === 'taken over') {
      expect((await pinged(client.at(b))).json().result).toEqual({});
      expect(await counted(b, 'adopted')).toBe(1);
    }
    a.kill('SIGCONT');
    if (fate === 'kept') {
      expect(JSON.stringify(await final(call))).toContain('progress done stopped');
      await together(a.base, b.base);
      expect([await counted(a, 'superseded'), server.ended]).toEqual([0, false]);
    } else {
      await Promise.all([server.done(), call.done()]);
      expect(await counted(a, 'superseded')).toBe(1);
      const again = await client.at(a).listen(id);
      expect(await again.message()).toMatchObject({ id: 20_001, error: { code: -32000 } });
    }
    expect(await client.at(a).tool('s__cwd')).toBeDefined();
  },
);

it('sessions of a replica that is killed while the store is away wait, are refused for now, and go on when it is back', async () => {
  const store = await startStore();
  const [a, b] = await startTwo(store);
  const client = await roaming(a.url);
  await recorded(store);
  store.pause();
  onTestFinished(() => {
    store.resume();
  });
  await until(async () => (await fleetOf(b.base)).store === 'down', 'the store to be away');
  a.kill('SIGKILL');
  await a.exit();
  const { url, headers }: LegacyClient = client.at(b);
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const refused = await post(url, ping, headers);
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
  expect((await roaming(b.url)).id).toMatch(/^[\w-]{43}$/);
  store.resume();
  expect((await pinged(client.at(b))).json().result).toEqual({});
  expect(await client.at(b).tool('s__cwd')).toBeDefined();
  expect(await counted(b, 'adopted')).toBe(1);
});

it('a replica that is cut off from store and replicas goes on with its sessions, and gives way when it is back', async () => {
  const store = await startStore();
  const key = newKey();
  const port = await freePort();
  const [toStore, toPeer] = [await startCut(store.port), await startCut(port)];
  const address = new URL(toPeer.url).host;
  const fleet = { listen: { host: '127.0.0.1', port }, address };
  const a = await startReplica(toStore, CONFIG, { key, fleet });
  const b = await startReplica(store, CONFIG, { key });
  await together(a.base, b.base);
  const client = await roaming(a.url);
  await recorded(store);
  toStore.cut();
  toPeer.cut();
  expect((await pinged(client.at(b))).json().result).toEqual({});
  expect(await counted(b, 'adopted')).toBe(1);
  // Both have it now.
  const asked = await client.at(b).stream('q__ask', {}, { id: 'of b' });
  const question = await asked.message();
  expect(question.method).toBe('elicitation/create');
  const answer = { id: question.id, result: { action: 'accept', content: {} } };
  expect((await client.at(a).say(answer)).status).toBe(400);
  expect(await client.at(a).tool('s__cwd')).toBeDefined();
  toStore.mend();
  toPeer.mend();
  await together(a.base, b.base);
  await until(async () => (await counted(a, 'superseded')) === 1, 'the session to be given up');
  expect((await client.at(a).say(answer)).status).toBe(202);
  expect(JSON.stringify(await final(asked))).toContain('accept');
});

it('a server with a session for each client starts anew where a killed replica is followed', async () => {
  const store = await startStore();
  const config = { servers: [{ ...scriptedStdio('s'), session: 'per-client' as const }] };
  const [a, b] = await startTwo(store, config);
  const client = await roaming(a.url);
  const before = await client.at(b).tool('s__pid');
  expect(await client.at(a).tool('s__pid')).toBe(before);
  await recorded(store);
  a.kill('SIGKILL');
  await a.exit();
  expect((await pinged(client.at(b))).json().result).toEqual({});
  const after = await client.at(b).tool('s__pid');
  expect(after).toMatch(/^\d+$/);
  expect(after).not.toBe(before);
});
