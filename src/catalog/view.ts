/** What views of one and of several servers have in common: lists, names and rules. */
import { GatewayError } from '../errors.js';
import { turns } from '../lib/turns.js';
import type { Definition, ListKind } from '../protocol/lists.js';
import type {
  Freshness,
  ServerLink,
  ListBytes,
  ListPart,
  NameKind,
  Peer,
  Target,
  Verdict,
  View,
} from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { wellFormed } from '../protocol/shapes.js';
import type { Registry } from './registry.js';
import { listOf } from './render.js';
import type { Segment } from './segment.js';
import { UriTemplates } from './uri-template.js';

/** How long a list stays fresh that lacks a server which may connect at any moment. */
const INCOMPLETE_MS = 5000;
/** Definitions that are rendered without a pause. */
const FEW = 256;

export const KIND_OF: Readonly<Record<Exclude<NameKind, 'task'>, ListKind>> = {
  tool: 'tools',
  prompt: 'prompts',
  resource: 'resources',
};

/** A name that is not listed. */
export function unlisted(link: ServerLink, name: string, options: Partial<Target> = {}): Target {
  return {
    link,
    name,
    patch: undefined,
    label: name,
    repeatable: false,
    definition: undefined,
    fixed: undefined,
    stats: undefined,
    ...options,
  };
}

/** A tool that its server does not list, or not while it is down. It is counted under its name only where it was listed before. */
export const labelOf = (link: ServerLink, name: string): string =>
  link.stats.tools.has(name) ? name : 'unknown';

/** The segments of one list. */
interface Assembly {
  readonly version: number;
  readonly segments: readonly Segment[];
  readonly byServer: ReadonlyMap<string, Segment>;
  readonly lists: Partial<Record<Era, ListBytes>>;
}

/** A part of a list that can be rendered. */
export type Listed = Pick<Segment, 'isFiltered' | 'isRendered' | 'render' | 'step'> & {
  readonly names: { readonly size: number };
};

/** A view that is assembled from segments, again after each change of the registry. */
export abstract class SegmentedView implements View {
  protected readonly registry: Registry;
  readonly #assemblies = new Map<ListKind, Assembly>();
  readonly #keys = new WeakMap<readonly Definition[], ReadonlySet<string>>();
  #templates: { readonly segments: readonly Segment[]; readonly found: UriTemplates<ServerLink> } | undefined;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  abstract ready(
    name: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  abstract find(kind: NameKind, name: string, pages?: ReadonlySet<string>): Target | undefined;
  abstract conflict(kind: NameKind, name: string, pages?: ReadonlySet<string>): GatewayError | undefined;
  abstract greeting(): string;
  abstract discovery(): string;
  abstract serverInfo(): string;
  abstract links(): readonly ServerLink[];
  abstract uriOf(server: string, uri: string): string | undefined;
  protected abstract compose(kind: ListKind): readonly Segment[];

  protected assembly(kind: ListKind): Assembly {
    const { version } = this.registry;
    const known = this.#assemblies.get(kind);
    if (known?.version === version) return known;
    const segments = this.compose(kind);
    const isSame =
      known?.segments.length === segments.length &&
      segments.every((segment, i) => segment === known.segments[i]);
    const assembly = isSame
      ? { ...known, version }
      : {
          version,
          segments,
          byServer: new Map(segments.map((segment) => [segment.link.server, segment])),
          lists: {},
        };
    this.#assemblies.set(kind, assembly);
    return assembly;
  }

  /** What a list shows, in order; a view with search leaves tools out. */
  protected listed(kind: ListKind): readonly Listed[] {
    return this.assembly(kind).segments;
  }

  list(kind: ListKind, era: Era): ListBytes {
    const { lists } = this.assembly(kind);
    const known = lists[era];
    if (known) return known;
    const segments = this.listed(kind);
    const list = listOf(
      kind,
      segments.map((segment) => segment.render(era)),
    );
    // A cached list would keep the bytes of filtered segments alive.
    if (!segments.some(({ isFiltered }) => isFiltered)) lists[era] = list;
    return list;
  }

  parts(kind: ListKind): readonly ListPart[] {
    return this.assembly(kind).segments;
  }

  prepare(kind: ListKind, era: Era): Promise<void> | undefined {
    let count = 0;
    for (const segment of this.listed(kind)) if (!segment.isRendered(era)) count += segment.names.size;
    return count > FEW ? this.#prepare(kind, era) : undefined;
  }

  async #prepare(kind: ListKind, era: Era): Promise<void> {
    // Names were resolved in this turn already.
    await turns.next();
    for (const segment of this.listed(kind))
      while (!segment.isRendered(era)) {
        segment.step(era);
        if (turns.isOver()) await turns.next();
      }
  }

  /** The templates that cover a URI, of servers where it may be used: see UriTemplates.find. */
  protected covering(uri: string): ReturnType<UriTemplates<ServerLink>['find']> {
    const { segments } = this.assembly('templates');
    if (this.#templates?.segments !== segments) {
      const found = new UriTemplates<ServerLink>();
      for (const { link, names } of segments)
        // A renamed template is also listed by a server that comes before this one.
        for (const [name, { key }] of names) if (name === key) found.add(key, link.server, link);
      this.#templates = { segments, found };
    }
    return this.#templates.found
      .find(uri)
      .filter(({ server }) => this.registry.admits(server, 'resource', uri));
  }

  /** Whether a URI of a server may be used. `shown`: its name in this view. */
  protected isUsable(server: string, uri: string, shown: string): boolean {
    if (this.registry.admits(server, 'resource', uri)) return true;
    return this.assembly('resources').byServer.get(server)?.names.has(shown) === true;
  }

  verdict(kind: NameKind, { link, name, definition }: Target): Verdict | undefined {
    return this.registry.verdict(link.server, kind, name, definition);
  }

  allows(server: string, kind: NameKind, name: string): boolean {
    const link = this.registry.get(server);
    if (!link) return false;
    if (this.registry.admits(server, kind, name)) return true;
    // A renamed tool, and one that is pinned, is admitted as listed only.
    return kind !== 'task' && this.#keysOf(this.registry.list(link, KIND_OF[kind])).has(name);
  }

  #keysOf(list: readonly Definition[]): ReadonlySet<string> {
    let keys = this.#keys.get(list);
    if (!keys) this.#keys.set(list, (keys = new Set(list.map(({ key }) => key))));
    return keys;
  }

  freshness(): Freshness {
    const now = this.registry.options.now();
    let until = Infinity;
    let scope: Freshness['scope'] = 'public';
    for (const { state, freshness } of this.links()) {
      until = Math.min(until, state === 'up' ? freshness.until : now + INCOMPLETE_MS);
      if (freshness.scope === 'private') scope = 'private';
    }
    return { until: until === Infinity ? now : until, scope };
  }

  hides(server: string): boolean {
    return this.registry.hides(server);
  }

  unknown(method: string): ServerLink | GatewayError | undefined {
    const offering = this.links().filter(
      (link) => this.offersOf(link).length > 0 && this.registry.showsAll(link.server),
    );
    const [first, second] = offering;
    if (!second) return first;
    const [feature = ''] = method.replace(/^notifications\//, '').split('/');
    const named = offering.filter((link) =>
      this.offersOf(link).some((id) => id.slice(id.lastIndexOf('/') + 1) === feature),
    );
    if (named.length === 1) return named[0];
    const servers = (named.length > 0 ? named : offering).map(({ server }) => server);
    return new GatewayError(
      'method_not_found',
      `method '${method.slice(0, 128)}' is offered by several servers here: use /servers/<name>/mcp`,
      { servers },
    );
  }

  /** A server that is away keeps its methods: they are not for another one meanwhile. */
  protected offersOf({ peer, lastPeer }: ServerLink): readonly string[] {
    const known = peer ?? lastPeer;
    return known ? this.offers(known) : [];
  }

  /** What a server declares whose methods the gateway does not know: ids of extensions, and members of its capabilities. */
  protected abstract offers(peer: Peer): readonly string[];
}

/** The members of an answer to server/discover. `instructions`: a JSON member with a leading comma, or nothing. */
export function discovered(capabilities: object, instructions: string): string {
  return `"capabilities":${wellFormed(JSON.stringify(capabilities))}${instructions}`;
}
