/** Builds the parts of a link and connects them. */
import type { Limits, ServerConfig } from '../../config/types.js';
import type { Budget } from '../../lib/budget.js';
import type { Slots } from '../../lib/slots.js';
import type { Wheel } from '../../lib/wheel.js';
import type { GatewayError } from '../../errors.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { ServerStats } from '../../observe/stats.js';
import type { Credential } from '../../protocol/credential.js';
import type { Link, LinkAdmin, LinkEvents, Notice } from '../../protocol/ports.js';
import type { ChildLease } from '../../protocol/child-lease.js';
import type { PeerLink } from '../../protocol/peer-clients.js';
import type { Era } from '../../protocol/revisions.js';
import { createAttribution } from '../calls/attribution.js';
import type { Carrier } from '../calls/calls.js';
import { Listen } from '../listen/listen.js';
import type { Watcher } from '../stdio/watcher.js';
import { Attempt, type AttemptDeps } from './attempt.js';
import { ClosingTransports } from './closing-transports.js';
import { withAuthExtension, withSharedExtensions } from './extensions.js';
import { EVERY_CAPABILITY } from './envelope.js';
import { EraWatch } from './era-watch.js';
import { asGatewayError, disconnected } from './failures.js';
import { handshake, sharedCapabilities } from './handshake.js';
import { Health } from './health.js';
import { History } from './history.js';
import { Interest } from './interest.js';
import { Inventory } from './inventory.js';
import { Lifecycle } from './lifecycle.js';
import { LinkCalls } from './link-calls.js';
import type { ListCache, Remembered } from './list-cache.js';
import { ListGrace } from './list-grace.js';
import { ListRefresh } from './list-refresh.js';
import { Losses } from './losses.js';
import { LinkObserver } from './observer.js';
import { createOwnRequests, type OwnRequests } from './own-requests.js';
import { Recovery } from './recovery.js';
import { LostSession } from './session-recovery.js';
import { Transitions } from './transitions.js';
import { Undeclared } from './undeclared.js';

export interface ConnectionDeps {
  readonly config: ServerConfig;
  /** What is shown to the server beside what its configuration has; all links of the server have the same. */
  readonly credential?: Credential | undefined;
  readonly stats: ServerStats;
  /** Whether the gauges of the server show this link. Default: true. */
  readonly isShown?: boolean;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly wheel: Wheel;
  readonly budget: Budget;
  readonly starts: Slots;
  readonly watcher: Watcher;
  readonly limits: () => Limits;
  readonly events: LinkEvents;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** The one client that this link belongs to; undefined: it is shared, and the server never gets the roots of a client. */
  readonly client?: { readonly id: string; readonly capabilities: Readonly<Record<string, unknown>> };
  /** The id of the one principal whose clients use this link; undefined: everybody's do, or those of `client`. */
  readonly user?: string | undefined;
  /**
   * The legacy link beside a modern one of the same server. It is given up if the server refuses `initialize`: the bridge serves instead.
   */
  readonly second?: boolean;
  /** Another replica runs the server, and the link is to it. */
  readonly peerLink?: PeerLink | undefined;
  /** See StdioDeps. */
  readonly lease?: ChildLease | undefined;
  /** The era that is tried first. */
  readonly prefers?: () => Era;
  /** Whether the last line of a child's stderr may be shown in `lastError`. */
  readonly showStderr: boolean;
  /** Where its lists are kept for the next run. */
  readonly cache?: ListCache | undefined;
  /** What it listed in an earlier run: counts until the server has listed it anew. */
  readonly remembered?: Remembered | undefined;
  /** How long the last lists stay listed while the link reconnects, in ms. */
  readonly keepListsMs?: number;
}

export interface LinkParts {
  readonly calls: LinkCalls;
  readonly own: OwnRequests;
  readonly life: Lifecycle;
  readonly inventory: Inventory;
  readonly lists: ListRefresh;
  readonly undeclared: Undeclared;
  readonly grace: ListGrace;
  readonly era: EraWatch;
  readonly interest: Interest;
  readonly history: History;
}

/** `link`: the link that the parts belong to; its events name it. */
export function createParts(deps: ConnectionDeps, link: Link & LinkAdmin<ServerConfig>): LinkParts {
  const { log, boundary, client, clientInfo, events } = deps;
  const { server } = link;
  const config = (): ServerConfig => link.config;
  /** The client capabilities that a legacy server is told. */
  const capabilities = (): object =>
    withAuthExtension(
      client?.capabilities ?? withSharedExtensions(sharedCapabilities(link.config), link.config),
      link.config,
    );
  const up = (): Carrier | undefined => life.up;
  const listChanged = (): void => {
    lists.listChanged();
  };
  const news = {
    server,
    log,
    listChanged,
    updated: (uri: string, notice: Notice) => {
      events.updated(link, uri, notice);
    },
    taskStatus: (taskId: string, notice: Notice) => {
      events.taskStatus(link, taskId, notice);
    },
  };

  const history = new History();
  const observer = new LinkObserver(deps.stats, deps.isShown ?? true);
  const closing = new ClosingTransports(boundary);
  const close: ClosingTransports['close'] = (transport) => {
    closing.close(transport);
  };
  const calls = new LinkCalls({ ...deps, config, observer, close });
  const envelope = {
    capabilities: withAuthExtension(
      client?.capabilities ?? withSharedExtensions(EVERY_CAPABILITY, link.config),
      link.config,
    ),
    clientInfo,
  };
  const own = createOwnRequests({ calls, config, envelope, peerLink: deps.peerLink });
  const health = new Health(own);
  const inventory = new Inventory({
    server,
    log,
    observer,
    remembered: deps.remembered,
    request: async (method, params) => {
      const { carrier } = life;
      if (!carrier) throw disconnected(server);
      return own.request(carrier, method, params);
    },
    incomplete: () => {
      lists.incomplete();
    },
  });
  const era = new EraWatch({
    server,
    log,
    own,
    keeps: deps.config.kind === 'http',
    prefers: () => deps.prefers?.() ?? 'modern',
    probe: () => attempt().probe(),
  });
  const grace = new ListGrace(boundary, deps.keepListsMs, () => {
    transitions.dropLists();
  });
  const interest: Interest = new Interest({ calls, own, inventory, up, stream: () => listen });
  const listen = new Listen({
    ...news,
    boundary,
    open: (method, params) => own.open(life.carrier as Carrier, method, params, { long: true }),
    ordered: () => link.transportKind === 'stdio',
    capabilities: () => inventory.capabilities,
    topics: () => interest.topics,
    missed: listChanged,
  });
  const lists: ListRefresh = new ListRefresh({
    config,
    calls,
    own,
    era,
    health,
    inventory,
    listen,
    cache: deps.cache,
    up,
    changed: (kinds) => {
      events.changed(link, kinds);
    },
    failed: (error, retryAfterMs) => {
      life.failed(error, retryAfterMs);
    },
  });
  const undeclared = new Undeclared({ calls, own, inventory, up, refresh: () => lists.run() });

  const losses = new Losses();
  const failedLate = (carrier: Carrier, error: GatewayError): void => {
    const fail = (): void => {
      if (life.carrier === carrier) life.failed(error);
    };
    // Not from within the callback of an exchange: undici reads one socket at a time.
    setImmediate(boundary.guard('link', fail));
  };
  const attemptDeps: AttemptDeps = {
    config,
    credential: deps.credential,
    connect: deps.peerLink?.connect?.bind(deps.peerLink),
    lease: deps.lease,
    calls,
    own,
    losses,
    era,
    closing,
    starts: deps.starts,
    watcher: deps.watcher,
    clientInfo,
    capabilities,
    link: {
      isCurrent: (carrier) => carrier !== undefined && up() === carrier,
      seen: () => {
        health.seen();
        observer.seen();
      },
      listChanged,
      doubtHealth: () => {
        lists.now();
      },
      doubtEra: () => {
        link.doubt();
      },
      unauthorized: (error) => {
        life.unauthorized(error);
      },
      outgrown: () => {
        transitions.outgrow();
      },
      failedLate,
      lost: (carrier, error, more) => {
        life.lost(carrier, error, more);
      },
    },
  };
  const attempt = (): Attempt => new Attempt(attemptDeps);
  const transitions = new Transitions({
    link,
    log,
    events,
    isOptional: deps.second ?? false,
    parts: { calls, own, inventory, lists, undeclared, grace, era, interest, listen },
    life: () => life,
  });
  const life: Lifecycle = new Lifecycle({
    config,
    calls,
    closing,
    attempt,
    credential: deps.credential,
    isOptional: deps.second ?? false,
    showStderr: deps.showStderr,
    link: transitions,
    moved: () => {
      history.note(link.state, life.lastError);
    },
  });

  /** Opens a session in place of one that the server lost. */
  const openSession = async (carrier: Carrier, signal: AbortSignal): Promise<void> => {
    const peer = await handshake(link.config, {
      transport: carrier.transport,
      request: (method, params) => own.request(carrier, method, params),
      clientInfo,
      capabilities: capabilities(),
      losses,
      failedLate: (error) => {
        failedLate(carrier, error);
      },
    });
    signal.throwIfAborted();
    inventory.describedAs(peer);
    // The calls that wait for the session do not need what was lost: they are sent.
    await interest.renew(carrier).catch((error: unknown) => {
      failedLate(carrier, asGatewayError(error, server));
    });
  };
  const recovery = new Recovery({
    server,
    causes: [new LostSession({ server, observer, log, open: openSession })],
    signal: life.signal,
    isCurrent: (carrier) => up() === carrier,
    recovered: listChanged,
    failed: (error, carrier) => {
      if (life.carrier === carrier) life.failed(error);
    },
  });
  const attribute = createAttribution({
    ...news,
    calls: calls.table,
    unreadable: () => {
      observer.dropped();
    },
    questionBytes: () => calls.answerLimits.questionBytes,
    modern: () => inventory.era === 'modern',
    notifiedOnListen: (id, method, params, bytes) => {
      listen.notified(id, method, params, bytes);
    },
    elicited: (elicitationId, notice, call) => {
      events.elicited(link, elicitationId, notice, call);
    },
    roots: () => link.config.roots,
    own: client && {
      tell: (notice) => {
        events.other(link, notice);
      },
      ask: (question) => events.asked(link, question),
    },
    othersLately: (id) => calls.callers.othersLately(id),
    logged: (notice) => {
      const sole = calls.callers.soleLately();
      if (sole !== undefined) events.logged(link, sole, notice);
    },
  });
  calls.handleWith({ attribute, recovery });
  return { calls, own, life, inventory, lists, undeclared, grace, era, interest, history };
}
