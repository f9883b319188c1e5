/**
 * The registry of all upstreams, and the views on it.
 */
import type { Link, View } from '../protocol/ports.js';
import { MergedView, SingleView } from './view.js';

export interface CatalogOptions {
  /** limits.name_length: may change at a reload. */
  nameLength(): number;
  /** startup.wait_ms: may change at a reload. */
  waitMs(): number;
  readonly serverInfo: { readonly name: string; readonly version: string };
  readonly now: () => number;
}

interface Entry {
  readonly link: Link;
  readonly addedAt: number;
}

export class Catalog {
  readonly options: CatalogOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #singles = new Map<string, SingleView>();
  #sorted: readonly Entry[] | undefined;
  readonly merged: View;
  /** Goes up with every change that a list could show. */
  version = 0;

  constructor(options: CatalogOptions) {
    this.options = options;
    this.merged = new MergedView(this);
  }

  /** Puts a link in, or in the place of the one of the same server. */
  put(link: Link): void {
    const addedAt = this.#entries.get(link.server)?.addedAt ?? this.options.now();
    this.#entries.set(link.server, { link, addedAt });
    this.touch();
  }

  remove(server: string): void {
    this.#entries.delete(server);
    this.#singles.delete(server);
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

  /** All links, in the order of their names. */
  entries(): readonly Entry[] {
    return (this.#sorted ??= [...this.#entries.values()].sort((a, b) =>
      a.link.server < b.link.server ? -1 : 1,
    ));
  }

  /** The view of one server; undefined: there is no such server. */
  single(server: string): View | undefined {
    if (!this.#entries.has(server)) return undefined;
    let view = this.#singles.get(server);
    if (!view) this.#singles.set(server, (view = new SingleView(this, server)));
    return view;
  }

  /** Waits for links on their first connect: for a list until startup.wait_ms after they were added. */
  waitForFirst(signal: AbortSignal): Promise<void> | undefined {
    const now = this.options.now();
    const waitMs = this.options.waitMs();
    const waits: Promise<void>[] = [];
    let until = now;
    for (const { link, addedAt } of this.entries()) {
      if (!link.firstConnect || addedAt + waitMs <= now) continue;
      until = Math.max(until, addedAt + waitMs);
      waits.push(link.settled);
    }
    return waits.length === 0 ? undefined : within(Promise.all(waits), until - now, signal);
  }

  /** Waits for one link on its first connect: startup.wait_ms of its own. */
  waitFor(link: Link | undefined, signal: AbortSignal): Promise<void> | undefined {
    return link?.firstConnect ? within(link.settled, this.options.waitMs(), signal) : undefined;
  }
}

function within(promise: Promise<unknown>, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
    void promise.then(done);
  });
}
