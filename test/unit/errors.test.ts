import { describe, expect, it } from 'vitest';
import { errorMessage, ERRORS, GatewayError, type ErrorCode } from '../../src/errors.js';

/** Spelled out: clients, dashboards and the documentation stand on these numbers. */
const TABLE: Record<
  ErrorCode,
  [legacyRpc: number, legacyHttp: number, modernRpc: number, modernHttp: number]
> = {
  parse_error: [-32700, 400, -32700, 400],
  invalid_request: [-32600, 400, -32600, 400],
  method_not_found: [-32601, 200, -32601, 404],
  invalid_params: [-32602, 200, -32602, 200],
  invalid_meta: [-32602, 400, -32602, 400],
  resource_not_found: [-32002, 200, -32602, 200],
  unsupported_version: [-32022, 400, -32022, 400],
  bad_version_header: [-32000, 400, -32020, 400],
  header_mismatch: [-32020, 400, -32020, 400],
  missing_capability: [-32021, 200, -32021, 400],
  unknown_session: [-32001, 404, -32001, 404],
  unauthorized: [-32000, 401, -32000, 401],
  too_many_attempts: [-32000, 429, -32000, 429],
  forbidden: [-32000, 403, -32000, 403],
  not_found: [-32000, 404, -32000, 404],
  method_not_allowed: [-32000, 405, -32000, 405],
  body_too_large: [-32000, 413, -32000, 413],
  unsupported_media_type: [-32000, 415, -32000, 415],
  unavailable: [-32000, 503, -32603, 503],
  upstream_disconnected: [-32000, 200, -32603, 200],
  gone: [-32000, 200, -32603, 200],
  upstream_timeout: [-32000, 200, -32603, 200],
  stream_broken: [-32603, 200, -32603, 200],
  login_required: [-32000, 200, -32603, 200],
  url_elicitation_required: [-32042, 200, -32603, 200],
  upstream_auth_failed: [-32000, 200, -32603, 200],
  upstream_protocol_error: [-32000, 200, -32603, 200],
  input_refused: [-32603, 200, -32603, 200],
  denied: [-32000, 200, -32603, 200],
  approval_required: [-32000, 200, -32603, 200],
  approval_refused: [-32000, 200, -32603, 200],
  insufficient_scope: [-32000, 403, -32603, 403],
  rate_limited: [-32000, 200, -32603, 200],
  busy: [-32000, 200, -32603, 200],
  internal: [-32000, 200, -32603, 200],
};

describe('the table of errors', () => {
  it('is this one', () => {
    const table = Object.fromEntries(
      Object.entries(ERRORS).map(([code, { legacy, modern }]) => [
        code,
        [legacy.rpc, legacy.http, modern.rpc, modern.http],
      ]),
    );
    expect(table).toEqual(TABLE);
  });
});

describe('an error message', () => {
  it('is JSON-RPC with the id as it was sent', () => {
    const error = new GatewayError('busy', 'too "much"\n');
    for (const id of ['null', '1', '"a"', '9007199254740993', '1.0'])
      expect(errorMessage(error, id)).toBe(
        `{"jsonrpc":"2.0","id":${id},"error":{"code":-32000,"message":"too \\"much\\"\\n"}}`,
      );
  });

  it('has data where the error has some, and the code of the era', () => {
    const error = new GatewayError('upstream_timeout', 'late', { retryAfter: 3 });
    expect(errorMessage(error, '1')).toContain('"code":-32000,"message":"late","data":{"retryAfter":3}');
    expect(errorMessage(error, '1', 'modern')).toContain('"code":-32603');
  });
});
