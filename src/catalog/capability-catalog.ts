/** The registry as clients of one set of capabilities see it: a modern server may list for them less than for all. */
import { createHash } from 'node:crypto';
import { within } from '../lib/within.js';
import type { Lists } from '../protocol/lists.js';
import type { Link, Peer, View } from '../protocol/ports.js';
import type { CatalogOptions, Entry, Source } from './source.js';
import { Views } from './views.js';

type Json = Readonly<Record<string, unknown>>;

class CapabilityCatalog implements Source {
  readonly #shared: Source;
  readonly #key: string;
  readonly #capabilities: Json;
  #readings = 0;

  constructor(shared: Source, key: string, capabilities: Json) {
    this.#shared = shared;
    this.#key = key;
    this.#capabilities = capabilities;
  }

  get options(): CatalogOptions {
    return this.#shared.options;
  }

  get version(): number {
    return this.#shared.version + this.#readings;
  }

  get(server: string): Link | undefined {
    return this.#shared.get(server);
  }

  entries(): readonly Entry[] {
    return this.#shared.entries();
  }

  peerOf(server: string): Peer | undefined {
    return this.#shared.peerOf(server);
  }

  lists(link: Link): Lists {
    return link.listsFor?.get(this.#key) ?? link.lists;
  }

  fill(server: string | undefined, signal: AbortSignal): Promise<void> | undefined {
    const readings: Promise<void>[] = [];
    for (const { link } of this.#shared.entries()) {
      if (link.state !== 'up' || (server !== undefined && link.server !== server)) continue;
      const reading = link.listsFor?.fill(this.#key, this.#capabilities);
      if (reading) readings.push(reading);
    }
    if (readings.length === 0) return undefined;
    const all = Promise.all(readings).then(() => {
      this.#readings++;
    });
    return within(all, this.options.waitMs(), signal);
  }
}

export interface CapabilityViews {
  /** What all see. */
  readonly all: Views;
  /** undefined: what all see. */
  viewOf(capabilities: Json, server: string | undefined): View | undefined;
  /** What the views of a client of these capabilities are made from. */
  sourceOf(capabilities: Json): Source;
}

/** Sets that have views of their own, at the most: the one that was used longest ago goes. */
const MAX_SETS = 16;

/** `full`: the capabilities under which the registry reads its lists. */
export function createCapabilityViews(shared: Source, full: Json): CapabilityViews {
  const sets = new Map<string, { catalog: CapabilityCatalog; views: Views }>();
  const all = new Views(shared);
  /** By the object that declared them, where that lives longer than a request. */
  const keys = new WeakMap<Json, string>();
  const fullKey = keyOf(full);

  function setOf(capabilities: Json) {
    let key = keys.get(capabilities);
    if (key === undefined) keys.set(capabilities, (key = keyOf(capabilities)));
    if (key === fullKey) return undefined;
    let set = sets.get(key);
    if (set) sets.delete(key);
    else {
      const catalog = new CapabilityCatalog(shared, key, capabilities);
      set = { catalog, views: new Views(catalog) };
    }
    sets.set(key, set);
    if (sets.size > MAX_SETS) sets.delete(sets.keys().next().value as string);
    return set;
  }

  return {
    all,
    sourceOf: (capabilities) => setOf(capabilities)?.catalog ?? shared,
    viewOf(capabilities, server) {
      const concerned =
        server === undefined
          ? shared.entries().some(({ link }) => link.era === 'modern')
          : shared.get(server)?.era === 'modern';
      return concerned ? setOf(capabilities)?.views.of(server) : undefined;
    },
  };
}

const MAX_KEY = 512;

/** Of the names that are declared, whatever their settings. */
function keyOf(capabilities: Json): string {
  const names: string[] = [];
  const walk = (at: Json, path: string, depth: number): void => {
    for (const key of Object.keys(at).sort()) {
      names.push(`${path}${key}`);
      const value = at[key];
      if (depth > 0 && typeof value === 'object' && value !== null)
        walk(value as Json, `${path}${key}\0`, depth - 1);
    }
  };
  walk(capabilities, '', 1);
  const text = JSON.stringify(names);
  // Most clients declare little: that is key enough.
  return text.length <= MAX_KEY ? text : createHash('sha256').update(text).digest('base64url');
}
