/** What is known of a server: what it said about itself, what it lists, and how fresh that is. */
import type { Logger } from '../../observe/log.js';
import type { GatewayError } from '../../errors.js';
import { NO_LISTS, type ListKind, type Lists } from '../../protocol/lists.js';
import type { Peer } from '../../protocol/ports.js';
import type { Era } from '../../protocol/revisions.js';
import type { Collected } from '../calls/collect.js';
import { samePeer } from './era-watch.js';
import type { Hints } from './freshness.js';
import { KeptLists, type ReadFrom, type ReadResult } from './kept-lists.js';
import type { Remembered } from './list-cache.js';
import { ListsFor } from './lists-for.js';
import { schemesOf } from './schemes.js';
import type { LinkObserver } from './observer.js';

export interface InventoryDeps {
  readonly server: string;
  readonly log: Logger;
  readonly observer: LinkObserver;
  /** Sends a request over the present connection; rejects where there is none. */
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  /** A list for fewer capabilities could not be read. */
  readonly incomplete: () => void;
  /** What the server listed in an earlier run: counts until it is read again. */
  readonly remembered: Remembered | undefined;
}

export class Inventory {
  readonly #observer: LinkObserver;
  readonly #kept: KeptLists;
  readonly #listsFor: ListsFor;
  /** undefined before the first handshake, and once the lists were dropped. */
  peer: Peer | undefined;
  /** The lists are from an earlier run, read then (Unix milliseconds); undefined: they are from this one. */
  keptSince: number | undefined;
  /** Capabilities that the server has without declaring them. */
  readonly #undeclared = new Set<string>();
  #schemes: { readonly lists: Lists; readonly peer: Peer | undefined; readonly found: readonly string[] } = {
    lists: NO_LISTS,
    peer: undefined,
    found: [],
  };

  #lastPeer: Peer | undefined;

  constructor({ server, log, observer, request, remembered, incomplete }: InventoryDeps) {
    this.#observer = observer;
    this.#kept = new KeptLists({ server, log, observer });
    if (remembered) {
      this.#kept.lists = remembered.lists;
      this.peer = remembered.peer;
      this.keptSince = remembered.at;
    }
    this.#listsFor = new ListsFor({
      server,
      log,
      all: () => this.#kept.lists,
      capabilities: () => this.capabilities,
      unordered: this.#kept.unordered,
      request,
      incomplete,
    });
  }

  /** `legacy` as long as it is not known. */
  get era(): Era {
    return this.peer?.era ?? 'legacy';
  }

  get capabilities(): Readonly<Record<string, unknown>> {
    return this.peer?.capabilities ?? {};
  }

  get lists(): Lists {
    return this.#kept.lists;
  }

  /** What the server said about itself before that was forgotten; undefined: it was not. */
  get lastPeer(): Peer | undefined {
    return this.peer ? undefined : this.#lastPeer;
  }

  /** The lists before they were emptied, until they are read again; undefined: they were not. */
  get lastLists(): Lists | undefined {
    return this.#kept.last;
  }

  /** See Link.schemes. */
  get schemes(): readonly string[] {
    const { lists, peer } = this;
    if (this.#schemes.lists !== lists || this.#schemes.peer !== peer)
      this.#schemes = { lists, peer, found: this.#schemesNow() };
    return this.#schemes.found;
  }

  /** Kinds whose list has at least one entry. */
  get kinds(): readonly ListKind[] {
    return this.#kept.kinds;
  }

  /** Kinds whose last reading failed, and why: their list is an older one. */
  get stale(): ReadonlyMap<ListKind, GatewayError> {
    return this.#kept.stale;
  }

  /** What a modern server said about the freshness of its lists. */
  get hints(): Hints | undefined {
    return this.#kept.hints;
  }

  /** The lists by client capabilities; undefined: all clients get the same. */
  get listsFor(): ListsFor | undefined {
    return this.era === 'modern' ? this.#listsFor : undefined;
  }

  /** A new connection: nothing is known yet about what the server does not declare. */
  connected(peer: Peer): void {
    this.#undeclared.clear();
    this.peer = peer;
  }

  /** What the server says about itself now. Returns whether that is new. */
  describedAs(peer: Peer): boolean {
    const before = this.peer;
    const next = this.#withUndeclared(peer);
    if (before?.revision === next.revision && samePeer(before, next)) return false;
    this.peer = next;
    return true;
  }

  /** The server has a capability that it does not declare. */
  found(capability: string): void {
    this.#undeclared.add(capability);
    if (this.peer) this.peer = this.#withUndeclared(this.peer);
  }

  /** Rejects where the server cannot be reached. */
  read(from: Omit<ReadFrom, 'capabilities'>): Promise<ReadResult> {
    return this.#kept.read({ ...from, capabilities: this.capabilities });
  }

  /** Replaces the lists; returns the kinds that changed. */
  take(read: ReadResult): ListKind[] {
    this.keptSince = undefined;
    return this.#kept.take(read);
  }

  /** The lists by client capabilities were read over another connection: they are read again when they are asked for. */
  outdateListsFor(): void {
    this.#listsFor.outdate();
  }

  /** Takes over what another link of the server knows, until this one has read it. */
  inherit({ lists, lastLists, peer }: Inventory): void {
    this.#kept.lists = lists;
    this.#kept.last = lastLists;
    // While it reads its first lists, it has been told already.
    this.peer ??= peer;
  }

  /** Lists that could not be read yet: those of another link of the server count until then. */
  borrow({ lists }: Inventory): void {
    this.#kept.borrow(lists);
  }

  /** Empties the lists; returns the kinds that were not empty. */
  clear(): ListKind[] {
    return this.#kept.clear();
  }

  /** The server stays away: forgets everything about it. Returns the kinds whose list was not empty. */
  drop(): ListKind[] {
    this.keptSince = undefined;
    const kinds = this.#kept.clear();
    this.#listsFor.clear();
    this.#lastPeer = this.peer ?? this.#lastPeer;
    this.peer = undefined;
    this.#observer.lists(0);
    return kinds;
  }

  /** Those that it used before it was away count until its lists are read again. */
  #schemesNow(): readonly string[] {
    const now = schemesOf(this.lists, this.peer);
    const { lastLists } = this;
    if (!lastLists) return now;
    const before = schemesOf(lastLists, this.peer ?? this.lastPeer);
    return before.every((each) => now.includes(each)) ? now : [...new Set([...now, ...before])];
  }

  #withUndeclared(peer: Peer): Peer {
    if (this.#undeclared.size === 0) return peer;
    const found = Object.fromEntries([...this.#undeclared].map((capability) => [capability, {}]));
    return { ...peer, capabilities: { ...found, ...peer.capabilities } };
  }
}
