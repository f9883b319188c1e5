/**
 * The lists of a modern server for clients with fewer capabilities than all: read once per set of capabilities when it is first used, and
 * again whenever the full lists were read again.
 */
import type { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import { LIST_KINDS, sameList, type ListKind, type Lists } from '../../protocol/lists.js';
import { META } from '../../protocol/modern/meta.js';
import type { Collected } from '../calls/collect.js';
import { asGatewayError } from './failures.js';
import { ListOrder } from './list-order.js';
import { readLists } from './read-lists.js';

/** The most sets that are kept; the one that was used longest ago is dropped. */
const MAX_SETS = 16;

export interface ListsForDeps {
  readonly server: string;
  readonly log: Logger;
  /** The full lists. */
  readonly all: () => Lists;
  readonly capabilities: () => Readonly<Record<string, unknown>>;
  /** Kinds that the server lists in changing order, whoever found it. */
  readonly unordered: Set<ListKind>;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  /** A set is incomplete: `renew` is to be called soon. */
  readonly incomplete: () => void;
}

/** Which sets are read again: all, those that were used since, or those with a list that could not be read. */
export type SetsToRenew = 'all' | 'used' | 'incomplete';

interface Kept {
  readonly capabilities: Readonly<Record<string, unknown>>;
  lists: Lists;
  readonly order: ListOrder;
  /** Read since the last known change. */
  fresh: boolean;
  /** Lists that could not be read, and why: an older one, or that of the full lists, counts. */
  failed: ReadonlyMap<ListKind, GatewayError>;
  /** Used since it was read. */
  used: boolean;
  reading: Promise<void> | undefined;
}

export class ListsFor {
  readonly #deps: ListsForDeps;
  /** In the order of use, the latest last. */
  readonly #sets = new Map<string, Kept>();

  constructor(deps: ListsForDeps) {
    this.#deps = deps;
  }

  /** `key`: of the set. The lists of the last reading; without one, the full lists. */
  get(key: string): Lists {
    const kept = this.#sets.get(key);
    if (!kept) return this.#deps.all();
    kept.used = true;
    return kept.lists;
  }

  /** Reads the lists of a set. undefined: they are fresh. Resolves when they were read, or could not be; never rejects. */
  fill(key: string, capabilities: Readonly<Record<string, unknown>>): Promise<void> | undefined {
    let kept = this.#sets.get(key);
    if (kept) {
      this.#sets.delete(key);
      this.#sets.set(key, kept);
      kept.used = true;
      if (kept.reading) return kept.reading;
      if (kept.fresh) return undefined;
    } else {
      for (const oldest of this.#sets.keys()) {
        if (this.#sets.size < MAX_SETS) break;
        this.#sets.delete(oldest);
      }
      const order = new ListOrder(this.#deps.unordered);
      kept = {
        ...{ capabilities, lists: this.#deps.all(), order },
        ...{ fresh: false, failed: new Map(), used: true, reading: undefined },
      };
      this.#sets.set(key, kept);
    }
    return this.#refill(kept);
  }

  /** Why lists of the sets could not be read. */
  get problems(): readonly GatewayError[] {
    return [...this.#sets.values()].flatMap(({ failed }) => [...failed.values()]);
  }

  /**
   * Reads again after the full lists were read: those for fewer capabilities may have changed even if the full ones did not. Resolves with
   * the kinds that changed in any set; never rejects.
   */
  async renew(which: SetsToRenew): Promise<ListKind[]> {
    const before = [...this.#sets.values()].map((kept) => ({ kept, lists: kept.lists }));
    const isMeant = ({ used, failed }: Kept): boolean =>
      failed.size > 0 || which === 'all' || (which === 'used' && used);
    if (which !== 'incomplete') this.outdate();
    for (const { kept } of before.filter((each) => isMeant(each.kept))) {
      // A reading that is running may be older than the change.
      if (kept.reading) await kept.reading;
      // A client may have caused a reading meanwhile.
      if (!kept.fresh || kept.failed.size > 0) await this.#refill(kept);
      if (which !== 'incomplete') kept.used = false;
    }
    const changed = LIST_KINDS.filter((kind) =>
      before.some(({ kept, lists }) => !sameList(lists[kind], kept.lists[kind])),
    );
    return changed;
  }

  clear(): void {
    this.#sets.clear();
  }

  /** All sets are read again when they are used; those with a list that could not be read, by the next `renew`. */
  outdate(): void {
    for (const kept of this.#sets.values()) kept.fresh = false;
  }

  /** Reads the lists that could not be read; all where there may be changes. */
  #refill(kept: Kept): Promise<void> {
    const kinds = kept.fresh ? [...kept.failed.keys()] : LIST_KINDS;
    // A change from now on makes it stale again.
    kept.fresh = true;
    const reading = this.#read(kept, kinds).catch((error: unknown) => {
      const { server, log } = this.#deps;
      const failure = asGatewayError(error, server);
      kept.failed = new Map(kinds.map((kind) => [kind, failure]));
      // The previous or full lists are used: a tool that the client cannot use refuses the call.
      log.debug('lists for fewer capabilities could not be read', { server, error: String(error) });
    });
    kept.reading = reading.finally(() => {
      kept.reading = undefined;
      if (kept.failed.size > 0) this.#deps.incomplete();
    });
    return kept.reading;
  }

  async #read(kept: Kept, kinds: readonly ListKind[]): Promise<void> {
    const { capabilities, lists: before, order } = kept;
    const { server, log, request } = this.#deps;
    const meta = `"_meta":{"${META.clientCapabilities}":${JSON.stringify(capabilities)}}`;
    const outcomes = await readLists(kinds, {
      server,
      log,
      capabilities: this.#deps.capabilities(),
      request: (method, params) =>
        request(method, params === undefined ? `{${meta}}` : `{${meta},${params.slice(1)}`),
      ping: () => Promise.resolve(),
    });
    const lists: Record<ListKind, Lists[ListKind]> = { ...before };
    const failed = new Map<ListKind, GatewayError>();
    for (const [kind, outcome] of outcomes)
      if (outcome.type === 'failed') failed.set(kind, outcome.error);
      else lists[kind] = outcome.type === 'list' ? order.arrange(kind, before[kind], outcome) : [];
    if (LIST_KINDS.some((kind) => !sameList(lists[kind], before[kind]))) kept.lists = lists;
    kept.failed = failed;
  }
}
