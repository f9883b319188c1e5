/**
 * Links that belong to one user, for servers with `auth.per: user`, or to clients that pass on the same values of headers: one to each
 * server, whatever the route, the era and the client. They are opened at the first request, and closed once nobody has used them for a while.
 */
import { Overlay, OverlaidCatalog } from '../catalog/catalog.js';
import type { Registry } from '../catalog/registry.js';
import type { ServerConfig } from '../config/types.js';
import type { Boundary } from '../observe/boundary.js';
import { LIST_KINDS, type ListKind } from '../protocol/lists.js';
import { NOBODY_TO_ASK, type LinkEvents, type Principal, type ServerLink } from '../protocol/ports.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import { tellAside, tellChanged, tellSession } from './fan-out.js';
import { fullLink } from './full-link.js';
import type { GivenLists } from './given.js';
import type { Interests } from './interests.js';
import type { Listeners } from './listeners.js';
import type { OwnLink } from './owned.js';
import type { Questions } from './questions.js';
import type { Route } from './route.js';
import type { Owner } from './views.js';

export interface UserLinksDeps {
  readonly boundary: Boundary;
  readonly streams: Streams;
  readonly given: GivenLists;
  readonly listeners: Listeners;
  readonly questions: Questions;
  readonly interests: () => Interests;
  readonly sessions: () => Iterable<Session>;
  /** The session of this id in this process. */
  readonly sessionOf: (id: string) => Session | undefined;
  readonly taskStatus: LinkEvents['taskStatus'];
  /** The link to a server that belongs to nobody. */
  readonly shared: (server: string) => ServerLink | undefined;
  /** limits.per_user: the maximum number of links to a server. */
  readonly limit: () => number;
  /** Whether links may connect. */
  readonly begun: () => boolean;
  /** The servers to which there are such links: the same array for the same configuration. */
  readonly servers: () => readonly ServerConfig[];
  /** The id of the one whose links somebody uses; undefined: he has none of his own. */
  readonly idOf: (owner: Owner) => string | undefined;
  /** Whether somebody has a link of his own to one of the servers. */
  readonly wants: (owner: Owner, config: ServerConfig) => boolean;
  readonly connect: (
    config: ServerConfig,
    user: { readonly id: string; readonly shown: Owner },
    events: LinkEvents,
  ) => OwnLink;
}

interface User {
  readonly id: string;
  /** As he showed himself last. */
  shown: Owner;
  readonly overlay: Overlay;
  /** The registries with his links, by the registry below. */
  readonly catalogs: WeakMap<Registry, OverlaidCatalog>;
  readonly links: Map<string, OwnLink>;
  /** Servers that had no room for a link. */
  readonly refused: Set<string>;
  /** Monotonic time. */
  lastUsed: number;
}

export class UserLinks {
  readonly #deps: UserLinksDeps;
  readonly #users = new Map<string, User>();
  readonly #counts = new Map<string, number>();
  /** Links that drain, until they have ended. */
  readonly #leaving = new Set<OwnLink>();

  constructor(deps: UserLinksDeps) {
    this.#deps = deps;
  }

  /** `base`, with the links of an owner in the place of those that belong to nobody. `isShown`: whether he sees a server at all. */
  registryOf(
    owner: Owner,
    { server }: Route,
    base: Registry,
    isShown: (server: string) => boolean,
  ): Registry {
    const servers = this.#deps.servers();
    const id = servers.length === 0 ? undefined : this.#deps.idOf(owner);
    if (id === undefined) return base;
    const wanted = servers.filter(
      (config) =>
        (server === undefined || server === config.name) &&
        this.#deps.wants(owner, config) &&
        isShown(config.name),
    );
    if (wanted.length === 0) return base;
    const user = this.#userOf(id, owner);
    for (const config of wanted) if (!user.links.has(config.name)) this.#open(user, config);
    let catalog = user.catalogs.get(base);
    if (!catalog) user.catalogs.set(base, (catalog = new OverlaidCatalog(base, user.overlay)));
    return catalog;
  }

  /** The link of somebody to a server; undefined: he has none of his own. */
  of(owner: Owner, server: string): OwnLink | undefined {
    const id = this.#users.size === 0 ? undefined : this.#deps.idOf(owner);
    return id === undefined ? undefined : this.#users.get(id)?.links.get(server);
  }

  *links(): Generator<OwnLink> {
    for (const { links } of this.#users.values()) yield* links.values();
  }

  /** How many users are connected to a server. */
  connected(server: string): number {
    let sum = 0;
    for (const { links } of this.#users.values()) if (links.get(server)?.state === 'up') sum++;
    return sum;
  }

  /** Calls under way on links to a server. */
  inFlight(server: string): number {
    let sum = 0;
    for (const link of [...this.links(), ...this.#leaving]) if (link.server === server) sum += link.inFlight;
    return sum;
  }

  /** Links may connect from now on. */
  begin(): void {
    for (const link of this.links()) link.start();
  }

  /** Closes the links of users who were idle for `idleMs`, and opens those that there was no room for. */
  sweep(idleMs: number): void {
    const before = performance.now() - idleMs;
    const present = new Set<string | undefined>();
    if (this.#users.size > 0)
      for (const { caller } of [...this.#deps.sessions(), ...this.#deps.listeners.all()])
        present.add(this.#deps.idOf(caller));
    for (const user of [...this.#users.values()]) {
      const isBusy = [...user.links.values()].some(({ inFlight }) => inFlight > 0);
      if (!isBusy && !present.has(user.id) && user.lastUsed <= before) this.#forget(user, 0);
    }
    for (const user of this.#users.values())
      for (const config of this.#deps.servers())
        if (user.refused.has(config.name) && this.#hasRoom(config.name)) this.#open(user, config);
  }

  /** Closes the links of users for whom `which` is true. */
  endWhere(which: (principal: Principal) => boolean): void {
    for (const user of [...this.#users.values()]) if (which(user.shown.principal)) this.#forget(user, 0);
  }

  /** Applies changes that need no new connection. */
  update(config: ServerConfig): void {
    for (const { links } of this.#users.values()) {
      const link = links.get(config.name);
      // A link that has given up waits for a reload.
      if (link?.state === 'down') this.restart(config.name);
      else link?.update(config);
    }
  }

  /** The configuration of a server changed, or it is gone: closes its links, and opens new ones where they are needed. */
  restart(server: string): void {
    const config = this.#deps.servers().find(({ name }) => name === server);
    for (const user of this.#users.values()) {
      const old = user.links.get(server);
      const drainMs = (config ?? old?.config)?.drain_seconds ?? 0;
      user.links.delete(server);
      user.refused.delete(server);
      if (old) this.#count(server, -1);
      if (config && this.#deps.wants(user.shown, config)) this.#open(user, config, old);
      else user.overlay.remove(server);
      if (old) this.#retire(old, drainMs * 1000);
    }
  }

  /** Closes all links within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.allSettled([...this.links(), ...this.#leaving].map((link) => link.close(graceMs)));
  }

  destroy(): void {
    for (const link of [...this.links(), ...this.#leaving]) link.destroy();
    this.#users.clear();
    this.#counts.clear();
  }

  #userOf(id: string, shown: Owner): User {
    let user = this.#users.get(id);
    if (!user) {
      user = {
        id,
        shown,
        overlay: new Overlay(),
        catalogs: new WeakMap(),
        links: new Map(),
        refused: new Set(),
        lastUsed: 0,
      };
      this.#users.set(id, user);
    }
    user.shown = shown;
    user.lastUsed = performance.now();
    return user;
  }

  #hasRoom(server: string): boolean {
    return (this.#counts.get(server) ?? 0) < this.#deps.limit();
  }

  #count(server: string, by: number): void {
    this.#counts.set(server, (this.#counts.get(server) ?? 0) + by);
  }

  /** `old`: the link whose place the new one takes. */
  #open(user: User, config: ServerConfig, old?: OwnLink): void {
    const { name } = config;
    const { overlay, links, refused } = user;
    if (!this.#hasRoom(name)) {
      const shared = this.#deps.shared(name);
      if (!shared || refused.has(name)) return;
      refused.add(name);
      const why = `${this.#deps.limit()} users have a connection of their own there (limits.per_user)`;
      overlay.put(fullLink(shared, why));
      return;
    }
    refused.delete(name);
    this.#count(name, 1);
    const link = this.#deps.connect(config, user, this.#eventsOf(user));
    if (old) link.inherit(old);
    links.set(name, link);
    overlay.put(link);
    this.#deps.interests().adopt(link);
    if (this.#deps.begun()) link.start();
  }

  #forget(user: User, graceMs: number): void {
    this.#users.delete(user.id);
    for (const [server, link] of user.links) {
      this.#count(server, -1);
      this.#retire(link, graceMs);
    }
    user.links.clear();
  }

  #retire(link: OwnLink, graceMs: number): void {
    this.#leaving.add(link);
    this.#deps.boundary.detach(
      'link',
      link.drain(graceMs).finally(() => this.#leaving.delete(link)),
    );
  }

  /** A list of a user's link has changed, or may have. */
  #changed({ id, overlay }: User, server: string, kinds: readonly ListKind[]): void {
    const { sessions, listeners, idOf } = this.#deps;
    overlay.touch();
    for (const session of sessions())
      if (idOf(session.caller) === id && !session.caller.view.hides(server))
        tellSession(this.#deps, session, kinds);
    for (const listener of listeners.all())
      if (idOf(listener.caller) === id && !listener.caller.view.hides(server)) tellChanged(listener, kinds);
  }

  /** What a link tells: to the clients of its user, and to nobody else. */
  #eventsOf(user: User): LinkEvents {
    const { boundary, idOf, interests, questions, sessionOf, streams, taskStatus } = this.#deps;
    const ofUser = (session: Session | undefined): Session | undefined =>
      session && idOf(session.caller) === user.id ? session : undefined;
    return {
      state: (link) => {
        // A link that was replaced has nothing to say any more.
        if (user.links.get(link.server) === link) this.#changed(user, link.server, LIST_KINDS);
      },
      changed: (link, kinds) => {
        if (user.links.get(link.server) === link) this.#changed(user, link.server, kinds);
      },
      updated: boundary.guard('fan_out', (link, uri, notice) => {
        interests().updated(link, uri, notice);
      }),
      elicited: (link, elicitationId, notice, call) => {
        const session = ofUser(questions.elicited(link.key, elicitationId));
        if (!session) return;
        if (call?.client === session.id && !call.over) call.notify(notice);
        else streams.notifyOnceOpen(session, notice);
      },
      taskStatus,
      logged: boundary.guard('fan_out', (link, client, notice) => {
        const session = ofUser(sessionOf(client));
        if (session && !session.caller.view.hides(link.server)) tellAside(streams, session, notice);
      }),
      other() {},
      asked: () => NOBODY_TO_ASK,
      gaveUp() {},
    };
  }
}
