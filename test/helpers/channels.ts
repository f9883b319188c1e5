/** Clients of every transport and era behind one interface: requests by method, and what the gateway tells on its own. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { joinGateway } from '../../src/downstream/join.js';
import type { Gateway } from '../../src/index.js';
import { TASKS } from '../../src/protocol/tasks.js';
import { atEnd } from './cleanup.js';
import { MCP_HEADERS, type Headers, type JsonRpc } from './http.js';
import { envelope, nameHeaders, REVISION } from './modern.js';
import { until, within } from './wait.js';

export interface Reply {
  /** 0 where the transport has no status for a message. */
  readonly status: number;
  /** Without the date. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** The answer as it was sent. */
  readonly text: string;
  readonly message: JsonRpc;
}

export interface Channel {
  ask(method: string, params?: Record<string, unknown>): Promise<Reply>;
  /** Opens a stream of changes: of the modern era a subscription, otherwise what the session has. Resolves with what was granted. */
  listen(notifications: object): Promise<{ readonly granted: object; readonly close: () => void }>;
  /** What the gateway told without being asked. */
  readonly heard: JsonRpc[];
  /** The bytes of the answer to `initialize` or `server/discover`. */
  readonly greeting: string;
}

/** How a client reaches a gateway, and what it shows. */
export interface Access {
  readonly origin: string;
  readonly headers?: Headers;
  /** Options of TLS. */
  readonly tls?: object;
}

interface Events {
  readonly opened: (res: IncomingMessage) => void;
  readonly failed: (error: Error) => void;
}

/** Requests of one client, over connections that are kept. */
class Http {
  readonly #access: Access;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(access: Access) {
    this.#access = access;
    const options = { keepAlive: true, maxFreeSockets: 4, ...access.tls };
    this.#agent = access.tls ? new HttpsAgent(options) : new HttpAgent(options);
    atEnd(() => {
      this.#agent.destroy();
    });
  }

  begin(
    path: string,
    body: object | undefined,
    headers: Headers,
    { opened, failed }: Events,
  ): { readonly close: () => void } {
    const bytes = body && Buffer.from(JSON.stringify(body));
    const send = this.#access.tls ? httpsRequest : httpRequest;
    const sent = send(new URL(path, this.#access.origin), {
      method: bytes ? 'POST' : 'GET',
      agent: this.#agent,
      headers: {
        ...(bytes ? { ...MCP_HEADERS, 'content-length': bytes.length } : { accept: 'text/event-stream' }),
        ...this.#access.headers,
        ...headers,
      },
    });
    sent.on('response', opened);
    sent.on('error', failed);
    sent.end(bytes);
    return { close: () => void sent.destroy() };
  }

  send(path: string, body: object | undefined, headers: Headers = {}): Promise<Reply> {
    const answer = new Promise<Reply>((resolve, failed) => {
      const opened = (res: IncomingMessage): void => {
        let text = '';
        res.setEncoding('utf8').on('data', (part: string) => (text += part));
        res.on('error', () => undefined);
        res.on('close', () => {
          if (!res.complete) {
            failed(new Error(`an answer of ${path} was cut`));
            return;
          }
          const shown: Record<string, unknown> = { ...res.headers };
          delete shown['date'];
          resolve({ status: res.statusCode ?? 0, headers: shown, text, message: messageIn(text) });
        });
      };
      this.begin(path, body, headers, { opened, failed });
    });
    return within(answer, `an answer of ${path}`);
  }

  /** Opens a stream and gives each event. Resolves with the status. */
  stream(
    path: string,
    body: object | undefined,
    headers: Headers,
    event: (type: string, data: string) => void,
  ): Promise<{ readonly status: number; readonly close: () => void }> {
    const opened = new Promise<{ status: number; close: () => void }>((resolve, failed) => {
      const opened = (res: IncomingMessage): void => {
        let rest = '';
        res.setEncoding('utf8').on('data', (part: string) => {
          const blocks = (rest + part).split('\n\n');
          rest = blocks.pop() ?? '';
          for (const block of blocks) {
            const data = /^data: (.*)$/m.exec(block)?.[1];
            if (data !== undefined && data !== '')
              event(/^event: (.*)$/m.exec(block)?.[1] ?? 'message', data);
          }
        });
        res.on('error', () => undefined);
        atEnd(begun.close);
        resolve({ status: res.statusCode ?? 0, close: begun.close });
      };
      const begun = this.begin(path, body, headers, { opened, failed });
    });
    return within(opened, `the stream ${path}`);
  }
}

/** The one answer in JSON or in an event stream. */
function messageIn(text: string): JsonRpc {
  if (text.startsWith('{')) return JSON.parse(text) as JsonRpc;
  const events = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? '') as JsonRpc);
  return events.find(({ method }) => method === undefined) ?? {};
}

const CLIENT = { name: 'matrix', version: '0' };
const ABLE = { extensions: { [TASKS]: {} } };
const INITIALIZE = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: CLIENT };

/** Messages of a client with one stream for everything. */
class OneStream {
  readonly heard: JsonRpc[] = [];
  readonly #waiting = new Map<unknown, (text: string) => void>();
  readonly #granting = new Map<unknown, (grant: object) => void>();
  #ids = 0;

  took(text: string): void {
    const message = JSON.parse(text) as JsonRpc;
    const waiting = message.method === undefined ? this.#waiting.get(message.id) : undefined;
    this.#waiting.delete(message.id);
    if (waiting) return waiting(text);
    this.heard.push(message);
    const grant = granted(message);
    // Subscriptions are named by the id of their request (2026-07-28, basic/patterns/subscriptions).
    const meta = message.params?.['_meta'] as Record<string, unknown> | undefined;
    if (grant) this.#granting.get(meta?.['io.modelcontextprotocol/subscriptionId'])?.(grant);
  }

  /** What the subscription of this request is granted. */
  granted(id: number): Promise<object> {
    return within(new Promise((resolve) => this.#granting.set(id, resolve)), 'an acknowledgement');
  }

  /** `say`: sends a message. */
  ask(
    say: (message: object) => void,
    method: string,
    params: object,
  ): { readonly id: number; readonly answer: Promise<Reply> } {
    const id = ++this.#ids;
    const answer = new Promise<Reply>((resolve) => {
      this.#waiting.set(id, (text) => {
        resolve({ status: 0, headers: {}, text, message: JSON.parse(text) as JsonRpc });
      });
    });
    say({ jsonrpc: '2.0', id, method, params });
    return { id, answer };
  }
}

/** Sends one request, without a session. */
export function request(access: Access, path: string, body: object | undefined): Promise<Reply> {
  return new Http(access).send(path, body);
}

/** A session over Streamable HTTP. */
export async function overPost(access: Access, route: string): Promise<Channel> {
  const http = new Http(access);
  const heard: JsonRpc[] = [];
  let ids = 0;
  let session: Headers = {};
  const ask = (method: string, params: object = {}): Promise<Reply> =>
    http.send(route, { jsonrpc: '2.0', id: ++ids, method, params }, session);
  const greeted = await ask('initialize', INITIALIZE);
  const id = greeted.headers['mcp-session-id'];
  if (typeof id !== 'string') throw new Error(`no session: ${greeted.status} ${greeted.text}`);
  session = { 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
  await http.send(route, { jsonrpc: '2.0', method: 'notifications/initialized' }, session);
  return {
    ask,
    heard,
    greeting: greeted.text,
    async listen() {
      const { close } = await http.stream(route, undefined, session, (_type, data) => {
        heard.push(JSON.parse(data) as JsonRpc);
      });
      return { granted: {}, close };
    },
  };
}

/** Requests of 2026-07-28 over HTTP. */
export async function overModernPost(access: Access, route: string): Promise<Channel> {
  const http = new Http(access);
  const heard: JsonRpc[] = [];
  let ids = 0;
  const bodyOf = (method: string, params: Record<string, unknown>): object => ({
    jsonrpc: '2.0',
    id: ++ids,
    method,
    params: { ...params, _meta: envelope({ capabilities: ABLE }) },
  });
  const ask = (method: string, params: Record<string, unknown> = {}): Promise<Reply> =>
    http.send(route, bodyOf(method, params), nameHeaders(method, params));
  const { text } = await ask('server/discover');
  return {
    ask,
    heard,
    greeting: text,
    async listen(notifications) {
      const params = { notifications };
      const method = 'subscriptions/listen';
      let acknowledge: (grant: object) => void = () => undefined;
      const acknowledged = new Promise<object>((resolve) => (acknowledge = resolve));
      const { close } = await http.stream(
        route,
        bodyOf(method, params),
        nameHeaders(method, params),
        (_type, data) => {
          const message = JSON.parse(data) as JsonRpc;
          heard.push(message);
          const grant = granted(message);
          if (grant) acknowledge(grant);
        },
      );
      return { granted: await within(acknowledged, 'an acknowledgement'), close };
    },
  };
}

/** What an acknowledgement grants; undefined: the message is something else. */
function granted({ method, params }: JsonRpc): object | undefined {
  return method === 'notifications/subscriptions/acknowledged'
    ? (params?.['notifications'] as object)
    : undefined;
}

/** A session over HTTP+SSE of 2024-11-05. */
export async function overSse(access: Access, route: string): Promise<Channel> {
  const http = new Http(access);
  const one = new OneStream();
  let endpoint = '';
  await http.stream(route.replace(/\/mcp$/, '/sse'), undefined, {}, (type, data) => {
    if (type === 'endpoint') endpoint = data;
    else one.took(data);
  });
  await until(() => endpoint !== '', 'the endpoint');
  const say = (message: object): void => {
    // What is said at the end of a test may not be answered any more; what is asked waits for its answer.
    http.send(endpoint, message).catch(() => undefined);
  };
  return oneStreamed(one, say, 'legacy');
}

/** A pair of streams that a gateway serves. */
function overLines(
  era: 'legacy' | 'modern',
  serve: (input: Readable, output: Writable) => void,
): Promise<Channel> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const one = new OneStream();
  let rest = '';
  output.setEncoding('utf8').on('data', (part: string) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) one.took(line);
  });
  serve(input, output);
  atEnd(() => {
    input.end();
  });
  return oneStreamed(one, (message) => void input.write(`${JSON.stringify(message)}\n`), era);
}

/** `attach()` of the library, as `mcpstead stdio --config` does. */
export function overAttach(gateway: Gateway, era: 'legacy' | 'modern', profile?: string): Promise<Channel> {
  return overLines(era, (input, output) => void gateway.attach(input, output, { profile }));
}

/** `mcpstead stdio --url`. */
export function overJoin(url: string, era: 'legacy' | 'modern', token: string | undefined): Promise<Channel> {
  return overLines(era, (input, output) => {
    const joined = joinGateway({ url: new URL(url), token, log: () => undefined }, input, output);
    atEnd(() => joined.close(0));
  });
}

async function oneStreamed(
  one: OneStream,
  say: (message: object) => void,
  era: 'legacy' | 'modern',
): Promise<Channel> {
  const paramsOf = (params: object): object =>
    era === 'legacy' ? params : { ...params, _meta: envelope({ capabilities: ABLE, version: REVISION }) };
  const ask = (method: string, params: object = {}): Promise<Reply> =>
    within(one.ask(say, method, paramsOf(params)).answer, `an answer to ${method}`);
  const greeted = await (era === 'legacy' ? ask('initialize', INITIALIZE) : ask('server/discover'));
  if (era === 'legacy') say({ jsonrpc: '2.0', method: 'notifications/initialized' });
  return {
    ask,
    heard: one.heard,
    greeting: greeted.text,
    async listen(notifications) {
      if (era === 'legacy') return { granted: {}, close: () => undefined };
      const { id } = one.ask(say, 'subscriptions/listen', paramsOf({ notifications }));
      const close = (): void => {
        say({
          jsonrpc: '2.0',
          method: 'notifications/cancelled',
          params: { requestId: id, _meta: envelope({ version: REVISION }) },
        });
      };
      return { granted: await one.granted(id), close };
    },
  };
}
