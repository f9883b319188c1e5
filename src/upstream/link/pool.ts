/** The shared links, one per server: added, replaced without interruption, removed. */
import { credentialsChanged } from '../../config/index.js';
import type { ServerConfig } from '../../config/types.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Connection } from './connection.js';

export interface PoolDeps {
  readonly boundary: Boundary;
  /** Makes a link that is not started. */
  readonly connect: (config: ServerConfig) => Connection;
  /** This link serves its server from now on. */
  readonly put: (link: Connection) => void;
  /** This link has replaced the one before. */
  readonly replaced: (link: Connection) => void;
}

export interface Upstream {
  /** The present configuration: that of `next`, if there is one. */
  readonly config: ServerConfig;
  /** The link that calls are sent on. */
  readonly link: Connection;
  /** Replaces `link` once it is up. */
  readonly next: Connection | undefined;
}

interface Entry {
  config: ServerConfig;
  link: Connection;
  next: Connection | undefined;
  /** Replaces the old link although the new one is not up. */
  timer: NodeJS.Timeout | undefined;
}

export class UpstreamPool {
  readonly #deps: PoolDeps;
  readonly #upstreams = new Map<string, Entry>();
  /** Links that were replaced or whose server was removed, while they drain, and when they have ended. */
  readonly #retired = new Map<Connection, Promise<void>>();
  /** Links are started when they are added. */
  #begun = false;

  constructor(deps: PoolDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#upstreams.size;
  }

  get begun(): boolean {
    return this.#begun;
  }

  get(server: string): Upstream | undefined {
    return this.#upstreams.get(server);
  }

  /** All servers, by name. */
  all(): Upstream[] {
    return [...this.#upstreams.values()].sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
  }

  /** The links that calls are sent on. */
  links(): Connection[] {
    return [...this.#upstreams.values()].map(({ link }) => link);
  }

  /** Calls in flight to a server, also on links that drain. */
  inFlight(server: string): number {
    let sum = this.#upstreams.get(server)?.link.inFlight ?? 0;
    for (const link of this.#retired.keys()) if (link.server === server) sum += link.inFlight;
    return sum;
  }

  begin(): void {
    this.#begun = true;
    for (const link of this.links()) link.start();
  }

  add(config: ServerConfig): void {
    const link = this.#deps.connect(config);
    this.#upstreams.set(config.name, { config, link, next: undefined, timer: undefined });
    this.#deps.put(link);
    this.#start(link);
  }

  /** Applies configuration that needs no new connection. */
  update(config: ServerConfig): void {
    const upstream = this.#upstreams.get(config.name);
    if (!upstream) return;
    upstream.config = config;
    // A link that is being replaced keeps its configuration.
    (upstream.next ?? upstream.link).update(config);
  }

  remove(server: string): void {
    const upstream = this.#upstreams.get(server);
    if (!upstream) return;
    this.#upstreams.delete(server);
    this.#dropNext(upstream);
    void this.#retire(upstream.link, upstream.config.drain_seconds * 1000);
  }

  /** `link` is not up any more: if another one is to replace it, calls wait for that one from now on. */
  fell(link: Connection): void {
    const upstream = this.#upstreams.get(link.server);
    if (upstream?.link === link) this.#swap(upstream);
  }

  /**
   * Makes a new link that replaces the old one once it is up; until then the old one serves. If the credentials changed, the old ones may
   * have been withdrawn: then the old link is replaced after a limited time in any case. `atOnce`: calls wait for the new one from now on.
   */
  restart(config: ServerConfig, atOnce = false): void {
    const upstream = this.#upstreams.get(config.name);
    if (!upstream) return this.add(config);
    const { link: old } = upstream;
    const drainMs = upstream.config.drain_seconds * 1000;
    this.#dropNext(upstream);
    upstream.config = config;
    const link = this.#deps.connect(config);
    if (atOnce) {
      upstream.link = link;
      link.inherit(old);
      this.#deps.put(link);
      void this.#retire(old, drainMs);
      this.#start(link);
      return;
    }
    if (config.restart === 'serial' || old.state !== 'up' || config.off) {
      upstream.link = link;
      link.inherit(old);
      this.#deps.put(link);
      const drained = this.#retire(old, config.restart === 'serial' || config.off ? drainMs : 0);
      if (config.off) this.#start(link);
      else this.#start(link, drained);
      return;
    }
    upstream.next = link;
    if (credentialsChanged(old.config, config)) {
      const allowance = config.kind === 'stdio' ? config.timeouts.start_ms : config.timeouts.connect_ms;
      const retire = this.#deps.boundary.guard('link', () => {
        if (upstream.next === link) this.#swap(upstream);
      });
      upstream.timer = setTimeout(retire, allowance).unref();
    }
    link.start();
  }

  /** `link` is up. */
  rose(link: Connection): void {
    const upstream = this.#upstreams.get(link.server);
    if (upstream?.next === link) this.#swap(upstream);
  }

  #swap(upstream: Entry): void {
    const { next, link: old } = upstream;
    if (!next) return;
    clearTimeout(upstream.timer);
    upstream.next = undefined;
    upstream.link = next;
    next.inherit(old);
    this.#deps.put(next);
    this.#deps.replaced(next);
    void this.#retire(old, old.config.drain_seconds * 1000);
  }

  /** Starts a present link, once `drained` is resolved. With `restart: serial`, no process of the server but its own runs then. */
  #start(link: Connection, drained?: Promise<void>): void {
    const { server } = link;
    const waits = link.config.restart === 'serial' && !link.config.off && !link.peerLink;
    const others = waits
      ? [...this.#retired].flatMap(([each, ended]) =>
          each.server === server && !each.peerLink ? [ended] : [],
        )
      : [];
    const start = (): void => {
      if (this.#begun && this.#upstreams.get(server)?.link === link) link.start();
    };
    if (!drained && others.length === 0) start();
    else this.#deps.boundary.detach('link', Promise.all([drained, ...others]).then(start));
  }

  /** It has no calls yet, but may have opened a session, which has to end. */
  #dropNext(upstream: Entry): void {
    const { next } = upstream;
    forgetNext(upstream);
    if (next) void this.#retire(next, 0);
  }

  #retire(link: Connection, drainMs: number): Promise<void> {
    const drained = link.drain(drainMs).finally(() => this.#retired.delete(link));
    this.#retired.set(link, drained);
    this.#deps.boundary.detach('link', drained);
    return drained;
  }

  /** Closes all links within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const links = [...this.#upstreams.values()].flatMap(({ link, next }) => (next ? [link, next] : [link]));
    links.push(...this.#retired.keys());
    await Promise.allSettled(links.map((link) => link.close(graceMs)));
  }

  destroy(): void {
    for (const upstream of this.#upstreams.values()) {
      upstream.next?.destroy();
      forgetNext(upstream);
      upstream.link.destroy();
    }
    for (const link of this.#retired.keys()) link.destroy();
    this.#upstreams.clear();
  }
}

function forgetNext(upstream: Entry): void {
  clearTimeout(upstream.timer);
  upstream.next = undefined;
}
