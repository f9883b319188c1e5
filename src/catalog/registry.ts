/** The input of views: the catalog of all servers, or a filter on it. */
import type { ProfileConfig } from '../config/types.js';
import type { Definition, ListKind } from '../protocol/lists.js';
import { within } from '../lib/within.js';
import type { Link, NameKind, Peer, ServerLink, Verdict } from '../protocol/ports.js';
import type { Segments } from './segment.js';

export interface CatalogOptions {
  /** limits.name_length; a reload may change it. */
  nameLength(): number;
  /** startup.wait_ms; a reload may change it. */
  waitMs(): number;
  /** What the configuration says that a server is for; undefined: nothing. */
  describe?(server: string): string | undefined;
  readonly serverInfo: { readonly name: string; readonly version: string };
  /** Monotonic time in milliseconds. */
  readonly now: () => number;
}

export interface Entry {
  readonly link: ServerLink;
  readonly addedAt: number;
}

export interface Registry {
  readonly options: CatalogOptions;
  /** Rendered lists, shared by all views. */
  readonly segments: Segments;
  /** Increases with every change that a list could show. */
  readonly version: number;
  /** undefined: the server does not exist, or is hidden. */
  get(server: string): ServerLink | undefined;
  /** What a server said at its handshake. A client's own link that has not connected yet uses that of the shared link. */
  peerOf(server: string): Peer | undefined;
  /** All links, sorted by server name. */
  entries(): readonly Entry[];
  /** The visible part of a link's list: the same array until the list changes. */
  list(link: Link, kind: ListKind): readonly Definition[];
  /** Whether a server of this name is hidden, whether or not it exists. */
  hides(server: string): boolean;
  /** Whether a name that the server does not list may be used. */
  admits(server: string, kind: NameKind, name: string): boolean;
  /** What the rules say about an item; undefined: there are no rules. `definition`: undefined: not listed. */
  verdict(
    server: string,
    kind: NameKind,
    name: string,
    definition: Definition | undefined,
  ): Verdict | undefined;
  /** Whether all of a server is shown, so that requests without a name may go to it. */
  showsAll(server: string): boolean;
  /** How its tools and prompts are named on merged routes. */
  readonly prefix: ProfileConfig['prefix'];
  /** What replaces the instructions of its servers; undefined: nothing. */
  readonly instructions: string | undefined;
  /** What is wrong with what it shows, because of the configuration: a sentence each. */
  problems(): readonly string[];
  /** Reads the lists of some links that have not been read yet; undefined: nothing to wait for. */
  fill(links: readonly Link[], signal: AbortSignal): Promise<void> | undefined;
}

/**
 * A registry that hides parts of another one or replaces links. A filter overrides what it changes. `list` must return the same array as
 * long as the underlying array is the same, because rendered bytes are cached by array.
 */
export abstract class Filter implements Registry {
  protected readonly base: Registry;
  /** Increases with each change of the filter itself. */
  protected changes = 0;

  constructor(base: Registry) {
    this.base = base;
  }

  get options(): CatalogOptions {
    return this.base.options;
  }

  get segments(): Segments {
    return this.base.segments;
  }

  get version(): number {
    return this.base.version + this.changes;
  }

  get prefix(): ProfileConfig['prefix'] {
    return this.base.prefix;
  }

  get instructions(): string | undefined {
    return this.base.instructions;
  }

  get(server: string): ServerLink | undefined {
    return this.base.get(server);
  }

  peerOf(server: string): Peer | undefined {
    return this.base.peerOf(server);
  }

  entries(): readonly Entry[] {
    return this.base.entries();
  }

  list(link: Link, kind: ListKind): readonly Definition[] {
    return this.base.list(link, kind);
  }

  hides(server: string): boolean {
    return this.base.hides(server);
  }

  admits(server: string, kind: NameKind, name: string): boolean {
    return this.base.admits(server, kind, name);
  }

  verdict(
    server: string,
    kind: NameKind,
    name: string,
    definition: Definition | undefined,
  ): Verdict | undefined {
    return this.base.verdict(server, kind, name, definition);
  }

  showsAll(server: string): boolean {
    return this.base.showsAll(server);
  }

  problems(): readonly string[] {
    return this.base.problems();
  }

  fill(links: readonly Link[], signal: AbortSignal): Promise<void> | undefined {
    return this.base.fill(links, signal);
  }
}

/** What a server that is away listed last, as a registry shows it; undefined: it lists something, or listed nothing. */
export function lastListed(
  registry: Registry,
  link: ServerLink,
  kind: ListKind,
): readonly Definition[] | undefined {
  const { server, key, era, state, lastLists } = link;
  if (!lastLists || link.lists[kind].length > 0) return undefined;
  const away: Partial<Link> = { server, key, era, state, lists: lastLists, listsFor: undefined };
  return registry.list(away as Link, kind);
}

/** What a list waits for: first connects, then lists that have not been read yet. */
export function waitForLists(
  registry: Registry,
  server: string | undefined,
  signal: AbortSignal,
): Promise<void> | undefined {
  const link = server === undefined ? undefined : registry.get(server);
  const first =
    server === undefined
      ? waitForFirst(registry, signal)
      : link?.keptSince === undefined
        ? waitFor(registry, link, signal)
        : undefined;
  // Only of servers that this registry shows. A reload may replace links meanwhile.
  const fill = (): Promise<void> | undefined => {
    const links = registry.entries().map(({ link }) => link);
    return registry.fill(
      server === undefined ? links : links.filter((link) => link.server === server),
      signal,
    );
  };
  return first ? first.then(fill) : fill();
}

/** Waits for links that connect for the first time, each until startup.wait_ms after it was added. */
export function waitForFirst(registry: Registry, signal: AbortSignal): Promise<void> | undefined {
  const now = registry.options.now();
  const waitMs = registry.options.waitMs();
  const waits: Promise<void>[] = [];
  let until = now;
  for (const { link, addedAt } of registry.entries()) {
    if (!link.firstConnect || link.keptSince !== undefined || addedAt + waitMs <= now) continue;
    until = Math.max(until, addedAt + waitMs);
    waits.push(link.settled);
  }
  return waits.length === 0 ? undefined : within(Promise.all(waits), until - now, signal);
}

/** Waits for one link that connects for the first time or reconnects: for startup.wait_ms from now. */
export function waitFor(
  registry: Registry,
  link: Link | undefined,
  signal: AbortSignal,
): Promise<void> | undefined {
  return link && connecting(link) ? waitWhileConnecting(registry, link.server, signal) : undefined;
}

function connecting(link: Link): Promise<void> | undefined {
  return link.firstConnect ? link.settled : link.reconnecting;
}

async function waitWhileConnecting(registry: Registry, server: string, signal: AbortSignal): Promise<void> {
  const waitMs = registry.get(server)?.waitMs ?? registry.options.waitMs();
  const until = registry.options.now() + waitMs;
  for (;;) {
    // A reload may have replaced the link.
    const link = registry.get(server);
    const wait = link && connecting(link);
    const left = until - registry.options.now();
    if (!wait || left <= 0 || signal.aborted) return;
    await within(wait, left, signal);
  }
}
