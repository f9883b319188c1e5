/**
 * What a modern upstream lists for clients that can do less than all: one reading for each set of capabilities, at its first use, and again
 * when the list of all has changed.
 */
import type { Logger } from '../observe/log.js';
import { LIST_KINDS, NO_LISTS, type Lists } from '../protocol/lists.js';
import { META } from '../protocol/modern/meta.js';
import type { Collected } from './collect.js';
import { readLists } from './read-lists.js';

/** Sets that are kept of one upstream, at the most: the one that was asked for longest ago goes. */
const MAX_SETS = 16;

export interface ListsForDeps {
  readonly server: string;
  readonly log: Logger;
  /** The list of all, the same object until it changes. */
  readonly all: () => Lists;
  readonly capabilities: () => Readonly<Record<string, unknown>>;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
}

interface Kept {
  lists: Lists;
  /** The list of all at that time. */
  of: Lists;
  reading: Promise<void> | undefined;
}

export class ListsFor {
  readonly #deps: ListsForDeps;
  readonly #sets = new Map<string, Kept>();

  constructor(deps: ListsForDeps) {
    this.#deps = deps;
  }

  /** `key`: of the set. The last reading; the list of all where there is none. */
  get(key: string): Lists {
    return this.#sets.get(key)?.lists ?? this.#deps.all();
  }

  /** undefined: there is nothing to read. Else resolves when it is read, or cannot be; never rejects. */
  fill(key: string, capabilities: Readonly<Record<string, unknown>>): Promise<void> | undefined {
    let kept = this.#sets.get(key);
    const all = this.#deps.all();
    if (kept) {
      this.#sets.delete(key);
      this.#sets.set(key, kept);
    }
    if (kept?.reading) return kept.reading;
    if (kept?.of === all) return undefined;
    if (!kept) {
      this.#sets.set(key, (kept = { lists: all, of: NO_LISTS, reading: undefined }));
      if (this.#sets.size > MAX_SETS) this.#sets.delete(this.#sets.keys().next().value as string);
    }
    const filling = kept;
    filling.reading = this.#read(capabilities).then(
      (lists) => {
        filling.reading = undefined;
        filling.lists = { ...NO_LISTS, ...lists };
        filling.of = all;
      },
      (error: unknown) => {
        const { server, log } = this.#deps;
        // The list of all is no lie: what is too much in it says so when it is called.
        log.debug('lists for fewer capabilities could not be read', { server, error: String(error) });
        filling.reading = undefined;
        filling.lists = all;
        filling.of = all;
      },
    );
    return filling.reading;
  }

  clear(): void {
    this.#sets.clear();
  }

  #read(capabilities: Readonly<Record<string, unknown>>): Promise<Partial<Lists>> {
    const { server, log, request } = this.#deps;
    const meta = `"_meta":{"${META.clientCapabilities}":${JSON.stringify(capabilities)}}`;
    return readLists(LIST_KINDS, {
      server,
      log,
      capabilities: this.#deps.capabilities(),
      request: (method, params) =>
        request(method, params === undefined ? `{${meta}}` : `{${meta},${params.slice(1)}`),
      ping: () => Promise.resolve(),
    });
  }
}
