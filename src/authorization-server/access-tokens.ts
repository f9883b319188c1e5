/** Access tokens (RFC 9068), made of what a grant says. */
import { randomBytes } from 'node:crypto';
import { compileGlobs } from '../lib/glob.js';
import { sha256 } from '../lib/sha256.js';
import { providerDigest, type OwnClaims } from '../protocol/authorization-server.js';
import { OAuthProblem } from './problem.js';
import type { GrantRecord } from './records.js';
import { CONSOLE_CLIENT, type Settings } from './settings.js';
import type { SigningKeys } from './signing-keys.js';

/** Larger tokens do not fit into the headers that clients and proxies take: groups that the configuration does not name are left out. */
const MOST_BYTES = 4096;
/** Larger ones are not accepted as tokens. */
const LARGEST = 8192;
const CLIENT_CHARS = 16;

export interface AccessToken {
  readonly token: string;
  /** Seconds. */
  readonly expiresIn: number;
}

/** `scopes`: of those that the person has allowed. `now`: Unix time in milliseconds. */
export function accessToken(
  keys: SigningKeys,
  settings: Settings,
  { id, record }: { readonly id: string; readonly record: GrantRecord },
  scopes: readonly string[],
  now: number,
): AccessToken {
  const { issuer, login, groups: named } = settings;
  const { client, person, resource } = record;
  const expiresIn = Math.floor(login.access_minutes * 60);
  const iat = Math.floor(now / 1000);
  const claims = (groups: readonly string[]): OwnClaims => ({
    iss: issuer,
    aud: resource,
    sub: person.id,
    client_id: sha256(client.id).slice(0, CLIENT_CHARS),
    scope: scopes.join(' '),
    groups,
    name: person.name,
    kept: person.kept,
    grant: id,
    provider: providerDigest(record.provider),
    ...(client.id === CONSOLE_CLIENT && { console: true as const }),
    jti: randomBytes(16).toString('base64url'),
    iat,
    exp: iat + expiresIn,
  });
  const token = keys.sign(claims(person.groups));
  if (token.length <= MOST_BYTES) return { token, expiresIn };
  const fewer = keys.sign(claims(person.groups.filter(compileGlobs([...named]))));
  if (fewer.length > LARGEST)
    throw new OAuthProblem('server_error', 'the claims of mcp.auth.login.keep are too large for a token');
  return { token: fewer, expiresIn };
}
