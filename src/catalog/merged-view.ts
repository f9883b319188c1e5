/** All servers of a route under qualified names. */
import { GatewayError } from '../errors.js';
import type { ListKind } from '../protocol/lists.js';
import type { Era } from '../protocol/revisions.js';
import type { NameKind, Peer, ServerLink, Target } from '../protocol/ports.js';
import { wellFormed } from '../protocol/shapes.js';
import { mergedCapabilities, mergedInstructions, unknownOf } from './greeting.js';
import { Away, BareTools, BareUris, soleOf, type Bearer } from './bare-names.js';
import { BareIndex, fullNames } from './prefixes.js';
import { hasOrigin, parse, parseOrigin, parseUri, qualifyOrigin, qualifyUri } from './naming.js';
import { waitFor, waitForFirst, waitForLists, type Registry } from './registry.js';
import { isUriKind, type Segment } from './segment.js';
import { discovered, KIND_OF, labelOf, SegmentedView, unlisted } from './view.js';

const json = (name: string): Buffer => Buffer.from(JSON.stringify(name));

/** A segment whose names are partly taken by other servers. */
interface Displaced {
  readonly base: Segment;
  readonly taken: ReadonlySet<string>;
  readonly segment: Segment;
}

export interface MergedOptions {
  /** Its callers show apps, whose pages call tools by the names of their servers. */
  readonly apps?: boolean;
}

type Pages = ReadonlySet<string> | undefined;
/** What greetings say about a server. */
type Told = Pick<ServerLink, 'server' | 'peer' | 'schemes'>;

export class MergedView extends SegmentedView {
  readonly #apps: boolean;
  readonly #displaced = new Map<ListKind, Map<string, Displaced>>();
  readonly #tools: BareTools;
  readonly #uris: BareUris;
  readonly #texts = new Map<Era, { readonly links: readonly Told[]; readonly text: string }>();
  readonly #bare = { tools: new BareIndex(), prompts: new BareIndex() };

  constructor(registry: Registry, { apps = false }: MergedOptions = {}) {
    super(registry);
    this.#apps = apps;
    const away = new Away(registry);
    this.#tools = new BareTools(away);
    this.#uris = new BareUris(away);
  }

  ready(
    wanted: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined {
    if (wanted === undefined) return waitForLists(this.registry, undefined, signal);
    const isResource = wanted.kind === 'resource';
    const isBare = isResource || (this.registry.prefix !== 'always' && wanted.kind !== 'task');
    const named = isResource ? undefined : parse(wanted.name)?.server;
    const server = (isBare ? this.find(wanted.kind, wanted.name)?.link.server : undefined) ?? named;
    const link = server === undefined ? undefined : this.registry.get(server);
    // Any server may have a URI or a bare name that none has listed yet.
    return isBare && !link ? waitForFirst(this.registry, signal) : waitFor(this.registry, link, signal);
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
    const isUri = isUriKind(kind);
    const seen = new Set<string>();
    return segments.map((base) => {
      const { server } = base.link;
      let segment = base;
      if (base.contested) {
        const taken = new Set<string>();
        for (const name of base.names.keys())
          // A server cannot list a URI in the qualified form of another server.
          if (seen.has(name) || (isUri && this.#named(parseUri(name)))) taken.add(name);
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

  find(kind: NameKind, name: string, pages?: Pages): Target | undefined {
    if (kind === 'resource') return this.#resource(name, pages);
    const parts = parse(name);
    if (kind !== 'task') {
      const listed = this.#listed(KIND_OF[kind], name, parts?.server);
      if (listed) return listed;
    }
    const link = parts && this.registry.get(parts.server);
    if (kind === 'tool' && this.#apps) {
      const bearers = this.#tools.of(name, this.assembly('tools').segments);
      const sole = soleOf(bearers, pages);
      if (sole)
        return this.#listed('tools', sole.shown, sole.link.server) ?? this.#unlistedAt(kind, sole.shown);
      if (bearers.length > 0) return undefined;
      if (!link) return this.#ofPage(name, pages);
    }
    return this.#unlistedAt(kind, name);
  }

  /** What a full name leads to that is not listed: its server may have it. */
  #unlistedAt(kind: NameKind, name: string): Target | undefined {
    const parts = parse(name);
    const link = parts && this.registry.get(parts.server);
    if (!link || !this.registry.admits(parts.server, kind, parts.name)) return undefined;
    return unlisted(link, parts.name, {
      patch: json(parts.name),
      ...(kind === 'tool' && { label: labelOf(link, parts.name) }),
    });
  }

  /** A tool that no server lists, called by a page of the only server whose pages the client has read. */
  #ofPage(name: string, pages: Pages): Target | undefined {
    const [server, another] = pages ?? [];
    if (server === undefined || another !== undefined) return undefined;
    const link = this.registry.get(server);
    if (!link || !this.registry.admits(server, 'tool', name)) return undefined;
    // Tools that it lists for the model alone are not for its pages.
    if (this.registry.list(link, 'tools').some(({ key }) => key === name)) return undefined;
    return unlisted(link, name, { label: labelOf(link, name) });
  }

  /** `server`: what the name begins with. */
  #listed(kind: ListKind, name: string, server: string | undefined): Target | undefined {
    const { byServer, segments } = this.assembly(kind);
    const found = server === undefined ? undefined : byServer.get(server)?.find(name);
    if (found) return found;
    if (this.registry.prefix !== 'always' && (kind === 'tools' || kind === 'prompts')) {
      const bare = this.#bare[kind].of(name, segments)?.find(name);
      if (bare) return bare;
    }
    // An alias may not contain the whole name of its server.
    for (const segment of segments) {
      const cut = segment.contested && segment.find(name);
      if (cut) return cut;
    }
    return undefined;
  }

  #resource(uri: string, pages: Pages): Target | undefined {
    for (const kind of ['resources', 'skills'] as const)
      for (const segment of this.assembly(kind).segments) {
        const found = segment.find(uri);
        if (found) return found;
      }
    // Templates do not apply to qualified URIs.
    const qualified = this.#qualified(uri);
    if (qualified) return this.#at(qualified.link, qualified.name, json(qualified.name));
    if (hasOrigin(uri)) {
      const sole = soleOf(this.#bearers(uri), pages);
      return sole && this.#resource(qualifyOrigin(sole.link.server, uri) as string, pages);
    }
    const [covering, another] = this.covering(uri);
    if (!covering || another) return undefined;
    return unlisted(covering.value, uri, { repeatable: true });
  }

  /** A URI that a server does not list; undefined: it may not be used. */
  #at(link: ServerLink, uri: string, patch: Buffer): Target | undefined {
    if (!this.registry.admits(link.server, 'resource', uri)) return undefined;
    return unlisted(link, uri, { patch, repeatable: true });
  }

  /** The servers that list a URI of an extension or refer to it. */
  #bearers(uri: string): readonly Bearer[] {
    const [resources, tools, skills] = (['resources', 'tools', 'skills'] as const).map(
      (kind) => this.assembly(kind).segments,
    );
    return this.#uris.of(uri, resources ?? [], tools ?? [], skills ?? []);
  }

  conflict(kind: NameKind, name: string, pages?: Pages): GatewayError | undefined {
    if (kind === 'tool' && this.#apps && !this.find(kind, name, pages)) {
      const names = this.#tools.of(name, this.assembly('tools').segments).map(({ shown }) => shown);
      if (names.length >= 2) return tieOf(name, names);
    }
    if (this.registry.prefix !== 'always' && (kind === 'tool' || kind === 'prompt'))
      return this.#withoutPrefix(kind, name);
    if (kind !== 'resource' || this.#resource(name, pages) || this.#qualified(name)) return undefined;
    if (hasOrigin(name)) {
      const candidates = this.#bearers(name).map(({ link }) => qualifyOrigin(link.server, name) as string);
      return candidates.length < 2 ? undefined : pageTie(name, candidates);
    }
    const [first, second] = this.covering(name);
    if (!first || !second) return undefined;
    const [one, other] = [first, second].map(({ server }) => qualifyUri(server, name.slice(0, 256)));
    return new GatewayError(
      'invalid_params',
      `templates of several servers cover this URI equally well: read ${one} or ${other}`,
    );
  }

  /** What is said of a name that nothing is listed under, where names have no prefix. */
  #withoutPrefix(kind: 'tool' | 'prompt', name: string): GatewayError {
    const { segments } = this.assembly(KIND_OF[kind]);
    const candidates = fullNames(name, segments, this.registry.options.nameLength());
    if (candidates.length >= 2) return tieOf(name, candidates, kind);
    const shown = name.slice(0, 256);
    return candidates[0] === undefined
      ? new GatewayError('invalid_params', `unknown ${kind} '${shown}' (see ${kind}s/list)`)
      : new GatewayError('invalid_params', `${kind} '${shown}' has its full name here: '${candidates[0]}'`, {
          candidates,
        });
  }

  /** The parts of a URI that names its server. */
  #qualified(uri: string): { readonly link: ServerLink; readonly name: string } | undefined {
    const parts = parseUri(uri);
    // A URI of an extension has one form only that names its server.
    return this.#named(parts && !hasOrigin(parts.uri) ? parts : parseOrigin(uri));
  }

  #named(
    parts: ReturnType<typeof parseUri>,
  ): { readonly link: ServerLink; readonly name: string } | undefined {
    const link = parts && this.registry.get(parts.server);
    return link && { link, name: parts.uri };
  }

  uriOf(server: string, uri: string): string | undefined {
    const shown = qualifyOrigin(server, uri) ?? this.#shownUri(server, uri);
    return this.isUsable(server, uri, shown) ? shown : undefined;
  }

  #shownUri(server: string, uri: string): string {
    return this.#leadsTo(server, uri) ? uri : qualifyUri(server, uri);
  }

  /** Whether the URI leads to this server, or to no other one. */
  #leadsTo(server: string, uri: string): boolean {
    for (const { link, names } of this.assembly('resources').segments)
      if (names.has(uri)) return link.server === server;
    return this.covering(uri).every((covering) => covering.server === server);
  }

  greeting(): string {
    return this.#said('legacy', (links) => {
      const capabilities = wellFormed(JSON.stringify(mergedCapabilities(links, 'legacy')));
      return `"capabilities":${capabilities},"serverInfo":${this.serverInfo()}${this.#instructions(links)}`;
    });
  }

  discovery(): string {
    return this.#said('modern', (links) =>
      discovered(mergedCapabilities(links, 'modern'), this.#instructions(links)),
    );
  }

  /** The text for an era, made again when a server says something else about itself. */
  #said(era: Era, make: (links: readonly Told[]) => string): string {
    const links = this.#told();
    const known = this.#texts.get(era);
    if (known && isSameTold(known.links, links)) return known.text;
    const text = make(links);
    this.#texts.set(era, { links, text });
    return text;
  }

  #instructions(links: readonly Told[]): string {
    const { instructions } = this.registry;
    return instructions === undefined
      ? mergedInstructions(links)
      : wellFormed(`,"instructions":${JSON.stringify(instructions)}`);
  }

  serverInfo(): string {
    return JSON.stringify(this.registry.options.serverInfo);
  }

  protected offers(peer: Peer): readonly string[] {
    return unknownOf(peer);
  }

  /** The servers with what this view shows of their handshakes. */
  #told(): Told[] {
    return this.links().map(({ server, schemes, lastPeer }) => ({
      server,
      schemes,
      peer: this.registry.peerOf(server) ?? lastPeer,
    }));
  }
}

/** The most names that an error shows. */
const MOST_SHOWN = 16;

function tieOf(name: string, names: readonly string[], kind = 'tool'): GatewayError {
  const candidates = names.slice(0, MOST_SHOWN);
  return new GatewayError(
    'invalid_params',
    `${kind} '${name.slice(0, 256)}' is offered by several servers here: call ${candidates.map((each) => `'${each}'`).join(' or ')}`,
    { candidates },
  );
}

function pageTie(uri: string, names: readonly string[]): GatewayError {
  const candidates = names.slice(0, MOST_SHOWN);
  return new GatewayError(
    'resource_not_found',
    `resource not found: ${uri.slice(0, 256)} (several servers here have one: read ${candidates.slice(0, 2).join(' or ')})`,
    { uri: uri.slice(0, 2048), candidates },
  );
}

function isSameTold(a: readonly Told[], b: readonly Told[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ server, peer, schemes }, i) => {
      const other = b[i];
      return server === other?.server && peer === other.peer && schemes === other.schemes;
    })
  );
}

function isSameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const each of a) if (!b.has(each)) return false;
  return true;
}
