// The processes around a client: the server, and the gateway in front of it.
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { start, stop } from './driver.mjs';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const START_MS = 120_000;

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const accepts = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true) ?? socket.destroy());
    socket.once('error', () => resolve(false));
  });

async function untilAccepts(port, child) {
  const end = Date.now() + START_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode} at its start`);
    if (Date.now() > end) throw new Error(`it did not listen within ${START_MS / 1000} s`);
    await sleep(30);
  }
}

/** The server of a setup: over HTTP it runs here, over stdio its client starts it. */
export class Server {
  #child;

  constructor(program, { kind, port, log }) {
    Object.assign(this, { program, kind, port, log });
  }

  get target() {
    const { url, command, args, env = {} } = this.program;
    if (url !== undefined) return { url, kind: this.kind };
    return { command, args, env: { PYTHONDONTWRITEBYTECODE: '1', ...env } };
  }

  async start() {
    if (this.program.url === undefined) return;
    const { command, args, env, cwd } = this.program;
    this.#child = start(command, args, { env, cwd, log: this.log });
    await untilAccepts(this.port, this.#child);
  }

  async stop() {
    if (this.#child) await stop(this.#child, 'SIGTERM', 500);
  }

  /** Kills it at any point and starts it again; over stdio its client notices and restarts it. */
  async restart(users) {
    if (this.program.url !== undefined) {
      if (this.#child) await stop(this.#child, 'SIGKILL');
      await this.start();
    } else for (const pid of users.flatMap(childrenOf)) process.kill(pid, 'SIGKILL');
    await sleep(100);
  }
}

/** The children of a process, by /proc where there is one. */
function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

export const SERVER_NAME = 's';

/** The gateway as a process, with one server. */
export class Gateway {
  #child;
  #changes = 0;

  constructor(server, { folder, port, session, log }) {
    Object.assign(this, { server, port, session, log, config: join(folder, 'gateway.yaml') });
  }

  #write() {
    const { url, kind, command, args, env } = this.server.target;
    const changed = String(this.#changes);
    const entry =
      url === undefined
        ? { command, args, env: { ...env, COMPAT_CHANGE: changed }, session: this.session }
        : { url, headers: { 'X-Compat-Change': changed }, ...(kind === 'sse' ? { protocol: 'sse' } : {}) };
    const servers = [
      { name: SERVER_NAME, ...entry, reconnect: { backoff_base_ms: 100, backoff_max_ms: 500 } },
    ];
    // The kept lists of another run would hide the server's current lists.
    const cache = { dir: 'none' };
    writeFileSync(this.config, stringify({ host: '127.0.0.1', port: this.port, cache, servers }));
  }

  async start() {
    this.#write();
    this.#child = start(process.execPath, [MAIN, '--config', this.config], { log: this.log });
    await untilAccepts(this.port, this.#child);
  }

  /** Waits until it is connected to its server (again), or has given the server up. */
  async settled() {
    for (let tries = 0; tries < 100; tries++) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/health`).catch(() => undefined);
      const health = await answer?.json().catch(() => undefined);
      const [entry] = health?.servers ?? [];
      // A server of both eras has a second connection for legacy clients.
      if (entry?.state === 'up' && (entry.legacy?.state ?? 'up') === 'up') return;
      await sleep(100);
    }
  }

  get pid() {
    return this.#child.pid;
  }
  get own() {
    return { url: `http://127.0.0.1:${this.port}/servers/${SERVER_NAME}/mcp`, kind: 'http' };
  }
  get merged() {
    return { url: `http://127.0.0.1:${this.port}/mcp`, kind: 'http' };
  }
  /** The command that a client starts instead of a server. */
  get stdio() {
    return { command: process.execPath, args: [MAIN, 'stdio', '--config', this.config], env: {} };
  }

  async reload(changed) {
    if (changed) this.#changes++;
    this.#write();
    this.#child.kill('SIGHUP');
    await sleep(200);
  }

  async stop() {
    if (this.#child) await stop(this.#child, 'SIGTERM', 3000);
  }
}
