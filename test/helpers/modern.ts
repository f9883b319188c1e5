/** A modern client that exposes every byte to the test, and a scripted modern server. */
import {
  createUpstream,
  type Call,
  type Upstream,
  type UpstreamOptions,
} from '../fixtures/servers/http-upstream.js';
import {
  MCP_HEADERS,
  message,
  openSse,
  send,
  type Answer,
  type Headers,
  type JsonRpc,
  type SseStream,
} from './http.js';

export const REVISION = '2026-07-28';
const PREFIX = 'io.modelcontextprotocol/';

export const EVERYTHING = {
  elicitation: { form: {}, url: {} },
  sampling: { tools: {}, context: {} },
  roots: {},
};

export interface Modern {
  readonly capabilities?: object;
  readonly version?: string;
  readonly clientInfo?: object;
  readonly logLevel?: string;
  /** Further members of `_meta`. */
  readonly meta?: object;
  /** Override or extend the headers that the request needs; an empty value removes a header. */
  readonly headers?: Headers;
  readonly id?: string | number;
  /** Disconnects before the answer arrives. */
  readonly signal?: AbortSignal;
}

export function envelope(options: Modern = {}): Record<string, unknown> {
  return {
    [`${PREFIX}protocolVersion`]: options.version ?? REVISION,
    [`${PREFIX}clientCapabilities`]: options.capabilities ?? {},
    ...(options.clientInfo ? { [`${PREFIX}clientInfo`]: options.clientInfo } : {}),
    ...(options.logLevel === undefined ? {} : { [`${PREFIX}logLevel`]: options.logLevel }),
    ...options.meta,
  };
}

const NAMES: Record<string, string> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

let ids = 0;

/** The headers that a request needs. */
export function nameHeaders(
  method: string,
  params: Readonly<Record<string, unknown>>,
  version = REVISION,
): Headers {
  const named = params[NAMES[method] ?? ''];
  return {
    'mcp-protocol-version': version,
    'mcp-method': method,
    ...(typeof named === 'string' ? { 'mcp-name': named } : {}),
  };
}

function requestOf(
  method: string,
  params: Record<string, unknown>,
  options: Modern,
): { body: JsonRpc; headers: Headers } {
  const id = options.id ?? ++ids;
  const headers: Headers = { ...nameHeaders(method, params, options.version), ...options.headers };
  return {
    body: { jsonrpc: '2.0', id, method, params: { ...params, _meta: envelope(options) } },
    headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')),
  };
}

/** Sends a request and reads the whole answer. */
export function ask(
  url: string,
  method: string,
  params: Record<string, unknown> = {},
  options: Modern = {},
): Promise<Answer> {
  const { body, headers } = requestOf(method, params, options);
  return send(url, body, {
    headers: { ...MCP_HEADERS, ...headers },
    ...(options.signal ? { signal: options.signal } : {}),
  });
}

/** The same, but returns the answering message, from JSON or from the end of a stream. */
export async function answerTo(
  url: string,
  method: string,
  params: Record<string, unknown> = {},
  options: Modern = {},
): Promise<JsonRpc> {
  return message(await ask(url, method, params, options));
}

/** Sends a request and returns its event stream. */
export function stream(
  url: string,
  method: string,
  params: Record<string, unknown> = {},
  options: Modern = {},
): Promise<SseStream> {
  const { body, headers } = requestOf(method, params, options);
  return openSse(url, body, headers);
}

export const call = (
  url: string,
  name: string,
  args: object = {},
  options: Modern & { more?: object } = {},
): Promise<JsonRpc> => answerTo(url, 'tools/call', { name, arguments: args, ...options.more }, options);

export interface InputRequired {
  readonly resultType: string;
  readonly inputRequests: Record<string, { method: string; params: Record<string, unknown> }>;
  readonly requestState: string;
}

/** The result of an answer with `input_required`. */
export function needs(answer: JsonRpc): InputRequired {
  const result = answer.result as unknown as InputRequired | undefined;
  if (result?.resultType !== 'input_required')
    throw new Error(`no input required: ${JSON.stringify(answer)}`);
  return result;
}

/** The only input request of a result. */
export function only({ inputRequests }: InputRequired): {
  key: string;
  method: string;
  params: Record<string, unknown>;
} {
  const entries = Object.entries(inputRequests);
  const [first] = entries;
  if (!first || entries.length !== 1)
    throw new Error(`not one input request: ${JSON.stringify(inputRequests)}`);
  return { key: first[0], ...first[1] };
}

export interface ModernUpstreamOptions extends Omit<UpstreamOptions, 'onRequest' | 'sessions'> {
  readonly discover?: object;
  /** Called for every request except discovery and lists, including streams of changes; returns true if it answered. */
  readonly onRequest?: (call: Call) => boolean | undefined | Promise<boolean | undefined>;
  /** Additional members for list results. */
  readonly hints?: object;
  /** What subscriptions/listen grants; by default everything requested. */
  readonly grant?: (filter: Record<string, unknown>) => object;
}

/** A scripted 2026-07-28 server over HTTP: POST only, without the older revisions. */
export async function createModernUpstream(options: ModernUpstreamOptions = {}): Promise<Upstream> {
  const { discover, onRequest, hints, grant, ...rest } = options;
  const upstream = await createUpstream({
    ...rest,
    async onRequest(asked) {
      const { method } = asked.message;
      if (await onRequest?.(asked)) return true;
      switch (method) {
        case 'server/discover':
          asked.result({
            resultType: 'complete',
            supportedVersions: [REVISION],
            capabilities: rest.capabilities ?? { tools: { listChanged: true } },
            _meta: { [`${PREFIX}serverInfo`]: { name: 'scripted', version: '1.0.0' } },
            ttlMs: 60_000,
            cacheScope: 'public',
            ...discover,
          });
          return true;
        case 'tools/list': {
          const tools = (upstream.options.tools ?? []).map((tool) =>
            typeof tool === 'string' ? tool : JSON.stringify(tool),
          );
          const more = JSON.stringify({ ttlMs: 60_000, cacheScope: 'public', ...hints }).slice(1, -1);
          asked.result(`{"resultType":"complete","tools":[${tools.join(',')}],${more}}`);
          return true;
        }
        case 'subscriptions/listen': {
          const { notifications } = asked.params as { notifications?: Record<string, unknown> };
          asked.open();
          asked.notify('notifications/subscriptions/acknowledged', {
            _meta: { [`${PREFIX}subscriptionId`]: asked.message.id },
            notifications: grant?.(notifications ?? {}) ?? notifications,
          });
          upstream.streams.add(asked.res);
          asked.res.on('close', () => upstream.streams.delete(asked.res));
          return true;
        }
        case 'tools/call':
          return false;
        default:
          asked.raw(asked.envelope('error', '{"code":-32601,"message":"Method not found"}'), 404);
          return true;
      }
    },
  });
  return upstream;
}
