/** What goes wrong with an upstream, as the errors that clients and operators see. */
import { GatewayError } from '../errors.js';

export function asGatewayError(error: unknown, server: string): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError(
    'internal',
    `upstream '${server}': ${error instanceof Error ? error.message : String(error)}`,
  );
}

/** The error with the HTTP status it came under, for who decides by it. */
export function withStatus(error: GatewayError, status: number): GatewayError {
  const data = typeof error.data === 'object' && error.data !== null ? error.data : {};
  return new GatewayError(error.code, error.message, { ...data, status });
}

/** Milliseconds the upstream asked to wait. */
export function retryAfterOf(error: GatewayError): number | undefined {
  const data = error.data as { retryAfter?: unknown } | null | undefined;
  return typeof data?.retryAfter === 'number' ? data.retryAfter * 1000 : undefined;
}

/** The code of the JSON-RPC error that a request of the gateway's own was answered with. */
export function rpcCodeOf(error: unknown): number | undefined {
  const data =
    error instanceof GatewayError ? (error.data as { rpc?: unknown } | null | undefined) : undefined;
  return typeof data?.rpc === 'number' ? data.rpc : undefined;
}
