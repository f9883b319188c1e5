/** A session of revision 2025-11-25: a handshake, requests from the server, streams that can be resumed. */
import { Attempt, capabilitiesOf, noAnswer, textOf } from './attempt.js';
import { exchange, type Exchanged } from './exchange.js';
import { notificationBody, requestBody, type Arguments, type Incoming } from './message.js';
import {
  objectOf,
  REVISIONS,
  type ClientOptions,
  type JsonObject,
  type Outcome,
  type Reply,
  type RequestOptions,
} from './types.js';

/** Resumptions of a stream that brought no new event. */
const RESUMPTIONS = 5;
const RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
/** Milliseconds for notifications, replies and the end of the session. */
const SHORT = 5_000;

type Asked = Extract<Incoming, { kind: 'request' }>;

export class LegacyChannel {
  readonly #client: ClientOptions;
  #ids = 0;
  #opening: Promise<Outcome<JsonObject>> | undefined;
  #session: string | undefined;
  #revision: string = REVISIONS.legacy;
  #level: string | undefined;
  #listening: AbortController | undefined;
  /** Requests under way, newest last. */
  readonly #attempts = new Set<Attempt>();

  constructor(client: ClientOptions) {
    this.#client = client;
  }

  /** The handshake, once; a failed one is tried again by the next request. */
  open(options: RequestOptions): Promise<Outcome<JsonObject>> {
    this.#opening ??= this.#initialize(options).then((outcome) => {
      if (!outcome.ok) this.#opening = undefined;
      return outcome;
    });
    return this.#opening;
  }

  async request(
    method: string,
    params: JsonObject,
    args: Arguments | undefined,
    options: RequestOptions,
    again = true,
  ): Promise<Outcome<JsonObject>> {
    const opened = await this.open({ ...(options.signal ? { signal: options.signal } : {}) });
    if (!opened.ok) return opened;
    if (options.logLevel !== undefined && options.logLevel !== this.#level) {
      const { logLevel: level } = options;
      this.#level = level;
      if (objectOf(opened.value['capabilities'])?.['logging'])
        await this.#send('logging/setLevel', { level }, undefined, {});
    }
    const session = this.#session;
    const outcome = await this.#send(method, params, args, options);
    // The session is gone, and the request was not looked at.
    if (again && !outcome.ok && outcome.error.status === 404 && session !== undefined) {
      if (this.#session === session) this.#forget();
      return this.request(method, params, args, options, false);
    }
    return outcome;
  }

  /** Ends the session. */
  async close(): Promise<void> {
    const session = this.#session;
    const headers = this.#headers();
    this.#forget();
    if (session === undefined) return;
    await this.#short('DELETE', headers);
  }

  #forget(): void {
    this.#listening?.abort();
    this.#listening = undefined;
    this.#opening = undefined;
    this.#session = undefined;
    this.#level = undefined;
    this.#revision = REVISIONS.legacy;
  }

  #headers(): Record<string, string> {
    return {
      ...this.#client.headers?.(),
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(this.#session === undefined
        ? {}
        : { 'mcp-session-id': this.#session, 'mcp-protocol-version': this.#revision }),
    };
  }

  async #initialize(options: RequestOptions): Promise<Outcome<JsonObject>> {
    const id = ++this.#ids;
    const attempt = new Attempt(this.#client, options, id);
    const body = requestBody(
      id,
      'initialize',
      {
        protocolVersion: REVISIONS.legacy,
        capabilities: capabilitiesOf(this.#client.answer !== undefined),
        clientInfo: this.#client.clientInfo,
      },
      undefined,
      undefined,
    );
    try {
      const { http, answer } = await attempt.exchange(id, { headers: this.#headers(), body }, () => {});
      if (!answer) return noAnswer(http);
      if (!answer.ok) return answer;
      if (http.ok) this.#session = http.headers.get('mcp-session-id') ?? undefined;
      this.#revision = textOf(answer.value['protocolVersion']) ?? REVISIONS.legacy;
      await this.#post(notificationBody('notifications/initialized'));
      this.#listen();
      return answer;
    } finally {
      attempt.end();
    }
  }

  async #send(
    method: string,
    params: JsonObject,
    args: Arguments | undefined,
    options: RequestOptions,
  ): Promise<Outcome<JsonObject>> {
    const id = ++this.#ids;
    const attempt = new Attempt(this.#client, options, id);
    const body = requestBody(id, method, params, args, options.progress ? { progressToken: id } : undefined);
    const cancel = (): void =>
      void this.#post(notificationBody('notifications/cancelled', { requestId: id, reason: 'cancelled' }));
    attempt.signal.addEventListener('abort', cancel, { once: true });
    this.#attempts.add(attempt);
    const position = { event: undefined as string | undefined, retry: RETRY_MS, count: 0 };
    const asked = (question: Asked): void => void this.#answer(question, attempt);
    const event = ({ id: eventId, retry }: { id: string | undefined; retry: number | undefined }): void => {
      position.count++;
      position.event = eventId ?? position.event;
      position.retry = Math.min(retry ?? position.retry, MAX_RETRY_MS);
    };
    try {
      let { http, answer } = await attempt.exchange(id, { headers: this.#headers(), body }, asked, event);
      for (let lost = 0; !answer && resumable(http) && position.event !== undefined && lost < RESUMPTIONS;) {
        const before = position.count;
        await new Promise((resolve) => setTimeout(resolve, position.retry));
        if (attempt.signal.aborted) break;
        const headers = { ...this.#headers(), 'last-event-id': position.event, accept: 'text/event-stream' };
        ({ http, answer } = await attempt.exchange(id, { headers, method: 'GET' }, asked, event));
        lost = position.count === before ? lost + 1 : 0;
      }
      return answer ?? noAnswer(http);
    } finally {
      this.#attempts.delete(attempt);
      attempt.signal.removeEventListener('abort', cancel);
      attempt.end();
    }
  }

  async #answer({ id, method, params }: Asked, attempt: Attempt): Promise<void> {
    const reply: Reply =
      method === 'ping' ? { result: {} } : await attempt.ask({ id: JSON.stringify(id), method, params });
    if (attempt.signal.aborted) return;
    await this.#post(JSON.stringify({ jsonrpc: '2.0', id, ...reply }));
  }

  /** The stream for messages that belong to no request. A server may not have it. */
  #listen(): void {
    const controller = new AbortController();
    this.#listening = controller;
    // It never counts as an answer, so it has no progress token of its own.
    const attempt = new Attempt(this.#client, { signal: controller.signal }, 0);
    attempt.clock.stop();
    void (async () => {
      try {
        for (let failures = 0; failures < RESUMPTIONS && !controller.signal.aborted; failures++) {
          const headers = { ...this.#headers(), accept: 'text/event-stream' };
          const { http } = await attempt.exchange(
            -1,
            { headers, method: 'GET' },
            // A server may ask here although a call is the reason.
            (question) => void this.#answer(question, [...this.#attempts].at(-1) ?? attempt),
            () => (failures = 0),
          );
          if (!http.ok && http.error.kind !== 'network') return;
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      } finally {
        attempt.end();
      }
    })();
  }

  /** Posts a notification or a reply. */
  async #post(body: string): Promise<void> {
    this.#client.observe?.({ time: Date.now(), direction: 'sent', text: body });
    await this.#short('POST', this.#headers(), body);
  }

  async #short(method: 'POST' | 'DELETE', headers: Record<string, string>, body?: string): Promise<void> {
    await exchange({
      url: this.#client.url,
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.timeout(SHORT),
      clock: undefined,
      fetch: this.#client.fetch,
      received: () => false,
    });
  }
}

/** Whether the rest of the stream may still come: it broke, or the server closed it. */
const resumable = (http: Exchanged): boolean =>
  http.ok || (http.error.kind === 'network' && http.error.code === 'unreachable');
