/** One HTTP request and the messages of its answer, from JSON or from an event stream. */
import { SseReader, SseTooLarge, type SseEvent } from './sse.js';
import { failed, MAX_ANSWER, objectOf, type Fetch, type FetchAnswer, type McpError } from './types.js';

/** Answers longer than this are cut in error messages. */
const SHOWN = 300;
/** Longest delay of a timer. */
const NEVER = 2 ** 31 - 1;

export interface Exchange {
  readonly url: string;
  readonly method: 'POST' | 'GET' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
  /** undefined: a stream without an end; only its single events are limited then. */
  readonly clock: Clock | undefined;
  /** Gets each message. Returns true if it is the last one: the rest is not read. */
  readonly received: (text: string) => boolean;
  readonly event?: (event: SseEvent) => void;
  readonly fetch: Fetch | undefined;
}

export type Exchanged =
  | {
      readonly ok: true;
      readonly status: number;
      readonly headers: FetchAnswer['headers'];
      readonly last: boolean;
    }
  | { readonly ok: false; readonly error: McpError; readonly body?: string };

/** Ends a request without bytes for too long. It stands still while the request waits for an answer from a person. */
export class Clock {
  readonly #ms: number;
  readonly #expired: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #paused = 0;
  over = false;

  constructor(ms: number, expired: () => void) {
    this.#ms = Math.min(ms, NEVER);
    this.#expired = expired;
    this.restart();
  }

  restart(): void {
    clearTimeout(this.#timer);
    if (this.#paused > 0) return;
    this.#timer = setTimeout(() => {
      this.over = true;
      this.#expired();
    }, this.#ms);
  }

  pause(): void {
    this.#paused++;
    clearTimeout(this.#timer);
  }

  resume(): void {
    this.#paused--;
    this.restart();
  }

  stop(): void {
    this.#paused = Infinity;
    clearTimeout(this.#timer);
  }
}

/** Sends a request and passes on the messages of its answer. Never throws because of the peer. */
export async function exchange(request: Exchange): Promise<Exchanged> {
  const { clock, signal } = request;
  try {
    const send: Fetch = request.fetch ?? fetch;
    const response = await send(request.url, {
      method: request.method,
      headers: request.headers,
      signal,
      redirect: 'error',
      credentials: 'omit',
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    clock?.restart();
    return await read(response, request);
  } catch (error) {
    if (error instanceof SseTooLarge || error instanceof TooLarge)
      return failed('network', null, 'too_large', `the answer is over ${MAX_ANSWER / 1024 / 1024} MB`);
    if (clock?.over) return failed('network', null, 'timeout', `${host(request.url)} did not answer in time`);
    if (signal.aborted) return failed('network', null, 'cancelled', 'cancelled');
    return failed('network', null, 'unreachable', `cannot reach ${host(request.url)}: ${reason(error)}`);
  }
}

async function read(response: FetchAnswer, request: Exchange): Promise<Exchanged> {
  const { status, headers } = response;
  const type = (headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase();
  if (!response.ok) {
    const body = await text(response, request.clock);
    return { ...httpError(status, body), body };
  }
  if (type !== 'text/event-stream') {
    const body = await text(response, request.clock);
    const last = body.trim() === '' ? false : request.received(body);
    return { ok: true, status, headers, last };
  }
  let last = false;
  const reader = new SseReader(
    (event) => {
      request.event?.(event);
      if (event.data !== '' && event.type === 'message' && !last) last = request.received(event.data);
    },
    request.clock ? MAX_ANSWER : MAX_ANSWER / 16,
  );
  await chunks(response, request.clock, (chunk) => {
    reader.push(chunk);
    return last;
  });
  return { ok: true, status, headers, last };
}

class TooLarge extends Error {}

/** Decodes the body in pieces until `each` returns true. */
async function chunks(
  response: FetchAnswer,
  clock: Clock | undefined,
  each: (text: string) => boolean,
): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || !value) break;
      clock?.restart();
      bytes += value.byteLength;
      if (clock && bytes > MAX_ANSWER) throw new TooLarge();
      if (each(decoder.decode(value, { stream: true }))) break;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function text(response: FetchAnswer, clock: Clock | undefined): Promise<string> {
  const parts: string[] = [];
  await chunks(response, clock, (part) => {
    parts.push(part);
    return false;
  });
  return parts.join('');
}

/** The error of an HTTP answer that is not a success: a JSON-RPC error, a problem document or plain text. */
export function httpError(status: number, body: string): { readonly ok: false; readonly error: McpError } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    parsed = undefined;
  }
  const object = objectOf(parsed);
  const rpc = objectOf(object?.['error']);
  if (typeof rpc?.['code'] === 'number') return { ok: false, error: { ...rpcError(rpc), status } };
  const code = object?.['code'] ?? object?.['error'];
  const words = object?.['detail'] ?? object?.['message'] ?? (object ? undefined : body.slice(0, SHOWN));
  return failed(
    'http',
    status,
    typeof code === 'string' ? code : null,
    typeof words === 'string' && words !== '' ? words : `answered with HTTP ${status}`,
  );
}

export function rpcError(error: Record<string, unknown>): McpError {
  const { code, message, data } = error;
  return {
    kind: 'jsonrpc',
    status: null,
    code: typeof code === 'number' ? code : null,
    message: typeof message === 'string' ? message : 'the error has no message',
    ...(data === undefined ? {} : { data }),
  };
}

const host = (url: string): string => {
  try {
    return new URL(url).host;
  } catch {
    return 'the server';
  }
};

function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown reason';
  const cause = error.cause instanceof Error ? error.cause.message : '';
  return cause === '' ? error.message : cause;
}
