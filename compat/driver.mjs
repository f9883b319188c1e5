// One driver process: requests to it, and its events.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const LIMIT_MS = 30_000;
const running = new Set();

/** Ends all processes of this run, even after a failure. */
export function stopAll() {
  for (const child of running) child.kill('SIGKILL');
}

export function start(command, args, { env, cwd, log, stdin = 'ignore', stdout = 'pipe' } = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
    stdio: [stdin, stdout, 'pipe'],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  child.on('error', (error) => log?.write(`${error.message}\n`));
  child.stdin?.on('error', () => {});
  if (log) {
    child.stderr.pipe(log, { end: false });
    if (stdin === 'ignore') child.stdout?.pipe(log, { end: false });
  } else child.stderr.resume();
  return child;
}

/** Stops a process, by its handle; gives it a moment to do so itself. */
export async function stop(child, signal = 'SIGTERM', graceMs = 2000) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, graceMs + 2000).unref())]);
  clearTimeout(timer);
}

export class Driver {
  #child;
  #next = 1;
  #waiting = new Map();
  #broken;
  /** Every event, with the id of the request it came with. */
  events = [];

  constructor({ command, args, env, cwd }, log) {
    this.#child = start(command, args, { env, cwd, log, stdin: 'pipe' });
    const lines = createInterface({ input: this.#child.stdout });
    lines.on('line', (line) => this.#hear(line));
    this.#child.once('close', () => this.#end('the driver ended'));
  }

  get pid() {
    return this.#child.pid;
  }
  get broken() {
    return this.#broken;
  }

  #hear(line) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      return;
    }
    if (message.event) return void this.events.push(message);
    this.#waiting.get(message.id)?.(message);
    this.#waiting.delete(message.id);
  }

  #end(why) {
    this.#broken = why;
    for (const answer of this.#waiting.values()) answer({ silent: why });
    this.#waiting.clear();
  }

  /** Returns {ok}, {error}, {unsupported} or {silent}; never throws. */
  async ask(request) {
    const id = this.#next++;
    if (this.#broken) return { id, silent: this.#broken };
    const answer = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.#child.stdin.write(JSON.stringify({ id, ...request }) + '\n');
    const timer = setTimeout(() => {
      this.#end('no answer');
      this.#child.kill('SIGKILL');
    }, LIMIT_MS);
    const message = await answer;
    clearTimeout(timer);
    return { id, ...message };
  }

  async stop() {
    this.#child.stdin.end();
    await stop(this.#child, 'SIGTERM');
  }
}
