/** The modules around the links of single clients, with fakes in the place of links. */
import { LOCAL } from '../../../src/auth/authenticate.js';
import { Catalog, OverlaidCatalog } from '../../../src/catalog/catalog.js';
import type { Registry } from '../../../src/catalog/registry.js';
import type { ServerConfig } from '../../../src/config/types.js';
import { createBudget } from '../../../src/lib/budget.js';
import { createWheel } from '../../../src/lib/wheel.js';
import { Boundary, type Place } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import { GatewayStats, ServerStats, Tally } from '../../../src/observe/stats.js';
import {
  NO_LISTS,
  readListPage,
  type Definition,
  type ListKind,
  type Lists,
} from '../../../src/protocol/lists.js';
import {
  NOBODY_TO_ASK,
  type ServerLink,
  type LinkEvents,
  type LinkState,
  type Notice,
  type Peer,
  type Sink,
  type StreamTarget,
  type View,
} from '../../../src/protocol/ports.js';
import type { Era } from '../../../src/protocol/revisions.js';
import { sessionCaller } from '../../../src/proxy/callers.js';
import { fanOutUpdated } from '../../../src/proxy/fan-out.js';
import { GivenLists } from '../../../src/proxy/given.js';
import { createInterests, type Interests } from '../../../src/proxy/interests.js';
import { createListeners, Listener, type Change } from '../../../src/proxy/listeners.js';
import type { OwnClient, OwnLink } from '../../../src/proxy/owned.js';
import { createOwnLinks, type OwnLinks } from '../../../src/proxy/own-links.js';
import { createQuestions } from '../../../src/proxy/questions.js';
import { createViews, type Viewer, type Views } from '../../../src/proxy/views.js';
import { createKept } from '../../../src/session/kept.js';
import { localSessions } from '../../../src/session/local.js';
import { createSessionStore, type NewSession, type Session } from '../../../src/session/store.js';
import { createStreams } from '../../../src/session/streams.js';
import { EVERY_CAPABILITY } from '../../../src/upstream/link/envelope.js';
import { http } from '../config/helpers.js';
import { createAccess, type Access } from '../../../src/policy/access.js';
import { resolveConfig } from '../../../src/config/index.js';
import { routeOf, routeTo } from '../../../src/proxy/route.js';

/** Everybody may do everything. */
export const NO_ACCESS: Access = createAccess(resolveConfig({ servers: [] }, {}).config);

export function catalogOf(...links: readonly ServerLink[]): Catalog {
  const catalog = new Catalog({
    nameLength: () => 0,
    waitMs: () => 1000,
    serverInfo: { name: 'mcpstead', version: '9' },
    now: () => performance.now(),
  });
  for (const link of links) catalog.put(link);
  return catalog;
}

const page = (kind: ListKind, member: string, definitions: readonly object[]): Definition[] =>
  readListPage(kind, Buffer.from(JSON.stringify({ [member]: definitions }))).definitions;

export const toolsOf = (...names: readonly string[]): Definition[] =>
  page(
    'tools',
    'tools',
    names.map((name) => ({ name, inputSchema: { type: 'object' } })),
  );

export const promptsOf = (...names: readonly string[]): Definition[] =>
  page(
    'prompts',
    'prompts',
    names.map((name) => ({ name })),
  );

export const resourcesOf = (...uris: readonly string[]): Definition[] =>
  page(
    'resources',
    'resources',
    uris.map((uri) => ({ uri, name: 'r' })),
  );

export const templatesOf = (...templates: readonly string[]): Definition[] =>
  page(
    'templates',
    'resourceTemplates',
    templates.map((uriTemplate) => ({ uriTemplate, name: 't' })),
  );

export function peerOf(server: string, more: Partial<Peer> = {}): Peer {
  return {
    era: 'legacy',
    revision: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: Buffer.from(JSON.stringify({ name: server, version: '1' })),
    instructions: undefined,
    ...more,
  };
}

/** What views read of a link. */
export function linkOf(
  server: string,
  lists: Partial<Lists> = {},
  more: Partial<ServerLink> = {},
): ServerLink {
  const link: Partial<ServerLink> = {
    server,
    key: server,
    shared: true,
    era: 'legacy',
    state: 'up',
    firstConnect: false,
    settled: Promise.resolve(),
    lastError: undefined,
    retryAfter: undefined,
    peer: peerOf(server),
    schemes: [],
    listsFor: undefined,
    stats: new ServerStats(server),
    lists: { ...NO_LISTS, ...lists },
    freshness: { until: 1000, scope: 'public' },
    inputMs: 0,
    subscribe: () => Promise.resolve(),
    keepSubscribed: () => undefined,
    isSubscribed: () => false,
    unsubscribe: () => undefined,
    setLevel: () => undefined,
    tell: () => undefined,
    ...more,
  };
  return link as ServerLink;
}

/** A link of one client. */
export interface FakeLink extends OwnLink {
  readonly client: OwnClient;
  readonly events: LinkEvents;
  /** What was done to it, in order. */
  readonly done: string[];
  state: LinkState;
  inFlight: number;
  lists: Lists;
  config: ServerConfig;
  /** It went up or down. */
  turn(state: LinkState): void;
  /** Its draining has ended. */
  end(): void;
}

function fakeLink(config: ServerConfig, client: OwnClient, events: LinkEvents): FakeLink {
  const done: string[] = [];
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const link = {
    ...linkOf(config.name, { tools: toolsOf('one') }),
    key: `${config.name} ${client.id}`,
    shared: false,
    state: 'connecting' as LinkState,
    client,
    events,
    done,
    config,
    inFlight: 0,
    transportKind: undefined,
    staleLists: new Map(),
    start: () => done.push('start'),
    inherit: (old: OwnLink) => done.push(`inherit ${(old as FakeLink).done[0] ?? ''}`),
    update(to: ServerConfig) {
      link.config = to;
      done.push('update');
    },
    drain(graceMs: number) {
      done.push(`drain ${graceMs}`);
      return ended;
    },
    close: () => Promise.resolve(),
    destroy: () => done.push('destroy'),
    keepSubscribed: (uri: string) => done.push(`keep ${uri}`),
    tell: (message: Buffer) => done.push(`tell ${message.toString()}`),
    setLevel: (level: string | undefined) => {
      if (level !== undefined) done.push(`level ${level}`);
    },
    lastCode: undefined,
    history: [],
    stderr: [],
    turn(state: LinkState) {
      link.state = state;
      events.state(link, ['tools']);
    },
    end,
  };
  return link;
}

export const perClient = (name: string, more: object = {}): ServerConfig =>
  http({ name, session: 'per-client', drain_seconds: 7, ...more });

export const ADDRESS = { principal: LOCAL, route: '/mcp', server: undefined } as const;

/** A modern client. */
export function viewerOf(client: string, more: Partial<Viewer> = {}): Viewer {
  return {
    principal: LOCAL,
    client,
    era: 'modern',
    revision: '2026-07-28',
    capabilities: EVERY_CAPABILITY,
    ...more,
  };
}

export interface Stage {
  readonly catalog: Catalog;
  readonly legacy: OverlaidCatalog;
  readonly views: Views;
  readonly own: OwnLinks;
  readonly interests: Interests;
  readonly listeners: ReturnType<typeof createListeners>;
  readonly store: ReturnType<typeof createSessionStore>;
  readonly streams: ReturnType<typeof createStreams>;
  readonly given: GivenLists;
  readonly boundary: Boundary;
  readonly caught: Tally<Place>;
  /** The links of clients, in the order in which they were made. */
  readonly made: FakeLink[];
  /** Clients that lost their session for another one's link. */
  readonly evicted: Session[];
  servers: ServerConfig[];
  limit: number;
  begun: boolean;
  /** Opens a session. */
  session(more?: Partial<NewSession>): Session;
  /** Opens the server-to-client stream of a session; returns what it gets: methods, with the URI of an update. */
  hears(session: Session): string[];
  /** A modern client makes a request; returns its registry. */
  asks(viewer: Viewer, server?: string): Registry | undefined;
  /** Opens a subscription stream of a modern client; returns what it gets. */
  listens(viewer: Viewer, changes?: readonly Change[]): { told: string[]; listener: Listener };
  /** The link of a client that is not retired. */
  linkOf(client: string, server: string): FakeLink | undefined;
  readonly ended: () => void;
}

/** `filtered`: puts a filter on the links of an era. */
export function stage(
  servers: readonly ServerConfig[],
  filtered: (registry: Registry) => Registry = (registry) => registry,
): Stage {
  const caught = new Tally<Place>();
  const boundary = new Boundary(silent, caught);
  const stats = new GatewayStats();
  const wheel = createWheel({ failed: (thrown) => boundary.caught('timer', thrown) });
  const budget = createBudget(1e9);
  const catalog = catalogOf(...servers.map(({ name }) => linkOf(name, { tools: toolsOf('shared') })));
  const legacy = new OverlaidCatalog(catalog);
  const listeners = createListeners();
  const given = new GivenLists();
  const streams = createStreams({
    wheel,
    resumeMs: 60_000,
    replayBytes: () => 1e6,
    dropped: () => undefined,
  });
  const questions = createQuestions({ wheel, log: silent, budget, bodyBytes: () => 1e6 });
  const kept = createKept(budget, () => undefined);
  const made: FakeLink[] = [];
  const views: Views = createViews({
    catalogs: { legacy: filtered(legacy), modern: filtered(catalog) },
    full: EVERY_CAPABILITY,
    own: (viewer, route) => own.registryOf(viewer, route),
    access: () => NO_ACCESS,
  });
  const interests = createInterests({
    links: () => catalog.entries().map(({ link }) => link),
    own: (session) => own.of(session),
    kept,
    tell: (subscribers, server, uri, notice) => {
      fanOutUpdated(streams, subscribers, server, uri, notice);
    },
  });
  const own: OwnLinks = createOwnLinks({
    boundary,
    catalog,
    views: () => views,
    streams,
    given,
    questions,
    interests: () => interests,
    listeners,
    taskStatus: () => undefined,
    limit: () => on.limit,
    begun: () => on.begun,
    servers: () => on.servers,
    evict: (session) => {
      on.evicted.push(session);
      store.end(session, 'evicted');
    },
    connect(config, client, events) {
      const link = fakeLink(config, client, events);
      made.push(link);
      return link;
    },
  });
  const store = createSessionStore({
    now: () => performance.now(),
    limit: () => 1000,
    idleTtlMs: 60_000,
    ...localSessions({
      boundary,
      stats,
      now: () => performance.now(),
      callerOf: (record) => sessionCaller(record, views.plain(record, routeOf(record))),
      opened: (session) => {
        own.open(session);
        session.caller.view = views.of(session.caller, routeOf(session));
      },
      ended: (session) => {
        interests.drop(session);
        own.close(session);
        questions.drop(session);
        streams.drop(session);
      },
      left: () => undefined,
    }),
  });
  const on: Stage = {
    catalog,
    legacy,
    views,
    own,
    interests,
    listeners,
    store,
    streams,
    given,
    boundary,
    caught,
    made,
    evicted: [],
    servers: [...servers],
    limit: 100,
    begun: true,
    session: (more = {}) =>
      store.open({
        ...ADDRESS,
        revision: '2025-11-25',
        capabilities: {},
        clientInfo: undefined,
        opener: undefined,
        ...more,
      }) as Session,
    hears(session) {
      const told: string[] = [];
      streams.listen(session, targetOf(told));
      return told;
    },
    asks: (viewer, server) => own.registryOf(viewer, routeTo({ server })),
    listens(viewer, changes = ['tools']) {
      const told: string[] = [];
      const caller = { ...viewer, view: views.of(viewer, routeTo({})) };
      const listener = new Listener({
        caller: { ...caller, alone: false, clientInfo: undefined, level: undefined },
        route: routeTo({}),
        rawId: '1',
        sink: sinkOf(told),
        changes: new Set(changes),
        left: (left) => {
          listeners.delete(left);
        },
      });
      listeners.add(listener);
      listener.begin();
      listener.acknowledge('{}');
      told.length = 0;
      return { told, listener };
    },
    linkOf: (client, server) =>
      made.findLast(
        (link) =>
          link.server === server &&
          link.client.id === client &&
          !link.done.some((each) => each.startsWith('drain')),
      ),
    ended: () => {
      own.destroy();
      wheel.close();
    },
  };
  return on;
}

/** Gets the methods of notices, with their URI. */
export function sinkOf(told: string[]): Sink {
  return {
    notify: (notice) => told.push(shown(notice)) > 0,
    ask: () => NOBODY_TO_ASK,
    start: () => undefined,
    write: () => true,
    end: () => told.push('end'),
    cancelled: (why) => told.push(`cancelled: ${why}`),
    fail: (error) => told.push(`failed: ${error.message}`),
  };
}

/** A server-to-client stream. */
function targetOf(told: string[]): StreamTarget {
  return {
    drained: () => undefined,
    backlog: 0,
    prime: () => undefined,
    retryIn: () => undefined,
    event(message) {
      const { method } = JSON.parse(message.toString()) as { method: string };
      told.push(shown({ method, bytes: message }));
      return true;
    },
    begin: () => undefined,
    chunk: () => true,
    finish: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
  };
}

function shown({ method, bytes }: Notice): string {
  const { params } = JSON.parse(bytes.toString()) as { params?: { uri?: string } };
  return [method.replace('notifications/', ''), params?.uri].filter(Boolean).join(' ');
}

/** The names in a list, or its URIs. */
export function namesIn(view: View, kind: ListKind, era: Era = 'legacy'): string[] {
  const [definitions] = Object.values(
    JSON.parse(Buffer.concat(view.list(kind, era).parts).toString()) as Record<
      string,
      Record<string, string>[]
    >,
  );
  return (definitions ?? []).map((each) => each['uri'] ?? each['uriTemplate'] ?? each['name'] ?? '');
}
