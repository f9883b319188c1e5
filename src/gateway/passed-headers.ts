import type { HttpServerConfig } from '../config/types.js';
import { GatewayError } from '../errors.js';
import type { Credential, CredentialRefusal } from '../protocol/credential.js';
import type { PassedValues } from '../protocol/ports.js';

/** What a client passes on to a server, as it is for the life of the link. */
export function passedHeaders(
  { name, headers_from_client: passed = [] }: Pick<HttpServerConfig, 'name' | 'headers_from_client'>,
  { values }: PassedValues,
): Credential {
  const headers = passed.flatMap(({ from, to }) => {
    const value = values.get(from);
    return value === undefined ? [] : [to, value];
  });
  return {
    stamp: 0,
    headers,
    secrets: passed.flatMap(({ from }) => values.get(from) ?? []),
    ready: () => Promise.resolve(),
    refused: ({ status }: CredentialRefusal) =>
      Promise.reject(
        new GatewayError(
          'upstream_auth_failed',
          `upstream '${name}' refuses what the client sends in ${passed.map(({ from }) => from).join(', ')}: HTTP ${status}`,
          { status },
        ),
      ),
    onChange: () => () => undefined,
  };
}
