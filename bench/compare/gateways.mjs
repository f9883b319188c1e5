// Starts a gateway with a HOME of its own, waits until it lists tools, and stops it by its process id.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, GATEWAY_CORE, memory, onCore, peak, resetPeak } from '../processes.mjs';
import { freePort } from '../targets.mjs';
import { openWire, toolNames } from './wire.mjs';

const START_LIMIT_MS = 60_000;
export const root = mkdtempSync(join(tmpdir(), 'mcpstead-compare-'));

const running = new Set();
/** Ends what a process has started, however deep: some gateways leave their servers. */
const killAll = (pids) => {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // gone
    }
};
process.once('exit', () => running.forEach(({ pid }) => killAll(descendants(pid))));

const parentOf = (pid) => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
};
/** A process and all that it started, servers too. */
export function descendants(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each)))
    try {
      parents.set(Number(name), parentOf(name));
    } catch {
      // gone meanwhile
    }
  const found = [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found;
}

export const isAlive = (pid) => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
};

/** Runs until it gives something else than undefined or false, or the time is over; then gives undefined. */
export async function eventually(limitMs, act) {
  for (const end = Date.now() + limitMs; ;) {
    const value = await act().catch(() => undefined);
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) return undefined;
    await sleep(50);
  }
}

const lastLines = (file) => {
  const plain = readFileSync(file, 'utf8').replace(/\x1b\[[0-9;]*m/g, '');
  const lines = plain.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-3).join(' ').slice(-300);
};

let count = 0;
/** Starts a gateway, without waiting for it. */
export async function launch(peer, servers, extra = {}) {
  const port = await freePort();
  const folder = join(root, `${peer.name.replace(/\W+/g, '-')}-${++count}`);
  const home = join(folder, 'home');
  mkdirSync(home, { recursive: true });
  const context = { port, folder, home, servers };
  const { command, args, env, path = '/mcp', headers, ready } = peer.start(context);
  const log = join(folder, 'log');
  const child = spawn(...onCore(GATEWAY_CORE, command, args), {
    cwd: folder,
    // Nothing of this session reaches a gateway but its path, and what the runtimes need.
    env: {
      PATH: process.env.PATH,
      LANG: 'C.UTF-8',
      HOME: home,
      XDG_CACHE_HOME: join(home, '.cache'),
      XDG_CONFIG_HOME: join(home, '.config'),
      XDG_STATE_HOME: join(home, '.state'),
      XDG_DATA_HOME: join(home, '.data'),
      ...env,
      ...extra.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const lines = createWriteStream(log);
  child.stdout.pipe(lines, { end: false });
  child.stderr.pipe(lines, { end: false });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  void gone.then(() => running.delete(child));
  child.once('error', () => {});
  const base = `http://127.0.0.1:${port}`;
  const { pid } = child;
  const gateway = {
    ...context,
    peer,
    child,
    pid,
    gone,
    base,
    url: base + path,
    kind: peer.kind ?? 'http',
    headers: headers ?? {},
    log,
    ready,
    line: [command, ...args].join(' '),
    cpu: () => cpuSeconds(pid),
    memory: () => memory(pid),
    peak: () => peak(pid),
    resetPeak: () => resetPeak(pid),
    said: () => lastLines(log),
    async stop() {
      const all = descendants(pid);
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await Promise.race([gone, sleep(4000)]);
      }
      killAll(all.filter(isAlive));
      lines.end();
    },
  };
  return gateway;
}

/** A session and its tools, once at least `least` of them are listed. */
export async function firstList(gateway, least = 1, limitMs = START_LIMIT_MS) {
  let last;
  let isReady = gateway.ready === undefined;
  const found = await eventually(limitMs, async () => {
    if (gateway.child.exitCode !== null || gateway.child.signalCode !== null) return 'ended';
    let wire;
    try {
      if (!isReady) isReady = await gateway.ready(gateway);
      if (!isReady) return false;
      wire = await openWire(gateway);
      const names = await toolNames(wire);
      if (names.length >= least) return { wire, names };
      last = new Error(`it lists ${names.length} tools, not ${least}`);
    } catch (error) {
      last = error;
    }
    wire?.close();
    return false;
  });
  if (found === undefined || found === 'ended') {
    const why = found === 'ended' ? 'it ended' : (last?.message ?? 'no answer');
    throw new Error(`does not start: ${why}; its last lines: ${gateway.said()}`);
  }
  return found;
}

/** Starts a gateway and waits until it lists tools. `use` gets it; it is stopped whatever happens. */
export async function withGateway(peer, servers, use, { least = 1, limitMs, ...extra } = {}) {
  const gateway = await launch(peer, servers, extra);
  try {
    const { wire, names } = await firstList(gateway, least, limitMs);
    wire.close();
    return await use(gateway, names);
  } finally {
    await gateway.stop();
  }
}
