/** `placement: fleet`: one replica of a fleet runs a server for all of them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CONSOLE_KEY } from '../../helpers/console.js';
import { tempFile } from '../../helpers/cli.js';
import { newKey, startReplicaProcess, together, type ReplicaProcess } from '../../helpers/fleet.js';
import { send } from '../../helpers/http.js';
import { connect, LegacyClient } from '../../helpers/legacy.js';
import { call } from '../../helpers/modern.js';
import { alive, childrenOf } from '../../helpers/process.js';
import { startCut, startStore, type TestStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

let store: TestStore;
beforeAll(async () => {
  store = await startStore();
});

/** `$$` is a `$` in a configuration. Each child holds a lock as long as it lives; one that does not get it says so. The kernel is the judge: no clock is compared. */
const CHILD = `exec 9>>"$1"
flock -n 9 || { echo overlap >>"$1"; exit 1; }
echo "begin $$$$" >>"$1"
shift
exec "$@"`;

const CAN_LOCK = process.platform === 'linux' && existsSync('/usr/bin/flock');

interface Locked {
  readonly config: { servers: object[]; fleet: object };
  /** What the children wrote: `begin` and the process, or `overlap`. */
  lines(): string[];
}

async function locked(): Promise<Locked> {
  const path = await tempFile('lock', '');
  const { name, command, args } = scriptedStdio('s');
  const server = { name, command: '/bin/sh', args: ['-c', CHILD, 'sh', path, command, ...args] };
  return {
    config: {
      servers: [{ ...server, placement: 'fleet' }],
      fleet: { listen: { host: '127.0.0.1', port: 0, tls: 'psk' } },
    },
    lines: () => readFileSync(path, 'utf8').trim().split('\n'),
  };
}

type Config = Parameters<typeof startReplicaProcess>[1];

async function startAll(
  count: number,
  { config }: Locked,
  env: NodeJS.ProcessEnv = {},
): Promise<ReplicaProcess[]> {
  const key = newKey();
  const all = await Promise.all(
    Array.from({ length: count }, () => startReplicaProcess(store, config as Config, { key, env })),
  );
  await together(...all.map(({ base }) => base));
  return all;
}

/** Calls until the server is there again, and returns its process. */
async function pidAt({ url }: Pick<ReplicaProcess, 'url'>): Promise<number> {
  const client = await connect(url);
  return until(async () => {
    const { result } = await client.request('tools/call', { name: 's__pid', arguments: {} });
    const [content] =
      (result as { content?: { text?: string }[]; isError?: boolean } | undefined)?.content ?? [];
    return /^\d+$/.test(content?.text ?? '') && Number(content?.text);
  }, 'the process of the server');
}

async function holderOf(all: readonly ReplicaProcess[]): Promise<[ReplicaProcess, ReplicaProcess[]]> {
  const pid = await pidAt(all[0] as ReplicaProcess);
  const holder = all.find((each) => childrenOf(each).includes(pid));
  if (!holder) throw new Error(`no replica has the child ${pid}`);
  return [holder, all.filter((each) => each !== holder)];
}

const leaseOf = async ({ base }: Pick<ReplicaProcess, 'base'>): Promise<string | undefined> =>
  /^mcpstead_fleet_lease\{server="s"\} (\d)/m.exec((await send(`${base}/metrics`)).text)?.[1];

/** How the lease of a server begins in the store. */
function stored(): string[] {
  return leaseKeys().map((name) => /^"?(\d+:[0-9a-f]*:)/.exec(store.cli('--no-raw', 'get', name))?.[1] ?? '');
}

function leaseKeys(): string[] {
  return store.cli('keys', 'mcpstead:l:*').split('\n').filter(Boolean);
}

/** Those of the test before, whose replicas have ended. */
function forgetLeases(): void {
  for (const name of leaseKeys()) store.cli('del', name);
}

describe.runIf(CAN_LOCK)('a server that one replica runs for the whole fleet', () => {
  it('has one child, which moves when its replica is killed, and at once when it shuts down', async () => {
    forgetLeases();
    const lock = await locked();
    const all = await startAll(3, lock);
    const [holder, guests] = await holderOf(all);
    const pids = await Promise.all(all.map(pidAt));
    expect(new Set(pids).size).toBe(1);
    expect(all.flatMap(childrenOf)).toEqual([pids[0]]);
    expect((await Promise.all(all.map(leaseOf))).sort()).toEqual(['0', '0', '1']);
    for (const { url, base } of all) {
      expect(JSON.stringify(await call(url, 's__echo', { a: 1 }))).toContain('{\\"a\\":1}');
      expect(JSON.stringify(await call(`${base}/servers/s/mcp`, 'echo', { a: 2 }))).toContain('{\\"a\\":2}');
    }
    const [first, second] = guests as [ReplicaProcess, ReplicaProcess];
    const health = (await send(`${first.base}/health`)).json<{ servers: { via?: string }[] }>();
    expect(health.servers[0]?.via).toBe('fleet');
    // Its own route goes whole to the replica that runs it; the session is known everywhere.
    const client = await connect(`${first.base}/servers/s/mcp`);
    const elsewhere = new LegacyClient(`${second.base}/servers/s/mcp`, client.headers, {});
    expect(await elsewhere.tool('pid')).toBe(String(pids[0]));

    holder.kill('SIGKILL');
    await holder.exit();
    const next = await pidAt(first);
    expect(next).not.toBe(pids[0]);
    expect(await pidAt(second)).toBe(next);
    expect(guests.flatMap(childrenOf)).toEqual([next]);
    expect(alive(pids[0] as number)).toBe(false);

    const [leaving, staying] = childrenOf(first).includes(next) ? [first, second] : [second, first];
    const id = (await send(`${leaving.base}/health`)).json<{ fleet: { replica: string } }>().fleet.replica;
    expect(stored().join()).toContain(`:${id}:`);
    leaving.kill('SIGTERM');
    expect(await leaving.exit()).toBe(0);
    // It did not leave the lease to run out.
    expect(stored()).toHaveLength(1);
    expect(stored().join()).not.toContain(`:${id}:`);
    const last = await pidAt(staying);
    expect(last).not.toBe(next);
    expect(childrenOf(staying)).toEqual([last]);
    expect(lock.lines()).toEqual([pids[0], next, last].map((pid) => `begin ${pid}`));
  });

  it('ends before the next one begins when an operator restarts it, also with a call inside', async () => {
    forgetLeases();
    const lock = await locked();
    Object.assign(lock.config.servers[0] as object, { drain_seconds: 1 });
    const [only] = (await startAll(1, lock, { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY })) as [ReplicaProcess];
    const first = await pidAt(only);
    const client = await connect(only.url);
    const hung = client.request('tools/call', { name: 's__hang', arguments: {} });
    await client.tool('s__echo', { text: 'meanwhile' });
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${CONSOLE_KEY}` };
    const asked = await send(`${only.base}/-/api/v1/servers/s/restart`, {}, { headers });
    expect(asked.status).toBeLessThan(300);
    await hung;
    const next = await until(async () => {
      const pid = await pidAt(only);
      return pid !== first && pid;
    }, 'the next process');
    expect(lock.lines()).toEqual([first, next].map((pid) => `begin ${pid}`));
  });

  it('begins when that of the placement before has ended, also with a call inside', async () => {
    forgetLeases();
    const lock = await locked();
    // Longer than it takes to get the lease again.
    Object.assign(lock.config.servers[0] as object, { drain_seconds: 5 });
    const [only] = (await startAll(1, lock)) as [ReplicaProcess];
    await pidAt(only);
    const text = readFileSync(only.path, 'utf8');
    const reload = (placement: string): void => {
      writeFileSync(only.path, text.replace('"placement":"fleet"', `"placement":"${placement}"`));
      only.kill('SIGHUP');
    };
    reload('each');
    await until(async () => (await leaseOf(only)) === undefined, 'the end of the placement');
    const first = await pidAt(only);
    await until(() => childrenOf(only).join() === String(first), 'the only process');
    const client = await connect(only.url);
    const hung = client.request('tools/call', { name: 's__hang', arguments: {} });
    await client.tool('s__echo', { text: 'meanwhile' });
    const before = lock.lines();
    reload('fleet');
    await until(async () => (await leaseOf(only)) === '1', 'the lease');
    await hung;
    const next = await until(async () => {
      const pid = await pidAt(only);
      return pid !== first && pid;
    }, 'the next process');
    expect(lock.lines()).toEqual([...before, `begin ${next}`]);
  });

  it('ends before the next one begins where its replica is cut off from the store', async () => {
    forgetLeases();
    const lock = await locked();
    const key = newKey();
    const cut = await startCut(store.port);
    const a = await startReplicaProcess(cut, lock.config, { key });
    const start = () => startReplicaProcess(store, lock.config, { key });
    const [b, c] = await Promise.all([start(), start()]);
    await together(a.base, b.base, c.base);
    const old = await pidAt(b);
    expect(childrenOf(a)).toEqual([old]);
    // A call is in the child all the while.
    const hanging = (await connect(a.url)).request('tools/call', { name: 's__hang', arguments: {} });
    cut.cut();
    await until(() => [b, c].flatMap(childrenOf).length > 0, 'the next child');
    expect(childrenOf(a)).toEqual([]);
    expect(JSON.stringify(await hanging)).toMatch(/error/i);
    const next = await pidAt(b);
    expect(lock.lines()).toEqual([`begin ${old}`, `begin ${next}`]);
    cut.mend();
    expect(await pidAt(a)).toBe(next);
    expect(await pidAt(c)).toBe(next);
    expect(lock.lines()).toHaveLength(2);
  });

  it('ends before anything is sent to it where its replica was stopped', async () => {
    forgetLeases();
    const lock = await locked();
    const key = newKey();
    const a = await startReplicaProcess(store, lock.config, { key });
    const b = await startReplicaProcess(store, { ...lock.config, servers: [] }, { key });
    await together(a.base, b.base);
    const old = await pidAt(a);
    a.kill('SIGSTOP');
    onTestFinished(() => {
      a.kill('SIGCONT');
    });
    await until(() => stored().length === 0, 'the end of the lease');
    const again = pidAt(a);
    a.kill('SIGCONT');
    expect(await again).not.toBe(old);
    expect(lock.lines()).toEqual([`begin ${old}`, `begin ${await again}`]);
  });
});

describe.runIf(CAN_LOCK)('values that somebody else wrote in the place of a lease', () => {
  it.each([
    ['a list', (name: string) => store.cli('rpush', name, 'x')],
    ['a text that stays', (name: string) => store.cli('set', name, 'x')],
  ])('cost nobody the server for ever: %s', async (_what, put) => {
    forgetLeases();
    const { config } = await locked();
    const replica = await startReplicaProcess(store, config, { key: newKey() });
    const first = await pidAt(replica);
    const name = store.cli('keys', 'mcpstead:l:*');
    store.cli('del', name);
    put(name);
    await until(() => store.cli('type', name) === 'string' && store.cli('get', name) !== 'x', 'the lease');
    expect(await pidAt(replica)).toBeGreaterThan(0);
    expect(first).toBeGreaterThan(0);
  });
});
