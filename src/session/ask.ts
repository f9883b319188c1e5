/** Access to a session store, which may be remote and may fail: returns values, or promises that never reject. */
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import type { TerminationReason } from '../observe/stats.js';
import type { Elsewhere, FromPeer } from '../protocol/elsewhere.js';
import type { Principal } from '../protocol/ports.js';
import type { NewSession, Session, SessionStore } from './store.js';

/** Longest wait for a store. */
const STORE_MS = 10_000;

/** A session, none, or why the store did not answer. */
export type FoundSession = Session | undefined | GatewayError;
/** The same, or where the request has to be handled. */
export type Found = FoundSession | Elsewhere;

/** On the path of every call: allocates nothing if the store answers synchronously. */
export function useSession(
  store: SessionStore,
  log: Logger,
  id: string,
  principal: Principal,
  route: string,
  from?: FromPeer,
): Found | Promise<Found> {
  try {
    const found = store.use(id, principal, route, from);
    return found instanceof Promise ? inTime(found, log) : found;
  } catch (error) {
    return failed(log, error);
  }
}

export function openSession(
  store: SessionStore,
  log: Logger,
  wanted: NewSession,
): FoundSession | Promise<FoundSession> {
  try {
    const opened = store.open(wanted);
    if (!(opened instanceof Promise)) return opened;
    return inTime(opened, log, (session) => {
      // The client has been told that it could not be opened.
      if (session) void endSession(store, log, session, 'init_failed');
    });
  } catch (error) {
    return failed(log, error);
  }
}

/** undefined: it has ended. */
export function endSession(
  store: SessionStore,
  log: Logger,
  session: Session,
  reason: TerminationReason,
): GatewayError | undefined | Promise<GatewayError | undefined> {
  try {
    const ended = store.end(session, reason);
    return ended instanceof Promise ? inTime(ended, log).then((result) => result ?? undefined) : undefined;
  } catch (error) {
    return failed(log, error);
  }
}

/** `late` gets a result that arrives after the time-out. */
function inTime<T>(asked: Promise<T>, log: Logger, late?: (value: T) => void): Promise<T | GatewayError> {
  return new Promise((resolve) => {
    let waiting = true;
    const settle = (value: T | GatewayError): void => {
      waiting = false;
      clearTimeout(timer);
      resolve(value);
    };
    const timer = setTimeout(() => {
      settle(failed(log, { name: 'TimeoutError' }));
    }, STORE_MS);
    asked.then(
      (value) => {
        if (waiting) settle(value);
        else late?.(value);
      },
      (error: unknown) => {
        if (waiting) settle(failed(log, error));
      },
    );
  });
}

/** Logs only the name of a store's error: its message may contain addresses and session ids. */
function failed(log: Logger, error: unknown): GatewayError {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  log.error('the session store failed', {
    error: typeof name === 'string' ? name : typeof error,
    code: typeof code === 'string' ? code : undefined,
  });
  // Not `unknown_session`: the client would discard its session.
  return new GatewayError('unavailable', 'sessions cannot be looked up at the moment: try again');
}
