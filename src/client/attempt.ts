/** A request under way: its clock, its cancellation, and what the server says before it answers. */
import { Clock, exchange, rpcError, type Exchanged } from './exchange.js';
import { readMessage, type Incoming } from './message.js';
import type { SseEvent } from './sse.js';
import {
  failed,
  objectOf,
  type Answerer,
  type ClientOptions,
  type JsonObject,
  type McpError,
  type Outcome,
  type Question,
  type Reply,
  type RequestOptions,
} from './types.js';

const IDLE_MS = 60_000;
/** The code for a request that a person refuses, as in the specification of sampling. */
const REFUSED = -1;
const METHOD_NOT_FOUND = -32_601;
const QUESTIONS: readonly string[] = ['elicitation/create', 'sampling/createMessage', 'roots/list'];

export class Attempt {
  readonly clock: Clock;
  readonly #abort = new AbortController();
  readonly #client: ClientOptions;
  readonly #options: RequestOptions;
  readonly #token: number;
  readonly #onAbort = (): void => this.#abort.abort();

  constructor(client: ClientOptions, options: RequestOptions, token: number) {
    this.#client = client;
    this.#options = options;
    this.#token = token;
    this.clock = new Clock(options.idleMs ?? client.idleMs ?? IDLE_MS, this.#onAbort);
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal?.aborted) this.#abort.abort();
  }

  /** Aborts at the caller's signal and at the time-out. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  end(): void {
    this.clock.stop();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    // Open questions need no answer any more.
    this.#abort.abort();
  }

  get answerer(): Answerer | undefined {
    return this.#options.answer ?? this.#client.answer;
  }

  /** Sends `body` and returns the answer to `id`. `asked` gets the requests of the server, `event` its events. */
  async exchange(
    id: number,
    request: { headers: Record<string, string>; body?: string; method?: 'POST' | 'GET' },
    asked: (question: Extract<Incoming, { kind: 'request' }>) => void,
    event?: (event: SseEvent) => void,
  ): Promise<{ readonly http: Exchanged; readonly answer: Outcome<JsonObject> | undefined }> {
    let answer: Outcome<JsonObject> | undefined;
    if (request.body !== undefined) this.#see('sent', request.body);
    const http = await exchange({
      url: this.#client.url,
      method: request.method ?? 'POST',
      headers: request.headers,
      ...(request.body === undefined ? {} : { body: request.body }),
      signal: this.signal,
      clock: this.clock,
      fetch: this.#client.fetch,
      ...(event ? { event } : {}),
      received: (text) => {
        this.#see('received', text);
        const message = readMessage(text);
        if (message.kind === 'answer' && message.id === id) answer = outcomeOf(message, text);
        else if (message.kind === 'request') asked(message);
        else if (message.kind === 'notification') this.#notified(message.method, message.params);
        return answer !== undefined;
      },
    });
    if (!http.ok && http.body !== undefined && http.body !== '') this.#see('received', http.body);
    return { http, answer };
  }

  /** Asks the person. While he thinks, the clock stands still. */
  async ask(question: Question): Promise<Reply> {
    const { answerer } = this;
    if (!QUESTIONS.includes(question.method))
      return { error: { code: METHOD_NOT_FOUND, message: `${question.method} is not supported` } };
    if (!answerer) return { error: { code: REFUSED, message: 'nobody is there to answer' } };
    this.clock.pause();
    try {
      return await answerer(question, this.signal);
    } catch {
      return { error: { code: REFUSED, message: 'refused by the user' } };
    } finally {
      this.clock.resume();
    }
  }

  #see(direction: 'sent' | 'received', text: string): void {
    this.#client.observe?.({ time: Date.now(), direction, text });
  }

  #notified(method: string, params: JsonObject): void {
    if (method === 'notifications/progress' && params['progressToken'] === this.#token) {
      const { progress, total, message } = params;
      if (typeof progress === 'number')
        this.#options.progress?.({
          progress,
          total: typeof total === 'number' ? total : null,
          message: typeof message === 'string' ? message : null,
        });
      return;
    }
    if (method === 'notifications/message') {
      const { level, logger, data } = params;
      this.#options.log?.({
        level: typeof level === 'string' ? level : 'info',
        logger: typeof logger === 'string' ? logger : null,
        data,
      });
    }
    this.#client.notified?.(method, params);
  }
}

function outcomeOf(message: Extract<Incoming, { kind: 'answer' }>, raw: string): Outcome<JsonObject> {
  if (message.error) return { ok: false, error: rpcError(message.error), raw };
  return { ok: true, value: message.result ?? {}, raw };
}

/** The error of an exchange that brought no answer. */
export const noAnswer = (
  http: Exchanged,
): { readonly ok: false; readonly error: McpError; readonly raw?: string } =>
  http.ok
    ? failed('network', http.status, 'incomplete', 'the connection ended before the answer')
    : { ok: false, error: http.error, ...(http.body ? { raw: http.body } : {}) };

/** What a client that answers questions declares. */
export const capabilitiesOf = (answers: boolean): JsonObject =>
  answers ? { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} } : {};

export const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** Questions of a modern server; empty: none. */
export function questionsOf(result: JsonObject): Question[] {
  return Object.entries(objectOf(result['inputRequests']) ?? {}).map(([id, request]) => ({
    id,
    method: textOf(objectOf(request)?.['method']) ?? '',
    params: objectOf(objectOf(request)?.['params']) ?? {},
  }));
}
