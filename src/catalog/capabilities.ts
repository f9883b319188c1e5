/** What clients with fewer capabilities see: a modern server may list less for them. */
import { sha256 } from '../lib/sha256.js';
import { within } from '../lib/within.js';
import type { Definition, ListKind, Lists } from '../protocol/lists.js';
import type { Link } from '../protocol/ports.js';
import { Filter, type Registry } from './registry.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * Shows the lists that modern servers give to clients with one set of capabilities. These are other arrays than those of the links: filters
 * that cut lists go on top of this one.
 */
export class CapabilityFilter extends Filter {
  readonly #key: string;
  readonly #capabilities: Json;
  /** The lists that were shown last: a filter for clients of the other era may have had them read. */
  readonly #seen = new WeakMap<Link, Lists>();

  /** `key`: from capabilityKey(capabilities). */
  constructor(base: Registry, key: string, capabilities: Json) {
    super(base);
    this.#key = key;
    this.#capabilities = capabilities;
  }

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const { listsFor } = link;
    return listsFor ? listsFor.get(this.#key)[kind] : this.base.list(link, kind);
  }

  override fill(links: readonly Link[], signal: AbortSignal): Promise<void> | undefined {
    const readings: Promise<void>[] = [];
    for (const link of links) {
      const reading = link.state === 'up' ? link.listsFor?.fill(this.#key, this.#capabilities) : undefined;
      if (reading) readings.push(reading);
    }
    if (readings.length === 0) {
      this.#look(links);
      return undefined;
    }
    const all = Promise.all(readings).then(() => {
      this.#look(links);
    });
    return within(all, this.options.waitMs(), signal);
  }

  #look(links: readonly Link[]): void {
    for (const link of links) {
      const lists = link.listsFor?.get(this.#key);
      if (!lists || lists === this.#seen.get(link)) continue;
      this.#seen.set(link, lists);
      this.changes++;
    }
  }
}

const MAX_KEY = 512;
/** Keys of capability objects that live longer than one request. */
const keys = new WeakMap<Json, string>();

/** Identifies a set of capabilities by the names that are declared, whatever their settings. */
export function capabilityKey(capabilities: Json): string {
  let key = keys.get(capabilities);
  if (key === undefined) keys.set(capabilities, (key = keyOf(capabilities)));
  return key;
}

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
  // Most clients declare little, so the text itself is a short key.
  return text.length <= MAX_KEY ? text : sha256(text);
}
