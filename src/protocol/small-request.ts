/** Small requests of the gateway itself, such as for the keys of an issuer. */

export interface SmallRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  /** Without Host and Content-Length. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole exchange. */
  readonly timeoutMs: number;
  /** A longer body is an error. */
  readonly maxBytes: number;
}

export interface SmallAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/**
 * Sends a request, and follows no redirect. Rejects with an Error whose message says what failed, without the URL's query; `signal` aborts.
 */
export type SmallFetch = (request: SmallRequest, signal: AbortSignal) => Promise<SmallAnswer>;

export type GuardedAnswer = SmallAnswer;

/** Where requests may go whose addresses a server, or what it leads to, has named. */
export interface Guard {
  /** Origins that the configuration names: any address. */
  readonly origins: ReadonlySet<string>;
  /** `auth.allow_hosts`: any address. */
  readonly allowHosts: readonly string[];
  /** Whether loopback addresses are allowed, also over http: the server is on one. */
  readonly isLoopback: boolean;
  /** Certificates in addition to those of the system. */
  readonly caFile: string | undefined;
  /** How many redirects a GET follows; not set: three. */
  readonly redirects?: number;
  /**
   * Behind a proxy, which resolves names itself, a name is resolved and judged here too, and must resolve. Not set: only addresses in the URL
   * are judged there.
   */
  readonly resolvesBehindProxy?: boolean;
}

/** Why a guarded request was not sent, or not followed. */
export class GuardError extends Error {
  readonly kind: 'private' | 'insecure' | 'redirect';
  readonly host: string;

  constructor(kind: GuardError['kind'], host: string, message: string) {
    super(message);
    this.name = 'GuardError';
    this.kind = kind;
    this.host = host;
  }
}

/**
 * Sends a request to where the guard allows; a GET follows redirects within its origin. Rejects with a GuardError, or with an Error
 * whose message says what failed, without query and body; `signal` aborts.
 */
export type GuardedFetch = (
  request: SmallRequest,
  guard: Guard,
  signal: AbortSignal,
) => Promise<GuardedAnswer>;
