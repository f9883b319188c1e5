/** What views are made from. */
import type { Lists } from '../protocol/lists.js';
import { within } from '../lib/within.js';
import type { Link, Peer } from '../protocol/ports.js';

export interface CatalogOptions {
  /** limits.name_length: may change at a reload. */
  nameLength(): number;
  /** startup.wait_ms: may change at a reload. */
  waitMs(): number;
  readonly serverInfo: { readonly name: string; readonly version: string };
  readonly now: () => number;
}

export interface Entry {
  readonly link: Link;
  readonly addedAt: number;
}

/** What views read: the registry, or the registry with some links of a session's own in the place of shared ones. */
export interface Source {
  readonly options: CatalogOptions;
  /** Goes up with every change that a list could show. */
  readonly version: number;
  get(server: string): Link | undefined;
  /** How a server greeted: a link of a client's own that has yet to start is a link to the same server. */
  peerOf(server: string): Peer | undefined;
  /** All links, in the order of their names. */
  entries(): readonly Entry[];
  /** What is shown of a link. */
  lists(link: Link): Lists;
  /** Reads what is to be shown and was not read yet, of one server or of all; undefined: there is nothing to wait for. */
  fill(server: string | undefined, signal: AbortSignal): Promise<void> | undefined;
}

/** What is waited for before a list is shown: the first connects, then what is still to be read. */
export function waitForLists(
  source: Source,
  server: string | undefined,
  signal: AbortSignal,
): Promise<void> | undefined {
  const link = server === undefined ? undefined : source.get(server);
  const first =
    server === undefined
      ? waitForFirst(source, signal)
      : link?.keptSince === undefined
        ? waitFor(source, link, signal)
        : undefined;
  return first ? first.then(() => source.fill(server, signal)) : source.fill(server, signal);
}

/** Waits for links on their first connect: for a list until startup.wait_ms after they were added. */
export function waitForFirst(source: Source, signal: AbortSignal): Promise<void> | undefined {
  const now = source.options.now();
  const waitMs = source.options.waitMs();
  const waits: Promise<void>[] = [];
  let until = now;
  for (const { link, addedAt } of source.entries()) {
    if (!link.firstConnect || link.keptSince !== undefined || addedAt + waitMs <= now) continue;
    until = Math.max(until, addedAt + waitMs);
    waits.push(link.settled);
  }
  return waits.length === 0 ? undefined : within(Promise.all(waits), until - now, signal);
}

/** Waits for one link that connects for the first time, or again after a blip: startup.wait_ms of its own. */
export function waitFor(
  source: Source,
  link: Link | undefined,
  signal: AbortSignal,
): Promise<void> | undefined {
  return link && connecting(link) ? waitWhileConnecting(source, link.server, signal) : undefined;
}

function connecting(link: Link): Promise<void> | undefined {
  return link.firstConnect ? link.settled : link.reconnecting;
}

async function waitWhileConnecting(source: Source, server: string, signal: AbortSignal): Promise<void> {
  const waitMs = source.get(server)?.waitMs ?? source.options.waitMs();
  const until = source.options.now() + waitMs;
  for (;;) {
    // A reload may have put another link in its place.
    const link = source.get(server);
    const wait = link && connecting(link);
    const left = until - source.options.now();
    if (!wait || left <= 0 || signal.aborted) return;
    await within(wait, left, signal);
  }
}
