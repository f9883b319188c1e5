/** What goes to the identity provider with a sign-in, and what it answers. */
import type { JsonObject } from '../wire/json.js';

/** What the identity provider says about a person who signed in. */
export interface Answer {
  /** Of the ID token. */
  readonly claims: JsonObject;
  readonly idToken: string;
  /** Unix ms. */
  readonly idTokenExpires: number;
  readonly refresh: string | undefined;
  /** For `userinfo`; undefined: it cannot be used as a bearer token. */
  readonly access: string | undefined;
}

/** What the identity provider says at a refresh. `claims`, `idToken` and `idTokenExpires` are undefined without an ID token. */
export interface Refreshed {
  readonly claims: JsonObject | undefined;
  readonly idToken: string | undefined;
  readonly idTokenExpires: number | undefined;
  /** The refresh token from now on: a new one, or the same. */
  readonly refresh: string;
  readonly access: string | undefined;
}

/** What an authorization request and its answer have in common. `verifier`: of PKCE (RFC 7636, 4.1). */
export interface SignIn {
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}
