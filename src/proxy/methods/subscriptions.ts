/** resources/subscribe and unsubscribe: only the first subscription and the last cancellation go to the server. */
import { GatewayError } from '../../errors.js';
import { within } from '../../lib/within.js';
import { find, param } from '../../protocol/message.js';
import {
  LOG_LEVELS,
  type AnswerHead,
  type Cause,
  type Exchange,
  type Link,
  type LogLevel,
  type Seen,
  type Sink,
  type Target,
} from '../../protocol/ports.js';
import { answerWith, PassThroughSink } from '../../protocol/sinks.js';
import type { Session } from '../../session/store.js';
import { answer, refused, type Handled, type Incoming } from '../incoming.js';
import { tooLong } from '../../session/kept.js';
import { guarded } from '../guarded.js';
import type { Interests } from '../interests.js';
import { forget, inUse, remember } from '../under-way.js';
import { deferred } from './deferred.js';
import { namedBy } from './named.js';
import { relay, type Named, type RelayDeps } from './relay.js';

const NEEDS_SESSION = 'needs a session: initialize first, and send its Mcp-Session-Id';

export function subscribe(deps: RelayDeps, incoming: Incoming): Handled {
  const { message, session, sink, caller } = incoming;
  const named = namedBy(message, 'uri', 'resource');
  if (named instanceof GatewayError) return refused(message, named);
  if (!session)
    return refused(message, new GatewayError('invalid_request', `${message.method} ${NEEDS_SESSION}`));
  const long = tooLong('params.uri', Buffer.byteLength(named.name));
  if (long) return refused(message, long);
  const target = caller.view.find('resource', named.name);
  const denied = target && guarded(deps, incoming, 'resource', target);
  if (denied) return refused(message, denied);
  const controller = new AbortController();
  const until = target && waitFor(deps, incoming, named, target.link, controller.signal);
  if (!until) return subscribeNow(deps, incoming, session, named);
  const used = inUse(incoming);
  if (used) return used;
  const waiting = deferred(deps.boundary, incoming, { until, controller }, () => {
    forget(incoming, waiting);
    const handled = subscribeNow(deps, incoming, session, named);
    if (handled.kind === 'exchange') {
      waiting.next = handled.exchange;
      return;
    }
    if (handled.kind === 'answer') answerWith(sink, message.id as string, '{}');
    else sink.fail(handled.kind === 'refused' ? handled.error : GONE);
    waiting.over(handled.kind === 'answer' ? 'success' : 'error');
  });
  remember(incoming, waiting);
  return { kind: 'exchange', exchange: waiting };
}

/** Waits for the server's first connect, and for its link in the client's era; undefined: nothing to wait for. */
function waitFor(
  deps: RelayDeps,
  { caller }: Incoming,
  named: Named,
  link: Link,
  signal: AbortSignal,
): Promise<void> | undefined {
  if (link.state !== 'up') return caller.view.ready(named, signal);
  const dialling = link.era === 'modern' ? deps.dialling(link.server) : undefined;
  return dialling && within(dialling, deps.runtime().config.startup.wait_ms, signal);
}

function subscribeNow(deps: RelayDeps, incoming: Incoming, session: Session, named: Named): Handled {
  const { message, caller } = incoming;
  const { interests } = deps;
  const target = caller.view.find('resource', named.name);
  const leaving = message.method === 'resources/unsubscribe';
  if (leaving) {
    const left = target && interests.remove(session, target.link, target.name);
    if (!left) return answer(message, '{}');
    const { link, name } = target;
    const isOther = left.key !== link.key;
    if (isOther || link.state !== 'up' || link.era === 'modern') {
      (isOther ? left : link).unsubscribe(name, isOther || link.era === 'modern');
      return answer(message, '{}');
    }
    link.unsubscribe(name, false);
  } else if (target?.link.isSubscribed(target.name)) {
    const full = interests.add(session, target.link, target.name);
    return full ? refused(message, full) : answer(message, '{}');
  }
  if (target?.link.era === 'modern' && target.link.state === 'up') {
    const used = inUse(incoming);
    if (used) return used;
    const exchange = listened(deps, incoming, session, target);
    remember(incoming, exchange);
    return { kind: 'exchange', exchange };
  }
  return relay(deps, incoming, named, (found, inner) =>
    leaving ? inner : new Subscription(inner, session, interests, found),
  );
}

/** Modern servers have no such request: adds the URI to the gateway's subscription stream. */
function listened(
  { boundary, interests }: RelayDeps,
  incoming: Incoming,
  session: Session,
  { link, name }: Target,
): Exchange {
  const { message, sink } = incoming;
  let over = false;
  const settled = interests.hold(link, name);
  const done = (result: 'success' | 'error', go: () => void): void => {
    if (over) return;
    over = true;
    forget(incoming, exchange);
    incoming.over(result);
    go();
  };
  const exchange: Exchange = {
    resume() {},
    cancel(why) {
      done('error', () => {
        sink.cancelled(why);
      });
    },
  };
  const subscribed = link.subscribe(name).then(
    () => {
      const full = !over && session.open ? interests.add(session, link, name) : GONE;
      done(full ? 'error' : 'success', () => {
        if (full) return sink.fail(full);
        answerWith(sink, message.id as string, '{}');
      });
      settled(session);
    },
    (error: unknown) => {
      settled();
      done('error', () => {
        sink.fail(error instanceof GatewayError ? error : new GatewayError('internal', String(error)));
      });
    },
  );
  boundary.detach('detached', subscribed, (error) => {
    sink.fail(error);
  });
  return exchange;
}

const GONE = new GatewayError('unknown_session', 'the session has ended');

/** Records the subscription once the server has accepted it, and cancels it if the client has gone. */
class Subscription extends PassThroughSink {
  readonly #session: Session;
  readonly #interests: Interests;
  readonly #target: Target;
  readonly #settled: (subscriber?: Session) => void;
  #added = false;
  #refused = false;

  constructor(sink: Sink, session: Session, interests: Interests, target: Target) {
    super(sink);
    this.#session = session;
    this.#interests = interests;
    this.#target = target;
    this.#settled = once(interests.hold(target.link, target.name));
  }

  override start(head: AnswerHead): void {
    if (head.kind === 'result') {
      const { link, name } = this.#target;
      const full = this.#session.open ? this.#interests.add(this.#session, link, name) : GONE;
      if (full) {
        this.#refused = true;
        link.keepSubscribed(name);
        this.#settled();
        return super.fail(full);
      }
      this.#added = true;
    }
    super.start(head);
  }

  override write(chunk: Buffer): boolean {
    return this.#refused || super.write(chunk);
  }

  override end(seen: Seen): void {
    if (this.#refused) return;
    const { link, name } = this.#target;
    if (this.#added && this.#session.open) link.keepSubscribed(name);
    super.end(seen);
    this.#settled(this.#session);
  }

  override cancelled(why: Cause): void {
    this.#lost();
    super.cancelled(why);
  }

  override fail(error: GatewayError): void {
    if (this.#refused) return;
    this.#lost();
    super.fail(error);
  }

  #lost(): void {
    if (this.#added) this.#interests.remove(this.#session, this.#target.link, this.#target.name);
    this.#added = false;
    this.#settled();
  }
}

function once<T>(go: (value?: T) => void): (value?: T) => void {
  let isDone = false;
  return (value) => {
    if (!isDone) go(value);
    isDone = true;
  };
}

export function setLevel(interests: Interests, { message, session, caller, merged }: Incoming): Handled {
  const [only] = merged ? [] : caller.view.links();
  if (only?.state === 'up' && only.peer && only.peer.capabilities['logging'] === undefined)
    return refused(
      message,
      new GatewayError('method_not_found', `upstream '${only.server}' sends no log messages`),
    );
  const level = find(message.params, 'level') && param(message, 'level');
  if (!LOG_LEVELS.includes(level as LogLevel))
    return refused(
      message,
      new GatewayError('invalid_params', `params.level must be one of ${LOG_LEVELS.join(', ')}`),
    );
  if (!session)
    return refused(message, new GatewayError('invalid_request', `${message.method} ${NEEDS_SESSION}`));
  interests.setLevel(session, level as LogLevel);
  return answer(message, '{}');
}
