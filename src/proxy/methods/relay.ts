/** Requests that go to one upstream: found by a name or a URI, waited for on its first connect, then handed on. */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { GatewayStats } from '../../observe/stats.js';
import { idKey, type Message } from '../../protocol/message.js';
import type { Cause, Exchange, Link, NameKind, Sink, Target } from '../../protocol/ports.js';
import type { Session } from '../../session/store.js';
import type { Span } from '../../wire/scan.js';
import { countRefusal, openCall } from '../call.js';
import { counter, refused, type Done, type Handled, type Source } from '../handled.js';
import { convertContent, mayNeedConversion } from '../conversions.js';
import { held } from '../held.js';
import type { Questions } from '../questions.js';
import type { Runtime } from '../runtime.js';

export interface RelayDeps {
  readonly runtime: () => Runtime;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly questions: Questions;
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
): Handled {
  const view = session?.view ?? source.route.view;
  const key = session && idKey(message.id as string);
  if (key !== undefined && session?.inFlight?.has(key)) return inUse(message, key);
  const target = view.find(named.kind, named.name);
  if (target?.link.state === 'up') return { kind: 'exchange', exchange: open(target) };

  const controller = new AbortController();
  const wait = view.ready(named, controller.signal);
  if (!wait) return refused(message, refusal(target));
  const over = (result: 'success' | 'error'): void => {
    done(result);
    forget(session, key);
  };
  const done = counter(deps.stats.method(message.method));
  const waiting = deferred(controller, wait, sink, over, () => {
    const found = view.find(named.kind, named.name);
    if (found?.link.state === 'up') {
      waiting.next = open(found);
      return;
    }
    sink.fail(refusal(found));
    over('error');
  });
  remember(session, key, waiting);
  return { kind: 'exchange', exchange: waiting };

  function open(found: Target): Exchange {
    const exchange = openCall(message, named.at, found, wrap(found, readable(sink)), {
      log: deps.log,
      calls: deps.runtime().config.logging.calls,
      method: deps.stats.method(message.method),
      session,
      questions: deps.questions,
      merged: source.route.server === undefined,
      client: session?.id ?? source.principal.id,
      over: key === undefined ? undefined : () => forget(session, key),
    });
    remember(session, key, exchange);
    return exchange;
  }

  /** As the revision of the session can say it. */
  function readable(inner: Sink): Sink {
    if (!session || !mayNeedConversion(session.revision, message.method)) return inner;
    const { revision } = session;
    const { message_bytes } = deps.runtime().config.limits;
    return held(inner, message_bytes, (whole) => convertContent(whole, revision));
  }

  function refusal(found: Target | undefined): GatewayError {
    const error = found ? unreachable(found) : unknownName(named, source);
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
): Handled {
  const key = session && idKey(message.id as string);
  if (key !== undefined && session?.inFlight?.has(key)) return inUse(message, key);
  const target: Target = {
    link,
    name: message.method,
    patch: undefined,
    label: 'unknown',
    repeatable: false,
    stats: undefined,
  };
  const exchange = openCall(message, { start: 0, end: 0 }, target, sink, {
    log: deps.log,
    calls: deps.runtime().config.logging.calls,
    // Bounded: what the gateway does not know has one series.
    method: deps.stats.method('unknown'),
    session,
    questions: deps.questions,
    merged: source.route.server === undefined,
    client: session?.id ?? source.principal.id,
    over: () => forget(session, key),
  });
  remember(session, key, exchange);
  return { kind: 'exchange', exchange };
}

function inUse(message: Message, key: string): Handled {
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

function unreachable({ link }: Target): GatewayError {
  const why = link.firstConnect ? 'is still connecting' : 'is disconnected';
  const cause = link.lastError === undefined ? '' : ` (${link.lastError})`;
  const data = link.retryAfter === undefined ? undefined : { retryAfter: link.retryAfter };
  return new GatewayError('upstream_disconnected', `upstream '${link.server}' ${why}${cause}`, data);
}

function remember(session: Session | undefined, key: string | undefined, exchange: Exchange): void {
  if (session && key !== undefined) (session.inFlight ??= new Map()).set(key, exchange);
}

/** An emptied map is let go: see upstream/call-table.ts. */
function forget(session: Session | undefined, key: string | undefined): void {
  if (key === undefined || !session?.inFlight?.delete(key)) return;
  if (session.inFlight.size === 0) session.inFlight = undefined;
}

/** An exchange that first waits for an upstream's first connect. */
export function deferred(
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
  void wait.then(() => {
    if (over) return;
    over = true;
    go();
  });
  return exchange;
}
