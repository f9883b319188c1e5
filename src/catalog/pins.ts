/** Definitions that were approved: a server that changes one later cannot do so unseen. */
import { sha256 } from '../lib/sha256.js';
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Link, NameKind, Peer } from '../protocol/ports.js';
import { elementsOf, membersOf } from '../wire/walk.js';
import { Filter, type Registry } from './registry.js';

/** The kinds of definitions that are pinned. */
export type PinnedKind = 'tool' | 'prompt';

export type PinMode = 'off' | 'warn' | 'enforce';

/** What is known of the definitions of servers. */
export interface Pins {
  /** Increases when a definition is approved, or a server's mode changes. */
  readonly version: number;
  mode(server: string): PinMode;
  /** Whether a definition is approved; notes one that is not. */
  approves(server: string, kind: PinnedKind, definition: Definition): boolean;
  /** Whether any definition of this name is approved. */
  knows(server: string, kind: PinnedKind, name: string): boolean;
  /** The approved definition of a name, as JSON; undefined: none. */
  approved(server: string, kind: PinnedKind, name: string): Buffer | undefined;
  approvesInstructions(server: string, instructions: string): boolean;
}

const KIND_OF: Partial<Readonly<Record<ListKind, PinnedKind>>> = { tools: 'tool', prompts: 'prompt' };
const LIST_OF: Readonly<Record<PinnedKind, ListKind>> = { tool: 'tools', prompt: 'prompts' };
const NOTHING = Buffer.from('{}');

interface Judged {
  readonly version: number;
  readonly list: readonly Definition[];
}

/**
 * Hides definitions that are not approved, of servers with `pin: enforce`. Under `warn` they are shown, and rules judge them by what was
 * approved before.
 */
export class Pinned extends Filter {
  readonly #pins: Pins;
  readonly #judged = new WeakMap<readonly Definition[], Judged>();
  readonly #peers = new WeakMap<Peer, Peer>();

  constructor(base: Registry, pins: Pins) {
    super(base);
    this.#pins = pins;
  }

  override get version(): number {
    return super.version + this.#pins.version;
  }

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const all = this.base.list(link, kind);
    const pinned = KIND_OF[kind];
    const mode = pinned ? this.#pins.mode(link.server) : 'off';
    if (!pinned || mode === 'off' || all.length === 0) return all;
    const { version } = this.#pins;
    const known = this.#judged.get(all);
    if (known?.version === version) return known.list;
    const judged = this.#judge(link.server, pinned, mode, all);
    const isSame = known?.list.length === judged.length && judged.every((each, i) => each === known.list[i]);
    const list = isSame ? known.list : judged;
    this.#judged.set(all, { version, list });
    return list;
  }

  #judge(server: string, kind: PinnedKind, mode: PinMode, all: readonly Definition[]): readonly Definition[] {
    const pins = this.#pins;
    let changed = false;
    const judged = all.flatMap((definition) => {
      if (pins.approves(server, kind, definition)) return [definition];
      changed = true;
      if (mode === 'enforce') return [];
      return [{ ...definition, trusted: pins.approved(server, kind, definition.key) ?? NOTHING }];
    });
    return changed ? judged : all;
  }

  override admits(server: string, kind: NameKind, name: string): boolean {
    if (!this.base.admits(server, kind, name)) return false;
    if ((kind !== 'tool' && kind !== 'prompt') || this.#pins.mode(server) !== 'enforce') return true;
    const link = this.base.get(server);
    const isListed = link && this.base.list(link, LIST_OF[kind]).some(({ key }) => key === name);
    // A listed one that is approved is found in the list.
    return !isListed && this.#pins.knows(server, kind, name);
  }

  override peerOf(server: string): Peer | undefined {
    const peer = this.base.peerOf(server);
    const text = peer?.instructions;
    if (!peer || text === undefined || this.#pins.mode(server) !== 'enforce') return peer;
    if (this.#pins.approvesInstructions(server, text)) return peer;
    let without = this.#peers.get(peer);
    if (!without) this.#peers.set(peer, (without = { ...peer, instructions: undefined }));
    return without;
  }
}

const digests = new WeakMap<Definition, string>();
const sharedDigests = new WeakMap<Definition, string>();

/** SHA-256 of a definition without `_meta`, whatever the order of its members; numbers count as written. */
export function digestOf(definition: Definition): string {
  let digest = digests.get(definition);
  if (digest === undefined)
    digests.set(definition, (digest = sha256(canonical(definition.bytes, 0, ['_meta']))));
  return digest;
}

/** The same of what all replicas of a fleet have alike: one that reaches a server through another has no `execution`. */
export function sharedDigestOf(definition: Definition): string {
  let digest = sharedDigests.get(definition);
  if (digest === undefined)
    sharedDigests.set(definition, (digest = sha256(canonical(definition.bytes, 0, ['_meta', 'execution']))));
  return digest;
}

/** The value at `at` with sorted members. `bytes`: JSON that is not nested deeper than a definition may be. */
function canonical(bytes: Buffer, at: number, without: readonly string[] = []): string {
  let start = at;
  while ([0x20, 0x09, 0x0a, 0x0d].includes(bytes[start] ?? 0)) start++;
  if (bytes[start] === 0x7b) {
    const members = membersOf(bytes, start).filter(({ key }) => !without.includes(key));
    members.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    return `{${members.map(({ key, start: value, end }) => `${JSON.stringify(key)}:${canonical(bytes.subarray(0, end), value)}`).join(',')}}`;
  }
  if (bytes[start] === 0x5b)
    return `[${elementsOf(bytes, start)
      .map((element) => canonical(bytes.subarray(0, element.end), element.start))
      .join(',')}]`;
  const text = bytes.toString('utf8', start).trimEnd();
  return text.startsWith('"') ? JSON.stringify(JSON.parse(text)) : text;
}
