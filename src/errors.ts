/**
 * Every error that the gateway itself returns, in one closed table: a stable string code and its JSON-RPC and HTTP numbers for each
 * era.
 */

interface Numbers {
  /** JSON-RPC error code. */
  readonly rpc: number;
  /** HTTP status if this error is the only answer to a POST. */
  readonly http: number;
}

export const ERRORS = {
  parse_error: { legacy: { rpc: -32700, http: 400 }, modern: { rpc: -32700, http: 400 } },
  invalid_request: { legacy: { rpc: -32600, http: 400 }, modern: { rpc: -32600, http: 400 } },
  method_not_found: { legacy: { rpc: -32601, http: 200 }, modern: { rpc: -32601, http: 404 } },
  invalid_params: { legacy: { rpc: -32602, http: 200 }, modern: { rpc: -32602, http: 200 } },
  /** The envelope of a modern request is incomplete (2026-07-28, basic, "_meta"). */
  invalid_meta: { legacy: { rpc: -32602, http: 400 }, modern: { rpc: -32602, http: 400 } },
  resource_not_found: { legacy: { rpc: -32002, http: 200 }, modern: { rpc: -32602, http: 200 } },
  unsupported_version: { legacy: { rpc: -32022, http: 400 }, modern: { rpc: -32022, http: 400 } },
  bad_version_header: { legacy: { rpc: -32000, http: 400 }, modern: { rpc: -32020, http: 400 } },
  header_mismatch: { legacy: { rpc: -32020, http: 400 }, modern: { rpc: -32020, http: 400 } },
  missing_capability: { legacy: { rpc: -32021, http: 200 }, modern: { rpc: -32021, http: 400 } },
  unknown_session: { legacy: { rpc: -32001, http: 404 }, modern: { rpc: -32001, http: 404 } },
  unauthorized: { legacy: { rpc: -32000, http: 401 }, modern: { rpc: -32000, http: 401 } },
  too_many_attempts: { legacy: { rpc: -32000, http: 429 }, modern: { rpc: -32000, http: 429 } },
  forbidden: { legacy: { rpc: -32000, http: 403 }, modern: { rpc: -32000, http: 403 } },
  not_found: { legacy: { rpc: -32000, http: 404 }, modern: { rpc: -32000, http: 404 } },
  method_not_allowed: { legacy: { rpc: -32000, http: 405 }, modern: { rpc: -32000, http: 405 } },
  body_too_large: { legacy: { rpc: -32000, http: 413 }, modern: { rpc: -32000, http: 413 } },
  unsupported_media_type: { legacy: { rpc: -32000, http: 415 }, modern: { rpc: -32000, http: 415 } },
  unavailable: { legacy: { rpc: -32000, http: 503 }, modern: { rpc: -32603, http: 503 } },
  upstream_disconnected: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** The replica of the fleet that handled the request is gone, and with it the fate of the request. */
  gone: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  upstream_timeout: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** An answer was cut off, and the fate of the request is unknown. A modern client sees its own stream end. */
  stream_broken: { legacy: { rpc: -32603, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** A person has to log in to the server first. */
  login_required: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** The same, for a client that opens the page itself (2025-11-25, client/elicitation, "URL Elicitation Required Error"). */
  url_elicitation_required: { legacy: { rpc: -32042, http: 200 }, modern: { rpc: -32603, http: 200 } },
  upstream_auth_failed: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  upstream_protocol_error: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** The client declined a request that its server needs for the call. */
  input_refused: { legacy: { rpc: -32603, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** A rule of the policy allows the item, but not this call of it. */
  denied: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** The call waits for the yes of somebody: it can be repeated once that is there. */
  approval_required: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** The call was not sent: somebody said no, nobody answered in time, or something about the call has changed. */
  approval_refused: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  /** The call needs scopes that the token does not have (RFC 6750, 3.1). */
  insufficient_scope: { legacy: { rpc: -32000, http: 403 }, modern: { rpc: -32603, http: 403 } },
  rate_limited: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  busy: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
  internal: { legacy: { rpc: -32000, http: 200 }, modern: { rpc: -32603, http: 200 } },
} as const satisfies Record<string, { legacy: Numbers; modern: Numbers }>;

export type ErrorCode = keyof typeof ERRORS;

/** The HTTP status of a modern answer with this JSON-RPC error code, whoever made the error. */
export function modernStatus(rpc: number): number {
  if (rpc === -32601) return 404;
  return rpc === -32020 || rpc === -32021 || rpc === -32022 ? 400 : 200;
}

/** A failure that becomes an answer. The client sees `message`, which never contains a secret. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly data: unknown;
  /** The rule of the configuration that it comes from, for the audit log. */
  readonly rule: string | undefined;
  /** Nothing of the request that failed was sent to its server. */
  unsent: true | undefined;
  /** The value of WWW-Authenticate, where the error is the answer to an HTTP request. */
  challenge: string | undefined;
  constructor(code: ErrorCode, message: string, data?: unknown, rule?: string) {
    super(message);
    this.name = 'GatewayError';
    this.code = code;
    this.data = data;
    this.rule = rule;
  }
}

/** The error of a call to a server that somebody has to log in to first. `reason`: see `Link.login`. `scopes`: what the call needs. */
export function needsLogin(server: string, reason: string, scopes: readonly string[] = []): GatewayError {
  const text = `upstream '${server}' needs a login: run: mcpstead login ${server}`;
  return new GatewayError('login_required', text, { server, reason, ...(scopes.length > 0 && { scopes }) });
}

/** The error of a request whose replica of the fleet is gone. */
export function replicaGone(): GatewayError {
  return new GatewayError(
    'gone',
    'the replica that handled this request is gone: it may have run; check before you call again',
  );
}

/** The JSON-RPC message for `error`. `rawId` is JSON: the bytes of the request's id, or `null`. */
export function errorMessage(
  error: GatewayError,
  rawId: string,
  era: 'legacy' | 'modern' = 'legacy',
): string {
  const data = error.data === undefined ? '' : `,"data":${JSON.stringify(error.data)}`;
  return `{"jsonrpc":"2.0","id":${rawId},"error":{"code":${ERRORS[error.code][era].rpc},"message":${JSON.stringify(error.message)}${data}}}`;
}
