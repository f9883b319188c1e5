/** This gateway as one of several: nothing of it is loaded unless the configuration has a store. */
import type { Fleet } from '../admin/schemas.js';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bridge } from '../bridge/index.js';
import type { FleetConfig } from '../config/types.js';
import type { SessionFacts } from '../fleet/sessions.js';
import type { Replicas } from '../downstream/http/replicas.js';
import type { PeerPort } from '../downstream/http/server.js';
import { makeReplicaId, type FromPeer } from '../protocol/elsewhere.js';
import type { Authenticator } from '../auth/authenticate.js';
import type { Principal, ShownToken } from '../protocol/principal.js';
import type { TaskIds } from '../protocol/task-ids.js';
import type { NewSession, Session, SessionStore, SessionStoreOptions, Used } from '../session/store.js';
import type { TerminationReason } from '../observe/stats.js';
import type { Interests } from '../proxy/interests.js';
import type { Tasks } from '../proxy/tasks.js';
import type { Streams } from '../session/streams.js';
import type { Links } from './links.js';
import type { Lives } from './lives.js';
import type { PeerDeps } from './deps.js';
import { ListsHash } from './lists-hash.js';
import { peerLinkTo, placementOf } from './placed.js';
import type { Readiness } from './readiness.js';
import type { SharedRates } from '../policy/shared-rates.js';
import type { Sealed } from '../state/sealed.js';
import type { StateKeys } from '../state/state-key.js';
import type { FleetHealth, ReplicaReload } from '../downstream/http/admin.js';
import type { Replica, ReplicaDeps } from './replica.js';
import { sessionFacts } from './session-facts.js';

/** How long others may take to see that a replica has left: they look each second. */
const NOTICED_MS = 1200;

export interface FleetDeps extends Pick<ReplicaDeps, 'config' | 'log' | 'boundary' | 'stats' | 'env'> {
  readonly links: () => Links;
  readonly interests: () => Interests;
  readonly streams: () => Streams;
  readonly lives: () => Lives;
  readonly bridge: () => Bridge;
  readonly tasks: () => Pick<Tasks, 'has'>;
  readonly readiness: Readiness;
  readonly reload: () => Promise<unknown>;
  readonly auth: () => Authenticator;
  /** Serves a connection of another process of this host. */
  readonly serve: ReplicaDeps['serve'];
}

/** undefined: the gateway is alone. */
export function fleetOf(deps: FleetDeps): GatewayFleet | undefined {
  const { fleet } = deps.config();
  return fleet && new GatewayFleet(fleet, deps);
}

/** The state that replicas share, once the fleet is loaded. */
export function fleetState(fleet: GatewayFleet | undefined, keys: StateKeys): Promise<Sealed> {
  if (!fleet) throw new Error('there is no fleet');
  return fleet.state(keys);
}

export class GatewayFleet {
  /** The identity of this replica, of one run of it: 10 hexadecimal digits. */
  readonly id = makeReplicaId();
  readonly #fleet: FleetConfig;
  readonly #deps: FleetDeps;
  readonly #facts: SessionFacts;
  #options: SessionStoreOptions | undefined;
  #replica: Replica | undefined;
  #opened: (replica: Replica) => void = () => undefined;
  /** Resolves with the replica, once the gateway listens. */
  readonly #loaded = new Promise<Replica>((resolve) => (this.#opened = resolve));

  constructor(fleet: FleetConfig, deps: FleetDeps) {
    this.#fleet = fleet;
    this.#deps = deps;
    const { interests, streams, boundary, links, lives, tasks } = deps;
    this.#facts = sessionFacts({
      ...{ interests, streams, boundary, tasks, isDraining: this.#isDraining },
      own: () => links().own,
      review: (session) => {
        lives().review(session);
      },
    });
  }

  readonly #isDraining = (): boolean => this.#deps.readiness.state === 'draining';

  /** The sessions of this replica. None is opened before the port is. */
  sessions(options: SessionStoreOptions): SessionStore {
    this.#options = options;
    const loaded = (): SessionStore => this.#running().sessions;
    return {
      open: (wanted: NewSession) => loaded().open(wanted),
      use: (id: string, principal: Principal, route: string, from?: FromPeer): Used | Promise<Used> =>
        loaded().use(id, principal, route, from),
      end: (session: Session, reason: TerminationReason) => loaded().end(session, reason),
      sweep: () => this.#replica?.sessions.sweep(),
      all: () => this.#replica?.sessions.all() ?? [],
    };
  }

  /** What the port needs; undefined before it is loaded. */
  get replicas(): Replicas | undefined {
    return this.#replica?.replicas;
  }

  /** What this replica runs for others, and they for it. Its links are made before the fleet is loaded. */
  readonly peers: PeerDeps = {
    clients: {
      name: (caller) => this.#running().peerClients.name(caller),
      read: (text, principal) => this.#replica?.peerClients.read(text, principal),
    },
    linkOf: (config) => {
      const isElsewhere = this.#replica?.placement.isElsewhere(config) ?? placementOf(config) !== undefined;
      return isElsewhere ? peerLinkTo(config.name, () => this.#running().placement) : undefined;
    },
    leaseOf: (server) => this.#replica?.placement.leaseOf(server),
    removed: (server) => this.#replica?.placement.remove(server),
  };

  #running(): Replica {
    if (!this.#replica) throw new Error('the fleet is not loaded yet');
    return this.#replica;
  }

  /** Whether another process runs a server for this one. */
  isGuest(server: string): boolean {
    return this.#replica?.placement.isGuest(server) ?? false;
  }

  /** Other processes run the servers that this one runs for them from now on. */
  releasePlaced(): void {
    this.#replica?.placement.release();
  }

  /** Resolves when other replicas may run the servers that this one ran for all of the fleet, at the latest after `limitMs`. */
  async placedReleased(limitMs: number): Promise<void> {
    await this.#replica?.placement.released(limitMs);
  }

  /** Resolves when no other process uses a server that this one ran for it, at the latest after `limitMs`. */
  async placedLeft(limitMs: number): Promise<void> {
    await this.#replica?.placement.left(limitMs);
  }

  /** Loads the fleet, opens the port for replicas and finds the other ones. Rejects if a package is missing. */
  async start(listen: (port: PeerPort) => Promise<{ host: string; port: number }>): Promise<void> {
    const loaded = await import('./replica.js');
    if (!this.#options) throw new Error('the fleet has no sessions');
    const replica = new loaded.Replica({ ...this.#replicaDeps(), options: this.#options });
    this.#replica = replica;
    this.#opened(replica);
    await replica.start(await listen(replica.port));
  }

  #replicaDeps(): Omit<ReplicaDeps, 'options'> {
    const { config, log, boundary, stats, env, serve, links, readiness, auth } = this.#deps;
    const isDraining = this.#isDraining;
    const lists = new ListsHash({ views: () => links().views, config });
    return {
      ...{ id: this.id, fleet: this.#fleet, config, log, boundary, stats, env, isDraining, serve },
      facts: this.#facts,
      stateOwner: (state) => this.#deps.bridge().ownerOf(state),
      lists: (key) => lists.of(key),
      passes: () => links().kinds.passed,
      tokenOf: ({ kind, id: whose }) =>
        kind === 'token' && links().kinds.exchanges ? auth().shownBy(whose) : undefined,
      accepts: (principal) => auth().current(principal) !== undefined,
      isStopping: () => readiness.stopping,
      up: () => {
        const up = links()
          .shared.all()
          .flatMap(({ link }) => (link.state === 'up' ? [link] : []));
        const modern = up.filter(({ era }) => era === 'modern');
        return { up: up.map(({ server }) => server), modern: modern.map(({ server }) => server) };
      },
      moved: (server, isLost) => {
        // A server that may not run here any more must not get calls, even now.
        if (isLost || readiness.state !== 'draining') links().moved(server, isLost);
      },
      reload: this.#deps.reload,
    };
  }

  async state(keys: StateKeys): Promise<Sealed> {
    return (await this.#loaded).state(keys);
  }

  /** The token that a principal has shown to another replica; undefined: none that counts now. */
  shownBy(principal: string): ShownToken | undefined {
    return this.#replica?.shown.shownBy(principal);
  }

  /** How modern clients see the ids of tasks; undefined before it is loaded. */
  readonly taskIds = (): TaskIds | undefined => this.#replica?.taskIds;

  /** Rates that all replicas count together; undefined before it is loaded. */
  get rates(): SharedRates | undefined {
    return this.#replica?.rates;
  }

  /** What is kept of a session has changed. */
  changed(session: Session): void {
    this.#replica?.sessions.changed(session);
  }

  /** Updates the figures of `/metrics` that are read, not counted. */
  measure(): void {
    this.#replica?.measure();
  }

  /** Asks all replicas to reload their files. */
  async reloadAll(): Promise<readonly ReplicaReload[]> {
    return (await this.#loaded).reloadAll();
  }

  /** undefined: it has not started. */
  get health(): FleetHealth | undefined {
    return this.#replica?.health;
  }

  /** What operators see of it; undefined: it has not started. */
  get view(): Fleet | undefined {
    return this.#replica?.view;
  }

  isIdle(session: Session): boolean {
    return this.#facts.isIdle(session);
  }

  /** Tells the others at once that this replica shuts down. */
  async announce(): Promise<void> {
    await this.#replica?.announce();
  }

  /** Leaves the sessions to the others, within `ms`. */
  async leave(ms: number): Promise<void> {
    await this.#replica?.leave(ms);
  }

  /** Resolves when the others know that nothing is here any more. Until then this replica tells them so, request by request. */
  async unnoticed(): Promise<void> {
    if (this.#replica && this.#replica.members.others().length > 0) await sleep(NOTICED_MS);
  }

  destroy(): void {
    this.#replica?.destroy();
  }
}
