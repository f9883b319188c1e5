/** The shared links, one a server: put in, replaced without a gap, taken out. */
import type { ServerConfig } from '../config/types.js';
import type { Connection } from './connection.js';

export interface PoolDeps {
  /** Makes a link, not yet begun. */
  readonly connect: (config: ServerConfig) => Connection;
  /** This link is the one of its server from now on. */
  readonly put: (link: Connection) => void;
  /** Another link has come up in the place of the one before. */
  readonly replaced: (server: string) => void;
}

interface Upstream {
  config: ServerConfig;
  link: Connection;
  /** On its way to take the place of `link`. */
  next: { link: Connection; timer: NodeJS.Timeout } | undefined;
}

export class UpstreamPool {
  readonly #deps: PoolDeps;
  readonly #upstreams = new Map<string, Upstream>();
  /** Links are begun as they come; before, they only stand there. */
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

  get(server: string): { readonly config: ServerConfig; readonly link: Connection } | undefined {
    return this.#upstreams.get(server);
  }

  /** All, in the order of their names. */
  all(): { readonly config: ServerConfig; readonly link: Connection }[] {
    return [...this.#upstreams.values()].sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
  }

  /** The links that calls go to. */
  links(): Connection[] {
    return [...this.#upstreams.values()].map(({ link }) => link);
  }

  begin(): void {
    this.#begun = true;
    for (const link of this.links()) link.start();
  }

  add(config: ServerConfig): void {
    const link = this.#deps.connect(config);
    this.#upstreams.set(config.name, { config, link, next: undefined });
    this.#deps.put(link);
    if (this.#begun) link.start();
  }

  /** Takes over what needs no new connection. */
  update(config: ServerConfig): void {
    const upstream = this.#upstreams.get(config.name);
    if (!upstream) return;
    upstream.config = config;
    upstream.link.update(config);
    upstream.next?.link.update(config);
  }

  remove(server: string): void {
    const upstream = this.#upstreams.get(server);
    if (!upstream) return;
    this.#upstreams.delete(server);
    dropNext(upstream);
    void upstream.link.drain(upstream.config.drain_seconds * 1000);
  }

  /** The new link takes the place of the old one once it is up, or when it has had its time. */
  restart(config: ServerConfig): void {
    const upstream = this.#upstreams.get(config.name);
    if (!upstream) return this.add(config);
    const old = upstream.link;
    const drainMs = upstream.config.drain_seconds * 1000;
    dropNext(upstream);
    upstream.config = config;
    const link = this.#deps.connect(config);
    if (config.restart === 'serial' || old.state !== 'up') {
      upstream.link = link;
      this.#deps.put(link);
      void old.drain(config.restart === 'serial' ? drainMs : 0).then(() => {
        if (this.#begun && this.#upstreams.get(config.name)?.link === link) link.start();
      });
      return;
    }
    const allowance = config.kind === 'stdio' ? config.timeouts.start_ms : config.timeouts.connect_ms;
    const swap = (): void => {
      if (upstream.next?.link !== link) return;
      clearTimeout(upstream.next.timer);
      upstream.next = undefined;
      upstream.link = link;
      this.#deps.put(link);
      this.#deps.replaced(config.name);
      void old.drain(drainMs);
    };
    upstream.next = { link, timer: setTimeout(swap, allowance).unref() };
    link.start();
    void link.settled.then(() => {
      if (link.state === 'up') swap();
    });
  }

  /** Ends every link politely, within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const links = [...this.#upstreams.values()].flatMap(({ link, next }) =>
      next ? [link, next.link] : [link],
    );
    await Promise.allSettled(links.map((link) => link.close(graceMs)));
  }

  destroy(): void {
    for (const upstream of this.#upstreams.values()) {
      dropNext(upstream);
      upstream.link.destroy();
    }
    this.#upstreams.clear();
  }
}

function dropNext(upstream: Upstream): void {
  if (!upstream.next) return;
  clearTimeout(upstream.next.timer);
  upstream.next.link.destroy();
  upstream.next = undefined;
}
