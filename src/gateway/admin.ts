/** What operators get of a gateway: `/health` and its kin, and the admin API with the console, which is loaded when somebody asks for it. */
import { hostname } from 'node:os';
import type { AdminApi } from '../admin/api.js';
import { Watch } from '../admin/calls.js';
import type { Capture } from '../admin/capture.js';
import { ConsoleKey } from '../admin/key.js';
import type { LogRing } from '../admin/logs.js';
import { SeriesRecorder, STEP_MS } from '../admin/series.js';
import type {
  AdminSource,
  ApprovalActions,
  ServerFacts,
  SessionFacts,
  SignInActions,
} from '../admin/source.js';
import { ConsoleAuth } from '../auth/console.js';
import { createPeer, type Peer } from '../auth/peer.js';
import { isLoopback, secretsIn } from '../config/index.js';
import type { AuthConfig, Config } from '../config/types.js';
import type { Api } from '../downstream/http/api.js';
import type { GatewayError } from '../errors.js';
import { deriveConsoleKey } from '../lib/console-key.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { Denied, Principal, Shown } from '../protocol/ports.js';
import type { Gate } from '../proxy/gate.js';
import type { Listeners } from '../proxy/listeners.js';
import { routeTo } from '../proxy/route.js';
import type { configFile } from './config-file.js';
import { announceRun, folderKeyStore } from './console-key.js';
import { DisabledServers } from './disabled.js';
import type { GatewayCredentials } from './credentials.js';
import type { Observers } from './observers.js';
import { ListProblems } from './list-problems.js';
import { Operators, type OperatorsDeps } from './operators.js';
import type { Sessions } from './sessions.js';
import { ToolTokens } from './tool-tokens.js';

export interface AdminDeps extends Omit<OperatorsDeps, 'troubles' | 'acted' | 'problems' | 'measureTokens'> {
  readonly log: Logger;
  readonly logs: LogRing;
  readonly boundary: Boundary;
  readonly observers: Observers;
  readonly sessions: () => Sessions;
  readonly listeners: Listeners;
  readonly gate: () => Gate;
  /** What the file refers to. */
  readonly env: NodeJS.ProcessEnv;
  readonly credentials: GatewayCredentials;
  readonly signIn: SignInActions;
  readonly approvals: ApprovalActions;
  /** The file of the configuration; undefined: the gateway is part of another program. */
  readonly configFile: string | undefined;
}

/** The open ports. `url`: of the merged endpoint; `admin`: the origin of the port for operators. */
export interface Address {
  readonly port: number;
  readonly url: string;
  readonly admin?: string;
}

const CONSOLE = '/-/console/';

export class GatewayAdmin implements Api {
  readonly operators: Operators;
  readonly #deps: AdminDeps;
  readonly #key: ConsoleKey;
  readonly #auth: ConsoleAuth;
  readonly #watch: Watch;
  readonly #series: SeriesRecorder;
  readonly #timer: NodeJS.Timeout;
  readonly #disabled = new DisabledServers();
  readonly #problems: ListProblems;
  #peer: { readonly auth: AuthConfig; readonly peer: Peer } | undefined;
  #derived: { readonly from: Buffer; readonly key: string } | undefined;
  #api: Promise<AdminApi> | undefined;
  #address: Address | undefined;
  #retract: (() => Promise<void>) | undefined;

  constructor(deps: AdminDeps) {
    this.#deps = deps;
    const { observers, log, boundary, stats } = deps;
    this.#problems = new ListProblems({
      views: () => deps.links().views,
      access: () => deps.runtime().access,
      log,
    });
    const tokens = new ToolTokens({
      ...{ boundary, stats, links: deps.links },
      access: () => deps.runtime().access,
    });
    this.operators = new Operators({
      ...deps,
      measureTokens: () => tokens.measure(),
      problems: () => this.#problems.all(),
      troubles: () => observers.audit.troubles,
      acted: (what) => {
        observers.audit.acted(what);
      },
    });
    this.#disabled.use(this.#config);
    const { dir } = this.#config.state;
    this.#key = new ConsoleKey({
      fixed: () => this.#fixedKey(),
      store: dir === undefined ? undefined : folderKeyStore(dir, log),
      now: () => performance.now(),
    });
    this.#auth = new ConsoleAuth({
      log,
      now: () => Date.now(),
      digest: () => this.#key.digest,
      verify: (key) => this.#key.verify(key),
      address: (shown) => this.addressOf(shown),
      refused: (reason, { socket }, path) => {
        stats.authAttempts.add('failure');
        stats.authFailures.add(reason);
        observers.calls.refused({ reason, address: socket.remoteAddress, route: path });
      },
    });
    this.#watch = new Watch({ calls: observers.calls, limit: () => this.#config.console.calls });
    this.#series = new SeriesRecorder({
      servers: () => stats.servers.values(),
      measure: () => {
        deps.links().measure();
      },
      minutes: () => this.#config.console.minutes,
    });
    const tick = boundary.guard('timer', () => {
      this.#series.tick();
    });
    this.#timer = setInterval(tick, STEP_MS).unref();
  }

  // Api

  get enabled(): boolean {
    return this.#config.console.enabled;
  }

  async find(method: string, path: string): ReturnType<Api['find']> {
    try {
      return (await (this.#api ??= this.#load())).find(method, path);
    } catch (thrown) {
      this.#api = undefined;
      return this.#deps.boundary.caught('client_request', thrown) satisfies GatewayError;
    }
  }

  authenticate(shown: Shown, path: string): Promise<Principal | Denied> | undefined {
    return this.#auth.authenticate(shown, path);
  }

  /** Whether a principal holds the console key that is in force. */
  isOperator(principal: Principal): boolean {
    return this.#auth.isCurrent(principal);
  }

  /** Another configuration is in force. */
  reloaded(): void {
    this.#disabled.use(this.#config);
    this.listed();
  }

  /** Lists have changed. */
  listed(): void {
    this.#problems.review();
  }

  /** The ports are open. Never rejects. */
  async listening(address: Address): Promise<void> {
    this.#address = address;
    const { configFile, log } = this.#deps;
    const { dir } = this.#config.state;
    if (configFile === undefined) return;
    // Commands of the same user read it.
    if (this.enabled) await this.#key.get();
    if (dir === undefined) return;
    const run = {
      url: new URL(address.url).origin,
      admin: address.admin ?? null,
      pid: process.pid,
      config: configFile,
      started: new Date(this.#deps.stats.startedAt * 1000).toISOString(),
    };
    this.#retract = await announceRun(dir, address.port, run, log);
  }

  /** The URL of the console on this machine, with a ticket that is good once; undefined: there is none. */
  consoleUrl(): string | undefined {
    if (!this.enabled || !this.#address) return undefined;
    return `${this.#localConsole()}#t=${this.#key.ticket(undefined)}`;
  }

  /** Ends the streams of those who watch. */
  quiet(): void {
    void this.#api?.then(
      (api) => {
        api.close();
      },
      () => undefined,
    );
  }

  /** Removes what says that the gateway runs. */
  async close(): Promise<void> {
    await this.#retract?.();
  }

  destroy(): void {
    clearInterval(this.#timer);
    this.quiet();
  }

  get #config(): Config {
    return this.#deps.runtime().config;
  }

  async #load(): Promise<AdminApi> {
    const [{ createApi }, capture, file] = await Promise.all([
      import('../admin/api.js'),
      import('../admin/capture.js'),
      import('./config-file.js'),
    ]);
    return createApi(this.#source({ ...capture, ...file }), (work) =>
      this.#deps.boundary.guard('timer', work),
    );
  }

  #source(modules: {
    readonly Capture: typeof Capture;
    readonly configFile: typeof configFile;
  }): AdminSource {
    const { build, stats, log, logs, readiness, links, observers, gate } = this.#deps;
    const { Capture, configFile } = modules;
    return {
      file:
        this.#deps.configFile === undefined
          ? undefined
          : configFile(this.#deps.configFile, this.#deps.env, this.#config.state.dir),
      build,
      replica: hostname(),
      stats,
      watch: this.#watch,
      logs,
      series: this.#series,
      key: this.#key,
      log,
      capture: new Capture(this.#watch),
      act: {
        restart: (server) => links().reconnect(server),
        disable: (server) => links().turnOff(server),
        refresh: (server) => links().shared.get(server)?.link.refresh(),
        endSessions: (which) => this.#endSessions(which),
        reload: async () => {
          const { servers, restart_required, ...counts } = await this.#deps.reload();
          const { added, removed, restarted, updated } = servers;
          return {
            ...counts,
            servers: {
              added: [...added],
              removed: [...removed],
              restarted: [...restarted],
              updated: [...updated],
            },
            restart_required: [...restart_required],
          };
        },
      },
      approvals: this.#deps.approvals,
      logins: this.#deps.credentials,
      signIns: this.#deps.signIn,
      state: () => readiness.state,
      config: () => this.#config,
      secrets: () => [...secretsIn(this.#config), ...(this.#key.made === undefined ? [] : [this.#key.made])],
      endpoint: () => `${this.#publicOrigin()}/mcp`,
      console: () =>
        this.#address?.admin === undefined ? this.#publicOrigin() + CONSOLE : this.#localConsole(),
      servers: () => this.#servers(),
      disabled: () => this.#disabled.all(),
      view: (profile) => links().views.whole(routeTo({ profile })).view,
      profiles: () => this.#config.profiles,
      sessions: () => this.#sessions(),
      permits: (principal, role, path) => gate().permits(principal, role, path),
      sees: (principal, server) => gate().route({ server }, 'mcp', principal) !== undefined,
      failed: (shown, path) => this.#auth.failed(shown, path, 'wrong_token'),
      acted: (act, { principal, address }, more) => {
        observers.audit.acted({ act, principal, address, ...more });
      },
      fleet: () => this.#deps.fleet?.view,
      keepAliveMs: () => this.#config.http.keep_alive_ms,
    };
  }

  #servers(): ServerFacts[] {
    const { shared, seconds, own } = this.#deps.links();
    return shared.all().map((upstream) => {
      const { config, link, next } = upstream;
      const { name } = config;
      return {
        config,
        link,
        next,
        second: seconds.get(name),
        status: this.operators.status(upstream),
        inFlight: shared.inFlight(name) + seconds.inFlight(name) + own.inFlight(name),
      };
    });
  }

  #sessions(): SessionFacts[] {
    const { sessions, listeners } = this.#deps;
    const open = [...sessions().store.all()].map((session) => ({
      id: session.id,
      caller: session.caller,
      route: session.route,
      openedAt: session.openedAt,
      lastSeen: session.lastSeen,
      inFlight: session.inFlight?.size ?? 0,
      listening: session.listening,
    }));
    const streams = [...listeners.all()].map(({ caller, route }) => ({
      id: undefined,
      caller,
      route: route.key,
      openedAt: undefined,
      lastSeen: undefined,
      inFlight: 0,
      listening: true,
    }));
    return [...open, ...streams];
  }

  #endSessions(which: (session: SessionFacts) => boolean): number {
    const { sessions, listeners } = this.#deps;
    const chosen = this.#sessions().filter(which);
    const ids = new Set(chosen.flatMap(({ id }) => (id === undefined ? [] : [id])));
    const callers = new Set(chosen.flatMap(({ id, caller }) => (id === undefined ? [caller] : [])));
    sessions().endWhere(({ id }) => ids.has(id), 'operator');
    listeners.endWhere(({ caller }) => callers.has(caller));
    return chosen.length;
  }

  #fixedKey(): string | undefined {
    const { console, mcp } = this.#config;
    if (console.key !== undefined || mcp.state_key === undefined) return console.key;
    // Replicas with one state key have one console key.
    if (this.#derived?.from !== mcp.state_key)
      this.#derived = { from: mcp.state_key, key: deriveConsoleKey(mcp.state_key) };
    return this.#derived.key;
  }

  /** The address that requests are counted by. */
  addressOf(shown: Shown): string {
    const { mcp, http } = this.#config;
    if (this.#peer?.auth !== mcp.auth)
      this.#peer = { auth: mcp.auth, peer: createPeer(mcp.auth, http.tls?.client_ca) };
    return this.#peer.peer.address(shown);
  }

  #publicOrigin(): string {
    const { public_url } = this.#config.http;
    return public_url ?? (this.#address ? new URL(this.#address.url).origin : '');
  }

  /** Where a browser on this machine, or through `http.public_url`, comes back to. */
  get clientOrigin(): string {
    const { public_url } = this.#config.http;
    if (public_url !== null) return public_url.replace(/\/+$/, '');
    const url = new URL(this.#address?.url ?? 'http://127.0.0.1');
    if (!isLoopback(url.hostname)) url.hostname = '127.0.0.1';
    return url.origin;
  }

  #localConsole(): string {
    const { admin, url = '' } = this.#address ?? {};
    return (admin ?? new URL(url).origin) + CONSOLE;
  }
}
