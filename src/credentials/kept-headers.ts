/** Headers that a file or a command gives: kept, obtained again when they are due and when the server refuses them. */
import { singleFlight } from '../lib/single-flight.js';
import { unlessAborted } from '../lib/within.js';
import type { Logger } from '../observe/log.js';
import type { CredentialState } from '../observe/stats.js';
import { readChallenge } from '../protocol/challenge.js';
import type { Credential, CredentialRefusal } from '../protocol/credential.js';
import { authFailed, forbidden, problemOf, scopeRefused } from './credential-errors.js';
import type { CredentialProblem } from './problem.js';
import { isOver, neededIn, waitAfter, type RetryWait, type Wait } from './renewal-times.js';

export interface Obtained {
  /** Names in lower case and values, in turn. */
  readonly headers: readonly string[];
  readonly secrets: readonly string[];
  /** How long they are used, in ms; undefined: until they are refused. */
  readonly lifeMs: number | undefined;
}

export interface HeaderSource {
  /** Rejects with an Error whose message says what failed, and holds no secret. */
  obtain(signal: AbortSignal): Promise<Obtained>;
  /** How often they are obtained again while a connection uses them, in ms; undefined: at the end of their life. */
  readonly lookMs: number | undefined;
}

export interface KeptHeadersDeps {
  readonly server: string;
  readonly source: HeaderSource;
  readonly log: Logger;
  /** Unix time in milliseconds. */
  readonly now: () => number;
}

/** Refusals make the source be asked at most this often. */
const PAUSE_MS = 10_000;
const NONE: readonly string[] = [];

export class KeptHeaders implements Credential {
  stamp = 0;
  headers: readonly string[] = NONE;
  secrets: readonly string[] = NONE;
  readonly #deps: KeptHeadersDeps;
  readonly #heard = new Set<() => void>();
  readonly #closed = new AbortController();
  readonly #flight = singleFlight((signal) => this.#obtain(AbortSignal.any([signal, this.#closed.signal])));
  #life: Wait | undefined;
  /** The server has refused what is kept. */
  #isRefused = false;
  /** When a refusal last asked the source. */
  #asked: Wait | undefined;
  #problem: CredentialProblem | undefined;
  #failures = 0;
  /** After a failure. */
  #wait: RetryWait | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: KeptHeadersDeps) {
    this.#deps = deps;
  }

  get state(): CredentialState | undefined {
    if (this.#flight.running) return 'refreshing';
    if (this.#problem) return 'failing';
    return this.headers === NONE ? undefined : 'valid';
  }

  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#life && this.#isUsable()) return;
    if (this.#problem && neededIn(this.#wait, this.#deps.now()) > 0) return this.#without(this.#problem);
    try {
      await unlessAborted(this.#flight.call(), signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#without(error);
    }
  }

  async refused({ status, challenge, stamp, times }: CredentialRefusal): Promise<void> {
    const { server, now } = this.#deps;
    if (stamp !== this.stamp) return;
    if (status === 403) {
      const read = readChallenge(challenge);
      throw read?.error === 'insufficient_scope'
        ? scopeRefused(server, read.scopes ?? [], false)
        : forbidden(server);
    }
    this.#isRefused = true;
    if (!this.#flight.running) {
      // What was just obtained is refused, or a refusal asked a moment ago.
      if (times > 0 || (this.#asked && !isOver(this.#asked, now()))) return;
      this.#asked = { from: now(), ms: PAUSE_MS };
    }
    try {
      await this.#flight.call();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  onChange(heard: () => void): () => void {
    this.#heard.add(heard);
    if (this.#heard.size === 1) this.#schedule();
    return () => {
      this.#heard.delete(heard);
      if (this.#heard.size === 0) clearTimeout(this.#timer);
    };
  }

  close(): void {
    this.#closed.abort(new Error('closed'));
    clearTimeout(this.#timer);
    this.#heard.clear();
  }

  #isUsable(): boolean {
    if (this.headers === NONE || this.#isRefused) return false;
    return this.#life === undefined || !isOver(this.#life, this.#deps.now());
  }

  /** A connection can be opened with what is kept, or not at all. */
  #without(error: unknown): void {
    if (!this.#isUsable()) throw this.#failed(error);
  }

  #failed(error: unknown): Error {
    const { server, now } = this.#deps;
    return authFailed(server, error, { hasGrant: false, retryMs: neededIn(this.#wait, now()) });
  }

  async #obtain(signal: AbortSignal): Promise<void> {
    const { server, source, log, now } = this.#deps;
    try {
      this.#take(await source.obtain(signal));
    } catch (error) {
      signal.throwIfAborted();
      const before = this.#problem?.message;
      this.#problem = problemOf(error);
      this.#wait = waitAfter(now(), ++this.#failures, 0);
      if (before !== this.#problem.message)
        log.warn('the headers for a server were not obtained', { server, error: this.#problem.message });
      throw this.#problem;
    } finally {
      this.#schedule();
    }
  }

  #take({ headers, secrets, lifeMs }: Obtained): void {
    this.#problem = undefined;
    this.#wait = undefined;
    this.#failures = 0;
    this.#isRefused = false;
    this.#life = lifeMs === undefined ? undefined : { from: this.#deps.now(), ms: lifeMs };
    const isSame =
      headers.length === this.headers.length && headers.every((each, i) => each === this.headers[i]);
    if (isSame) return;
    // Those before may still come back in what the server answers.
    this.secrets = [...new Set([...secrets, ...this.#current])];
    this.#current = secrets;
    this.headers = headers;
    this.stamp++;
    for (const heard of [...this.#heard]) heard();
  }

  #current: readonly string[] = NONE;

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#heard.size === 0 || this.#closed.signal.aborted || this.headers === NONE) return;
    const ms = this.#due();
    if (ms === undefined) return;
    this.#timer = setTimeout(() => {
      // It says itself what failed.
      this.#flight.call().catch(() => undefined);
    }, ms).unref();
  }

  /** When it is obtained again, in ms from now; undefined: when a connection needs it. */
  #due(): number | undefined {
    const { source, now } = this.#deps;
    if (source.lookMs !== undefined) return source.lookMs;
    const wait = this.#wait ?? this.#life;
    return wait && Math.max(wait.from + wait.ms - now(), 0);
  }
}
