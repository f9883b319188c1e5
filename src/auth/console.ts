/** Who shows the console key, below `/-/`. Everywhere else it is a wrong credential. */
import { hasConsoleKeyForm } from '../lib/console-key.js';
import type { Logger } from '../observe/log.js';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Denied, Principal, Shown } from '../protocol/ports.js';
import { bearerToken } from './authenticate.js';
import { BARE } from './challenge.js';
import { Failures, RefusalLog } from './failures.js';
import { shortened } from './fingerprint.js';
import { isRepeated } from './headers.js';
import { bare } from './tokens.js';

export interface ConsoleAuthDeps {
  readonly log: Logger;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** SHA-256 of the key that is in force; undefined: there is none yet. */
  readonly digest: () => string | undefined;
  readonly verify: (key: string) => Promise<boolean>;
  /** The address that failures are counted by. */
  readonly address: (shown: Shown) => string;
  /** A credential was refused, for the audit log. */
  readonly refused: (reason: AuthFailureReason, shown: Shown, path: string) => void;
}

export class ConsoleAuth {
  readonly #deps: ConsoleAuthDeps;
  readonly #failures: Failures;
  readonly #log: RefusalLog;
  #operator: Principal | undefined;

  constructor(deps: ConsoleAuthDeps) {
    this.#deps = deps;
    this.#failures = new Failures(deps.now);
    this.#log = new RefusalLog(deps.log, deps.now);
  }

  /** undefined: the request shows no console key. The promise never rejects. */
  authenticate(shown: Shown, path: string): Promise<Principal | Denied> | undefined {
    const { authorization } = shown.headers;
    const token = authorization === undefined ? '' : bearerToken(authorization);
    if (!hasConsoleKeyForm(token)) return undefined;
    if (isRepeated(shown, 'authorization')) return Promise.resolve(this.failed(shown, path, 'bad_format'));
    return this.#deps.verify(token).then(
      (isRight) => (isRight ? this.#holder() : this.failed(shown, path, 'wrong_token')),
      () => this.failed(shown, path, 'wrong_token'),
    );
  }

  /** Whether a principal holds the key that is in force. */
  isCurrent({ credential }: Principal): boolean {
    const digest = this.#deps.digest();
    return digest !== undefined && credential === shortened(digest);
  }

  /** Counts a wrong key or ticket against its address, and returns the refusal. */
  failed(shown: Shown, path: string, reason: AuthFailureReason): Denied {
    const address = this.#deps.address(shown);
    const wait = this.#failures.wait(address);
    const refusal = wait > 0 ? 'too_many' : reason;
    this.#log.write({ reason: refusal, address });
    this.#deps.refused(refusal, shown, path);
    if (wait > 0) return { status: 429, reason: 'too_many', retryAfter: wait };
    this.#failures.add(address);
    return { status: 401, challenge: BARE, reason };
  }

  #holder(): Principal {
    const credential = shortened(this.#deps.digest() ?? '');
    if (this.#operator?.credential !== credential) this.#operator = bare('operator', 'operator', credential);
    return this.#operator;
  }
}
