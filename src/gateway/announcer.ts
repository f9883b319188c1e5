import type { Catalog } from '../catalog/catalog.js';
import type { Boundary } from '../observe/boundary.js';
import { LIST_KINDS, type ListKind } from '../protocol/lists.js';
import { fanOutListChanged, type FanOutDeps } from '../proxy/fan-out.js';

/** How long list changes are gathered before clients are told. */
const GATHER_MS = 20;

/** Tells clients of list changes. The catalog changes at once; clients hear of many changes in one message. */
export class Announcer {
  readonly #boundary: Boundary;
  readonly #catalog: Catalog;
  readonly #clients: FanOutDeps;
  readonly #listed: (() => void) | undefined;
  readonly #changed = new Map<string, Set<ListKind>>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `listed`: called after lists have changed. */
  constructor(boundary: Boundary, catalog: Catalog, clients: FanOutDeps, listed?: () => void) {
    this.#boundary = boundary;
    this.#catalog = catalog;
    this.#clients = clients;
    this.#listed = listed;
  }

  announce(server: string, kinds: readonly ListKind[] = LIST_KINDS): void {
    this.#catalog.touch();
    if (this.#closed) return;
    const noted = this.#changed.get(server) ?? new Set();
    for (const kind of kinds) noted.add(kind);
    this.#changed.set(server, noted);
    this.#timer ??= setTimeout(
      this.#boundary.guard('fan_out', () => {
        this.#tell();
      }),
      GATHER_MS,
    ).unref();
  }

  /** Links that end now change nothing that a client should hear of. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #tell(): void {
    this.#timer = undefined;
    const changed = new Map(this.#changed);
    this.#changed.clear();
    this.#boundary.detach('fan_out', fanOutListChanged(this.#clients, changed));
    this.#listed?.();
  }
}
