/** Sends changes of servers to the clients that they concern. */
import type { ListKind } from '../protocol/lists.js';
import { isBelow } from './call.js';
import type { GivenLists } from './given.js';
import type { Subscribers } from './interests.js';
import { CHANGE_OF, Listener, type Listeners } from './listeners.js';
import { find } from '../protocol/message.js';
import type { Notice, View } from '../protocol/ports.js';
import type { Session, SessionStore } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import { scan } from '../wire/scan.js';
import { splice } from '../wire/splice.js';

function listChanged(what: 'tools' | 'prompts' | 'resources'): Notice {
  const method = `notifications/${what}/list_changed`;
  return { method, bytes: Buffer.from(`{"jsonrpc":"2.0","method":"${method}"}`) };
}

const RESOURCES = listChanged('resources');
const LIST_CHANGED: Readonly<Record<ListKind, Notice>> = {
  tools: listChanged('tools'),
  prompts: listChanged('prompts'),
  resources: RESOURCES,
  templates: RESOURCES,
  skills: RESOURCES,
};

/** One notification per kind of list; resources, templates and skills share one. */
function listChangedNotices(kinds: Iterable<ListKind>): Set<Notice> {
  return new Set([...kinds].map((kind) => LIST_CHANGED[kind]));
}

/** Longest time without a pause: a list may have to be rendered for each view. */
const TURN_MS = 8;

export interface FanOutDeps {
  readonly sessions: SessionStore;
  readonly streams: Streams;
  readonly listeners: Listeners;
  readonly given: GivenLists;
}

/**
 * Tells every client which lists have changed, of servers that it sees, unless it has the current lists. Pauses regularly for other work.
 */
export async function fanOutListChanged(
  deps: FanOutDeps,
  changed: ReadonlyMap<string, ReadonlySet<ListKind>>,
): Promise<void> {
  const { sessions, listeners } = deps;
  let until = performance.now() + TURN_MS;
  let failure: { readonly thrown: unknown } | undefined;
  for (const subscriber of [...sessions.all(), ...listeners.all()]) {
    try {
      const { server, caller } = subscriber;
      const kinds = kindsFor(changed, server, caller.view);
      for (const kind of kinds)
        if (
          subscriber instanceof Listener ? subscriber.kinds.includes(kind) : deps.given.has(subscriber, kind)
        )
          await caller.view.prepare(kind, caller.era);
      if (subscriber instanceof Listener) tellChanged(subscriber, kinds);
      else tellSession(deps, subscriber, kinds);
    } catch (thrown) {
      // The others are told all the same.
      failure ??= { thrown };
    }
    if (performance.now() < until) continue;
    await new Promise(setImmediate);
    until = performance.now() + TURN_MS;
  }
  if (failure) throw failure.thrown;
}

/** The kinds of lists that changed for a view. */
function kindsFor(
  changed: ReadonlyMap<string, ReadonlySet<ListKind>>,
  route: string | undefined,
  view: View,
): ReadonlySet<ListKind> {
  const found = new Set<ListKind>();
  for (const [server, kinds] of changed)
    if ((route === undefined || route === server) && !view.hides(server))
      for (const kind of kinds) found.add(kind);
  return found;
}

/** Tells a session which lists have changed, unless it has the current ones. */
export function tellSession(
  { streams, given }: Pick<FanOutDeps, 'streams' | 'given'>,
  session: Session,
  kinds: Iterable<ListKind>,
): void {
  if (!session.open) return;
  const { view } = session.caller;
  const news = [...kinds].filter((kind) => !given.holds(session, kind, () => view.list(kind, 'legacy')));
  for (const notice of listChangedNotices(news)) streams.notify(session, notice);
}

/** Tells a subscription stream which of its lists have changed since it was last told. */
export function tellChanged(listener: Listener, kinds: Iterable<ListKind>): void {
  const wanted = [...kinds].filter(
    (kind) => listener.changes.has(CHANGE_OF[kind]) && listener.recordList(kind),
  );
  for (const notice of listChangedNotices(wanted)) listener.tell(notice.method, notice);
}

/** Tells subscribers that a resource was updated, each by the URI that it used. */
export function fanOutUpdated(
  streams: Streams,
  subscribers: Subscribers,
  server: string,
  uri: string,
  notice: Notice,
): void {
  for (const [subscriber, asked] of subscribers) {
    const { view } = subscriber.caller;
    if (view.hides(server)) continue;
    const own = view.uriOf(server, uri);
    if (own === undefined) continue;
    const shown = asked ?? own;
    const named = shown === uri ? notice : { ...notice, bytes: withUri(notice.bytes, shown) };
    if (subscriber instanceof Listener) subscriber.tell(`${notice.method} ${shown}`, named);
    else streams.notify(subscriber, named);
  }
}

/** Sends a session a message that belongs to no call. */
export function tellAside(streams: Streams, session: Session, notice: Notice): void {
  const { level } = session;
  if (level !== undefined && notice.method === 'notifications/message' && isBelow(notice, level)) return;
  streams.notify(session, notice);
}

function withUri(bytes: Buffer, uri: string): Buffer {
  const read = scan(bytes);
  const at = read.kind === 'object' ? find(read.params, 'uri') : undefined;
  return at
    ? splice(bytes, [{ start: at.start, end: at.end, bytes: Buffer.from(JSON.stringify(uri)) }])
    : bytes;
}
