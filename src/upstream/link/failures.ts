/** Failures of servers, as the errors that clients and operators see. */
import { GatewayError } from '../../errors.js';
import { mayPass } from '../../lib/may-pass.js';
import { MAX_NESTING, SMALL_MESSAGE } from '../../wire/json.js';

export function asGatewayError(error: unknown, server: string): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError(
    'internal',
    `upstream '${server}': ${error instanceof Error ? error.message : String(error)}`,
  );
}

/** The error of a call to a server whose link is not up. */
export function disconnected(server: string): GatewayError {
  return new GatewayError('upstream_disconnected', `upstream '${server}' is disconnected`);
}

/** The error with more members in its data. */
export function withData(error: GatewayError, more: Readonly<Record<string, unknown>>): GatewayError {
  const data = typeof error.data === 'object' && error.data !== null ? error.data : {};
  return new GatewayError(error.code, error.message, { ...data, ...more });
}

/**
 * What the failure of an own request says about the server. `answer`: it answered, with an error or with something unusable. `silence`: no
 * answer in time; a ping tells more. `way`: it cannot be reached, or refuses the credentials.
 */
export type Trouble = 'answer' | 'silence' | 'way';

export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof GatewayError)) return 'answer';
  const { status, unreached } = (error.data ?? {}) as { status?: unknown; unreached?: unknown };
  if (unreached === true || status === 401 || status === 403) return 'way';
  switch (error.code) {
    case 'upstream_disconnected':
    case 'upstream_auth_failed':
    case 'login_required':
      return 'way';
    case 'upstream_timeout':
      return 'silence';
    default:
      return 'answer';
  }
}

/**
 * Whether a request did not reach the server, or what is in front of it refused it: the same request may succeed later. One without an answer
 * in time may have reached it.
 */
export function wasLost(error: unknown): boolean {
  if (!(error instanceof GatewayError) || rpcCodeOf(error) !== undefined) return false;
  const { status, unreached } = (error.data ?? {}) as { status?: unknown; unreached?: unknown };
  return unreached === true || (typeof status === 'number' && mayPass(status));
}

/** The wait that the server asked for, in ms. */
export function retryAfterOf(error: GatewayError): number | undefined {
  const data = error.data as { retryAfter?: unknown } | null | undefined;
  return typeof data?.retryAfter === 'number' ? data.retryAfter * 1000 : undefined;
}

/** The code of the JSON-RPC error that the server answered an own request with. */
export function rpcCodeOf(error: unknown): number | undefined {
  const data =
    error instanceof GatewayError ? (error.data as { rpc?: unknown } | null | undefined) : undefined;
  return typeof data?.rpc === 'number' ? data.rpc : undefined;
}

/** The error of a handshake whose answer is not an object, too large, or nested too deeply. */
export function unreadable(server: string, method: string, value: Buffer): GatewayError {
  const why =
    value.length > SMALL_MESSAGE
      ? `${value.length} bytes, more than ${SMALL_MESSAGE}`
      : `something other than an object, or one that is nested deeper than ${MAX_NESTING}`;
  return new GatewayError('upstream_protocol_error', `upstream '${server}' answered ${method} with ${why}`);
}

/** The usual paths of endpoints, as a question at the end of an error text. */
export function otherPath({ pathname }: URL): string {
  const guesses = ['/mcp', '/sse'].filter((path) => path !== pathname.replace(/\/$/, ''));
  return `: is the path ${guesses.join(' or ')}?`;
}

/** The error of a URL that works with neither transport: names both failures, Streamable HTTP first. */
export function neitherWorks(
  url: string,
  first: GatewayError,
  second: GatewayError,
  server: string,
): GatewayError {
  const statuses = [first, second].map(({ data }) => (data as { status?: number } | undefined)?.status ?? 0);
  const [post, get] = statuses;
  const place = new URL(url);
  const message = statuses.every((status) => status === 404 || status === 405)
    ? `upstream '${server}' answered HTTP ${post} to POST ${place.pathname} and HTTP ${get} to GET ${place.pathname}${otherPath(place)}`
    : `${first.message} (and over HTTP+SSE: ${second.message})`;
  return new GatewayError(first.code, message, first.data);
}
