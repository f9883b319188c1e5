// A fleet on this machine: a store, replicas, a balancer in front, and servers behind. All on free ports of 127.0.0.1.
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareBalancer } from './balancers.mjs';
import { freePort, Process, statusOf, until } from './processes.mjs';
import { programOf } from './programs.mjs';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const EVERYTHING = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/package.json')),
  'dist/index.js',
);
/** How long a replica that ends at once is left alone before it is started again. */
const RESTART_MS = 200;

export class Fleet {
  replicas = [];
  #processes = [];
  #isEnding = false;
  #changed;

  /** `changed`: called with a line of text when a process came or went. */
  constructor({ changed = () => {} } = {}) {
    this.#changed = changed;
    this.folder = mkdtempSync(join(tmpdir(), 'mcpstead-fleet-'));
    // Workers of nginx run as another user if root starts it.
    chmodSync(this.folder, 0o755);
  }

  /**
   * Starts everything, and resolves once a call can be made through the balancer. `balancer`: haproxy, nginx or null for none. `config`: further
   * keys of the replicas' config, which may name a store that runs already; `own`: those of one replica, by its name; `alone`: without a store.
   * `main`: the program of the gateway; `env`, `flags`: for the replicas and their Node.js.
   */
  async start({
    replicas = 3,
    balancer = 'haproxy',
    config = {},
    own = () => ({}),
    alone = false,
    main = MAIN,
    env = {},
    flags = [],
  } = {}) {
    if (balancer) programOf(balancer);
    Object.assign(this, { main, env, flags });
    if (!alone && !config.fleet?.store) await this.#startStore();
    if (!config.servers) await this.#startServer();
    this.stateKey = randomBytes(32).toString('base64url');
    this.config = {
      ...{ host: '127.0.0.1', cache: { dir: null }, state: { dir: join(this.folder, 'state') } },
      logging: { level: 'info' },
      http: { drain_delay_seconds: 3 },
      mcp: { session: { shutdown_grace_seconds: 15 } },
      servers: [
        { name: 'http', url: this.serverUrl },
        { name: 'stdio', command: process.execPath, args: [EVERYTHING, 'stdio'], placement: 'each' },
      ],
      ...config,
      ...(!alone && { fleet: { store: this.storeUrl, name: '${REPLICA_NAME}', ...config.fleet } }),
    };
    for (let number = 1; number <= replicas; number++) {
      const port = await freePort();
      const name = `gateway${number}`;
      const file = join(this.folder, `${name}.json`);
      writeFileSync(file, JSON.stringify({ ...this.config, ...own(name) }, null, 2));
      const replica = { name, port, origin: `http://127.0.0.1:${port}`, starts: 0, file };
      this.replicas.push(replica);
      this.#run(replica);
    }
    for (const replica of this.replicas) await this.ready(replica);
    if (replicas > 0) this.url = `${this.replicas[0].origin}/mcp`;
    if (balancer) await this.#startBalancer(balancer);
    return this;
  }

  /** Resolves when a replica answers, and its servers are up. */
  async ready(replica) {
    const most = replica.starts + 20;
    await until(
      async () => {
        if (replica.process.isOver && this.#isEnding) throw new Error(`${replica.name} has ended`);
        if (replica.starts > most)
          throw new Error(`${replica.name} does not start:\n${replica.process.output}`);
        if ((await statusOf(`${replica.origin}/ready`)) !== 200) return false;
        const { status } = await (await fetch(`${replica.origin}/health`)).json();
        return status === 'ok';
      },
      `${replica.name} (${replica.process.output.slice(-2000)})`,
    );
  }

  /** Ends everything, in order: nobody loses a call that he can still get answered. */
  async stop() {
    this.#isEnding = true;
    await Promise.all(this.replicas.map(({ process }) => process.stop()));
    for (const each of this.#processes.reverse()) await each.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #startStore() {
    this.storePort = await freePort();
    const where = ['--port', String(this.storePort), '--bind', '127.0.0.1', '--dir', this.folder];
    this.store = this.#add(
      new Process(programOf('redis-server'), [...where, '--save', '', '--appendonly', 'no']),
    );
    this.storeUrl = `redis://127.0.0.1:${this.storePort}`;
    await until(() => {
      if (this.store.isOver) throw new Error(`the store has ended:\n${this.store.output}`);
      return this.store.output.includes('Ready to accept connections');
    }, 'the store');
  }

  async #startServer() {
    const port = await freePort();
    const env = { ...process.env, PORT: String(port) };
    const server = this.#add(new Process(process.execPath, [EVERYTHING, 'streamableHttp'], { env }));
    this.serverUrl = `http://127.0.0.1:${port}/mcp`;
    await until(() => {
      if (server.isOver) throw new Error(`the example server has ended:\n${server.output}`);
      return server.output.includes('listening on port');
    }, 'the example server');
  }

  async #startBalancer(name) {
    const port = await freePort();
    const hosts = this.replicas.map((replica) => `127.0.0.1:${replica.port}`);
    const args = prepareBalancer(name, { folder: this.folder, port, hosts });
    const balancer = this.#add(new Process(programOf(name), args, { cwd: this.folder }));
    this.balancer = balancer;
    this.url = `http://127.0.0.1:${port}/mcp`;
    await until(async () => {
      if (balancer.isOver) throw new Error(`${name} has ended:\n${balancer.output}`);
      return (await statusOf(`http://127.0.0.1:${port}/health`)) === 200;
    }, name);
  }

  #add(started) {
    this.#processes.push(started);
    return started;
  }

  /** Runs a replica, again whenever it ends. */
  #run(replica) {
    const { MCPSTEAD_CONFIG: _config, ...inherited } = process.env;
    const env = {
      ...inherited,
      ...this.env,
      ...{
        MCPSTEAD_PORT: String(replica.port),
        MCPSTEAD_STATE_KEY: this.stateKey,
        REPLICA_NAME: replica.name,
      },
    };
    const args = [...this.flags, this.main, '--config', replica.file];
    const started = new Process(process.execPath, args, { env, cwd: this.folder });
    replica.process = started;
    replica.pid = started.pid;
    replica.starts++;
    this.#changed(`${replica.name} started, process ${started.pid}`);
    void started.ended.then((why) => {
      if (this.#isEnding) return;
      this.#changed(`${replica.name} ended (${why})`);
      setTimeout(() => {
        if (!this.#isEnding) this.#run(replica);
      }, RESTART_MS);
    });
  }
}
