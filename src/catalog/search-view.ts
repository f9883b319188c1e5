/** A merged view that lists few tools and finds the others. All of them can be called by name. */
import type { SearchConfig } from '../config/search.js';
import type { Glob } from '../lib/glob.js';
import { turns } from '../lib/turns.js';
import { BRIEF, OWN_TOOLS, type Finder, type Hit } from '../protocol/finder.js';
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Era } from '../protocol/revisions.js';
import { readObject, textOf } from '../wire/json.js';
import { isLoginTool } from './login-tools.js';
import { MergedView, type MergedOptions } from './merged-view.js';
import type { Registry } from './registry.js';
import { shownDescription, type Rendered } from './render.js';
import { SearchIndex, serverTerms, type Searchable } from './search-index.js';
import { searchTools } from './search-tools.js';
import type { Segment } from './segment.js';
import { mostSimilar } from './similar.js';
import type { Listed } from './view.js';

/** Words of tools in the indexes of all views, at the most; the least recently used index goes first, and is built again when needed. */
const MAX_INDEXED = 2_000_000;
const NEAREST = 3;

/** How a profile searches, compiled. */
export interface Search extends Omit<SearchConfig, 'always'> {
  /** Whether a tool is listed all the same, by its name in the view. */
  readonly always: Glob;
}

interface Indexed extends Searchable {
  readonly from: string;
}

/** What a search found; its bytes, which may be many, are made when they are used. */
class Found implements Hit {
  readonly name: string;
  readonly definition: Definition;
  readonly score: number;
  readonly #segment: Segment;
  readonly #era: Era;
  #bytes: Buffer | undefined;

  constructor(
    of: Pick<Hit, 'name' | 'definition' | 'score'> & { readonly segment: Segment; readonly era: Era },
  ) {
    this.name = of.name;
    this.definition = of.definition;
    this.score = of.score;
    this.#segment = of.segment;
    this.#era = of.era;
  }

  get bytes(): Buffer {
    return (this.#bytes ??= this.#segment.bytesFor(this.name, this.#era) ?? this.definition.bytes);
  }

  get description(): string {
    return shownDescription(this.definition, this.#segment.link.server, BRIEF);
  }
}

/** An index apart from its view, so that what is kept here keeps no view alive. */
interface Holder {
  index: SearchIndex<Indexed> | undefined;
}

/** The indexes of all views, bounded together. */
export class SearchIndexes {
  /** With their sizes, the least recently used first. */
  readonly #kept = new Map<Holder, number>();
  #size = 0;

  use(holder: Holder): void {
    const size = holder.index?.size ?? 0;
    this.#size += size - (this.#kept.get(holder) ?? 0);
    this.#kept.delete(holder);
    this.#kept.set(holder, size);
    for (const [oldest, ofOldest] of this.#kept) {
      if (this.#size <= MAX_INDEXED || oldest === holder) break;
      this.#kept.delete(oldest);
      this.#size -= ofOldest;
      oldest.index = undefined;
    }
  }
}

export interface SearchViewOptions extends MergedOptions {
  readonly indexes: SearchIndexes;
}

export class SearchView extends MergedView implements Finder {
  readonly limit: number;
  /** Its callers show apps. */
  readonly #apps: boolean;
  readonly #search: Search;
  readonly #indexes: SearchIndexes;
  readonly #holder: Holder = { index: undefined };
  /** What the index was built from. */
  #indexed: readonly Segment[] | undefined;
  #building: { readonly segments: readonly Segment[]; readonly done: Promise<void> } | undefined;
  /** The listed parts of segments; undefined: nothing of it is listed. */
  readonly #cut = new WeakMap<Segment, { readonly part: Segment | undefined }>();
  #own: { readonly servers: string; readonly tools: Listed } | undefined;

  constructor(registry: Registry, search: Search, { indexes, ...options }: SearchViewOptions) {
    super(registry, options);
    this.limit = search.limit;
    this.#apps = options.apps === true;
    this.#search = search;
    this.#indexes = indexes;
  }

  get finder(): Finder {
    return this;
  }

  protected override listed(kind: ListKind): readonly Listed[] {
    const all = super.listed(kind);
    if (kind !== 'tools') return all;
    const parts = this.assembly('tools').segments.flatMap((segment) => this.#listedOf(segment) ?? []);
    return [this.#ownTools(), ...parts];
  }

  #listedOf(segment: Segment): Segment | undefined {
    const known = this.#cut.get(segment);
    if (known) return known.part;
    const hidden = new Set(segment.taken);
    let shown = 0;
    for (const [name, definition] of segment.names) {
      if (this.#isListed(name, definition)) shown++;
      else hidden.add(name);
    }
    const part =
      shown === segment.names.size
        ? segment
        : shown > 0
          ? this.registry.segments.without(segment, hidden)
          : undefined;
    this.#cut.set(segment, { part });
    return part;
  }

  /**
   * Tools that clients must have in their list: those that are configured, those that somebody else than the model needs, and those of apps,
   * whose hosts look for their pages there. A view for clients without apps has no tool that pages alone call.
   */
  #isListed(name: string, definition: Definition): boolean {
    if (OWN_TOOLS.has(name)) return false;
    const { page, visibility } = definition.extension ?? {};
    const isOfApp = this.#apps && (page !== undefined || visibility === 'app');
    return isOfApp || isLoginTool(definition) || this.#search.always(name);
  }

  #ownTools(): Listed {
    const names = this.links().map(({ server }) => server);
    const servers = names.join();
    if (this.#own?.servers === servers) return this.#own.tools;
    const rendered = searchTools(names, this.limit);
    const render = (era: Era): Rendered => rendered[era];
    const tools: Listed = {
      names: OWN_TOOLS,
      isFiltered: false,
      isRendered: () => true,
      render,
      step: render,
    };
    this.#own = { servers, tools };
    return tools;
  }

  prepareSearch(): Promise<void> | undefined {
    const { segments } = this.assembly('tools');
    if (this.#holder.index && this.#indexed === segments) {
      this.#indexes.use(this.#holder);
      return undefined;
    }
    const building = this.#building;
    if (building?.segments === segments) return building.done;
    // The lists have changed since.
    if (building) return building.done.then(() => this.prepareSearch());
    const done = this.#build(segments).finally(() => {
      this.#building = undefined;
    });
    this.#building = { segments, done };
    return done;
  }

  async #build(segments: readonly Segment[]): Promise<void> {
    // Names were resolved in this turn already.
    await turns.next();
    const steps = this.#steps(segments);
    for (let step = steps.next(); !step.done; step = steps.next()) if (turns.isOver()) await turns.next();
  }

  *#steps(segments: readonly Segment[]): Generator<undefined, SearchIndex<Indexed>> {
    const tools: Indexed[] = [];
    for (const { link, names } of segments) {
      const server = serverTerms(link.server, this.#describe(link.server));
      for (const [name, definition] of names) tools.push({ name, definition, server, from: link.server });
      yield;
    }
    const index = yield* SearchIndex.build(tools);
    this.#holder.index = index;
    this.#indexed = segments;
    this.#indexes.use(this.#holder);
    return index;
  }

  /** What the configuration says about a server, or else what it says about itself (2025-11-25, schema, Implementation). */
  #describe(server: string): string | undefined {
    const configured = this.registry.options.describe?.(server);
    if (configured !== undefined) return configured;
    const peer = this.registry.peerOf(server);
    const info = peer && readObject(peer.serverInfo);
    return info && textOf(info['description']);
  }

  search(query: string, limit: number, era: Era): readonly Hit[] {
    let { index } = this.#holder;
    const { segments, byServer } = this.assembly('tools');
    if (!index) {
      const steps = this.#steps(segments);
      let step = steps.next();
      while (!step.done) step = steps.next();
      index = step.value;
    }
    // The lists may have changed while the index was built.
    const isShown = ({ name, definition, from }: Indexed): boolean =>
      byServer.get(from)?.names.get(name) === definition;
    return index.search(query, limit, isShown).map(({ tool, score }) => {
      const { name, definition, from } = tool;
      return new Found({ name, definition, score, era, segment: byServer.get(from) as Segment });
    });
  }

  nearest(name: string): readonly string[] {
    return mostSimilar(name, this.#names(), NEAREST);
  }

  *#names(): Iterable<string> {
    for (const { names } of this.assembly('tools').segments) yield* names.keys();
  }

  counts(): readonly { readonly server: string; readonly tools: number }[] {
    return this.assembly('tools').segments.map(({ link, names }) => ({
      server: link.server,
      tools: names.size,
    }));
  }
}
