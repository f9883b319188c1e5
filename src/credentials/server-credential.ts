import type { CredentialState } from '../observe/stats.js';
import type { Credential } from '../protocol/credential.js';
import type { LoginReason } from '../protocol/logins.js';
import type { Grant } from './grants.js';

/** A credential as operators see it. */
export interface ServerCredential extends Credential {
  /** undefined: nothing is known yet. */
  readonly state: CredentialState | undefined;
  /** Why a login is missing; undefined: none is. */
  readonly missing: LoginReason | undefined;
  readonly grant: Grant | undefined;
}
