/** Which refusals mean that a server has lost the session. Servers say so in different ways. */
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

/** Whether a text is about sessions: then the server is a legacy one, since only those have sessions. */
export function mentionsSession(text: string): boolean {
  return reasonIn(text) !== undefined;
}

const UNSUPPORTED_VERSION = -32022;

/** A server that was replaced by a modern one has no sessions (2026-07-28, basic/versioning). */
function meansNoSession(error: RpcError | undefined, hadSession: boolean): boolean {
  return error?.code === UNSUPPORTED_VERSION || (error?.code === -32001 && hadSession);
}

/** Why the session is lost, by an HTTP error status; undefined: it is not. `hadSession`: the request had a session id. */
export function lostByStatus(
  status: number,
  body: string,
  error: RpcError | undefined,
  hadSession: boolean,
): SessionResetReason | undefined {
  const reason = reasonIn(body);
  if (status === 404) return hadSession ? (reason ?? 'unknown_session') : undefined;
  if (status === 400) return reason ?? (meansNoSession(error, hadSession) ? 'unknown_session' : undefined);
  return status === 401 || status === 403 || status === 410 ? reason : undefined;
}

/**
 * Why the session is lost, by a JSON-RPC error under HTTP 200 or over stdio; undefined: it is not. -32001 alone does not mean that: SDK
 * servers use it for time-outs as well. The error has to be the first message of the answer.
 */
export function lostByError(error: RpcError): SessionResetReason | undefined {
  if (error.code !== -32000 && error.code !== -32001 && error.code !== -32600) return undefined;
  return reasonIn(error.message);
}
