/** The composition root: builds the rooms, wires them, reloads and drains. It decides nothing about a message. */
import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { createAuthenticator } from './auth/authenticate.js';
import { createCapabilityViews, type CapabilityViews } from './catalog/capability-catalog.js';
import { Catalog, OverlaidCatalog } from './catalog/catalog.js';
import { within } from './lib/within.js';
import { diffConfig, isLoopback, keepFixed, redactUrl, type LoadedConfig } from './config/index.js';
import type { Config, ServerConfig } from './config/types.js';
import { createHttpPort, type HttpPort } from './downstream/http/server.js';
import type { Admin, Health, Ready, ReloadResult, ServerHealth } from './downstream/http/admin.js';
import { attachStdio, type StdioClient } from './downstream/stdio.js';
import { createBudget } from './lib/budget.js';
import { createSlots } from './lib/slots.js';
import { createWheel, type Wheel } from './lib/wheel.js';
import type { Logger } from './observe/log.js';
import { Boundary } from './observe/boundary.js';
import { GatewayStats, statsOfOwnLink, type TerminationReason } from './observe/stats.js';
import {
  NOBODY_TO_ASK,
  type Link,
  type LinkEvents,
  type Notice,
  type Principal,
  type View,
} from './protocol/ports.js';
import { fanOutListChanged, fanOutUpdated, tellAside } from './proxy/fan-out.js';
import { createInterests } from './proxy/interests.js';
import { GivenLists } from './proxy/given.js';
import { createListeners } from './proxy/listeners.js';
import { modernCapabilities } from './bridge/capabilities.js';
import { createBridge } from './bridge/index.js';
import { createParkedCalls } from './bridge/parked-calls.js';
import { createSeal } from './bridge/seal.js';
import { createStates } from './bridge/states.js';
import { createTaskCancels } from './bridge/tasks/cancel.js';
import { createLegacyTasks } from './bridge/tasks/legacy.js';
import { LIST_KINDS, type ListKind } from './protocol/lists.js';
import type { Era } from './protocol/revisions.js';
import { createTasks } from './proxy/tasks.js';
import { createOwnLinks } from './proxy/own-links.js';
import { createQuestions } from './proxy/questions.js';
import { createGate, type Gate } from './proxy/gate.js';
import type { Runtime } from './proxy/runtime.js';
import { createStreams } from './session/streams.js';
import { endSession } from './session/ask.js';
import { createKept, type Kept } from './session/kept.js';
import { sessionsHere } from './session/here.js';
import {
  createSessionStore,
  type Session,
  type SessionStore,
  type SessionStoreOptions,
} from './session/store.js';
import { Connection, type ConnectionDeps } from './upstream/link/connection.js';
import { EVERY_CAPABILITY } from './upstream/link/envelope.js';
import { ListCache } from './upstream/link/list-cache.js';
import { UpstreamPool, type Upstream } from './upstream/link/pool.js';
import { SecondLinks } from './upstream/link/second-links.js';
import { createWatcher, type Watcher } from './upstream/stdio/watcher.js';

export type { Health, ReloadResult, ServerHealth };
export type { Session, SessionRecord, SessionStore, SessionStoreOptions } from './session/store.js';

export interface BuildInfo {
  readonly version: string;
  readonly git_sha: string;
}

export interface GatewayDeps {
  readonly logger: Logger;
  readonly build: BuildInfo;
  /** Reads the configuration again. */
  readonly reload: () => LoadedConfig;
  /** undefined: sessions are kept in this process. */
  readonly sessions: ((options: SessionStoreOptions) => SessionStore) | undefined;
}

/** How long list changes are gathered before sessions are told. */
const FAN_OUT_MS = 20;
/** How long upstreams are given to hear that nobody waits for their tasks any more. */
const LAST_WORDS_MS = 500;
/** How long a killed child is waited for: one in an uninterruptible wait must not hold the process. */
const LAST_KILL_MS = 1000;
/** The part of the grace that is kept for closing upstreams. */
const CLOSING_SHARE = 0.25;

/** Whose a link is, in which era it is dialled, and what it begins with. */
type LinkOptions = Pick<ConnectionDeps, 'client' | 'prefers' | 'second' | 'cache' | 'remembered'>;

/** The registry's own link to a per-client server: it can be asked for nothing. */
const NOBODY = { id: '', capabilities: {} };

export class GatewayCore implements Admin {
  readonly #log: Logger;
  readonly #build: BuildInfo;
  readonly #load: () => LoadedConfig;
  readonly #stats = new GatewayStats();
  readonly #boundary: Boundary;
  readonly #wheel: Wheel;
  readonly #budget;
  readonly #starts;
  readonly #sessions: SessionStore;
  readonly #questions;
  readonly #streams;
  readonly #ownLinks;
  readonly #tasks;
  readonly #legacyTasks;
  readonly #taskCancels = createTaskCancels();
  readonly #listeners = createListeners();
  readonly #given = new GivenLists();
  readonly #bridge;
  readonly #catalog: Catalog;
  readonly #gate: Gate;
  readonly #port: HttpPort;
  /** Clients on a pair of streams. */
  readonly #attached = new Set<StdioClient>();
  readonly #upstreams: UpstreamPool;
  readonly #seconds: SecondLinks;
  readonly #legacyViews: CapabilityViews;
  readonly #changed = new Map<string, Set<ListKind>>();
  readonly #kept: Kept;
  /** Whom a message without a call was for last. */
  #aside: { readonly id: string; readonly session: Session | undefined } | undefined;
  readonly #interests;
  readonly #awaited: Set<string>;
  readonly #sweeper: NodeJS.Timeout;
  #watcher: Watcher | undefined;
  #runtime: Runtime;
  #state: 'starting' | 'serving' | 'draining';
  /** The era that shared children are spoken to in where they speak both: that of the one client, if there is one alone. */
  #childEra: Era = 'modern';
  /** Servers that are added now are those of the start: what they listed in the last run is shown. */
  #starting = false;
  readonly #listCache: ListCache | undefined;
  #stopping = false;
  /** Whether the port is open. */
  #listening = false;
  #serve: () => void = () => undefined;
  readonly #serving: Promise<void>;
  #fanOut: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #fail: (error: Error) => void = () => undefined;
  readonly failed: Promise<Error>;

  constructor(loaded: LoadedConfig, deps: GatewayDeps) {
    const { config } = loaded;
    this.#log = deps.logger;
    this.#boundary = new Boundary(this.#log, this.#stats.internalErrors);
    this.#wheel = createWheel({ failed: (thrown) => this.#boundary.caught('timer', thrown) });
    this.#build = deps.build;
    this.#load = deps.reload;
    this.#runtime = runtimeOf(config);
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#serving = new Promise((resolve) => {
      this.#serve = resolve;
    });
    this.#budget = createBudget(config.limits.buffered_bytes, (thrown) =>
      this.#boundary.caught('detached', thrown),
    );
    this.#starts = createSlots(config.startup.parallel);
    this.#kept = createKept(this.#budget, (owner) => {
      this.#log.warn('ended the session of a client that keeps most: limits.buffered_bytes is used up');
      this.#listeners.endWhere((listener) => listener === owner);
      this.#endSessions((session) => session === owner, 'evicted');
    });
    this.#interests = createInterests({
      links: () => [...this.#upstreams.links(), ...this.#seconds.links()],
      own: (session) => this.#ownLinks.of(session),
      kept: this.#kept,
      tell: (subscribers, server, uri, notice) => {
        const viewOf = (session: Session): View | undefined => session.view ?? this.#viewOf(session);
        fanOutUpdated(this.#streams, subscribers, server, uri, notice, viewOf);
      },
    });
    this.#questions = createQuestions({
      wheel: this.#wheel,
      log: this.#log,
      budget: this.#budget,
      bodyBytes: () => this.#config.limits.body_bytes,
    });
    this.#streams = createStreams({
      wheel: this.#wheel,
      resumeMs: config.http.resume_seconds * 1000,
      replayBytes: () => this.#config.limits.replay_bytes,
      dropped: (reason) => {
        this.#stats.eventsDropped.add(reason);
        if (reason === 'slow_client')
          this.#log.warn('closed the server-to-client stream of a client that does not read');
      },
    });
    const now = (): number => performance.now();
    this.#sessions = (deps.sessions ?? createSessionStore)({
      now,
      limit: () => this.#config.limits.sessions,
      idleTtlMs: config.mcp.session.idle_ttl_seconds * 1000,
      ...sessionsHere({
        boundary: this.#boundary,
        stats: this.#stats,
        now,
        opened: (session) => {
          this.#ownLinks.open(session);
          session.view ??= this.#legacyViews.viewOf(
            modernCapabilities(session, 'tools/call'),
            session.server,
          );
        },
        ended: (session) => {
          this.#interests.drop(session);
          this.#kept.drop(session);
          this.#ownLinks.close(session);
          this.#questions.drop(session);
          this.#streams.drop(session);
        },
      }),
    });
    this.#listCache = config.cache.dir === undefined ? undefined : new ListCache(config.cache.dir, this.#log);
    this.#catalog = new Catalog({
      nameLength: () => this.#config.limits.name_length,
      waitMs: () => this.#config.startup.wait_ms,
      serverInfo: { name: 'mcpstead', version: deps.build.version },
      now: () => performance.now(),
    });
    this.#awaited = new Set(config.servers.filter(({ required }) => required).map(({ name }) => name));
    this.#state = this.#awaited.size > 0 ? 'starting' : 'serving';
    this.#legacyTasks = createLegacyTasks({
      wheel: this.#wheel,
      boundary: this.#boundary,
      budget: this.#budget,
      parkedMs: () => this.#config.limits.parked_seconds * 1000,
      limits: () => this.#config.limits,
    });
    this.#tasks = createTasks({
      boundary: this.#boundary,
      tell: (session, notice) => {
        this.#streams.notify(session, notice);
      },
      describe: (link, taskId) => this.#legacyTasks.describe(link, taskId),
      now: () => performance.now(),
      maxBytes: () => this.#config.limits.message_bytes,
      budget: this.#budget,
    });
    this.#upstreams = new UpstreamPool({
      boundary: this.#boundary,
      connect: (server) => this.#connect(server),
      put: (link) => {
        this.#catalog.put(link);
      },
      replaced: (link) => {
        this.#interests.adopt(link);
        this.#announce(link.server);
      },
    });
    const legacy = new OverlaidCatalog(this.#catalog);
    this.#seconds = new SecondLinks({
      boundary: this.#boundary,
      log: this.#log,
      connect: (server) => this.#connectSecond(server),
      upstreams: () => this.#upstreams.all(),
      put: (link) => {
        legacy.put(link);
        this.#interests.adopt(link);
        this.#stats.server(link.server).legacyRevision = link.peer?.revision ?? '';
      },
      remove: ({ key, server }) => {
        legacy.remove(server);
        this.#stats.server(server).legacyRevision = '';
        const first = this.#catalog.get(server);
        if (first) this.#interests.move(key, first);
        else this.#interests.forget(key);
      },
      changed: (server, kinds) => {
        this.#announce(server, kinds);
      },
    });
    const views = createCapabilityViews(this.#catalog, EVERY_CAPABILITY);
    this.#legacyViews = createCapabilityViews(legacy, EVERY_CAPABILITY);
    this.#ownLinks = createOwnLinks({
      boundary: this.#boundary,
      catalog: this.#catalog,
      sourceOf: (era, capabilities) => (era === 'legacy' ? this.#legacyViews : views).sourceOf(capabilities),
      streams: this.#streams,
      given: this.#given,
      questions: this.#questions,
      interests: () => this.#interests,
      listeners: this.#listeners,
      taskStatus: (link, taskId, notice) => {
        this.#tasks.status(link, taskId, notice);
      },
      limit: () => this.#config.limits.per_client,
      begun: () => this.#upstreams.begun,
      servers: () => this.#config.servers.filter(({ session }) => session === 'per-client'),
      evict: (session) => {
        this.#endSessions((each) => each === session, 'evicted');
      },
      connect: (server, client, events) =>
        this.#connection(server, events, { client, prefers: () => client.era }),
    });
    this.#bridge = createBridge({
      wheel: this.#wheel,
      log: this.#log,
      boundary: this.#boundary,
      stats: this.#stats,
      states: createStates(
        createSeal({ key: config.mcp.state_key, replica: randomUUID(), now: () => Date.now() }),
      ),
      parked: createParkedCalls(this.#stats, this.#boundary, () => this.#config.limits.parked),
      tasks: this.#legacyTasks,
      cancels: this.#taskCancels,
      budget: this.#budget,
      limits: () => this.#config.limits,
      parkedMs: () => this.#config.limits.parked_seconds * 1000,
    });
    this.#gate = createGate({
      runtime: () => this.#runtime,
      state: () => this.#state,
      views: this.#legacyViews.all,
      came: (server) => {
        this.#seconds.want(server);
      },
      greets: (session) => this.#greets(session),
      dialling: (server) => this.#seconds.dialling(server),
      sessions: this.#sessions,
      interests: this.#interests,
      questions: this.#questions,
      kept: this.#kept,
      streams: this.#streams,
      tasks: this.#tasks,
      listeners: this.#listeners,
      given: this.#given,
      bridge: this.#bridge,
      viewOf: (caller, server) =>
        this.#ownLinks.viewOf(caller, server) ??
        views.viewOf(caller.capabilities, server) ??
        views.all.of(server),
      notified: (session, message) => {
        this.#ownLinks.tell(session, message);
      },
      stats: this.#stats,
      log: this.#log,
      budget: this.#budget,
      boundary: this.#boundary,
    });
    this.#port = createHttpPort({
      gate: this.#gate,
      admin: this,
      config: () => this.#config,
      wheel: this.#wheel,
      budget: this.#budget,
      log: this.#log,
      boundary: this.#boundary,
    });
    const sweep = this.#boundary.guard('timer', () => {
      this.#sessions.sweep();
      this.#ownLinks.sweep(config.mcp.session.idle_ttl_seconds * 1000);
    });
    this.#sweeper = setInterval(sweep, config.mcp.session.gc_interval_seconds * 1000).unref();
    for (const warning of loaded.warnings) this.#log.warn(warning);
    this.#starting = true;
    for (const server of config.servers) this.#upstreams.add(server);
    this.#starting = false;
  }

  get #config(): Config {
    return this.#runtime.config;
  }

  async listen(): Promise<{ host: string; port: number; url: string }> {
    const address = await this.#port.listen();
    this.#listening = true;
    this.#begin();
    this.#log.info('listening', { url: address.url, servers: this.#upstreams.size });
    return address;
  }

  /**
   * Serves one client on a pair of streams. Without a port, upstreams are not begun before it is in earnest. Resolves when the client has
   * left; what it still has under way goes on for the grace, then the output ends.
   */
  attach(input: Readable, output: Writable): Promise<void> {
    const client = attachStdio(
      {
        gate: this.#gate,
        config: () => this.#config,
        budget: this.#budget,
        log: this.#log,
        boundary: this.#boundary,
        wanted: (era) => {
          if (!this.#upstreams.begun) this.#childEra = era;
          this.#begin();
          return this.#awaited.size > 0 ? this.#serving : undefined;
        },
      },
      input,
      output,
    );
    this.#attached.add(client);
    void client.closed.then(() => this.#attached.delete(client));
    return client.left;
  }

  health(): Health {
    const servers = this.#upstreams.all().map((each) => healthOf(each, this.#seconds.get(each.config.name)));
    return {
      status: servers.every(({ connected }) => connected) ? 'ok' : 'degraded',
      uptime_seconds: Date.now() / 1000 - this.#stats.startedAt,
      servers,
    };
  }

  ready(): Ready {
    if (this.#stopping) return { ready: false, waiting_for: ['shutting down'] };
    return { ready: this.#awaited.size === 0, waiting_for: [...this.#awaited] };
  }

  metrics(): ReturnType<Admin['metrics']> {
    if (!this.#config.metrics.enabled) return undefined;
    this.#syncGauges();
    return { contentType: 'text/plain; version=0.0.4; charset=utf-8', chunks: this.#renderMetrics() };
  }

  /** Reads the configuration, from another source if one is given, and makes it count. What did not change is not touched. */
  reload(load: () => LoadedConfig = this.#load): Promise<ReloadResult> {
    if (this.#stopping) return Promise.reject(new Error('shutting down: nothing is reloaded any more'));
    try {
      const result = this.#apply(load());
      this.#stats.reloads.add('success');
      this.#stats.lastReload = Date.now() / 1000;
      this.#log.info('configuration reloaded', {
        added: result.added,
        removed: result.removed,
        restarted: result.restarted,
        updated: result.updated,
        unchanged: result.unchanged,
      });
      return Promise.resolve(result);
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      this.#stats.reloads.add('error');
      this.#log.error('reload refused, the running configuration is kept', { error: failure.message });
      return Promise.reject(failure);
    }
  }

  /** Drains: ready no more, then no new sessions, then the end of what is in flight, within the grace. */
  close(): Promise<void> {
    return (this.#closing ??= this.#drain());
  }

  destroy(): void {
    this.#stopping = true;
    this.#state = 'draining';
    clearInterval(this.#sweeper);
    clearTimeout(this.#fanOut);
    this.#endSessions(() => true, 'gateway_shutdown');
    for (const client of this.#attached) client.destroy();
    this.#port.destroy();
    this.#upstreams.destroy();
    this.#seconds.destroy();
    this.#ownLinks.destroy();
    this.#watcher?.close();
    this.#wheel.close();
  }

  async #drain(): Promise<void> {
    const { mcp, http } = this.#config;
    this.#stopping = true;
    this.#log.info('shutting down');
    if (http.drain_delay_seconds > 0 && this.#listening)
      await new Promise((resolve) => setTimeout(resolve, http.drain_delay_seconds * 1000));
    this.#state = 'draining';
    const graceMs = mcp.session.shutdown_grace_seconds * 1000;
    const deadline = performance.now() + graceMs;
    for (const session of this.#sessions.all()) this.#streams.hush(session);
    this.#listeners.endWhere(() => true);
    this.#bridge.close();
    this.#legacyTasks.close();
    const serveMs = graceMs * (1 - CLOSING_SHARE);
    await Promise.all([
      this.#port.close(serveMs),
      ...[...this.#attached].map((client) => client.close(serveMs)),
    ]);
    this.#endSessions(() => true, 'gateway_shutdown');
    await this.#taskCancels.settled(Math.min(LAST_WORDS_MS, deadline - performance.now()));
    const left = Math.max(100, deadline - performance.now());
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      Promise.all([this.#upstreams.close(left), this.#seconds.close(left), this.#ownLinks.ended()]),
      new Promise((resolve) => (timer = setTimeout(resolve, left))),
    ]);
    clearTimeout(timer);
    // What has not ended by now is killed, and waited for: no child outlives the process.
    this.#upstreams.destroy();
    this.#seconds.destroy();
    this.#ownLinks.destroy();
    await this.#watcher?.gone(LAST_KILL_MS);
    this.destroy();
    this.#log.info('stopped');
  }

  #apply({ config: next, warnings, namesServers }: LoadedConfig): ReloadResult {
    const old = this.#config;
    if (!namesServers && old.servers.length > 0)
      throw new Error(
        'the configuration names no servers, as an empty or truncated file does: write servers: [] to remove them all',
      );
    const diff = diffConfig(old, next);
    const kept = keepFixed(old, next);
    // Everything that can fail is behind: from here on the new configuration counts.
    this.#runtime = runtimeOf(kept);
    this.#budget.setLimit(kept.limits.buffered_bytes);
    this.#starts.setLimit(kept.startup.parallel);
    for (const warning of warnings) this.#log.warn(warning);
    for (const key of diff.restartRequired)
      this.#log.warn(`${key} changed: restart required, the old value stays`);
    const byName = new Map(kept.servers.map((server) => [server.name, server]));
    const at = (name: string): ServerConfig => byName.get(name) as ServerConfig;
    for (const name of diff.removed) this.#remove(name);
    for (const name of diff.added) this.#upstreams.add(at(name));
    for (const name of diff.restarted) this.#restart(at(name));
    for (const name of [...diff.updated, ...diff.unchanged]) this.#update(at(name));
    const { auth } = this.#runtime;
    const withdrawn = ({ principal }: { readonly principal: Principal }): boolean =>
      principal.id !== 'local' && !auth.accepts(principal.credential);
    this.#endSessions(withdrawn, 'auth_changed');
    // A server may want a link a client now that did not before.
    for (const session of [...this.#sessions.all()]) if (session.open) this.#ownLinks.open(session);
    this.#listeners.endWhere(withdrawn);
    this.#bridge.endWhere(({ caller }) => withdrawn(caller));
    if (old.limits.name_length !== kept.limits.name_length) this.#catalog.touch();
    return {
      added: diff.added.length,
      removed: diff.removed.length,
      restarted: diff.restarted.length,
      updated: diff.updated.length,
      unchanged: diff.unchanged.length,
      servers: { added: diff.added, removed: diff.removed, restarted: diff.restarted, updated: diff.updated },
      restart_required: diff.restartRequired,
    };
  }

  #begin(): void {
    if (this.#upstreams.begun || this.#stopping) return;
    this.#catalog.begin();
    this.#upstreams.begin();
    this.#ownLinks.begin();
  }

  #update(config: ServerConfig): void {
    // Given up: a reload is what such an upstream waits for.
    const upstream = this.#upstreams.get(config.name);
    if ((upstream?.next ?? upstream?.link)?.state === 'down') return this.#restart(config);
    this.#awaitNoMore(config);
    this.#upstreams.update(config);
    this.#seconds.update(config);
    this.#ownLinks.update(config);
  }

  #restart(config: ServerConfig): void {
    this.#awaitNoMore(config);
    this.#ownLinks.restart(config.name);
    this.#seconds.outdate(config.name);
    this.#upstreams.restart(config);
  }

  /** Ends those for which `which` holds. */
  #endSessions(which: (session: Session) => boolean, reason: TerminationReason): void {
    for (const session of [...this.#sessions.all()])
      if (which(session)) void endSession(this.#sessions, this.#log, session, reason);
  }

  /** A server that is required no longer keeps nobody waiting. */
  #awaitNoMore({ name, required }: ServerConfig): void {
    if (!required && this.#awaited.delete(name)) this.#checkReady();
  }

  #remove(name: string): void {
    this.#awaited.delete(name);
    this.#checkReady();
    this.#catalog.remove(name);
    this.#seconds.drop(name);
    this.#stats.servers.delete(name);
    this.#interests.forget(name);
    this.#ownLinks.restart(name);
    this.#upstreams.remove(name);
    this.#endSessions(({ server }) => server === name, 'server_removed');
    this.#listeners.endWhere(({ server }) => server === name);
    this.#announce(name);
  }

  #connect(config: ServerConfig): Connection {
    const events = this.#eventsOfShared();
    const cache = config.session === 'shared' ? this.#listCache : undefined;
    return this.#shared(config, events, {
      prefers: () => (config.kind === 'stdio' ? this.#childEra : 'modern'),
      ...(cache && { cache, remembered: this.#starting ? cache.read(config) : undefined }),
    });
  }

  #eventsOfShared(): LinkEvents {
    return {
      state: (link, kinds) => {
        this.#linkChanged(link as Connection, kinds);
      },
      changed: (link, kinds) => {
        this.#announce(link.server, kinds);
      },
      updated: this.#boundary.guard('fan_out', (link: Link, uri: string, notice: Notice) => {
        this.#interests.updated(link, uri, notice);
      }),
      elicited: (link, elicitationId, notice, call) => {
        const session = this.#questions.elicited(link.server, elicitationId);
        if (!session) return;
        if (call?.client === session.id && !call.over) call.notify(notice);
        else this.#streams.notifyOnceOpen(session, notice);
      },
      taskStatus: (link, taskId, notice) => {
        this.#tasks.status(link, taskId, notice);
      },
      logged: this.#boundary.guard('fan_out', (client: string, notice: Notice) => {
        const session = this.#sessionOf(client);
        if (session) tellAside(this.#streams, session, notice);
      }),
      other() {},
      asked: () => NOBODY_TO_ASK,
      gaveUp: (link, error) => {
        if (this.#state === 'starting' && this.#awaited.has(link.server))
          this.#fail(new Error(`required upstream '${link.server}' cannot be reached: ${error.message}`));
      },
    };
  }

  /** The link of legacy clients to a server that speaks both eras. */
  #connectSecond(config: ServerConfig): Connection {
    const turned: LinkEvents['state'] = (link, kinds) => {
      this.#seconds.turned(link as Connection, kinds);
    };
    const gaveUp: LinkEvents['gaveUp'] = (link, error) => {
      this.#seconds.gaveUp(link as Connection, error);
    };
    const events = { ...this.#eventsOfShared(), state: turned, changed: turned, gaveUp };
    return this.#shared(config, events, { second: true });
  }

  #shared(config: ServerConfig, events: LinkEvents, more: Omit<LinkOptions, 'client'>): Connection {
    const link = this.#connection(config, events, more);
    this.#interests.adopt(link);
    return link;
  }

  /** What the client of a new session waits for, on the route of one server. */
  #greets(session: Session): Promise<void> | undefined {
    const { server } = session;
    if (server === undefined) return undefined;
    const { wait_ms } = this.#config.startup;
    const [own] = this.#ownLinks.of(session);
    if (own?.firstConnect) return within(own.settled, own.config.timeouts.start_ms);
    const first = this.#catalog.get(server);
    if (first?.firstConnect && first.keptSince === undefined) return within(first.settled, wait_ms);
    const second = this.#seconds.dialling(server);
    return second && within(second, wait_ms);
  }

  /** `client`: whose own link it is to be; undefined: a shared one, or the registry's of a per-client server. */
  #connection(config: ServerConfig, events: LinkEvents, { client, ...more }: LinkOptions): Connection {
    const alone = config.session === 'per-client' ? NOBODY : undefined;
    const owner = client ?? alone;
    const stats = this.#stats.server(config.name);
    return new Connection({
      ...more,
      config,
      stats: client || more.second ? statsOfOwnLink(stats) : stats,
      log: this.#log,
      boundary: this.#boundary,
      wheel: this.#wheel,
      budget: this.#budget,
      starts: this.#starts,
      watcher: (this.#watcher ??= createWatcher({ logger: this.#log })),
      limits: () => this.#config.limits,
      events,
      ...(owner && { client: owner }),
      clientInfo: { name: 'mcpstead', version: this.#build.version },
      showStderr: this.#config.mcp.auth.mode === 'none' && isLoopback(this.#config.host),
    });
  }

  #linkChanged(link: Connection, kinds: readonly ListKind[]): void {
    const name = link.server;
    if (link.state === 'up') this.#upstreams.rose(link);
    else this.#upstreams.fell(link);
    const upstream = this.#upstreams.get(name);
    if (upstream?.link.state === 'up') {
      if (this.#awaited.delete(name)) this.#checkReady();
      this.#seconds.rose(upstream);
    }
    // Of one that is to take another's place nobody sees anything yet.
    if (upstream?.link === link) this.#announce(name, kinds);
  }

  #checkReady(): void {
    if (this.#awaited.size > 0) return;
    this.#serve();
    if (this.#state !== 'starting') return;
    this.#state = 'serving';
    this.#log.info('ready: every required upstream has been up');
  }

  /** The catalog is fresh at once; clients hear of it a little later, once for many changes. */
  #announce(name: string, kinds: readonly ListKind[] = LIST_KINDS): void {
    this.#catalog.touch();
    const noted = this.#changed.get(name) ?? new Set();
    for (const kind of kinds) noted.add(kind);
    this.#changed.set(name, noted);
    const fanOut = this.#boundary.guard('fan_out', () => {
      this.#fanOut = undefined;
      const changed = new Map(this.#changed);
      this.#changed.clear();
      const told = fanOutListChanged(
        {
          sessions: this.#sessions,
          streams: this.#streams,
          listeners: this.#listeners,
          given: this.#given,
          viewOf: (session) => session.view ?? this.#viewOf(session),
        },
        changed,
      );
      this.#boundary.detach('fan_out', told);
    });
    this.#fanOut ??= setTimeout(fanOut, FAN_OUT_MS).unref();
  }

  /** The session of this id: as a rule the one that was asked for before. */
  #sessionOf(id: string): Session | undefined {
    if (this.#aside?.id !== id)
      this.#aside = { id, session: [...this.#sessions.all()].find((session) => session.id === id) };
    const { session } = this.#aside;
    return session?.open ? session : undefined;
  }

  #viewOf({ server }: Session): View | undefined {
    return this.#legacyViews.all.of(server);
  }

  #syncGauges(): void {
    this.#stats.bufferedBytes = this.#budget.used;
    for (const link of this.#upstreams.links()) {
      link.stats.connected = link.state === 'up';
      link.stats.toolsCount = link.lists.tools.length;
      const { server } = link;
      link.stats.inFlight =
        this.#upstreams.inFlight(server) + this.#seconds.inFlight(server) + this.#ownLinks.inFlight(server);
    }
  }

  async *#renderMetrics(): AsyncGenerator<string> {
    const { renderMetrics } = await import('./observe/metrics.js');
    yield* renderMetrics(this.#stats, { ...this.#build, node_version: process.version });
  }
}

function healthOf({ config: { required }, link, next }: Upstream, second: Link | undefined): ServerHealth {
  const { config, stats, peer, staleLists, keptSince } = link;
  return {
    name: config.name,
    url: config.kind === 'stdio' ? `stdio:${config.command}` : redactUrl(config.url),
    protocol: config.kind === 'stdio' ? 'stdio' : config.protocol,
    required,
    connected: link.state === 'up',
    tools_count: link.lists.tools.length,
    last_seen_seconds_ago: stats.lastSeen < 0 ? null : Math.max(0, Date.now() / 1000 - stats.lastSeen),
    reconnects: stats.reconnects,
    last_error: link.lastError ?? null,
    state: link.state,
    era: peer && keptSince === undefined ? link.era : null,
    revision: keptSince === undefined ? (peer?.revision ?? null) : null,
    ...(keptSince !== undefined && {
      lists: 'kept',
      lists_age_seconds: Math.max(0, Math.round((Date.now() - keptSince) / 1000)),
    }),
    ...(staleLists.size > 0 && {
      lists: Object.fromEntries([...staleLists].map(([kind, error]) => [kind, { stale: true, error }])),
    }),
    ...(second && {
      legacy: {
        state: second.state,
        revision: second.peer?.revision ?? null,
        error: second.lastError ?? null,
      },
    }),
    ...(next && { next: { state: next.state, error: next.lastError ?? null } }),
  };
}

function runtimeOf(config: Config): Runtime {
  return { config, auth: createAuthenticator(config.mcp.auth.mode, config.mcp.auth.tokens) };
}
