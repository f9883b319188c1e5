/** The sessions of legacy clients: data and their bounds. What hangs on a session ends with it. */
import { randomBytes } from 'node:crypto';
import type { TerminationReason } from '../observe/stats.js';
import type { WheelTimer } from '../lib/wheel.js';
import type { Caller, Exchange, LogLevel, Principal, Question, Sink, View } from '../protocol/ports.js';
import type { LegacyRevision } from '../protocol/revisions.js';

/** A question that waits for the answer of a session's client. */
export interface OpenQuestion {
  readonly question: Question;
  /** The sink of the call it was asked on. */
  readonly sink: Sink;
  readonly timer: WheelTimer;
  /** Takes it away from its call. */
  readonly closed: () => void;
}

/** What a session is, wherever it is kept: a store may keep it outside this process. */
export interface SessionRecord {
  /** Who knows it may speak as this client: it is not to be guessed, and not to be logged. */
  readonly id: string;
  /** Elsewhere its `id` is enough: who uses the session has shown who it is. */
  readonly principal: Principal;
  /** Where it was opened; anywhere else it does not exist. */
  readonly route: string;
  /** The one server that its route shows; undefined: all. */
  readonly server: string | undefined;
  readonly revision: LegacyRevision;
  /** What its client declared at `initialize`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of the `clientInfo` it named there. */
  readonly clientInfo: string | undefined;
  /** The address it was opened from, where there is one: only for who gives way when all sessions are taken. */
  readonly opener?: string | undefined;
}

/** The caller of all requests of a session. */
export interface SessionCaller extends Caller {
  level: LogLevel;
  view: View;
}

/** A record and what always belongs to this process: calls in flight, open questions, streams, and what was asked for on them. */
export interface Session extends SessionRecord {
  /** When it came to this process, and when it was last used here: on the monotonic clock. */
  readonly openedAt: number;
  lastSeen: number;
  /** false once it has ended. */
  open: boolean;
  /** Its client, as the servers of its calls know it. */
  readonly caller: SessionCaller;
  /** Questions of upstreams that wait for its answer, by the id they went out under. */
  questions: Map<string, OpenQuestion> | undefined;
  nextQuestion: number;
  /** What it set by logging/setLevel. */
  level: LogLevel | undefined;
  /** Its server-to-client stream is open. */
  listening: boolean;
  /** Calls in flight by their id as the client wrote it; made at the first call. */
  inFlight: Map<string, Exchange> | undefined;
}

/** What a store is given: the bounds, and whom to tell of the sessions of this process. */
export interface SessionStoreOptions {
  readonly now: () => number;
  /** limits.sessions: may change at a reload. */
  readonly limit: () => number;
  readonly idleTtlMs: number;
  /** Makes the session of a record that comes to this process: a new one, or one that was opened elsewhere. */
  readonly opened: (record: SessionRecord) => Session;
  /** A session has left this process: what hangs on it goes too. A second call does nothing. */
  readonly ended: (session: Session, reason: TerminationReason) => void;
}

/** What a client asks for at `initialize`. */
export type NewSession = Omit<SessionRecord, 'id'>;

/**
 * Sessions by id. Another implementation may keep their records elsewhere, and then answers with promises; one that rejects, or takes
 * more than 5 s, says that the store failed, and the client is to try again. Within a process the same id is the same
 * `Session` object until it ends. Sessions of clients with one stream (HTTP+SSE, stdio) live and die with it: they are opened and ended,
 * and never looked for.
 */
export interface SessionStore {
  /** undefined: full, and none can be evicted. */
  open(wanted: NewSession): Session | undefined | Promise<Session | undefined>;
  /** undefined: unknown, another principal's, another route's, or ended elsewhere: then it ends here too. Counts as activity. */
  use(id: string, principal: Principal, route: string): Session | undefined | Promise<Session | undefined>;
  /**
   * Here it has ended when this returns; a promise says when it has elsewhere. With `gateway_shutdown` a record that other replicas share
   * may stay: the session goes on there.
   */
  end(session: Session, reason: TerminationReason): void | Promise<void>;
  /** Ends the idle ones of this process. */
  sweep(): void;
  /** Those of this process. */
  all(): Iterable<Session>;
}

/** Sessions in the memory of this process alone; it answers at once. */
export function createSessionStore(options: SessionStoreOptions) {
  const { now, idleTtlMs } = options;
  const sessions = new Map<string, Session>();

  /** How many are open, by who opened them. */
  const counts = new Map<string, number>();

  function count(opener: string | undefined, by: number): void {
    if (opener === undefined) return;
    const now = (counts.get(opener) ?? 0) + by;
    if (now > 0) counts.set(opener, now);
    else counts.delete(opener);
  }

  function end(session: Session, reason: TerminationReason): void {
    if (!sessions.delete(session.id)) return;
    count(session.opener, -1);
    options.ended(session, reason);
  }

  function busy(session: Session): boolean {
    return session.listening || (session.inFlight?.size ?? 0) > 0;
  }

  /**
   * Ends a session for one more of `opener`. The address that would have most of them then gives up the one that has been idle longest,
   * and another than `opener` also one that is in use; with one each it is the one of all that has been idle longest.
   */
  function evict(opener: string | undefined): boolean {
    let most = opener;
    let sum = opener === undefined ? 1 : (counts.get(opener) ?? 0) + 1;
    for (const [each, has] of counts) if (has > sum) [most, sum] = [each, has];
    const isOf = (session: Session): boolean => session.opener === most;
    const isIdle = (session: Session): boolean => !busy(session);
    let oldest: Session | undefined;
    if (sum === 1) oldest = oldestOf(isIdle);
    else {
      oldest = oldestOf((session) => isOf(session) && isIdle(session));
      if (most !== opener) oldest ??= oldestOf(isOf);
    }
    if (oldest) end(oldest, 'evicted');
    return oldest !== undefined;
  }

  function oldestOf(which: (session: Session) => boolean): Session | undefined {
    let oldest: Session | undefined;
    for (const session of sessions.values())
      if ((!oldest || session.lastSeen < oldest.lastSeen) && which(session)) oldest = session;
    return oldest;
  }

  return {
    open(wanted) {
      if (sessions.size >= options.limit() && !evict(wanted.opener)) return undefined;
      const id = randomBytes(24).toString('base64url');
      const session = options.opened({ id, ...wanted });
      sessions.set(id, session);
      count(session.opener, 1);
      return session;
    },
    use(id, principal, route) {
      const session = sessions.get(id);
      if (!session || session.route !== route || session.principal.id !== principal.id) return undefined;
      session.lastSeen = now();
      return session;
    },
    end,
    sweep() {
      const before = now() - idleTtlMs;
      for (const session of [...sessions.values()])
        if (session.lastSeen <= before && !busy(session)) end(session, 'idle_timeout');
    },
    all: () => sessions.values(),
  } satisfies SessionStore;
}
