/** What upstreams tell of themselves, on its way to every client concerned. */
import type { ListKind } from '../protocol/lists.js';
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

const LIST_CHANGED: Readonly<Record<ListKind, Notice>> = {
  tools: listChanged('tools'),
  prompts: listChanged('prompts'),
  resources: listChanged('resources'),
  templates: listChanged('resources'),
};

/** One notification a kind of list; resources and their templates are one. */
export function listChangedNotices(kinds: Iterable<ListKind>): Set<Notice> {
  return new Set([...kinds].map((kind) => LIST_CHANGED[kind]));
}

/** Tells every client that can see a server which of its lists are other ones. */
export function fanOutListChanged(
  sessions: SessionStore,
  streams: Streams,
  listeners: Listeners,
  changed: ReadonlyMap<string, ReadonlySet<ListKind>>,
): void {
  const all = new Set<ListKind>();
  for (const kinds of changed.values()) for (const kind of kinds) all.add(kind);
  const kindsFor = (server: string | undefined): Iterable<ListKind> =>
    server === undefined ? all : (changed.get(server) ?? []);
  for (const session of sessions.all())
    for (const notice of listChangedNotices(kindsFor(session.server))) streams.notify(session, notice);
  for (const listener of listeners.all()) tellChanged(listener, kindsFor(listener.server));
}

/** Tells a stream of changes of what it was opened for. */
export function tellChanged(listener: Listener, kinds: Iterable<ListKind>): void {
  const wanted = [...kinds].filter((kind) => listener.changes.has(CHANGE_OF[kind]));
  for (const notice of listChangedNotices(wanted)) listener.tell(notice.method, notice);
}

/** Tells the subscribers that a resource was updated, under the URI by which each one knows it. */
export function fanOutUpdated(
  streams: Streams,
  subscribers: Subscribers,
  server: string,
  uri: string,
  notice: Notice,
  viewOf: (session: Session) => View | undefined,
): void {
  for (const [hearer, asked] of subscribers) {
    const isStream = hearer instanceof Listener;
    const view = isStream ? hearer.view : viewOf(hearer);
    const shown = asked ?? view?.uriOf(server, uri) ?? uri;
    const named = shown === uri ? notice : { ...notice, bytes: withUri(notice.bytes, shown) };
    if (isStream) hearer.tell(`${notice.method} ${shown}`, named);
    else streams.notify(hearer, named);
  }
}

function withUri(bytes: Buffer, uri: string): Buffer {
  const read = scan(bytes);
  const at = read.kind === 'object' ? find(read.params, 'uri') : undefined;
  return at
    ? splice(bytes, [{ start: at.start, end: at.end, bytes: Buffer.from(JSON.stringify(uri)) }])
    : bytes;
}
