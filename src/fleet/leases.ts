/**
 * Which replica of a fleet runs a server: the one that has the lease in the store (lease-values.ts).
 *
 * The store counts 10 s from each renewal. The holder counts from the moment it sent the renewal, by two clocks, of which the later one
 * decides: the monotonic clock stands still while a machine sleeps, and the wall clock can be set back. After 6 s it sends nothing to its
 * children, at 8 s it kills them.
 *
 * A value that cannot be read, or was put back, is a lease all the same: nobody takes it before the store lets it run out. A lease that
 * vanishes before its time is not taken before that time either: the holder writes it again.
 */
import type { Logger } from '../observe/log.js';
import type { ChildLease, LeasedChild } from '../protocol/child-lease.js';
import type { FleetKeys } from './keys.js';
import {
  answerIn,
  beginOf,
  LEASE,
  LEASE_MS,
  leaseNames,
  readLease,
  sealLease,
  type Answer,
} from './lease-values.js';
import type { FleetStore } from './store.js';

/** How long after the last renewal the holder sends to its children, and when it kills them. */
const SEND_MS = 6000;
const KILL_MS = 8000;
const RENEW_MS = 2000;
/** The pause after a command that failed, or while the store is young. */
const RETRY_MS = 500;
/** The shortest time between two looks because the holder cannot be reached. */
const HURRY_MS = 200;
/** The pause before a foreign value is replaced. */
const REPAIR_MS = 100;
/** What is left of a lease when it is looked at again, after it should have run out. */
const SPARE_MS = 20;
/**
 * How long a replica that has never seen the lease waits with one it has made: a holder whose value was removed finds out meanwhile, with
 * its next renewal.
 */
const SETTLE_MS = RENEW_MS + RETRY_MS;
/** What was sealed longer ago, by the clock of the store, was put back. */
const REPLAYED_MS = LEASE_MS + 2000;
const WARN_MS = 60_000;

/**
 * `seeking`: it is not known which replica has the lease. `holder`: this one. `paused`: this one, but the store has not renewed it in time:
 * nothing is sent until it does. `guest`: another one.
 */
export type LeaseRole = 'seeking' | 'holder' | 'paused' | 'guest';

export interface FleetLeaseDeps {
  /** The identity of this replica. */
  readonly self: string;
  readonly prefix: string;
  readonly server: string;
  /** What a child depends on, as text: replicas that differ in it run a child each. */
  readonly config: string;
  readonly keys: FleetKeys;
  readonly store: FleetStore;
  readonly log: Logger;
  /** See Members. */
  readonly isSure: () => boolean;
  readonly storeTime: () => number;
  /** Whether there is such a replica, or was one not long ago. */
  readonly isKnown: (replica: string) => boolean;
  /** A value in the store is not of this fleet, or was put back. */
  readonly stranger: () => void;
  /** The role has changed, or the replica that runs the server has. Called from a later turn. */
  readonly changed: (role: LeaseRole) => void;
  /** performance.now(). */
  readonly now?: () => number;
  /** Unix milliseconds of this machine. */
  readonly clock?: () => number;
}

/** A moment, by both clocks. */
interface Moment {
  readonly now: number;
  readonly clock: number;
}

export class FleetLease implements ChildLease {
  readonly #deps: FleetLeaseDeps;
  readonly #now: () => number;
  readonly #clock: () => number;
  readonly #names: readonly string[];
  readonly #children = new Set<LeasedChild>();
  #role: LeaseRole = 'seeking';
  #owner = '';
  /** The number of the term that this replica has, or tries to get. */
  #number = 0;
  /** How the values of this replica begin, of its last terms. */
  #mine: readonly string[] = [];
  /** When the renewal was sent that succeeded last; undefined: this replica does not have the lease. */
  #renewed: Moment | undefined;
  /** When it may begin, by `now`. */
  #beginsAt = 0;
  /** The largest number that was seen, and when, by `now`. */
  #seen = 0;
  #seenAt = -Infinity;
  /** By `now`: when the value runs out that was seen last; undefined: none was. */
  #busyUntil: number | undefined;
  /** What may be replaced besides: how a term begins that was released, and a foreign value in the place of the own one. */
  #freed: string | undefined;
  #foreignValue: Buffer | undefined;
  #lookedAt = -Infinity;
  #running: Promise<void> | undefined;
  #next: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #warned = -Infinity;
  #isReleased = false;
  #isOver = false;
  #finished: (() => void) | undefined;
  #release: Promise<void> | undefined;

  constructor(deps: FleetLeaseDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
    this.#clock = deps.clock ?? Date.now;
    // In one order in all replicas, whatever key is the current one.
    this.#names = leaseNames(deps.keys, deps.prefix, deps.server, deps.config).sort();
  }

  get role(): LeaseRole {
    return this.#role;
  }

  /** The replica that runs the server, while the role is `guest`. */
  get owner(): string {
    return this.#owner;
  }

  start(): void {
    void this.look();
  }

  holds(): boolean {
    if (this.#role !== 'holder' || !this.#renewed || this.#isOver) return false;
    if (this.#since(this.#renewed) < SEND_MS) return true;
    this.check();
    return false;
  }

  started(child: LeasedChild): () => void {
    this.#children.add(child);
    return () => {
      if (!this.#children.delete(child) || this.#children.size > 0) return;
      if (this.#isReleased) void this.#finish();
      else if (!this.#renewed) void this.look();
    };
  }

  /** Renews the lease, takes it, or finds out who has it. One at a time. Never rejects. */
  look(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return (this.#running ??= this.#look().finally(() => (this.#running = undefined)));
  }

  /** The holder could not be reached: looks soon, however many say so. */
  hurry(): void {
    if (this.#now() - this.#lookedAt >= HURRY_MS) void this.look();
  }

  /** Does what is due by the clocks. */
  check(): void {
    clearTimeout(this.#deadline);
    const renewed = this.#renewed;
    if (!renewed || this.#isOver) return;
    const since = this.#since(renewed);
    if (since >= KILL_MS) return this.#lose('the store has not renewed its lease in time');
    const now = this.#now();
    if (since >= SEND_MS) {
      if (this.#role === 'holder') this.#become('paused');
    } else if (now >= this.#beginsAt && this.#role !== 'holder') {
      this.#become('holder');
      for (const { resume } of this.#children) resume();
    }
    const isEarly = this.#role !== 'holder' && now < this.#beginsAt;
    const due = since >= SEND_MS ? KILL_MS : SEND_MS;
    const wait = Math.min(due - since, isEarly ? this.#beginsAt - now : Infinity);
    this.#deadline = setTimeout(
      () => {
        this.check();
      },
      Math.max(1, Math.ceil(wait)),
    ).unref();
  }

  /** Lets another replica have it once the children have ended, and never takes it again. Resolves then; never rejects. */
  release(): Promise<void> {
    this.#isReleased = true;
    this.#release ??= new Promise<void>((resolve) => (this.#finished = resolve));
    if (this.#isOver) this.#finished?.();
    else if (this.#children.size === 0) void this.#finish();
    return this.#release;
  }

  /** Leaves it to the store, where it runs out. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#next);
    clearTimeout(this.#deadline);
    this.#finished?.();
  }

  /** How long ago a moment was, by the clock that says more. */
  #since({ now, clock }: Moment): number {
    return Math.max(this.#now() - now, this.#clock() - clock);
  }

  async #look(): Promise<void> {
    clearTimeout(this.#next);
    this.#lookedAt = this.#now();
    let pause: number;
    try {
      this.check();
      pause = await this.#round();
    } catch {
      // The store logs that it is away.
      pause = RETRY_MS;
    }
    if (this.#isOver) return;
    this.check();
    this.#next = setTimeout(() => void this.look(), Math.max(1, pause)).unref();
  }

  /** Resolves with the time until the next one. Rejects with a StoreError. */
  async #round(): Promise<number> {
    const had = this.#renewed !== undefined;
    const mayTake = had || this.#mayTake();
    if (!had && mayTake) this.#newTerm();
    const moment: Moment = { now: this.#now(), clock: this.#clock() };
    // All are looked at before any is taken: nobody has a part only.
    if (!had && (!mayTake || this.#names.length > 1)) {
      let free = true;
      for (const name of this.#names) {
        const answer = await this.#run(name, false);
        if (typeof answer !== 'object') continue;
        const pause = this.#foreign(name, answer);
        if (pause !== undefined) return pause;
        free = false;
      }
      if (free && !this.#isBusy) this.#become('seeking');
      if (!mayTake) return RETRY_MS;
    }
    let made = false;
    for (const name of this.#names) {
      const answer = await this.#run(name, true);
      if (answer === 'none') {
        this.#become('seeking');
        return this.#untilFree();
      }
      if (typeof answer === 'object') return this.#foreign(name, answer) ?? 0;
      made ||= answer === 'made';
    }
    // It was lost while this renewal was on its way: the next round begins a new term.
    if (had && !this.#renewed) return RETRY_MS;
    this.#freed = this.#foreignValue = undefined;
    this.#saw(this.#number);
    this.#renewed = moment;
    if (!had) {
      this.#beginsAt = made && this.#busyUntil === undefined ? moment.now + SETTLE_MS : moment.now;
      this.#busyUntil = undefined;
    }
    return RENEW_MS;
  }

  /** Whether this replica may begin a term. */
  #mayTake(): boolean {
    return !this.#isReleased && this.#children.size === 0 && this.#deps.isSure();
  }

  get #isBusy(): boolean {
    return this.#busyUntil !== undefined && this.#now() < this.#busyUntil;
  }

  #untilFree(): number {
    const left = this.#busyUntil === undefined ? RETRY_MS : this.#busyUntil - this.#now() + SPARE_MS;
    return Math.min(RENEW_MS, Math.max(SPARE_MS, left));
  }

  /** A term that was begun and got no answer is tried again. */
  #newTerm(): void {
    if (this.#number > this.#seen) return;
    this.#number = Math.max(this.#seen + 1, Math.round(this.#deps.storeTime()));
    this.#mine = [...this.#mine.slice(-3), beginOf(this.#number, this.#deps.self)];
  }

  async #run(name: string, takes: boolean): Promise<Answer> {
    const { keys, prefix, self, store, storeTime } = this.#deps;
    const value = takes ? sealLease(keys, name, { number: this.#number, owner: self, at: storeTime() }) : '';
    const freed = this.#freed === undefined ? [] : [this.#freed];
    const makes = takes && (this.#renewed !== undefined || !this.#isBusy);
    const answer = await store.run(
      LEASE,
      [`${prefix}:l:${name}`],
      [value, makes ? 1 : 0, ...(takes ? [this.#foreignValue ?? '', ...this.#mine, ...freed] : [])],
    );
    return answerIn(answer);
  }

  /** Judges a value that was left alone. Returns the time until the next round; undefined: it may be replaced. */
  #foreign(name: string, { left, value }: Exclude<Answer, string>): number | undefined {
    const { keys, self, storeTime, isKnown } = this.#deps;
    const found = readLease(keys, name, value);
    const begin = found && beginOf(found.number, found.owner);
    if (begin !== undefined && this.#mine.includes(begin)) return undefined;
    this.#busyUntil = this.#now() + left;
    const isReplayed = found && (storeTime() - found.at > REPLAYED_MS || this.#isPassed(found.number));
    if (!found || isReplayed) {
      this.#warn(isReplayed ? 'was put back' : 'is not of this fleet');
      if (!this.#renewed) this.#become('seeking');
      // Nobody else has the lease as long as this is its value.
      else if (this.#since(this.#renewed) < SEND_MS) this.#foreignValue = value;
      return this.#renewed ? REPAIR_MS : this.#untilFree();
    }
    this.#saw(found.number);
    if (this.#renewed) this.#lose('another replica has its lease');
    if (found.owner === '') {
      this.#busyUntil = this.#now();
      this.#freed = beginOf(found.number, '');
      this.#become('seeking');
      return this.#mayTake() ? undefined : RETRY_MS;
    }
    if (found.owner === self || !isKnown(found.owner)) {
      this.#become('seeking');
      return Math.min(RETRY_MS, this.#untilFree());
    }
    const isOther = this.#owner !== found.owner;
    this.#owner = found.owner;
    this.#become('guest', isOther);
    return this.#untilFree();
  }

  #saw(number: number): void {
    this.#seen = number;
    this.#seenAt = this.#now();
  }

  /** Whether a later term was seen. What is older than that was sealed too long ago; the clock of another store may be behind. */
  #isPassed(number: number): boolean {
    return number < this.#seen && this.#now() - this.#seenAt < REPLAYED_MS;
  }

  /** The children end now, and the role with them. */
  #lose(why: string): void {
    this.#renewed = this.#foreignValue = undefined;
    this.#saw(this.#number);
    this.#deps.log.warn(`this replica does not run a server any more: ${why}`, {
      server: this.#deps.server,
      children: this.#children.size,
    });
    for (const { kill } of this.#children) kill();
    this.#become('seeking');
  }

  /** The store is written by somebody else: one line a minute. */
  #warn(what: string): void {
    const { log, server, stranger } = this.#deps;
    stranger();
    const now = this.#now();
    if (now - this.#warned < WARN_MS) return;
    this.#warned = now;
    log.warn(
      `the lease of a server in the store of the fleet ${what}; no replica takes it before it runs out: see who else writes to the store, or has another state key`,
      { server },
    );
  }

  #become(role: LeaseRole, isNews = this.#role !== role): void {
    if (role !== 'guest') this.#owner = '';
    if (!isNews && this.#role === role) return;
    this.#role = role;
    const owner = this.#owner;
    setImmediate(() => {
      if (!this.#isOver && this.#role === role && this.#owner === owner) this.#deps.changed(role);
    });
  }

  /** The children have ended: gives the lease back. */
  async #finish(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#next);
    clearTimeout(this.#deadline);
    await this.#running;
    const { keys, prefix, store, storeTime } = this.#deps;
    for (const name of this.#mine.length > 0 ? this.#names : []) {
      const value = sealLease(keys, name, { number: this.#number, owner: '', at: storeTime() });
      // Without an answer, it runs out by itself.
      await store.run(LEASE, [`${prefix}:l:${name}`], [value, 0, '', ...this.#mine]).catch(() => undefined);
    }
    this.#finished?.();
  }
}
