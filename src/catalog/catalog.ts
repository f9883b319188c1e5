/** The catalog of all servers, and the filter that puts other links in the place of some. */
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Link, Peer, ServerLink } from '../protocol/ports.js';
import { Filter, type CatalogOptions, type Entry, type Registry } from './registry.js';
import { Segments } from './segment.js';

export class Catalog implements Registry {
  readonly options: CatalogOptions;
  readonly segments: Segments;
  readonly prefix = 'always';
  readonly instructions = undefined;
  version = 0;
  readonly #entries = new Map<string, Entry>();
  #sorted: readonly Entry[] | undefined;

  constructor(options: CatalogOptions) {
    this.options = options;
    this.segments = new Segments(() => options.nameLength());
  }

  /** Adds a link, or replaces the one of the same server. */
  put(link: ServerLink): void {
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

  /** A link's lists or state changed, or limits.name_length. */
  touch(): void {
    this.version++;
    this.#sorted = undefined;
  }

  get(server: string): ServerLink | undefined {
    return this.#entries.get(server)?.link;
  }

  peerOf(server: string): Peer | undefined {
    return this.get(server)?.peer;
  }

  entries(): readonly Entry[] {
    return (this.#sorted ??= [...this.#entries.values()].sort((a, b) =>
      a.link.server < b.link.server ? -1 : 1,
    ));
  }

  list(link: Link, kind: ListKind): readonly Definition[] {
    return link.lists[kind];
  }

  hides(): boolean {
    return false;
  }

  admits(): boolean {
    return true;
  }

  verdict(): undefined {
    return undefined;
  }

  showsAll(): boolean {
    return true;
  }

  problems(): readonly string[] {
    return [];
  }

  fill(): undefined {
    return undefined;
  }
}

/** Links in the place of others. */
export class Overlay {
  version = 0;
  readonly #entries = new Map<string, Entry>();

  get(server: string): Entry | undefined {
    return this.#entries.get(server);
  }

  put(link: ServerLink): void {
    this.#entries.set(link.server, { link, addedAt: performance.now() });
    this.touch();
  }

  /** Links begin to connect now. */
  begin(): void {
    for (const { link } of [...this.#entries.values()]) this.put(link);
  }

  remove(server: string): void {
    this.#entries.delete(server);
    this.touch();
  }

  /** A link's lists or state changed. */
  touch(): void {
    this.version++;
  }
}

/**
 * Other links in the place of some: those of one client to servers with `session: per-client`, those of one user to servers with `auth.per:
 * user`, or those that speak the legacy era to servers that speak both.
 */
export class OverlaidCatalog extends Filter {
  readonly #overlay: Overlay;
  #entries: readonly Entry[] | undefined;
  #built = -1;

  constructor(base: Registry, overlay = new Overlay()) {
    super(base);
    this.#overlay = overlay;
  }

  override get version(): number {
    return super.version + this.#overlay.version;
  }

  put(link: ServerLink): void {
    this.#overlay.put(link);
  }

  begin(): void {
    this.#overlay.begin();
  }

  remove(server: string): void {
    this.#overlay.remove(server);
  }

  touch(): void {
    this.#overlay.touch();
  }

  override get(server: string): ServerLink | undefined {
    const shared = this.base.get(server);
    return shared && (this.#overlay.get(server)?.link ?? shared);
  }

  override peerOf(server: string): Peer | undefined {
    return this.get(server)?.peer ?? this.base.peerOf(server);
  }

  override entries(): readonly Entry[] {
    if (!this.#entries || this.#built !== this.version) {
      this.#built = this.version;
      this.#entries = this.base.entries().map((entry) => this.#overlay.get(entry.link.server) ?? entry);
    }
    return this.#entries;
  }
}
