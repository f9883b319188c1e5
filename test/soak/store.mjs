// The store of a fleet that soaks: a primary, a replica of it, and three sentinels that fail over between the two.
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, Process, until } from '../../scripts/fleet/processes.mjs';

/** Sentinels hold a primary that does not answer for this long to be gone. Shorter stops cost no failover. */
const DOWN_MS = 4000;
const NAME = 'soak';

export class StoreGroup {
  #nodes = [];
  #sentinels = [];

  /** `program`: of Valkey or Redis. */
  constructor({ program, folder }) {
    Object.assign(this, { program, folder });
  }

  async start() {
    const primary = await this.#node();
    this.#nodes.push(primary, await this.#node(primary.port));
    for (let at = 0; at < 3; at++) this.#sentinels.push(await this.#sentinel(at, primary.port));
    await this.#agreed();
    const hosts = this.#sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
    this.url = `redis+sentinel://${hosts}/${NAME}`;
    return this;
  }

  /** Stops the primary for less time than a failover takes. Returns how that ends. */
  async pause() {
    const { process: primary } = await this.#primary();
    primary.kill('SIGSTOP');
    return () => primary.kill('SIGCONT');
  }

  /** Kills the primary, and waits until the other one is primary. Returns how the killed one comes back, as its replica. */
  async failOver() {
    const killed = await this.#primary();
    killed.process.kill('SIGKILL');
    await killed.process.ended;
    const other = this.#nodes.find((node) => node !== killed);
    await until(() => this.#isPrimary(other), 'the failover');
    return async () => {
      await this.#run(killed, other.port);
      await this.#agreed();
    };
  }

  /** Both lose what they held. */
  async empty() {
    const { port } = await this.#primary();
    const answer = await ask(port, 'FLUSHALL');
    if (!answer.startsWith('+OK')) throw new Error(`the store answered FLUSHALL with ${answer}`);
  }

  async stop() {
    const all = [...this.#sentinels, ...this.#nodes];
    for (const { process: each } of all) each.kill('SIGCONT');
    await Promise.all(all.map(({ process: each }) => each.stop()));
  }

  async #node(primaryPort) {
    const port = await freePort();
    const folder = join(this.folder, `store-${port}`);
    mkdirSync(folder, { recursive: true });
    const node = { port, folder };
    await this.#run(node, primaryPort);
    return node;
  }

  async #run(node, primaryPort) {
    const { port, folder } = node;
    const where = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--repl-diskless-sync-delay',
      '0',
    ];
    const of = primaryPort === undefined ? [] : ['--replicaof', `127.0.0.1 ${primaryPort}`];
    node.process = new Process(this.program, [...where, '--save', '', '--appendonly', 'no', ...of]);
    await this.#answers(node);
  }

  async #sentinel(at, primaryPort) {
    const port = await freePort();
    const folder = join(this.folder, `sentinel-${at}`);
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'sentinel.conf');
    const lines = [
      ...[
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${folder}`,
        `sentinel monitor ${NAME} 127.0.0.1 ${primaryPort} 2`,
      ],
      ...[`sentinel down-after-milliseconds ${NAME} ${DOWN_MS}`, `sentinel failover-timeout ${NAME} 6000`],
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const sentinel = { port, process: new Process(this.program, [file, '--sentinel']) };
    await this.#answers(sentinel);
    return sentinel;
  }

  async #answers({ port, process: each }) {
    await until(async () => {
      if (each.isOver) throw new Error(`the store has ended:\n${each.output}`);
      return (await ask(port, 'PING').catch(() => '')).startsWith('+PONG');
    }, 'the store');
  }

  /** Resolves once a primary has a replica in step, and every sentinel knows it and the others. */
  async #agreed() {
    await until(async () => {
      const primary = await this.#primary().catch(() => undefined);
      const replica = this.#nodes.find((node) => node !== primary);
      if (!primary || !(await ask(replica.port, 'INFO replication')).includes('master_link_status:up'))
        return false;
      const seen = await Promise.all(this.#sentinels.map(({ port }) => ask(port, `SENTINEL MASTER ${NAME}`)));
      return seen.every(
        (text) =>
          valueOf(text, 'port') === String(primary.port) &&
          valueOf(text, 'flags') === 'master' &&
          valueOf(text, 'num-slaves') === '1' &&
          valueOf(text, 'num-other-sentinels') === '2',
      );
    }, 'the sentinels');
  }

  async #primary() {
    for (const node of this.#nodes) if (!node.process.isOver && (await this.#isPrimary(node))) return node;
    throw new Error('no store is primary');
  }

  async #isPrimary({ port }) {
    return (await ask(port, 'INFO replication').catch(() => '')).includes('role:master');
  }
}

/** What a store or sentinel answers to a command, as it comes. */
function ask(port, command) {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.setTimeout(2000, () => socket.destroy(new Error('the store did not answer')));
    socket.setEncoding('utf8').on('data', (piece) => {
      text += piece;
      if (!isWhole(text)) return;
      socket.destroy();
      resolve(text);
    });
    socket.on('error', reject).on('close', () => reject(new Error('the store hung up')));
  });
}

/** Whether an answer is complete: a line, a string with its length, or a list of strings without line breaks. */
function isWhole(text) {
  const [head] = text.split('\r\n', 1);
  if (head.length === text.length) return false;
  const count = Number(head.slice(1));
  if (head[0] === '$') return Buffer.byteLength(text) >= head.length + count + 4;
  if (head[0] === '*') return text.split('\r\n').length > 2 * count + 1;
  return true;
}

/** A value of an answer that is a list of names and values in turn. */
function valueOf(text, name) {
  const lines = text.split('\r\n').filter((line) => !/^[*$]/.test(line));
  return lines[lines.indexOf(name) + 1];
}
