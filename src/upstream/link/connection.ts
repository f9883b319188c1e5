/**
 * A link to one server, as the rest of the gateway sees it. The work is done by its parts, which parts.ts builds: lifecycle.ts connects and
 * reconnects, transitions.ts says what that means for the others, link-calls.ts has the calls in flight, inventory.ts and list-refresh.ts
 * the lists, interest.ts what clients are notified of, and recovery.ts repairs what makes a server refuse calls.
 */
import { isPerUser } from '../../config/credentials.js';
import { passedTo } from '../../config/headers-from-client.js';
import type { ServerConfig } from '../../config/types.js';
import type { ErrorCode, GatewayError } from '../../errors.js';
import type { ServerStats } from '../../observe/stats.js';
import type { ListKind, Lists } from '../../protocol/lists.js';
import type {
  Freshness,
  Link,
  LinkAdmin,
  LinkInterest,
  LinkState,
  LinkTransition,
  LogLevel,
  Outgoing,
  Peer,
  Sink,
  UpstreamExchange,
} from '../../protocol/ports.js';
import type { PeerLink } from '../../protocol/peer-clients.js';
import type { Era } from '../../protocol/revisions.js';
import type { Transport } from '../calls/calls.js';
import { relayed } from '../calls/relay.js';
import { configThere } from './config-there.js';
import type { EraWatch } from './era-watch.js';
import { freshnessOf } from './freshness.js';
import type { History } from './history.js';
import type { Interest } from './interest.js';
import type { Inventory } from './inventory.js';
import type { Lifecycle } from './lifecycle.js';
import type { LinkCalls } from './link-calls.js';
import type { ListGrace } from './list-grace.js';
import type { ListRefresh } from './list-refresh.js';
import type { ListsFor } from './lists-for.js';
import type { OwnRequests } from './own-requests.js';
import { createParts, type ConnectionDeps } from './parts.js';
import type { Undeclared } from './undeclared.js';

export type { ConnectionDeps } from './parts.js';

export class Connection implements Link, LinkInterest, LinkAdmin<ServerConfig> {
  readonly server: string;
  readonly key: string;
  readonly shared: boolean;
  readonly stats: ServerStats;
  readonly peerLink: PeerLink | undefined;
  #config: ServerConfig;
  /** What it lists is for one client or one user. */
  readonly #isPrivate: boolean;
  readonly #calls: LinkCalls;
  readonly #own: OwnRequests;
  readonly #life: Lifecycle;
  readonly #inventory: Inventory;
  readonly #lists: ListRefresh;
  readonly #undeclared: Undeclared;
  readonly #grace: ListGrace;
  readonly #era: EraWatch;
  readonly #interest: Interest;
  readonly #history: History;
  /** The link that replaced this one at a reload: late requests are handed to it. */
  #successor: Connection | undefined;

  constructor(deps: ConnectionDeps) {
    const { client, user, config, second, stats } = deps;
    this.#config = config;
    this.server = config.name;
    this.shared = !client;
    const suffix = client?.id ?? user ?? (second ? 'legacy' : undefined);
    this.#isPrivate = client !== undefined || user !== undefined;
    this.key = suffix === undefined ? this.server : `${this.server}\0${suffix}`;
    this.stats = stats;
    this.peerLink = deps.peerLink;
    const parts = createParts(deps, this);
    const { calls, own, life, inventory, lists, undeclared, grace, era, interest } = parts;
    this.#calls = calls;
    this.#own = own;
    this.#life = life;
    this.#inventory = inventory;
    this.#lists = lists;
    this.#undeclared = undeclared;
    this.#grace = grace;
    this.#era = era;
    this.#interest = interest;
    this.#history = parts.history;
  }

  get config(): ServerConfig {
    return this.#config;
  }

  get era(): Era {
    return this.#inventory.era;
  }

  get state(): LinkState {
    switch (this.#life.phase) {
      case 'dialing':
        return this.#config.kind === 'stdio' ? 'starting' : 'connecting';
      case 'up':
        return 'up';
      case 'waiting':
        return 'backoff';
      case 'login':
        return 'login_required';
      case 'draining':
        return 'draining';
      case 'closed':
        return this.#successor?.state ?? 'down';
      case 'given_up':
        return 'down';
    }
  }

  get peer(): Peer | undefined {
    return this.#inventory.peer;
  }

  get lists(): Lists {
    return this.#inventory.lists;
  }

  get lastPeer(): Peer | undefined {
    return this.#inventory.lastPeer;
  }

  get lastLists(): Lists | undefined {
    return this.#inventory.lastLists;
  }

  get schemes(): readonly string[] {
    return this.#inventory.schemes;
  }

  get listsFor(): ListsFor | undefined {
    return this.#inventory.listsFor;
  }

  get staleLists(): ReadonlyMap<ListKind, string> {
    return new Map(
      [...this.#inventory.stale].map(([kind, error]) => [kind, this.#calls.shown(error).message]),
    );
  }

  get keptSince(): number | undefined {
    return this.#inventory.keptSince;
  }

  get freshness(): Freshness {
    const parts = this.era === 'modern' ? [this.#inventory.hints, this.#era.hints] : [undefined];
    return freshnessOf(parts, this.#lists.due, this.#isPrivate || isPersonal(this.#config));
  }

  get firstConnect(): boolean {
    return this.#life.firstConnect;
  }

  get settled(): Promise<void> {
    return this.#life.settled;
  }

  get reconnecting(): Promise<void> | undefined {
    return this.#grace.over ?? this.#life.afterLogin;
  }

  get lastError(): string | undefined {
    return this.#life.lastError;
  }

  get login(): string | undefined {
    return this.#life.login;
  }

  get retryAfter(): number | undefined {
    return this.#life.retryAfter;
  }

  get timeouts(): ServerConfig['timeouts'] {
    return this.#config.timeouts;
  }

  get inputMs(): number {
    return this.#config.timeouts.input_ms;
  }

  get waitMs(): number | undefined {
    return this.shared ? undefined : this.#config.timeouts.start_ms;
  }

  get transportKind(): Transport['kind'] | undefined {
    return this.#life.carrier?.transport.kind;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  get lastCode(): ErrorCode | undefined {
    return this.#life.lastCode;
  }

  get history(): readonly LinkTransition[] {
    return this.#history.all;
  }

  get stderr(): readonly string[] {
    return this.#calls.stderr.all;
  }

  send(out: Outgoing, sink: Sink): UpstreamExchange {
    const calls = this.#calls;
    const carrier = this.#life.up;
    const call = relayed(calls, calls.nextId(), out, sink, carrier);
    const refusal = carrier ? calls.busy(out.client) : this.#life.refusal;
    if (!carrier || refusal) calls.refuse(call, refusal as GatewayError);
    else calls.begin(call, carrier);
    return call;
  }

  async request(method: string, params: string | undefined): Promise<Buffer> {
    if (this.#successor) return this.#successor.request(method, params);
    const carrier = this.#life.up;
    if (!carrier) throw this.#life.refusal;
    return (await this.#own.request(carrier, method, params)).value;
  }

  undeclared(kind: ListKind): Promise<void> | undefined {
    return this.#undeclared.ask(kind);
  }

  refresh(): Promise<void> {
    return this.#life.up ? this.#lists.run() : Promise.reject(this.#life.refusal);
  }

  doubt(): void {
    if (this.#era.doubt() && this.#life.up) this.#lists.now();
  }

  // LinkInterest

  subscribe(uri: string): Promise<void> {
    return this.#interest.subscribe(uri);
  }

  keepSubscribed(uri: string): void {
    this.#interest.keepSubscribed(uri);
  }

  isSubscribed(uri: string): boolean {
    return this.#interest.isSubscribed(uri);
  }

  unsubscribe(uri: string, tell: boolean): void {
    this.#interest.unsubscribe(uri, tell);
  }

  watchTask(id: string): Promise<void> {
    return this.#interest.watchTask(id);
  }

  unwatchTask(id: string): void {
    this.#interest.unwatchTask(id);
  }

  setLevel(level: LogLevel | undefined): void {
    this.#interest.setLevel(level);
  }

  tell(notification: Buffer): void {
    this.#interest.tell(notification);
  }

  // LinkAdmin

  start(): void {
    this.#life.start();
  }

  update(config: ServerConfig): void {
    const ttl = this.#config.tools.ttl_seconds;
    this.#config = this.peerLink ? configThere(config) : config;
    this.#life.carrier?.transport.update(this.#config);
    if (this.#life.up && ttl !== config.tools.ttl_seconds) this.#lists.reschedule();
  }

  inherit(old: Connection): void {
    old.#successor = this;
    this.#history.inherit(old.#history);
    this.#calls.stderr.inherit(old.#calls.stderr);
    this.#interest.inherit(old.#interest);
    if (this.#life.up) return this.borrowLists(old);
    if (this.#inventory.kinds.length > 0) return;
    this.#inventory.inherit(old.#inventory);
    this.#grace.begin();
  }

  /** Lists that could not be read yet: those of another link of the server count until then. */
  borrowLists(other: Connection): void {
    this.#inventory.borrow(other.#inventory);
  }

  drain(graceMs: number): Promise<void> {
    return this.#life.drain(graceMs);
  }

  close(graceMs?: number): Promise<void> {
    return this.#life.close(graceMs);
  }

  destroy(): void {
    this.#life.destroy();
  }
}

/** Whether clients or users have links of their own to a server: what one of them is shown is not for others. */
function isPersonal(config: ServerConfig): boolean {
  return config.session === 'per-client' || isPerUser(config) || passedTo(config).length > 0;
}
