/** Tokens of callers that other replicas have verified, and sent with requests, for servers that get a token in exchange. */
import type { Principal, ShownToken } from '../protocol/principal.js';

/** Tokens that are remembered, at the most; the least recently shown goes first. */
const MOST = 10_000;

interface Kept {
  readonly principal: Principal;
  readonly token: ShownToken;
}

export class ShownTokens {
  readonly #accepts: (principal: Principal) => boolean;
  readonly #now: () => number;
  /** By the id of their principal. */
  readonly #kept = new Map<string, Kept>();

  /** `accepts`: whether the credential of a principal counts. `now`: Unix milliseconds. */
  constructor(accepts: (principal: Principal) => boolean, now: () => number = Date.now) {
    this.#accepts = accepts;
    this.#now = now;
  }

  /** The token that counts longest is kept. */
  note(principal: Principal, token: ShownToken): void {
    const { id } = principal;
    const kept = this.#kept.get(id);
    if (kept && endOf(kept.token) > endOf(token) && this.shownBy(id)) return;
    this.#kept.delete(id);
    this.#kept.set(id, { principal, token });
    if (this.#kept.size > MOST) this.#kept.delete(this.#kept.keys().next().value as string);
  }

  /** undefined: no replica has sent one that counts now. */
  shownBy(principal: string): ShownToken | undefined {
    const kept = this.#kept.get(principal);
    if (!kept) return undefined;
    if (endOf(kept.token) > this.#now() && this.#accepts(kept.principal)) return kept.token;
    this.#kept.delete(principal);
    return undefined;
  }
}

function endOf({ expires = Infinity }: ShownToken): number {
  return expires;
}
