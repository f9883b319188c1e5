/**
 * Sessions of a replica: those that it has are in its memory, as without a fleet. For any other id it finds out which replica has the session,
 * or takes it over if none has. Nothing here waits for the store but that.
 */
import { randomInt } from 'node:crypto';
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import type { FleetStats, TerminationReason } from '../observe/stats.js';
import type { Declined, Elsewhere, FromPeer } from '../protocol/elsewhere.js';
import type { Principal } from '../protocol/ports.js';
import type { LegacyRevision } from '../protocol/revisions.js';
import {
  createSessionStore,
  type LocalSessions,
  type NewSession,
  type Session,
  type SessionRecord,
  type SessionStore,
  type SessionStoreOptions,
  type Used,
} from '../session/store.js';
import type { SessionIds } from './ids.js';
import type { Members } from './members.js';
import type { FoundRecord, KeptSession, SessionRecords, StoredSession } from './records.js';
import type { FleetStore } from './store.js';
import { SessionWrites } from './writes.js';

/** How long a request waits until it is known where its session is, and how many wait at a time. */
const HOLD_MS = 8000;
const MAX_HELD = 1000;
/** How long a request waits before it looks again. */
const LOOK_AGAIN_MS = 1000;
/** Take-overs at a time. */
const MAX_ADOPTIONS = 16;
/** Ids whose owner is remembered: learned from others, and given away. */
const MAX_LEARNED = 100_000;
/** How long a replica that was stopped asks which of its sessions others have. */
const VERIFY_MS = 500;
/** The largest step from a generation to the next. Ids of questions, which have it in them, stay exact for millions of steps. */
const MAX_STEP = 4096;
/** Sessions that it asks for at a time. */
const VERIFIES = 256;

/** What the rest of the gateway knows of a session. */
export interface SessionFacts {
  /** What other replicas need to go on with it. */
  keptOf(session: Session): KeptSession;
  /** A session was taken over: restores what `keptOf` gave. */
  restore(session: Session, kept: KeptSession): void;
  /** It has no call, question, stream to resume or link of its own, so that it can move. */
  isIdle(session: Session): boolean;
}

export interface FleetSessionsDeps {
  readonly options: SessionStoreOptions;
  readonly facts: SessionFacts;
  readonly ids: SessionIds;
  readonly records: SessionRecords;
  readonly members: Members;
  readonly store: FleetStore;
  readonly self: string;
  readonly stats: FleetStats;
  readonly log: Logger;
  /** The replica shuts down: whoever asks for an idle session gets it. */
  readonly isDraining: () => boolean;
  /** A replica that ran out does not answer, or another one answers in its place; `now`: not by an answer of before. */
  readonly isDead: (replica: string, asked: { readonly now: boolean }) => Promise<boolean>;
}

/** Whether sessions of a route can move: those of clients with a single stream end with it. */
function moves({ route }: { readonly route: string }): boolean {
  return route.endsWith('/mcp');
}

export class FleetSessions implements SessionStore {
  readonly #deps: FleetSessionsDeps;
  readonly #local: LocalSessions;
  readonly #writes: SessionWrites;
  /** Owners of sessions of other replicas. */
  readonly #learned = new Map<string, string>();
  /** To whom sessions of this replica went. */
  readonly #moved = new Map<string, string>();
  readonly #adoptions = new Map<string, Promise<Session | GatewayError | undefined>>();
  /** Requests that wait until one of too many take-overs is over; bounded as all that are held. */
  readonly #turns: (() => void)[] = [];
  readonly #waiting = new Set<() => void>();
  #verifying: Promise<void> | undefined;

  constructor(deps: FleetSessionsDeps) {
    const { options, ids } = deps;
    this.#deps = deps;
    this.#local = createSessionStore({
      ...options,
      makeId: () => ids.make(),
      ended: (session, reason) => {
        options.ended(session, reason);
        this.#ended(session, reason);
      },
    });
    this.#writes = new SessionWrites({
      ...deps,
      now: options.now,
      keptOf: (session) => deps.facts.keptOf(session),
      passed: (session) => {
        this.#supersede(session);
      },
    });
  }

  open(wanted: NewSession): Session | undefined {
    const session = this.#local.open(moves(wanted) ? { ...wanted, generation: 1 } : wanted);
    if (session && moves(session)) this.#writes.put(session);
    return session;
  }

  use(id: string, principal: Principal, route: string, from?: FromPeer): Used | Promise<Used> {
    const session = this.#local.get(id);
    if (!session) return this.#missing(id, principal, route, from);
    if (this.#verifying !== undefined || this.#deps.members.isLate)
      return this.#verified().then(() => this.use(id, principal, route, from));
    const used = this.#local.use(id, principal, route);
    return used && from && this.#isWanted(used, from) ? this.#handOver(used, from.replica) : used;
  }

  /** Where a session is, after `declined` did not handle its request. Never rejects. */
  next(id: string, principal: Principal, route: string, declined: Declined): Promise<Used> {
    return this.#locate(id, principal, route, declined);
  }

  /** A replica that has given a session away says to whom. */
  learn(id: string, owner: string): void {
    if (owner !== this.#deps.self) remember(this.#learned, id, owner);
  }

  /** Goes on with a session that its owner has handed over. undefined: what it sent cannot be read. */
  takeOver(id: string, principal: Principal, route: string, sealed: Buffer): Used {
    const here = this.#local.use(id, principal, route);
    if (here) return here;
    const stored = this.#deps.records.openFor(this.#deps.self, id, sealed);
    if (!stored || stored.kept.principal !== principal.id || stored.kept.route !== route) return undefined;
    const session = this.#continue(id, principal, { ...stored, generation: stored.generation + 1 });
    if (session instanceof GatewayError) return session;
    this.#writes.put(session);
    return session;
  }

  end(session: Session, reason: TerminationReason): void {
    this.#local.end(session, reason);
  }

  sweep(): void {
    this.#local.sweep();
  }

  all(): Iterable<Session> {
    return this.#local.all();
  }

  /** What is kept of a session has changed. */
  changed(session: Session): void {
    if (session.open && moves(session)) this.#writes.later(session);
  }

  /** The store has been read. */
  ticked(): void {
    this.#writes.ticked();
    this.#wake();
  }

  /** The store came or went. `isSame`: it was only slow. */
  storeChanged(isUp: boolean, isSame: boolean): void {
    if (isUp && !isSame) void this.#verified();
    if (isUp) this.#writes.back(isSame);
    else this.#writes.went();
    this.#wake();
  }

  /** The store has lost everything. */
  emptied(): void {
    for (const session of this.#local.all()) if (moves(session)) this.#writes.later(session);
  }

  /** The process was stopped: others may have gone on with its sessions. */
  resumed(): void {
    void this.#verified();
  }

  /** Leaves all sessions to other replicas. Resolves when that is written, or cannot be within `ms`. */
  async release(ms: number): Promise<void> {
    await this.#writes.release([...this.#local.all()].filter(moves), ms);
  }

  close(): void {
    this.#writes.close();
    this.#wake();
  }

  #ended(session: Session, reason: TerminationReason): void {
    if (!moves(session)) return;
    if (reason === 'gateway_shutdown') this.#writes.forget(session);
    else this.#writes.end(session);
  }

  #missing(
    id: string,
    principal: Principal,
    route: string,
    from: FromPeer | undefined,
  ): Used | Promise<Used> {
    const { ids, members, self } = this.#deps;
    let owner = this.#learned.get(id);
    if (owner === undefined) {
      owner = ids.homeOf(id);
      if (owner === undefined) return undefined;
      // The next request needs no HMAC. Nobody can make ids that are remembered.
      this.learn(id, owner);
    }
    // Nobody may go on with what has ended.
    if (this.#writes.isEnding(id)) return undefined;
    if (from) return { kind: 'moved', to: this.#moved.get(id) };
    if (owner !== self && members.live.has(owner)) return { kind: 'replica', replica: owner };
    return this.#locate(id, principal, route, new Map());
  }

  #isWanted(session: Session, { listens }: FromPeer): boolean {
    const { facts, isDraining } = this.#deps;
    return (listens || isDraining()) && moves(session) && facts.isIdle(session);
  }

  #handOver(session: Session, to: string): Elsewhere {
    const { facts, records, self, stats } = this.#deps;
    const { id, generation = 1 } = session;
    const record = records.sealFor(to, id, { generation, owner: self, kept: facts.keptOf(session) });
    remember(this.#moved, id, to);
    this.#writes.forget(session);
    this.#local.leave(session);
    stats.handedOver++;
    return { kind: 'handed', record };
  }

  #supersede(session: Session): void {
    if (!session.open) return;
    this.#deps.stats.superseded++;
    this.#writes.forget(session);
    this.#local.leave(session);
  }

  async #locate(id: string, principal: Principal, route: string, declined: Declined): Promise<Used> {
    const { stats, options } = this.#deps;
    const { now } = options;
    if (stats.held >= MAX_HELD) return unsure();
    const until = now() + HOLD_MS;
    stats.held++;
    try {
      for (;;) {
        if (this.#local.get(id)) return await this.use(id, principal, route);
        const found = await this.#look(id, principal, route, declined);
        if (found !== 'unsure') return found;
        const left = until - now();
        if (left <= 0) return unsure();
        await this.#change(Math.min(left, LOOK_AGAIN_MS));
        declined.clear();
      }
    } finally {
      stats.held--;
    }
  }

  async #look(id: string, principal: Principal, route: string, declined: Declined): Promise<Used | 'unsure'> {
    const { ids, members, records, self, isDead } = this.#deps;
    const likely = this.#learned.get(id) ?? ids.homeOf(id);
    if (likely !== undefined && likely !== self && !declined.has(likely) && members.live.has(likely))
      return { kind: 'replica', replica: likely };
    let record: FoundRecord | 'strange' | undefined;
    try {
      record = await records.read(id);
    } catch {
      return this.#askAround(declined);
    }
    if (!record) {
      // The store may have lost everything since it was read last.
      if (!(await members.isStillSure())) return this.#askAround(declined);
      if (likely === undefined || likely === self || declined.has(likely) || !members.find(likely))
        return undefined;
      // A replica that was stopped may have gone on a moment ago, and have opened this session.
      if (!members.live.has(likely) && (await isDead(likely, { now: true }))) return undefined;
      return { kind: 'replica', replica: likely };
    }
    if (record === 'strange') {
      // Its owner, if there is one, replaces it some time.
      const asked = this.#askAround(declined);
      return asked === 'unsure' && members.isSure ? undefined : asked;
    }
    if (record.kept.principal !== principal.id || record.kept.route !== route) return undefined;
    let { owner } = record;
    if (owner === self) {
      // Another request may be about to take it over, or have done so since the record was read.
      const taken = this.#local.use(id, principal, route) ?? (await this.#adoptions.get(id));
      if (taken) return taken;
      const to = this.#moved.get(id);
      // It has ended here, and the store does not know it yet.
      if (to === undefined && this.#writes.isEnding(id)) return undefined;
      // This replica took it over and was not told so in time, or had no room for it.
      owner = to ?? '';
    }
    const answer = declined.get(owner);
    if (owner !== '' && answer !== 'unknown') {
      if (members.live.has(owner) && answer === undefined) {
        this.learn(id, owner);
        return { kind: 'replica', replica: owner };
      }
      if (members.live.has(owner) || !members.isSure) return 'unsure';
      // It may be cut off from the store alone.
      if (!(await isDead(owner, { now: false }))) {
        if (answer === 'unreachable' || !members.find(owner)) return 'unsure';
        return { kind: 'replica', replica: owner };
      }
    }
    return await this.#adopt(id, principal, record);
  }

  /** Without the store, or as long as it proves nothing: each live replica in turn. */
  #askAround(declined: Declined): Used | 'unsure' {
    const next = this.#deps.members.others().find((member) => !declined.has(member.id));
    return next ? { kind: 'replica', replica: next.id } : 'unsure';
  }

  async #adopt(
    id: string,
    principal: Principal,
    record: FoundRecord,
  ): Promise<Session | GatewayError | 'unsure'> {
    const running = this.#adoptions.get(id);
    if (!running && this.#adoptions.size >= MAX_ADOPTIONS) {
      // Each that ends lets the next one begin.
      await new Promise<void>((resolve) => this.#turns.push(resolve));
      return await this.#adopt(id, principal, record);
    }
    const adoption = running ?? this.#take(id, principal, record);
    if (!running) {
      this.#adoptions.set(id, adoption);
      void adoption.finally(() => {
        this.#adoptions.delete(id);
        this.#turns.shift()?.();
      });
    }
    // Another replica was first: it is looked for again.
    return (await adoption) ?? 'unsure';
  }

  async #take(
    id: string,
    principal: Principal,
    record: FoundRecord,
  ): Promise<Session | GatewayError | undefined> {
    const { records, self, stats, log } = this.#deps;
    // If an old record is put back in the store, two replicas go on with its session: their question ids differ nevertheless.
    const generation = record.generation + randomInt(1, MAX_STEP);
    const next = { generation, owner: self, kept: record.kept };
    try {
      if ((await records.take(record, next)) !== true) return undefined;
    } catch {
      return undefined;
    }
    const session = this.#continue(id, principal, next);
    if (session instanceof GatewayError) return session;
    this.#writes.written(session);
    stats.adopted++;
    log.debug('took over a session of a replica that is gone', { replica: record.owner });
    return session;
  }

  #continue(id: string, principal: Principal, { generation, kept }: StoredSession): Session | GatewayError {
    const record: SessionRecord = {
      ...{ id, principal, generation },
      route: kept.route,
      server: kept.server,
      profile: kept.profile,
      revision: kept.revision as LegacyRevision,
      capabilities: kept.capabilities,
      clientInfo: kept.clientInfo,
      opener: kept.opener,
    };
    const session = this.#local.adopt(record);
    if (!session) return new GatewayError('unavailable', 'too many sessions are open (limits.sessions)');
    this.#moved.delete(id);
    this.#learned.delete(id);
    this.#deps.facts.restore(session, kept);
    return session;
  }

  /** Gives up the sessions that others have gone on with. Resolves after half a second at the latest; never rejects. */
  #verified(): Promise<void> {
    if (this.#verifying) return this.#verifying;
    const { members } = this.#deps;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, VERIFY_MS)));
    const run = Promise.race([this.#verify(), limit]).finally(() => {
      clearTimeout(timer);
      this.#verifying = undefined;
    });
    this.#verifying = run;
    // This process is not late any more.
    void members.tick();
    return run;
  }

  async #verify(): Promise<void> {
    const { records, self, store } = this.#deps;
    if (store.upSince === undefined) return;
    const left = [...this.#local.all()].filter(moves);
    const worker = async (): Promise<void> => {
      for (let session = left.pop(); session; session = left.pop()) {
        const { id, generation = 1 } = session;
        const isPassed = await records.isPassed(id, generation, self).catch(() => false);
        if (isPassed === true) this.#supersede(session);
        else if (isPassed === 'strange') this.#writes.later(session);
      }
    };
    await Promise.all(Array.from({ length: VERIFIES }, worker));
  }

  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}

function unsure(): GatewayError {
  return new GatewayError('unavailable', 'the replica that has this session cannot be reached: try again');
}

function remember(map: Map<string, string>, id: string, replica: string): void {
  map.delete(id);
  map.set(id, replica);
  if (map.size > MAX_LEARNED) map.delete(map.keys().next().value as string);
}
