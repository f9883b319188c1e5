/** Servers that lose something while a session is opened. */
import type { ServerResponse } from 'node:http';
import {
  createUpstream,
  tool,
  type Received,
  type Upstream,
  type UpstreamOptions,
} from '../../fixtures/servers/http-upstream.js';

export const AGAIN = { revision: 'legacy', reconnect: { backoff_base_ms: 10, backoff_max_ms: 10 } };
export const INITIALIZED = 'notifications/initialized';

export const handshakes = (upstream: Upstream): number => upstream.received('initialize').length;

/** A server that takes subscriptions. */
export const SUBSCRIBING: Pick<UpstreamOptions, 'capabilities' | 'onRequest'> = {
  capabilities: { tools: {}, resources: { subscribe: true } },
  onRequest: (call) => {
    if (call.message.method !== 'resources/subscribe') return false;
    call.result({});
    return true;
  },
};

type Handled = boolean | undefined;

/** `each`: what the n-th notification gets; `http`: what other messages get. */
export function answering(
  each: (n: number, res: ServerResponse) => Handled,
  { http, ...more }: UpstreamOptions & { http?: (received: Received, res: ServerResponse) => Handled } = {},
): Promise<Upstream> {
  let n = 0;
  return createUpstream({
    sessions: true,
    tools: [tool('t')],
    onHttp: (received, res) =>
      received.message.method === INITIALIZED ? each(n++, res) : http?.(received, res),
    ...more,
  });
}
