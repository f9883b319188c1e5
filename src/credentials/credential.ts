/**
 * The token of one server: read from the state, shown to the server, renewed before it ends and when the server refuses it. Several gateways
 * and commands may share the state: whoever renews a token holds its lock, and looks first whether another one has.
 */
import type { OAuthConfig } from '../config/types.js';
import { GatewayError, needsLogin } from '../errors.js';
import { singleFlight } from '../lib/single-flight.js';
import { unlessAborted } from '../lib/within.js';
import type { Logger } from '../observe/log.js';
import type { CredentialState, TokenRefresh } from '../observe/stats.js';
import type { CredentialRefusal } from '../protocol/credential.js';
import type { LoginReason } from '../protocol/logins.js';
import { readChallenge, type BearerChallenge } from '../protocol/challenge.js';
import type { Client } from './client-authentication.js';
import { authFailed, freshRefused, lackingScopes, problemOf } from './credential-errors.js';
import { REFUSED_S, scopeRefused } from './credential-errors.js';
import type { Found } from './discovery.js';
import { isAmong, isRenewable, lockRecord, withTokens } from './grants.js';
import type { Grant, Records, RenewableGrant } from './grants.js';
import { HeldGrant } from './held-grant.js';
import type { Tokens } from './oauth.js';
import type { ServerCredential } from './server-credential.js';
import { CredentialProblem } from './problem.js';
import { LONGEST_TIMER_MS, LOOK_MS, WRONG_CLIENT_MS } from './renewal-times.js';
import { endOf, exactly, isOver, neededIn, renewalDue, waitAfter } from './renewal-times.js';
import type { RetryWait, Wait } from './renewal-times.js';

export interface CredentialDeps {
  readonly server: string;
  readonly auth: Pick<OAuthConfig, 'issuer' | 'scopes'>;
  /** Of its record. */
  readonly key: string;
  readonly records: () => Promise<Records>;
  /** Whether other processes may change the record. */
  readonly shared: boolean;
  readonly log: Logger;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** `since`: what was found before that is looked for again; Unix time in milliseconds. */
  find(challenge: BearerChallenge | undefined, since: number, signal: AbortSignal): Promise<Found>;
  /** Throws a CredentialProblem if no login can work there. */
  checkRegistration(found: Found): void;
  /** The client as it authenticates today. */
  client(grant: Grant, signal: AbortSignal): Promise<Client>;
  /** Asks for new tokens. */
  renew(grant: RenewableGrant, client: Client, signal: AbortSignal): Promise<Tokens>;
  /** Gets tokens without a person; undefined: only a login gives any. `scopes`: besides those of the challenge. */
  readonly obtain?: (
    challenge: BearerChallenge | undefined,
    scopes: readonly string[],
    signal: AbortSignal,
  ) => Promise<Grant>;
  /** The client is unknown to its authorization server. */
  forgetClient(client: Client): Promise<void>;
  readonly count: (result: TokenRefresh) => void;
}

export class OAuthCredential implements ServerCredential {
  readonly #deps: CredentialDeps;
  readonly #held: HeldGrant;
  readonly #heard = new Set<() => void>();
  readonly #closed = new AbortController();
  readonly #load = singleFlight(() => this.#held.reread());
  readonly #renewal = singleFlight((signal) => this.#renew(this.#untilClosed(signal)));
  readonly #recovery = singleFlight((signal) => this.#recover(this.#untilClosed(signal)));
  /** What the server asked for last. */
  challenge: BearerChallenge | undefined;
  /** Scopes that tokens without a person are to have besides, and those that the present one was asked for with. */
  #raised: readonly string[] = [];
  #asked: readonly string[] = [];
  /** The last failure of a renewal, how many failed in a row, and when the next one may begin. */
  #problem: CredentialProblem | undefined;
  #failures = 0;
  #wait: RetryWait | undefined;
  /** The token that was refused although it was fresh. */
  #barren: { readonly stamp: number; readonly wait: Wait } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: CredentialDeps) {
    this.#deps = deps;
    this.#held = new HeldGrant({
      ...deps,
      isMachine: deps.obtain !== undefined,
      changed: (isNews) => {
        this.#changed(isNews);
      },
    });
  }

  get stamp(): number {
    return this.#held.stamp;
  }

  get headers(): readonly string[] {
    return this.#held.headers;
  }

  get secrets(): readonly string[] {
    return this.#held.secrets;
  }

  get missing(): LoginReason | undefined {
    return this.#held.missing;
  }

  get login(): string | undefined {
    return this.grant?.login;
  }

  get grant(): Grant | undefined {
    return this.#held.grant;
  }

  get state(): CredentialState | undefined {
    if (this.missing !== undefined) return 'login_required';
    if (this.#renewal.running) return 'refreshing';
    if (this.#problem) return 'failing';
    return this.grant ? 'valid' : undefined;
  }

  /** Whether somebody waits for its changes. */
  get isHeard(): boolean {
    return this.#heard.size > 0;
  }

  /** Every scope that was asked for at an issuer. */
  asked(issuer: string): readonly string[] {
    return this.#held.asked(issuer);
  }

  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await unlessAborted(this.#ready(), signal);
  }

  async #ready(): Promise<void> {
    if (!this.#held.isLoaded || this.#deps.shared)
      await this.#load.call().catch((error: unknown) => {
        if (!this.grant) throw this.#failed(error);
      });
    if (this.missing !== undefined) throw this.#loginRequired(this.missing);
    if (this.grant ? !this.#held.lives() : this.#deps.obtain) await this.#renewOrThrow();
  }

  async refused({ status, challenge, stamp, times }: CredentialRefusal): Promise<void> {
    if (this.#closed.signal.aborted) throw this.#failed(new Error('is not in use any more'));
    if (stamp !== this.stamp) return;
    const read = readChallenge(challenge);
    if (status === 403) return this.#lacksScopes(read);
    this.challenge = read;
    if (this.#barren?.stamp === stamp && !isOver(this.#barren.wait, this.#deps.now()))
      throw freshRefused(this.#deps.server);
    if (times > 0) await this.#stillRefused();
    if (stamp === this.stamp) await this.#recovery.call();
  }

  onChange(heard: () => void): () => void {
    this.#heard.add(heard);
    this.#schedule();
    return () => {
      this.#heard.delete(heard);
      if (this.#heard.size === 0) clearTimeout(this.#timer);
    };
  }

  /** The record has changed: somebody has logged in or out. */
  async reload(): Promise<void> {
    // A read that is under way may be older than the change.
    if (this.#load.running) await this.#load.call().catch(() => undefined);
    await this.#load.call();
  }

  /** A request for tokens that is under way goes on: its answer may be the only one that is good, and is stored. */
  close(): void {
    this.#heard.clear();
    clearTimeout(this.#timer);
    const closed = new Error('is not in use any more');
    this.#closed.abort(closed);
    this.#renewal.cancel(closed);
    this.#recovery.cancel(closed);
  }

  #untilClosed(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closed.signal]);
  }

  #changed(isNews: boolean): void {
    const wasFailing = this.#problem !== undefined || this.#barren !== undefined;
    this.#problem = undefined;
    this.#failures = 0;
    this.#wait = undefined;
    if (this.#barren?.stamp !== this.stamp) this.#barren = undefined;
    if (isNews || wasFailing) this.#tell();
    this.#schedule();
  }

  #tell(): void {
    for (const heard of [...this.#heard]) {
      try {
        heard();
      } catch (error) {
        const { server, log } = this.#deps;
        log.error('a change of a credential was not taken up', { server, error: String(error) });
      }
    }
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#heard.size === 0 || this.#closed.signal.aborted) return;
    const ms = this.#due();
    if (ms === undefined) return;
    const act = (): void => {
      if (ms > LONGEST_TIMER_MS) return this.#schedule();
      const again = (): void => {
        this.#schedule();
      };
      const isRenewal = this.missing === undefined && this.grant;
      void (isRenewal ? this.#renewal : this.#load).call().then(again, again);
    };
    this.#timer = setTimeout(act, Math.min(ms, LONGEST_TIMER_MS)).unref();
  }

  /** When there is something to do next, in ms; undefined: never. */
  #due(): number | undefined {
    const { shared, now, obtain } = this.#deps;
    const { grant, missing } = this.#held;
    if (!grant) return shared && missing !== undefined ? LOOK_MS : undefined;
    if (grant.expiresAt === undefined || (grant.refresh === undefined && !obtain)) return undefined;
    return renewalDue(grant, this.#wait, now());
  }

  /** Renews, and rejects with what a call is answered. */
  async #renewOrThrow(): Promise<void> {
    if (this.#problem && neededIn(this.#wait, this.#deps.now()) > 0) throw this.#failed(this.#problem);
    try {
      await this.#renewal.call();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** The server has refused the token that is shown. */
  async #recover(signal: AbortSignal): Promise<void> {
    const { stamp } = this;
    const { shared, obtain } = this.#deps;
    // A renewal reads it once more, under the lock.
    if (shared) await this.#load.call().catch(() => undefined);
    const grant = this.grant;
    if (this.stamp !== stamp) {
      if (grant) return;
      if (!obtain) throw this.#loginRequired(this.missing ?? 'revoked');
    }
    if (grant?.refresh === undefined && !obtain) return this.#findOut(grant, signal);
    if (this.#held.endNow()) this.#wait = undefined;
    try {
      await this.#renewOrThrow();
    } catch (error) {
      if (!grant || this.missing !== 'revoked') throw error;
      const hasMoved = await this.#hasMoved(grant, signal);
      // Somebody may have logged in meanwhile.
      if (this.grant) return;
      if (!hasMoved) throw error;
      this.#held.lose('issuer_changed');
      throw this.#loginRequired('issuer_changed');
    }
  }

  /** Finds the authorization server that a login is needed at. Rejects, unless somebody has logged in meanwhile. */
  async #findOut(old: Grant | undefined, signal: AbortSignal): Promise<void> {
    let found: Found;
    try {
      found = await this.#deps.find(this.challenge, old ? this.#since(old) : 0, signal);
      this.#deps.checkRegistration(found);
    } catch (error) {
      throw this.#failed(error);
    }
    if (this.grant !== old) return;
    if (old) return this.#end(isAmong(old, found) ? 'revoked' : 'issuer_changed', signal);
    const reason = this.missing ?? 'never';
    if (this.missing === undefined) this.#held.lose(reason);
    throw this.#loginRequired(reason);
  }

  /** What was found in the last minute counts, if it was found after the token was obtained. */
  #since(grant: Grant): number {
    return Math.max(grant.obtainedAt, this.#deps.now() - REFUSED_S * 1000);
  }

  /** Whether the server names another authorization server than that of the grant. */
  async #hasMoved(grant: Grant, signal: AbortSignal): Promise<boolean> {
    try {
      return !isAmong(grant, await this.#deps.find(this.challenge, this.#since(grant), signal));
    } catch {
      return false;
    }
  }

  /** The server refuses a token that was just obtained. Rejects, unless there is another one meanwhile. */
  async #stillRefused(): Promise<void> {
    const { stamp, grant } = this;
    if (!grant) return;
    const hasMoved = await this.#hasMoved(grant, this.#closed.signal);
    if (this.stamp !== stamp) return;
    if (hasMoved && !this.#deps.obtain) return this.#end('issuer_changed', this.#closed.signal);
    this.#barren = { stamp, wait: { from: this.#deps.now(), ms: REFUSED_S * 1000 } };
    throw freshRefused(this.#deps.server);
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { key, records, obtain, count } = this.#deps;
    let release: () => Promise<void>;
    try {
      release = await lockRecord(await records(), key, signal);
    } catch (error) {
      signal.throwIfAborted();
      return this.#notRenewed(error);
    }
    try {
      const { stamp } = this;
      const base = await this.#held.reread();
      // Somebody else has done it.
      if (this.stamp !== stamp && this.#held.lives()) return count('shared');
      const grant = this.grant;
      if (!grant && !obtain) throw this.#loginRequired(this.missing ?? 'revoked');
      signal.throwIfAborted();
      // From here on nothing aborts: the old token may be used up already. Every request has its time-out.
      const whole = new AbortController().signal;
      const raised = this.#raised;
      const next = obtain
        ? await obtain(this.challenge, raised, whole)
        : await this.#exchanged(grant as Grant, whole);
      this.#asked = raised;
      await this.#keep(next, base);
    } catch (error) {
      if (error instanceof GatewayError || (signal.aborted && error === signal.reason)) throw error;
      await this.#notRenewed(error);
    } finally {
      await release().catch(() => undefined);
    }
  }

  async #exchanged(grant: Grant, signal: AbortSignal): Promise<Grant> {
    const deps = this.#deps;
    if (!isRenewable(grant)) throw new CredentialProblem('login', 'the login cannot be renewed');
    const client = await deps.client(grant, signal);
    return withTokens(grant, await deps.renew(grant, client, signal), deps.now());
  }

  async #keep(next: Grant, base: number): Promise<void> {
    const { server, count, log } = this.#deps;
    let isUsed = true;
    try {
      isUsed = await this.#held.replace(next, base);
    } catch (error) {
      log.warn('a token is in memory alone: the state cannot be written', { server, error: String(error) });
    }
    count(isUsed ? 'success' : 'shared');
    if (!this.grant) throw this.#loginRequired(this.missing ?? 'revoked');
  }

  /** Records why a renewal failed. Rejects, unless somebody has logged in meanwhile. */
  async #notRenewed(error: unknown): Promise<void> {
    const { server, obtain, count, log, now } = this.#deps;
    const problem = problemOf(error);
    const grant = this.grant;
    const isWrongClient = problem.code === 'invalid_client';
    const isUnknownClient = isWrongClient && grant?.client.kind === 'registered';
    if (!obtain && grant && (problem.kind === 'login' || isUnknownClient)) {
      count('denied');
      if (isUnknownClient) await this.#deps.forgetClient(grant.client).catch(() => undefined);
      // Some servers refuse early: the token is used to its end.
      const end = endOf(grant);
      if (end !== undefined && end > now()) {
        this.#failures++;
        return this.#failedWith(problem, exactly(now(), end - now()));
      }
      log.warn('a login is over: somebody has to log in again', { server, error: problem.message });
      return this.#endLocked('revoked');
    }
    count('error');
    const atLeastMs = isWrongClient ? WRONG_CLIENT_MS : (problem.retryAfterMs ?? 0);
    const isKnown = this.#problem?.message === problem.message && problem.lookMs !== undefined;
    const wait =
      problem.lookMs === undefined
        ? waitAfter(now(), ++this.#failures, atLeastMs)
        : exactly(now(), problem.lookMs);
    if (!isKnown)
      log.warn('a token was not renewed', { server, error: problem.message, tries: this.#failures });
    this.#failedWith(problem, wait);
  }

  #failedWith(problem: CredentialProblem, wait: RetryWait): never {
    this.#problem = problem;
    this.#wait = wait;
    // A call may have caused the attempt: the timer of the one before is too early.
    this.#schedule();
    throw problem;
  }

  /** Erases the login. Rejects, unless somebody has logged in meanwhile. */
  async #end(reason: LoginReason, signal: AbortSignal): Promise<void> {
    const { records, key } = this.#deps;
    const release = await lockRecord(await records(), key, signal);
    try {
      await this.#endLocked(reason);
    } finally {
      await release().catch(() => undefined);
    }
  }

  async #endLocked(reason: LoginReason): Promise<void> {
    const { server, log } = this.#deps;
    try {
      if (!(await this.#held.erase())) return;
    } catch (error) {
      log.warn('a login that is over was not erased', { server, error: String(error) });
    }
    if (this.missing === undefined) this.#held.lose(reason);
    throw this.#loginRequired(this.missing ?? reason);
  }

  /** Resolves once there is a token with more scopes. */
  async #lacksScopes(challenge: BearerChallenge | undefined): Promise<void> {
    const { server, obtain, auth } = this.#deps;
    const granted = this.grant?.scopes ?? [];
    const lacking = lackingScopes(server, challenge, granted);
    const wanted = challenge?.scopes ?? [];
    if (!obtain) {
      this.challenge = challenge;
      throw needsLogin(server, 'scopes', wanted);
    }
    // Each once: the authorization server does not give what it was asked for.
    const wereAsked = (): boolean => lacking.every((scope) => this.#asked.includes(scope));
    if (auth.scopes !== undefined || wereAsked()) throw scopeRefused(server, wanted, false);
    this.#raised = [...new Set([...this.#raised, ...granted, ...lacking])];
    // One that is under way may have begun without them.
    if (this.#renewal.running) await this.#renewal.call().catch(() => undefined);
    if (!wereAsked()) await this.#renewOrThrow();
  }

  #loginRequired(reason: LoginReason): GatewayError {
    return needsLogin(this.#deps.server, reason);
  }

  #failed(error: unknown): GatewayError {
    const retryMs = neededIn(this.#wait, this.#deps.now());
    return authFailed(this.#deps.server, error, { hasGrant: this.grant !== undefined, retryMs });
  }
}
