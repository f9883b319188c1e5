/** Which answers mean that an upstream forgot the session, and which only look like it. */
import type { SessionResetReason } from '../../observe/stats.js';
import type { RpcError } from './rpc-error.js';

const TEXTS: readonly (readonly [string, SessionResetReason])[] = [
  ['unknown mcp session', 'unknown_session'],
  ['session expired', 'expired'],
  ['session terminated', 'terminated'],
  ['session not found', 'unknown_session'],
  ['no valid session id', 'unknown_session'],
];

function reasonIn(text: string): SessionResetReason | undefined {
  const lower = text.toLowerCase();
  for (const [needle, reason] of TEXTS) if (lower.includes(needle)) return reason;
  return undefined;
}

/** Only a server that has sessions speaks of them: it is of the legacy era, whatever it refuses. */
export function speaksOfSessions(text: string): boolean {
  return reasonIn(text) !== undefined;
}

const UNSUPPORTED_VERSION = -32022;

/** A server that knows modern revisions alone has no sessions any more (2026-07-28, basic/versioning). */
function isOfNoSession(error: RpcError | undefined, hadSession: boolean): boolean {
  return error?.code === UNSUPPORTED_VERSION || (error?.code === -32001 && hadSession);
}

/** An HTTP error status to a request; `hadSession`: it carried a session id. */
export function lostByStatus(
  status: number,
  body: string,
  error: RpcError | undefined,
  hadSession: boolean,
): SessionResetReason | undefined {
  const named = reasonIn(body);
  if (status === 404) return hadSession ? (named ?? 'unknown_session') : undefined;
  if (status === 400) return named ?? (isOfNoSession(error, hadSession) ? 'unknown_session' : undefined);
  return status === 401 || status === 403 || status === 410 ? named : undefined;
}

/**
 * A JSON-RPC error under HTTP 200 or over stdio. Never by -32001 alone: that is also a time-out of SDK servers. The caller
 * makes sure that it is the first message of the answer.
 */
export function lostByError(error: RpcError): SessionResetReason | undefined {
  if (error.code !== -32000 && error.code !== -32001 && error.code !== -32600) return undefined;
  return reasonIn(error.message);
}
