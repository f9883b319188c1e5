// Starting processes on a core, and reading from /proc what they used.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Whether processes can be kept to one core each. */
export const pinned = cpus().length > 1 && spawnSync('taskset', ['-V']).status === 0;
export const LOAD_CORE = 0;
export const GATEWAY_CORE = 1;

export const onCore = (core, command, args) =>
  pinned ? ['taskset', ['-c', String(core), command, ...args]] : [command, args];

const running = new Set();
export function start(core, command, args, options = {}) {
  const child = spawn(...onCore(core, command, args), { stdio: 'ignore', ...options });
  running.add(child.once('exit', () => running.delete(child)));
  return child;
}
// Leave no processes behind, even after a failure.
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 6000);
  await gone;
  clearTimeout(timer);
}

const TICKS = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout || 100);

const statOf = (pid) => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
};

/** Marks the command line of a stdio upstream, whose CPU time does not count as the gateway's. */
export const UPSTREAM_MARK = 'upstream-stdio.mjs';
const isUpstream = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(UPSTREAM_MARK);

/** The process and its descendants, without upstreams. */
function tree(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      parents.set(Number(name), statOf(name).parent);
    } catch {
      // gone meanwhile
    }
  }
  const found = [pid];
  for (const one of found)
    for (const [child, parent] of parents) if (parent === one && !isUpstream(child)) found.push(child);
  return found;
}

const sum = (pid, valueOf) => tree(pid).reduce((total, one) => total + valueOf(one), 0);

/** CPU seconds, user and system, of the process and its children. */
export const cpuSeconds = (pid) => sum(pid, (one) => statOf(one).ticks) / TICKS;

const status = (pid, field) =>
  Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

/** Resident memory in MB. */
export const memory = (pid) => sum(pid, (one) => status(one, 'VmRSS'));
/** Forgets the peak so far. */
export const resetPeak = (pid) => {
  for (const one of tree(pid)) writeFileSync(`/proc/${one}/clear_refs`, '5');
};
/** The greatest resident memory in MB since `resetPeak`. */
export const peak = (pid) => sum(pid, (one) => status(one, 'VmHWM'));

/** How many sockets a process may have open. */
export const mostFiles = () =>
  Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024);
