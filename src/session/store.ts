/** The sessions of legacy clients: data and their bounds. What hangs on a session ends with it. */
import { randomBytes } from 'node:crypto';
import type { GatewayStats, TerminationReason } from '../observe/stats.js';
import type { WheelTimer } from '../lib/wheel.js';
import type { Cause, Exchange, LogLevel, Principal, Question, Sink, View } from '../protocol/ports.js';
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

export interface Session {
  readonly id: string;
  readonly principal: Principal;
  /** Where it was opened; anywhere else it does not exist. */
  readonly route: string;
  /** The one server that its route shows; undefined: all. */
  readonly server: string | undefined;
  readonly revision: LegacyRevision;
  readonly openedAt: number;
  lastSeen: number;
  /** false once it has ended. */
  open: boolean;
  /** What its client shows of the servers, where some of them have links of its own; undefined: its route's view. */
  view: View | undefined;
  /** What its client declared at `initialize`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of the `clientInfo` it named there. */
  readonly clientInfo: string | undefined;
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

export interface SessionStoreOptions {
  readonly stats: GatewayStats;
  readonly now: () => number;
  /** limits.sessions: may change at a reload. */
  readonly limit: () => number;
  readonly idleTtlMs: number;
  /** A session has ended: what else hangs on it goes too. */
  readonly ended: (session: Session) => void;
}

/**
 * Sessions by id. Another implementation may keep them elsewhere; streams and exchanges
 * always belong to this process.
 */
export interface SessionStore {
  readonly size: number;
  /** undefined: full, and none can be evicted. */
  open(
    principal: Principal,
    route: { readonly key: string; readonly server: string | undefined },
    revision: LegacyRevision,
    capabilities: Readonly<Record<string, unknown>>,
    clientInfo?: string,
  ): Session | undefined;
  /** undefined: unknown, another principal's, another route's. Counts as activity. */
  use(id: string, principal: Principal, route: string): Session | undefined;
  end(session: Session, reason: TerminationReason): void;
  /** Ends those for which `which` holds. */
  endWhere(which: (session: Session) => boolean, reason: TerminationReason): void;
  /** Ends the idle ones. */
  sweep(): void;
  all(): Iterable<Session>;
}

const CAUSES: Record<TerminationReason, Cause> = {
  client_delete: 'session ended by the client',
  idle_timeout: 'session timed out',
  gateway_shutdown: 'gateway shutting down',
  init_failed: 'session not opened',
  evicted: 'session evicted',
  auth_changed: 'credential withdrawn',
  server_removed: 'server removed',
};

export function createSessionStore(options: SessionStoreOptions): SessionStore {
  const { stats, now, idleTtlMs } = options;
  const sessions = new Map<string, Session>();

  function end(session: Session, reason: TerminationReason): void {
    if (!sessions.delete(session.id)) return;
    session.open = false;
    stats.sessionsActive = sessions.size;
    stats.terminations.add(reason);
    stats.sessionDuration.observe((now() - session.openedAt) / 1000);
    const { inFlight } = session;
    session.inFlight = undefined;
    if (inFlight) for (const exchange of [...inFlight.values()]) exchange.cancel(CAUSES[reason]);
    options.ended(session);
  }

  function busy(session: Session): boolean {
    return session.listening || (session.inFlight?.size ?? 0) > 0;
  }

  /** Ends the session that has been idle longest. */
  function evict(): boolean {
    let oldest: Session | undefined;
    for (const session of sessions.values())
      if (!busy(session) && (!oldest || session.lastSeen < oldest.lastSeen)) oldest = session;
    if (oldest) end(oldest, 'evicted');
    return oldest !== undefined;
  }

  return {
    get size() {
      return sessions.size;
    },
    open(principal, route, revision, capabilities, clientInfo) {
      if (sessions.size >= options.limit() && !evict()) return undefined;
      const at = now();
      const id = randomBytes(24).toString('base64url');
      const session: Session = {
        id,
        principal,
        route: route.key,
        server: route.server,
        revision,
        openedAt: at,
        lastSeen: at,
        open: true,
        view: undefined,
        capabilities,
        clientInfo,
        questions: undefined,
        nextQuestion: 1,
        level: undefined,
        listening: false,
        inFlight: undefined,
      };
      sessions.set(id, session);
      stats.sessionsActive = sessions.size;
      stats.sessionsTotal++;
      return session;
    },
    use(id, principal, route) {
      const session = sessions.get(id);
      if (!session || session.route !== route || session.principal.id !== principal.id) return undefined;
      session.lastSeen = now();
      return session;
    },
    end,
    endWhere(which, reason) {
      for (const session of [...sessions.values()]) if (which(session)) end(session, reason);
    },
    sweep() {
      const before = now() - idleTtlMs;
      for (const session of [...sessions.values()])
        if (session.lastSeen <= before && !busy(session)) end(session, 'idle_timeout');
    },
    all: () => sessions.values(),
  };
}
