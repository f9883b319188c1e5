/** Clients without a session that called lately: they have no other trace in the gateway. */
import type { Caller } from '../protocol/ports.js';
import { objectOf, readJson, textOf } from '../wire/json.js';
import type { Call } from './schemas.js';

const MOST = 200;
const NAME_CHARS = 128;
/** Known names by their JSON: clients send the same with each request. */
const MOST_NAMES = 512;

export interface KnownCaller {
  readonly client: string;
  readonly clientInfo: string | undefined;
  readonly principal: string;
  readonly era: Caller['era'];
  readonly revision: string;
  readonly capabilities: readonly string[];
  readonly route: string;
  /** Unix milliseconds. */
  lastSeen: number;
}

export class Callers {
  /** By their `client` and route, the least recently seen first. */
  readonly #known = new Map<string, KnownCaller>();
  /** The one that was seen last. */
  #last: KnownCaller | undefined;

  note({ client, clientInfo, principal, era, revision, capabilities }: Caller, route: string): void {
    const known = this.#last?.client === client ? this.#last : this.#known.get(client);
    this.#last = known;
    if (known?.route === route && known.revision === revision) {
      known.lastSeen = Date.now();
      return;
    }
    this.#known.delete(client);
    this.#known.set(client, {
      client,
      clientInfo,
      principal: principal.id,
      era,
      revision,
      capabilities: Object.keys(capabilities).slice(0, 32),
      route,
      lastSeen: Date.now(),
    });
    if (this.#known.size > MOST) this.#forgetOldest();
  }

  all(): readonly KnownCaller[] {
    return [...this.#known.values()];
  }

  #forgetOldest(): void {
    let oldest: KnownCaller | undefined;
    for (const each of this.#known.values()) if (!oldest || each.lastSeen < oldest.lastSeen) oldest = each;
    if (oldest) this.#known.delete(oldest.client);
  }
}

const names = new Map<string, Call['client']>();

/** `clientInfo`: JSON; undefined: not given. */
export function nameOfClient(clientInfo: string | undefined): Call['client'] {
  if (clientInfo === undefined) return UNKNOWN;
  const known = names.get(clientInfo);
  if (known) return known;
  const info = objectOf(readJson(Buffer.from(clientInfo)));
  const text = (key: string): string | null => textOf(info?.[key])?.slice(0, NAME_CHARS) ?? null;
  const read = { name: text('title') ?? text('name'), version: text('version') };
  if (names.size >= MOST_NAMES) names.clear();
  if (clientInfo.length < 4096) names.set(clientInfo, read);
  return read;
}

const UNKNOWN: Call['client'] = { name: null, version: null };
