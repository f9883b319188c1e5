/** A client of the modern era whose every byte the test sees, and a server of that era that does what a test says. */
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
  /** In place of, or beside, those that the request calls for; an empty one is left out. */
  readonly headers?: Headers;
  readonly id?: string | number;
  /** Leaves before the answer is there. */
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

function requestOf(
  method: string,
  params: Record<string, unknown>,
  options: Modern,
): { body: JsonRpc; headers: Headers } {
  const id = options.id ?? ++ids;
  const named = params[NAMES[method] ?? ''];
  const headers: Headers = {
    'mcp-protocol-version': options.version ?? REVISION,
    'mcp-method': method,
    ...(typeof named === 'string' ? { 'mcp-name': named } : {}),
    ...options.headers,
  };
  return {
    body: { jsonrpc: '2.0', id, method, params: { ...params, _meta: envelope(options) } },
    headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')),
  };
}

/** One request, its answer whole. */
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

/** The same; the message that answers, whether it came as JSON or at the end of a stream. */
export async function answerTo(
  url: string,
  method: string,
  params: Record<string, unknown> = {},
  options: Modern = {},
): Promise<JsonRpc> {
  return message(await ask(url, method, params, options));
}

/** A request whose stream is read event by event. */
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

/** The result of an answer that says that input is required. */
export function needs(answer: JsonRpc): InputRequired {
  const result = answer.result as unknown as InputRequired | undefined;
  if (result?.resultType !== 'input_required')
    throw new Error(`no input required: ${JSON.stringify(answer)}`);
  return result;
}

/** The one input request of a result. */
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
  /** Sees every request but the discovery and the lists, streams of changes included; true: it was answered. */
  readonly onRequest?: (call: Call) => boolean | undefined | Promise<boolean | undefined>;
  /** Members of the results of lists. */
  readonly hints?: object;
  /** What subscriptions/listen grants; undefined: what was asked for. */
  readonly grant?: (filter: Record<string, unknown>) => object;
}

/** A scripted server of 2026-07-28 over HTTP: POST alone, and nothing of the older revisions. */
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
