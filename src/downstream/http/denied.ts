/** The answer to a request whose sender is refused. */
import type { ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { AuthFailureReason } from '../../observe/stats.js';
import type { Denied } from '../../protocol/ports.js';
import { sendError } from './respond.js';

/** Reasons that the text names. All others are about an access token, whose challenge names them. */
const NAMED: ReadonlySet<AuthFailureReason> = new Set([
  'missing_header',
  'bad_format',
  'wrong_token',
  'unknown_key',
  'bad_proxy',
]);

/** `send`: sends the error in the form of the route. */
export function sendDenied(
  res: ServerResponse,
  denied: Denied,
  send: (res: ServerResponse, error: GatewayError, headers: string[]) => void = sendJsonRpc,
): void {
  const { challenge, retryAfter } = denied;
  const headers: string[] = [];
  if (challenge !== undefined) headers.push('WWW-Authenticate', challenge);
  if (retryAfter !== undefined) headers.push('Retry-After', String(retryAfter));
  send(res, errorOf(denied), headers);
}

function sendJsonRpc(res: ServerResponse, error: GatewayError, headers: string[]): void {
  sendError(res, error, 'null', headers);
}

function errorOf({ status, reason, named, retryAfter = 1 }: Denied): GatewayError {
  switch (status) {
    case 401: {
      const why = named || NAMED.has(reason) ? reason.replace('_', ' ') : 'invalid token';
      return new GatewayError('unauthorized', `unauthorized: ${why}`);
    }
    case 403:
      return new GatewayError('forbidden', `forbidden: ${reason.replaceAll('_', ' ')}`);
    case 429:
      return new GatewayError(
        'too_many_attempts',
        `too many wrong credentials from this address: try again in ${retryAfter} s`,
        { retryAfter },
      );
    case 503:
      return new GatewayError(
        'unavailable',
        `the issuer of this token cannot be asked now: try again in ${retryAfter} s`,
        { retryAfter },
      );
  }
}
