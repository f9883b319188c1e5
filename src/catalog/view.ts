/** What one route shows: everything under qualified names, or one server as it is. */
import { LIST_KINDS, type Definition, type ListKind } from '../protocol/lists.js';
import type { Link, NameKind, Target, View } from '../protocol/ports.js';
import { waitFor, waitForFirst, type Source } from './source.js';
import { mergedCapabilities, mergedInstructions, singleCapabilities } from './greeting.js';
import { parse, parseUri, qualify, qualifyUri } from './naming.js';
import { listResult, renamed } from './render.js';
import { matcherOf } from './uri-template.js';

function target(
  link: Link,
  name: string,
  patch: boolean,
  options: { repeatable?: boolean; label?: string } = {},
): Target {
  return {
    link,
    name,
    patch: patch ? Buffer.from(JSON.stringify(name)) : undefined,
    label: options.label ?? name,
    repeatable: options.repeatable ?? false,
    stats: undefined,
  };
}

/** A tool that the server does not list, or not while it is down: its series are those it already has. */
function unlistedTool(link: Link, name: string, patch: boolean): Target {
  return target(link, name, patch, { label: link.stats.tools.has(name) ? name : 'unknown' });
}

interface Template {
  readonly link: Link;
  readonly matches: (uri: string) => boolean;
}

/** An index and the lists, built again when the catalog has changed. */
abstract class IndexedView implements View {
  protected readonly catalog: Source;
  #version = -1;
  #index: Record<NameKind, Map<string, Target>> = emptyIndex();
  #templates: Template[] = [];
  #lists = new Map<ListKind, Buffer>();

  constructor(catalog: Source) {
    this.catalog = catalog;
  }

  abstract ready(
    name: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  abstract greeting(): string;
  abstract links(): readonly Link[];
  abstract uriOf(server: string, uri: string): string;
  /** Calls `visit` for each definition under the name it has here; the bytes are made only when asked for. */
  protected abstract each(
    kind: ListKind,
    visit: (link: Link, definition: Definition, name: string) => void,
  ): void;
  protected abstract unlisted(kind: NameKind, name: string): Target | undefined;

  find(kind: NameKind, name: string): Target | undefined {
    if (this.#version !== this.catalog.version) this.#rebuild();
    const listed = this.#index[kind].get(name);
    if (listed) return listed;
    if (kind === 'resource') {
      const template = this.#templates.find(({ matches }) => matches(name));
      if (template) return target(template.link, name, false, { repeatable: true });
    }
    return this.unlisted(kind, name);
  }

  list(kind: ListKind): Buffer {
    if (this.#version !== this.catalog.version) this.#rebuild();
    let list = this.#lists.get(kind);
    if (!list) {
      const definitions: Buffer[] = [];
      this.each(kind, (link, definition, name) => {
        definitions.push(this.render(kind, link, definition, name));
      });
      this.#lists.set(kind, (list = listResult(kind, definitions)));
    }
    return list;
  }

  /** The server whose listed URI, or template, this is. */
  protected owner(uri: string): Link | undefined {
    if (this.#version !== this.catalog.version) this.#rebuild();
    return this.#index.resource.get(uri)?.link ?? this.#templates.find(({ matches }) => matches(uri))?.link;
  }

  protected abstract render(kind: ListKind, link: Link, definition: Definition, name: string): Buffer;

  #rebuild(): void {
    this.#version = this.catalog.version;
    this.#lists = new Map();
    this.#index = emptyIndex();
    this.#templates = [];
    for (const kind of LIST_KINDS) {
      this.each(kind, (link, definition, name) => {
        this.#add(kind, link, definition, name);
      });
    }
  }

  #add(kind: ListKind, link: Link, definition: Definition, name: string): void {
    const { key, repeatable } = definition;
    switch (kind) {
      case 'tools':
        this.#index.tool.set(name, target(link, key, name !== key, { repeatable }));
        break;
      case 'prompts':
        this.#index.prompt.set(name, target(link, key, name !== key, { repeatable: true }));
        break;
      case 'resources':
        this.#index.resource.set(name, target(link, key, name !== key, { repeatable: true }));
        break;
      case 'templates': {
        const matches = name === key ? matcherOf(key) : undefined;
        if (matches) this.#templates.push({ link, matches });
      }
    }
  }
}

function emptyIndex(): Record<NameKind, Map<string, Target>> {
  return { tool: new Map(), prompt: new Map(), resource: new Map(), task: new Map() };
}

export class MergedView extends IndexedView {
  ready(
    wanted: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined {
    // Whose a URI is shows only once all have listed theirs.
    if (wanted === undefined || wanted.kind === 'resource') return waitForFirst(this.catalog, signal);
    const server = parse(wanted.name)?.server;
    return server === undefined ? undefined : waitFor(this.catalog, this.catalog.get(server), signal);
  }

  links(): readonly Link[] {
    return this.catalog.entries().map(({ link }) => link);
  }

  uriOf(server: string, uri: string): string {
    const owner = this.owner(uri);
    return owner && owner.server !== server ? qualifyUri(server, uri) : uri;
  }

  greeting(): string {
    const { serverInfo } = this.catalog.options;
    const links = this.links();
    return `"capabilities":${JSON.stringify(mergedCapabilities(links))},"serverInfo":${JSON.stringify(serverInfo)}${mergedInstructions(links)}`;
  }

  protected each(kind: ListKind, visit: (link: Link, definition: Definition, name: string) => void): void {
    const limit = this.catalog.options.nameLength();
    const isUri = kind === 'resources' || kind === 'templates';
    const seen = new Set<string>();
    for (const { link } of this.catalog.entries()) {
      for (const definition of link.lists[kind]) {
        const { key } = definition;
        let name = isUri ? key : qualify(link.server, key, limit);
        if (isUri && seen.has(name)) name = qualifyUri(link.server, key);
        // Two names alike would make one of two unreachable without a word: the first keeps the name.
        if (seen.has(name)) continue;
        seen.add(name);
        visit(link, definition, name);
      }
    }
  }

  protected render(kind: ListKind, link: Link, definition: Definition, name: string): Buffer {
    return name === definition.key ? definition.bytes : renamed(kind, definition, link.server, name);
  }

  protected unlisted(kind: NameKind, name: string): Target | undefined {
    if (kind === 'resource') {
      const parts = parseUri(name);
      const link = parts && this.catalog.get(parts.server);
      return link && target(link, parts.uri, true, { repeatable: true });
    }
    const parts = parse(name);
    const link = parts && this.catalog.get(parts.server);
    if (!link) return undefined;
    return kind === 'tool' ? unlistedTool(link, parts.name, true) : target(link, parts.name, true);
  }
}

export class SingleView extends IndexedView {
  readonly #server: string;

  constructor(catalog: Source, server: string) {
    super(catalog);
    this.#server = server;
  }

  ready(_wanted: unknown, signal: AbortSignal): Promise<void> | undefined {
    return waitFor(this.catalog, this.#link(), signal);
  }

  links(): readonly Link[] {
    const link = this.#link();
    return link ? [link] : [];
  }

  uriOf(_server: string, uri: string): string {
    return uri;
  }

  greeting(): string {
    const peer = this.#link()?.peer;
    const info = peer
      ? peer.serverInfo.toString('utf8')
      : JSON.stringify({ name: this.#server, version: '0' });
    const text = peer?.instructions;
    const instructions = text === undefined ? '' : `,"instructions":${JSON.stringify(text)}`;
    return `"capabilities":${JSON.stringify(singleCapabilities(peer))},"serverInfo":${info}${instructions}`;
  }

  protected each(kind: ListKind, visit: (link: Link, definition: Definition, name: string) => void): void {
    const link = this.#link();
    if (link) for (const definition of link.lists[kind]) visit(link, definition, definition.key);
  }

  protected render(_kind: ListKind, _link: Link, definition: Definition): Buffer {
    return definition.bytes;
  }

  protected unlisted(kind: NameKind, name: string): Target | undefined {
    const link = this.#link();
    if (!link) return undefined;
    return kind === 'tool' ? unlistedTool(link, name, false) : target(link, name, false);
  }

  #link(): Link | undefined {
    return this.catalog.get(this.#server);
  }
}
