/** Headers of clients that servers get (`headers_from_client`): read once for each request, and kept in memory alone. */
import { GatewayError } from '../errors.js';
import { sha256 } from '../lib/sha256.js';
import type { PassedValues } from '../protocol/ports.js';
import type { Headers } from './incoming.js';

/** Longest value, in bytes. */
const MAX_VALUE = 4096;

/** The values of the headers `names`, which are in lower case; undefined: the request has none of them. */
export function passedBy(
  headers: Headers | undefined,
  names: readonly string[],
): PassedValues | GatewayError | undefined {
  if (names.length === 0 || !headers) return undefined;
  const values = new Map<string, string>();
  for (const name of names) {
    const value = headers[name];
    if (value === undefined || value === '') continue;
    // Node joins repeated lines: which one counts would be a matter of the reader.
    if (typeof value !== 'string' || value.length > MAX_VALUE || !/^[\x21-\x7e][\x20-\x7e]*$/.test(value))
      return new GatewayError(
        'invalid_request',
        `the header ${name} must be one line of at most ${MAX_VALUE} characters of ASCII`,
      );
    values.set(name, value);
  }
  if (values.size === 0) return undefined;
  return { values, digest: sha256(JSON.stringify([...values])) };
}

/** A session goes on with the values that it was opened with. */
export function otherValues(
  opened: PassedValues | undefined,
  now: PassedValues | undefined,
): GatewayError | undefined {
  if (opened?.digest === now?.digest) return undefined;
  return new GatewayError(
    'invalid_request',
    'this session was opened with other values of the headers that servers get (headers_from_client): open another one',
  );
}
