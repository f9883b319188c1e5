/** Lists are answered from the catalog; they wait a little for servers that connect for the first time. */
import { GatewayError } from '../../errors.js';
import type { Boundary } from '../../observe/boundary.js';
import type { ListKind } from '../../protocol/lists.js';
import { param } from '../../protocol/message.js';
import type { View } from '../../protocol/ports.js';
import { META } from '../../protocol/modern/meta.js';
import { answerWith } from '../../protocol/sinks.js';
import { MODERN_REVISIONS } from '../../protocol/revisions.js';
import { answer, refused, type Handled, type Incoming } from '../incoming.js';
import type { GivenLists } from '../given.js';
import type { Views } from '../views.js';
import { deferred } from './deferred.js';
import { unreachableRoute } from './relay.js';

export interface ListDeps {
  readonly boundary: Boundary;
  readonly given: GivenLists;
  readonly views: Pick<Views, 'isPersonal'>;
}

export function list({ boundary, given, views }: ListDeps, kind: ListKind, incoming: Incoming): Handled {
  const { message, caller, session, sink, origin } = incoming;
  const { server } = origin.route;
  const cursor = param(message, 'cursor');
  if (cursor !== undefined && cursor !== null)
    return refused(
      message,
      new GatewayError('invalid_params', 'unknown cursor: every list here is one page'),
    );
  const { view, era } = caller;
  const shown = (): readonly Buffer[] => {
    const list = view.list(kind, era);
    if (session) given.note(session, kind, list);
    return era === 'legacy' ? list.parts : withHints(view, views.isPersonal(origin.route), list.parts);
  };
  const controller = new AbortController();
  const wait = waitFor(view, kind, incoming, controller.signal);
  if (!wait) {
    const unreachable = unreachableRoute(view, server);
    return unreachable ? refused(message, unreachable) : answer(message, shown());
  }
  const ended = session && given.awaits(session, kind);
  const exchange = deferred(boundary, incoming, { until: wait, controller, ended }, () => {
    const unreachable = unreachableRoute(view, server);
    if (unreachable) sink.fail(unreachable);
    else answerWith(sink, message.id as string, shown());
    exchange.over(unreachable ? 'error' : 'success');
  });
  return { kind: 'exchange', exchange };
}

/** What a list waits for: connections, lists that a server has without declaring them, and the rendering of long ones. */
function waitFor(
  view: View,
  kind: ListKind,
  { origin, caller }: Incoming,
  signal: AbortSignal,
): Promise<void> | undefined {
  // On a server's own route it is asked for lists that it does not declare, as clients do.
  const [only] = origin.route.server === undefined ? [] : view.links();
  const ready = view.ready(undefined, signal);
  const read = ready ? ready.then(() => only?.undeclared?.(kind)) : only?.undeclared?.(kind);
  return read ? read.then(() => view.prepare(kind, caller.era)) : view.prepare(kind, caller.era);
}

/**
 * `server/discover` (2026-07-28, server/discover). It waits for nobody: a server that is connecting may turn out to have anything, and the
 * answer is fresh for a short time only.
 */
export function discover(
  { views }: Pick<ListDeps, 'views'>,
  { message, origin, caller: { view } }: Incoming,
): Handled {
  const versions = JSON.stringify(MODERN_REVISIONS);
  return answer(
    message,
    `{"resultType":"complete","supportedVersions":${versions},${hints(view, views.isPersonal(origin.route))},${view.discovery()},${stamp(view)}}`,
  );
}

/** The list itself is rendered before; what changes with each answer comes in front of it. */
export function withHints(
  view: View,
  isPersonal: boolean,
  [open, ...rest]: readonly Buffer[],
): readonly Buffer[] {
  const head = Buffer.from(`{"resultType":"complete",${hints(view, isPersonal)},${stamp(view)},`);
  return [head, (open as Buffer).subarray(1), ...rest];
}

/** Who answers (2026-07-28, schema, ResultMetaObject). */
function stamp(view: View): string {
  return `"_meta":{"${META.serverInfo}":${view.serverInfo()}}`;
}

/** How long, and for whom, the answer is fresh (2026-07-28, server/utilities/caching). */
function hints(view: View, isPersonal: boolean): string {
  const fresh = view.freshness();
  const { until } = fresh;
  const scope = isPersonal ? 'private' : fresh.scope;
  return `"ttlMs":${Math.max(0, Math.floor(until - performance.now()))},"cacheScope":"${scope}"`;
}
