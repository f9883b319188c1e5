/** Logins to servers, as operators see them. Points in time are Unix time in milliseconds. */
import type { CredentialState } from '../observe/stats.js';

/** Why somebody has to log in. */
export type LoginReason = 'never' | 'revoked' | 'scopes' | 'issuer_changed';

/** A login under way. */
export interface LoginAttempt {
  readonly id: string;
  readonly server: string;
  /** Whose login it is; '': everybody's. */
  readonly principal: string;
  readonly issuer: string;
  readonly scopes: readonly string[];
  readonly redirectUri: string;
  /** Where the person is sent. */
  readonly url: string;
  readonly expires: number;
}

/** A login on another device, where the person types `userCode`. */
export interface DeviceAttempt extends LoginAttempt {
  readonly userCode: string;
}

export type LoginState =
  | { readonly state: 'waiting' }
  | { readonly state: 'done' }
  /** `text`: for people. */
  | { readonly state: 'failed'; readonly text: string };

/** A server that takes a login, and how that stands. */
export interface Connection {
  readonly server: string;
  /** `none`: it has not asked for a login. */
  readonly state: CredentialState | 'none';
  readonly reason: LoginReason | undefined;
  readonly issuer: string | undefined;
  readonly scopes: readonly string[];
  /** undefined: not known. */
  readonly expires: number | undefined;
  /** Whether the token renews itself. */
  readonly renews: boolean;
}
