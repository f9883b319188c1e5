/**
 * The order of a server's lists. It is the server's own, until the server lists the same definitions in another order: from then on that
 * list is sorted by key, so that a server without a fixed order does not change the list with each reading.
 */
import type { Definition, ListKind } from '../../protocol/lists.js';

/** A list as it was read. */
export interface ReadList {
  /** Without repetitions: of definitions with the same key the first one. */
  readonly definitions: readonly Definition[];
  /** Of definitions with the same key the one with the lowest bytes, by key; undefined: no key was listed twice. */
  readonly lowest?: ReadonlyMap<string, Definition> | undefined;
}

/** What later readings are compared with: no more than that is kept. */
interface Listed {
  readonly keys: readonly string[];
  /** By key, where it was listed twice. */
  readonly repeated: ReadonlyMap<string, Choice> | undefined;
}

interface Choice {
  readonly first: Buffer;
  readonly lowest: Buffer;
}

export class ListOrder {
  /** Kinds that are sorted. */
  readonly #unordered: Set<ListKind>;
  /** What was listed last, even if it was dropped since. */
  readonly #last = new Map<ListKind, Listed>();

  /** `unordered`: kinds without a fixed order; several lists of one server share it. */
  constructor(unordered: Set<ListKind>) {
    this.#unordered = unordered;
  }

  /** The definitions in the order in which clients get them. `kept`: the list that they replace. */
  arrange(kind: ListKind, kept: readonly Definition[], read: ReadList): readonly Definition[] {
    if (this.#unordered.has(kind)) return sorted(read);
    const listed = listedIn(read);
    const isReordered = differsInOrder(this.#last.get(kind) ?? listedIn({ definitions: kept }), listed);
    // An empty list says nothing about the order.
    if (listed.keys.length > 0) this.#last.set(kind, listed);
    if (!isReordered) return read.definitions;
    this.#unordered.add(kind);
    this.#last.delete(kind);
    return sorted(read);
  }
}

function sorted({ definitions, lowest }: ReadList): readonly Definition[] {
  const chosen = lowest ? definitions.map((each) => lowest.get(each.key) ?? each) : [...definitions];
  // By code units: the same for every locale.
  return chosen.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

function listedIn({ definitions, lowest }: ReadList): Listed {
  const keys = definitions.map(({ key }) => key);
  if (!lowest) return { keys, repeated: undefined };
  const repeated = new Map<string, Choice>();
  for (const { key, bytes } of definitions) {
    const low = lowest.get(key);
    if (low) repeated.set(key, { first: bytes, lowest: low.bytes });
  }
  return { keys, repeated };
}

/** Whether definitions that both lists have are in another order, or another one of those with the same key comes first. */
function differsInOrder(before: Listed, after: Listed): boolean {
  const positions = new Map(before.keys.map((key, i) => [key, i]));
  let last = -1;
  for (const key of after.keys) {
    const at = positions.get(key);
    if (at === undefined) continue;
    if (at < last || isSwapped(before.repeated?.get(key), after.repeated?.get(key))) return true;
    last = at;
  }
  return false;
}

function isSwapped(before: Choice | undefined, after: Choice | undefined): boolean {
  if (!before || !after || !before.lowest.equals(after.lowest) || before.first.equals(after.first))
    return false;
  return before.first.equals(before.lowest) || after.first.equals(after.lowest);
}
