/** A scripted server of 2026-07-28 over HTTP, on top of the one of the legacy era: it knows no `initialize`. */
import type { Call, Upstream, UpstreamOptions } from '../../fixtures/servers/http-upstream.js';
import { createUpstream } from '../../fixtures/servers/http-upstream.js';

export const REVISION = '2026-07-28';
export const META = 'io.modelcontextprotocol';

interface Filter {
  toolsListChanged?: boolean;
  promptsListChanged?: boolean;
  resourcesListChanged?: boolean;
  resourceSubscriptions?: string[];
}

/** One listen request that stands open. */
export interface ListenStream {
  readonly call: Call;
  readonly filter: Filter;
  /** A notification of the stream: its id is put into `_meta`. */
  tell(method: string, params?: object): void;
}

export interface ModernOptions extends UpstreamOptions {
  /** Members of the DiscoverResult that replace the usual ones; a function is asked each time. */
  discover?: object | (() => object);
  /** Hints of the lists. */
  hints?: object;
  /** Answers subscriptions/listen in place of the usual acknowledgement. true: it did. */
  onListen?: (call: Call) => boolean;
  /** The URIs of a filter that are granted; all of them without it. */
  grant?: (uris: string[]) => string[];
}

export interface ModernUpstream extends Upstream {
  readonly listening: ListenStream[];
}

const FRESH = { ttlMs: 60_000, cacheScope: 'public' };

export async function createModernUpstream(options: ModernOptions = {}): Promise<ModernUpstream> {
  const listening: ListenStream[] = [];
  const upstream = await createUpstream({
    ...options,
    onRequest: async (call) => {
      if (await options.onRequest?.(call)) return true;
      const { method } = call.message;
      const { discover } = options;
      switch (method) {
        case 'server/discover':
          call.result({
            resultType: 'complete',
            supportedVersions: [REVISION],
            capabilities: options.capabilities ?? { tools: { listChanged: true } },
            _meta: { [`${META}/serverInfo`]: { name: 'scripted-modern', version: '1.0.0' } },
            ...FRESH,
            ...(typeof discover === 'function' ? (discover as () => object)() : discover),
          });
          return true;
        case 'tools/list':
          call.result({
            resultType: 'complete',
            tools: upstream.options.tools ?? [],
            ...(options.hints ?? FRESH),
          });
          return true;
        case 'resources/list':
          call.result({ resultType: 'complete', resources: [], ...(options.hints ?? FRESH) });
          return true;
        case 'resources/templates/list':
          call.result({ resultType: 'complete', resourceTemplates: [], ...(options.hints ?? FRESH) });
          return true;
        case 'subscriptions/listen':
          if (!options.onListen?.(call)) listening.push(acknowledge(call, options.grant));
          return true;
        case 'tools/call':
          return false;
        default:
          call.raw(call.envelope('error', '{"code":-32601,"message":"Method not found"}'), 404);
          return true;
      }
    },
  });
  return Object.assign(upstream, { listening });
}

export function acknowledge(call: Call, grant: (uris: string[]) => string[] = (uris) => uris): ListenStream {
  const filter = (call.params['notifications'] ?? {}) as Filter;
  const stream: ListenStream = {
    call,
    filter,
    tell(method, params = {}) {
      call.notify(method, { ...params, _meta: { [`${META}/subscriptionId`]: call.message.id } });
    },
  };
  const uris = filter.resourceSubscriptions;
  stream.tell('notifications/subscriptions/acknowledged', {
    notifications: { ...filter, ...(uris ? { resourceSubscriptions: grant(uris) } : {}) },
  });
  return stream;
}
