/** One replica of a fleet: wires what `src/fleet` has to the rest of the gateway. Loaded when a store is configured. */
import { createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { Config, FleetConfig } from '../config/types.js';
import type { FleetHealth, ReplicaReload } from '../downstream/http/admin.js';
import { GatewayError } from '../errors.js';
import type { Replicas } from '../downstream/http/replicas.js';
import type { PeerPort } from '../downstream/http/server.js';
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
import { openFleetState } from '../fleet/state.js';
import { FleetTaskIds } from '../fleet/task-ids.js';
import { openStore, type FleetStore } from '../fleet/store.js';
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
import type { PeerClients } from '../protocol/peer-clients.js';
import { HostPlacement, type PlacementDeps } from './placement.js';

/** How long a record outlives the time after which an idle session ends. */
const SPARE_MS = 600_000;
/** How long replicas may take to reload, and how often they are looked at meanwhile. */
const RELOAD_MS = 10_000;
const LOOK_MS = 200;
/** Longest reason that replicas are told, in characters. */
const MAX_REASON = 2048;
/** How long configurations may differ before that is a warning. */
const DIFFERS_MS = 60_000;

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
  /** The names of the headers of clients that some server gets, in lower case. */
  readonly passes: () => readonly string[];
  readonly isStopping: () => boolean;
  /** Takes no new work, and whoever asks for an idle session gets it. */
  readonly isDraining: () => boolean;
  /** The servers that are up here. */
  readonly up: () => readonly string[];
  /** See PlacementDeps. */
  readonly serve: PlacementDeps['serve'];
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
  readonly placement: HostPlacement;
  readonly taskIds: FleetTaskIds;
  readonly #deps: ReplicaDeps;
  readonly #ids: SessionIds;
  readonly #headers: PeerHeaders;
  readonly #probes: Probes;
  readonly #clientHomes = new ClientHomes();
  readonly #hops = new Map<string, { readonly address: string; readonly hop: Hop }>();
  #address = '';
  #config: { readonly of: Config; readonly hash: string } | undefined;
  #differsSince: number | undefined;
  #hasWarned = false;
  /** Why the last reload of the whole fleet was refused here. */
  #refused: string | null = null;

  constructor(deps: ReplicaDeps) {
    const { fleet, log, options } = deps;
    this.id = deps.id;
    this.#deps = deps;
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
        if (isUp) void this.members.tick();
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
        deps.boundary.detach('detached', this.#isDead(id));
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
    this.peerClients = new KeyedPeerClients(keys);
    this.placement = new HostPlacement({
      ...{ keys, prefix, log, boundary: deps.boundary, stats, clients: this.peerClients },
      ...{ serve: deps.serve, moved: deps.moved },
      headers: () => this.#headers,
    });
    const { placement } = this;
    this.#headers = new PeerHeaders({
      ...{ keys, self, now: () => members.storeTime() },
      isSelf: (to) => placement.isSelf(to),
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
      isDead: (replica) => this.#isDead(replica),
    });
    this.replicas = this.#replicas();
    const { host, port, tls } = fleet.listen;
    this.port = { host, port, secure: tls === 'psk' ? securedBy(keys) : undefined };
  }

  /** Something is not of this fleet. */
  readonly #stranger = (): void => {
    this.stats.strangers++;
  };

  /** The port for replicas is open: tells the others. Does not wait for the store. */
  start({ host, port }: { readonly host: string; readonly port: number }): void {
    const { fleet, log } = this.#deps;
    const shown = isIPv6(host) ? `[${host}]` : host;
    this.#address = fleet.address ?? `${shown}:${port}`;
    for (const server of this.#deps.config().servers) this.placement.isElsewhere(server);
    log.info('replica of a fleet', { replica: this.id, name: fleet.name, address: this.#address });
    void this.members.start();
  }

  get health(): FleetHealth {
    return {
      replica: this.id,
      name: this.#deps.fleet.name,
      replicas: Math.max(1, this.members.live.size),
      store: this.store.upSince === undefined ? 'down' : 'up',
      draining: this.#deps.isStopping(),
      differs: this.#hasWarned,
    };
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
  async reloadAll(): Promise<readonly ReplicaReload[]> {
    const { members } = this;
    const number = await members.askReload().catch(() => {
      throw new GatewayError('unavailable', 'the store of the fleet is away: try again');
    });
    const until = performance.now() + RELOAD_MS;
    const isOpen = (): boolean => [...members.live.values()].some(({ reloads }) => reloads < number);
    do {
      await members.tick();
      if (isOpen()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    } while (isOpen() && performance.now() < until);
    return [...members.live.values()].map(({ id, name, reloads, refused }) => {
      const error = reloads < number ? `it has not reloaded within ${RELOAD_MS / 1000} s` : refused;
      return error === null ? { replica: id, name, ok: true } : { replica: id, name, ok: false, error };
    });
  }

  /** Others see at once that this replica is draining. */
  async announce(): Promise<void> {
    await this.members.tick();
  }

  /** Leaves all sessions to the others, and the fleet. */
  async leave(): Promise<void> {
    await this.sessions.release();
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
      config: this.#configHash(),
      up: this.#deps.up(),
      refused: this.#refused,
    };
  }

  /** A hash of what should be the same in all replicas. */
  #configHash(): string {
    const config = this.#deps.config();
    if (this.#config?.of !== config) {
      const { servers, policy, profiles, limits } = config;
      const shared = { servers, policy, profiles, limits };
      const hash = createHmac('sha256', this.keys.current('name'))
        .update(
          JSON.stringify(shared, (key, value: unknown) =>
            key === 'where' || key === 'place' ? undefined : value,
          ),
        )
        .digest('base64url')
        .slice(0, 22);
      this.#config = { of: config, hash };
    }
    return this.#config.hash;
  }

  #ticked(): void {
    this.sessions.ticked();
    const own = this.#configHash();
    const differ = this.members.others().some(({ config }) => config !== own);
    const now = performance.now();
    this.#differsSince = differ ? (this.#differsSince ?? now) : undefined;
    const isLong = this.#differsSince !== undefined && now - this.#differsSince >= DIFFERS_MS;
    if (isLong && !this.#hasWarned)
      this.#deps.log.warn('replicas of the fleet have different configurations: reload them all');
    this.#hasWarned = isLong;
  }

  async #isDead(replica: string): Promise<boolean> {
    const isDead = await this.#probes.isDead(replica);
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
      ownerOf: (state) => live(this.#deps.stateOwner(state)),
      homeOfTask: (id, { principal, route }) =>
        this.taskIds.homeOf(id, { principal: principal.id, server: route.server }),
      homeOfClient: (client) => this.#homeOfClient(client),
      whereUp: (server) => this.#open().find(({ up }) => up.includes(server))?.id,
      get isLeaving() {
        return isStopping();
      },
      another: () => {
        const others = this.#open();
        return others[Math.floor(Math.random() * others.length)]?.id;
      },
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
    return said;
  }

  /** The headers of a client that servers get; undefined: none. */
  #passed({ headers }: Origin): Record<string, string> | undefined {
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
