/** Logins to servers, as operators see them. Points in time are Unix time in milliseconds. */
import type { CredentialState } from '../observe/stats.js';
import type { Principal } from './principal.js';

/** The owner of logins that serve everybody; other owners are ids of principals. */
export const EVERYBODY = '';

/** What is said where a browser comes back with the answer to no login. */
export const UNKNOWN_LOGIN =
  'this login is unknown, was used already, or its 10 minutes are over: begin it again';

/** Why somebody has to log in. */
export type LoginReason = 'never' | 'revoked' | 'scopes' | 'issuer_changed' | 'unreadable';

/** The longest key for a server, in characters. */
export const LONGEST_KEY = 16_384;
const SERVER_KEY = /^[\x21-\x7e]+$/;

/** Whether a text can be the key for a server: a header and an environment variable can carry it. */
export function isServerKey(text: string): boolean {
  return text.length <= LONGEST_KEY && SERVER_KEY.test(text);
}

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
  /** Whose login it is: one for everybody, or each user's own. */
  readonly per: 'gateway' | 'user';
  /** What a person gives: a login at an authorization server, or a key. */
  readonly takes: 'login' | 'key';
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

/** A login that somebody may begin. */
export interface LoginAsk {
  readonly server: string;
  /** EVERYBODY, or the id of a principal. */
  readonly owner: string;
  /** In addition to those that the server asks for. */
  readonly scopes: readonly string[];
}

/** What a login would ask for. */
export interface LoginPreview {
  /** Where the browser is sent: the host of the issuer, and that of the page where people log in, if it is another one. */
  readonly hosts: readonly string[];
  readonly scopes: readonly string[];
}

/** A link to the page where somebody logs in. */
export interface LoginOffer {
  readonly id: string;
  readonly url: string;
}

/** The logins that callers are offered in place of an answer. */
export interface LoginOffers {
  /**
   * A link for a principal to the page where he logs in to a server; the same one as long as it holds and the scopes are equal. `scopes`:
   * besides those that the server asks for. undefined: he cannot log in there by a page.
   */
  offer(server: string, principal: Principal, scopes: readonly string[]): LoginOffer | undefined;
  /** Whether an offer has led to a login; waits until it has, until it cannot any more, or until the signal aborts. */
  done(id: string, signal: AbortSignal): Promise<boolean>;
}
