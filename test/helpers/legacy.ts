/** A legacy client that exposes every message to the test: a session, its calls as streams, its answers. */
import type { Agent } from 'node:http';
import { until } from './wait.js';
import {
  message,
  openSse,
  post,
  send,
  textOf,
  type Answer,
  type Headers,
  type JsonRpc,
  type SseStream,
} from './http.js';

export interface LegacyOptions {
  readonly capabilities?: object;
  readonly protocolVersion?: string;
  readonly headers?: Headers;
  /** Opens the session; it may use another source address. */
  readonly agent?: Agent;
}

export class LegacyClient {
  readonly url: string;
  readonly headers: Headers;
  /** The `result` of initialize. */
  readonly greeting: Record<string, unknown>;
  #ids = 100;

  constructor(url: string, headers: Headers, greeting: Record<string, unknown>) {
    this.url = url;
    this.headers = headers;
    this.greeting = greeting;
  }

  /** Sends a request and returns its answer. */
  async request(method: string, params: object = {}, id: number = ++this.#ids): Promise<JsonRpc> {
    return message(await post(this.url, { jsonrpc: '2.0', id, method, params }, this.headers));
  }

  async list(method: string, member: string): Promise<Record<string, unknown>[]> {
    const { result } = await this.request(method);
    return result?.[member] as Record<string, unknown>[];
  }

  async tool(name: string, args: object = {}): Promise<string> {
    return textOf(await this.request('tools/call', { name, arguments: args }));
  }

  /** Makes a call and returns its event stream. */
  stream(
    name: string,
    args: object = {},
    { id = ++this.#ids, meta }: { id?: number | string; meta?: object } = {},
  ): Promise<SseStream> {
    const params = { name, arguments: args, ...(meta ? { _meta: meta } : {}) };
    return openSse(this.url, { jsonrpc: '2.0', id, method: 'tools/call', params }, this.headers);
  }

  /** Posts a notification or the answer to a question. */
  say(body: object): Promise<Answer> {
    return post(this.url, { jsonrpc: '2.0', ...body }, this.headers);
  }

  /** The server-to-client stream, from the start or after an event. */
  listen(lastEventId?: string): Promise<SseStream> {
    return openSse(this.url, undefined, {
      ...this.headers,
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    });
  }

  end(): Promise<Answer> {
    return send(this.url, undefined, { method: 'DELETE', headers: this.headers });
  }
}

export const ALL_CAPABILITIES = {
  elicitation: { form: {}, url: {} },
  sampling: { tools: {}, context: {} },
  roots: { listChanged: true },
};

export async function connect(
  url: string,
  {
    capabilities = ALL_CAPABILITIES,
    protocolVersion = '2025-11-25',
    headers = {},
    agent,
  }: LegacyOptions = {},
): Promise<LegacyClient> {
  const clientInfo = { name: 'test', version: '0' };
  const params = { protocolVersion, capabilities, clientInfo };
  const answer = await post(url, { jsonrpc: '2.0', id: 0, method: 'initialize', params }, headers, agent);
  const id = answer.headers['mcp-session-id'];
  if (typeof id !== 'string') throw new Error(`no session: ${answer.status} ${answer.text}`);
  const own: Headers = {
    ...headers,
    'mcp-session-id': id,
    ...(protocolVersion >= '2025-06-18' ? { 'mcp-protocol-version': protocolVersion } : {}),
  };
  const client = new LegacyClient(url, own, answer.json().result ?? {});
  await client.say({ method: 'notifications/initialized' });
  return client;
}

/** The answer at the end of a call's stream, from JSON or from an event. */
export async function final(stream: SseStream): Promise<JsonRpc> {
  await stream.done();
  if (!String(stream.headers['content-type']).startsWith('text/event-stream'))
    return JSON.parse(stream.text) as JsonRpc;
  const answers = messagesOf(stream).filter(({ method }) => method === undefined);
  if (answers.length !== 1) throw new Error(`${answers.length} answers in the stream: ${stream.text}`);
  return answers[0] as JsonRpc;
}

export const messagesOf = (stream: SseStream): JsonRpc[] =>
  stream.events.map(({ data }) => JSON.parse(data) as JsonRpc);

/** Waits until the stream has delivered `count` messages with `method`; returns all of them. */
export function heard(stream: SseStream, method: string, count = 1): Promise<JsonRpc[]> {
  return until(() => {
    const found = messagesOf(stream).filter((each) => each.method === method);
    return found.length >= count && found;
  }, `${count} ${method}`);
}
