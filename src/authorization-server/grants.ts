/**
 * The grants: what people have allowed to which clients. A grant begins with a code, goes on with refresh tokens that are used once each, and
 * ends with everything that was given for it. Changes of one grant happen one after the other, in all processes.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Logger } from '../observe/log.js';
import type { GrantView } from '../protocol/authorization-server.js';
import type { Endings } from './endings.js';
import { OAuthProblem, type OAuthErrorCode } from './problem.js';
import {
  grantIds,
  newGrantId,
  readGrant,
  recordKey,
  tagIn,
  tagOf,
  type GrantRecord,
  type Records,
  type StoredGrant,
} from './records.js';
import type { Tickets } from './tickets.js';

/** Why a grant has ended. */
export type GrantEnd =
  | 'revoked'
  | 'operator'
  | 'reused'
  | 'not_redeemed'
  | 'unused'
  | 'too_many'
  | 'provider'
  | 'not_allowed'
  | 'stale'
  | 'other_provider';

export interface GrantsDeps {
  readonly records: () => Promise<Records>;
  readonly tickets: Tickets;
  readonly endings: Endings;
  readonly log: Logger;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** The identity provider and the client there, of grants that count. */
  readonly provider: () => string;
  /** After how many milliseconds without use a grant ends. */
  readonly unusedMs: () => number;
  /** How long the access tokens that are given now may be accepted, in milliseconds. */
  readonly tokenMs: () => number;
  /** Whether the client of a grant may still have its answers there. */
  readonly isClient: (record: GrantRecord) => boolean;
  /** The id of the principal of a person. */
  readonly principalOf: (person: string) => string;
  /** Withdraws what the identity provider gave for a grant. Never rejects. */
  readonly withdraw: (record: GrantRecord) => Promise<void>;
  readonly ended: (id: string, record: GrantRecord, why: GrantEnd) => void;
}

/** What a client shows with a code. */
export interface Redemption {
  readonly clientId: string;
  readonly verifier: string;
  /** undefined: it was not sent. */
  readonly redirectUri: string | undefined;
  readonly resource: string | undefined;
}

/** What a client shows with a refresh token. */
export interface Renewal {
  readonly clientId: string;
  readonly resource: string | undefined;
  /** undefined: all. */
  readonly scopes: readonly string[] | undefined;
}

/** What the identity provider says now; `end`: the grant is over. */
export type Confirmed =
  | Partial<GrantRecord>
  /** `refresh`: what the identity provider has just given, and is to withdraw. */
  | { readonly end: GrantEnd; readonly refresh?: string | undefined };

export interface Renewed {
  readonly record: GrantRecord;
  readonly id: string;
  /** Of the refresh token that is given out. */
  readonly generation: number;
}

export const CODE_MS = 60_000;
/** How long the refresh token before the current one still works: its answer may have been lost. */
const GRACE_MS = 45_000;
const MOST_OF_A_PERSON = 50;
/** Longer than the request to the identity provider within it. */
const LOCK_MS = 60_000;
const SWEEP_MS = 3_600_000;
const VERIFIER = /^[\w.~-]{43,128}$/;

export class Grants {
  readonly #deps: GrantsDeps;
  /** Timers of codes that were not redeemed yet. */
  readonly #waiting = new Map<string, NodeJS.Timeout>();
  #size = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  /** The run after that. */
  #sweepingNext: Promise<void> | undefined;
  #closed = false;

  constructor(deps: GrantsDeps) {
    this.#deps = deps;
  }

  /** How many there are; other processes are counted every hour. */
  get size(): number {
    return Math.max(0, this.#size);
  }

  /** Ends what is over, now and every hour. Resolves after the first time. Never rejects. */
  async start(): Promise<void> {
    await this.sweep();
    if (this.#closed) return;
    this.#sweeper = setInterval(() => void this.sweep(), SWEEP_MS).unref();
  }

  /** Stores a grant, and returns its code. Rejects with a StateError if it cannot be written. */
  async create(
    draft: Omit<GrantRecord, 'generation' | 'rotated' | 'since' | 'used' | 'until'>,
  ): Promise<string> {
    const records = await this.#deps.records();
    const now = this.#deps.now();
    const tag = tagOf(draft.provider, draft.person.id);
    await this.#makeRoom(records, tag);
    const id = newGrantId(tag);
    const record: GrantRecord = {
      ...draft,
      ...{ generation: 0, rotated: now, since: now, used: now, until: now },
    };
    if (!(await records.put(recordKey(id), record, 0, { durable: true })))
      throw new Error('the id of a grant is taken');
    this.#size++;
    this.#expect(id);
    return this.#deps.tickets.code(id);
  }

  /** Exchanges a code. It works once: whoever shows it a second time ends the grant. Rejects with an OAuthProblem, or a StateError. */
  async redeem(code: string, shown: Redemption): Promise<Renewed> {
    const id = this.#deps.tickets.readCode(code);
    if (id === undefined)
      throw new OAuthProblem('invalid_grant', 'this code was not given here', { isGuess: true });
    return this.#alone(id, async (records) => {
      const stored = await readGrant(records, id);
      if (!stored) throw new OAuthProblem('invalid_grant', 'this code is over');
      const { record } = stored;
      if (record.challenge === undefined) {
        await this.#end(records, stored, 'reused');
        throw new OAuthProblem('invalid_grant', 'this code was used before: what was given for it has ended');
      }
      this.#redeemed(id);
      const why = this.#wrongIn(record, shown);
      if (why !== undefined) {
        await this.#end(records, stored, 'not_redeemed');
        throw new OAuthProblem(CODES[why] ?? 'invalid_grant', WRONG[why]);
      }
      const now = this.#deps.now();
      const times = { rotated: now, used: now, until: this.#until(record) };
      const next = { ...record, ...times, challenge: undefined, generation: 1 };
      await this.#write(records, stored, next);
      return { id, record: next, generation: 1 };
    });
  }

  /**
   * Exchanges a refresh token for the next one. `confirm` asks whether the person may still have it, and rejects if that cannot be found out:
   * nothing changes then. Rejects with an OAuthProblem, or a StateError.
   */
  async renew(
    token: string,
    shown: Renewal,
    confirm: (record: GrantRecord) => Promise<Confirmed>,
  ): Promise<Renewed> {
    const read = this.#deps.tickets.readRefreshToken(token);
    if (!read)
      throw new OAuthProblem('invalid_grant', 'this refresh token was not given here', { isGuess: true });
    const { id, generation } = read;
    return this.#alone(id, async (records) => {
      const stored = this.#deps.endings.has(id) ? undefined : await readGrant(records, id);
      if (!stored) throw hasEnded();
      const { record } = stored;
      this.#checkRenewal(record, shown);
      const now = this.#deps.now();
      if (now - record.used > this.#deps.unusedMs()) {
        await this.#end(records, stored, 'unused');
        throw new OAuthProblem('invalid_grant', 'this sign-in was not used for too long: sign in again');
      }
      if (record.provider !== this.#deps.provider()) {
        await this.#end(records, stored, 'other_provider');
        throw new OAuthProblem('invalid_grant', 'people sign in elsewhere now: sign in again');
      }
      const isBefore = generation === record.generation - 1;
      if (isBefore && now - record.rotated <= GRACE_MS) return { id, record, generation: record.generation };
      if (generation < record.generation) {
        await this.#end(records, stored, 'reused');
        throw new OAuthProblem('invalid_grant', 'this refresh token was used before: sign in again');
      }
      const confirmed = await confirm(record);
      // Whoever ended it meanwhile waits for the lock.
      if (this.#deps.endings.has(id)) throw hasEnded();
      if ('end' in confirmed) {
        const { end: why, refresh = record.refresh } = confirmed;
        await this.#end(records, { ...stored, record: { ...record, refresh } }, why);
        throw hasEnded(ENDED[why]);
      }
      const later = this.#deps.now();
      const times = { rotated: later, used: later, until: this.#until(record) };
      // A genuine token of a later generation: the store is an older copy.
      const next = { ...record, ...confirmed, ...times, generation: generation + 1 };
      await this.#write(records, stored, next);
      return { id, record: next, generation: next.generation };
    });
  }

  /** Ends a grant and returns whether there was one. Its access tokens end at once, also while the grant is being renewed. */
  async end(id: string, why: GrantEnd): Promise<boolean> {
    const found = await readGrant(await this.#deps.records(), id);
    if (!found) return false;
    await this.#endTokens(found);
    return this.#alone(id, async (records) => {
      const stored = await readGrant(records, id);
      if (stored) await this.#end(records, stored, why);
      return stored !== undefined;
    });
  }

  async get(id: string): Promise<GrantRecord | undefined> {
    return (await readGrant(await this.#deps.records(), id))?.record;
  }

  /** Those of a person, or all: the longest unused last. `person`: the id of a person at the identity provider. */
  async list(person?: string): Promise<GrantView[]> {
    const records = await this.#deps.records();
    const tag = person === undefined ? '' : tagOf(this.#deps.provider(), person);
    const found: GrantView[] = [];
    for await (const id of grantIds(records)) {
      if (!id.startsWith(tag)) continue;
      const stored = await readGrant(records, id);
      if (stored) found.push(this.#view(stored));
    }
    return found.sort((a, b) => b.used - a.used);
  }

  /**
   * Ends what is over: not redeemed, unused for too long, of another identity provider. Begins after a run that is under way, which may have
   * judged by another configuration. Never rejects.
   */
  sweep(): Promise<void> {
    if (this.#sweeping)
      return (this.#sweepingNext ??= this.#sweeping.then(() => {
        this.#sweepingNext = undefined;
        return this.sweep();
      }));
    this.#sweeping = this.#sweepAll()
      .catch((error: unknown) => {
        this.#deps.log.warn('the sign-ins cannot be read', { error: String(error) });
      })
      .finally(() => (this.#sweeping = undefined));
    return this.#sweeping;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#sweeper);
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  async #sweepAll(): Promise<void> {
    const records = await this.#deps.records();
    let count = 0;
    for await (const id of grantIds(records)) {
      if (this.#closed) return;
      const stored = await readGrant(records, id);
      if (!stored) continue;
      const why = this.#isOver(stored.record);
      if (why === undefined) count++;
      else await this.#endIf(id, (record) => this.#isOver(record));
    }
    this.#size = count;
  }

  #isOver({ challenge, since, used, provider }: GrantRecord): GrantEnd | undefined {
    const now = this.#deps.now();
    if (challenge !== undefined && now - since > CODE_MS) return 'not_redeemed';
    if (now - used > this.#deps.unusedMs()) return 'unused';
    return provider === this.#deps.provider() ? undefined : 'other_provider';
  }

  /** Erases the grant of a code that nobody redeems. */
  #expect(id: string): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      void this.#endIf(id, ({ challenge }) => (challenge === undefined ? undefined : 'not_redeemed')).catch(
        () => undefined,
      );
    }, CODE_MS + 1000).unref();
    this.#waiting.set(id, timer);
  }

  #redeemed(id: string): void {
    clearTimeout(this.#waiting.get(id));
    this.#waiting.delete(id);
  }

  async #endIf(id: string, reason: (record: GrantRecord) => GrantEnd | undefined): Promise<void> {
    await this.#alone(id, async (records) => {
      const stored = await readGrant(records, id);
      const why = stored && reason(stored.record);
      if (stored && why !== undefined) await this.#end(records, stored, why);
    });
  }

  #wrongIn(record: GrantRecord, shown: Redemption): keyof typeof WRONG | undefined {
    if (this.#deps.now() - record.since > CODE_MS) return 'late';
    if (shown.clientId !== record.client.id) return 'client';
    if (record.provider !== this.#deps.provider()) return 'provider';
    if (!this.#deps.isClient(record)) return 'registration';
    if (!isVerifier(shown.verifier, record.challenge ?? '')) return 'verifier';
    if (shown.redirectUri !== undefined && shown.redirectUri !== record.redirectUri) return 'redirect';
    if (shown.resource !== undefined && shown.resource !== record.resource) return 'resource';
    return undefined;
  }

  #checkRenewal(record: GrantRecord, { clientId, resource, scopes }: Renewal): void {
    if (record.challenge !== undefined || clientId !== record.client.id)
      throw new OAuthProblem('invalid_grant', 'this refresh token was given to another client');
    if (resource !== undefined && resource !== record.resource)
      throw new OAuthProblem('invalid_target', `this sign-in is for ${record.resource}`);
    if (scopes?.some((scope) => !record.scopes.includes(scope)) === true)
      throw new OAuthProblem('invalid_scope', 'more scopes than were allowed: sign in again');
    if (!this.#deps.isClient(record)) throw new OAuthProblem('invalid_client', WRONG.registration);
  }

  /** A person has few grants: those that were not used for longest end. */
  async #makeRoom(records: Records, tag: string): Promise<void> {
    const mine: string[] = [];
    for await (const id of grantIds(records)) if (tagIn(id) === tag) mine.push(id);
    if (mine.length < MOST_OF_A_PERSON) return;
    const stored = await Promise.all(mine.map((id) => readGrant(records, id)));
    const oldest = stored
      .filter((each) => each !== undefined)
      .sort((a, b) => a.record.used - b.record.used)
      .slice(0, mine.length - MOST_OF_A_PERSON + 1);
    for (const { id } of oldest) await this.end(id, 'too_many');
  }

  async #write(records: Records, stored: StoredGrant, next: GrantRecord): Promise<void> {
    if (!(await records.put(recordKey(stored.id), next, stored.version, { durable: true })))
      throw new OAuthProblem('temporarily_unavailable', 'the sign-in has just changed', { retryAfter: 1 });
  }

  async #end(records: Records, { id, record }: StoredGrant, why: GrantEnd): Promise<void> {
    this.#redeemed(id);
    // First its access tokens: what is left of it then can do nothing.
    await this.#endTokens({ id, record });
    await records.delete(recordKey(id));
    this.#size--;
    this.#deps.ended(id, record, why);
    if (record.refresh !== undefined && !(await this.#hasOthers(records, id)))
      await this.#deps.withdraw(record);
  }

  async #endTokens({ id, record }: Pick<StoredGrant, 'id' | 'record'>): Promise<void> {
    if (record.challenge === undefined)
      await this.#deps.endings.add(id, this.#until(record) - this.#deps.now());
  }

  /** Until when access tokens of a grant may be accepted: a reload may have made their life shorter since the last one. */
  #until({ until }: GrantRecord): number {
    return Math.max(until, this.#deps.now() + this.#deps.tokenMs());
  }

  /** Whether the person has another grant: some identity providers withdraw all of one client at once. */
  async #hasOthers(records: Records, id: string): Promise<boolean> {
    for await (const other of grantIds(records)) if (other !== id && tagIn(other) === tagIn(id)) return true;
    return false;
  }

  async #alone<T>(id: string, work: (records: Records) => Promise<T>): Promise<T> {
    const records = await this.#deps.records();
    const release = await records.lock(recordKey(id), LOCK_MS, AbortSignal.timeout(LOCK_MS));
    try {
      return await work(records);
    } finally {
      await release().catch(() => undefined);
    }
  }

  #view({ id, record }: StoredGrant): GrantView {
    const { client, person, redirectUri, resource, scopes, since, used } = record;
    return {
      id,
      person: this.#deps.principalOf(person.id),
      name: person.name,
      client: client.name,
      host: hostOf(redirectUri),
      resource,
      scopes,
      since,
      used,
    };
  }
}

const WRONG = {
  late: 'this code is over: it counts for a minute',
  client: 'this code was given to another client',
  verifier: 'code_verifier does not fit to the code_challenge of the request',
  redirect: 'redirect_uri is not that of the request',
  resource: 'resource is not that of the request',
  provider: 'people sign in elsewhere now: sign in again',
  registration: 'this client is not registered here any more: register again',
} as const;

/** Others: `invalid_grant`. */
const CODES: Partial<Record<keyof typeof WRONG, OAuthErrorCode>> = {
  resource: 'invalid_target',
  registration: 'invalid_client',
};

function hasEnded(text = 'this sign-in has ended: sign in again'): OAuthProblem {
  return new OAuthProblem('invalid_grant', text);
}

const ENDED: Partial<Record<GrantEnd, string>> = {
  provider: 'the identity provider has ended this sign-in: sign in again',
  not_allowed: 'this person may not use this gateway any more: ask its operator',
  stale: 'the identity provider has not confirmed this sign-in for 12 hours: sign in again',
};

function isVerifier(verifier: string, challenge: string): boolean {
  if (!VERIFIER.test(verifier)) return false;
  const digest = Buffer.from(createHash('sha256').update(verifier).digest('base64url'));
  const expected = Buffer.from(challenge);
  return digest.length === expected.length && timingSafeEqual(digest, expected);
}

/** Where the answer of a sign-in goes: the host of the redirect URI, or its scheme. */
export function hostOf(redirectUri: string): string {
  const { protocol, host } = new URL(redirectUri);
  return protocol === 'https:' || protocol === 'http:' ? host : protocol;
}
