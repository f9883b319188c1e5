/** The credentials that were verified, by the Authorization header that showed them. A hit is synchronous and costs no signature. */
import type { Principal } from '../protocol/ports.js';
import type { Resource } from './challenge.js';

export interface Verified {
  readonly principal: Principal;
  /** The token. */
  readonly token: string;
  /** The audiences of the token. */
  readonly audience: readonly string[];
  /** The name of its issuer. */
  readonly issuer: string;
  /** Until when it counts without another verification, in Unix ms. */
  readonly until: number;
}

export interface SeenEntry extends Verified {
  readonly header: string;
  /** The resource for which its audience was accepted last. */
  accepted: Resource | undefined;
}

const MOST = 4096;
/** The end of a token is part of its signature: two tokens with the same end practically do not exist. */
const KEY_CHARACTERS = 24;

export class Seen {
  readonly #entries = new Map<string, SeenEntry>();

  /** The entry of exactly this header, even if it is no longer valid. */
  find(header: string): SeenEntry | undefined {
    const entry = this.#entries.get(header.slice(-KEY_CHARACTERS));
    return entry?.header === header ? entry : undefined;
  }

  add(header: string, verified: Verified): SeenEntry {
    const key = header.slice(-KEY_CHARACTERS);
    this.#entries.delete(key);
    if (this.#entries.size >= MOST) this.#entries.delete(this.#entries.keys().next().value as string);
    const entry = { ...verified, header, accepted: undefined };
    this.#entries.set(key, entry);
    return entry;
  }

  /**
   * The entry of a principal that counts longest: of an issuer, if there is one, rather than of a sign-in at the gateway. Looks at all: not for
   * every request. `now`: Unix ms.
   */
  newest(principal: string, now: number): SeenEntry | undefined {
    let newest: SeenEntry | undefined;
    const rank = ({ principal: { grant }, until }: SeenEntry): number => (grant ? until - now : until);
    for (const entry of this.#entries.values())
      if (entry.principal.id === principal && entry.until > now && (!newest || rank(entry) > rank(newest)))
        newest = entry;
    return newest;
  }

  /** Drops what the issuer has vouched for. */
  dropIssuer(name: string): void {
    for (const [key, { issuer }] of this.#entries) if (issuer === name) this.#entries.delete(key);
  }

  get size(): number {
    return this.#entries.size;
  }
}
