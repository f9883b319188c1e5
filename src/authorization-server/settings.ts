/** What the configuration says to the authorization server. A reload gives it another one, as a whole. */
import { providerOfLogin } from '../config/index.js';
import type { LoginConfig } from '../config/types.js';

export interface Settings {
  readonly login: LoginConfig;
  /** `http.public_url` without a slash at its end. */
  readonly issuer: string;
  /** What tokens are for. */
  readonly resource: 'route' | 'gateway';
  /** The scopes that the configuration names. */
  readonly scopes: ReadonlySet<string>;
  /** The scopes of a client that asks for none. */
  readonly usual: readonly string[];
  /** Globs of the groups that the configuration names. */
  readonly groups: ReadonlySet<string>;
  /** What the ids of principals begin with, before `:`. */
  readonly prefix: string;
}

/** What a grant is of: one of another identity provider does not count. */
export function providerOf({ login }: Settings): string {
  return providerOfLogin(login);
}

/** Where the identity provider sends browsers back to. */
export function callbackUrl({ issuer }: Settings): string {
  return `${issuer}/oauth/callback`;
}

export const CONSOLE_CLIENT = 'console';

/** The redirect URI of the console, exactly. */
export function consoleRedirect({ issuer }: Settings): string {
  return `${issuer}/-/signed-in`;
}

/** RFC 8414, with RFC 9207, RFC 7636 and client ID metadata documents. */
export function metadataOf({ issuer, login, scopes }: Settings): object {
  return {
    issuer,
    authorization_endpoint: `${issuer}/oauth/authorize`,
    token_endpoint: `${issuer}/oauth/token`,
    ...(login.register.includes('dcr') && { registration_endpoint: `${issuer}/oauth/register` }),
    revocation_endpoint: `${issuer}/oauth/revoke`,
    jwks_uri: `${issuer}/oauth/jwks`,
    ...(scopes.size > 0 && { scopes_supported: [...scopes] }),
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint_auth_methods_supported: ['none'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: login.register.includes('cimd'),
  };
}
