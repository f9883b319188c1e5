/** What an MCP client gives and takes. Errors are values: nothing here throws because of a peer. */

export type Era = 'legacy' | 'modern';

/** Newest revisions of the two eras. */
export const REVISIONS: Readonly<Record<Era, string>> = { legacy: '2025-11-25', modern: '2026-07-28' };

export type JsonObject = Record<string, unknown>;

/** Why a request has no result. */
export interface McpError {
  /** `http`: an HTTP error without a JSON-RPC answer; `jsonrpc`: an answered error; `network`: no complete or valid answer. */
  readonly kind: 'http' | 'jsonrpc' | 'network';
  /** The HTTP status; null: there was no answer. */
  readonly status: number | null;
  /**
   * The number of a JSON-RPC error or the code of an HTTP problem. For `network`: `unreachable`, `timeout`, `cancelled`, `too_large`,
   * `invalid` or `incomplete`.
   */
  readonly code: number | string | null;
  readonly message: string;
  /** `data` of a JSON-RPC error. */
  readonly data?: unknown;
}

/** `raw`: the answering message as it was received. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T; readonly raw: string }
  | { readonly ok: false; readonly error: McpError; readonly raw?: string };

/** A message as it was sent or received. */
export interface WireMessage {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly direction: 'sent' | 'received';
  readonly text: string;
}

/** A request from the server. `id` is unique within a call. */
export interface Question {
  readonly id: string;
  /** `elicitation/create`, `sampling/createMessage` or `roots/list`. */
  readonly method: string;
  readonly params: JsonObject;
}

export type Reply =
  { readonly result: JsonObject } | { readonly error: { readonly code: number; readonly message: string } };

/** Answers a question; `signal` aborts when the answer is no longer needed. */
export type Answerer = (question: Question, signal: AbortSignal) => Promise<Reply> | Reply;

export interface Progress {
  readonly progress: number;
  readonly total: number | null;
  readonly message: string | null;
}

export interface LogMessage {
  readonly level: string;
  readonly logger: string | null;
  readonly data: unknown;
}

/** The part of `fetch` that the client needs. Rejects if there is no answer. */
export type Fetch = (
  url: string,
  request: {
    readonly method: 'POST' | 'GET' | 'DELETE';
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly signal: AbortSignal;
    readonly redirect: 'error';
    readonly credentials: 'omit';
  },
) => Promise<FetchAnswer>;

export interface FetchAnswer {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): BodyReader } | null;
}

/** `cancel` closes the connection if the body has not ended. */
export interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

export interface ClientOptions {
  /** The MCP endpoint. */
  readonly url: string;
  readonly era: Era;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** Credentials; read for each HTTP request. */
  readonly headers?: () => Readonly<Record<string, string>>;
  /** Gets every message in the order of the wire. */
  readonly observe?: (message: WireMessage) => void;
  /** Answers questions outside calls; without it the client declares no capabilities. */
  readonly answer?: Answerer;
  /** Gets notifications, except the progress of a call. */
  readonly notified?: (method: string, params: JsonObject) => void;
  /** Milliseconds without a byte before a request fails; default 60,000. Open questions stop the clock. */
  readonly idleMs?: number;
  /** By default the global one. */
  readonly fetch?: Fetch;
}

export interface RequestOptions {
  /** Cancels the request, at the server too. */
  readonly signal?: AbortSignal;
  readonly idleMs?: number;
  readonly progress?: (progress: Progress) => void;
  readonly log?: (message: LogMessage) => void;
  /** Takes precedence over the client's. */
  readonly answer?: Answerer;
  /** The least severity of log messages to ask for. */
  readonly logLevel?: string;
  /** The input schema of the called tool: some of its properties are sent as HTTP headers too (modern). */
  readonly schema?: unknown;
}

/** One page of a list. */
export interface Page {
  readonly items: readonly JsonObject[];
  readonly nextCursor: string | undefined;
}

/** Largest answer that is read, in bytes. */
export const MAX_ANSWER = 16 * 1024 * 1024;

export const failed = (
  kind: McpError['kind'],
  status: number | null,
  code: McpError['code'],
  message: string,
): { readonly ok: false; readonly error: McpError } => ({
  ok: false,
  error: { kind, status, code, message },
});

/** undefined: it is not an object. */
export const objectOf = (value: unknown): JsonObject | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
