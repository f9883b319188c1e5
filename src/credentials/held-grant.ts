/** The grant of a credential as this process knows it, and the header that it gives. */
import type { OAuthConfig } from '../config/types.js';
import type { LoginReason } from '../protocol/logins.js';
import { isSame } from './discovery.js';
import { readGrant, type Grant, type Records } from './grants.js';
import { endOf } from './renewal-times.js';

interface HeldGrantDeps {
  readonly auth: Pick<OAuthConfig, 'issuer'>;
  /** Of the record. */
  readonly key: string;
  readonly records: () => Promise<Records>;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** Whether new tokens need no person. */
  readonly isMachine: boolean;
  /** Called after each change. `isNews`: who waits for a login, or relied on one, is to hear of it. */
  changed(isNews: boolean): void;
}

const NONE: readonly string[] = [];

export class HeldGrant {
  stamp = 0;
  headers: readonly string[] = NONE;
  secrets: readonly string[] = NONE;
  isLoaded = false;
  /** Why a login is missing. */
  missing: LoginReason | undefined;
  readonly #deps: HeldGrantDeps;
  #grant: Grant | undefined;
  /** Of the record that was taken last, also if it has ended since; 0: none was. */
  #generation = 0;
  /** Counts changes, so that a record that was read before one does not undo it. */
  #changes = 0;
  /** The grant that has ended. */
  #before: Grant | undefined;

  constructor(deps: HeldGrantDeps) {
    this.#deps = deps;
  }

  get grant(): Grant | undefined {
    return this.#grant;
  }

  /** Every scope that was asked for at an issuer. */
  asked(issuer: string): readonly string[] {
    const { server, asked } = this.#grant ?? this.#before ?? {};
    return server?.issuer === issuer && asked ? asked : NONE;
  }

  lives(): boolean {
    return this.#grant !== undefined && (endOf(this.#grant) ?? Infinity) > this.#deps.now();
  }

  /** Takes what is stored, if it is something else than what was taken before. Returns its generation; 0: there is none. */
  async reread(): Promise<number> {
    for (let tries = 0; ; tries++) {
      const changes = this.#changes;
      const records = await this.#deps.records();
      const stored = await readGrant(records, this.#deps.key);
      const isDamaged = !stored && (await records.isDamaged(this.#deps.key));
      if (changes !== this.#changes && tries < 8) continue;
      this.isLoaded = true;
      // A token that needs no person is good as long as it lives, also where its record is lost.
      if (!stored && this.#deps.isMachine && this.#grant) return 0;
      if (isDamaged && this.missing === undefined) this.lose('unreadable');
      else if (!stored && this.#grant && this.#generation !== 0) this.lose('revoked');
      if (stored && stored.generation !== this.#generation) this.#take(stored.grant, stored.generation);
      return stored?.generation ?? 0;
    }
  }

  #take(grant: Grant, generation: number): void {
    const { issuer } = this.#deps.auth;
    if (issuer === undefined || isSame(grant.server.issuer, issuer)) return this.show(grant, generation);
    this.#generation = generation;
    this.lose('issuer_changed');
  }

  show(grant: Grant, generation: number): void {
    const old = this.#grant;
    this.#changes++;
    this.#grant = grant;
    this.#generation = generation;
    this.missing = undefined;
    // The token before may still come back in what a server answers.
    const shown = [grant.access, grant.refresh, old?.access];
    this.secrets = shown.filter((each) => each !== undefined);
    if (grant.access !== old?.access) {
      this.stamp++;
      this.headers = ['authorization', `Bearer ${grant.access}`];
    }
    this.#deps.changed(!old || grant.scopes.join(' ') !== old.scopes.join(' '));
  }

  /** There is no token any more. */
  lose(reason: LoginReason): void {
    const isNews = this.headers !== NONE;
    this.#changes++;
    this.#before = this.#grant ?? this.#before;
    this.#grant = undefined;
    this.missing = this.#deps.isMachine ? undefined : reason;
    if (isNews) {
      this.stamp++;
      this.headers = NONE;
      this.secrets = NONE;
    }
    this.#deps.changed(isNews);
  }

  /** Whatever its end was, the token is not accepted any more. Returns whether that is new. */
  endNow(): boolean {
    if (!this.#grant || this.#grant.expiresAt === 0) return false;
    this.#grant = { ...this.#grant, expiresAt: 0 };
    return true;
  }

  /**
   * Stores new tokens in place of the record of generation `base`, then shows them. Returns whether they count: somebody may have logged in
   * or out meanwhile. Rejects if the state cannot be written; they are shown all the same.
   */
  async replace(next: Grant, base: number): Promise<boolean> {
    const { records, key, isMachine } = this.#deps;
    let generation = base;
    try {
      const state = await records();
      if (await state.put(key, next, base)) generation = (await readGrant(state, key))?.generation ?? base;
      else if (!isMachine) {
        await this.reread();
        return false;
      }
    } catch (error) {
      this.show(next, base);
      throw error;
    }
    this.show(next, generation);
    return true;
  }

  /** Erases the record unless it is another one than that which was taken: this is taken then. Returns whether it was erased. */
  async erase(): Promise<boolean> {
    const { records, key } = this.#deps;
    const state = await records();
    const stored = await readGrant(state, key);
    if (stored && stored.generation !== this.#generation) {
      this.#take(stored.grant, stored.generation);
      return this.#grant === undefined;
    }
    await state.delete(key);
    return true;
  }
}
