/** The lists of a server as they were read last. */
import type { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import {
  LIST_KINDS,
  LISTS,
  NO_LISTS,
  sameList,
  type Definition,
  type ListKind,
  type Lists,
} from '../../protocol/lists.js';
import type { Collected } from '../calls/collect.js';
import { Hints } from './freshness.js';
import { ListOrder, type ReadList } from './list-order.js';
import type { LinkObserver } from './observer.js';
import { readLists, type ListOutcomes } from './read-lists.js';

export interface KeptListsDeps {
  readonly server: string;
  readonly log: Logger;
  readonly observer: LinkObserver;
}

export interface ReadFrom {
  /** undefined: all kinds. */
  readonly kinds: readonly ListKind[] | undefined;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly modern: boolean;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  /** Resolves if the server is alive, else rejects. */
  readonly ping: () => Promise<unknown>;
}

/** What was read, before it replaces what is kept. */
export interface ReadResult {
  readonly outcomes: ListOutcomes;
  /** The caching hints of a modern server. */
  readonly hints: Hints | undefined;
}

export class KeptLists {
  readonly #deps: KeptListsDeps;
  lists: Lists = NO_LISTS;
  /** The lists before they were emptied, until they are read again; undefined: they were not. */
  last: Lists | undefined;
  hints: Hints | undefined;
  /** Kinds whose last reading failed, and why. */
  readonly #stale = new Map<ListKind, GatewayError>();
  /** Kinds that the server does not have, which was logged. */
  readonly #missing = new Set<ListKind>();
  /** Kinds that the server lists in changing order. They stay known as that, also when the lists are dropped. */
  readonly unordered = new Set<ListKind>();
  readonly #order = new ListOrder(this.unordered);

  constructor(deps: KeptListsDeps) {
    this.#deps = deps;
  }

  /** Rejects with a GatewayError if the server cannot be reached. */
  async read({ kinds, capabilities, modern, request, ping }: ReadFrom): Promise<ReadResult> {
    const { server, log, observer } = this.#deps;
    const started = performance.now();
    // Hints of some kinds do not count for all.
    const hints = modern && kinds === undefined ? new Hints() : undefined;
    let failed = true;
    try {
      const outcomes = await readLists(kinds ?? LIST_KINDS, {
        server,
        log,
        capabilities,
        request: async (method, params) => {
          const answer = await request(method, params);
          hints?.note(answer.value);
          return answer;
        },
        ping,
      });
      failed = [...outcomes.values()].some(({ type }) => type === 'failed');
      return { outcomes, hints: hints ?? this.hints };
    } finally {
      observer.listsRead(failed ? 'error' : 'success', started);
    }
  }

  /** Replaces the lists; returns the kinds that changed. */
  take({ outcomes, hints }: ReadResult): ListKind[] {
    this.hints = hints;
    if ([...outcomes.values()].every(({ type }) => type !== 'failed')) this.last = undefined;
    const next: Record<ListKind, Lists[ListKind]> = { ...this.lists };
    for (const [kind, outcome] of outcomes) {
      switch (outcome.type) {
        case 'list':
          this.#missing.delete(kind);
          next[kind] = this.#arranged(kind, outcome);
          break;
        case 'none':
          this.#logMissing(kind);
          next[kind] = [];
          break;
        case 'failed':
          this.#fail(kind, outcome.error);
          continue;
      }
      this.#recover(kind);
    }
    const kinds = LIST_KINDS.filter((kind) => !sameList(next[kind], this.lists[kind]));
    if (kinds.length > 0) this.lists = next;
    this.#deps.observer.lists(this.lists.tools.length);
    return kinds;
  }

  /** Lists that could not be read yet are those in `from` until then. */
  borrow(from: Lists): void {
    const missing = [...this.#stale.keys()].filter((kind) => this.lists[kind].length === 0);
    for (const kind of missing) this.lists = { ...this.lists, [kind]: from[kind] };
    this.#deps.observer.lists(this.lists.tools.length);
  }

  /** Empties the lists; returns the kinds that were not empty. */
  clear(): ListKind[] {
    const kinds = this.kinds;
    if (kinds.length > 0) this.last = this.lists;
    this.lists = NO_LISTS;
    this.hints = undefined;
    this.#stale.clear();
    return kinds;
  }

  get kinds(): ListKind[] {
    return LIST_KINDS.filter((kind) => this.lists[kind].length > 0);
  }

  /** Kinds whose last reading failed, and why: their list is an older one. */
  get stale(): ReadonlyMap<ListKind, GatewayError> {
    return this.#stale;
  }

  #arranged(kind: ListKind, read: ReadList): readonly Definition[] {
    const known = this.unordered.has(kind);
    const definitions = this.#order.arrange(kind, this.lists[kind], read);
    if (!known && this.unordered.has(kind)) {
      const { server, log } = this.#deps;
      log.info(`${LISTS[kind].method}: the order changes between readings: sorted from now on`, { server });
    }
    return definitions;
  }

  #logMissing(kind: ListKind): void {
    if (this.#missing.has(kind)) return;
    this.#missing.add(kind);
    const { server, log } = this.#deps;
    log.info(`the upstream has no ${LISTS[kind].method}`, { server });
  }

  #fail(kind: ListKind, error: GatewayError): void {
    const { server, log } = this.#deps;
    const level = this.#stale.has(kind) ? 'debug' : 'warn';
    this.#stale.set(kind, error);
    log[level](`${LISTS[kind].method} failed: the previous list is still used`, {
      server,
      error: error.message,
    });
  }

  #recover(kind: ListKind): void {
    if (!this.#stale.delete(kind)) return;
    const { server, log } = this.#deps;
    log.info(`${LISTS[kind].method} works again`, { server });
  }
}
