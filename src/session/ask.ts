/** Asks a session store, which may answer later or fail: what comes back are values, and promises that never reject. */
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import type { TerminationReason } from '../observe/stats.js';
import type { Principal } from '../protocol/ports.js';
import type { NewSession, Session, SessionStore } from './store.js';

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
    return found instanceof Promise ? caught(found, log) : found;
  } catch (error) {
    return failed(log, error);
  }
}

export function openSession(store: SessionStore, log: Logger, wanted: NewSession): Found | Promise<Found> {
  try {
    const opened = store.open(wanted);
    return opened instanceof Promise ? caught(opened, log) : opened;
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
    return ended instanceof Promise ? caught(ended, log).then((result) => result ?? undefined) : undefined;
  } catch (error) {
    return failed(log, error);
  }
}

function caught<T>(asked: Promise<T>, log: Logger): Promise<T | GatewayError> {
  return asked.catch((error: unknown) => failed(log, error));
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
