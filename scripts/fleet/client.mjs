// One client of the traffic: an SDK client with its server stream open, which calls a tool every so often and says how each call went.
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { setTimeout as sleep } from 'node:timers/promises';

const INFO = { name: 'fleet-traffic', version: '0' };
/** A call that is not over by then has failed. */
const CALL_MS = 30_000;
/** Between two calls of a client: twice this at the most. */
const PAUSE_MS = 1000;

/** The kinds of calls, and how many of a hundred are of each kind. */
const CALLS = [
  { of: 70, name: 'http__echo', args: { message: 'hello' } },
  { of: 15, name: 'stdio__echo', args: { message: 'hello' } },
  { of: 10, name: 'http__trigger-long-running-operation', args: { duration: 1, steps: 4 }, steps: 4 },
  { of: 5, name: 'http__trigger-long-running-operation', args: { duration: 6, steps: 2 } },
];

/** `v1`, `v2`: revision 2025-11-25 and a session; `modern`: revision 2026-07-28, which has none. */
export class TrafficClient {
  #client;
  #transport;
  #stopped = new AbortController();
  /** Calls that are not over. */
  open = new Set();
  /** The answers to GETs that are open and lead to the session, not to one call. */
  #streams = new Set();

  /** `said`: gets each call that is over, `{client, name, began, ended, error}`; times by performance.now(). */
  constructor(kind, url, said) {
    this.kind = kind;
    this.said = said;
    this.url = new URL(url);
  }

  get hasSession() {
    return this.kind !== 'modern';
  }

  get sessionId() {
    return this.#transport?.sessionId;
  }

  async connect() {
    const options = { fetch: (url, init) => this.#fetch(url, init) };
    if (this.kind === 'v1') {
      this.#transport = new HttpV1(this.url, options);
      this.#client = new ClientV1(INFO);
    } else {
      const mode = this.kind === 'v2' ? 'legacy' : { pin: '2026-07-28' };
      this.#transport = new HttpV2(this.url, options);
      this.#client = new ClientV2(INFO, { versionNegotiation: { mode } });
    }
    this.#client.onerror = () => {};
    await this.#client.connect(this.#transport);
  }

  /** Whether it has a server stream, as all with a session should. */
  get isStreaming() {
    return this.#streams.size > 0;
  }

  /** Calls until `stop`. */
  async run() {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.call(chosen());
      await sleep(Math.random() * 2 * PAUSE_MS, undefined, { signal }).catch(() => {});
    }
  }

  async call({ name, args, steps }) {
    const call = { client: this, name, began: performance.now(), ended: undefined, error: undefined };
    this.open.add(call);
    let told = 0;
    const options = { timeout: CALL_MS, ...(steps && { onprogress: () => told++ }) };
    try {
      const params = { name, arguments: args };
      const { isError } = await (this.kind === 'v1'
        ? this.#client.callTool(params, undefined, options)
        : this.#client.callTool(params, options));
      if (isError) call.error = new Error('the tool failed');
      else if (steps && told > steps) call.error = new Error(`${told} of ${steps} steps were told`);
    } catch (error) {
      call.error = error;
    }
    call.ended = performance.now();
    this.open.delete(call);
    this.said(call);
    return call;
  }

  stop() {
    this.#stopped.abort();
  }

  async close() {
    this.stop();
    await this.#client?.close().catch(() => {});
  }

  async #fetch(url, init) {
    const answer = await fetch(url, init);
    if ((init?.method ?? 'GET') !== 'GET' || !answer.ok || !answer.body) return answer;
    // Event ids of a call have a fourth part.
    const resumed = new Headers(init.headers).get('last-event-id') ?? '';
    if (resumed.split('-').length > 3) return answer;
    this.#streams.add(answer);
    const over = () => this.#streams.delete(answer);
    const reader = answer.body.getReader();
    const body = new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          over();
          controller.close();
        } catch (error) {
          over();
          controller.error(error);
        }
      },
      cancel(reason) {
        over();
        return reader.cancel(reason);
      },
    });
    return new Response(body, { status: answer.status, headers: answer.headers });
  }
}

function chosen() {
  let left = Math.random() * 100;
  return CALLS.find(({ of }) => (left -= of) < 0) ?? CALLS[0];
}
