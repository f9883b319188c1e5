/** resources/subscribe and unsubscribe: the first one in and the last one out go upstream. */
import { GatewayError } from '../../errors.js';
import { within } from '../../lib/within.js';
import { find, idKey, param, type Message } from '../../protocol/message.js';
import {
  LOG_LEVELS,
  type AnswerHead,
  type Exchange,
  type Link,
  type LogLevel,
  type Sink,
  type Target,
  type View,
} from '../../protocol/ports.js';
import type { Session } from '../../session/store.js';
import { answer, counter, refused, type Done, type Handled, type Source } from '../handled.js';
import { tooLong } from '../../session/kept.js';
import type { Interests } from '../interests.js';
import { deliver } from './lists.js';
import { namedBy } from './named.js';
import { deferred, forget, inUse, relay, remember, type Named, type RelayDeps } from './relay.js';

const NEEDS_SESSION = 'needs a session: initialize first, and send its Mcp-Session-Id';

export function subscribe(
  deps: RelayDeps,
  interests: Interests,
  source: Source,
  message: Message,
  session: Session | undefined,
  sink: Sink,
): Handled {
  const named = namedBy(message, 'uri', 'resource');
  if (named instanceof GatewayError) return refused(message, named);
  if (!session)
    return refused(message, new GatewayError('invalid_request', `${message.method} ${NEEDS_SESSION}`));
  const long = tooLong('params.uri', Buffer.byteLength(named.name));
  if (long) return refused(message, long);
  const view = session.view ?? source.route.view;
  const target = view.find('resource', named.name);
  const controller = new AbortController();
  const wait = target && waitFor(deps, view, named, target.link, controller.signal);
  if (!wait) return subscribeNow(deps, interests, source, message, session, sink, named);
  const key = idKey(message.id as string);
  if (session.inFlight?.has(key)) return inUse(message, key);
  const counted = counter(deps.stats.method(message.method));
  const over = (result: 'success' | 'error'): void => {
    counted(result);
    forget(session, key);
  };
  const waiting = deferred(deps.boundary, controller, wait, sink, over, () => {
    forget(session, key);
    const handled = subscribeNow(deps, interests, source, message, session, sink, named);
    if (handled.kind === 'exchange') {
      waiting.next = handled.exchange;
      return;
    }
    if (handled.kind === 'answer') deliver(message, '{}', sink);
    else sink.fail(handled.kind === 'refused' ? handled.error : GONE);
    counted(handled.kind === 'answer' ? 'success' : 'error');
  });
  remember(session, key, waiting);
  return { kind: 'exchange', exchange: waiting };
}

/** What is waited for: the first connect of a server, and that of the link of its client's era. */
function waitFor(
  deps: RelayDeps,
  view: View,
  named: Named,
  link: Link,
  signal: AbortSignal,
): Promise<void> | undefined {
  if (link.state !== 'up') return view.ready(named, signal);
  const own = link.era === 'modern' ? deps.dialling(link.server) : undefined;
  return own && within(own, deps.runtime().config.startup.wait_ms, signal);
}

function subscribeNow(
  deps: RelayDeps,
  interests: Interests,
  source: Source,
  message: Message,
  session: Session,
  sink: Sink,
  named: Named,
): Handled {
  const target = (session.view ?? source.route.view).find('resource', named.name);
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
    const key = idKey(message.id as string);
    if (session.inFlight?.has(key)) return inUse(message, key);
    const count = counter(deps.stats.method(message.method));
    const exchange = listened(deps, message, session, sink, interests, target, (result) => {
      count(result);
      forget(session, key);
    });
    remember(session, key, exchange);
    return { kind: 'exchange', exchange };
  }
  return relay(deps, source, message, session, sink, named, (found, inner) =>
    leaving ? inner : granted(inner, session, interests, found),
  );
}

/** A modern upstream has no such request: the gateway's own stream to it asks for the URI as well. */
function listened(
  { boundary }: RelayDeps,
  message: Message,
  session: Session,
  sink: Sink,
  interests: Interests,
  { link, name }: Target,
  ended: Done,
): Exchange {
  let over = false;
  const settled = interests.hold(link, name);
  const done = (result: 'success' | 'error', go: () => void): void => {
    if (over) return;
    over = true;
    ended(result);
    go();
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
  return {
    resume() {},
    cancel(why) {
      done('error', () => {
        sink.cancelled(why);
      });
    },
  };
}

const GONE = new GatewayError('unknown_session', 'the session has ended');

/** Keeps the subscription once the upstream has answered with a result; one that nobody has after all is taken back. */
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

export function setLevel(
  interests: Interests,
  source: Source,
  message: Message,
  session: Session | undefined,
): Handled {
  const [only] = source.route.server === undefined ? [] : (session?.view ?? source.route.view).links();
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
