/**
 * The registry of all upstreams, and what some callers see in its place.
 */
import type { Lists } from '../protocol/lists.js';
import type { Link, Peer } from '../protocol/ports.js';
import type { CatalogOptions, Entry, Source } from './source.js';

export class Catalog implements Source {
  readonly options: CatalogOptions;
  readonly #entries = new Map<string, Entry>();
  #sorted: readonly Entry[] | undefined;
  /** Goes up with every change that a list could show. */
  version = 0;

  constructor(options: CatalogOptions) {
    this.options = options;
  }

  /** Puts a link in, or in the place of the one of the same server. */
  put(link: Link): void {
    const addedAt = this.#entries.get(link.server)?.addedAt ?? this.options.now();
    this.#entries.set(link.server, { link, addedAt });
    this.touch();
  }

  /** Links begin to connect now: until then there was nothing to wait for. */
  begin(): void {
    for (const [server, { link }] of this.#entries)
      this.#entries.set(server, { link, addedAt: this.options.now() });
    this.touch();
  }

  remove(server: string): void {
    this.#entries.delete(server);
    this.touch();
  }

  /** A link's list or state changed, or names are made another way. */
  touch(): void {
    this.version++;
    this.#sorted = undefined;
  }

  get(server: string): Link | undefined {
    return this.#entries.get(server)?.link;
  }

  peerOf(server: string): Peer | undefined {
    return this.get(server)?.peer;
  }

  lists(link: Link): Lists {
    return link.lists;
  }

  fill(): undefined {
    return undefined;
  }

  /** All links, in the order of their names. */
  entries(): readonly Entry[] {
    return (this.#sorted ??= [...this.#entries.values()].sort((a, b) =>
      a.link.server < b.link.server ? -1 : 1,
    ));
  }
}

/**
 * The registry with other links in the place of some: those of one client to servers with `session: per-client`, or those of the legacy
 * era to servers that speak both.
 */
export class OverlaidCatalog implements Source {
  readonly #shared: Source;
  readonly #own = new Map<string, Entry>();
  #changes = 0;
  #entries: readonly Entry[] | undefined;
  #built = -1;

  constructor(shared: Source) {
    this.#shared = shared;
  }

  get options(): CatalogOptions {
    return this.#shared.options;
  }

  get version(): number {
    return this.#shared.version + this.#changes;
  }

  put(link: Link): void {
    this.#own.set(link.server, { link, addedAt: this.options.now() });
    this.touch();
  }

  begin(): void {
    for (const { link } of [...this.#own.values()]) this.put(link);
  }

  remove(server: string): void {
    this.#own.delete(server);
    this.touch();
  }

  touch(): void {
    this.#changes++;
  }

  get(server: string): Link | undefined {
    const shared = this.#shared.get(server);
    return shared && (this.#own.get(server)?.link ?? shared);
  }

  peerOf(server: string): Peer | undefined {
    return this.get(server)?.peer ?? this.#shared.peerOf(server);
  }

  lists(link: Link): Lists {
    return this.#shared.lists(link);
  }

  fill(server: string | undefined, signal: AbortSignal): Promise<void> | undefined {
    return this.#shared.fill(server, signal);
  }

  entries(): readonly Entry[] {
    if (!this.#entries || this.#built !== this.version) {
      this.#built = this.version;
      this.#entries = this.#shared.entries().map((entry) => this.#own.get(entry.link.server) ?? entry);
    }
    return this.#entries;
  }
}
