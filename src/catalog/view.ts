/** What a route shows: all servers under qualified names, or one server as it is. */
import { GatewayError } from '../errors.js';
import type { ListKind } from '../protocol/lists.js';
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
import { objectOf } from '../wire/json.js';
import { mergedCapabilities, mergedInstructions, singleCapabilities } from './greeting.js';
import { parse, parseUri, qualifyUri } from './naming.js';
import { waitFor, waitForFirst, waitForLists, type Registry } from './registry.js';
import { listOf } from './render.js';
import type { Segment } from './segment.js';
import { UriTemplates } from './uri-template.js';

/** How long a list stays fresh that lacks a server which may connect at any moment. */
const INCOMPLETE_MS = 5000;
/** How long a large list is rendered before other work gets a turn. */
const TURN_MS = 5;
/** Definitions that are rendered without a pause. */
const FEW = 256;

const KIND_OF: Readonly<Record<Exclude<NameKind, 'task'>, ListKind>> = {
  tool: 'tools',
  prompt: 'prompts',
  resource: 'resources',
};

/** A name that is not listed. */
function unlisted(link: ServerLink, name: string, options: Partial<Target> = {}): Target {
  return {
    link,
    name,
    patch: undefined,
    label: name,
    repeatable: false,
    definition: undefined,
    stats: undefined,
    ...options,
  };
}

/** A tool that its server does not list, or not while it is down. It is counted under its name only where it was listed before. */
const labelOf = (link: ServerLink, name: string): string => (link.stats.tools.has(name) ? name : 'unknown');

const json = (name: string): Buffer => Buffer.from(JSON.stringify(name));

/** The segments of one list. */
interface Assembly {
  readonly version: number;
  readonly segments: readonly Segment[];
  readonly byServer: ReadonlyMap<string, Segment>;
  readonly lists: Partial<Record<Era, ListBytes>>;
}

/** A view that is assembled from segments, again after each change of the registry. */
abstract class SegmentedView implements View {
  protected readonly registry: Registry;
  readonly #assemblies = new Map<ListKind, Assembly>();
  #templates: { readonly segments: readonly Segment[]; readonly found: UriTemplates<ServerLink> } | undefined;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  abstract ready(
    name: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  abstract find(kind: NameKind, name: string): Target | undefined;
  abstract conflict(kind: NameKind, name: string): GatewayError | undefined;
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

  list(kind: ListKind, era: Era): ListBytes {
    const { segments, lists } = this.assembly(kind);
    const known = lists[era];
    if (known) return known;
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
    for (const segment of this.assembly(kind).segments)
      if (!segment.isRendered(era)) count += segment.names.size;
    return count > FEW ? this.#prepare(kind, era) : undefined;
  }

  async #prepare(kind: ListKind, era: Era): Promise<void> {
    // Names were resolved in this turn already.
    await new Promise(setImmediate);
    let until = performance.now() + TURN_MS;
    for (const segment of this.assembly(kind).segments)
      while (!segment.isRendered(era)) {
        segment.step(era);
        if (performance.now() < until) continue;
        await new Promise(setImmediate);
        until = performance.now() + TURN_MS;
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
    // A renamed tool, and one that is pinned, is admitted as listed only.
    const isListed =
      kind !== 'task' && this.registry.list(link, KIND_OF[kind]).some(({ key }) => key === name);
    return isListed || this.registry.admits(server, kind, name);
  }

  freshness(): Freshness {
    const now = this.registry.options.now();
    let until = Infinity;
    let scope: Freshness['scope'] = this.registry.options.isPrivate?.() === true ? 'private' : 'public';
    for (const { state, freshness } of this.links()) {
      until = Math.min(until, state === 'up' ? freshness.until : now + INCOMPLETE_MS);
      if (freshness.scope === 'private') scope = 'private';
    }
    return { until: until === Infinity ? now : until, scope };
  }

  hides(server: string): boolean {
    return this.registry.hides(server);
  }

  extended(): ServerLink | undefined {
    const found = this.links().filter(
      ({ server, peer, state }) =>
        state === 'up' && objectOf(peer?.capabilities['extensions']) && this.registry.showsAll(server),
    );
    return found.length === 1 ? found[0] : undefined;
  }
}

function discovered(capabilities: object, instructions: string): string {
  return `"capabilities":${wellFormed(JSON.stringify(capabilities))}${instructions}`;
}

/** A segment whose names are partly taken by other servers. */
interface Displaced {
  readonly base: Segment;
  readonly taken: ReadonlySet<string>;
  readonly segment: Segment;
}

export class MergedView extends SegmentedView {
  readonly #displaced = new Map<ListKind, Map<string, Displaced>>();

  ready(
    wanted: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined {
    // All servers must have listed their URIs before it is known which one has a URI.
    if (wanted === undefined) return waitForLists(this.registry, undefined, signal);
    if (wanted.kind === 'resource') return waitForFirst(this.registry, signal);
    const server = parse(wanted.name)?.server;
    return server === undefined ? undefined : waitFor(this.registry, this.registry.get(server), signal);
  }

  links(): readonly ServerLink[] {
    return this.registry.entries().map(({ link }) => link);
  }

  protected compose(kind: ListKind): readonly Segment[] {
    const { segments: store } = this.registry;
    const segments = this.registry
      .entries()
      .map(({ link }) => store.of(link, kind, this.registry.list(link, kind), 'qualified'));
    return segments.some(({ contested }) => contested) ? this.#settle(kind, segments) : segments;
  }

  /** Resolves name conflicts: the first server, in order of names, keeps the name. */
  #settle(kind: ListKind, segments: readonly Segment[]): readonly Segment[] {
    const before = this.#displaced.get(kind);
    const displaced = new Map<string, Displaced>();
    this.#displaced.set(kind, displaced);
    const isUri = kind === 'resources' || kind === 'templates';
    const seen = new Set<string>();
    return segments.map((base) => {
      const { server } = base.link;
      let segment = base;
      if (base.contested) {
        const taken = new Set<string>();
        for (const name of base.names.keys())
          // A server cannot list a URI in the qualified form of another server.
          if (seen.has(name) || (isUri && this.#qualified(name))) taken.add(name);
        if (taken.size > 0) {
          const known = before?.get(server);
          const isKnown = known?.base === base && isSameSet(known.taken, taken);
          const entry = isKnown
            ? known
            : { base, taken, segment: this.registry.segments.without(base, taken) };
          displaced.set(server, entry);
          segment = entry.segment;
        }
      }
      for (const name of segment.names.keys()) seen.add(name);
      return segment;
    });
  }

  find(kind: NameKind, name: string): Target | undefined {
    if (kind === 'resource') return this.#resource(name);
    const parts = parse(name);
    if (kind !== 'task') {
      const listed = this.#listed(KIND_OF[kind], name, parts?.server);
      if (listed) return listed;
    }
    const link = parts && this.registry.get(parts.server);
    if (!link || !this.registry.admits(parts.server, kind, parts.name)) return undefined;
    return unlisted(link, parts.name, {
      patch: json(parts.name),
      ...(kind === 'tool' && { label: labelOf(link, parts.name) }),
    });
  }

  /** `server`: what the name begins with. */
  #listed(kind: ListKind, name: string, server: string | undefined): Target | undefined {
    const { byServer, segments } = this.assembly(kind);
    const found = server === undefined ? undefined : byServer.get(server)?.find(name);
    if (found) return found;
    // An alias may not contain the whole name of its server.
    for (const segment of segments) {
      const cut = segment.contested && segment.find(name);
      if (cut) return cut;
    }
    return undefined;
  }

  #resource(uri: string): Target | undefined {
    for (const segment of this.assembly('resources').segments) {
      const found = segment.find(uri);
      if (found) return found;
    }
    // Templates do not apply to qualified URIs.
    const qualified = this.#qualified(uri);
    if (qualified) {
      const { link, name } = qualified;
      if (!this.registry.admits(link.server, 'resource', name)) return undefined;
      return unlisted(link, name, { patch: json(name), repeatable: true });
    }
    const [covering, another] = this.covering(uri);
    if (!covering || another) return undefined;
    return unlisted(covering.value, uri, { repeatable: true });
  }

  conflict(kind: NameKind, name: string): GatewayError | undefined {
    if (kind !== 'resource' || this.#resource(name) || this.#qualified(name)) return undefined;
    const [first, second] = this.covering(name);
    if (!first || !second) return undefined;
    const [one, other] = [first, second].map(({ server }) => qualifyUri(server, name.slice(0, 256)));
    return new GatewayError(
      'invalid_params',
      `templates of several servers cover this URI equally well: read ${one} or ${other}`,
    );
  }

  /** The parts of a URI that names its server. */
  #qualified(uri: string): { readonly link: ServerLink; readonly name: string } | undefined {
    const parts = parseUri(uri);
    const link = parts && this.registry.get(parts.server);
    return link && { link, name: parts.uri };
  }

  uriOf(server: string, uri: string): string | undefined {
    const shown = this.#leadsTo(server, uri) ? uri : qualifyUri(server, uri);
    return this.isUsable(server, uri, shown) ? shown : undefined;
  }

  /** Whether the URI leads to this server, or to no other one. */
  #leadsTo(server: string, uri: string): boolean {
    for (const { link, names } of this.assembly('resources').segments)
      if (names.has(uri)) return link.server === server;
    return this.covering(uri).every((covering) => covering.server === server);
  }

  greeting(): string {
    const links = this.#told();
    const capabilities = wellFormed(JSON.stringify(mergedCapabilities(links, 'legacy')));
    return `"capabilities":${capabilities},"serverInfo":${this.serverInfo()}${mergedInstructions(links)}`;
  }

  discovery(): string {
    const links = this.#told();
    return discovered(mergedCapabilities(links, 'modern'), mergedInstructions(links));
  }

  serverInfo(): string {
    return JSON.stringify(this.registry.options.serverInfo);
  }

  /** The servers with what this view shows of their handshakes. */
  #told(): { readonly server: string; readonly peer: Peer | undefined }[] {
    return this.links().map(({ server }) => ({ server, peer: this.registry.peerOf(server) }));
  }
}

function isSameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const each of a) if (!b.has(each)) return false;
  return true;
}

export class SingleView extends SegmentedView {
  readonly #server: string;

  constructor(registry: Registry, server: string) {
    super(registry);
    this.#server = server;
  }

  ready(wanted: unknown, signal: AbortSignal): Promise<void> | undefined {
    if (wanted === undefined) return waitForLists(this.registry, this.#server, signal);
    return waitFor(this.registry, this.#link(), signal);
  }

  links(): readonly ServerLink[] {
    const link = this.#link();
    return link ? [link] : [];
  }

  protected compose(kind: ListKind): readonly Segment[] {
    const link = this.#link();
    return link ? [this.registry.segments.of(link, kind, this.registry.list(link, kind), 'own')] : [];
  }

  find(kind: NameKind, name: string): Target | undefined {
    const link = this.#link();
    if (!link) return undefined;
    if (kind !== 'task') {
      const listed = this.assembly(KIND_OF[kind]).segments[0]?.find(name);
      if (listed) return listed;
    }
    if (!this.registry.admits(this.#server, kind, name)) return undefined;
    return unlisted(link, name, {
      ...(kind === 'tool' && { label: labelOf(link, name) }),
      ...(kind === 'resource' && { repeatable: this.covering(name).length > 0 }),
    });
  }

  conflict(): undefined {
    return undefined;
  }

  uriOf(server: string, uri: string): string | undefined {
    return this.isUsable(server, uri, uri) ? uri : undefined;
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
    const peer = this.#peer();
    return peer ? peer.serverInfo.toString('utf8') : JSON.stringify({ name: this.#server, version: '0' });
  }

  #told(era: Era): { capabilities: object; instructions: string } {
    const peer = this.#peer();
    const text = peer?.instructions;
    const instructions = text === undefined ? '' : `,"instructions":${JSON.stringify(text)}`;
    return { capabilities: singleCapabilities(peer, era), instructions };
  }

  #link(): ServerLink | undefined {
    return this.registry.get(this.#server);
  }

  /** undefined: not connected yet, or hidden. */
  #peer(): Peer | undefined {
    return this.#link() && this.registry.peerOf(this.#server);
  }
}
