/** HTTP at byte level: nothing here parses, folds or repairs a gateway's output unless requested. */
import type { Agent } from 'node:http';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { atEnd } from './cleanup.js';
import { until, within } from './wait.js';

export interface JsonRpc {
  jsonrpc?: unknown;
  id?: unknown;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { code: number; message: string; data?: unknown };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** False if the connection ended before the body was complete. */
  readonly complete: boolean;
  readonly text: string;
  json<T = JsonRpc>(): T;
}

export type Body = string | Uint8Array | object;
export type Headers = Record<string, string>;

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Headers;
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
}

export const MCP_HEADERS: Headers = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
};
export const JSON_ONLY: Headers = { accept: 'application/json' };
export const SSE_ONLY: Headers = { accept: 'text/event-stream' };

const toBytes = (body: Body): Buffer =>
  typeof body === 'string'
    ? Buffer.from(body)
    : body instanceof Uint8Array
      ? Buffer.from(body)
      : Buffer.from(JSON.stringify(body));

function begin(url: string, body: Body | undefined, options: RequestOptions): Promise<IncomingMessage> {
  const bytes = body === undefined ? undefined : toBytes(body);
  return new Promise((resolve, reject) => {
    const req = httpRequest(url, {
      method: options.method ?? (bytes ? 'POST' : 'GET'),
      agent: options.agent ?? false,
      headers: { ...options.headers, ...(bytes ? { 'content-length': String(bytes.length) } : {}) },
      ...(options.signal ? { signal: options.signal } : {}),
    });
    req.on('response', resolve);
    req.on('error', reject);
    req.end(bytes);
  });
}

/** Sends a request and reads the whole answer. A cut answer is not an error: see `complete`. */
export async function send(url: string, body?: Body, options: RequestOptions = {}): Promise<Answer> {
  const res = await begin(url, body, options);
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve) => {
    res.on('data', (chunk: Buffer) => chunks.push(chunk));
    res.on('error', () => {});
    res.on('close', resolve);
  });
  const bytes = Buffer.concat(chunks);
  const text = bytes.toString('utf8');
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    bytes,
    complete: res.complete,
    text,
    json: <T>() => JSON.parse(text) as T,
  };
}

/** Makes two requests. When they are answered, the gateway has processed everything that reached its sockets before. */
export async function beat(url: string): Promise<void> {
  for (let n = 0; n < 2; n++) await send(new URL('/health', url).href);
}

/** POSTs with the headers of an MCP client; `headers` overrides some of them. */
export function post(url: string, body: Body, headers: Headers = {}, agent?: Agent): Promise<Answer> {
  return send(url, body, { headers: { ...MCP_HEADERS, ...headers }, ...(agent ? { agent } : {}) });
}

/** The body of a `tools/call`. */
export const callBody = (
  name: string,
  args: object = {},
  id: string | number = 1,
  meta?: object,
): JsonRpc => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args, ...(meta ? { _meta: meta } : {}) },
});

/** Calls a tool and returns the JSON-RPC answer, from JSON or from SSE. */
export async function callTool(
  url: string,
  name: string,
  args: object = {},
  headers: Headers = {},
): Promise<JsonRpc> {
  return message(await post(url, callBody(name, args), headers));
}

/** The one JSON-RPC answer in a JSON or SSE body. */
export function message(answer: Answer): JsonRpc {
  if (!String(answer.headers['content-type']).startsWith('text/event-stream')) return answer.json();
  const last = parseEvents(answer.text)
    .filter((event) => event.data !== '')
    .map((event) => JSON.parse(event.data) as JsonRpc)
    .find((candidate) => candidate.method === undefined);
  if (!last) throw new Error(`no answer in the stream: ${answer.text}`);
  return last;
}

/** The text of a result's first block. */
export function textOf(answer: JsonRpc): string {
  const content = answer.result?.['content'] as { text?: string }[] | undefined;
  if (!content) throw new Error(`not a tool result: ${JSON.stringify(answer)}`);
  return content[0]?.text ?? '';
}

/** Opens a session; returns the headers for its later requests. */
export async function openSession(
  url: string,
  { protocolVersion = '2025-11-25', headers = {} }: { protocolVersion?: string; headers?: Headers } = {},
): Promise<Headers> {
  const init = {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '0' } },
  };
  const answer = await post(url, init, headers);
  const id = answer.headers['mcp-session-id'];
  if (typeof id !== 'string') throw new Error(`no session: ${answer.status} ${answer.text}`);
  const session = {
    ...headers,
    'mcp-session-id': id,
    ...(protocolVersion >= '2025-06-18' ? { 'mcp-protocol-version': protocolVersion } : {}),
  };
  await post(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, session);
  return session;
}

export interface SseEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string | undefined;
  readonly retry: string | undefined;
  readonly comments: readonly string[];
  /** performance.now() at the arrival of its last byte. */
  readonly at: number;
}

/** Parses the complete events in a string; strict about the gateway's format: LF, no BOM. */
function parseEvents(text: string, at = 0): SseEvent[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .map((block) => {
      const data: string[] = [];
      const comments: string[] = [];
      let type = 'message';
      let id: string | undefined;
      let retry: string | undefined;
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === '') comments.push(value);
        else if (field === 'data') data.push(value);
        else if (field === 'event') type = value;
        else if (field === 'id') id = value;
        else if (field === 'retry') retry = value;
      }
      return { type, data: data.join('\n'), id, retry, comments, at };
    });
}

export interface SseStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Every event so far that has data. */
  readonly events: readonly SseEvent[];
  /** Every byte so far. */
  readonly text: string;
  readonly ended: boolean;
  /** True if the stream ended properly, false if it was cut. */
  readonly complete: boolean;
  /** Resolves to the next event with data. */
  next(): Promise<SseEvent>;
  /** The next event as a message. */
  message(): Promise<JsonRpc>;
  /** Waits for the end. */
  done(): Promise<void>;
  pause(): void;
  resume(): void;
  close(): void;
}

/** Opens a stream (GET, or POST when there is a body) and reads events as they come. */
export async function openSse(
  url: string,
  body?: Body,
  headers: Headers = {},
  options: Omit<RequestOptions, 'headers'> = {},
): Promise<SseStream> {
  const defaults = body === undefined ? SSE_ONLY : MCP_HEADERS;
  const res = await begin(url, body, { ...options, headers: { ...defaults, ...headers } });
  const events: SseEvent[] = [];
  const sse = String(res.headers['content-type']).startsWith('text/event-stream');
  let text = '';
  /** Received data that is not in `text` yet; joined only on access. */
  let pieces: string[] = [];
  const whole = (): string => {
    if (pieces.length > 0) text += pieces.join('');
    pieces = [];
    return text;
  };
  /** Where the first event that is not complete begins. */
  let from = 0;
  let length = 0;
  let lastLine = false;
  let ended = false;
  let given = 0;
  res.setEncoding('utf8');
  res.on('data', (chunk: string) => {
    // Search only the new chunk: searching a long text again for each chunk would be slow.
    const inChunk = chunk.lastIndexOf('\n\n');
    const end = inChunk >= 0 ? inChunk + 2 : lastLine && chunk.startsWith('\n') ? 1 : -1;
    const to = length + end;
    pieces.push(chunk);
    length += chunk.length;
    lastLine = chunk.endsWith('\n');
    if (!sse || end < 0) return;
    const at = performance.now();
    for (const event of parseEvents(whole().slice(from, to), at)) if (event.data !== '') events.push(event);
    from = to;
  });
  res.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    res.on('close', () => {
      ended = true;
      resolve();
    });
  });
  const close = (): void => {
    res.destroy();
  };
  atEnd(close);
  const next = async (): Promise<SseEvent> => {
    await until(() => events.length > given || ended, 'an event');
    const event = events[given];
    if (!event)
      throw new Error(
        `the stream ended without a further event; it had ${JSON.stringify(whole().slice(-2000))}`,
      );
    given++;
    return event;
  };
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    events,
    get text() {
      return whole();
    },
    get ended() {
      return ended;
    },
    get complete() {
      return res.complete;
    },
    next,
    message: async () => JSON.parse((await next()).data) as JsonRpc,
    done: () => within(closed, 'the end of the stream'),
    pause: () => res.pause(),
    resume: () => res.resume(),
    close,
  };
}

export interface RawConnection {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly bytes: Buffer;
  readonly text: string;
  readonly closed: boolean;
  write(data: string | Uint8Array): void;
  /** Waits until the received data contains `what`. */
  receive(what: string | RegExp): Promise<string>;
  done(): Promise<void>;
  destroy(): void;
}

/** A raw TCP connection to the host of `url`, for requests that no client library would send. */
export async function tcp(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const chunks: Buffer[] = [];
  let closed = false;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  const end = new Promise<void>((resolve) => {
    socket.on('close', () => {
      closed = true;
      resolve();
    });
  });
  atEnd(() => socket.destroy());
  const bytes = (): Buffer => Buffer.concat(chunks);
  return {
    socket,
    get bytes() {
      return bytes();
    },
    get text() {
      return bytes().toString('latin1');
    },
    get closed() {
      return closed;
    },
    write: (data) => void socket.write(data),
    receive: async (what) =>
      until(() => {
        const text = bytes().toString('latin1');
        if (typeof what === 'string' ? text.includes(what) : what.test(text)) return text;
        if (closed) throw new Error(`closed before ${String(what)} came; received ${JSON.stringify(text)}`);
        return undefined;
      }, String(what)),
    done: () => within(end, 'the end of the connection'),
    destroy: () => void socket.destroy(),
  };
}

/** The bytes of a POST request, for a raw connection. */
export function rawPost(url: string, body: Body, headers: Headers = {}): Buffer {
  const { host, pathname } = new URL(url);
  const bytes = toBytes(body);
  const all: Headers = { host, ...MCP_HEADERS, 'content-length': String(bytes.length), ...headers };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST ${pathname} HTTP/1.1\r\n${head.join('')}\r\n`), bytes]);
}
