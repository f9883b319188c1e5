/** The lists of one upstream as they were last read. */
import type { Logger } from '../observe/log.js';
import type { ServerStats } from '../observe/stats.js';
import { LIST_KINDS, NO_LISTS, sameList, type ListKind, type Lists } from '../protocol/lists.js';
import type { Collected } from './collect.js';
import { Hints } from './freshness.js';
import { readLists } from './read-lists.js';

export interface KeptListsDeps {
  readonly server: string;
  readonly log: Logger;
  readonly stats: ServerStats;
}

export interface ReadFrom {
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly modern: boolean;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
}

/** What was read, not yet taken over. */
export interface ReadResult {
  readonly lists: Partial<Lists>;
  /** What a modern upstream says of how long they are fresh. */
  readonly hints: Hints | undefined;
}

export class KeptLists {
  readonly #deps: KeptListsDeps;
  lists: Lists = NO_LISTS;
  hints: Hints | undefined;

  constructor(deps: KeptListsDeps) {
    this.#deps = deps;
  }

  async read({ capabilities, modern, request }: ReadFrom): Promise<ReadResult> {
    const { server, log, stats } = this.#deps;
    const started = performance.now();
    const hints = modern ? new Hints() : undefined;
    try {
      const lists = await readLists(LIST_KINDS, {
        server,
        log,
        capabilities,
        request: async (method, params) => {
          const answer = await request(method, params);
          hints?.note(answer.value);
          return answer;
        },
        // The modern era has no ping (2026-07-28, changelog).
        ping: () => request(modern ? 'server/discover' : 'ping', undefined),
      });
      stats.toolsRefresh.add('success');
      stats.toolsLastRefresh = Date.now() / 1000;
      return { lists, hints };
    } catch (error) {
      stats.toolsRefresh.add('error');
      throw error;
    } finally {
      stats.toolsRefreshDuration.observe((performance.now() - started) / 1000);
    }
  }

  /** Takes them over; gives the kinds that are other ones than before. */
  take({ lists, hints }: ReadResult): ListKind[] {
    this.hints = hints;
    const kinds = LIST_KINDS.filter((kind) => !sameList(lists[kind] ?? [], this.lists[kind]));
    // Definitions that stayed the same keep their buffers: views and clients compare by bytes.
    if (kinds.length > 0) this.lists = { ...NO_LISTS, ...lists };
    this.#deps.stats.toolsCount = this.lists.tools.length;
    return kinds;
  }

  /** Empty from now on; gives the kinds that were not. */
  clear(): ListKind[] {
    const kinds = this.kinds;
    this.lists = NO_LISTS;
    this.hints = undefined;
    return kinds;
  }

  get kinds(): ListKind[] {
    return LIST_KINDS.filter((kind) => this.lists[kind].length > 0);
  }
}
