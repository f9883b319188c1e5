/**
 * What the gateway itself shows to a server where each user has his own login: nothing. It finds out where users log in, once the server
 * asks.
 */
import { needsLogin } from '../errors.js';
import { singleFlight } from '../lib/single-flight.js';
import { readChallenge, type BearerChallenge } from '../protocol/challenge.js';
import type { CredentialRefusal } from '../protocol/credential.js';
import { authFailed, forbidden } from './credential-errors.js';
import type { ServerCredential } from './server-credential.js';
import type { Found } from './discovery.js';

export interface OpenCredentialDeps {
  readonly server: string;
  find(challenge: BearerChallenge | undefined, signal: AbortSignal): Promise<Found>;
  /** Throws a CredentialProblem if no login can work there. */
  checkRegistration(found: Found): void;
}

const NOTHING: readonly string[] = [];

export class OpenCredential implements ServerCredential {
  readonly stamp = 0;
  readonly headers = NOTHING;
  readonly secrets = NOTHING;
  readonly state = undefined;
  readonly missing = undefined;
  readonly grant = undefined;
  /** What the server asked for last. */
  challenge: BearerChallenge | undefined;
  readonly #deps: OpenCredentialDeps;
  readonly #finding = singleFlight(async (signal) => {
    this.#deps.checkRegistration(await this.#deps.find(this.challenge, signal));
  });

  constructor(deps: OpenCredentialDeps) {
    this.#deps = deps;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  async refused({ status, challenge }: CredentialRefusal): Promise<void> {
    const { server } = this.#deps;
    if (status === 403) throw forbidden(server);
    this.challenge = readChallenge(challenge);
    try {
      await this.#finding.call();
    } catch (error) {
      throw authFailed(server, error, { hasGrant: false, retryMs: 0 });
    }
    throw needsLogin(server, 'never');
  }

  onChange(): () => void {
    return () => undefined;
  }
}
