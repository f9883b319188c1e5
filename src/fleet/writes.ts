/** Writes sessions to the store in the background: what fails is written later, and nobody waits for it. */
import type { Session } from '../session/store.js';
import type { KeptSession, SessionRecords } from './records.js';
import type { FleetStore } from './store.js';
import type { Logger } from '../observe/log.js';

/** How often a record is renewed, so that it does not expire. */
export const RENEW_MS = 600_000;
/** What was written so shortly before the store went may be lost. */
const LOST_MS = 10_000;
/** Writes at a time, and in a second. */
const AT_ONCE = 64;
const PER_TURN = 200;
const TURN_MS = 100;
/** The pause before what the store did not release is tried again, in ms. */
const RELEASE_PAUSE_MS = 250;
/** Records that wait to be removed, at the most: those beyond it expire. */
const MAX_ENDS = 100_000;

export interface SessionWritesDeps {
  readonly records: SessionRecords;
  readonly store: FleetStore;
  readonly self: string;
  readonly log: Logger;
  readonly now: () => number;
  readonly keptOf: (session: Session) => KeptSession;
  /** Another replica has gone on with a session. */
  readonly passed: (session: Session) => void;
}

export class SessionWrites {
  readonly #deps: SessionWritesDeps;
  /** When each was written last, the oldest first. */
  readonly #written = new Map<Session, number>();
  readonly #puts = new Set<Session>();
  /** What the store did not do is tried again with the next tick. */
  readonly #failedPuts = new Set<Session>();
  readonly #failedEnds = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  /** Records that are being removed. */
  readonly #ending = new Set<string>();
  #running = 0;
  /** Writes that may begin in this turn. */
  #left = PER_TURN;
  #timer: NodeJS.Timeout | undefined;
  #wentAt = -Infinity;
  #isClosed = false;
  #hasWarned = false;

  constructor(deps: SessionWritesDeps) {
    this.#deps = deps;
  }

  /** Writes a session soon. */
  put(session: Session): void {
    this.later(session);
    setImmediate(() => {
      this.#run();
    });
  }

  /** Writes a session with the next tick, once for all changes until then. */
  later(session: Session): void {
    if (!this.#isClosed) this.#puts.add(session);
  }

  /** A session was written by other means. */
  written(session: Session): void {
    this.#written.delete(session);
    this.#written.set(session, this.#deps.now());
  }

  /** A session has ended: removes its record. */
  end(session: Session): void {
    this.forget(session);
    if (this.#isClosed || this.#ends.size >= MAX_ENDS) return;
    this.#ends.set(session.id, session.generation ?? 1);
    setImmediate(() => {
      this.#run();
    });
  }

  /** Whether a session has ended here, and its record may still be there. */
  isEnding(id: string): boolean {
    return this.#ends.has(id) || this.#ending.has(id) || this.#failedEnds.has(id);
  }

  /** A session is not this replica's any more. */
  forget(session: Session): void {
    this.#written.delete(session);
    this.#puts.delete(session);
    this.#failedPuts.delete(session);
  }

  ticked(): void {
    const { now } = this.#deps;
    const due = now() - RENEW_MS;
    for (const [session, at] of this.#written) {
      if (at > due) break;
      // One that was not used since has time enough.
      if (session.lastSeen > at) this.#puts.add(session);
      this.written(session);
    }
    this.#again();
  }

  went(): void {
    this.#wentAt = this.#deps.now();
  }

  /** The store is back. Unless it was only slow, it may be another one, and the last writes may not have got there. */
  back(isSame: boolean): void {
    const since = isSame ? Infinity : Math.min(this.#wentAt, this.#deps.now()) - LOST_MS;
    for (const [session, at] of this.#written) if (at >= since) this.#puts.add(session);
    this.#again();
  }

  /**
   * Leaves sessions to whoever takes them. What the store does not do is tried again until `ms` have passed: what it has may be older, or
   * lost in a failover. Never rejects.
   */
  async release(sessions: readonly Session[], ms: number): Promise<void> {
    this.#isClosed = true;
    const until = performance.now() + ms - RELEASE_PAUSE_MS;
    let waiting = await this.#released(sessions);
    while (waiting.length > 0 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, RELEASE_PAUSE_MS));
      waiting = await this.#released(waiting);
    }
  }

  /** Resolves with those that the store did not release. */
  async #released(sessions: readonly Session[]): Promise<readonly Session[]> {
    const { records, self, keptOf } = this.#deps;
    const waiting = [...sessions];
    const failed: Session[] = [];
    const worker = async (): Promise<void> => {
      for (let session = waiting.pop(); session; session = waiting.pop()) {
        const { id, generation = 1 } = session;
        const kept = keptOf(session);
        try {
          await records.release(id, { generation, owner: self, kept });
        } catch {
          failed.push(session);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return failed;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#puts.clear();
    this.#failedPuts.clear();
    this.#ends.clear();
    this.#failedEnds.clear();
    this.#written.clear();
  }

  #again(): void {
    for (const session of this.#failedPuts) this.#puts.add(session);
    this.#failedPuts.clear();
    for (const [id, generation] of this.#failedEnds) this.#ends.set(id, generation);
    this.#failedEnds.clear();
    this.#run();
  }

  #run(): void {
    if (this.#isClosed || this.#deps.store.upSince === undefined) return;
    while (this.#running < AT_ONCE && this.#left > 0) {
      const [end] = this.#ends;
      const [session] = this.#puts;
      if (end) {
        this.#ends.delete(end[0]);
        this.#begin(this.#end(...end));
      } else if (session) {
        this.#puts.delete(session);
        if (session.open) this.#begin(this.#put(session));
      } else return;
    }
    if (this.#left === 0) this.#pause();
  }

  #begin(work: Promise<void>): void {
    this.#running++;
    this.#left--;
    this.#pause();
    void work.finally(() => {
      this.#running--;
      this.#run();
    });
  }

  /** Allows further writes after a while. */
  #pause(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#left = PER_TURN;
      this.#run();
    }, TURN_MS).unref();
  }

  async #put(session: Session): Promise<void> {
    const { records, self, keptOf, passed, log } = this.#deps;
    const { id, generation = 1 } = session;
    try {
      const done = await records.put(id, { generation, owner: self, kept: keptOf(session) });
      if (!session.open) return;
      if (done === false) passed(session);
      else this.written(session);
      if (done !== undefined || this.#hasWarned) return;
      this.#hasWarned = true;
      log.warn('a session is too large for the store: it ends with this replica', { route: session.route });
    } catch {
      if (session.open && !this.#isClosed) this.#failedPuts.add(session);
    }
  }

  async #end(id: string, generation: number): Promise<void> {
    this.#ending.add(id);
    try {
      await this.#deps.records.end(id, generation, this.#deps.self);
    } catch {
      if (!this.#isClosed && this.#failedEnds.size < MAX_ENDS) this.#failedEnds.set(id, generation);
    } finally {
      this.#ending.delete(id);
    }
  }
}
