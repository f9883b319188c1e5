/** Who may use the gateway: makes its authenticator, and sends the requests to issuers. */
import { createAuthenticator, type Authenticator, type AuthenticatorDeps } from '../auth/authenticate.js';
import type { Config } from '../config/types.js';
import type { Fetcher } from '../upstream/http/fetch-json.js';

export interface IdentitiesDeps extends Pick<AuthenticatorDeps, 'wheel' | 'log' | 'stats' | 'boundary'> {
  /** Names proxies and certificates. */
  readonly env: NodeJS.ProcessEnv;
}

export class Identities {
  readonly #deps: IdentitiesDeps;
  #fetcher: Fetcher | undefined;
  #closed = false;

  constructor(deps: IdentitiesDeps) {
    this.#deps = deps;
  }

  /**
   * The authenticator of a configuration. `previous`: the one that it replaces, which is closed. Throws an Error, and closes nothing, if the
   * configuration cannot be used.
   */
  authenticator({ mcp, http }: Config, previous?: Authenticator): Authenticator {
    const { env: _, ...deps } = this.#deps;
    const next = createAuthenticator(mcp.auth, {
      ...deps,
      now: () => Date.now(),
      fetch: async (request, signal) => (await this.#fetching()).fetch(request, signal),
      publicUrl: http.public_url,
      clientAuthorities: http.tls?.client_ca,
      previous,
    });
    previous?.close();
    return next;
  }

  close(): void {
    this.#closed = true;
    this.#fetcher?.close();
  }

  async #fetching(): Promise<Fetcher> {
    const { createFetcher } = await import('../upstream/http/fetch-json.js');
    if (this.#closed) throw new Error('closed');
    return (this.#fetcher ??= createFetcher(this.#deps.env, this.#deps.log));
  }
}
