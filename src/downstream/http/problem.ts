/** Errors of the admin API: problem documents (RFC 9457). */
import { STATUS_CODES, type ServerResponse } from 'node:http';
import { ERRORS, type ErrorCode, type GatewayError } from '../../errors.js';

/** What helps against an error, where that does not depend on the request. */
const ACTIONS: Partial<Record<ErrorCode, string>> = {
  unauthorized: 'open the console with: mcpstead console',
  forbidden: 'ask for a role: mcp.auth.admins and mcp.auth.viewers in the config name who has one',
  too_many_attempts: 'wait, then use the right key: mcpstead console',
  unsupported_media_type: 'send Content-Type: application/json',
  unavailable: 'try again in a moment',
  internal: 'look into the log of the gateway',
};

const HEADERS = ['Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff'];

/** `action`: what helps; undefined: what usually helps against errors of this code. `status`: undefined: that of the code. */
export function sendProblem(
  res: ServerResponse,
  { code, message }: Pick<GatewayError, 'code' | 'message'>,
  headers: readonly string[] = [],
  {
    action = ACTIONS[code],
    status = ERRORS[code].legacy.http,
  }: { action?: string | undefined; status?: number | undefined } = {},
): void {
  const shown = problemStatus(code, status);
  const body = JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[shown] ?? 'Error',
    status: shown,
    code,
    detail: message,
    action: action ?? null,
  });
  const own = ['Content-Type', 'application/problem+json', 'Content-Length', String(Buffer.byteLength(body))];
  res.writeHead(shown, [...own, ...HEADERS, ...headers]).end(body);
}

/** The status of a problem: errors of servers have 200 in MCP, where the message says what went wrong. */
export function problemStatus(code: ErrorCode, status: number = ERRORS[code].legacy.http): number {
  return status === 200 ? 409 : status;
}

/** The headers of every answer of the API. */
export const API_HEADERS: readonly string[] = HEADERS;
