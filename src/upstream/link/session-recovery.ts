/**
 * Recovery of a legacy server that lost the session of the gateway: opens a new one (2025-11-25, basic/transports, "Session Management").
 */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { SessionResetReason } from '../../observe/stats.js';
import type { Carrier, ServerRefusal, UpstreamCall } from '../calls/calls.js';
import { lostByError, lostByStatus } from '../calls/lost-session.js';
import type { LinkObserver } from './observer.js';
import type { RecoveryCause, Remedy } from './recovery.js';

/** The requests that open a session, and restore in it what clients had asked for. */
const OPENING = new Set(['initialize', 'resources/subscribe', 'logging/setLevel']);

export interface LostSessionDeps {
  readonly server: string;
  readonly observer: LinkObserver;
  readonly log: Logger;
  /** Opens a session and restores in it what clients had asked for. */
  readonly open: (carrier: Carrier, signal: AbortSignal) => Promise<void>;
}

export class LostSession implements RecoveryCause {
  readonly #deps: LostSessionDeps;

  constructor(deps: LostSessionDeps) {
    this.#deps = deps;
  }

  remedyFor(refusal: ServerRefusal, { carrier }: UpstreamCall): Remedy | undefined {
    // The modern era has no sessions.
    if (carrier?.modern !== undefined) return undefined;
    const reason = reasonOf(refusal);
    if (!reason) return undefined;
    const shown = refusal.type === 'rpc' ? refusal.error.message : `HTTP ${refusal.status}`;
    return (current, signal) => this.#open(current, signal, reason, shown);
  }

  isRepeatable({ method, once }: UpstreamCall, { type }: ServerRefusal): boolean {
    // A tool may speak of a session of its own, after it has run.
    return method !== 'initialize' && !(once && type === 'rpc');
  }

  isOfRemedy({ own, method }: UpstreamCall): boolean {
    return own && OPENING.has(method);
  }

  /** The session belongs to the gateway: clients do not see what the server says about it. */
  errorOf(failure: GatewayError | undefined): GatewayError {
    const lost = `upstream '${this.#deps.server}' lost the session of the call`;
    if (!failure) return new GatewayError('upstream_disconnected', lost);
    if (failure.code === 'login_required') return failure;
    const code = failure.code === 'upstream_auth_failed' ? failure.code : 'upstream_disconnected';
    return new GatewayError(code, `${lost}, and a new session could not be opened`);
  }

  async #open(
    carrier: Carrier,
    signal: AbortSignal,
    reason: SessionResetReason,
    error: string,
  ): Promise<void> {
    const { server, observer, log, open } = this.#deps;
    observer.sessionReset(reason);
    log.info('upstream lost the session: initializing again', { server, reason, error });
    carrier.transport.reset();
    const since = performance.now();
    try {
      await open(carrier, signal);
    } catch (failure) {
      observer.initialized('error', since);
      throw failure;
    }
    observer.initialized('success', since);
  }
}

function reasonOf(refusal: ServerRefusal): SessionResetReason | undefined {
  if (refusal.type === 'rpc') return lostByError(refusal.error);
  const { status, body, error, hadSession, isOutdated } = refusal;
  if (isOutdated === true && hadSession && (status === 401 || status === 403)) return 'expired';
  return lostByStatus(status, body.toString('utf8'), error, hadSession);
}
