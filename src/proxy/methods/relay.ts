/** Requests that go to one upstream: found by a name or a URI, waited for on its first connect, then handed on. */
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { GatewayStats } from '../../observe/stats.js';
import type { Bridge } from '../../bridge/index.js';
import { within } from '../../lib/within.js';
import { find, idKey, type Message } from '../../protocol/message.js';
import { checkParamHeaders } from '../../protocol/modern/param-headers.js';
import type { Caller, Cause, Exchange, Link, NameKind, Sink, Target, View } from '../../protocol/ports.js';
import { DEFAULT_LEGACY, isLegacyRevision } from '../../protocol/revisions.js';
import type { Session } from '../../session/store.js';
import type { Span } from '../../wire/scan.js';
import { countRefusal, openCall, type CallCrossing } from '../call.js';
import { counter, refused, type Done, type Handled, type Headers, type Source } from '../handled.js';
import type { ParamHeader } from '../../protocol/lists.js';
import { convertContent, convertStructured, mayNeedConversion } from '../conversions.js';
import { held } from '../held.js';
import type { Interests } from '../interests.js';
import type { Questions } from '../questions.js';
import type { Runtime } from '../runtime.js';

export interface RelayDeps {
  readonly runtime: () => Runtime;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly budget: Budget;
  readonly questions: Questions;
  readonly bridge: Bridge;
  readonly interests: Interests;
  /** Resolves once it is known whether a server is reached in the era of its legacy clients; undefined: it is. */
  readonly dialling: (server: string) => Promise<void> | undefined;
}

/** What a request names, and where in its bytes. */
export interface Named {
  readonly kind: NameKind;
  readonly name: string;
  readonly at: Span;
}

/** Hears of the target before the request goes out; gives the sink to use. */
export type Wrap = (target: Target, sink: Sink) => Sink;

export function relay(
  deps: RelayDeps,
  source: Source,
  message: Message,
  session: Session | undefined,
  sink: Sink,
  named: Named,
  wrap: Wrap = (_target, same) => same,
  modern?: Caller,
): Handled {
  const view = session?.view ?? source.route.view;
  const key = session && idKey(message.id as string);
  if (key !== undefined && session?.inFlight?.has(key)) return inUse(message, key);
  const target = view.find(named.kind, named.name);
  const crossing = target && crossingOf(target);
  if (crossing instanceof GatewayError) return refused(message, crossing);
  const own = crossing && !modern ? deps.dialling(target.link.server) : undefined;
  // What waits for its client waits on its own link, which may be on its way out.
  if (target && !own && (target.link.state === 'up' || crossing?.resume))
    return { kind: 'exchange', exchange: open(target, crossing) };

  const controller = new AbortController();
  const { signal } = controller;
  const wait = own ? within(own, deps.runtime().config.startup.wait_ms, signal) : view.ready(named, signal);
  if (!wait) return refused(message, refusal(target));
  const over = (result: 'success' | 'error'): void => {
    done(result);
    forget(session, key);
  };
  const done = counter(deps.stats.method(message.method));
  const waiting = deferred(deps.boundary, controller, wait, sink, over, () => {
    const found = view.find(named.kind, named.name);
    const late = found && crossingOf(found);
    if (found?.link.state === 'up' && !(late instanceof GatewayError)) {
      waiting.next = open(found, late);
      return;
    }
    sink.fail(late instanceof GatewayError ? late : refusal(found));
    over('error');
  });
  remember(session, key, waiting);
  return { kind: 'exchange', exchange: waiting };

  function open(found: Target, crosses: CallCrossing | undefined): Exchange {
    const { link } = found;
    const level = modern && link.era === 'legacy' ? modern.level : undefined;
    const lower = level && deps.interests.raise(link, level);
    const exchange = openCall(message, named.at, found, wrap(found, readable(found)), {
      log: deps.log,
      boundary: deps.boundary,
      calls: deps.runtime().config.logging.calls,
      method: deps.stats.method(message.method),
      session,
      questions: deps.questions,
      merged: source.route.server === undefined,
      client: session?.id ?? modern?.client ?? source.principal.id,
      alone: isAlone(source, session),
      crossing: crosses,
      over:
        key === undefined && !lower
          ? undefined
          : () => {
              forget(session, key);
              lower?.();
            },
    });
    remember(session, key, exchange);
    return exchange;
  }

  /** As the revision of the client can say it. */
  function readable(found: Target): Sink {
    if (modern) return sink;
    const wraps = found.definition?.tool?.wrapsOutput === true;
    const revision = session?.revision;
    const converts = revision !== undefined && mayNeedConversion(revision, message.method);
    if (!wraps && !converts) return sink;
    const { message_bytes } = deps.runtime().config.limits;
    const holding = {
      maxBytes: message_bytes,
      budget: deps.budget,
      whose: { client: session?.id, server: found.link.server },
      boundary: deps.boundary,
    };
    return held(sink, holding, function* (whole) {
      const wrapped = wraps ? yield* convertStructured(whole) : whole;
      return converts ? yield* convertContent(wrapped, revision) : wrapped;
    });
  }

  /** undefined: both sides are legacy. */
  function crossingOf(found: Target): CallCrossing | GatewayError | undefined {
    const { link, definition } = found;
    if (!modern && link.era === 'legacy') return undefined;
    const route = source.route.key;
    const { bridge } = deps;
    if (!modern)
      return {
        bridge,
        caller: callerOf(source, session),
        route,
        name: named.name,
        foreign: [],
        resume: undefined,
      };
    const mirrored = definition?.tool?.headers ?? [];
    const { headers } = source;
    const wrong =
      headers &&
      checkParamHeaders(mirrored, message.body, find(message.params, 'arguments'), (name) =>
        oneOf(headers[name]),
      );
    if (wrong !== undefined) return new GatewayError('header_mismatch', wrong);
    const presented = { message, caller: modern, route, name: named.name };
    const resume = bridge.claim(presented, link.era);
    if (resume instanceof GatewayError) return resume;
    const foreign = headers ? foreignHeaders(headers, mirrored) : [];
    return { bridge, caller: modern, route, name: named.name, foreign, resume };
  }

  function refusal(found: Target | undefined): GatewayError {
    const error = found
      ? unreachable(found)
      : (view.conflict(named.kind, named.name) ?? unknownName(named, source));
    if (found && named.kind === 'tool') countRefusal(found, error);
    return error;
  }
}

/** A request of an extension that the gateway does not know, for the upstream that declares it: nothing in it is a name. */
export function passOn(
  deps: RelayDeps,
  source: Source,
  message: Message,
  session: Session | undefined,
  sink: Sink,
  link: Link,
  modern?: Caller,
): Handled {
  const key = session && idKey(message.id as string);
  if (key !== undefined && session?.inFlight?.has(key)) return inUse(message, key);
  const target: Target = {
    link,
    name: message.method,
    patch: undefined,
    label: 'unknown',
    repeatable: false,
    definition: undefined,
    stats: undefined,
  };
  const caller = modern ?? (link.era === 'modern' ? callerOf(source, session) : undefined);
  const exchange = openCall(message, { start: 0, end: 0 }, target, sink, {
    log: deps.log,
    boundary: deps.boundary,
    calls: deps.runtime().config.logging.calls,
    // Bounded: what the gateway does not know has one series.
    method: deps.stats.method('unknown'),
    session,
    questions: deps.questions,
    merged: source.route.server === undefined,
    client: session?.id ?? modern?.client ?? source.principal.id,
    alone: isAlone(source, session),
    crossing: caller && {
      bridge: deps.bridge,
      caller,
      route: source.route.key,
      name: message.method,
      foreign: source.headers && modern ? foreignHeaders(source.headers, []) : [],
      resume: undefined,
    },
    over: () => forget(session, key),
  });
  remember(session, key, exchange);
  return { kind: 'exchange', exchange };
}

/** Who has no session, and shares the endpoint, cannot be told from another with the same name and token. */
function isAlone({ principal }: Source, session: Session | undefined): boolean {
  return session !== undefined || principal.id === 'local';
}

/** The same object for all: what follows from it is made once. */
const NONE = {};

/** A legacy client, as a modern upstream is told of it with each request. */
export function callerOf(source: Source, session: Session | undefined): Caller {
  const { version, principal } = source;
  const named = version !== undefined && isLegacyRevision(version) ? version : DEFAULT_LEGACY;
  return {
    principal,
    client: session?.id ?? principal.id,
    era: 'legacy',
    revision: session?.revision ?? named,
    // Without a session there is no way to ask.
    capabilities: session?.capabilities ?? NONE,
    clientInfo: session?.clientInfo,
    // Who asked for no level hears what a server says of its own accord.
    level: session && (session.level ?? 'debug'),
  };
}

function oneOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Parameters in headers that no tool here is known for: whoever comes next may know them. */
function foreignHeaders(headers: Headers, known: readonly ParamHeader[]): string[] {
  const found: string[] = [];
  for (const name in headers) {
    if (!name.startsWith('mcp-param-') || known.some(({ header }) => header === name)) continue;
    const line = oneOf(headers[name]);
    if (line !== undefined) found.push(name, line);
  }
  return found;
}

export function inUse(message: Message, key: string): Handled {
  const why = `the id ${key.slice(0, 64)} is in use by a request in flight`;
  return refused(message, new GatewayError('invalid_request', why));
}

/** Unknown and forbidden names get the same text. */
function unknownName({ kind, name }: Named, source: Source): GatewayError {
  const shown = name.slice(0, 256);
  if (kind === 'resource')
    return new GatewayError('resource_not_found', `resource not found: ${shown}`, {
      uri: name.slice(0, 2048),
    });
  if (kind === 'task') return new GatewayError('invalid_params', `unknown task '${shown}'`);
  const form = source.route.server === undefined ? `${kind} name must be server__${kind}, as in` : 'see';
  return new GatewayError('invalid_params', `unknown ${kind} '${shown}' (${form} ${kind}s/list)`);
}

/** Why the one server of a route has nothing to show; undefined: it has, or it may have in a moment. */
export function nothingBehind(view: View, server: string | undefined): GatewayError | undefined {
  const [link] = server === undefined ? [] : view.links();
  if (!link || link.state === 'up' || link.reconnecting || link.keptSince !== undefined) return undefined;
  return unreachable({ link });
}

function unreachable({ link }: Pick<Target, 'link'>): GatewayError {
  const why = link.firstConnect ? 'is still connecting' : 'is disconnected';
  const cause = link.lastError === undefined ? '' : ` (${link.lastError})`;
  const data = link.retryAfter === undefined ? undefined : { retryAfter: link.retryAfter };
  return new GatewayError('upstream_disconnected', `upstream '${link.server}' ${why}${cause}`, data);
}

export function remember(session: Session | undefined, key: string | undefined, exchange: Exchange): void {
  if (session && key !== undefined) (session.inFlight ??= new Map()).set(key, exchange);
}

/** An emptied map is let go: see upstream/calls/call-table.ts. */
export function forget(session: Session | undefined, key: string | undefined): void {
  if (key === undefined || !session?.inFlight?.delete(key)) return;
  if (session.inFlight.size === 0) session.inFlight = undefined;
}

/** An exchange that first waits for an upstream's first connect. */
export function deferred(
  boundary: Boundary,
  controller: AbortController,
  wait: Promise<void>,
  sink: Sink,
  done: Done,
  go: () => void,
): Exchange & { next: Exchange | undefined } {
  let over = false;
  const exchange = {
    next: undefined as Exchange | undefined,
    resume() {
      exchange.next?.resume();
    },
    cancel(why: Cause) {
      if (exchange.next) {
        exchange.next.cancel(why);
        return;
      }
      if (over) return;
      over = true;
      controller.abort();
      done('error');
      sink.cancelled(why);
    },
  };
  const gone = wait.then(() => {
    if (over) return;
    over = true;
    go();
  });
  boundary.detach('detached', gone, (error) => {
    done('error');
    sink.fail(error);
  });
  return exchange;
}
