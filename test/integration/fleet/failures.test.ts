/** What a fleet does when replicas or the store fail: sessions go on, nothing is misapplied, and nobody is told 404 in doubt. */
import { describe, expect, it } from 'vitest';
import { tempFile } from '../../helpers/cli.js';
import {
  fleetOf,
  newKey,
  pinged,
  roaming,
  startProcesses,
  startReplica,
  startReplicaProcess,
  startReplicas,
  together,
  type ReplicaProcess,
} from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { send } from '../../helpers/http.js';
import { connect, final, heard, messagesOf } from '../../helpers/legacy.js';
import { freePort } from '../../helpers/port.js';
import { startCut, startStore } from '../../helpers/store.js';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const CONFIG = {
  servers: ['s', 'q'].map((name) => ({ ...scriptedStdio(name), placement: 'each' as const })),
};
const records = (store: { cli(...args: string[]): string }): number =>
  store.cli('keys', '*:s:*').split('\n').filter(Boolean).length;

describe('a replica that is killed', () => {
  it('loses its own calls, and no session', async () => {
    const store = await startStore();
    const [a, b, c] = (await startProcesses(3, store, CONFIG)) as [
      ReplicaProcess,
      ReplicaProcess,
      ReplicaProcess,
    ];
    const clients = await Promise.all(Array.from({ length: 8 }, () => roaming(a.url)));
    const near = await roaming(b.url);
    await until(() => records(store) === 9, 'the records');
    const [first] = clients as [Awaited<ReturnType<typeof roaming>>];
    const hanging = first.at(b).request('tools/call', { name: 's__hang', arguments: {} });
    await until(async () => (await first.at(c).tool('s__received')).includes('hang'), 'the call');
    a.kill('SIGKILL');
    // It may have run: the client is told, and does not wait.
    expect((await hanging).error).toMatchObject({
      code: -32000,
      message: expect.stringContaining('gone') as string,
    });
    // No 404 on the way. What may be done twice does not fail with a connection that has just broken either.
    for (const [index, client] of clients.entries()) {
      const at = client.at(index % 2 === 0 ? b : c);
      expect((await pinged(at)).json().result).toEqual({});
      expect(await at.tool('s__cwd')).toBeDefined();
    }
    expect(await near.at(c).tool('s__cwd')).toBeDefined();
    const adopted = async (base: string): Promise<number> =>
      Number(/^mcpstead_fleet_adopted_total (\d+)/m.exec((await send(`${base}/metrics`)).text)?.[1]);
    expect((await adopted(b.base)) + (await adopted(c.base))).toBe(8);
    await together(b.base, c.base);
  });

  it('leaves streams that open anew, and calls that are told to be gone', async () => {
    const store = await startStore();
    const [a, b] = (await startProcesses(2, store, CONFIG)) as [ReplicaProcess, ReplicaProcess];
    const client = await roaming(a.url);
    const stream = await client.at(a).listen();
    const event = await until(() => /^id: (\S+)/m.exec(stream.text)?.[1], 'the id of the stream');
    const call = await client
      .at(a)
      .stream('s__progress', { steps: 1000, ms: 50 }, { id: 'my call', meta: { progressToken: 1 } });
    const { id: lastSeen } = await call.next();
    await until(() => records(store) === 1, 'the record');
    a.kill('SIGKILL');
    await Promise.all([stream.done(), call.done()]);
    expect((await pinged(client.at(b))).json().result).toEqual({});
    const again = await client.at(b).listen(lastSeen);
    expect(await again.message()).toMatchObject({ id: 'my call', error: { code: -32000 } });
    await again.done();
    const opened = await client.at(b).listen(event);
    expect(opened.status).toBe(200);
    await until(() => messagesOf(opened).length >= 3, 'a word about each list');
    expect(
      messagesOf(opened)
        .map(({ method }) => method)
        .sort(),
    ).toEqual([
      'notifications/prompts/list_changed',
      'notifications/resources/list_changed',
      'notifications/tools/list_changed',
    ]);
    opened.close();
  });
});

describe('a replica that is stopped', () => {
  it('loses its sessions to others, and misapplies nothing when it comes back', async () => {
    const store = await startStore();
    const [a, b] = (await startProcesses(2, store, CONFIG)) as [ReplicaProcess, ReplicaProcess];
    const client = await roaming(a.url);
    await until(() => records(store) === 1, 'the record');
    a.kill('SIGSTOP');
    // What may be done twice waits until the replica is known to be away.
    expect((await pinged(client.at(b))).json().result).toEqual({});
    expect(await client.at(b).tool('s__cwd')).toBeDefined();
    const asked = await client.at(b).stream('q__ask');
    const [question] = await heard(asked, 'elicitation/create');
    a.kill('SIGCONT');
    await together(a.base, b.base);
    // An answer to a question of the other generation is refused, wherever it comes.
    const old = { id: 1, result: { action: 'accept', content: {} } };
    expect((await client.at(b).say(old)).status).toBe(400);
    const answered = await client.at(a).say({ id: question?.id, result: { action: 'decline' } });
    expect(answered.status).toBe(202);
    expect(JSON.stringify(await final(asked))).toContain('decline');
    expect((await send(`${a.base}/metrics`)).text).toMatch(/^mcpstead_fleet_superseded_total 1$/m);
  });
});

describe('the store', () => {
  it('may be away at the start, and for a while', async () => {
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    const key = newKey();
    const a = await startReplica({ url }, CONFIG, { key });
    const early = await roaming(a.url);
    expect(await early.at(a).tool('s__cwd')).toBeDefined();
    expect((await fleetOf(a.base)).store).toBe('down');
    const store = await startStore({ port });
    const b = await startReplica({ url }, CONFIG, { key });
    await together(a.base, b.base);
    // What was opened before is written now, and leads home anyway.
    await until(() => records(store) === 1, 'the record');
    expect(await early.at(b).tool('s__cwd')).toBeDefined();
    await store.stop();
    await until(async () => (await fleetOf(b.base)).store === 'down', 'the store to be away');
    const later = await roaming(b.url);
    for (const replica of [a, b]) {
      expect(await early.at(replica).tool('s__cwd')).toBeDefined();
      expect(await later.at(replica).tool('s__cwd')).toBeDefined();
    }
  });

  it('that lost everything is filled again', async () => {
    const store = await startStore();
    const key = newKey();
    const a = await startReplicaProcess(store, CONFIG, { key });
    const b = await startReplica(store, CONFIG, { key });
    await together(a.base, b.base);
    const client = await roaming(a.url);
    await until(() => records(store) === 1, 'the record');
    await store.kill();
    await startStore({ port: store.port });
    await together(a.base, b.base);
    await until(() => records(store) === 1, 'the record to be written again');
    a.kill('SIGKILL');
    // The store is young: nobody is declared dead, and nobody is told 404 either.
    expect((await pinged(client.at(b))).json().result).toEqual({});
    expect(await client.at(b).tool('s__cwd')).toBeDefined();
  });

  it('that has just lost everything does not cost a session whose first replica is gone', async () => {
    const store = await startStore();
    const [a, b, c] = (await startReplicas(3, store, CONFIG)) as [
      RunningGateway,
      RunningGateway,
      RunningGateway,
    ];
    const clients = await Promise.all(Array.from({ length: 5 }, () => roaming(a.url)));
    const over = await roaming(a.url);
    await over.at(a).end();
    await until(async () => (await pinged(over.at(c))).status === 404, 'the last replica to be sure');
    await a.gateway.close();
    for (const client of clients) expect((await pinged(client.at(b))).status).toBe(200);
    store.cli('flushall');
    // Before anybody has noticed.
    const asked = await Promise.all(clients.map((client) => pinged(client.at(c))));
    expect(asked.map(({ status }) => status)).toEqual(clients.map(() => 200));
  });

  it('that is away for one replica alone does not cost it its sessions', async () => {
    const store = await startStore();
    const key = newKey();
    const cut = await startCut(store.port);
    const a = await startReplica(cut, CONFIG, { key });
    const b = await startReplica(store, CONFIG, { key });
    await together(a.base, b.base);
    const client = await roaming(a.url);
    await until(() => records(store) === 1, 'the record');
    cut.cut();
    await until(async () => (await fleetOf(b.base)).replicas === 1, 'the other replica to run out');
    await until(async () => (await fleetOf(a.base)).store === 'down', 'the store to be away');
    for (let n = 0; n < 3; n++) expect(await client.at(b).tool('s__cwd')).toBeDefined();
    // Nor those that are opened meanwhile, of which the store knows nothing.
    const later = await roaming(a.url);
    for (let n = 0; n < 3; n++) expect(await later.at(b).tool('s__cwd')).toBeDefined();
    expect((await later.at(b).end()).status).toBe(200);
    expect((await pinged(later.at(b))).status).toBe(404);
    expect(await b.metric('mcpstead_fleet_adopted_total')).toBe(0);
    cut.mend();
    await together(a.base, b.base);
    expect(await client.at(b).tool('s__cwd')).toBeDefined();
    expect(await a.metric('mcpstead_fleet_superseded_total')).toBe(0);
  });

  it('that cannot be told yet that a session has ended revives none', async () => {
    const store = await startStore();
    const [a, b, c] = (await startReplicas(3, store, CONFIG)) as [
      RunningGateway,
      RunningGateway,
      RunningGateway,
    ];
    const client = await roaming(a.url);
    await until(() => records(store) === 1, 'the record');
    store.pause();
    expect((await client.at(b).end()).status).toBe(200);
    for (const each of [a, b, c]) expect((await pinged(client.at(each))).status).toBe(404);
    store.resume();
    for (const each of [a, b, c]) expect((await pinged(client.at(each))).status).toBe(404);
    await until(() => records(store) === 0, 'the record to be removed');
  });

  it('with values that somebody else wrote leads nobody astray', async () => {
    const store = await startStore();
    const [a, b] = (await startReplicas(2, store, CONFIG)) as [RunningGateway, RunningGateway];
    const [one, two] = [await roaming(a.url), await roaming(a.url)];
    await until(() => records(store) === 2, 'the records');
    const [first = '', second = ''] = store.cli('keys', '*:s:*').split('\n');
    // Swapped, cut, and with another owner.
    store.cli('rename', first, 'x');
    store.cli('copy', second, first);
    store.cli('setrange', second, '0', '9');
    for (const client of [one, two]) {
      expect(await client.at(b).tool('s__cwd')).toBeDefined();
      const stream = await client.at(b).listen();
      expect(stream.status).toBe(200);
      stream.close();
    }
    store.cli('zadd', 'mcpstead:{r}:z', '9999999999999', 'ffffffffff');
    store.cli('hset', 'mcpstead:{r}:h', 'ffffffffff', 'forged');
    await until(async () => (await b.metric('mcpstead_fleet_strangers_total')) > 0, 'a stranger');
    await together(a.base, b.base);
  });
});

it('two replicas that go on with a session at once agree who has it', async () => {
  const store = await startStore();
  const [a, b, c] = (await startProcesses(3, store, CONFIG)) as [
    ReplicaProcess,
    ReplicaProcess,
    ReplicaProcess,
  ];
  const client = await roaming(a.url);
  await until(() => records(store) === 1, 'the record');
  a.kill('SIGKILL');
  const [at, other] = [client.at(b), client.at(c)];
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => pinged(n % 2 === 0 ? at : other)));
  for (const answer of answers) expect(answer.json().result).toEqual({});
  expect(await at.tool('s__cwd')).toBeDefined();
  const adopted = await Promise.all(
    [b, c].map(async ({ base }) =>
      Number(/^mcpstead_fleet_adopted_total (\d+)/m.exec((await send(`${base}/metrics`)).text)?.[1]),
    ),
  );
  expect(adopted.sort()).toEqual([0, 1]);
});

it('a restart loses no session and fails no call', async () => {
  const store = await startStore();
  const key = newKey();
  const upstream = await createUpstream({ tools: [tool('echo')] });
  const config = {
    servers: [{ name: 'u', url: upstream.url }],
    http: { drain_delay_seconds: 1 },
    mcp: { session: { shutdown_grace_seconds: 5 } },
  };
  const a = await startReplicaProcess(store, config, { key });
  const b = await startReplicaProcess(store, config, { key });
  await together(a.base, b.base);
  const client = await roaming(a.url);
  const stream = await client.at(a).listen();
  a.kill('SIGTERM');
  await until(async () => (await fleetOf(a.base)).draining, 'the replica to drain');
  // A balancer has not noticed yet: what is new goes to the other replica, and calls go on.
  const late = await connect(a.url);
  expect(await late.tool('u__echo')).toBeDefined();
  expect(await client.at(a).tool('u__echo')).toBeDefined();
  await stream.done();
  expect(stream.text).toMatch(/^retry: \d+$/m);
  const again = await client.at(b).listen();
  expect(again.status).toBe(200);
  expect(await a.exit()).toBe(0);
  expect(await client.at(b).tool('u__echo')).toBeDefined();
  expect(await late.request('ping').catch(() => undefined)).toBeUndefined();
  again.close();
});

it('the state key is changed without a lost session', async () => {
  const store = await startStore();
  const [old, next] = [newKey(), newKey()];
  const start = async (keys: string): Promise<RunningGateway> =>
    startReplica(store, CONFIG, {
      key: '',
      env: { MCPSTEAD_STATE_KEY_FILE: await tempFile('state-key', keys) },
    });
  const a = await start(`${old}\n${next}`);
  const b = await start(`${next}\n${old}`);
  await together(a.base, b.base);
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const client = await roaming(from.url);
    expect(await client.at(to).tool('s__cwd')).toBeDefined();
    const stream = await client.at(to).listen();
    expect(stream.status).toBe(200);
    expect(await client.at(from).tool('s__cwd')).toBeDefined();
    stream.close();
  }
});

it('a replica that shuts down loses no call that comes to it through another one', async () => {
  const replicas = await startReplicas(2, await startStore(), CONFIG);
  const [a, b] = replicas as [RunningGateway, RunningGateway];
  const sessions = await Promise.all(Array.from({ length: 8 }, () => roaming(a.url)));
  let isOver = false;
  const calling = sessions.map(async (session) => {
    const there = session.at(b);
    for (let i = 0; !isOver; i++) expect(await there.tool('s__echo', { i })).toContain(`"i":${i}`);
  });
  await a.gateway.close();
  isOver = true;
  await Promise.all(calling);
  expect(await b.metric('mcpstead_fleet_forwarded_total{result="lost"}')).toBe(0);
  for (const session of sessions) expect(await session.at(b).tool('s__echo', { i: 'x' })).toContain('x');
});
