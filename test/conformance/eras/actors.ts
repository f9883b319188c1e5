/** The clients of the official SDKs with a common interface, and a record of their HTTP traffic. */
import { fileURLToPath } from 'node:url';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';

export const MODERN = '2026-07-28';
export const META = 'io.modelcontextprotocol';
export const TASKS = `${META}/tasks`;

export type Json = Record<string, unknown>;

export interface Message extends Json {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

/** One HTTP request of a client, and the part of the response received so far. */
export class Exchange {
  readonly method: string;
  readonly body: string;
  status = 0;
  type = '';
  text = '';
  ended = false;

  constructor(method: string, body: string) {
    this.method = method;
    this.body = body;
  }

  get request(): Message {
    return this.body === '' ? {} : (JSON.parse(this.body) as Message);
  }

  /** Every message of the answer, in order. */
  get messages(): Message[] {
    const texts = this.type.startsWith('text/event-stream')
      ? [...this.text.matchAll(/^data: ?(.+)$/gm)].map(([, data]) => data as string)
      : [this.text];
    return texts.filter((text) => text.trim() !== '').map((text) => JSON.parse(text) as Message);
  }

  /** The answer to the request. */
  get answer(): Message {
    const found = this.messages.find(({ method }) => method === undefined);
    if (!found) throw new Error(`no answer to ${this.body} in ${this.text}`);
    return found;
  }
}

/** Digits that no JavaScript number can represent: a client sends the mark, and `tapped` replaces it with the digits. */
export const DIGITS = '12345678901234567890.10';
export const MARK = '@digits@';

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** A fetch that records its traffic. It reads only what its caller reads, so a caller that drops a stream closes it. */
function tapped(wire: Exchange[]): Fetch {
  return async (url, init) => {
    const body = typeof init?.body === 'string' ? init.body.replaceAll(`"${MARK}"`, DIGITS) : undefined;
    const exchange = new Exchange(init?.method ?? 'GET', body ?? '');
    wire.push(exchange);
    const response = await fetch(url, { ...init, ...(body === undefined ? {} : { body }) });
    exchange.status = response.status;
    exchange.type = response.headers.get('content-type') ?? '';
    if (!response.body) return response;
    const decoder = new TextDecoder();
    const tap = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        exchange.text += decoder.decode(chunk, { stream: true });
        controller.enqueue(chunk);
      },
      flush() {
        exchange.ended = true;
      },
    });
    const { status, headers } = response;
    return new Response(response.body.pipeThrough(tap), { status, headers });
  };
}

export interface Question {
  readonly method: string;
  readonly params: Json;
}

export interface Answers {
  elicitation(params: Json): Json | Promise<Json>;
  sampling(params: Json): Json | Promise<Json>;
  roots(): Json | Promise<Json>;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onprogress?: (progress: { progress: number; message?: string }) => void;
  /** Joins the `_meta` of the request. */
  readonly meta?: Json;
}

export type ListKind = 'tools' | 'prompts' | 'resources' | 'resourceTemplates';

/** The changes to subscribe to. */
export interface Interest {
  readonly lists?: readonly ('tools' | 'prompts' | 'resources')[];
  readonly uris?: readonly string[];
}

/** The common methods of both SDKs. */
interface Face {
  callTool(params: Json, options: object): Promise<Json>;
  getPrompt(params: Json): Promise<Json>;
  readResource(params: Json): Promise<Json>;
  complete(params: Json): Promise<Json>;
  listTools(): Promise<Json>;
  listPrompts(): Promise<Json>;
  listResources(): Promise<Json>;
  listResourceTemplates(): Promise<Json>;
  setLoggingLevel(level: string): Promise<unknown>;
  subscribeResource(params: Json): Promise<unknown>;
  unsubscribeResource(params: Json): Promise<unknown>;
  ping(): Promise<unknown>;
  listen(filter: Json): Promise<{ honoredFilter: Json; close(): Promise<void> }>;
  getServerCapabilities(): Json | undefined;
  getInstructions(): string | undefined;
  close(): Promise<void>;
}

export class Actor {
  /** The SDK v1 client, for features that v2 lacks. */
  readonly v1: ClientV1 | undefined;
  readonly wire: Exchange[];
  readonly asked: Question[] = [];
  readonly heard: Message[] = [];
  answers: Answers;
  readonly #face: Face;
  readonly #modern: boolean;

  constructor(face: Face, { modern, wire, v1 }: { modern: boolean; wire: Exchange[]; v1?: ClientV1 }) {
    this.#face = face;
    this.#modern = modern;
    this.wire = wire;
    this.v1 = v1;
    this.answers = DEFAULT_ANSWERS;
  }

  /** Resets the records for the next test. */
  forget(): void {
    this.wire.splice(0);
    this.asked.splice(0);
    this.heard.splice(0);
    this.answers = DEFAULT_ANSWERS;
  }

  async ask(method: string, params: Json): Promise<Json> {
    this.asked.push({ method, params });
    if (method === 'roots/list') return this.answers.roots();
    return method === 'elicitation/create' ? this.answers.elicitation(params) : this.answers.sampling(params);
  }

  call(name: string, args: Json = {}, { meta, ...options }: CallOptions = {}): Promise<Json> {
    return this.#face.callTool({ name, arguments: args, ...(meta ? { _meta: meta } : {}) }, options);
  }

  /** Calls a tool and returns the text of its first block. */
  async say(name: string, args: Json = {}, options: CallOptions = {}): Promise<string> {
    return textOf(await this.call(name, args, options));
  }

  prompt(name: string, args: Record<string, string> = {}): Promise<Json> {
    return this.#face.getPrompt({ name, arguments: args });
  }

  read(uri: string): Promise<Json> {
    return this.#face.readResource({ uri });
  }

  complete(params: Json): Promise<Json> {
    return this.#face.complete(params);
  }

  async list(kind: ListKind): Promise<Json[]> {
    const pages = {
      tools: () => this.#face.listTools(),
      prompts: () => this.#face.listPrompts(),
      resources: () => this.#face.listResources(),
      resourceTemplates: () => this.#face.listResourceTemplates(),
    };
    return (await pages[kind]())[kind] as Json[];
  }

  /** The call options that request log messages from this level on. */
  async atLevel(level: string): Promise<CallOptions> {
    if (this.#modern) return { meta: { [`${META}/logLevel`]: level } };
    await this.#face.setLoggingLevel(level);
    return {};
  }

  /** Subscribes to changes; returns what was granted, if the era reports it, and a function that unsubscribes. */
  async follow({ lists = [], uris = [] }: Interest): Promise<{ granted: Json; stop: () => Promise<void> }> {
    if (this.#modern) {
      const subscription = await this.#face.listen({
        ...Object.fromEntries(lists.map((kind) => [`${kind}ListChanged`, true])),
        ...(uris.length > 0 ? { resourceSubscriptions: [...uris] } : {}),
      });
      return { granted: subscription.honoredFilter, stop: () => subscription.close() };
    }
    for (const uri of uris) await this.#face.subscribeResource({ uri });
    const stop = async (): Promise<void> => {
      for (const uri of uris) await this.#face.unsubscribeResource({ uri });
    };
    return { granted: { resourceSubscriptions: [...uris] }, stop };
  }

  ping(): Promise<unknown> {
    return this.#face.ping();
  }

  get capabilities(): Json {
    return this.#face.getServerCapabilities() ?? {};
  }

  get instructions(): string | undefined {
    return this.#face.getInstructions();
  }

  /** The exchanges of requests with this method and name, in order. */
  exchanges(method: string, name?: string): Exchange[] {
    return this.wire.filter(
      ({ request }) => request.method === method && (name === undefined || request.params?.['name'] === name),
    );
  }

  /** The last exchange with this method. */
  last(method: string, name?: string): Exchange {
    const found = this.exchanges(method, name).at(-1);
    if (!found) throw new Error(`${method} was not sent`);
    return found;
  }

  close(): Promise<void> {
    return this.#face.close();
  }
}

/** The text of the first block of a result. */
export const textOf = (result: Json): string =>
  (result['content'] as { text?: string }[] | undefined)?.[0]?.text ?? JSON.stringify(result);

export const SAMPLED = { role: 'assistant', model: 'a-model', content: { type: 'text', text: 'Paris' } };
export const ROOTS = { roots: [{ uri: 'file:///home/test', name: 'home' }] };

const DEFAULT_ANSWERS: Answers = {
  elicitation({ mode, requestedSchema }) {
    if (mode === 'url') return { action: 'accept' };
    const { properties } = requestedSchema as { properties: Record<string, { type?: string }> };
    const content = Object.entries(properties).map(([field, { type }]) => [
      field,
      type === 'boolean' ? true : `my ${field}`,
    ]);
    return { action: 'accept', content: Object.fromEntries(content) as Json };
  },
  sampling: () => SAMPLED,
  roots: () => ROOTS,
};

export const ABLE = {
  elicitation: { form: {}, url: {} },
  sampling: {},
  roots: {},
};

export interface Kind {
  readonly title: string;
  readonly era: 'legacy' | 'modern';
  readonly revision: string;
  readonly sdk: 1 | 2;
}

export const KINDS: readonly Kind[] = [
  { title: 'SDK v1', era: 'legacy', revision: '2025-11-25', sdk: 1 },
  ...['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'].map((revision) => ({
    title: `SDK v2 on ${revision}`,
    era: 'legacy' as const,
    revision,
    sdk: 2 as const,
  })),
  { title: `SDK v2 on ${MODERN}`, era: 'modern', revision: MODERN, sdk: 2 },
];

const info = (title: string): { name: string; version: string } => ({
  name: title.replaceAll(' ', '-'),
  version: '1.0.0',
});

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
/** The gateway for a client: its URL, or the config of a gateway that the client starts and uses over stdio. */
export type Place = string | { readonly config: string };
const command = (config: string): { command: string; args: string[]; stderr: 'ignore' } => ({
  command: process.execPath,
  args: [MAIN, 'stdio', '--config', config],
  stderr: 'ignore',
});

export interface ConnectOptions {
  readonly capabilities?: Json;
  /** The delay before each attempt to resume a stream, instead of what the SDK has by default. */
  readonly resumeAfterMs?: number;
}

/** Connects a client of this kind. */
export function connect(kind: Kind, url: Place, options: ConnectOptions = {}): Promise<Actor> {
  return kind.sdk === 1 ? connectV1(kind, url, options) : connectV2(kind, url, options);
}

/** Options of the transports of both SDKs, which try twice. */
function httpOptions(wire: Exchange[], ms: number | undefined) {
  const reconnectionOptions = {
    initialReconnectionDelay: ms ?? 0,
    maxReconnectionDelay: ms ?? 0,
    reconnectionDelayGrowFactor: 1,
    maxRetries: 2,
  };
  return { fetch: tapped(wire), ...(ms === undefined ? {} : { reconnectionOptions }) };
}

async function connectV1(
  { title }: Kind,
  url: Place,
  { capabilities = ABLE, resumeAfterMs }: ConnectOptions,
): Promise<Actor> {
  const wire: Exchange[] = [];
  const client = new ClientV1(info(title), { capabilities });
  const face = {
    ...bound(client),
    callTool: (params: Json, options: object) =>
      client.callTool(params as { name: string }, undefined, options),
  } as unknown as Face;
  const actor = new Actor(face, { modern: false, wire, v1: client });
  const answer = (method: string, params: unknown): Promise<never> =>
    actor.ask(method, params as Json) as Promise<never>;
  if ('elicitation' in capabilities)
    client.setRequestHandler(ElicitRequestSchema, ({ method, params }) => answer(method, params));
  if ('sampling' in capabilities)
    client.setRequestHandler(CreateMessageRequestSchema, ({ method, params }) => answer(method, params));
  if ('roots' in capabilities)
    client.setRequestHandler(ListRootsRequestSchema, ({ method, params }) => answer(method, params ?? {}));
  client.fallbackNotificationHandler = (notification) => {
    actor.heard.push(notification as Message);
    return Promise.resolve();
  };
  await client.connect(
    typeof url === 'string'
      ? new HttpV1(new URL(url), httpOptions(wire, resumeAfterMs))
      : new StdioV1(command(url.config)),
  );
  return actor;
}

async function connectV2(
  { title, era, revision }: Kind,
  url: Place,
  { capabilities = ABLE, resumeAfterMs }: ConnectOptions,
): Promise<Actor> {
  const wire: Exchange[] = [];
  const client = new ClientV2(info(title), {
    capabilities,
    ...(era === 'modern'
      ? { versionNegotiation: { mode: { pin: revision } } }
      : { supportedProtocolVersions: [revision] }),
  });
  const face = {
    ...bound(client),
    callTool: (params: Json, options: object) => client.callTool(params as { name: string }, options),
  } as unknown as Face;
  const actor = new Actor(face, { modern: era === 'modern', wire });
  const answer = (method: string, params: unknown): Promise<never> =>
    actor.ask(method, params as Json) as Promise<never>;
  if ('elicitation' in capabilities)
    client.setRequestHandler('elicitation/create', ({ method, params }) => answer(method, params));
  if ('sampling' in capabilities)
    client.setRequestHandler('sampling/createMessage', ({ method, params }) => answer(method, params));
  if ('roots' in capabilities)
    client.setRequestHandler('roots/list', ({ method, params }) => answer(method, params ?? {}));
  client.fallbackNotificationHandler = (notification) => {
    actor.heard.push(notification as Message);
    return Promise.resolve();
  };
  await client.connect(
    typeof url === 'string'
      ? new HttpV2(new URL(url), httpOptions(wire, resumeAfterMs))
      : new StdioV2(command(url.config)),
  );
  return actor;
}

/** The methods with the same name in both SDKs. */
function bound(client: object): Json {
  const names = [
    'getPrompt',
    'readResource',
    'complete',
    'listTools',
    'listPrompts',
    'listResources',
    'listResourceTemplates',
    'setLoggingLevel',
    'subscribeResource',
    'unsubscribeResource',
    'ping',
    'listen',
    'getServerCapabilities',
    'getInstructions',
    'close',
  ];
  const methods = client as Record<string, ((...args: unknown[]) => unknown) | undefined>;
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => methods[name]?.apply(client, args)]),
  );
}

export interface RawAnswer extends Message {
  readonly status: number;
  readonly exchange: Exchange;
}

/** 2026-07-28 requests that no SDK sends: single rounds, tasks, removed methods. */
export class RawModern {
  readonly url: string;
  readonly capabilities: Json;
  readonly wire: Exchange[] = [];
  /** The same as the SDK client's: for the gateway they are one client. */
  readonly #info: object;
  #ids = 0;

  constructor(url: string, { title }: Kind, capabilities: Json = ABLE) {
    this.url = url;
    this.capabilities = capabilities;
    this.#info = info(title);
  }

  async request(method: string, params: Json = {}, meta: Json = {}): Promise<RawAnswer> {
    const response = await this.#send(method, params, meta);
    await response.text();
    const exchange = this.wire.at(-1) as Exchange;
    return { ...exchange.answer, status: exchange.status, exchange };
  }

  /** The result of a call. */
  async call(name: string, args: Json = {}, more: Json = {}): Promise<Json> {
    const { result, error } = await this.request('tools/call', { name, arguments: args, ...more });
    if (!result) throw Object.assign(new Error(error?.message), error);
    return result;
  }

  /** A stream that stays open; `close` ends it. */
  async open(method: string, params: Json): Promise<{ exchange: Exchange; close: () => void }> {
    const controller = new AbortController();
    const response = await this.#send(method, params, {}, controller.signal);
    const exchange = this.wire.at(-1) as Exchange;
    response.text().catch(() => {});
    return {
      exchange,
      close: () => {
        controller.abort();
      },
    };
  }

  #send(method: string, params: Json, meta: Json, signal?: AbortSignal): Promise<Response> {
    const name = params['name'] ?? params['uri'] ?? params['taskId'];
    const _meta = {
      [`${META}/protocolVersion`]: MODERN,
      [`${META}/clientInfo`]: this.#info,
      [`${META}/clientCapabilities`]: this.capabilities,
      ...meta,
    };
    return tapped(this.wire)(this.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': MODERN,
        'mcp-method': method,
        ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++this.#ids, method, params: { ...params, _meta } }),
      ...(signal ? { signal } : {}),
    });
  }
}
