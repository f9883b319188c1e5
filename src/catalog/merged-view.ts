/** All servers of a route under qualified names. */
import { GatewayError } from '../errors.js';
import type { ListKind } from '../protocol/lists.js';
import type { NameKind, Peer, ServerLink, Target } from '../protocol/ports.js';
import { wellFormed } from '../protocol/shapes.js';
import { mergedCapabilities, mergedInstructions } from './greeting.js';
import { parse, parseUri, qualifyUri } from './naming.js';
import { waitFor, waitForFirst, waitForLists } from './registry.js';
import type { Segment } from './segment.js';
import { discovered, KIND_OF, labelOf, SegmentedView, unlisted } from './view.js';

const json = (name: string): Buffer => Buffer.from(JSON.stringify(name));

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
