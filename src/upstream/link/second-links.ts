/**
 * Legacy links to servers that speak both eras. A shared HTTP server is connected as a modern one; once a legacy client has connected, a
 * legacy link is made as well, for tools that ask their client the legacy way. Without such a link the bridge serves legacy clients.
 */
import { isPerUser } from '../../config/credentials.js';
import type { ServerConfig } from '../../config/types.js';
import type { GatewayError } from '../../errors.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import { LIST_KINDS, sameList, type ListKind, type Lists } from '../../protocol/lists.js';
import type { Connection } from './connection.js';
import type { Upstream } from './pool.js';

export interface SecondLinksDeps {
  readonly boundary: Boundary;
  readonly log: Logger;
  /** Makes a link that is not started. */
  readonly connect: (config: ServerConfig) => Connection;
  readonly upstreams: () => Iterable<Upstream>;
  /** Legacy clients get this link instead of the first one of its server. */
  readonly put: (link: Connection) => void;
  /** Legacy clients get the first link of its server again. */
  readonly remove: (link: Connection) => void;
  /** The lists of a server that legacy clients see may have changed. */
  readonly changed: (server: string, kinds: readonly ListKind[]) => void;
}

export class SecondLinks {
  readonly #deps: SecondLinksDeps;
  readonly #links = new Map<string, Connection>();
  /** Servers whose legacy link is used by legacy clients. */
  readonly #shown = new Set<string>();
  /** Links of an older configuration that serve until the new one is up. */
  readonly #replaced = new Map<string, Connection>();
  /** Links that are draining. */
  readonly #retired = new Set<Connection>();
  /** Servers that refused `initialize`: not tried again before their first link has reconnected. */
  readonly #refused = new Set<string>();
  /** Servers that legacy clients use; undefined in it: all. */
  readonly #wanted = new Set<string | undefined>();

  constructor(deps: SecondLinksDeps) {
    this.#deps = deps;
  }

  /** The link of a server, whether it is up or not. */
  get(server: string): Connection | undefined {
    return this.#links.get(server) ?? this.#replaced.get(server);
  }

  links(): Connection[] {
    return [...this.#links.values(), ...this.#replaced.values()];
  }

  /** Resolves when the first attempt to make the legacy link to a server has ended; undefined: it has, or there is none. */
  dialling(server: string): Promise<void> | undefined {
    const link = this.#links.get(server);
    return link?.firstConnect && !this.#replaced.has(server) ? link.settled : undefined;
  }

  /** A legacy client uses a server; undefined: all servers. */
  want(server: string | undefined): void {
    if (this.#wanted.has(server) || this.#wanted.has(undefined)) return;
    this.#wanted.add(server);
    for (const upstream of this.#deps.upstreams())
      if (server === undefined || upstream.config.name === server) this.#consider(upstream);
  }

  /** The first link of a server is up. */
  rose(upstream: Upstream): void {
    const { name } = upstream.config;
    this.#refused.delete(name);
    if (mayNeedSecond(upstream)) this.#consider(upstream);
    else this.drop(name);
  }

  /** A legacy link went up or down; `kinds`: the lists that changed with that. */
  turned(link: Connection, kinds: readonly ListKind[]): void {
    const { server } = link;
    const older = this.#replaced.get(server);
    if (older === link && link.state !== 'up' && !link.reconnecting) this.#dropReplaced(server);
    if (this.#links.get(server) !== link) return;
    if (older && link.state === 'up') {
      this.#replaced.delete(server);
      link.borrowLists(older);
      this.#retire(older);
      this.#deps.put(link);
      this.#deps.changed(server, LIST_KINDS);
    }
    if (older) return;
    const isShown = this.#shown.has(server);
    // Down for too long: the bridge serves until it is up again.
    if (link.state !== 'up' && !link.reconnecting) {
      if (isShown) this.#hide(link);
      return;
    }
    if (isShown) {
      this.#deps.changed(server, kinds);
      return;
    }
    this.#shown.add(server);
    const first = this.#first(server);
    if (first) link.borrowLists(first);
    this.#deps.put(link);
    this.#deps.changed(server, this.#otherKinds(link));
  }

  /** The server refuses `initialize`. */
  gaveUp(link: Connection, error: GatewayError): void {
    const { server } = link;
    if (this.#links.get(server) !== link) return;
    const wasUp = !link.firstConnect;
    this.#refused.add(server);
    this.drop(server);
    this.#deps.log[wasUp ? 'warn' : 'debug'](
      'the upstream speaks no legacy revision: the bridge serves its legacy clients',
      {
        server,
        error: error.message,
      },
    );
  }

  /** Applies configuration that needs no new connection. */
  update(config: ServerConfig): void {
    this.#links.get(config.name)?.update(inLegacy(config));
  }

  /** The configuration of a server changed: a new legacy link is made once its first link is up, and the present one serves until then. */
  outdate(server: string): void {
    const link = this.#links.get(server);
    const older = this.#replaced.get(server);
    if (!older && !(link && this.#shown.has(server))) return this.drop(server);
    if (!link) return;
    this.#links.delete(server);
    // Changed again before the new link was up: the link that serves still does.
    if (older) this.#retire(link);
    else this.#replaced.set(server, link);
  }

  /** The server was removed, or speaks only one era. */
  drop(server: string): void {
    this.#dropReplaced(server);
    const link = this.#links.get(server);
    if (!link) return;
    if (this.#shown.has(server)) this.#hide(link);
    this.#links.delete(server);
    this.#retire(link);
  }

  /** Ends the link of an older configuration. */
  #dropReplaced(server: string): void {
    const link = this.#replaced.get(server);
    if (!link) return;
    this.#replaced.delete(server);
    this.#hide(link);
    this.#retire(link);
  }

  #retire(link: Connection): void {
    this.#retired.add(link);
    const drained = link.drain(link.config.drain_seconds * 1000).finally(() => this.#retired.delete(link));
    this.#deps.boundary.detach('link', drained);
  }

  /** Calls in flight to a server. */
  inFlight(server: string): number {
    let sum = 0;
    for (const link of [...this.links(), ...this.#retired]) if (link.server === server) sum += link.inFlight;
    return sum;
  }

  /** Closes all links within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.allSettled([...this.links(), ...this.#retired].map((link) => link.close(graceMs)));
  }

  destroy(): void {
    for (const link of [...this.links(), ...this.#retired]) link.destroy();
    this.#links.clear();
    this.#replaced.clear();
  }

  #hide(link: Connection): void {
    const { server } = link;
    this.#shown.delete(server);
    this.#deps.remove(link);
    this.#deps.changed(server, this.#otherKinds(link));
  }

  /** The kinds whose list differs between the two links of a server. */
  #otherKinds({ server, lists }: { readonly server: string; readonly lists: Lists }): ListKind[] {
    const first = this.#first(server);
    return first ? LIST_KINDS.filter((kind) => !sameList(lists[kind], first.lists[kind])) : [];
  }

  #first(server: string): Connection | undefined {
    for (const { config, link } of this.#deps.upstreams()) if (config.name === server) return link;
    return undefined;
  }

  #consider(upstream: Upstream): void {
    const { config } = upstream;
    const { name } = config;
    const isWanted = this.#wanted.has(name) || this.#wanted.has(undefined);
    if (!isWanted || this.#links.has(name) || this.#refused.has(name) || !mayNeedSecond(upstream)) return;
    const link = this.#deps.connect(inLegacy(config));
    this.#links.set(name, link);
    link.start();
  }
}

/** Whether a legacy link may be useful: only `initialize` tells for certain. */
function mayNeedSecond({ config, link, next }: Upstream): boolean {
  // The server is about to be replaced: what it speaks now does not matter.
  if (next) return false;
  if (config.kind !== 'http' || config.session !== 'shared' || config.revision !== 'auto') return false;
  // Each user has a link of his own, of which there is no second one.
  if (isPerUser(config)) return false;
  return link.state === 'up' && link.era === 'modern';
}

function inLegacy(config: ServerConfig): ServerConfig {
  return config.kind === 'http' ? { ...config, protocol: 'streamable', revision: 'legacy' } : config;
}
