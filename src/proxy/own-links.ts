/** Links that belong to one session: for servers with `session: per-client`. Made with the session, closed with it, bounded. */
import { SessionCatalog, type Catalog } from '../catalog/catalog.js';
import { MergedView, SingleView } from '../catalog/view.js';
import type { ServerConfig } from '../config/types.js';
import type { Message } from '../protocol/message.js';
import type { Link, LinkEvents, Question, Refusal, Sink } from '../protocol/ports.js';
import { NO_LISTS } from '../protocol/lists.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import { isBelow } from './call.js';
import type { Interests } from './interests.js';
import { fanOutUpdated, listChangedNotices } from './fan-out.js';
import type { Questions } from './questions.js';

/** A link that can be begun and ended, as the upstream room makes it. */
export interface OwnLink extends Link {
  start(): void;
  update(config: ServerConfig): void;
  drain(graceMs: number): Promise<void>;
  destroy(): void;
}

export interface OwnLinksDeps {
  readonly catalog: Catalog;
  readonly streams: Streams;
  readonly questions: Questions;
  readonly interests: () => Interests;
  readonly taskStatus: LinkEvents['taskStatus'];
  /** limits.per_client: links an upstream, at the most. */
  readonly limit: () => number;
  /** Links may connect. */
  readonly begun: () => boolean;
  /** The servers that want a link a client, now. */
  readonly servers: () => readonly ServerConfig[];
  readonly connect: (
    config: ServerConfig,
    client: { readonly id: string; readonly capabilities: Readonly<Record<string, unknown>> },
    events: LinkEvents,
  ) => OwnLink;
}

export interface OwnLinks {
  /** Gives the session links of its own to the servers that want that, and a view with them. */
  open(session: Session): void;
  /** Links may connect from now on. */
  begin(): void;
  of(session: Session): readonly Link[];
  /** A notification of the client that its own links are to hear. */
  tell(session: Session, message: Message): void;
  close(session: Session): void;
  /** What needs no new connection changed. */
  update(config: ServerConfig): void;
  /** The configuration of a server is another one, or it is gone: links to it end, and begin anew where they are still wanted. */
  restart(server: string): void;
  destroy(): void;
}

interface Owned {
  readonly catalog: SessionCatalog;
  readonly links: Map<string, OwnLink>;
}

export function createOwnLinks(deps: OwnLinksDeps): OwnLinks {
  const owned = new Map<Session, Owned>();
  const counts = new Map<string, number>();

  function add(session: Session, { catalog, links }: Owned, config: ServerConfig): void {
    const { name } = config;
    const used = counts.get(name) ?? 0;
    if (used >= deps.limit()) {
      catalog.put(full(deps.catalog.get(name), name, deps.limit()));
      return;
    }
    counts.set(name, used + 1);
    const client = { id: session.id, capabilities: session.capabilities };
    const link = deps.connect(config, client, eventsOf(session, catalog));
    links.set(name, link);
    catalog.put(link);
    // After a reload: what the session wanted of the link before.
    deps.interests().adopt(link, session);
    if (deps.begun()) link.start();
  }

  function drop(links: Map<string, OwnLink>, server: string, graceMs: number): void {
    const link = links.get(server);
    if (!link) return;
    links.delete(server);
    counts.set(server, (counts.get(server) ?? 1) - 1);
    void link.drain(graceMs);
  }

  function eventsOf(session: Session, catalog: SessionCatalog): LinkEvents {
    const changed = (kinds: Parameters<LinkEvents['changed']>[1]): void => {
      catalog.touch();
      for (const notice of listChangedNotices(kinds)) deps.streams.notify(session, notice);
    };
    return {
      state: (_link, kinds) => {
        changed(kinds);
      },
      changed: (_link, kinds) => {
        changed(kinds);
      },
      updated: (link, uri, notice) => {
        const subscribers = deps.interests().subscribers(link.key, uri);
        fanOutUpdated(deps.streams, subscribers, link.server, uri, notice, () => session.view);
      },
      elicited: (_link, _id, notice) => {
        deps.streams.notify(session, notice);
      },
      taskStatus: (link, taskId, notice) => {
        deps.taskStatus(link, taskId, notice);
      },
      other: (_link, notice) => {
        const { level } = session;
        if (level !== undefined && notice.method === 'notifications/message' && isBelow(notice, level))
          return;
        deps.streams.notify(session, notice);
      },
      asked: (link, question) => ask(session, link, question),
      gaveUp() {},
    };
  }

  /** A question without a call goes on the server-to-client stream, once there is one. */
  function ask(session: Session, link: Link, question: Question): Refusal | undefined {
    const sink: Sink = {
      notify: (notice) => deps.streams.notify(session, notice),
      ask({ method, bytes }) {
        deps.streams.notifyOnceOpen(session, { method, bytes });
        return undefined;
      },
      start() {},
      write: () => true,
      end() {},
      cancelled() {},
      fail() {},
    };
    const merged = session.server === undefined;
    const context = { session, server: link.server, merged, inputMs: link.inputMs };
    const asked = deps.questions.ask(question, sink, context, () => undefined);
    return typeof asked === 'string' ? undefined : asked;
  }

  return {
    open(session) {
      const servers = deps
        .servers()
        .filter(({ name }) => session.server === undefined || session.server === name);
      if (servers.length === 0) return;
      const own: Owned = { catalog: new SessionCatalog(deps.catalog), links: new Map() };
      owned.set(session, own);
      session.view =
        session.server === undefined
          ? new MergedView(own.catalog)
          : new SingleView(own.catalog, session.server);
      for (const config of servers) add(session, own, config);
    },
    begin() {
      for (const { catalog, links } of owned.values()) {
        catalog.begin();
        for (const link of links.values()) link.start();
      }
    },
    of: (session) => [...(owned.get(session)?.links.values() ?? [])],
    tell(session, message) {
      if (message.method !== 'notifications/roots/list_changed') return;
      for (const link of owned.get(session)?.links.values() ?? []) link.tell(message.body);
    },
    close(session) {
      const own = owned.get(session);
      if (!own) return;
      owned.delete(session);
      for (const server of [...own.links.keys()]) drop(own.links, server, 0);
    },
    update(config) {
      for (const { links } of owned.values()) links.get(config.name)?.update(config);
    },
    restart(server) {
      const config = deps.servers().find(({ name }) => name === server);
      for (const [session, own] of owned) {
        const graceMs = (config?.drain_seconds ?? 0) * 1000;
        drop(own.links, server, graceMs);
        own.catalog.remove(server);
        if (config && (session.server === undefined || session.server === server)) add(session, own, config);
      }
    },
    destroy() {
      for (const { links } of owned.values()) for (const link of links.values()) link.destroy();
      owned.clear();
      counts.clear();
    },
  };
}

/** Stands where a link would be one too many. */
function full(shared: Link | undefined, server: string, limit: number): Link {
  const stats = shared?.stats;
  if (!stats) throw new Error('a server that is not in the catalog');
  return {
    server,
    key: server,
    era: 'legacy',
    state: 'down',
    firstConnect: false,
    freshness: { until: 0, scope: 'private' },
    timeouts: { request_ms: 0, total_ms: 0 },
    stats,
    lastError: `busy: ${limit} clients have a session of their own there (limits.per_client)`,
    inputMs: 0,
    retryAfter: undefined,
    peer: shared.peer,
    lists: NO_LISTS,
    settled: Promise.resolve(),
    send() {
      throw new Error('not up');
    },
    refresh: () => Promise.reject(new Error('not up')),
    doubt() {},
    subscribe: () => Promise.reject(new Error('not up')),
    keepSubscribed() {},
    isSubscribed: () => false,
    unsubscribe() {},
    tell() {},
    request: () => Promise.reject(new Error('not up')),
    setLevel() {},
  };
}
