/** Who may use the gateway, and what: makes its authenticator and its rules, and sends the requests to issuers. */
import { createAuthenticator, type AuthenticatorDeps } from '../auth/authenticate.js';
import type { Config } from '../config/types.js';
import { createAccess } from '../policy/access.js';
import type { Runtime } from '../proxy/runtime.js';
import type { SmallFetch } from '../protocol/small-request.js';
import type { Fetcher } from '../upstream/http/fetch-json.js';

export interface IdentitiesDeps extends Pick<
  AuthenticatorDeps,
  'wheel' | 'log' | 'stats' | 'boundary' | 'isOperator' | 'own'
> {
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
   * What a configuration says about access. `old`: the one that it replaces, whose authenticator is closed. Throws an Error, and closes
   * nothing, if the configuration cannot be used.
   */
  runtime(config: Config, old?: Runtime): Runtime {
    const access = createAccess(config, old?.access);
    const { env: _, ...deps } = this.#deps;
    const auth = createAuthenticator(config.mcp.auth, {
      ...deps,
      now: () => Date.now(),
      fetch: this.fetch,
      publicUrl: config.http.public_url,
      clientAuthorities: config.http.tls?.client_ca,
      previous: old?.auth,
    });
    old?.auth.close();
    return { config, auth, access };
  }

  /** Sends a small request, through the proxies of the environment. */
  readonly fetch: SmallFetch = async (request, signal) => (await this.#fetching()).fetch(request, signal);

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
