/** What upstreams tell of themselves, on its way to every client concerned. */
import type { ListKind } from '../protocol/lists.js';
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

/** Tells every session that can see a server which of its lists are other ones. */
export function fanOutListChanged(
  sessions: SessionStore,
  streams: Streams,
  changed: ReadonlyMap<string, ReadonlySet<ListKind>>,
): void {
  const all = new Set<Notice>();
  for (const kinds of changed.values()) for (const kind of kinds) all.add(LIST_CHANGED[kind]);
  for (const session of sessions.all()) {
    const { server } = session;
    const notices = server === undefined ? all : listChangedNotices(changed.get(server) ?? []);
    for (const notice of notices) streams.notify(session, notice);
  }
}

/** Tells the subscribers that a resource was updated, under the URI it has in each one's view. */
export function fanOutUpdated(
  streams: Streams,
  subscribers: ReadonlySet<Session>,
  server: string,
  uri: string,
  notice: Notice,
  viewOf: (session: Session) => View | undefined,
): void {
  for (const session of subscribers) {
    const shown = viewOf(session)?.uriOf(server, uri) ?? uri;
    streams.notify(session, shown === uri ? notice : { ...notice, bytes: withUri(notice.bytes, shown) });
  }
}

function withUri(bytes: Buffer, uri: string): Buffer {
  const read = scan(bytes);
  const at = read.kind === 'object' ? find(read.params, 'uri') : undefined;
  return at
    ? splice(bytes, [{ start: at.start, end: at.end, bytes: Buffer.from(JSON.stringify(uri)) }])
    : bytes;
}
