/** The composition root: builds the parts of a gateway and wires them. It decides nothing about a message. */
import type { Readable, Writable } from 'node:stream';
import { Catalog } from './catalog/catalog.js';
import type { LoadedConfig } from './config/index.js';
import type { Config } from './config/types.js';
import type { Health, ReloadResult, ServerHealth } from './downstream/http/admin.js';
import { createHttpPort, type HttpPort } from './downstream/http/server.js';
import { StdioClients } from './downstream/stdio.js';
import { GatewayAdmin } from './gateway/admin.js';
import { Announcer } from './gateway/announcer.js';
import { GatewayApprovals } from './gateway/approvals.js';
import { callerLogins } from './gateway/caller-logins.js';
import { GatewayCredentials } from './gateway/credentials.js';
import type { GatewayDeps } from './gateway/deps.js';
import { bridgeFor } from './gateway/bridge.js';
import { drain, drainDeps } from './gateway/drain.js';
import { fleetOf, fleetState, type GatewayFleet } from './gateway/fleet.js';
import { Identities } from './gateway/identities.js';
import { Lives } from './gateway/lives.js';
import { Links } from './gateway/links.js';
import { createObservers, type Observers } from './gateway/observers.js';
import { PinBook } from './gateway/pins.js';
import { Readiness } from './gateway/readiness.js';
import { applyConfig, recordReload } from './gateway/reload.js';
import { GatewaySignIn } from './gateway/sign-in.js';
import { sessionOptions, sessionParts, Sessions } from './gateway/sessions.js';
import { createGatewayTasks } from './gateway/tasks.js';
import { Limits } from './policy/limits.js';
import { openOnce } from './state/open.js';
import { LogRing } from './admin/logs.js';
import { createBudget } from './lib/budget.js';
import { SlotSet } from './lib/slot-set.js';
import { createSlots } from './lib/slots.js';
import { createWheel, type Wheel } from './lib/wheel.js';
import { Boundary } from './observe/boundary.js';
import type { Logger } from './observe/log.js';
import { GatewayStats } from './observe/stats.js';
import { createGate, type Gate } from './proxy/gate.js';
import { GivenLists } from './proxy/given.js';
import { createListeners } from './proxy/listeners.js';
import type { Runtime } from './proxy/runtime.js';
import type { Sessionless } from './proxy/under-way.js';
import { createSessionStore } from './session/store.js';
import type { Streams } from './session/streams.js';
import { ListCache } from './upstream/link/list-cache.js';

export { createAccess as checkPolicy } from './policy/access.js';
export { unpinnedHolds } from './policy/holds.js';
export type { BuildInfo, GatewayDeps } from './gateway/deps.js';
export type { Health, ReloadResult, ServerHealth };
export type { Session, SessionRecord, SessionStore, SessionStoreOptions } from './session/store.js';

export class GatewayCore {
  readonly #log: Logger;
  readonly #load: () => LoadedConfig;
  readonly #stats = new GatewayStats();
  readonly #boundary: Boundary;
  readonly #wheel: Wheel;
  readonly #budget;
  readonly #starts;
  readonly #sessions: Sessions;
  readonly #identities: Identities;
  readonly #streams: Streams;
  readonly #listeners = createListeners();
  readonly #tasks;
  readonly #bridge;
  readonly #catalog: Catalog;
  readonly #links: Links;
  readonly #credentials: GatewayCredentials;
  readonly #signIn: GatewaySignIn;
  readonly #readiness: Readiness;
  readonly #fleet: GatewayFleet | undefined;
  readonly #announcer: Announcer;
  readonly #lives: Lives;
  readonly #observers: Observers;
  readonly #approvals: GatewayApprovals;
  readonly admin: GatewayAdmin;
  readonly #gate: Gate;
  readonly #port: HttpPort;
  readonly #attached = new StdioClients();
  readonly #sweeper: NodeJS.Timeout;
  #runtime: Runtime;
  /** The port is open. */
  #listening = false;
  #closing: Promise<void> | undefined;

  constructor(loaded: LoadedConfig, deps: GatewayDeps) {
    const { config } = loaded;
    const logs = new LogRing();
    const log = (this.#log = logs.keeping(deps.logger, () => config.logging.level));
    const stats = this.#stats;
    const boundary = (this.#boundary = new Boundary(log, stats.internalErrors));
    const wheel = (this.#wheel = createWheel({ failed: (thrown) => boundary.caught('timer', thrown) }));
    this.#load = deps.reload;
    const state = openOnce(config, deps.env, log, config.fleet && ((keys) => fleetState(this.#fleet, keys)));
    this.#signIn = new GatewaySignIn({
      ...{ env: deps.env, log, stats, state, config: () => this.#config },
      fetch: (...request) => this.#identities.fetch(...request),
      address: (shown) => this.admin.addressOf(shown),
      ended: (grants) => {
        this.#lives.withdraw(grants);
      },
      happened: (event) => {
        this.#observers.audit.signIn(event);
      },
    });
    this.#identities = new Identities({
      ...{ env: deps.env, wheel, log, stats, boundary, own: this.#signIn },
      isOperator: (principal) => this.admin.isOperator(principal),
    });
    this.#runtime = this.#identities.runtime(config);
    const now = (): number => performance.now();
    const limits = (): Config['limits'] => this.#config.limits;
    const budget = (this.#budget = createBudget(config.limits.buffered_bytes, (thrown) =>
      boundary.caught('detached', thrown),
    ));
    this.#starts = createSlots(config.startup.parallel);
    const required = config.servers.filter((server) => server.required).map(({ name }) => name);
    const readiness = (this.#readiness = new Readiness(required, log));
    const listeners = this.#listeners;
    const given = new GivenLists();
    const { kept, streams, interests, questions } = sessionParts({
      ...{ wheel, stats, log, budget, given, listeners, config: () => this.#config },
      links: () => this.#links,
      sessions: () => this.#sessions,
      changed: config.fleet && ((session) => this.#fleet?.changed(session)),
    });
    this.#streams = streams;
    const fleet = (this.#fleet = fleetOf({
      ...{ log, boundary, stats, readiness, env: deps.env, config: () => this.#config },
      ...{ auth: () => this.#runtime.auth, links: () => this.#links },
      ...{ interests: () => interests, streams: () => streams },
      lives: () => this.#lives,
      bridge: () => this.#bridge,
      tasks: () => this.#tasks.tasks,
      reload: () => this.reload(),
      serve: (socket) => {
        this.#port.servePeer(socket);
      },
    }));
    const makeStore = fleet ? fleet.sessions.bind(fleet) : createSessionStore;
    const store = (deps.sessions ?? makeStore)(
      sessionOptions({
        boundary,
        stats,
        config: () => this.#config,
        sessions: () => this.#sessions,
        links: () => this.#links,
        interests,
        kept,
        questions,
        streams,
      }),
    );
    this.#sessions = new Sessions(store, log);
    this.#catalog = new Catalog({
      nameLength: () => limits().name_length,
      waitMs: () => this.#config.startup.wait_ms,
      describe: (server) => this.#config.servers.find(({ name }) => name === server)?.description,
      serverInfo: { name: 'mcpstead', version: deps.build.version },
      now,
    });
    const clients = { sessions: store, streams, listeners, given };
    this.#announcer = new Announcer(boundary, this.#catalog, clients, () => {
      this.admin.listed();
    });
    const ids = fleet?.taskIds;
    const parkedMs = (): number => limits().parked_seconds * 1000;
    this.#tasks = createGatewayTasks({ wheel, boundary, budget, parkedMs, limits, streams, now, ids });
    const { tasks } = this.#tasks;
    const pins = new PinBook({
      modes: () => this.#runtime.access.pinned,
      open: state,
      log,
      boundary,
      stats,
      changed: (server) => {
        this.#announcer.announce(server);
      },
      acted: (act, server, subject, who) => {
        this.#observers.audit.pinned(act, server, subject, who);
      },
      clock: () => Date.now(),
    });
    this.#credentials = new GatewayCredentials({
      ...{ env: deps.env, log, stats, state, config: () => this.#config },
      ...{ origin: () => this.admin.clientOrigin, isListening: () => this.#listening },
      permits: (...asked) => this.#gate.permits(...asked),
      shownBy: (principal) => this.#runtime.auth.shownBy(principal) ?? fleet?.shownBy(principal),
      idTokenOf: (grant) => this.#signIn.idToken(grant),
    });
    this.#links = new Links({
      ...{ pins, log, stats, boundary, wheel, budget, readiness, questions, streams, tasks, given },
      peers: deps.peers ?? fleet?.peers,
      listeners,
      credentials: this.#credentials,
      config: () => this.#config,
      access: () => this.#runtime.access,
      version: deps.build.version,
      starts: this.#starts,
      catalog: this.#catalog,
      cache: config.cache.dir === undefined ? undefined : new ListCache(config.cache.dir, log),
      announcer: this.#announcer,
      interests: () => interests,
      sessionOf: (id) => this.#sessions.find(id),
      sessions: () => store.all(),
      evict: (session) => {
        this.#sessions.endWhere((each) => each === session, 'evicted');
      },
    });
    this.#bridge = bridgeFor(config.mcp.state_key, fleet?.id, {
      ...{ wheel, log, boundary, stats, budget, limits, parkedMs },
      tasks: this.#tasks.legacy,
      cancels: this.#tasks.cancels,
    });
    const sessionless: Sessionless = new SlotSet();
    this.#lives = new Lives({
      boundary,
      sessions: () => this.#sessions,
      listeners,
      links: () => this.#links,
      interests: () => interests,
      bridge: () => this.#bridge,
      sessionless,
      credentials: this.#credentials,
      tasks,
      streams,
      given,
      auth: () => this.#runtime.auth,
      clock: () => Date.now(),
    });
    const { build } = deps;
    const observers = createObservers({ config: () => this.#config, log, boundary, stats, build, state });
    this.#observers = observers;
    const approvals = (this.#approvals = new GatewayApprovals({
      ...{ state, boundary, log, stats, questions, streams, env: deps.env, ids },
      runtime: () => this.#runtime,
      bridge: () => this.#bridge,
      origin: () => this.admin.clientOrigin,
      hasPage: () => this.#listening,
      loginOf: (server, principal) => this.#credentials.loginOf(server, principal),
      audit: () => observers.audit,
    }));
    this.admin = new GatewayAdmin({
      ...{ log, logs, boundary, observers, listeners, env: deps.env, configFile: deps.configFile },
      sessions: () => this.#sessions,
      gate: () => this.#gate,
      runtime: () => this.#runtime,
      links: () => this.#links,
      credentials: this.#credentials,
      ...{ readiness, stats, build, pins, signIn: this.#signIn, fleet, approvals },
      measure: () => {
        stats.bufferedBytes = budget.used;
        stats.tlsExpires = this.#port.certificateExpires();
        this.#links.measure();
        this.#credentials.measure();
        this.#signIn.measure();
        fleet?.measure();
        approvals.measure();
      },
      reload: () => this.reload(),
    });
    this.#gate = createGate({
      runtime: () => this.#runtime,
      state: () => readiness.state,
      calls: observers.calls,
      sessionless,
      showsApps: (session) => {
        this.#lives.review(session);
      },
      renewed: (session, principal) => {
        this.#lives.renewed(session, principal);
      },
      stopped: () => observers.audit.refusal,
      ...{ views: this.#links.views, prefers: this.#links.prefers },
      limits: new Limits({
        ...{ config: () => this.#config, now, refused: stats.rateLimited },
        ...(fleet && { shared: () => fleet.rates }),
      }),
      usedByLegacy: this.#links.seconds.want.bind(this.#links.seconds),
      describes: (session) => this.#links.describes(session),
      passes: () => this.#links.kinds.passed,
      peerClients: (deps.peers ?? fleet?.peers)?.clients,
      owned: this.#links.give.bind(this.#links),
      dialling: (server) => this.#links.seconds.dialling(server),
      approving: () => approvals.approving,
      heldTasks: approvals.tasks,
      ...{ sessions: store, interests, questions, kept, streams, tasks, listeners, given },
      bridge: this.#bridge,
      logins: callerLogins(() => this.#config, {
        ...{ boundary, streams, offers: this.#credentials.links, bridge: () => this.#bridge },
        mayOperate: (principal, path) => this.#gate.permits(principal, 'operator', path),
      }),
      notified: (session, message) => {
        this.#links.own.tell(session, message);
      },
      ...{ stats, log, budget, boundary },
    });
    this.#port = createHttpPort({
      gate: this.#gate,
      admin: this.admin.operators,
      api: this.admin,
      logins: this.#credentials,
      signIn: this.#signIn,
      get replicas() {
        return fleet?.replicas ?? deps.peers?.door?.replicas;
      },
      config: () => this.#config,
      version: build.version,
      wheel,
      budget,
      log,
      boundary,
    });
    const sweep = boundary.guard('timer', () => {
      store.sweep();
      this.#links.sweep(config.mcp.session.idle_ttl_seconds * 1000);
    });
    this.#sweeper = setInterval(sweep, config.mcp.session.gc_interval_seconds * 1000).unref();
    for (const warning of loaded.warnings) log.warn(warning);
    this.#links.addAll(config.servers);
  }

  get #config(): Config {
    return this.#runtime.config;
  }

  /** Resolves if a required server used up its attempts before the gateway was ready. */
  get failed(): Promise<Error> {
    return this.#readiness.failed;
  }

  async listen(): ReturnType<HttpPort['listen']> {
    await this.#fleet?.start((port) => this.#port.listenForPeers(port));
    await this.#signIn.start();
    const address = await this.#port.listen();
    this.#listening = true;
    await this.admin.listening(address);
    if (!this.#readiness.stopping) this.#links.begin();
    const { url, admin } = address;
    this.#log.info('listening', { url, admin, servers: this.#links.shared.size });
    return address;
  }

  /** Opens the port for other replicas. */
  listenForPeers: HttpPort['listenForPeers'] = (port) => this.#port.listenForPeers(port);

  /**
   * Serves one client on a pair of streams. Without a port, links begin to connect at the client's first request that needs a server.
   * Resolves when the client has left; its calls go on for the grace period, then the output ends.
   */
  attach(input: Readable, output: Writable, profile?: string): Promise<void> {
    return this.#attached.attach(
      {
        to: profile === undefined ? {} : { profile },
        gate: this.#gate,
        config: () => this.#config,
        budget: this.#budget,
        log: this.#log,
        boundary: this.#boundary,
        wanted: (era) => {
          if (!this.#readiness.stopping) this.#links.begin(era);
          return this.#readiness.state === 'starting' ? this.#readiness.serving : undefined;
        },
      },
      input,
      output,
    );
  }

  /** Reads the configuration again, or another one if it is given, and applies it. */
  reload(load: () => LoadedConfig = this.#load): Promise<ReloadResult> {
    if (this.#readiness.stopping)
      return Promise.reject(new Error('shutting down: nothing is reloaded any more'));
    const deps = { log: this.#log, stats: this.#stats, audit: this.#observers.audit };
    return recordReload(deps, () => this.#apply(load()));
  }

  #apply(loaded: LoadedConfig): ReloadResult {
    const old = this.#config;
    const use = (config: Config): void => {
      this.#runtime = this.#identities.runtime(config, this.#runtime);
      this.#budget.setLimit(config.limits.buffered_bytes);
      this.#starts.setLimit(config.startup.parallel);
      this.#port.renew();
    };
    const result = applyConfig({ log: this.#log, links: this.#links, use }, old, loaded);
    this.admin.reloaded();
    this.#credentials.reloaded();
    this.#signIn.reloaded();
    this.#approvals.reloaded();
    this.#lives.reload(old.mcp.auth, this.#config.mcp.auth);
    if (old.limits.name_length !== this.#config.limits.name_length) this.#catalog.touch();
    return result;
  }

  /** Shuts down: first not ready, then no new sessions, then calls in flight end within the grace period. */
  close(): Promise<void> {
    return (this.#closing ??= this.#drain());
  }

  async #drain(): Promise<void> {
    const { mcp, http } = this.#config;
    this.#readiness.stop();
    this.#log.info('shutting down');
    await this.#fleet?.announce();
    if (http.drain_delay_seconds > 0 && this.#listening)
      await new Promise((resolve) => setTimeout(resolve, http.drain_delay_seconds * 1000));
    this.#readiness.drain();
    const parts = {
      ...{ links: this.#links, sessions: this.#sessions, streams: this.#streams, listeners: this.#listeners },
      ...{ tasks: this.#tasks, bridge: this.#bridge, approvals: this.#approvals, fleet: this.#fleet },
      ...{ admin: this.admin, port: this.#port, attached: this.#attached },
    };
    await drain(drainDeps(parts), mcp.session.shutdown_grace_seconds * 1000);
    await this.#approvals.idle();
    this.#end();
    await Promise.all([this.#observers.close(), this.admin.close()]);
    this.#log.info('stopped');
  }

  destroy(): void {
    this.#end();
    this.#observers.destroy();
  }

  #end(): void {
    this.#readiness.drain();
    clearInterval(this.#sweeper);
    this.#lives.close();
    this.admin.destroy();
    this.#announcer.close();
    this.#sessions.endWhere(() => true, 'gateway_shutdown');
    this.#attached.destroy();
    this.#port.destroy();
    this.#runtime.auth.close();
    this.#identities.close();
    this.#links.destroy();
    this.#credentials.close();
    this.#signIn.close();
    this.#fleet?.destroy();
    this.#approvals.close();
    this.#links.closeWatcher();
    this.#wheel.close();
  }
}
