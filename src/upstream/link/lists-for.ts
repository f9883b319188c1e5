/**
 * What a modern upstream lists for clients that can do less than all: one reading for each set of capabilities, at its first use, and again
 * whenever the list of all was read again.
 */
import type { Logger } from '../../observe/log.js';
import { LIST_KINDS, sameList, type ListKind, type Lists } from '../../protocol/lists.js';
import { META } from '../../protocol/modern/meta.js';
import type { Collected } from '../calls/collect.js';
import { readLists } from './read-lists.js';

/** Sets that are kept of one upstream; the one that was asked for longest ago gives way to another. */
const MAX_SETS = 16;

export interface ListsForDeps {
  readonly server: string;
  readonly log: Logger;
  /** The list of all. */
  readonly all: () => Lists;
  readonly capabilities: () => Readonly<Record<string, unknown>>;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
}

interface Kept {
  readonly capabilities: Readonly<Record<string, unknown>>;
  lists: Lists;
  /** As the upstream has them, as far as anybody knows. */
  fresh: boolean;
  /** Asked for since it was read. */
  used: boolean;
  reading: Promise<void> | undefined;
}

export class ListsFor {
  readonly #deps: ListsForDeps;
  /** The one that was asked for last stands last. */
  readonly #sets = new Map<string, Kept>();

  constructor(deps: ListsForDeps) {
    this.#deps = deps;
  }

  /** `key`: of the set. The last reading; the list of all where there is none. */
  get(key: string): Lists {
    const kept = this.#sets.get(key);
    if (!kept) return this.#deps.all();
    kept.used = true;
    return kept.lists;
  }

  /** undefined: there is nothing to read. Else resolves when it is read, or cannot be; never rejects. */
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
      kept = { capabilities, lists: this.#deps.all(), fresh: false, used: true, reading: undefined };
      this.#sets.set(key, kept);
    }
    return this.#refill(kept);
  }

  /**
   * The list of all was read again: those for fewer capabilities may be other ones than before, whether or not that is. `told`: the
   * upstream told of a change, so that all are read; else those that somebody asked for since. Gives the kinds that changed in any of them;
   * never rejects.
   */
  async renew(told: boolean): Promise<ListKind[]> {
    const before = [...this.#sets.values()].map((kept) => ({ kept, lists: kept.lists }));
    for (const { kept } of before) kept.fresh = false;
    for (const { kept } of before) {
      if (!(told || kept.used)) continue;
      // One under way may be older than the change.
      if (kept.reading) await kept.reading;
      // A client may have asked for it meanwhile.
      if (!kept.fresh) await this.#refill(kept);
      kept.used = false;
    }
    const changed = LIST_KINDS.filter((kind) =>
      before.some(({ kept, lists }) => !sameList(lists[kind], kept.lists[kind])),
    );
    return changed;
  }

  clear(): void {
    this.#sets.clear();
  }

  /** The connection is another one: what is shown stands until it is read again. */
  outdate(): void {
    for (const kept of this.#sets.values()) kept.fresh = false;
  }

  #refill(kept: Kept): Promise<void> {
    // What changes from now on makes it stale again.
    kept.fresh = true;
    const reading = this.#read(kept).then(
      (lists) => {
        kept.lists = lists;
      },
      (error: unknown) => {
        const { server, log } = this.#deps;
        // The list before, or that of all, is no lie: what is too much in it says so when it is called.
        log.debug('lists for fewer capabilities could not be read', { server, error: String(error) });
      },
    );
    kept.reading = reading.finally(() => {
      kept.reading = undefined;
    });
    return kept.reading;
  }

  async #read({ capabilities, lists: before }: Kept): Promise<Lists> {
    const { server, log, request } = this.#deps;
    const meta = `"_meta":{"${META.clientCapabilities}":${JSON.stringify(capabilities)}}`;
    const outcomes = await readLists(LIST_KINDS, {
      server,
      log,
      capabilities: this.#deps.capabilities(),
      request: (method, params) =>
        request(method, params === undefined ? `{${meta}}` : `{${meta},${params.slice(1)}`),
      ping: () => Promise.resolve(),
    });
    const lists: Record<ListKind, Lists[ListKind]> = { ...before };
    for (const [kind, outcome] of outcomes)
      if (outcome.type !== 'failed') lists[kind] = outcome.type === 'list' ? outcome.definitions : [];
    return lists;
  }
}
