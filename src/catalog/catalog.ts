/**
 * The registry of all upstreams, and the views on it. A view is what one route shows: everything under qualified
 * names, or one server as it is.
 */
import type { Link, Target, View } from '../protocol/ports.js';
import type { ToolDefinition } from '../protocol/tools-page.js';
import { parse, qualify } from './naming.js';
import { qualifiedDefinition, toolsResult } from './render.js';

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

function listed(link: Link, tool: ToolDefinition, renamed: boolean): Target {
  return {
    link,
    name: renamed ? Buffer.from(JSON.stringify(tool.name)) : undefined,
    label: tool.name,
    repeatable: tool.repeatable,
    stats: undefined,
  };
}

/** A name that the server does not list, or not while it is down: its series are those it already has. */
function unlisted(link: Link, name: string, renamed: boolean): Target {
  return {
    link,
    name: renamed ? Buffer.from(JSON.stringify(name)) : undefined,
    label: link.stats.tools.has(name) ? name : 'unknown',
    repeatable: false,
    stats: undefined,
  };
}

/** What both views share: an index and a list, built again when the catalog has changed. */
abstract class IndexedView implements View {
  protected readonly catalog: Catalog;
  #version = -1;
  #index = new Map<string, Target>();
  #list: Buffer | undefined;

  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  abstract ready(name: string | undefined, signal: AbortSignal): Promise<void> | undefined;
  abstract greeting(): string;
  protected abstract fill(index: Map<string, Target>): void;
  protected abstract render(): Buffer[];
  protected abstract unlisted(name: string): Target | undefined;

  find(name: string): Target | undefined {
    if (this.#version !== this.catalog.version) this.#rebuild();
    return this.#index.get(name) ?? this.unlisted(name);
  }

  list(): Buffer {
    if (this.#version !== this.catalog.version) this.#rebuild();
    return (this.#list ??= toolsResult(this.render()));
  }

  #rebuild(): void {
    this.#version = this.catalog.version;
    this.#list = undefined;
    this.#index = new Map();
    this.fill(this.#index);
  }
}

class MergedView extends IndexedView {
  ready(name: string | undefined, signal: AbortSignal): Promise<void> | undefined {
    if (name === undefined) return this.catalog.waitForFirst(signal);
    const server = parse(name)?.server;
    return server === undefined ? undefined : this.catalog.waitFor(this.catalog.get(server), signal);
  }

  greeting(): string {
    const { serverInfo } = this.catalog.options;
    return `"capabilities":{"tools":{"listChanged":true}},"serverInfo":${JSON.stringify(serverInfo)}`;
  }

  protected fill(index: Map<string, Target>): void {
    this.#each((link, tool, qualified) => index.set(qualified, listed(link, tool, true)));
  }

  protected render(): Buffer[] {
    const definitions: Buffer[] = [];
    this.#each((link, tool, qualified) =>
      definitions.push(qualifiedDefinition(tool, link.server, qualified)),
    );
    return definitions;
  }

  protected unlisted(name: string): Target | undefined {
    const parts = parse(name);
    const link = parts && this.catalog.get(parts.server);
    return link && unlisted(link, parts.name, true);
  }

  #each(visit: (link: Link, tool: ToolDefinition, qualified: string) => void): void {
    const limit = this.catalog.options.nameLength();
    const seen = new Set<string>();
    for (const { link } of this.catalog.entries()) {
      for (const tool of link.tools) {
        const qualified = qualify(link.server, tool.name, limit);
        // Two aliases alike would make one of two tools unreachable without a word: the first keeps the name.
        if (seen.has(qualified)) continue;
        seen.add(qualified);
        visit(link, tool, qualified);
      }
    }
  }
}

class SingleView extends IndexedView {
  readonly #server: string;

  constructor(catalog: Catalog, server: string) {
    super(catalog);
    this.#server = server;
  }

  ready(_name: string | undefined, signal: AbortSignal): Promise<void> | undefined {
    return this.catalog.waitFor(this.#link(), signal);
  }

  greeting(): string {
    const peer = this.#link()?.peer;
    const capabilities =
      !peer || peer.capabilities['tools'] !== undefined ? '{"tools":{"listChanged":true}}' : '{}';
    const info = peer
      ? peer.serverInfo.toString('utf8')
      : JSON.stringify({ name: this.#server, version: '0' });
    const text = peer?.instructions;
    const instructions = text === undefined ? '' : `,"instructions":${JSON.stringify(text)}`;
    return `"capabilities":${capabilities},"serverInfo":${info}${instructions}`;
  }

  protected fill(index: Map<string, Target>): void {
    const link = this.#link();
    for (const tool of link?.tools ?? []) index.set(tool.name, listed(link as Link, tool, false));
  }

  protected render(): Buffer[] {
    return (this.#link()?.tools ?? []).map((tool) => tool.bytes);
  }

  protected unlisted(name: string): Target | undefined {
    const link = this.#link();
    return link && unlisted(link, name, false);
  }

  #link(): Link | undefined {
    return this.catalog.get(this.#server);
  }
}
