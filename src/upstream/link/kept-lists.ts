/** The lists of one upstream as they were last read. */
import type { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import { LIST_KINDS, LISTS, NO_LISTS, sameList, type ListKind, type Lists } from '../../protocol/lists.js';
import type { Collected } from '../calls/collect.js';
import { Hints } from './freshness.js';
import type { LinkObserver } from './observer.js';
import { readLists, type ListOutcomes } from './read-lists.js';

export interface KeptListsDeps {
  readonly server: string;
  readonly log: Logger;
  readonly observer: LinkObserver;
}

export interface ReadFrom {
  /** undefined: all. */
  readonly kinds: readonly ListKind[] | undefined;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly modern: boolean;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  /** Asks for a sign of life. Rejects where there is none. */
  readonly ping: () => Promise<unknown>;
}

/** What was read, not yet taken over. */
export interface ReadResult {
  readonly outcomes: ListOutcomes;
  /** What a modern upstream says of how long they are fresh. */
  readonly hints: Hints | undefined;
}

export class KeptLists {
  readonly #deps: KeptListsDeps;
  lists: Lists = NO_LISTS;
  hints: Hints | undefined;
  /** Kinds of which the last reading gave no list, and why. */
  readonly #stale = new Map<ListKind, GatewayError>();
  /** Kinds of which it was said that there are none. */
  readonly #none = new Set<ListKind>();

  constructor(deps: KeptListsDeps) {
    this.#deps = deps;
  }

  /** Rejects where there is no way to the upstream. */
  async read({ kinds, capabilities, modern, request, ping }: ReadFrom): Promise<ReadResult> {
    const { server, log, observer } = this.#deps;
    const started = performance.now();
    // Of a part it says nothing about the whole.
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

  /** Takes them over; gives the kinds that are other ones than before. */
  take({ outcomes, hints }: ReadResult): ListKind[] {
    this.hints = hints;
    const next: Record<ListKind, Lists[ListKind]> = { ...this.lists };
    for (const [kind, outcome] of outcomes) {
      switch (outcome.type) {
        case 'list':
          this.#none.delete(kind);
          next[kind] = outcome.definitions;
          break;
        case 'none':
          this.#sayNone(kind);
          next[kind] = [];
          break;
        case 'failed':
          this.#fail(kind, outcome.error);
          continue;
      }
      this.#recover(kind);
    }
    const kinds = LIST_KINDS.filter((kind) => !sameList(next[kind], this.lists[kind]));
    // Definitions that stayed the same keep their buffers: views and clients compare by bytes.
    if (kinds.length > 0) this.lists = next;
    this.#deps.observer.lists(this.lists.tools.length);
    return kinds;
  }

  /** Empty from now on; gives the kinds that were not. */
  clear(): ListKind[] {
    const kinds = this.kinds;
    this.lists = NO_LISTS;
    this.hints = undefined;
    this.#stale.clear();
    return kinds;
  }

  get kinds(): ListKind[] {
    return LIST_KINDS.filter((kind) => this.lists[kind].length > 0);
  }

  /** Kinds whose list is an older one than it should be, and why. */
  get stale(): ReadonlyMap<ListKind, GatewayError> {
    return this.#stale;
  }

  #sayNone(kind: ListKind): void {
    if (this.#none.has(kind)) return;
    this.#none.add(kind);
    const { server, log } = this.#deps;
    log.info(`the upstream has no ${LISTS[kind].method}`, { server });
  }

  #fail(kind: ListKind, error: GatewayError): void {
    const { server, log } = this.#deps;
    const level = this.#stale.has(kind) ? 'debug' : 'warn';
    this.#stale.set(kind, error);
    log[level](`${LISTS[kind].method} failed: the list before it stands`, { server, error: error.message });
  }

  #recover(kind: ListKind): void {
    if (!this.#stale.delete(kind)) return;
    const { server, log } = this.#deps;
    log.info(`${LISTS[kind].method} works again`, { server });
  }
}
