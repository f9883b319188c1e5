/** Links to logins that were offered to callers. An offer costs nothing until somebody goes on with it. */
import { randomBytes } from 'node:crypto';
import type { LoginAsk, LoginAttempt } from '../protocol/logins.js';

const LIFE_MS = 600_000;
/** An offer that is about to end is not given to another call. */
const FRESH_MS = 60_000;
/** Offers at a time; more replace the oldest. */
const MOST = 1000;
/** Offers to one principal at a time, and those of them for one server, which names the scopes. */
const MOST_EACH = 50;
const MOST_OF_SERVER = 10;

/** What somebody is offered. */
export interface Offer extends LoginAsk {
  readonly id: string;
  /** The id and the name of the principal who got the link. */
  readonly principal: string;
  readonly name: string;
  /** Unix time in milliseconds. */
  readonly expires: number;
}

interface Kept {
  readonly key: string;
  readonly shown: Offer;
  /** The login was missing when it was offered. */
  readonly wasMissing: boolean;
  isDone: boolean;
  attempt: LoginAttempt | undefined;
  /** A login that begins. */
  beginning: Promise<LoginAttempt> | undefined;
  readonly waiting: Set<() => void>;
}

export interface OffersDeps {
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** Whether a login is missing now, or there is one. undefined: nothing is known. */
  readonly stateOf: (server: string, owner: string) => 'missing' | 'there' | undefined;
  /** Calls `heard` when the state of a login may have changed. Returns the end of that. */
  readonly watch: (server: string, owner: string, heard: () => void) => () => void;
}

export class Offers {
  readonly #deps: OffersDeps;
  readonly #byId = new Map<string, Kept>();
  readonly #byKey = new Map<string, Kept>();

  constructor(deps: OffersDeps) {
    this.#deps = deps;
  }

  /** The same offer while it holds, for the same server, owner, principal and scopes. */
  offer(wanted: Omit<Offer, 'id' | 'expires'>): Offer {
    const { server, owner, principal } = wanted;
    const key = JSON.stringify([server, owner, principal, [...wanted.scopes].sort()]);
    const now = this.#deps.now();
    const known = this.#byKey.get(key);
    if (known && !this.#isDone(known) && known.shown.expires >= now + FRESH_MS) return known.shown;
    this.#makeRoom(principal, server);
    const kept: Kept = {
      key,
      shown: { ...wanted, id: randomBytes(16).toString('base64url'), expires: now + LIFE_MS },
      wasMissing: this.#deps.stateOf(server, owner) === 'missing',
      isDone: false,
      attempt: undefined,
      beginning: undefined,
      waiting: new Set(),
    };
    this.#byId.set(kept.shown.id, kept);
    this.#byKey.set(key, kept);
    return kept.shown;
  }

  /** undefined: there is none with this id, or its time is over. */
  find(id: string): Offer | undefined {
    return this.#valid(id)?.shown;
  }

  /** Whether the login was made since; undefined: there is no such offer. */
  isDone(id: string): boolean | undefined {
    const kept = this.#valid(id);
    return kept && this.#isDone(kept);
  }

  /**
   * The login of an offer: one at a time, however often somebody goes on. `isOpen`: whether a login of before can still be used. Rejects with
   * what `begin` rejects with.
   */
  async attempt(
    id: string,
    isOpen: (attempt: LoginAttempt) => Promise<boolean>,
    begin: () => Promise<LoginAttempt>,
  ): Promise<LoginAttempt | undefined> {
    const kept = this.#valid(id);
    if (!kept) return undefined;
    kept.beginning ??= this.#begin(kept, isOpen, begin);
    try {
      return await kept.beginning;
    } finally {
      kept.beginning = undefined;
    }
  }

  async #begin(
    kept: Kept,
    isOpen: (attempt: LoginAttempt) => Promise<boolean>,
    begin: () => Promise<LoginAttempt>,
  ): Promise<LoginAttempt> {
    const { attempt } = kept;
    return attempt && (await isOpen(attempt)) ? attempt : (kept.attempt = await begin());
  }

  /** Somebody has logged in. */
  loggedIn(server: string, owner: string): void {
    for (const kept of this.#byId.values()) {
      if (kept.shown.server !== server || kept.shown.owner !== owner) continue;
      kept.isDone = true;
      tell(kept);
    }
  }

  /** Whether the login was made; waits until it is, until the offer is over, or until the signal aborts. */
  async done(id: string, signal: AbortSignal): Promise<boolean> {
    const kept = this.#valid(id);
    if (!kept) return false;
    const { server, owner, expires } = kept.shown;
    while (!this.#isDone(kept) && this.#valid(id) === kept && !signal.aborted)
      await new Promise<void>((resolve) => {
        const over = (): void => {
          kept.waiting.delete(over);
          signal.removeEventListener('abort', over);
          clearTimeout(timer);
          unwatch();
          resolve();
        };
        const timer = setTimeout(over, Math.max(1, expires - this.#deps.now())).unref();
        kept.waiting.add(over);
        signal.addEventListener('abort', over, { once: true });
        const unwatch = this.#deps.watch(server, owner, over);
      });
    return this.#isDone(kept);
  }

  close(): void {
    for (const kept of [...this.#byId.values()]) this.#forget(kept);
  }

  /** A login of another process is noticed by the credential. */
  #isDone(kept: Kept): boolean {
    const { server, owner } = kept.shown;
    if (!kept.isDone && kept.wasMissing && this.#deps.stateOf(server, owner) === 'there') kept.isDone = true;
    return kept.isDone;
  }

  #valid(id: string): Kept | undefined {
    const kept = this.#byId.get(id);
    return kept && kept.shown.expires > this.#deps.now() ? kept : undefined;
  }

  #makeRoom(principal: string, server: string): void {
    const now = this.#deps.now();
    const own: Kept[] = [];
    for (const kept of this.#byId.values()) {
      if (kept.shown.expires <= now) this.#forget(kept);
      else if (kept.shown.principal === principal) own.push(kept);
    }
    const ofServer = own.filter(({ shown }) => shown.server === server);
    const crowd = ofServer.length >= MOST_OF_SERVER ? ofServer : own.length >= MOST_EACH ? own : [];
    const [oldest] = crowd;
    if (oldest) this.#forget(oldest);
    for (const kept of this.#byId.values()) {
      if (this.#byId.size < MOST) break;
      this.#forget(kept);
    }
  }

  #forget(kept: Kept): void {
    this.#byId.delete(kept.shown.id);
    if (this.#byKey.get(kept.key) === kept) this.#byKey.delete(kept.key);
    tell(kept);
  }
}

function tell(kept: Kept): void {
  for (const over of [...kept.waiting]) over();
}
