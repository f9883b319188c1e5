/** Asks a session store, which may answer later or fail: what comes back are values, and promises that never reject. */
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import type { TerminationReason } from '../observe/stats.js';
import type { Principal } from '../protocol/ports.js';
import type { NewSession, Session, SessionStore } from './store.js';

/** The longest that a client waits for a store. */
const STORE_MS = 5000;

/** A session, none, or why nobody knows. */
export type Found = Session | undefined | GatewayError;

/** On the way of every call: where the store answers at once, nothing is made here. */
export function useSession(
  store: SessionStore,
  log: Logger,
  id: string,
  principal: Principal,
  route: string,
): Found | Promise<Found> {
  try {
    const found = store.use(id, principal, route);
    return found instanceof Promise ? inTime(found, log) : found;
  } catch (error) {
    return failed(log, error);
  }
}

export function openSession(store: SessionStore, log: Logger, wanted: NewSession): Found | Promise<Found> {
  try {
    const opened = store.open(wanted);
    if (!(opened instanceof Promise)) return opened;
    return inTime(opened, log, (session) => {
      // Its client was told that it could not be opened.
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

/** `late`: gets what comes when nobody waits for it any more. */
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

/** What a store says of its failure may hold addresses and session ids: here it has a name alone. */
function failed(log: Logger, error: unknown): GatewayError {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  log.error('the session store failed', {
    error: typeof name === 'string' ? name : typeof error,
    code: typeof code === 'string' ? code : undefined,
  });
  // Not `unknown_session`: that would end the session in the client's eyes.
  return new GatewayError('unavailable', 'sessions cannot be looked up at the moment: try again');
}
