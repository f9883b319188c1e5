/** The authorization server of one server, once it was found. */
import type { OAuthServer } from '../config/types.js';
import { singleFlight } from '../lib/single-flight.js';
import { unlessAborted } from '../lib/within.js';
import type { Guard, GuardedFetch } from '../protocol/small-request.js';
import type { BearerChallenge } from '../protocol/challenge.js';
import { discover, type Found } from './discovery.js';
import { CredentialProblem } from './problem.js';

/** Where requests for the credentials of a server may go. */
export function guardOf({ auth, url, tls }: OAuthServer): Guard {
  const named = [
    url,
    auth.issuer,
    auth.idp?.issuer,
    typeof auth.metadata === 'string' ? auth.metadata : undefined,
  ];
  return {
    origins: new Set(named.filter((each) => each !== undefined).map((each) => new URL(each).origin)),
    allowHosts: auth.allow_hosts,
    isLoopback: auth.isLoopback,
    caFile: tls.ca_file,
  };
}

/** Where a login sends the browser: the host of the issuer, and that of the page where people log in, if it is another one. */
export function hostsOf({ server: { issuer, authorization_endpoint: page } }: Found): string[] {
  return [...new Set([issuer, page ?? issuer].map((url) => new URL(url).host))];
}

/** How long what was found is kept, and what is wrong: with what the server says, or with what answers just now. */
const FOUND_MS = 3_600_000;
const WRONG_MS = 300_000;
const TEMPORARY_MS = 5000;

interface Kept {
  readonly at: number;
  readonly ms: number;
  readonly for: string | undefined;
  readonly found: Found | CredentialProblem;
}

export class FoundServer {
  readonly #config: OAuthServer;
  readonly #fetch: GuardedFetch;
  readonly #now: () => number;
  readonly #flight = singleFlight((signal) => this.#find(signal));
  #challenge: BearerChallenge | undefined;
  #kept: Kept | undefined;

  constructor(config: OAuthServer, fetch: GuardedFetch, now: () => number) {
    this.#config = config;
    this.#fetch = fetch;
    this.#now = now;
  }

  /**
   * `since`: what was found before, in Unix time in ms, is looked for again. `isWanted`: somebody waits for it, so a failure is tried again.
   * Rejects with a CredentialProblem.
   */
  async get(
    challenge: BearerChallenge | undefined,
    { since = -Infinity, isWanted = false }: { readonly since?: number; readonly isWanted?: boolean },
    signal: AbortSignal,
  ): Promise<Found> {
    signal.throwIfAborted();
    const kept = this.#kept;
    if (kept && this.#isGood(kept) && kept.for === challenge?.resourceMetadata) {
      if (!(kept.found instanceof CredentialProblem)) {
        if (kept.at > since) return kept.found;
      } else if (!isWanted) throw kept.found;
    }
    this.#challenge = challenge;
    return unlessAborted(this.#flight.call(), signal);
  }

  #isGood({ at, ms }: Kept): boolean {
    const now = this.#now();
    return now >= at && now < at + ms;
  }

  async #find(signal: AbortSignal): Promise<Found> {
    const { url, auth } = this.#config;
    const challenge = this.#challenge;
    const keep = (found: Kept['found'], ms: number): void => {
      this.#kept = { at: this.#now(), ms, for: challenge?.resourceMetadata, found };
    };
    try {
      const deps = { fetch: this.#fetch, guard: guardOf(this.#config) };
      const found = await discover({ url, auth, challenge }, deps, signal);
      keep(found, FOUND_MS);
      return found;
    } catch (error) {
      if (error instanceof CredentialProblem) keep(error, error.kind === 'config' ? WRONG_MS : TEMPORARY_MS);
      throw error;
    }
  }
}
