/**
 * All links to servers: the shared ones, those in the legacy era to servers that speak both, and those of one client alone. Wires what
 * links tell to those who need to know.
 */
import { OverlaidCatalog, type Catalog } from '../catalog/catalog.js';
import { isLoopback } from '../config/index.js';
import { isPerUser } from '../config/credentials.js';
import type { Config, ServerConfig } from '../config/types.js';
import type { Budget } from '../lib/budget.js';
import type { Slots } from '../lib/slots.js';
import type { Wheel } from '../lib/wheel.js';
import { within } from '../lib/within.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import type { ListKind } from '../protocol/lists.js';
import type { LinkEvents } from '../protocol/ports.js';
import { isPerson } from '../protocol/principal.js';
import type { Era } from '../protocol/revisions.js';
import type { Access } from '../policy/access.js';
import type { GivenLists } from '../proxy/given.js';
import type { Interests } from '../proxy/interests.js';
import type { Listeners } from '../proxy/listeners.js';
import { createOwnLinks, type OwnLinks } from '../proxy/own-links.js';
import type { PreferredDeps } from '../proxy/preferred.js';
import type { Questions } from '../proxy/questions.js';
import type { Tasks } from '../proxy/tasks.js';
import { routeOf } from '../proxy/route.js';
import { UserLinks } from '../proxy/user-links.js';
import { createViews, type Views } from '../proxy/views.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import { Connection, type ConnectionDeps } from '../upstream/link/connection.js';
import { configThere } from '../upstream/link/config-there.js';
import { EVERY_CAPABILITY } from '../upstream/link/envelope.js';
import type { ListCache } from '../upstream/link/list-cache.js';
import { UpstreamPool, type Upstream } from '../upstream/link/pool.js';
import { SecondLinks } from '../upstream/link/second-links.js';
import { createWatcher, type Watcher } from '../upstream/stdio/watcher.js';
import type { Announcer } from './announcer.js';
import { sharedEvents } from './link-events.js';
import type { GatewayCredentials } from './credentials.js';
import type { PeerDeps } from './deps.js';
import { pinning, type PinBook } from './pins.js';
import type { Readiness } from './readiness.js';
import { credentialOf, idOf, wants } from './owners.js';
import { kindsOf, type ServerKinds } from './server-kinds.js';

/** Which client or user a link belongs to, in which era it is dialled, and what it starts with. */
type LinkOptions = Pick<
  ConnectionDeps,
  'client' | 'user' | 'prefers' | 'second' | 'cache' | 'remembered' | 'peerLink' | 'lease'
>;

/** Why a server is down that an operator has turned off. */
const TURNED_OFF = 'turned off until a reload';
/** The client of the shared link to a per-client server: it can be asked for nothing. */
const NOBODY = { id: '', capabilities: {} };

export interface LinksDeps {
  readonly config: () => Config;
  readonly access: () => Access;
  readonly pins: PinBook;
  readonly credentials: GatewayCredentials;
  readonly version: string;
  readonly log: Logger;
  readonly stats: GatewayStats;
  readonly boundary: Boundary;
  readonly wheel: Wheel;
  readonly budget: Budget;
  readonly starts: Slots;
  readonly catalog: Catalog;
  readonly cache: ListCache | undefined;
  readonly readiness: Readiness;
  readonly announcer: Announcer;
  readonly questions: Questions;
  readonly streams: Streams;
  readonly tasks: Tasks;
  readonly given: GivenLists;
  /** See GatewayDeps. */
  readonly peers: PeerDeps | undefined;
  readonly listeners: Listeners;
  readonly interests: () => Interests;
  /** The session of this id in this process. */
  readonly sessionOf: (id: string) => Session | undefined;
  readonly sessions: () => Iterable<Session>;
  /** Ends a session whose link has to give way. */
  readonly evict: (session: Session) => void;
}

export class Links {
  readonly shared: UpstreamPool;
  readonly seconds: SecondLinks;
  readonly own: OwnLinks;
  readonly users: UserLinks;
  readonly views: Views;
  readonly #deps: LinksDeps;
  readonly #events: LinkEvents;
  #watcher: Watcher | undefined;
  /** The era in which shared children are spoken to that speak both: that of the one client, if there is only one. */
  #childEra: Era = 'modern';
  /** Servers that an operator has turned off. */
  readonly #off = new Set<string>();
  readonly #waiting = new Set<string>();
  /** Servers that are added now are those of the start: their lists of the last run are shown. */
  #starting = true;

  constructor(deps: LinksDeps) {
    this.#deps = deps;
    const { boundary, catalog, log, stats, announcer } = deps;
    this.#events = sharedEvents(deps, (link, kinds) => {
      this.#turned(link as Connection, kinds);
    });
    this.shared = new UpstreamPool({
      boundary,
      connect: (server) => this.#connectShared(server),
      put: (link) => {
        catalog.put(link);
      },
      replaced: (link) => {
        deps.interests().adopt(link);
        announcer.announce(link.server);
      },
    });
    const legacy = new OverlaidCatalog(catalog);
    this.seconds = new SecondLinks({
      boundary,
      log,
      connect: (server) => this.#connectSecond(server),
      upstreams: () => this.shared.all(),
      put: (link) => {
        legacy.put(link);
        deps.interests().adopt(link);
        stats.server(link.server).legacyRevision = link.peer?.revision ?? '';
      },
      remove: ({ key, server }) => {
        legacy.remove(server);
        stats.server(server).legacyRevision = '';
        const first = catalog.get(server);
        if (first) deps.interests().move(key, first);
        else deps.interests().forget(key);
      },
      changed: (server, kinds) => {
        announcer.announce(server, kinds);
      },
    });
    this.views = createViews({
      catalogs: { legacy, modern: catalog },
      full: EVERY_CAPABILITY,
      own: (viewer, route) => this.own.registryOf(viewer, route),
      ofUser: (owner, route, base, isShown) => this.users.registryOf(owner, route, base, isShown),
      hasLoginTool: (server) => this.kinds.withLoginTool.has(server),
      access: deps.access,
      pins: deps.pins,
    });
    this.own = createOwnLinks({
      boundary,
      catalog,
      views: () => this.views,
      streams: deps.streams,
      given: deps.given,
      questions: deps.questions,
      interests: deps.interests,
      listeners: deps.listeners,
      taskStatus: deps.tasks.status.bind(deps.tasks),
      limit: () => deps.config().limits.per_client,
      begun: () => this.shared.begun,
      servers: () => this.#on(this.kinds.perClient),
      evict: deps.evict,
      connect: (server, client, events) => {
        const user = isPerson(client.principal) ? client.principal.id : undefined;
        return this.#connect(server, events, { client, user, prefers: () => client.era });
      },
    });
    this.users = new UserLinks({
      boundary,
      ...{ streams: deps.streams, given: deps.given, listeners: deps.listeners, questions: deps.questions },
      interests: deps.interests,
      sessions: deps.sessions,
      sessionOf: deps.sessionOf,
      taskStatus: deps.tasks.status.bind(deps.tasks),
      shared: (server) => catalog.get(server),
      limit: () => deps.config().limits.per_user,
      begun: () => this.shared.begun,
      servers: () => this.#on(this.kinds.ownLinks),
      idOf,
      wants,
      connect: (server, { id, shown }, events) => {
        const credential = credentialOf(server, shown, deps.credentials);
        return this.#connect(server, events, { user: id, prefers: () => 'modern' }, credential);
      },
    });
  }

  /** Which replica of a fleet had better handle a request of a modern client. */
  readonly prefers: Omit<PreferredDeps, 'views' | 'isOurs'> = {
    keyOf: (viewer, route) => this.own.keyOf(viewer, route),
    hasOwn: () => this.kinds.perClient.length > 0,
    isAnyDown: () => this.shared.all().some(({ link }) => link.state !== 'up'),
  };

  /** Adds the servers of the start. */
  addAll(servers: readonly ServerConfig[]): void {
    for (const server of servers) this.shared.add(server);
    this.#starting = false;
  }

  /** Begins to connect. `era`: of the one client, if there is only one. */
  begin(era?: Era): void {
    if (this.shared.begun) return;
    if (era) this.#childEra = era;
    this.#deps.catalog.begin();
    this.shared.begin();
    this.own.begin();
    this.users.begin();
  }

  /** Gives a session the links of its own that it lacks, and a view with them. */
  give(session: Session): void {
    this.own.open(session);
    session.caller.view = this.views.of(session.caller, routeOf(session));
  }

  /** Waits, on the route of one server, for the link that tells what the server is; undefined: nothing to wait for. */
  describes(session: Session): Promise<void> | undefined {
    const { server } = session;
    if (server === undefined) return undefined;
    const { wait_ms } = this.#deps.config().startup;
    const [own] = this.own.of(session);
    if (own?.firstConnect) return within(own.settled, own.config.timeouts.start_ms);
    const first = this.users.of(session.caller, server) ?? this.#deps.catalog.get(server);
    if (first?.firstConnect && first.keptSince === undefined) return within(first.settled, wait_ms);
    const second = this.seconds.dialling(server);
    return second && within(second, wait_ms);
  }

  /** A reload left the link of a server as it is. */
  update(config: ServerConfig): void {
    this.#off.delete(config.name);
    const upstream = this.shared.get(config.name);
    // A link that has given up waits for a reload.
    if ((upstream?.next ?? upstream?.link)?.state === 'down') return this.restart(config);
    this.#unrequire(config);
    this.shared.update(config);
    this.seconds.update(config);
    this.own.update(config);
    this.users.update(config);
  }

  /** Those that no operator has turned off. */
  #on(servers: readonly ServerConfig[]): readonly ServerConfig[] {
    return this.#off.size === 0 ? servers : servers.filter(({ name }) => !this.#off.has(name));
  }

  get kinds(): ServerKinds {
    return kindsOf(this.#deps.config().servers);
  }

  /** Ends the connections to a server until a reload. Returns false if there is no such server. */
  turnOff(server: string): boolean {
    const config = this.shared.get(server)?.config;
    if (!config || config.off) return config !== undefined;
    this.#deps.readiness.settle(server);
    this.#off.add(server);
    this.own.restart(server);
    this.users.restart(server);
    this.seconds.drop(server);
    this.shared.restart({ ...config, problem: TURNED_OFF, off: true });
    return true;
  }

  /** Makes new connections to a server, which may be turned off or have given up. Returns false if there is no such server. */
  reconnect(server: string): boolean {
    const config = this.#deps.config().servers.find(({ name }) => name === server);
    if (config) this.restart(config);
    return config !== undefined;
  }

  restart(config: ServerConfig): void {
    this.#unrequire(config);
    this.#off.delete(config.name);
    this.own.restart(config.name);
    this.users.restart(config.name);
    this.seconds.outdate(config.name);
    this.shared.restart(config);
  }

  /** Another process runs a placed server from now on, or this one does. `isLost`: this one may not run it any more. */
  moved(server: string, isLost = false): void {
    const upstream = this.shared.get(server);
    if (upstream && !upstream.config.off) this.shared.restart(upstream.config, isLost || isThere(upstream));
  }

  remove(server: string): void {
    this.#off.delete(server);
    this.#deps.peers?.removed?.(server);
    const { readiness, catalog, stats, interests, announcer } = this.#deps;
    readiness.settle(server);
    catalog.remove(server);
    this.seconds.drop(server);
    stats.servers.delete(server);
    interests().forget(server);
    this.own.restart(server);
    this.users.restart(server);
    this.shared.remove(server);
    announcer.announce(server);
  }

  /** The links that several clients use. */
  ofMany(): Connection[] {
    return [...this.shared.links(), ...this.seconds.links(), ...(this.users.links() as Iterable<Connection>)];
  }

  /** Closes the links of clients and users who were idle for `idleMs`. */
  sweep(idleMs: number): void {
    this.own.sweep(idleMs);
    this.users.sweep(idleMs);
  }

  /** Gauges that are not kept up to date all the time. */
  measure(): void {
    for (const link of this.shared.links()) {
      const { server, stats } = link;
      stats.connected = link.state === 'up';
      stats.toolsCount = link.lists.tools.length;
      stats.inFlight =
        this.shared.inFlight(server) +
        this.seconds.inFlight(server) +
        this.own.inFlight(server) +
        this.users.inFlight(server);
    }
  }

  /** Drains all links for `graceMs`, at the most. */
  async close(graceMs: number): Promise<void> {
    await Promise.all([
      this.shared.close(graceMs),
      this.seconds.close(graceMs),
      this.users.close(graceMs),
      this.own.end(),
    ]);
  }

  /** Waits for killed children to end, so that none outlives the process. */
  async gone(limitMs: number): Promise<void> {
    await this.#watcher?.gone(limitMs);
  }

  destroy(): void {
    this.shared.destroy();
    this.seconds.destroy();
    this.own.destroy();
    this.users.destroy();
  }

  closeWatcher(): void {
    this.#watcher?.close();
  }

  /** Stops waiting for a server that is no longer `required`. */
  #unrequire({ name, required }: ServerConfig): void {
    if (!required) this.#deps.readiness.settle(name);
  }

  #connectShared(config: ServerConfig): Connection {
    const cache = config.session === 'shared' ? this.#deps.cache : undefined;
    const peerLink = this.#deps.peers?.linkOf(config);
    const link = this.#connect(config, this.#events, {
      prefers: () => (config.kind === 'stdio' ? this.#childEra : 'modern'),
      ...(peerLink ? { peerLink } : { lease: this.#deps.peers?.leaseOf?.(config.name) }),
      // The process that runs the server writes what it lists.
      ...(cache && { cache: peerLink ? undefined : cache }),
      ...(cache && this.#starting && { remembered: cache.read(config) }),
    });
    this.#deps.interests().adopt(link);
    return link;
  }

  #connectSecond(config: ServerConfig): Connection {
    const turned: LinkEvents['state'] = (link, kinds) => {
      this.seconds.turned(link as Connection, kinds);
    };
    const gaveUp: LinkEvents['gaveUp'] = (link, error) => {
      this.seconds.gaveUp(link as Connection, error);
    };
    const events = { ...this.#events, state: turned, changed: turned, gaveUp };
    const link = this.#connect(config, events, { second: true });
    this.#deps.interests().adopt(link);
    return link;
  }

  /** `client`: the link belongs to it alone; undefined: a shared link. */
  #connect(
    given: ServerConfig,
    told: LinkEvents,
    { client, user, ...more }: LinkOptions,
    credential = this.#deps.credentials.of(given, isPerUser(given) ? user : undefined),
  ): Connection {
    const config = more.peerLink ? configThere(given) : given;
    const events = pinning(this.#deps.pins, told);
    const { log, boundary, wheel, budget, starts, version } = this.#deps;
    const owner = client ?? (config.session === 'per-client' ? NOBODY : undefined);
    const { mcp, host } = this.#deps.config();
    return new Connection({
      ...more,
      config,
      credential,
      stats: this.#deps.stats.server(config.name),
      ...(!client && { user }),
      isShown: !client && user === undefined && !more.second,
      ...{ log, boundary, wheel, budget, starts },
      watcher: (this.#watcher ??= createWatcher({ logger: log })),
      limits: () => this.#deps.config().limits,
      events,
      ...(owner && { client: owner }),
      clientInfo: { name: 'mcpstead', version },
      showStderr: mcp.auth.mode === 'none' && isLoopback(host),
    });
  }

  /** A shared link went up or down. */
  #turned(link: Connection, kinds: readonly ListKind[]): void {
    const { server } = link;
    if (link.state === 'up') this.shared.rose(link);
    else this.shared.fell(link);
    // Users log in for themselves: the gateway waits for nobody.
    if (link.login !== undefined && isPerUser(link.config)) this.#deps.readiness.settle(server);
    const upstream = this.shared.get(server);
    if (upstream?.link.state === 'up') {
      this.#deps.readiness.settle(server);
      this.seconds.rose(upstream);
    }
    // Clients see nothing yet of a link that is to replace another one.
    if (upstream?.link !== link) return;
    // The login tool comes and goes with the phase.
    const isNews = (link.login !== undefined) !== this.#waiting.has(server);
    if (isNews && !this.#waiting.delete(server)) this.#waiting.add(server);
    this.#deps.announcer.announce(server, isNews ? [...new Set<ListKind>([...kinds, 'tools'])] : kinds);
  }
}

/** Whether another process runs the server of the link that calls are sent on. */
function isThere({ link }: Upstream): boolean {
  return link.peerLink !== undefined;
}
