/** `placement: host`: several processes of a machine run one child of a server, and each of them serves it. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  newKey,
  startProcesses,
  startReplica,
  startReplicaProcess,
  together,
  type ReplicaProcess,
} from '../../helpers/fleet.js';
import { openSse, post, send, SSE_ONLY, textOf } from '../../helpers/http.js';
import { connect, final, heard, LegacyClient, messagesOf } from '../../helpers/legacy.js';
import { call, EVERYTHING, needs } from '../../helpers/modern.js';
import { alive, childrenOf } from '../../helpers/process.js';
import { startStore, type TestStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

let store: TestStore;
beforeAll(async () => {
  store = await startStore();
});

type Replica = Pick<ReplicaProcess, 'url' | 'pid'>;

/** The process of a server, as a client of one replica sees it. */
async function pidAt({ url }: Pick<Replica, 'url'>): Promise<number> {
  return Number(await (await connect(url)).tool('s__pid'));
}

interface Roles {
  readonly holder: ReplicaProcess;
  readonly guests: readonly ReplicaProcess[];
}

/** The process that runs the server, and the others. */
async function rolesOf(all: readonly ReplicaProcess[]): Promise<Roles> {
  const pid = await pidAt(all[0] as ReplicaProcess);
  const holder = all.find((each) => childrenOf(each).includes(pid));
  if (!holder) throw new Error(`no replica has the child ${pid}`);
  return { holder, guests: all.filter((each) => each !== holder) };
}

const CONFIG = { servers: [scriptedStdio('s')] };

/** Writes another configuration of a process, and waits until it is in force. */
async function reload({ path, base, pid }: ReplicaProcess, config: object): Promise<void> {
  await writeFile(path, JSON.stringify({ ...config, fleet: { store: store.url } }));
  const count = async (): Promise<number> => {
    const line = /^mcpstead_config_reloads_total\{result="success"\} (\d+)/m;
    return Number(line.exec((await send(`${base}/metrics`)).text)?.[1] ?? 0);
  };
  const before = await count();
  process.kill(pid, 'SIGHUP');
  await until(async () => (await count()) > before, 'the reload');
}

describe.runIf(process.platform === 'linux')('a server that one process runs for all of a host', () => {
  it('has one child, and serves the clients of all processes', async () => {
    const all = await startProcesses(4, store, CONFIG);
    const { guests } = await rolesOf(all);
    const pids = await Promise.all(all.map(pidAt));
    expect(new Set(pids).size).toBe(1);
    expect(all.flatMap(childrenOf)).toEqual([pids[0]]);

    const clients = await Promise.all(guests.map(({ url }) => connect(url)));
    const streams = await Promise.all(
      clients.map((client, i) =>
        client.stream('s__progress', { mark: i }, { meta: { progressToken: `p${i}` } }),
      ),
    );
    for (const [i, stream] of streams.entries()) {
      expect(textOf(await final(stream))).toBe(`progress done ${i}`);
      const told = messagesOf(stream).filter(({ method }) => method === 'notifications/progress');
      expect(told.map(({ params }) => params?.['progressToken'])).toEqual([`p${i}`, `p${i}`, `p${i}`]);
    }
    for (const { url, base } of all) {
      expect(textOf(await call(url, 's__echo', { a: 1 }))).toBe('{"a":1}');
      expect(textOf(await call(`${base}/servers/s/mcp`, 'echo', { a: 2 }))).toBe('{"a":2}');
    }
    // Its own route goes whole to the process that runs it; the session is known everywhere.
    const [first, second] = guests as [ReplicaProcess, ReplicaProcess];
    const client = await connect(`${first.base}/servers/s/mcp`);
    const elsewhere = new LegacyClient(`${second.base}/servers/s/mcp`, client.headers, {});
    expect(await elsewhere.tool('pid')).toBe(String(pids[0]));
    expect((await elsewhere.end()).status).toBe(200);
  });

  it('is started again at once where its process is killed', async () => {
    const all = await startProcesses(3, store, CONFIG);
    const { holder, guests } = await rolesOf(all);
    const clients = await Promise.all(guests.map(({ url }) => connect(url)));
    const old = Number(await clients[0]?.tool('s__pid'));
    process.kill(holder.pid, 'SIGKILL');
    await holder.exit();
    const pids = await Promise.all(clients.map((client) => client.tool('s__pid')));
    expect(new Set(pids).size).toBe(1);
    expect(pids[0]).not.toBe(String(old));
    expect(guests.flatMap(childrenOf)).toEqual([Number(pids[0])]);
    await until(() => !alive(old), 'the end of the old child');
    const fresh = await connect(`${guests[1]?.base}/servers/s/mcp`);
    expect(await fresh.tool('pid')).toBe(pids[0]);
  });

  it('has no second child while its process is stopped', async () => {
    const all = await startProcesses(2, store, CONFIG);
    const { holder, guests } = await rolesOf(all);
    const [guest] = guests as [ReplicaProcess];
    const client = await connect(guest.url);
    const pid = await client.tool('s__pid');
    process.kill(holder.pid, 'SIGSTOP');
    onTestFinished(() => {
      process.kill(holder.pid, 'SIGCONT');
    });
    const answer = client.tool('s__pid');
    // The guest is at work, and has sent the call.
    await until(async () => {
      const { text } = await send(`${guest.base}/metrics`);
      return text.includes('mcpstead_requests_in_flight{server="s"} 1\n');
    }, 'the call');
    expect(childrenOf(guest)).toEqual([]);
    process.kill(holder.pid, 'SIGCONT');
    expect(await answer).toBe(pid);
    expect(childrenOf(guest)).toEqual([]);
  });

  it('moves without a failed call where its process ends in good order', async () => {
    const all = await startProcesses(2, store, CONFIG);
    const { holder, guests } = await rolesOf(all);
    const client = await connect((guests[0] as ReplicaProcess).url);
    const before = await client.tool('s__pid');
    const running = client.stream('s__progress', { steps: 20, ms: 20, mark: 'moved' });
    process.kill(holder.pid, 'SIGTERM');
    let now = before;
    while (now === before) {
      now = await client.tool('s__pid');
      expect(now).toMatch(/^\d+$/);
    }
    expect(textOf(await final(await running))).toBe('progress done moved');
    expect(await holder.exit()).toBe(0);
    expect(await client.tool('s__pid')).toBe(now);
  });

  it('is run by each process whose configuration of it differs, and follows a reload', async () => {
    const key = newKey();
    const [a, b] = [
      await startReplicaProcess(store, CONFIG, { key }),
      await startReplicaProcess(store, { servers: [{ ...scriptedStdio('s'), env: { A: '1' } }] }, { key }),
    ];
    expect(await pidAt(a)).not.toBe(await pidAt(b));
    const client = await connect(b.url);
    await reload(b, CONFIG);
    await until(async () => (await client.tool('s__pid')) === String(await pidAt(a)), 'one child');
    await until(() => childrenOf(b).length === 0, 'the end of the other child');

    await reload(b, { servers: [scriptedStdio('other')] });
    expect(textOf(await call(b.url, 'other__echo', { a: 1 }))).toBe('{"a":1}');
    await reload(b, CONFIG);
    expect(await pidAt(b)).toBe(await pidAt(a));

    await reload(a, { servers: [scriptedStdio('other')] });
    await until(async () => childrenOf(b).includes(await pidAt(b)), 'a child of the remaining process');
  });

  it('is run by each process if a stranger has the name', async () => {
    const key = newKey();
    const names = (): string[] =>
      readFileSync('/proc/net/unix', 'utf8').match(/(?<=@)mcpstead-[\w-]{32}/g) ?? [];
    const before = new Set(names());
    const first = await startReplicaProcess(store, CONFIG, { key });
    const [name] = names().filter((each) => !before.has(each));
    process.kill(first.pid, 'SIGKILL');
    await first.exit();
    const stranger = createServer((socket) => {
      socket.on('error', () => undefined).end('x'.repeat(64));
    });
    await new Promise<void>((resolve) => stranger.listen({ path: `\0${name ?? ''}` }, resolve));
    onTestFinished(() => {
      stranger.close();
    });
    const all = [
      await startReplicaProcess(store, CONFIG, { key }),
      await startReplicaProcess(store, CONFIG, { key }),
    ];
    for (const each of all) {
      expect(childrenOf(each)).toEqual([await pidAt(each)]);
      expect(each.stdout + each.stderr).toContain('placement: host is not possible');
    }
  });
});

describe.runIf(process.platform === 'linux')('questions of a server that another process runs', () => {
  const servers = ['s', 'q1', 'q2', 'q3', 'q4'].map((name) => scriptedStdio(name));
  let holders: (name: string) => ReplicaProcess;
  let others: (name: string) => ReplicaProcess;

  beforeAll(async () => {
    const all = await startProcesses(2, store, { servers });
    const running = new Map<string, ReplicaProcess>();
    for (const { base } of all)
      for (const line of (await send(`${base}/metrics`)).text.split('\n')) {
        const [, server, holds] = /^mcpstead_fleet_lease\{server="(\w+)"\} (\d)/.exec(line) ?? [];
        if (holds === '1')
          running.set(server as string, all.find((each) => each.base === base) as ReplicaProcess);
      }
    expect([...running.keys()].sort()).toEqual(servers.map(({ name }) => name).sort());
    holders = (name) => running.get(name) as ReplicaProcess;
    others = (name) => all.find((each) => each !== running.get(name)) as ReplicaProcess;
  });

  it('reach a client of the merged endpoint, and its answer comes back', async () => {
    const client = await connect(others('q1').url);
    const stream = await client.stream('q1__ask');
    const [question] = await heard(stream, 'elicitation/create');
    await client.say({ id: question?.id, result: { action: 'decline' } });
    expect(textOf(await final(stream))).toContain('decline');
  });

  it('reach a client of its own endpoint, and a modern client', async () => {
    const client = await connect(`${others('q2').base}/servers/q2/mcp`);
    const stream = await client.stream('ask');
    const [question] = await heard(stream, 'elicitation/create');
    await client.say({ id: question?.id, result: { action: 'decline' } });
    expect(textOf(await final(stream))).toContain('decline');

    const who = { capabilities: EVERYTHING, clientInfo: { name: 'one', version: '1' } };
    const first = needs(await call(`${others('q3').base}/servers/q3/mcp`, 'ask', {}, who));
    const [key] = Object.keys(first.inputRequests) as [string];
    const more = {
      requestState: first.requestState,
      inputResponses: { [key]: { action: 'accept', content: {} } },
    };
    expect(textOf(await call(`${others('q3').base}/servers/q3/mcp`, 'ask', {}, { ...who, more }))).toContain(
      'accept',
    );
  });

  it('are refused if they may be late ones about another client', async () => {
    const [x, y] = [await connect(others('q4').url), await connect(others('q4').url)];
    expect(await x.tool('q4__echo')).toBe('{}');
    expect(await y.tool('q4__ask')).toContain('error');
    const z = await connect(holders('q4').url);
    expect(await z.tool('q4__ask')).toContain('error');
  });
});

describe.runIf(process.platform === 'linux')('a client of a process that does not run the server', () => {
  it('is judged and counted there alone', async () => {
    const key = newKey();
    // The policy of the process with the server shows nothing to anybody.
    const strict = { ...CONFIG, policy: { default: 'deny' as const, rules: [] } };
    const holder = await startReplica(store, strict, { key });
    const guest = await startReplica(store, CONFIG, { key });
    const client = await connect(guest.url);
    expect(await client.tool('s__echo', { a: 1 })).toBe('{"a":1}');
    const theirs = await connect(holder.url);
    expect((await theirs.request('tools/call', { name: 's__echo', arguments: {} })).error).toBeDefined();
    const calls = 'mcpstead_mcp_requests_total{method="tools/call",result="success"}';
    expect(await guest.metric(calls)).toBe(1);
    expect(await holder.metric(calls)).toBe(0);

    const [here, there] = await Promise.all([guest.health(), holder.health()]);
    expect(here.servers[0]).toMatchObject({ via: 'host', protocol: 'stdio', url: there.servers[0]?.url });
    expect(there.servers[0]).not.toHaveProperty('via');
  });

  it('opens streams of HTTP+SSE where the server runs', async () => {
    const key = newKey();
    const holder = await startReplica(store, CONFIG, { key });
    const guest = await startReplica(store, CONFIG, { key });
    await together(holder.base, guest.base);
    const stream = await openSse(`${guest.base}/servers/s/sse`, undefined, SSE_ONLY);
    const path = (await stream.next()).data;
    const init = {
      ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
      params: { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
    };
    expect((await post(`${guest.base}${path}`, init)).status).toBe(202);
    expect((await stream.message()).result).toBeDefined();
    expect(await holder.metric('mcpstead_downstream_sessions_active')).toBe(1);
    expect(await guest.metric('mcpstead_downstream_sessions_active')).toBe(0);
    stream.close();
  });
});
