/** Principals as the configuration has them now: between the head of a request and the end of its body, a reload may come. */
import type { Authenticator } from '../auth/authenticate.js';
import { BARE } from '../auth/challenge.js';
import { GatewayError } from '../errors.js';
import type { Principal } from '../protocol/ports.js';

export class Vetted {
  #auth: Authenticator | undefined;
  /** Those that are as the authenticator has them. */
  #known = new WeakSet<Principal>();

  /** undefined: the credential of this principal is withdrawn. */
  current(principal: Principal, auth: Authenticator): Principal | undefined {
    if (auth !== this.#auth) {
      this.#auth = auth;
      this.#known = new WeakSet();
    }
    // The console key can be renewed, and a grant can end, without a reload.
    if (principal.kind === 'operator' || principal.grant !== undefined) return auth.current(principal);
    if (this.#known.has(principal)) return principal;
    const current = auth.current(principal);
    if (current) this.#known.add(current);
    return current;
  }
}

export function withdrawn(): GatewayError {
  const error = new GatewayError('unauthorized', 'unauthorized: the credential was withdrawn');
  error.challenge = BARE;
  return error;
}
