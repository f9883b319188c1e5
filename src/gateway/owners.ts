/** Who has links of his own: a person, or clients that pass on the same values. */
import { isPerUser } from '../config/credentials.js';
import { passedTo } from '../config/headers-from-client.js';
import type { ServerConfig } from '../config/types.js';
import type { Credential } from '../protocol/credential.js';
import { isPerson } from '../protocol/principal.js';
import type { Owner } from '../proxy/views.js';
import type { GatewayCredentials } from './credentials.js';
import { passedHeaders } from './passed-headers.js';

/** undefined: nobody that can be told from others. */
export function idOf({ principal, passed }: Owner): string | undefined {
  if (passed) return `${principal.id}\0${passed.digest}`;
  return isPerson(principal) ? principal.id : undefined;
}

/** Whether somebody has a link of his own to a server that may give him one. */
export function wants({ principal, passed }: Owner, server: ServerConfig): boolean {
  if (isPerUser(server)) return isPerson(principal);
  return passed !== undefined && passedTo(server).some(({ from }) => passed.values.has(from));
}

/** What is shown to a server on a link of its owner. */
export function credentialOf(
  server: ServerConfig,
  { principal, passed }: Owner,
  credentials: Pick<GatewayCredentials, 'of'>,
): Credential | undefined {
  if (isPerUser(server)) return credentials.of(server, principal.id);
  return server.kind === 'http' && passed ? passedHeaders(server, passed) : undefined;
}
