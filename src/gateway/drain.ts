/** The orderly end of a gateway, within the grace period. */
import type { TaskCancels } from '../bridge/tasks/cancel.js';
import type { Bridge } from '../bridge/index.js';
import type { HttpPort } from '../downstream/http/server.js';
import type { Listeners } from '../proxy/listeners.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import type { GatewayFleet } from './fleet.js';
import type { Links } from './links.js';
import type { Sessions } from './sessions.js';

/** How long servers have to hear that tasks are cancelled. */
const LAST_WORDS_MS = 500;
/** How long a killed child is waited for: one in an uninterruptible wait must not hold the process. */
const LAST_KILL_MS = 1000;
/** How long a store has to take the sessions of a replica that ends: it may be failing over. */
const LEAVE_MS = 3000;
/** The part of the grace period that is kept for closing links. */
const CLOSING_SHARE = 0.25;
/** Links have at least this long to close. */
const MIN_CLOSE_MS = 100;
/** Streams of idle sessions that end at a time in a fleet, so that their clients do not all come to the others at once: 500 a second. */
const STREAMS_AT_A_TIME = 50;
const STREAMS_EVERY_MS = 100;
/** When such a client comes back: between these two. */
const SOONEST_MS = 500;
const LATEST_MS = 1500;
/** How often to look for clients that come back for a call. */
const LOOK_MS = 100;

export interface DrainDeps {
  readonly links: Links;
  readonly cancels: TaskCancels;
  readonly sessions: () => Iterable<Session>;
  /** Whether a client of the session has lost its connection a moment ago, and comes back for its call. */
  readonly awaits: (session: Session) => boolean;
  readonly endServerStream: (session: Session, retryMs?: number) => void;
  /** Ends the streams of modern clients and of operators, which would otherwise last. */
  readonly quiet: () => void;
  /** Ends parked calls. */
  readonly unpark: () => void;
  /** Waits for requests under way, for `ms` at the most, then closes the transports. */
  readonly closeTransports: (ms: number) => Promise<unknown>;
  /** Waits for requests of other replicas. */
  readonly quietPeers: (ms: number) => Promise<void>;
  readonly closePeers: () => Promise<void>;
  readonly endSessions: () => void;
  /** undefined: the gateway is alone. */
  readonly fleet: GatewayFleet | undefined;
}

/** The parts of a gateway that end. */
interface Parts extends Pick<DrainDeps, 'links' | 'fleet'> {
  readonly sessions: Sessions;
  readonly streams: Streams;
  readonly listeners: Pick<Listeners, 'endWhere'>;
  readonly tasks: { readonly cancels: TaskCancels; readonly legacy: { close(): void } };
  readonly bridge: Pick<Bridge, 'close'>;
  readonly approvals: { drain(): void };
  readonly admin: { quiet(): void };
  readonly port: Pick<HttpPort, 'close' | 'quietPeers' | 'closeForPeers'>;
  readonly attached: { close(ms: number): Promise<unknown> };
}

export function drainDeps(parts: Parts): DrainDeps {
  const { links, fleet, tasks, sessions, streams, port } = parts;
  return {
    ...{ links, fleet, cancels: tasks.cancels },
    sessions: () => sessions.store.all(),
    endServerStream: (session, retryMs) => {
      streams.endServerStream(session, retryMs);
    },
    quiet: () => {
      parts.approvals.drain();
      parts.admin.quiet();
      parts.listeners.endWhere(() => true);
    },
    unpark: () => {
      parts.bridge.close();
      tasks.legacy.close();
    },
    closeTransports: (ms) => Promise.all([port.close(ms), parts.attached.close(ms), fleet?.placedLeft(ms)]),
    awaits: (session) => streams.awaits(session),
    quietPeers: (ms) => port.quietPeers(ms),
    closePeers: () => port.closeForPeers(),
    endSessions: () => {
      sessions.endWhere(() => true, 'gateway_shutdown');
    },
  };
}

/** `graceMs`: mcp.session.shutdown_grace_seconds. */
export async function drain(deps: DrainDeps, graceMs: number): Promise<void> {
  const { links, fleet } = deps;
  const began = performance.now();
  const deadline = began + graceMs;
  deps.quiet();
  fleet?.releasePlaced();
  let stop = (): void => undefined;
  if (fleet) stop = endIdleStreams(deps, fleet);
  else {
    for (const session of deps.sessions()) deps.endServerStream(session);
    deps.unpark();
  }
  const openMs = graceMs * (1 - CLOSING_SHARE);
  await deps.closeTransports(openMs);
  // Only through another replica can a client come back now.
  if (fleet) await returned(deps, began + openMs);
  stop();
  // In a fleet, parked calls may use the grace period.
  if (fleet) deps.unpark();
  await fleet?.leave(Math.min(LEAVE_MS, deadline - performance.now()));
  deps.endSessions();
  // A request that is on its way when its connection closes may have run, for all that its sender knows.
  await fleet?.unnoticed();
  await deps.closePeers();
  await deps.cancels.settled(Math.min(LAST_WORDS_MS, deadline - performance.now()));
  const left = Math.max(MIN_CLOSE_MS, deadline - performance.now());
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([links.close(left), new Promise((resolve) => (timer = setTimeout(resolve, left)))]);
  clearTimeout(timer);
  // Children that have not ended are killed now.
  links.destroy();
  await links.gone(LAST_KILL_MS);
  // Nothing runs any more: another replica starts the servers that only one may run.
  await fleet?.placedReleased(LAST_KILL_MS);
}

/**
 * Waits for calls that came through other replicas while this one closed its own port, for clients that have lost the connection of a call a
 * moment ago, and for the calls they come back to.
 */
async function returned({ sessions, awaits, quietPeers }: DrainDeps, until: number): Promise<void> {
  const left = (): number => Math.max(0, until - performance.now());
  await quietPeers(left());
  while (left() > 0 && [...sessions()].some(awaits)) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_MS, left())));
    await quietPeers(left());
  }
}

/** Ends the server streams of sessions once they are idle: the replica that their clients come to asks for the session. */
function endIdleStreams({ sessions, endServerStream }: DrainDeps, fleet: GatewayFleet): () => void {
  const end = (): void => {
    let left = STREAMS_AT_A_TIME;
    for (const session of sessions()) {
      if (!session.listening || !fleet.isIdle(session)) continue;
      endServerStream(session, Math.round(SOONEST_MS + Math.random() * (LATEST_MS - SOONEST_MS)));
      if (--left === 0) return;
    }
  };
  const timer = setInterval(end, STREAMS_EVERY_MS);
  end();
  return () => {
    clearInterval(timer);
  };
}
