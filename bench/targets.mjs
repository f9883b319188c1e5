// The compared gateways, and how to start each in front of its upstreams.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { mcpsteadConfig, nginxConfig } from './configs.mjs';
import { cpuSeconds, GATEWAY_CORE, LOAD_CORE, memory, onCore, peak, resetPeak } from './processes.mjs';
import { start, stop, UPSTREAM_MARK } from './processes.mjs';

export const TOKEN = 'bench-token-0123456789abcdef';
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const MAIN = process.env.MCPSTEAD_MAIN ?? here('../dist/cli/main.js');
const RUST = process.env.MCPSTEAD_RUST ?? join(homedir(), '.cargo/bin/mcpstead');
const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find(existsSync) ?? 'nginx';
const MCP_PROXY = here('node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs');
const SUPERGATEWAY = here('node_modules/supergateway/dist/index.js');

export const firstLine = (command, ...args) => {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n')[0];
};

/** `plain`: no MCP in it; `whole`: it reads an answer before it sends it; `stdio`: false if it starts no servers over stdio; `npm`: it does nothing else. */
const all = [
  {
    name: 'mcpstead',
    what: process.env.MCPSTEAD_MAIN ?? 'this tree',
    missing: existsSync(MAIN) ? undefined : 'npm run build',
    command: (port, setup) => [process.execPath, [MAIN, '--config', mcpsteadConfig(port, setup)]],
  },
  {
    name: 'rust',
    stdio: false,
    what: 'mcpstead 0.1.13',
    missing: existsSync(RUST)
      ? undefined
      : 'cargo install mcpstead --version 0.1.13, or MCPSTEAD_RUST=its path',
    command: (port, setup) => [RUST, ['--config', mcpsteadConfig(port, { servers: setup.servers })]],
  },
  {
    name: 'nginx',
    what: `plain proxy_pass, ${firstLine(NGINX, '-v')}`,
    missing: spawnSync(NGINX, ['-v']).status === 0 ? undefined : 'apt install nginx-light',
    plain: true,
    stdio: false,
    command: (port, setup) => [NGINX, ['-c', nginxConfig(port, setup)]],
  },
  {
    name: 'bare',
    what: 'a proxy of node:http and undici without MCP, bare-proxy.mjs',
    plain: true,
    whole: true,
    stdio: false,
    command: (port, { servers }) => [process.execPath, [here('bare-proxy.mjs'), port, servers[0].url]],
  },
  {
    name: 'mcp-proxy',
    what: 'mcp-proxy 6.7.19 of npm, without its event store',
    missing: existsSync(MCP_PROXY) ? undefined : 'npm install in bench/',
    npm: true,
    health: '/ping',
    command: (port, { servers: [{ command, args }] }) => [
      process.execPath,
      [MCP_PROXY, '--host', '127.0.0.1', '--port', port, '--no-eventStore', '--', command, ...args],
    ],
  },
  {
    name: 'supergateway',
    what: 'supergateway 4.0.0 of npm, stateful, without its log',
    missing: existsSync(SUPERGATEWAY) ? undefined : 'npm install in bench/',
    npm: true,
    command: (port, { servers: [{ command, args }] }) => [
      process.execPath,
      [
        ...[SUPERGATEWAY, '--stdio', [command, ...args].join(' '), '--port', port],
        ...['--outputTransport', 'streamableHttp', '--stateful'],
        ...['--logLevel', 'none', '--healthEndpoint', '/health'],
      ],
    ],
  },
];

export const targets = all.filter((target) => !target.missing);
export const leftOut = all.filter((target) => target.missing);
export const overHttp = targets.filter((target) => !target.npm);
export const overStdio = targets.filter((target) => target.stdio !== false);
/** Gateways with sessions, lists and questions over HTTP: both generations of mcpstead. */
export const ours = overHttp.filter((target) => !target.plain);
export const mcpstead = targets.find((target) => target.name === 'mcpstead');

const settleFile = here('settle.mjs');
/** mcpstead with garbage collection on request, to measure the memory in use. */
export const settling = mcpstead && {
  ...mcpstead,
  settles: true,
  command: (port, setup) => {
    const [node, args] = mcpstead.command(port, setup);
    return [node, ['--expose-gc', '--import', settleFile, ...args]];
  },
};

/** The setup in front of one HTTP upstream. */
export const http = (url, settings) => ({ servers: [{ name: 'bench', url }], settings });
/** The same in front of a fast server over stdio, which is kept to the core of the load. */
export function stdio() {
  const [command, args] = onCore(LOAD_CORE, process.execPath, [here(UPSTREAM_MARK)]);
  return { servers: [{ name: 'bench', command, args }] };
}

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The memory of a gateway at the end: after garbage collection, if it supports that on request. */
async function settled(target, pid, file) {
  await sleep(1000);
  if (target.settles) {
    rmSync(file, { force: true });
    process.kill(pid, 'SIGUSR2');
    while (!existsSync(file)) await sleep(20);
    await sleep(200);
  }
  return memory(pid);
}

/** Starts a gateway, without waiting for it. */
export async function launch(target, setup) {
  const port = String(await freePort());
  const file = join(tmpdir(), `mcpstead-bench-${process.pid}-${port}`);
  // Its own folder for what it keeps between runs: each measures a first start, and none meets the files of others.
  const cache = `${file}-cache`;
  const env = {
    ...process.env,
    MCPSTEAD_BEARER_TOKEN: TOKEN,
    BENCH_SETTLED: file,
    XDG_CACHE_HOME: cache,
  };
  const child = start(GATEWAY_CORE, ...target.command(port, setup), { env });
  const base = `http://127.0.0.1:${port}`;
  // taskset replaces itself by the command, so this is the gateway's own process.
  const { pid } = child;
  return {
    name: target.name,
    url: `${base}/mcp`,
    base,
    pid,
    child,
    /** Another configuration for the next reload. */
    configure: (next) => target.command(port, next),
    cpu: () => cpuSeconds(pid),
    memory: () => memory(pid),
    settled: () => settled(target, pid, file),
    peak: () => peak(pid),
    resetPeak: () => resetPeak(pid),
    stop: () =>
      stop(child).finally(() => {
        rmSync(file, { force: true });
        rmSync(cache, { recursive: true, force: true });
      }),
  };
}

async function healthy(target, base) {
  const answer = await fetch(base + (target.health ?? '/health'));
  if (!answer.ok || target.plain || target.npm) return answer.ok;
  return (await answer.json()).status === 'ok';
}

/** Starts a gateway and waits until it serves its upstreams. */
export async function run(target, setup) {
  const gateway = await launch(target, setup);
  const deadline = Date.now() + 60_000;
  while (!(await healthy(target, gateway.base).catch(() => false))) {
    if (gateway.child.exitCode !== null || Date.now() > deadline) {
      await gateway.stop();
      throw new Error(`${target.name} does not start`);
    }
    await sleep(20);
  }
  return gateway;
}
