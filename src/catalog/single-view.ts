/** One server, as it is. */
import type { ListKind } from '../protocol/lists.js';
import type { NameKind, Peer, ServerLink, Target } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { singleCapabilities, unknownOf } from './greeting.js';
import { waitFor, waitForLists, type Registry } from './registry.js';
import type { Segment } from './segment.js';
import { discovered, KIND_OF, labelOf, SegmentedView, unlisted } from './view.js';

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

  protected offers(peer: Peer): readonly string[] {
    return unknownOf(peer, true);
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
