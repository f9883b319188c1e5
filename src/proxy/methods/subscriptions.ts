/** resources/subscribe and unsubscribe: only the first subscription and the last cancellation go to the server. */
import { GatewayError } from '../../errors.js';
import { within } from '../../lib/within.js';
import { find, param } from '../../protocol/message.js';
import {
  LOG_LEVELS,
  type AnswerHead,
  type Exchange,
  type Link,
  type LogLevel,
  type Sink,
  type Target,
} from '../../protocol/ports.js';
import type { Session } from '../../session/store.js';
import { answer, deliver, refused, type Handled, type Incoming } from '../incoming.js';
import { tooLong } from '../../session/kept.js';
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
    if (handled.kind === 'answer') deliver(message, '{}', sink);
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
  const own = link.era === 'modern' ? deps.dialling(link.server) : undefined;
  return own && within(own, deps.runtime().config.startup.wait_ms, signal);
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
    leaving ? inner : granted(inner, session, interests, found),
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
        deliver(message, '{}', sink);
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
function granted(sink: Sink, session: Session, interests: Interests, { link, name }: Target): Sink {
  let added = false;
  let refused = false;
  const settled = once(interests.hold(link, name));
  const lost = (): void => {
    if (added) interests.remove(session, link, name);
    added = false;
    settled();
  };
  return {
    notify: (notice) => sink.notify(notice),
    ask: (question) => sink.ask(question),
    start(head: AnswerHead) {
      if (head.kind === 'result') {
        const full = session.open ? interests.add(session, link, name) : GONE;
        if (full) {
          refused = true;
          link.keepSubscribed(name);
          settled();
          return sink.fail(full);
        }
        added = true;
      }
      sink.start(head);
    },
    write: (chunk) => refused || sink.write(chunk),
    end(seen) {
      if (refused) return;
      if (added && session.open) link.keepSubscribed(name);
      sink.end(seen);
      settled(session);
    },
    cancelled: (why) => {
      lost();
      sink.cancelled(why);
    },
    fail: (error) => {
      if (refused) return;
      lost();
      sink.fail(error);
    },
  };
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
