/** One replica of a fleet: wires what `src/fleet` has to the rest of the gateway. Loaded when a store is configured. */
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { Config, FleetConfig } from '../config/types.js';
import type { Fleet } from '../admin/schemas.js';
import type { FleetHealth, ReplicaReload } from '../downstream/http/admin.js';
import type { Replicas } from '../downstream/http/replicas.js';
import type { PeerPort } from '../downstream/http/server.js';
import { Differences } from '../fleet/differences.js';
import { Hop, securedBy } from '../fleet/hop.js';
import { SessionIds } from '../fleet/ids.js';
import { ClientHomes } from '../fleet/client-homes.js';
import { FleetKeys } from '../fleet/keys.js';
import { Members, type Member, type MemberFacts } from '../fleet/members.js';
import { KeyedPeerClients } from '../fleet/peer-clients.js';
import { PeerHeaders } from '../fleet/peer-header.js';
import { Probes } from '../fleet/probes.js';
import { FleetRates } from '../fleet/rates.js';
import { SessionRecords } from '../fleet/records.js';
import { FleetSessions, type SessionFacts } from '../fleet/sessions.js';
import { ShownTokens } from '../fleet/shown-tokens.js';
import { openFleetState } from '../fleet/state.js';
import { FleetTaskIds } from '../fleet/task-ids.js';
import { openStore, type FleetStore } from '../fleet/store.js';
import { within } from '../lib/within.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import { FleetStats, type GatewayStats } from '../observe/stats.js';
import type { Found, Origin } from '../proxy/gate.js';
import type { SessionStoreOptions } from '../session/store.js';
import type { SharedRates } from '../policy/shared-rates.js';
import type { Sealed } from '../state/sealed.js';
import type { StateKeys } from '../state/state-key.js';
import {
  CLIENT_HEADER,
  isElsewhere,
  PEER_HEADER,
  PEER_PATH,
  type Declined,
  type Introduced,
} from '../protocol/elsewhere.js';
import type { Principal, ShownToken } from '../protocol/principal.js';
import type { PeerClients } from '../protocol/peer-clients.js';
import { ConfigHash } from './config-hash.js';
import { reloadFleet } from './fleet-reload.js';
import { fleetPlaces } from './fleet-place.js';
import { fleetView } from './fleet-view.js';
import { hostPlaces, type HostPlaceDeps } from './host-place.js';
import { Placement, type PlacementDeps } from './placement.js';

/** How long a record outlives the time after which an idle session ends. */
const SPARE_MS = 600_000;
/** Longest reason that replicas are told, in characters. */
const MAX_REASON = 2048;
/** How long the port for clients waits until the other replicas are known. */
const FIRST_TICK_MS = 1000;

export interface ReplicaDeps {
  /** The identity of this replica, of one run of it. */
  readonly id: string;
  readonly fleet: FleetConfig;
  readonly config: () => Config;
  /** Names trusted certificates. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  readonly options: SessionStoreOptions;
  readonly facts: SessionFacts;
  /** The other replica that holds the call of a `requestState`; undefined: none does. */
  readonly stateOwner: (state: string) => string | undefined;
  /** A hash of what this replica lists. */
  readonly lists: (key: Buffer) => string;
  /** The names of the headers of clients that some server gets, in lower case. */
  readonly passes: () => readonly string[];
  /** The token that a principal has shown here; undefined: no server gets one in exchange for it. */
  readonly tokenOf: (principal: Principal) => ShownToken | undefined;
  /** Whether the credential of a principal counts. */
  readonly accepts: (principal: Principal) => boolean;
  readonly isStopping: () => boolean;
  /** Takes no new work, and whoever asks for an idle session gets it. */
  readonly isDraining: () => boolean;
  /** The servers that are up here, and those of them that are connected in the modern era. */
  readonly up: () => Required<Pick<MemberFacts, 'up' | 'modern'>>;
  /** See HostPlaceDeps. */
  readonly serve: HostPlaceDeps['serve'];
  /** See PlacementDeps. */
  readonly moved: PlacementDeps['moved'];
  /** Rejects with an Error whose message says what is wrong with the new configuration. */
  readonly reload: () => Promise<unknown>;
}

export class Replica {
  readonly id: string;
  readonly sessions: FleetSessions;
  readonly replicas: Replicas;
  readonly port: PeerPort;
  readonly stats = new FleetStats();
  readonly keys: FleetKeys;
  readonly store: FleetStore;
  readonly members: Members;
  readonly rates: SharedRates;
  readonly peerClients: PeerClients;
  readonly placement: Placement;
  readonly taskIds: FleetTaskIds;
  readonly shown: ShownTokens;
  readonly #deps: ReplicaDeps;
  readonly #ids: SessionIds;
  readonly #headers: PeerHeaders;
  readonly #probes: Probes;
  readonly #clientHomes = new ClientHomes();
  readonly #hops = new Map<string, { readonly address: string; readonly hop: Hop }>();
  #address = '';
  readonly #config: ConfigHash;
  readonly #differences: Differences;
  /** Why the last reload of the whole fleet was refused here. */
  #refused: string | null = null;

  constructor(deps: ReplicaDeps) {
    const { fleet, log, options } = deps;
    this.id = deps.id;
    this.#deps = deps;
    this.#differences = new Differences({ log });
    this.#config = new ConfigHash(deps.config);
    const { mcp, state } = deps.config();
    if (!mcp.state_key) throw new Error('fleet.store needs MCPSTEAD_STATE_KEY');
    const keys = (this.keys = new FleetKeys(mcp.state_key, state.older_keys));
    const { id: self, stats } = this;
    deps.stats.fleet = stats;
    const { prefix } = fleet;
    const stranger = this.#stranger;
    this.store = openStore(fleet.store, {
      log,
      environment: deps.env,
      measured: (op, seconds) => {
        stats.measured(op, seconds);
      },
      changed: (isUp, isSame) => {
        this.sessions.storeChanged(isUp, isSame);
        if (!isUp) return;
        void this.members.tick();
      },
    });
    const { store } = this;
    this.rates = new FleetRates({
      ...{ store, prefix, key: keys.current('rate') },
      missed: () => {
        stats.judgedAlone++;
      },
    });
    const guarded = (work: () => void) => deps.boundary.guard('detached', work);
    this.members = new Members({
      ...{ self, prefix, keys, store, log, stranger },
      facts: () => this.#facts(),
      ticked: guarded(() => {
        this.#ticked();
      }),
      gone: ({ id, name }) => {
        log.info('a replica is gone', { replica: id, name });
        // What was sent to a process that was stopped gets no answer any more; one that is cut off from the store alone answers.
        deps.boundary.detach('detached', this.#isDead(id, { now: false }));
      },
      emptied: guarded(() => {
        this.sessions.emptied();
      }),
      resumed: guarded(() => {
        this.sessions.resumed();
      }),
      reload: () =>
        deps.reload().then(
          () => {
            this.#refused = null;
          },
          (error: unknown) => {
            this.#refused = error instanceof Error ? error.message.slice(0, MAX_REASON) : String(error);
          },
        ),
    });
    const { members } = this;
    this.#ids = new SessionIds(keys, self);
    this.taskIds = new FleetTaskIds({ keys, self, isLive: (replica) => this.#isLive(replica) });
    this.shown = new ShownTokens(deps.accepts);
    this.peerClients = new KeyedPeerClients(keys);
    const { boundary } = deps;
    const secure = fleet.listen.tls === 'psk';
    this.placement = new Placement({
      ...{ keys, log, boundary, stats, clients: this.peerClients, moved: deps.moved },
      headers: () => this.#headers,
      host: hostPlaces({ keys, prefix, log, serve: boundary.guard('detached', deps.serve) }),
      fleet: fleetPlaces({ self, keys, prefix, secure, log, store, members, stranger }),
    });
    const { placement } = this;
    this.#headers = new PeerHeaders({
      ...{ keys, self, now: () => members.storeTime() },
      isSelf: (to) => placement.isSelf(to),
      tokenOf: deps.tokenOf,
    });
    this.#probes = new Probes((replica, handler) => {
      const hop = this.#hop(replica);
      return hop?.send({ method: 'GET', path: PEER_PATH, headers: [], body: null }, handler);
    });
    this.sessions = new FleetSessions({
      ...{ options, self, stats, log, members, store },
      facts: deps.facts,
      ids: this.#ids,
      records: new SessionRecords({ store, keys, prefix, ttlMs: options.idleTtlMs + SPARE_MS, stranger }),
      isDraining: deps.isDraining,
      isDead: (replica, asked) => this.#isDead(replica, asked),
    });
    this.replicas = this.#replicas();
    const { host, port, tls } = fleet.listen;
    this.port = { host, port, secure: tls === 'psk' ? securedBy(keys) : undefined };
  }

  /** Something is not of this fleet. */
  readonly #stranger = (): void => {
    this.stats.strangers++;
  };

  /** The port for replicas is open: tells the others. Resolves when they are known, or when the store does not answer soon. */
  start({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
    const { fleet, log } = this.#deps;
    const shown = isIPv6(host) ? `[${host}]` : host;
    this.#address = fleet.address ?? `${shown}:${port}`;
    for (const server of this.#deps.config().servers) this.placement.isElsewhere(server);
    log.info('replica of a fleet', { replica: this.id, name: fleet.name, address: this.#address });
    return within(this.members.start(), FIRST_TICK_MS);
  }

  get health(): FleetHealth {
    return {
      replica: this.id,
      name: this.#deps.fleet.name,
      replicas: Math.max(1, this.members.live.size),
      store: this.#storeState,
      draining: this.#deps.isStopping(),
      differs: this.#differences.long.length > 0,
      ...(this.#differences.long.length > 0 && { differs_in: this.#differences.long }),
    };
  }

  /** What operators see of the fleet. */
  get view(): Fleet {
    const { id, members } = this;
    const own = { id, ...this.#facts() };
    return fleetView({
      own,
      others: members.others(),
      store: this.#storeState,
      differences: this.#differences,
    });
  }

  get #storeState(): 'up' | 'down' {
    return this.store.upSince === undefined ? 'down' : 'up';
  }

  /** The state that all replicas share. */
  state(keys: StateKeys): Sealed {
    const { fleet, log } = this.#deps;
    return openFleetState({
      ...{ store: this.store, keys, prefix: fleet.prefix, log, stranger: this.#stranger },
    });
  }

  /** Updates the figures that are read, not counted. */
  measure(): void {
    this.stats.replicas = Math.max(1, this.members.live.size);
    this.stats.storeUp = this.store.upSince !== undefined;
    const { clockOffset } = this.members;
    this.stats.clockOffsetSeconds = clockOffset === undefined ? undefined : clockOffset / 1000;
  }

  /** Asks all replicas to reload their files. Rejects with a GatewayError if the store is away. */
  reloadAll(): Promise<readonly ReplicaReload[]> {
    return reloadFleet(this.members);
  }

  /** Others see at once that this replica is draining. */
  async announce(): Promise<void> {
    await this.members.tick();
  }

  /** Leaves all sessions to the others, within `ms`, and the fleet. */
  async leave(ms: number): Promise<void> {
    await this.sessions.release(ms);
    await this.members.leave();
  }

  destroy(): void {
    this.placement.close();
    this.sessions.close();
    this.members.close();
    this.store.close();
    for (const id of [...this.#hops.keys()]) this.#drop(id);
  }

  #facts(): MemberFacts {
    const { fleet, isStopping } = this.#deps;
    return {
      name: fleet.name,
      address: this.#address,
      draining: isStopping(),
      config: this.#config.of(this.keys.current('name')),
      lists: this.#deps.lists(this.keys.current('name')),
      ...this.#deps.up(),
      refused: this.#refused,
    };
  }

  #ticked(): void {
    this.sessions.ticked();
    this.#differences.compare([{ id: this.id, ...this.#facts() }, ...this.members.others()]);
  }

  async #isDead(replica: string, asked: { readonly now: boolean }): Promise<boolean> {
    const isDead = await this.#probes.isDead(replica, asked);
    if (isDead) this.#drop(replica);
    return isDead;
  }

  #hop(replica: string): Hop | undefined {
    const placed = this.placement.hop(replica);
    if (placed) return placed;
    const member: Member | undefined = this.members.find(replica);
    if (!member) return undefined;
    const known = this.#hops.get(replica);
    if (known?.address === member.address) return known.hop;
    known?.hop.destroy();
    const { fleet, boundary } = this.#deps;
    const hop = new Hop(member.address, {
      keys: this.keys,
      secure: fleet.listen.tls === 'psk',
      caught: (thrown) => void boundary.caught('detached', thrown),
    });
    this.#hops.set(replica, { address: member.address, hop });
    return hop;
  }

  #drop(replica: string): void {
    this.#hops.get(replica)?.hop.destroy();
    this.#hops.delete(replica);
  }

  #replicas(): Replicas {
    const { id: self, stats } = this;
    const { isStopping } = this.#deps;
    const live = (replica: string | undefined): string | undefined =>
      replica !== undefined && this.#isLive(replica) ? replica : undefined;
    return {
      self,
      makeId: () => this.#ids.make(),
      homeOf: (id) => live(this.#ids.homeOf(id)),
      ownerOf: (state) => {
        const owner = this.#deps.stateOwner(state);
        return owner === self ? self : live(owner);
      },
      homeOfTask: (id, { principal, route }) =>
        this.taskIds.homeOf(id, { principal: principal.id, server: route.server }),
      homeOfClient: (client) => this.#homeOfClient(client),
      whereUp: (server, era) =>
        this.#open().find(({ up, modern = [] }) => (era === 'modern' ? modern : up).includes(server))?.id,
      get isLeaving() {
        return isStopping();
      },
      another: () => {
        const others = this.#open();
        return others[Math.floor(Math.random() * others.length)]?.id;
      },
      live: () => this.view.replicas.map(({ replica, name }) => ({ id: replica, name })),
      runs: (server) => this.placement.runs(server),
      placed: (server) => this.placement.placed(server),
      introduced: (req) => this.#introduced(req),
      introduce: (to, origin) => [
        PEER_HEADER,
        this.#headers.make(to, origin.principal, this.#passed(origin)),
        CLIENT_HEADER,
        origin.remote?.remoteAddress ?? '',
      ],
      send: (to, request, handler) => this.#hop(to)?.send(request, handler),
      learn: (id, owner) => {
        this.sessions.learn(id, owner);
      },
      next: (origin, declined) => this.#next(origin, declined),
      takeOver: (origin, record) => {
        const { sessionId, principal, route } = origin;
        if (sessionId === undefined) return undefined;
        const found = this.sessions.takeOver(sessionId, principal, route.key, record);
        return isElsewhere(found) ? undefined : found;
      },
      count: (result) => {
        stats.forwarded.add(result);
      },
    };
  }

  /** Whether another replica is alive. */
  #isLive(replica: string): boolean {
    return replica !== this.id && this.members.live.has(replica);
  }

  /** The other replicas that take new work. */
  #open(): Member[] {
    return this.members.others().filter(({ draining }) => !draining);
  }

  /** `declined`: replicas that cannot be reached. */
  #homeOfClient(client: string, declined?: Declined): string | undefined {
    const others = this.#open().flatMap(({ id }) => (declined?.has(id) ? [] : [id]));
    const home = this.#clientHomes.homeOf(client, this.#deps.isStopping() ? others : [this.id, ...others]);
    return home === this.id ? undefined : home;
  }

  #introduced(req: IncomingMessage): Introduced | undefined {
    const text = req.headers[PEER_HEADER];
    const said = typeof text === 'string' ? this.#headers.open(text) : undefined;
    if (!said) this.#stranger();
    else if (said.token) this.shown.note(said.principal, said.token);
    return said;
  }

  /** The headers of a client that servers get; undefined: none. */
  #passed({ headers }: Pick<Origin, 'headers'>): Record<string, string> | undefined {
    const names = this.#deps.passes();
    if (names.length === 0 || !headers) return undefined;
    const passed: Record<string, string> = {};
    for (const name of names) {
      const value = headers[name];
      if (typeof value === 'string') passed[name] = value;
    }
    return Object.keys(passed).length > 0 ? passed : undefined;
  }

  #next(origin: Origin, declined: Declined): Promise<Found> {
    const { sessionId, principal, route, client } = origin;
    if (client !== undefined) {
      const replica = this.#homeOfClient(client, declined);
      return Promise.resolve(replica === undefined ? undefined : { kind: 'replica', replica });
    }
    if (sessionId === undefined) return this.placement.next(route.server);
    return this.sessions.next(sessionId, principal, route.key, declined);
  }
}
