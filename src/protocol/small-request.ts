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
  readonly body: Buffer;
}

/**
 * Sends a request, and follows no redirect. Rejects with an Error whose message says what failed, without the URL's query; `signal` aborts.
 */
export type SmallFetch = (request: SmallRequest, signal: AbortSignal) => Promise<SmallAnswer>;
