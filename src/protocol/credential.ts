/** What the gateway shows to a server: made in credentials/, used by the transports of upstream/. */

/** A server has refused a request. */
export interface CredentialRefusal {
  readonly status: 401 | 403;
  /** WWW-Authenticate; '': none. */
  readonly challenge: string;
  /** `Credential.stamp` when the request was sent. */
  readonly stamp: number;
  /** How often this request was refused before. */
  readonly times: number;
}

/** The credential of one server for one principal. */
export interface Credential {
  /** Counts what `headers` was: a request with an older one was sent with other headers. */
  readonly stamp: number;
  /** Names in lower case and values, in turn; empty: the server is called without. */
  readonly headers: readonly string[];
  /** Variables for the child process of a server over stdio; absent: it gets none. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Which login or key it is: another one once somebody has logged in again, the same after new tokens. Absent or undefined: there is none. */
  readonly login?: string | undefined;
  /** What no log, error or metric may show. */
  readonly secrets: readonly string[];
  /**
   * Before a connection is opened: resolves once there is something to show, or nothing is needed. Rejects with a GatewayError:
   * `login_required`, or `upstream_auth_failed`, whose `data.retryAfter` is in seconds.
   */
  ready(signal: AbortSignal): Promise<void>;
  /**
   * Resolves if the request is to be sent again: with other headers. Rejects with a GatewayError: `login_required`, `upstream_auth_failed`.
   */
  refused(refusal: CredentialRefusal): Promise<void>;
  /** Calls `heard` when a login, or the end of one, has changed what there is to show. Returns how to stop. */
  onChange(heard: () => void): () => void;
}
