/** Lists are answered from the catalog; they wait a little for upstreams on their first connect. */
import { GatewayError } from '../../errors.js';
import type { Boundary } from '../../observe/boundary.js';
import type { GatewayStats } from '../../observe/stats.js';
import type { ListKind } from '../../protocol/lists.js';
import { param, type Message } from '../../protocol/message.js';
import type { Sink, View } from '../../protocol/ports.js';
import { META } from '../../protocol/modern/meta.js';
import { MODERN_REVISIONS } from '../../protocol/revisions.js';
import type { Session } from '../../session/store.js';
import { answer, counter, refused, type Done, type Handled, type Source } from '../handled.js';
import type { GivenLists } from '../given.js';
import { deferred, nothingBehind } from './relay.js';

export interface ListDeps {
  readonly stats: GatewayStats;
  readonly boundary: Boundary;
  /** What sessions were given; undefined: nobody is told of changes. */
  readonly given?: GivenLists | undefined;
}

export function list(
  { stats, boundary, given }: ListDeps,
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
  // Some servers have lists that they do not declare: on a route of their own they are asked for them, as clients do.
  const [only] = source.route.server === undefined ? [] : view.links();
  const ready = view.ready(undefined, controller.signal);
  const wait = ready ? ready.then(() => only?.undeclared?.(kind)) : only?.undeclared?.(kind);
  const shown = (): Buffer => {
    const list = view.list(kind, source.era);
    if (session) given?.note(session, kind, list);
    return listOf(view, list, source);
  };
  if (!wait) {
    const nothing = nothingBehind(view, source.route.server);
    return nothing ? refused(message, nothing) : answer(message, shown());
  }
  const waited = session && given?.awaits(session, kind);
  const counted = counter(stats.method(message.method));
  const done: Done = (result) => {
    waited?.();
    counted(result);
  };
  const exchange = deferred(boundary, controller, wait, sink, done, () => {
    const nothing = nothingBehind(view, source.route.server);
    if (nothing) sink.fail(nothing);
    else deliver(message, shown(), sink);
    done(nothing ? 'error' : 'success');
  });
  return { kind: 'exchange', exchange };
}

/**
 * `server/discover` (2026-07-28, server/discover). It waits for nobody: an upstream on its way may turn out to have anything, and the
 * answer is not fresh for long then.
 */
export function discover(source: Source, message: Message): Handled {
  const { view } = source.route;
  const versions = JSON.stringify(MODERN_REVISIONS);
  return answer(
    message,
    `{"resultType":"complete","supportedVersions":${versions},${hints(view)},${view.discovery()},${stamp(view)}}`,
  );
}

/** The list was built before; what changes with each answer stands in front of it. */
function listOf(view: View, list: Buffer, { era }: Source): Buffer {
  if (era === 'legacy') return list;
  return Buffer.concat([
    Buffer.from(`{"resultType":"complete",${hints(view)},${stamp(view)},`),
    list.subarray(1),
  ]);
}

/** Who answers (2026-07-28, schema, ResultMetaObject). */
function stamp(view: View): string {
  return `"_meta":{"${META.serverInfo}":${view.serverInfo()}}`;
}

/** How long, and for whom, the answer is fresh (2026-07-28, server/utilities/caching). */
function hints(view: View): string {
  const { until, scope } = view.freshness();
  return `"ttlMs":${Math.max(0, Math.floor(until - performance.now()))},"cacheScope":"${scope}"`;
}

/** The answer to a request that was waited for. */
export function deliver(message: Message, result: Buffer | string, sink: Sink): void {
  const { bytes } = answer(message, result) as { bytes: Buffer };
  const value = bytes.length - 1 - Buffer.byteLength(result);
  sink.start({ kind: 'result', bytes: bytes.length, value, code: undefined });
  sink.write(bytes);
  sink.end({ isError: false });
}
