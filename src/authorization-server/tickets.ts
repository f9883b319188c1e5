/** Codes and refresh tokens: the id of a grant and a MAC, so that forged ones cost no access to the store. */
import { isGrantId } from './records.js';
import type { Seals } from './seals.js';

const CODE = 'mcpa_';
const REFRESH = 'mcpr_';
const CODE_FORM = /^mcpa_([\w-]{38})\.([\w-]{43})$/;
const REFRESH_FORM = /^mcpr_([\w-]{38})\.([0-9a-z]{1,10})\.([\w-]{43})$/;

export class Tickets {
  readonly #seals: Seals;

  constructor(seals: Seals) {
    this.#seals = seals;
  }

  code(id: string): string {
    return `${CODE}${id}.${this.#seals.sign('code', id)}`;
  }

  /** The grant of a code; undefined: it is forged. */
  readCode(code: string): string | undefined {
    const [, id, mac] = CODE_FORM.exec(code) ?? [];
    if (id === undefined || mac === undefined || !isGrantId(id)) return undefined;
    return this.#seals.verify('code', id, mac) ? id : undefined;
  }

  /** `generation`: counts the refresh tokens of a grant. */
  refreshToken(id: string, generation: number): string {
    const body = `${id}.${generation.toString(36)}`;
    return `${REFRESH}${body}.${this.#seals.sign('refresh token', body)}`;
  }

  readRefreshToken(token: string): { readonly id: string; readonly generation: number } | undefined {
    const [, id, count, mac] = REFRESH_FORM.exec(token) ?? [];
    if (id === undefined || count === undefined || mac === undefined) return undefined;
    if (!this.#seals.verify('refresh token', `${id}.${count}`, mac)) return undefined;
    const generation = Number.parseInt(count, 36);
    return Number.isSafeInteger(generation) ? { id, generation } : undefined;
  }
}

/** Whether a token has the form of a refresh token. */
export function isRefreshToken(token: string): boolean {
  return token.startsWith(REFRESH);
}
