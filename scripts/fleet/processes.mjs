// Processes that a command starts, each with one owner that ends it.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

const KEPT_OUTPUT = 200_000;
/** How long a process may take to end after SIGTERM, before SIGKILL. */
const END_MS = 30_000;

/** A port of 127.0.0.1 that is free now. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Polls until `probe` returns something true. Rejects after `ms` with what was waited for. */
export async function until(probe, what, ms = 60_000) {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${ms / 1000} s`);
    await sleep(50);
  }
}

/** The status of a GET, or 0 if nobody answers within two seconds. */
export async function statusOf(url) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}

/** A child process and the end of what it writes. */
export class Process {
  constructor(command, args, { env = process.env, cwd } = {}) {
    this.output = '';
    this.isOver = false;
    // A group of its own: Ctrl-C reaches the command alone, which ends everything in order.
    this.child = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        this.output = (this.output + text).slice(-KEPT_OUTPUT);
      });
    this.ended = new Promise((resolve) => {
      const over = (why) => {
        this.isOver = true;
        resolve(why);
      };
      this.child.once('error', (error) => over(error.message));
      this.child.once('exit', (code, signal) => over(signal ?? `status ${code}`));
    });
  }

  get pid() {
    return this.child.pid;
  }

  kill(signal) {
    if (!this.isOver) this.child.kill(signal);
  }

  /** SIGTERM, and SIGKILL if that does not help. */
  async stop() {
    this.kill('SIGTERM');
    const timer = setTimeout(() => this.kill('SIGKILL'), END_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Whether a process with this id runs. */
export function runs(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** CPU time that the threads of a process have used so far, in ms. Linux only; what a thread used that has ended is not in it. */
export function cpuOf(pid) {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).reduce((sum, task) => {
    const [nanoseconds] = readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ');
    return sum + Number(nanoseconds) / 1e6;
  }, 0);
}
