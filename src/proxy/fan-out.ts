/** What upstreams tell of themselves, on its way to every client concerned. */
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
};

/** One notification a kind of list; resources and their templates are one. */
function listChangedNotices(kinds: Iterable<ListKind>): Set<Notice> {
  return new Set([...kinds].map((kind) => LIST_CHANGED[kind]));
}

/** How long the telling goes on before others have their turn: for each view a list may have to be built. */
const TURN_MS = 8;

export interface FanOutDeps {
  readonly sessions: SessionStore;
  readonly streams: Streams;
  readonly listeners: Listeners;
  readonly given: GivenLists;
}

/**
 * Tells every client which lists of servers that it sees have changed, unless it holds the current ones. In turns, each of which begins
 * where the one before it ended.
 */
export async function fanOutListChanged(
  deps: FanOutDeps,
  changed: ReadonlyMap<string, ReadonlySet<ListKind>>,
): Promise<void> {
  const { sessions, listeners } = deps;
  let until = performance.now() + TURN_MS;
  for (const hearer of [...sessions.all(), ...listeners.all()]) {
    const { server, caller } = hearer;
    const kinds = kindsFor(changed, server, caller.view);
    for (const kind of kinds)
      if (hearer instanceof Listener ? hearer.kinds.includes(kind) : deps.given.has(hearer, kind))
        await caller.view.prepare(kind, caller.era);
    if (hearer instanceof Listener) tellChanged(hearer, kinds);
    else tellSession(deps, hearer, kinds);
    if (performance.now() < until) continue;
    await new Promise(setImmediate);
    until = performance.now() + TURN_MS;
  }
}

/** The lists that changed of the servers that a view shows. */
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

/** Tells a session of lists that it does not hold. */
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

/** Tells a stream of changes of what it was opened for, unless it shows what it did then, or when it was last told. */
export function tellChanged(listener: Listener, kinds: Iterable<ListKind>): void {
  const wanted = [...kinds].filter((kind) => listener.changes.has(CHANGE_OF[kind]) && listener.isNews(kind));
  for (const notice of listChangedNotices(wanted)) listener.tell(notice.method, notice);
}

/** Tells the subscribers that a resource was updated, under the URI by which each one knows it. */
export function fanOutUpdated(
  streams: Streams,
  subscribers: Subscribers,
  server: string,
  uri: string,
  notice: Notice,
): void {
  for (const [hearer, asked] of subscribers) {
    const { view } = hearer.caller;
    if (view.hides(server)) continue;
    const shown = asked ?? view.uriOf(server, uri);
    const named = shown === uri ? notice : { ...notice, bytes: withUri(notice.bytes, shown) };
    if (hearer instanceof Listener) hearer.tell(`${notice.method} ${shown}`, named);
    else streams.notify(hearer, named);
  }
}

/** What belongs to no call, for the client that it is meant for all the same. */
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
