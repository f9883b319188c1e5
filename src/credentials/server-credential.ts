import type { OAuthServer } from '../config/types.js';
import type { CredentialState } from '../observe/stats.js';
import type { Credential } from '../protocol/credential.js';
import type { Connection, LoginReason } from '../protocol/logins.js';
import type { Grant } from './grants.js';

/** A credential as operators see it. */
export interface ServerCredential extends Credential {
  /** undefined: nothing is known yet. */
  readonly state: CredentialState | undefined;
  /** Why a login is missing; undefined: none is. */
  readonly missing: LoginReason | undefined;
  readonly grant: Grant | undefined;
}

/** How the login to a server stands. */
export function connectionOf(
  { name, auth }: OAuthServer,
  { grant, missing, state }: ServerCredential,
): Connection {
  return {
    server: name,
    per: auth.per,
    takes: 'login',
    state: state ?? 'none',
    reason: missing,
    issuer: grant?.server.issuer,
    scopes: grant?.scopes ?? [],
    expires: grant?.expiresAt,
    renews: grant?.refresh !== undefined || auth.grant !== 'authorization_code',
  };
}
