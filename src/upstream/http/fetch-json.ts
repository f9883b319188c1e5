/**
 * Small requests of the gateway itself, such as for the keys of an issuer: bounded in time and size, through the proxies of the
 * environment and with its certificates. Redirects are not followed.
 */
import { isLoopback, proxyFromEnvironment } from '../../config/index.js';
import type { Logger } from '../../observe/log.js';
import type { GuardedAnswer, SmallFetch, SmallRequest } from '../../protocol/small-request.js';
import { createDispatcher, explain, type Controller, type Dispatcher, type Endpoint } from './dispatcher.js';

export interface Fetcher {
  readonly fetch: SmallFetch;
  /** Fails the requests in flight. */
  close(): void;
}

const CONNECT_MS = 5000;
/** Origins whose connections are kept. */
const MOST_ORIGINS = 32;

/** `env`: names proxies and certificates, as for servers. */
export function createFetcher(env: NodeJS.ProcessEnv, log: Logger): Fetcher {
  const byOrigin = new Map<string, Dispatcher>();

  function dispatcherFor(url: URL): Dispatcher {
    let dispatcher = byOrigin.get(url.origin);
    if (dispatcher === undefined) {
      for (const [origin, oldest] of byOrigin) {
        if (byOrigin.size < MOST_ORIGINS) break;
        byOrigin.delete(origin);
        void oldest.close();
      }
      const proxy = proxyFor(url, env);
      const server: Endpoint = {
        name: url.host,
        url: url.href,
        tls: {},
        tls_skip_verify: false,
        timeouts: { connect_ms: CONNECT_MS },
        ...(proxy === undefined ? {} : { proxy }),
      };
      byOrigin.set(url.origin, (dispatcher = createDispatcher(server, { logger: log, environment: env })));
    }
    return dispatcher;
  }

  return {
    async fetch(request, signal) {
      const url = new URL(request.url);
      return exchange(dispatcherFor(url), url, request, signal);
    },
    close() {
      for (const dispatcher of byOrigin.values()) dispatcher.destroy(new Error('closed'));
      byOrigin.clear();
    },
  };
}

/** The proxy of the environment for a URL, as a URL; undefined: none. No proxy reaches what is on this machine. */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv): string | undefined {
  const proxy = isLoopback(url.hostname) ? undefined : proxyFromEnvironment(url, env);
  return proxy === undefined || proxy.includes('://') ? proxy : `http://${proxy}`;
}

/** One exchange; its body is bounded and never coded. */
export function exchange(
  dispatcher: Dispatcher,
  url: URL,
  request: SmallRequest,
  signal: AbortSignal,
): Promise<GuardedAnswer> {
  const { method, body, timeoutMs, maxBytes } = request;
  // A coded body could be larger than it seems.
  const headers = ['accept-encoding', 'identity', ...Object.entries(request.headers).flat()];
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let controller: Controller | undefined;
    let status = 0;
    let received: GuardedAnswer['headers'] = {};
    let size = 0;
    let reason: Error | undefined;
    const fail = (error: Error): void => {
      const first = (reason ??= error);
      controller?.abort(first);
      // Without a connection there is nothing to abort yet.
      over(() => {
        reject(first);
      });
    };
    const aborted = (): void => {
      fail(new Error('aborted', { cause: signal.reason }));
    };
    const timer = setTimeout(() => {
      fail(new Error(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    const over = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      settle();
    };
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) return aborted();
    dispatcher.dispatch(
      {
        method,
        path: url.pathname + url.search,
        origin: url.origin,
        headers,
        body: body === undefined ? null : Buffer.from(body),
      },
      {
        onRequestStart(started) {
          controller = started;
          if (reason) started.abort(reason);
        },
        onResponseStart(_controller, code, headers) {
          status = code;
          received = headers;
          const coding = headers['content-encoding'];
          if (code >= 200 && coding !== undefined && coding !== 'identity')
            fail(new Error(`answered with the content coding '${String(coding).slice(0, 64)}'`));
        },
        onResponseData(_controller, chunk) {
          size += chunk.length;
          if (size > maxBytes) return fail(new Error(`answered with more than ${maxBytes} bytes`));
          chunks.push(chunk);
        },
        onResponseEnd() {
          over(() => {
            resolve({ status, headers: received, body: Buffer.concat(chunks, size) });
          });
        },
        onResponseError(_controller, error) {
          over(() => {
            reject(reason ?? new Error(explain(error), { cause: error }));
          });
        },
      },
    );
  });
}
