/** Lists are answered from the catalog; they wait a little for upstreams on their first connect. */
import { GatewayError } from '../../errors.js';
import type { GatewayStats } from '../../observe/stats.js';
import type { ListKind } from '../../protocol/lists.js';
import { param, type Message } from '../../protocol/message.js';
import type { Sink } from '../../protocol/ports.js';
import type { Session } from '../../session/store.js';
import { answer, counter, refused, type Handled, type Source } from '../handled.js';
import { deferred } from './relay.js';

export function list(
  stats: GatewayStats,
  kind: ListKind,
  source: Source,
  message: Message,
  session: Session | undefined,
  sink: Sink,
): Handled {
  const cursor = param(message, 'cursor');
  if (cursor !== undefined && cursor !== null)
    return refused(
      message,
      new GatewayError('invalid_params', 'unknown cursor: every list here is one page'),
    );
  const view = session?.view ?? source.route.view;
  const controller = new AbortController();
  const wait = view.ready(undefined, controller.signal);
  if (!wait) return answer(message, view.list(kind));
  const done = counter(stats.method(message.method));
  const exchange = deferred(controller, wait, sink, done, () => {
    const result = view.list(kind);
    const { bytes } = answer(message, result) as { bytes: Buffer };
    const value = bytes.length - 1 - result.length;
    sink.start({ kind: 'result', bytes: bytes.length, value, code: undefined });
    sink.write(bytes);
    sink.end({ isError: false });
    done('success');
  });
  return { kind: 'exchange', exchange };
}
