/** The authorization server in the gateway (`mcp.auth.login`), as other modules see it. Points in time are Unix time in milliseconds. */
import { sha256 } from '../lib/sha256.js';

/** What the tokens of the authorization server are verified with. */
export interface OwnIssuer {
  /** The public keys as JWKs. Rejects if the state cannot be read. */
  publicKeys(): Promise<readonly object[]>;
  /** Whether a grant has ended, so that its access tokens do not count any more. */
  isEnded(grant: string): boolean;
}

/** The claims of an access token of the gateway, a JWT of the type `at+jwt` signed with ES256. */
export interface OwnClaims {
  readonly iss: string;
  /** The resource: that of a route, of the gateway, or of its console. */
  readonly aud: string;
  /** The value of the claim `claims.id` at the identity provider. */
  readonly sub: string;
  /** A digest of the id of the client. */
  readonly client_id: string;
  readonly scope: string;
  readonly groups: readonly string[];
  readonly name: string;
  /** The claims of `keep`, by name. */
  readonly kept: Readonly<Record<string, unknown>>;
  /** The id of the grant. */
  readonly grant: string;
  /** `providerDigest` of the identity provider where the person signed in. */
  readonly provider: string;
  /** The client is the console of the gateway. */
  readonly console?: true;
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
}

/** A short name of an identity provider with the client there (`providerOfLogin`): a token of another one does not count. */
export function providerDigest(provider: string): string {
  return sha256(provider).slice(0, 16);
}

/** Who signed in at the identity provider, and what it says about him. */
export interface Person {
  /** The value of the claim `claims.id`. */
  readonly id: string;
  readonly name: string;
  readonly groups: readonly string[];
  /** The claims of `keep`. */
  readonly kept: Readonly<Record<string, unknown>>;
}

/** A grant, as it is shown to people. */
export interface GrantView {
  readonly id: string;
  /** The id of the principal. */
  readonly person: string;
  readonly name: string;
  readonly client: string;
  /** Where the answer went: the host of the redirect URI, or its scheme. */
  readonly host: string;
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly since: number;
  readonly used: number;
}

/** What happened, for the audit log. */
export interface SignInEvent {
  readonly event: 'login' | 'login_refused' | 'grant_ended';
  /** The id of a principal; undefined: nobody is known. */
  readonly principal?: string;
  readonly client?: string;
  readonly host?: string;
  readonly reason?: string;
  readonly address?: string;
  readonly grant?: string;
}
