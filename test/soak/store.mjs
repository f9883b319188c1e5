// The store of a fleet that soaks: a primary, a replica of it, and three sentinels that fail over between the two.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, Process, until } from '../../scripts/fleet/processes.mjs';

/** Sentinels hold a primary that does not answer for this long to be gone. Shorter stops cost no failover. */
const DOWN_MS = 4000;
const NAME = 'soak';
const ANSWER_MS = 2000;

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
    if (answer !== 'OK') throw new Error(`the store answered FLUSHALL with ${answer}`);
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
      return (await ask(port, 'PING').catch(() => '')) === 'PONG';
    }, 'the store');
  }

  /** Resolves once a primary has a replica in step, and every sentinel knows it and the others. */
  async #agreed() {
    await until(async () => {
      const primary = await this.#primary().catch(() => undefined);
      const replica = this.#nodes.find((node) => node !== primary);
      if (!primary || !(await ask(replica.port, 'INFO', 'replication')).includes('master_link_status:up'))
        return false;
      const seen = await Promise.all(
        this.#sentinels.map(({ port }) => ask(port, 'SENTINEL', 'MASTER', NAME)),
      );
      return seen.every(
        (list) =>
          valueOf(list, 'port') === String(primary.port) &&
          valueOf(list, 'flags') === 'master' &&
          valueOf(list, 'num-slaves') === '1' &&
          valueOf(list, 'num-other-sentinels') === '2',
      );
    }, 'the sentinels');
  }

  async #primary() {
    for (const node of this.#nodes) if (!node.process.isOver && (await this.#isPrimary(node))) return node;
    throw new Error('no store is primary');
  }

  async #isPrimary({ port }) {
    return (await ask(port, 'INFO', 'replication').catch(() => '')).includes('role:master');
  }
}

/** What a store or sentinel answers to a command. */
async function ask(port, ...command) {
  const client = new Redis(port, '127.0.0.1', {
    ...{ lazyConnect: true, enableReadyCheck: false, retryStrategy: null },
    ...{ connectTimeout: ANSWER_MS, commandTimeout: ANSWER_MS },
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await client.call(...command);
  } finally {
    client.disconnect();
  }
}

/** A value of an answer that is a list of names and values in turn. */
function valueOf(list, name) {
  return list[list.indexOf(name) + 1];
}
