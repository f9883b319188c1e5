/**
 * The legacy links to servers that speak both eras. A shared HTTP server is dialled in its modern era; once a client of the legacy era has
 * come, it is dialled in that era too, for the tools that ask their client in the old way. What cannot be had so goes over the bridge.
 */
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
  /** Makes a link, not yet begun. */
  readonly connect: (config: ServerConfig) => Connection;
  readonly upstreams: () => Iterable<Upstream>;
  /** Legacy clients see this link in the place of the first one of its server. */
  readonly put: (link: Connection) => void;
  /** Legacy clients see the first link of its server again. */
  readonly remove: (link: Connection) => void;
  /** What legacy clients see of a server may be other lists now. */
  readonly changed: (server: string, kinds: readonly ListKind[]) => void;
}

export class SecondLinks {
  readonly #deps: SecondLinksDeps;
  readonly #links = new Map<string, Connection>();
  /** Servers whose link here is what legacy clients see. */
  readonly #shown = new Set<string>();
  /** Links of an older configuration that serve until the new one is up. */
  readonly #outgoing = new Map<string, Connection>();
  /** Links that nobody uses any more, until they have ended. */
  readonly #retired = new Set<Connection>();
  /** Servers that refused `initialize`: not asked again before their first link has come up anew. */
  readonly #refused = new Set<string>();
  /** Servers that legacy clients have come for; undefined in it: all. */
  readonly #wanted = new Set<string | undefined>();

  constructor(deps: SecondLinksDeps) {
    this.#deps = deps;
  }

  /** The link of a server, whether it is up or not. */
  get(server: string): Connection | undefined {
    return this.#links.get(server) ?? this.#outgoing.get(server);
  }

  links(): Connection[] {
    return [...this.#links.values(), ...this.#outgoing.values()];
  }

  /** Resolves when the first attempt to reach a server in its legacy era has ended; undefined: it has, or there is none. */
  dialling(server: string): Promise<void> | undefined {
    const link = this.#links.get(server);
    return link?.firstConnect && !this.#outgoing.has(server) ? link.settled : undefined;
  }

  /** A legacy client has come for a server, or for all. */
  want(server: string | undefined): void {
    if (this.#wanted.has(server) || this.#wanted.has(undefined)) return;
    this.#wanted.add(server);
    for (const upstream of this.#deps.upstreams())
      if (server === undefined || upstream.config.name === server) this.#consider(upstream);
  }

  /** The first link of a server has come up. */
  rose(upstream: Upstream): void {
    const { name } = upstream.config;
    this.#refused.delete(name);
    if (speaksBoth(upstream)) this.#consider(upstream);
    else this.drop(name);
  }

  /** The link of a server went up or down; `kinds`: the lists that came or went with it. */
  turned(link: Connection, kinds: readonly ListKind[]): void {
    const { server } = link;
    const older = this.#outgoing.get(server);
    if (older === link && link.state !== 'up' && !link.reconnecting) this.#leave(server);
    if (this.#links.get(server) !== link) return;
    if (older && link.state === 'up') {
      this.#outgoing.delete(server);
      this.#retire(older);
      this.#deps.put(link);
      this.#deps.changed(server, LIST_KINDS);
    }
    if (older) return;
    const isShown = this.#shown.has(server);
    // Away for too long: the bridge serves until it is back.
    if (link.state !== 'up' && !link.reconnecting) {
      if (isShown) this.#hide(link);
      return;
    }
    if (isShown) {
      this.#deps.changed(server, kinds);
      return;
    }
    this.#shown.add(server);
    this.#deps.put(link);
    this.#deps.changed(server, this.#otherKinds(link));
  }

  /** It refuses the handshake of its era. */
  gaveUp(link: Connection, error: GatewayError): void {
    const { server } = link;
    if (this.#links.get(server) !== link) return;
    const wasUp = !link.firstConnect;
    this.#refused.add(server);
    this.drop(server);
    this.#deps.log[wasUp ? 'warn' : 'debug'](
      'speaks no legacy revision: the bridge serves its legacy clients',
      {
        server,
        error: error.message,
      },
    );
  }

  /** Takes over what needs no new connection. */
  update(config: ServerConfig): void {
    this.#links.get(config.name)?.update(inLegacy(config));
  }

  /** The configuration of a server is another one: once that is up it is dialled anew, and the link here serves until then. */
  outdate(server: string): void {
    const link = this.#links.get(server);
    const older = this.#outgoing.get(server);
    if (!older && !(link && this.#shown.has(server))) return this.drop(server);
    if (!link) return;
    this.#links.delete(server);
    // Changed once more while the new link was on its way: the one that serves goes on serving.
    if (older) this.#retire(link);
    else this.#outgoing.set(server, link);
  }

  /** The server is gone, or speaks one era alone. */
  drop(server: string): void {
    this.#leave(server);
    const link = this.#links.get(server);
    if (!link) return;
    if (this.#shown.has(server)) this.#hide(link);
    this.#links.delete(server);
    this.#retire(link);
  }

  /** Ends the link of an older configuration. */
  #leave(server: string): void {
    const link = this.#outgoing.get(server);
    if (!link) return;
    this.#outgoing.delete(server);
    this.#hide(link);
    this.#retire(link);
  }

  #retire(link: Connection): void {
    this.#retired.add(link);
    const drained = link.drain(link.config.drain_seconds * 1000).finally(() => this.#retired.delete(link));
    this.#deps.boundary.detach('link', drained);
  }

  /** Calls under way to a server. */
  inFlight(server: string): number {
    let sum = 0;
    for (const link of [...this.links(), ...this.#retired]) if (link.server === server) sum += link.inFlight;
    return sum;
  }

  /** Ends every link politely, within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.allSettled([...this.links(), ...this.#retired].map((link) => link.close(graceMs)));
  }

  destroy(): void {
    for (const link of [...this.links(), ...this.#retired]) link.destroy();
    this.#links.clear();
    this.#outgoing.clear();
  }

  #hide(link: Connection): void {
    const { server } = link;
    this.#shown.delete(server);
    this.#deps.remove(link);
    this.#deps.changed(server, this.#otherKinds(link));
  }

  /** What a server lists otherwise in its legacy era than in its modern one. */
  #otherKinds({ server, lists }: { readonly server: string; readonly lists: Lists }): ListKind[] {
    for (const { config, link } of this.#deps.upstreams())
      if (config.name === server)
        return LIST_KINDS.filter((kind) => !sameList(lists[kind], link.lists[kind]));
    return [];
  }

  #consider(upstream: Upstream): void {
    const { config } = upstream;
    const { name } = config;
    const isWanted = this.#wanted.has(name) || this.#wanted.has(undefined);
    if (!isWanted || this.#links.has(name) || this.#refused.has(name) || !speaksBoth(upstream)) return;
    const link = this.#deps.connect(inLegacy(config));
    this.#links.set(name, link);
    link.start();
  }
}

/** Whether a second link may be worth while: only `initialize` tells. */
function speaksBoth({ config, link, next }: Upstream): boolean {
  // What is about to be another server tells nothing of that.
  if (next) return false;
  if (config.kind !== 'http' || config.session !== 'shared' || config.revision !== 'auto') return false;
  return link.state === 'up' && link.era === 'modern';
}

function inLegacy(config: ServerConfig): ServerConfig {
  return config.kind === 'http' ? { ...config, protocol: 'streamable', revision: 'legacy' } : config;
}
