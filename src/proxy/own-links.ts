/**
 * Links that belong to one client, for servers with `session: per-client`. The links of a legacy client are opened and closed with its
 * session. A modern client has no session: requests of one principal with equal capabilities and `clientInfo` count as one client, whose
 * links are closed when they have been idle for a while. The number of links is limited.
 */
import { sha256 } from '../lib/sha256.js';
import { OverlaidCatalog, type Catalog } from '../catalog/catalog.js';
import type { Registry } from '../catalog/registry.js';
import { isPerUser } from '../config/credentials.js';
import { credentialsChanged } from '../config/index.js';
import type { ServerConfig } from '../config/types.js';
import type { Boundary } from '../observe/boundary.js';
import type { Message } from '../protocol/message.js';
import type { Link, LinkEvents, ServerLink } from '../protocol/ports.js';
import { LIST_KINDS, type ListKind } from '../protocol/lists.js';
import type { Session } from '../session/store.js';
import type { GivenLists } from './given.js';
import type { Listener, Listeners } from './listeners.js';
import { tellChanged, tellSession } from './fan-out.js';
import { fullLink } from './full-link.js';
import {
  clientOf,
  isBusy,
  keyOfModern,
  lastUsed,
  type Next,
  type OwnClient,
  type OwnLink,
  type Owned,
  type Owner,
} from './owned.js';
import { ownEvents, type OwnEventsDeps } from './own-events.js';
import { routeOf, type Route } from './route.js';
import type { Viewer, Views } from './views.js';

export interface OwnLinksDeps extends OwnEventsDeps {
  readonly boundary: Boundary;
  readonly catalog: Catalog;
  readonly views: () => Views;
  readonly given: GivenLists;
  readonly listeners: Listeners;
  /** limits.per_client: the maximum number of links to a server. */
  readonly limit: () => number;
  /** Whether links may connect. */
  readonly begun: () => boolean;
  /** The servers with `session: per-client`. */
  readonly servers: () => readonly ServerConfig[];
  /** Ends a session to free its link. */
  readonly evict: (session: Session) => void;
  readonly connect: (config: ServerConfig, client: OwnClient, events: LinkEvents) => OwnLink;
}

export interface OwnLinks {
  /** Opens the links of a session. After a reload, opens those that are missing. */
  open(session: Session): void;
  /**
   * The registry with the links that belong to a client; undefined: there are none. Opens the links of a modern client at its first
   * request.
   */
  registryOf(viewer: Viewer, route: Route): Registry | undefined;
  /** What tells a modern client apart for which `registryOf` makes links; undefined: it makes none. */
  keyOf(viewer: Viewer, route: Route): string | undefined;
  /** Closes the links of modern clients that were idle for `idleMs`. */
  sweep(idleMs: number): void;
  /** Links may connect from now on. */
  begin(): void;
  of(session: Session): readonly OwnLink[];
  /** Calls under way on links to a server. */
  inFlight(server: string): number;
  /** Passes a client's notification to its own links. */
  tell(session: Session, message: Message): void;
  close(session: Session): void;
  /** Applies changes that need no new connection. */
  update(config: ServerConfig): void;
  /** The configuration of a server changed, or it is gone: closes its links, and opens new ones where they are needed. */
  restart(server: string): void;
  /** Closes the links of modern clients; those of sessions end with them. Resolves when all have ended. */
  end(): Promise<void>;
  destroy(): void;
}

/** Maximum number of registries that are kept for modern clients without links. */
const MAX_CROWDED = 256;

export function createOwnLinks(deps: OwnLinksDeps): OwnLinks {
  /** By session id. */
  const ofSessions = new Map<string, Owned>();
  const ofModern = new Map<string, Owned>();
  const counts = new Map<string, number>();
  /** Keys of modern clients that got no link because of the limit, the latest last. */
  const crowded = new Set<string>();
  /** Links that drain, until they have ended. */
  const leaving = new Map<OwnLink, Promise<void>>();

  function* all(): Generator<Owned> {
    yield* ofSessions.values();
    yield* ofModern.values();
  }

  /** The per-client servers of a route to which a client needs a link of its own. */
  function wanted(viewer: Viewer, route: Route): readonly ServerConfig[] {
    const { server } = route;
    const ofRoute = deps
      .servers()
      .filter((config) => (server === undefined || server === config.name) && needsLink(viewer, config));
    if (ofRoute.length === 0) return ofRoute;
    return ofRoute.filter(({ name }) => !deps.views().hides(viewer, route, name));
  }

  /**
   * A modern server is told with each request which client it is from: a modern client needs no link of its own, unless its user has a
   * credential of his own.
   */
  function needsLink({ era }: Viewer, config: ServerConfig): boolean {
    return era === 'legacy' || isPerUser(config) || deps.catalog.get(config.name)?.era === 'legacy';
  }

  function full(shared: ServerLink): ServerLink {
    return fullLink(shared, `${deps.limit()} clients have a session of their own there (limits.per_client)`);
  }

  function own(owner: Owner, servers: readonly ServerConfig[]): Owned {
    const catalog = new OverlaidCatalog(deps.views().shared(owner.viewer, owner.route));
    const owned: Owned = { owner, catalog, links: new Map(), nexts: new Map() };
    for (const config of servers) add(owned, config);
    return owned;
  }

  function hasRoom(server: string): boolean {
    return (counts.get(server) ?? 0) < deps.limit();
  }

  /**
   * When a server has its maximum of links, the user with most of them loses the one that was idle longest. A client with calls elsewhere,
   * which would end too, loses it only if all of that user's have some.
   */
  function makeRoom(server: string, owner: Owner): boolean {
    const holders = [...all()].filter(({ links }) => links.has(server));
    const sums = new Map<string, number>();
    for (const held of holders) sums.set(held.owner.whose, (sums.get(held.owner.whose) ?? 0) + 1);
    const own = (sums.get(owner.whose) ?? 0) + 1;
    const most = Math.max(0, ...sums.values());
    if (most <= own) return false;
    const idle = holders
      .filter((held) => sums.get(held.owner.whose) === most && held.links.get(server)?.inFlight === 0)
      .filter((held) => !listens(held))
      .sort((a, b) => Number(isBusy(a)) - Number(isBusy(b)) || lastUsed(a.owner) - lastUsed(b.owner));
    const [victim] = idle;
    if (!victim) return false;
    if (victim.owner.session) deps.evict(victim.owner.session);
    else forget(victim);
    return hasRoom(server);
  }

  /** The subscription streams of a modern client. */
  function listenersOf({ owner, catalog }: Owned): Listener[] {
    return [...deps.listeners.all()].filter(
      ({ caller, route }) => route.key === owner.route.key && deps.views().isOn(caller.view, catalog),
    );
  }

  function listens(owned: Owned): boolean {
    return listenersOf(owned).length > 0;
  }

  function forget(owned: Owned): void {
    for (const [key, each] of ofModern)
      if (each === owned) {
        ofModern.delete(key);
        crowded.delete(key);
      }
    close(owned);
  }

  /** Opens a link. `after`: it connects when this has resolved. */
  function add(owned: Owned, config: ServerConfig, after?: Promise<void>): void {
    const { owner, catalog, links } = owned;
    const { name } = config;
    if (!hasRoom(name) && !makeRoom(name, owner)) {
      const shared = deps.catalog.get(name);
      if (shared) catalog.put(full(shared));
      return;
    }
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const { session } = owner;
    const link = deps.connect(config, clientOf(owner), eventsOf(owned));
    links.set(name, link);
    catalog.put(link);
    // After a reload: repeat the client's subscriptions.
    deps.interests().adopt(link, session);
    if (after)
      deps.boundary.detach(
        'link',
        after.then(() => {
          if (links.get(name) === link && deps.begun()) link.start();
        }),
      );
    else if (deps.begun()) link.start();
  }

  /** Opens links for which there was no room before, or which a reload made necessary. */
  function addMissing(owned: Owned, servers: readonly ServerConfig[]): void {
    const { catalog, links, owner } = owned;
    for (const server of [...links.keys()])
      // A rule hides it now.
      if (deps.views().hides(owner.viewer, owner.route, server)) {
        void drop(owned, server, 0);
        catalog.remove(server);
      }
    for (const config of servers) {
      const { name } = config;
      if (links.has(name)) continue;
      const shared = deps.catalog.get(name);
      if (hasRoom(name)) add(owned, config);
      // This client must not use the shared link.
      else if (shared && catalog.get(name) === shared) catalog.put(full(shared));
    }
  }

  /** Closes a link. Resolves when it has ended. */
  function drop(owned: Owned, server: string, graceMs: number): Promise<void> {
    dropNext(owned, server);
    const link = owned.links.get(server);
    if (!link) return Promise.resolve();
    owned.links.delete(server);
    counts.set(server, (counts.get(server) ?? 1) - 1);
    return retire(link, graceMs);
  }

  function dropNext({ nexts }: Owned, server: string): void {
    const next = nexts.get(server);
    if (!next) return;
    nexts.delete(server);
    clearTimeout(next.timer);
    // The link has no calls yet, but may have opened a session at the server.
    void retire(next.link, 0);
  }

  /** Opens a link with a changed configuration. The old link is used until the new one is up. */
  function replace(owned: Owned, old: OwnLink, config: ServerConfig): void {
    const { owner, nexts } = owned;
    dropNext(owned, config.name);
    const link = deps.connect(config, clientOf(owner), eventsOf(owned));
    const next: Next = { link, timer: undefined };
    nexts.set(config.name, next);
    deps.interests().adopt(link, owner.session);
    if (credentialsChanged(old.config, config)) {
      const allowance = config.kind === 'stdio' ? config.timeouts.start_ms : config.timeouts.connect_ms;
      const swapNow = deps.boundary.guard('link', () => {
        swap(owned, config.name);
      });
      next.timer = setTimeout(swapNow, allowance).unref();
    }
    link.start();
  }

  function restart(owned: Owned, server: string): void {
    const { owner, catalog, links } = owned;
    const config = wanted(owner.viewer, owner.route).find(({ name }) => name === server);
    const old = links.get(server);
    if (config && config.restart !== 'serial' && old?.state === 'up') return replace(owned, old, config);
    // A server that is gone is not waited for.
    const { drain_seconds = 0 } = deps.servers().find(({ name }) => name === server) ?? {};
    const ended = drop(owned, server, drain_seconds * 1000);
    catalog.remove(server);
    if (config) add(owned, config, config.restart === 'serial' ? ended : undefined);
  }

  /** Puts the new link in place of the old one, which drains. */
  function swap(owned: Owned, server: string): void {
    const { owner, catalog, links, nexts } = owned;
    const next = nexts.get(server);
    const old = links.get(server);
    if (!next || !old) return;
    nexts.delete(server);
    clearTimeout(next.timer);
    next.link.inherit(old);
    links.set(server, next.link);
    catalog.put(next.link);
    deps.interests().adopt(next.link, owner.session);
    void retire(old, old.config.drain_seconds * 1000);
  }

  function retire(link: OwnLink, graceMs: number): Promise<void> {
    const drained = link.drain(graceMs).finally(() => leaving.delete(link));
    leaving.set(link, drained);
    deps.boundary.detach('link', drained);
    return drained;
  }

  function eventsOf(owned: Owned): LinkEvents {
    const { owner, catalog, links, nexts } = owned;
    const { session } = owner;
    const changed = (kinds: readonly ListKind[]): void => {
      catalog.touch();
      if (session) tellSession(deps, session, kinds);
      else for (const listener of listenersOf(owned)) tellChanged(listener, kinds);
    };
    const turned = (link: Link, kinds: readonly ListKind[]): void => {
      const { server } = link;
      const isUp = link.state === 'up';
      const isNext = nexts.get(server)?.link === link;
      if (isUp ? isNext : links.get(server) === link) swap(owned, server);
      if (isNext && isUp) changed(LIST_KINDS);
      else if (!isNext) changed(kinds);
    };
    return ownEvents(deps, session, turned, changed);
  }

  function close(owned: Owned): void {
    for (const server of [...owned.links.keys()]) void drop(owned, server, 0);
  }

  return {
    open(session) {
      const { id, opener, caller } = session;
      const route = routeOf(session);
      const servers = wanted(caller, route);
      const had = ofSessions.get(id);
      if (had) return addMissing(had, servers);
      if (servers.length === 0) return;
      const owner = { id, whose: opener ?? id, viewer: caller, route, session, lastUsed: 0 };
      ofSessions.set(id, own(owner, servers));
    },
    registryOf(viewer, route) {
      const { client } = viewer;
      if (viewer.era === 'legacy') return ofSessions.get(client)?.catalog;
      const servers = wanted(viewer, route);
      if (servers.length === 0) return undefined;
      const key = keyOfModern(viewer, route);
      let owned = ofModern.get(key);
      if (!owned) {
        const id = sha256(key);
        const owner = { id, whose: client, viewer, route, session: undefined, lastUsed: 0 };
        owned = own(owner, servers);
        ofModern.set(key, owned);
        // Without room for any link only the registry is kept, so that it is not made anew with each request.
        if (owned.links.size === 0) crowded.add(key);
        for (const oldest of crowded) {
          if (crowded.size <= MAX_CROWDED) break;
          crowded.delete(oldest);
          if (ofModern.get(oldest)?.links.size === 0) ofModern.delete(oldest);
        }
      }
      // There may be room for more links by now.
      else addMissing(owned, servers);
      owned.owner.lastUsed = performance.now();
      return owned.catalog;
    },
    keyOf: (viewer, route) => (wanted(viewer, route).length > 0 ? keyOfModern(viewer, route) : undefined),
    sweep(idleMs) {
      const before = performance.now() - idleMs;
      for (const owned of [...ofModern.values()])
        if (owned.owner.lastUsed <= before && !isBusy(owned) && !listens(owned)) forget(owned);
    },
    begin() {
      for (const { catalog, links } of all()) {
        catalog.begin();
        for (const link of links.values()) link.start();
      }
    },
    of: (session) => [...(ofSessions.get(session.id)?.links.values() ?? [])],
    inFlight(server) {
      let sum = 0;
      for (const { links } of all()) sum += links.get(server)?.inFlight ?? 0;
      for (const link of leaving.keys()) if (link.server === server) sum += link.inFlight;
      return sum;
    },
    tell(session, message) {
      if (message.method !== 'notifications/roots/list_changed') return;
      for (const link of ofSessions.get(session.id)?.links.values() ?? []) link.tell(message.body);
    },
    close(session) {
      const owned = ofSessions.get(session.id);
      if (!owned) return;
      ofSessions.delete(session.id);
      close(owned);
    },
    update(config) {
      for (const owned of all()) {
        const link = owned.nexts.get(config.name)?.link ?? owned.links.get(config.name);
        // A link that has given up waits for a reload.
        if (link?.state === 'down') restart(owned, config.name);
        else link?.update(config);
      }
    },
    restart(server) {
      for (const owned of all()) restart(owned, server);
    },
    async end() {
      for (const owned of [...ofModern.values()]) forget(owned);
      await Promise.allSettled(leaving.values());
    },
    destroy() {
      for (const owned of all()) {
        for (const link of owned.links.values()) link.destroy();
        for (const { link, timer } of owned.nexts.values()) {
          clearTimeout(timer);
          link.destroy();
        }
      }
      for (const link of leaving.keys()) link.destroy();
      ofSessions.clear();
      ofModern.clear();
      crowded.clear();
      counts.clear();
    },
  };
}
