/** What one route shows: everything under qualified names, or one server as it is. */
import { LIST_KINDS, type Definition, type ListKind } from '../protocol/lists.js';
import type { Freshness, Link, NameKind, Target, View } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { wellFormed } from '../protocol/shapes.js';
import { splice, type Patch } from '../wire/splice.js';
import { eraPatches } from './era-patches.js';
import { waitFor, waitForFirst, waitForLists, type Source } from './source.js';
import { mergedCapabilities, mergedInstructions, singleCapabilities } from './greeting.js';
import { parse, parseUri, qualify, qualifyUri } from './naming.js';
import { listResult, renaming } from './render.js';
import { GatewayError } from '../errors.js';
import { UriTemplates } from './uri-template.js';

function target(
  link: Link,
  name: string,
  patch: boolean,
  options: { repeatable?: boolean; label?: string; definition?: Definition } = {},
): Target {
  return {
    link,
    name,
    patch: patch ? Buffer.from(JSON.stringify(name)) : undefined,
    label: options.label ?? name,
    repeatable: options.repeatable ?? false,
    definition: options.definition,
    stats: undefined,
  };
}

/** A tool that the server does not list, or not while it is down: its series are those it already has. */
function unlistedTool(link: Link, name: string, patch: boolean): Target {
  return target(link, name, patch, { label: link.stats.tools.has(name) ? name : 'unknown' });
}

/** How long a list may be taken for fresh that lacks what a server shows: it may be up at any moment. */
const INCOMPLETE_MS = 5000;

/** The lists of one kind. One buffer where clients of both eras read the same. */
interface Rendered {
  /** Nothing had to be changed for an era. */
  plain: Buffer | undefined;
  legacy: Buffer | undefined;
  modern: Buffer | undefined;
}

/** An index and the lists, built again when the catalog has changed. */
abstract class IndexedView implements View {
  protected readonly catalog: Source;
  #version = -1;
  #index: Record<NameKind, Map<string, Target>> = emptyIndex();
  #templates = new UriTemplates<Link>();
  #lists = new Map<ListKind, Rendered>();

  constructor(catalog: Source) {
    this.catalog = catalog;
  }

  abstract ready(
    name: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  abstract greeting(): string;
  abstract discovery(): string;
  abstract serverInfo(): string;
  abstract links(): readonly Link[];
  abstract uriOf(server: string, uri: string): string;
  /** Calls `visit` for each definition under the name it has here; the bytes are made only when asked for. */
  protected abstract each(
    kind: ListKind,
    visit: (link: Link, definition: Definition, name: string) => void,
  ): void;
  protected abstract unlisted(kind: NameKind, name: string): Target | undefined;
  /** A URI with the name of a server in it: see naming.ts. */
  protected abstract qualified(uri: string): Target | undefined;

  find(kind: NameKind, name: string): Target | undefined {
    if (this.#version !== this.catalog.version) this.#rebuild();
    const listed = this.#index[kind].get(name);
    if (listed) return listed;
    if (kind === 'resource') {
      // No template takes what names its server.
      const qualified = this.qualified(name);
      if (qualified) return qualified;
      const [covering, another] = this.#templates.find(name);
      if (covering && another) return undefined;
      if (covering) return target(covering.value, name, false, { repeatable: true });
    }
    return this.unlisted(kind, name);
  }

  conflict(kind: NameKind, name: string): GatewayError | undefined {
    if (kind !== 'resource' || this.#index[kind].has(name) || this.qualified(name)) return undefined;
    const [first, second] = this.#templates.find(name);
    if (!first || !second) return undefined;
    const [one, other] = [first, second].map(({ server }) => qualifyUri(server, name.slice(0, 256)));
    return new GatewayError(
      'invalid_params',
      `templates of several servers cover this URI equally well: read ${one} or ${other}`,
    );
  }

  list(kind: ListKind, era: Era): Buffer {
    if (this.#version !== this.catalog.version) this.#rebuild();
    let lists = this.#lists.get(kind);
    if (!lists) this.#lists.set(kind, (lists = { plain: undefined, legacy: undefined, modern: undefined }));
    return (lists[era] ??= this.#build(kind, era, lists));
  }

  #build(kind: ListKind, era: Era, lists: Rendered): Buffer {
    let changed = false;
    const edits: Patch[][] = [];
    this.each(kind, (_link, definition) => {
      const patches = eraPatches(definition, era);
      changed ||= patches.length > 0;
      edits.push(patches);
    });
    if (!changed && lists.plain) return lists.plain;
    const definitions: Buffer[] = [];
    this.each(kind, (link, definition, name) => {
      // The name comes first: the era may cut right behind it.
      const patches = [
        ...this.renaming(kind, link, definition, name),
        ...(edits[definitions.length] as Patch[]),
      ];
      definitions.push(patches.length === 0 ? definition.bytes : splice(definition.bytes, patches));
    });
    const list = listResult(kind, definitions);
    if (!changed) lists.plain = list;
    return list;
  }

  freshness(): Freshness {
    const now = this.catalog.options.now();
    let until = Infinity;
    let scope: Freshness['scope'] = 'public';
    for (const { state, freshness } of this.links()) {
      until = Math.min(until, state === 'up' ? freshness.until : now + INCOMPLETE_MS);
      if (freshness.scope === 'private') scope = 'private';
    }
    return { until: until === Infinity ? now : until, scope };
  }

  /** Whether somebody who reads a URI gets it from this server, or from no other. */
  protected leadsTo(server: string, uri: string): boolean {
    if (this.#version !== this.catalog.version) this.#rebuild();
    const listed = this.#index.resource.get(uri);
    if (listed) return listed.link.server === server;
    return this.#templates.find(uri).every((covering) => covering.server === server);
  }

  protected abstract renaming(kind: ListKind, link: Link, definition: Definition, name: string): Patch[];

  #rebuild(): void {
    this.#version = this.catalog.version;
    this.#lists = new Map();
    this.#index = emptyIndex();
    this.#templates = new UriTemplates();
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
        this.#index.tool.set(name, target(link, key, name !== key, { repeatable, definition }));
        break;
      case 'prompts':
        this.#index.prompt.set(name, target(link, key, name !== key, { repeatable: true, definition }));
        break;
      case 'resources':
        this.#index.resource.set(name, target(link, key, name !== key, { repeatable: true, definition }));
        break;
      case 'templates':
        // Under another name it was listed a second time: as that of another server.
        if (name === key) this.#templates.add(key, link.server, link);
    }
  }
}

function emptyIndex(): Record<NameKind, Map<string, Target>> {
  return { tool: new Map(), prompt: new Map(), resource: new Map(), task: new Map() };
}

function discovered(capabilities: object, instructions: string): string {
  return `"capabilities":${wellFormed(JSON.stringify(capabilities))}${instructions}`;
}

export class MergedView extends IndexedView {
  ready(
    wanted: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined {
    // Whose a URI is shows only once all have listed theirs.
    if (wanted === undefined) return waitForLists(this.catalog, undefined, signal);
    if (wanted.kind === 'resource') return waitForFirst(this.catalog, signal);
    const server = parse(wanted.name)?.server;
    return server === undefined ? undefined : waitFor(this.catalog, this.catalog.get(server), signal);
  }

  links(): readonly Link[] {
    return this.catalog.entries().map(({ link }) => link);
  }

  uriOf(server: string, uri: string): string {
    return this.leadsTo(server, uri) ? uri : qualifyUri(server, uri);
  }

  greeting(): string {
    const links = this.links();
    return `"capabilities":${wellFormed(JSON.stringify(mergedCapabilities(links, 'legacy')))},"serverInfo":${this.serverInfo()}${mergedInstructions(links)}`;
  }

  discovery(): string {
    const links = this.links();
    return discovered(mergedCapabilities(links, 'modern'), mergedInstructions(links));
  }

  serverInfo(): string {
    return JSON.stringify(this.catalog.options.serverInfo);
  }

  protected each(kind: ListKind, visit: (link: Link, definition: Definition, name: string) => void): void {
    const limit = this.catalog.options.nameLength();
    const isUri = kind === 'resources' || kind === 'templates';
    const seen = new Set<string>();
    for (const { link } of this.catalog.entries()) {
      for (const definition of this.catalog.lists(link)[kind]) {
        const { key } = definition;
        let name = isUri ? key : qualify(link.server, key, limit);
        // Nor does a server list what is another one's in the form that names that.
        if (isUri && (seen.has(name) || this.qualified(key))) name = qualifyUri(link.server, key);
        // Two names alike would make one of two unreachable without a word: the first keeps the name.
        if (seen.has(name)) continue;
        seen.add(name);
        visit(link, definition, name);
      }
    }
  }

  protected renaming(kind: ListKind, link: Link, definition: Definition, name: string): Patch[] {
    return name === definition.key ? [] : renaming(kind, definition, link.server, name);
  }

  protected qualified(uri: string): Target | undefined {
    const parts = parseUri(uri);
    const link = parts && this.catalog.get(parts.server);
    return link && target(link, parts.uri, true, { repeatable: true });
  }

  protected unlisted(kind: NameKind, name: string): Target | undefined {
    if (kind === 'resource') return undefined;
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

  ready(wanted: unknown, signal: AbortSignal): Promise<void> | undefined {
    if (wanted === undefined) return waitForLists(this.catalog, this.#server, signal);
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
    const { capabilities, instructions } = this.#told('legacy');
    return `"capabilities":${JSON.stringify(capabilities)},"serverInfo":${this.serverInfo()}${instructions}`;
  }

  discovery(): string {
    const { capabilities, instructions } = this.#told('modern');
    return discovered(capabilities, instructions);
  }

  serverInfo(): string {
    const peer = this.catalog.peerOf(this.#server);
    return peer ? peer.serverInfo.toString('utf8') : JSON.stringify({ name: this.#server, version: '0' });
  }

  #told(era: Era): { capabilities: object; instructions: string } {
    const peer = this.catalog.peerOf(this.#server);
    const text = peer?.instructions;
    const instructions = text === undefined ? '' : `,"instructions":${JSON.stringify(text)}`;
    return { capabilities: singleCapabilities(peer, era), instructions };
  }

  protected each(kind: ListKind, visit: (link: Link, definition: Definition, name: string) => void): void {
    const link = this.#link();
    if (link)
      for (const definition of this.catalog.lists(link)[kind]) visit(link, definition, definition.key);
  }

  protected renaming(): Patch[] {
    return [];
  }

  protected qualified(): undefined {
    return undefined;
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
