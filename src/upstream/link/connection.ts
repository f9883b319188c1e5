/**
 * A link and its life: dials, keeps the lists fresh, notices trouble, waits, dials again. What a state may do next is
 * decided in link-state.ts; here its effects are run.
 */
import type { HttpServerConfig, Limits, ServerConfig } from '../../config/types.js';
import { maskJson, maskSecrets, secretsOf } from '../../config/redact.js';
import { GatewayError } from '../../errors.js';
import { backoffMs } from '../../lib/backoff.js';
import type { Budget } from '../../lib/budget.js';
import type { Slots } from '../../lib/slots.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { ServerStats } from '../../observe/stats.js';
import type {
  Cause,
  Freshness,
  Link,
  LinkEvents,
  LinkState,
  LogLevel,
  Notice,
  Outgoing,
  Peer,
  Sink,
  UpstreamExchange,
} from '../../protocol/ports.js';
import type { Era } from '../../protocol/revisions.js';
import { LISTS, type ListKind, type Lists } from '../../protocol/lists.js';
import { MAX_ID } from '../../protocol/message.js';
import { createAttribution, type Attribute } from '../calls/attribution.js';
import {
  relayed,
  type CallOwner,
  type Carrier,
  type ServerRefusal,
  type Transport,
  type TransportEvents,
  type UpstreamCall,
} from '../calls/calls.js';
import type { AnswerLimits, IdOrder } from '../calls/answer.js';
import { dial, probeAgain, wasRefused, type Dialled, type DialDeps } from './dial.js';
import { EVERY_CAPABILITY } from './envelope.js';
import { asGatewayError, retryAfterOf, troubleOf } from './failures.js';
import { EraWatch, samePeer } from './era-watch.js';
import { freshnessOf, lapseMs } from './freshness.js';
import { handshake, sharedCapabilities } from './handshake.js';
import { InFlight } from '../calls/in-flight.js';
import { Interest, TASK, topicOf, URI } from './interest.js';
import { KeptLists, type ReadResult } from './kept-lists.js';
import type { ListCache, Remembered } from './list-cache.js';
import { ListsFor } from './lists-for.js';
import { step, type LinkEvent, type LinkPhase } from './link-state.js';
import { Listen } from '../listen/listen.js';
import { LinkObserver } from './observer.js';
import { createOwnRequests, type OwnRequests } from './own-requests.js';
import { RecentCallers } from './recent-callers.js';
import { DISCOVER } from './probe.js';
import { createRefresh, type Reading } from './refresh.js';
import { LostSession } from './session-recovery.js';
import { Recovery } from './recovery.js';
import type { Watcher } from '../stdio/watcher.js';

const CLOSE_GRACE_MS = 2000;
/** How long the lists wait for the acknowledgement of the listen stream: what changes after it is told. */
const LISTEN_FIRST_MS = 500;
/** While it reconnects its last lists stay listed for so long. */
const KEEP_LISTS_MS = 30_000;
/** How long a sign of life may take that decides whether the link falls. */
const PING_MS = 10_000;
/** A list that is not declared is waited for no longer. */
const UNDECLARED_MS = 5000;
/** What could not be read is not asked for again before. */
const SHORTEST_AGAIN_MS = 500;
/** The longest wait before an attempt, whatever the upstream asks for. */
const MAX_WAIT_MS = 300_000;
/** Share of a wait that the upstream asked for by which it is put off at random, so that many gateways do not return together. */
const WAIT_JITTER = 0.1;

export interface ConnectionDeps {
  readonly config: ServerConfig;
  readonly stats: ServerStats;
  /** Whether the gauges of the server show this link: those of its own clients do not. Default: true. */
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
  /** The client whose own link this is; undefined: it is shared, and never the clients' roots are told. */
  readonly client?: { readonly id: string; readonly capabilities: Readonly<Record<string, unknown>> };
  /** Shared, beside the first link of its server, in the legacy era. Where it is refused it is given up: another link serves. */
  readonly second?: boolean;
  /** The era that its one client speaks, or its clients will: it is tried first. */
  readonly prefers?: () => Era;
  /** Whether the last line of a child's stderr may be shown in `lastError`. */
  readonly showStderr: boolean;
  /** Where its lists are kept for the next run. */
  readonly cache?: ListCache | undefined;
  /** What it listed in an earlier run: stands until it is known what it lists now. */
  readonly remembered?: Remembered | undefined;
  /** How long the last lists stand while it reconnects. */
  readonly keepListsMs?: number;
}

export class Connection implements Link, CallOwner {
  readonly server: string;
  readonly key: string;
  readonly shared: boolean;
  readonly stats: ServerStats;
  readonly observer: LinkObserver;
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly budget: Budget;
  readonly settled: Promise<void>;
  order: IdOrder = { seen: 'unknown' };
  lastError: string | undefined;
  retryAfter: number | undefined;
  peer: Peer | undefined;
  firstConnect = true;
  keptSince: number | undefined;
  #config: ServerConfig;
  readonly #deps: ConnectionDeps;
  readonly #secrets: readonly string[];
  /** The failure that was logged last. */
  #failure: string | undefined;
  #phase: LinkPhase = { at: 'dialing', failures: 0, attempts: 0 };
  #carrier: Carrier | undefined;
  readonly #calls = new InFlight(
    () => this.#isDown(),
    ({ transport }) => {
      this.#leave(transport);
    },
  );
  readonly #callers = new RecentCallers();
  #settle: () => void = () => undefined;
  readonly #life = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #dials = 0;
  /** The attempt under way. */
  #dialing: Promise<void> = Promise.resolve();
  /** Transports that are ending. */
  readonly #leaving = new Map<Transport, Promise<void>>();
  #destroyed = false;
  /** The link that took the place of this one at a reload: what somebody still asks of this one goes there. */
  #successor: Connection | undefined;
  /** When something came from the upstream, on the monotonic clock. */
  #heard = -Infinity;
  /** Up at the moment, or until the failure that is being handled. */
  #wasUp = false;
  /** Since it fell, while its last lists stand. */
  #reconnecting: { readonly over: Promise<void>; done(): void; timer: NodeJS.Timeout } | undefined;
  /** Readings in a row that left a list stale. */
  #stale = 0;
  /** The kinds that came with the connection. */
  #renewed: readonly ListKind[] = [];
  /** Capabilities that it does not declare: those that were tried on this connection, and those that it has. */
  readonly #tried = new Set<string>();
  readonly #found = new Set<string>();
  /** The last line of a child that has just ended. */
  #stderr = '';
  readonly #interest = new Interest({
    modern: () => this.era === 'modern',
    hasLogging: () => this.peer?.capabilities['logging'] !== undefined,
    tell: (method, params) => {
      this.#tell(method, params);
    },
    changed: () => {
      this.#listen.update();
    },
  });
  readonly #refresh;
  readonly #kept: KeptLists;
  readonly #listsFor: ListsFor;
  readonly #own: OwnRequests;
  readonly #era: EraWatch;
  readonly #recovery: Recovery;
  readonly #listen: Listen;
  readonly #attribute: Attribute;
  readonly #answerLimits: AnswerLimits;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#config = deps.config;
    this.#secrets = secretsOf(deps.config);
    this.server = deps.config.name;
    this.shared = !deps.client;
    const suffix = deps.client?.id ?? (deps.second ? 'legacy' : undefined);
    this.key = suffix === undefined ? this.server : `${this.server}\0${suffix}`;
    this.stats = deps.stats;
    this.observer = new LinkObserver(deps.stats, deps.isShown ?? true);
    this.wheel = deps.wheel;
    this.log = deps.log;
    this.boundary = deps.boundary;
    this.budget = deps.budget;
    const { server, log, observer, boundary } = this;
    this.#answerLimits = {
      get messageBytes() {
        return deps.limits().message_bytes;
      },
      get questionBytes() {
        return deps.limits().body_bytes;
      },
      budget: deps.budget,
    };
    this.#refresh = createRefresh({
      boundary,
      ttlMs: () => this.#config.tools.ttl_seconds * 1000,
      hintMs: () => lapseMs([this.#kept.hints, this.#era.hints]),
      read: (reading) => this.#readLists(reading),
      done: (error) => {
        this.#refreshed(error);
      },
    });
    this.#kept = new KeptLists({ server, log, observer });
    if (deps.remembered) {
      this.#kept.lists = deps.remembered.lists;
      this.peer = deps.remembered.peer;
      this.keptSince = deps.remembered.at;
    }
    this.#listsFor = new ListsFor({
      server,
      log,
      all: () => this.#kept.lists,
      capabilities: () => this.peer?.capabilities ?? {},
      request: async (method, params) => {
        const carrier = this.#carrier;
        if (!carrier) throw new GatewayError('upstream_disconnected', `upstream '${server}' is disconnected`);
        return this.#own.request(carrier, method, params);
      },
    });
    this.#own = createOwnRequests({
      owner: this,
      config: () => this.#config,
      nextId: () => this.#calls.table.nextId(),
      send: (call, carrier) => {
        this.#calls.put(call, carrier);
        this.#recovery.send(call, carrier);
      },
      envelope: () => ({
        capabilities: deps.client?.capabilities ?? EVERY_CAPABILITY,
        clientInfo: deps.clientInfo,
      }),
    });
    this.#era = new EraWatch({
      server,
      log,
      own: this.#own,
      keeps: deps.config.kind === 'http',
      prefers: () => deps.prefers?.() ?? 'modern',
      probe: () =>
        probeAgain(
          this.#config as HttpServerConfig,
          this.#dialDeps(
            () => undefined,
            () => undefined,
          ),
        ),
    });
    const open = (carrier: Carrier, signal: AbortSignal): Promise<void> => this.#openSession(carrier, signal);
    this.#recovery = new Recovery({
      server,
      causes: [new LostSession({ server, observer, log, open })],
      signal: this.#life.signal,
      isCurrent: (carrier) => carrier === this.#carrier && this.#phase.at === 'up',
      recovered: () => {
        this.#listChanged();
      },
      failed: (error) => {
        this.#failed(error);
      },
    });
    const news = {
      listChanged: () => {
        this.#listChanged();
      },
      updated: (uri: string, notice: Notice) => {
        deps.events.updated(this, uri, notice);
      },
      taskStatus: (taskId: string, notice: Notice) => {
        deps.events.taskStatus(this, taskId, notice);
      },
    };
    this.#listen = new Listen({
      ...news,
      server,
      log,
      boundary,
      open: (method, params) => this.#own.open(this.#carrier as Carrier, method, params, { long: true }),
      ordered: () => this.transportKind === 'stdio',
      capabilities: () => this.peer?.capabilities ?? {},
      topics: () => this.#interest.topics,
      missed: news.listChanged,
    });
    this.#attribute = createAttribution({
      ...news,
      server,
      log,
      calls: this.#calls.table,
      unreadable: () => {
        observer.dropped();
      },
      questionBytes: () => this.#answerLimits.questionBytes,
      modern: () => this.era === 'modern',
      heard: (id, method, params, bytes) => {
        this.#listen.heard(id, method, params, bytes);
      },
      elicited: (elicitationId, notice, call) => {
        deps.events.elicited(this, elicitationId, notice, call);
      },
      roots: () => this.#config.roots,
      own: deps.client && {
        tell: (notice) => {
          deps.events.other(this, notice);
        },
        ask: (question) => deps.events.asked(this, question),
      },
      othersLately: (client) => this.#callers.othersLately(client),
      logged: (notice) => {
        const client = this.#callers.soleLately();
        if (client !== undefined) deps.events.logged(client, notice);
      },
    });
    this.settled = new Promise((resolve) => {
      this.#settle = () => {
        this.firstConnect = false;
        resolve();
      };
    });
  }

  get era(): Era {
    return this.peer?.era ?? 'legacy';
  }

  get lists(): Lists {
    return this.#kept.lists;
  }

  /** Kinds whose list is an older one than it should be, and why, without secrets. */
  get staleLists(): ReadonlyMap<ListKind, string> {
    return new Map([...this.#kept.stale].map(([kind, error]) => [kind, this.shown(error).message]));
  }

  get reconnecting(): Promise<void> | undefined {
    return this.#reconnecting?.over;
  }

  get listsFor(): ListsFor | undefined {
    return this.era === 'modern' ? this.#listsFor : undefined;
  }

  get freshness(): Freshness {
    const parts = this.era === 'modern' ? [this.#kept.hints, this.#era.hints] : [undefined];
    return freshnessOf(parts, this.#refresh.due, this.#deps.client !== undefined);
  }

  get waitMs(): number | undefined {
    return this.#deps.client && this.#config.timeouts.start_ms;
  }

  get config(): ServerConfig {
    return this.#config;
  }

  get timeouts(): ServerConfig['timeouts'] {
    return this.#config.timeouts;
  }

  get state(): LinkState {
    switch (this.#phase.at) {
      case 'dialing':
        return this.#config.kind === 'stdio' ? 'starting' : 'connecting';
      case 'up':
        return 'up';
      case 'waiting':
        return 'backoff';
      case 'draining':
        return 'draining';
      case 'closed':
        return this.#successor?.state ?? 'down';
      case 'given_up':
        return 'down';
    }
  }

  get transportKind(): Transport['kind'] | undefined {
    return this.#carrier?.transport.kind;
  }

  get inputMs(): number {
    return this.#config.timeouts.input_ms;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  messageBytes(): number {
    return this.#deps.limits().message_bytes;
  }

  get answerLimits(): AnswerLimits {
    return this.#answerLimits;
  }

  /** Begins the first attempt. */
  start(): void {
    if (this.#config.problem !== undefined) {
      this.lastError = this.#config.problem;
      this.#step({ type: 'hopeless' }, new GatewayError('upstream_disconnected', this.#config.problem));
      this.#settle();
      return;
    }
    this.#beginDial();
  }

  /** Takes over what needs no new connection: time-outs, backoff, refresh interval, quirks that are read per use. */
  update(config: ServerConfig): void {
    const ttl = this.#config.tools.ttl_seconds;
    this.#config = config;
    this.#carrier?.transport.update(config);
    if (this.#phase.at === 'up' && ttl !== config.tools.ttl_seconds) this.#refresh.schedule(false);
  }

  send(out: Outgoing, sink: Sink): UpstreamExchange {
    const carrier = this.#carrier;
    const call = relayed(this, this.#calls.table.nextId(), out, sink, carrier?.modern !== undefined);
    const limit = this.#deps.limits().in_flight;
    if (!carrier || this.#phase.at !== 'up') {
      this.#failLater(call, this.#isDown());
    } else if (this.#calls.size >= limit && !this.#admits(out.client, limit)) {
      const why = `upstream '${this.server}' is busy: ${limit} calls in flight (limits.in_flight)`;
      this.#failLater(call, new GatewayError('busy', why));
    } else {
      this.#calls.put(call, carrier);
      this.#callers.note(out.client);
      this.#recovery.send(call, carrier);
    }
    return call;
  }

  /** A client without a call here is let in up to a tenth above the limit: others have taken all of it. */
  #admits(client: string, limit: number): boolean {
    return (
      this.#calls.size < limit + Math.ceil(limit / 10) &&
      !this.#calls.table.all().some((call) => !call.own && call.client === client)
    );
  }

  /** Once a connection; undefined: it is declared, or was asked for. */
  undeclared(kind: ListKind): Promise<void> | undefined {
    const carrier = this.#carrier;
    const { capability } = LISTS[kind];
    if (!carrier || this.#phase.at !== 'up' || !this.peer || this.#tried.has(capability)) return undefined;
    if (this.peer.capabilities[capability] !== undefined) return undefined;
    this.#tried.add(capability);
    return this.#tryUndeclared(carrier, kind);
  }

  async #tryUndeclared(carrier: Carrier, kind: ListKind): Promise<void> {
    const { method, capability } = LISTS[kind];
    try {
      await this.#own.open(carrier, method, undefined, { totalMs: UNDECLARED_MS }).answer;
      if (this.#carrier !== carrier || !this.peer) return;
      this.log.info(`the upstream has ${method}, which it does not declare`, { server: this.server });
      this.#found.add(capability);
      this.peer = this.#completed(this.peer);
      await this.#refresh.run();
    } catch (error) {
      this.log.debug(`the upstream does not declare ${method}, and has none`, {
        server: this.server,
        error: this.shown(asGatewayError(error, this.server)).message,
      });
    }
  }

  /** What it says of itself, with what it has besides. */
  #completed(peer: Peer): Peer {
    if (this.#found.size === 0) return peer;
    const found = Object.fromEntries([...this.#found].map((capability) => [capability, {}]));
    return { ...peer, capabilities: { ...found, ...peer.capabilities } };
  }

  async request(method: string, params: string | undefined): Promise<Buffer> {
    if (this.#successor) return this.#successor.request(method, params);
    const carrier = this.#carrier;
    if (!carrier || this.#phase.at !== 'up') throw this.#isDown();
    return (await this.#own.request(carrier, method, params)).value;
  }

  tell(notification: Buffer): void {
    // A modern upstream is told with each request what it has to know.
    if (this.#phase.at === 'up' && this.era === 'legacy') this.#carrier?.transport.post(notification);
  }

  refresh(): Promise<void> {
    if (this.#phase.at !== 'up') return Promise.reject(this.#isDown());
    return this.#refresh.run();
  }

  doubt(): void {
    if (this.#era.doubt() && this.#phase.at === 'up') this.#refresh.now();
  }

  async subscribe(uri: string): Promise<void> {
    if (this.#successor) return this.#successor.subscribe(uri);
    if (this.#phase.at !== 'up') throw this.#isDown();
    if (this.era === 'legacy') {
      await this.request('resources/subscribe', JSON.stringify({ uri }));
      this.#interest.keep(uri);
      return;
    }
    const had = this.#interest.has(uri);
    this.#interest.keep(uri);
    try {
      await this.#listen.granted(topicOf(URI, uri));
    } catch (error) {
      if (!had) this.#interest.drop(uri, false);
      throw error;
    }
  }

  keepSubscribed(uri: string): void {
    if (this.#successor) this.#successor.#takeOver(uri);
    else this.#interest.keep(uri);
  }

  unsubscribe(uri: string, tell: boolean): void {
    this.#successor?.unsubscribe(uri, tell);
    this.#interest.drop(uri, tell);
  }

  isSubscribed(uri: string): boolean {
    return this.#successor ? this.#successor.isSubscribed(uri) : this.#interest.has(uri);
  }

  async watchTask(id: string): Promise<void> {
    if (this.#successor) return this.#successor.watchTask(id);
    if (this.#phase.at !== 'up') throw this.#isDown();
    // One of the legacy era tells of its tasks, or does not: nobody can ask it to.
    if (this.era === 'legacy') return;
    this.#interest.keepTask(id);
    try {
      await this.#listen.granted(topicOf(TASK, id));
    } catch (error) {
      this.#interest.dropTask(id);
      throw error;
    }
  }

  unwatchTask(id: string): void {
    this.#successor?.unwatchTask(id);
    this.#interest.dropTask(id);
  }

  setLevel(level: LogLevel | undefined): void {
    this.#interest.setLevel(level);
  }

  /** A request whose answer changes nothing here. */
  #tell(method: string, params: object): void {
    const carrier = this.#carrier;
    if (!carrier || this.#phase.at !== 'up') return;
    this.#own.request(carrier, method, JSON.stringify(params)).catch((error: unknown) => {
      this.log.debug(`${method} failed`, {
        server: this.server,
        error: this.shown(asGatewayError(error, this.server)).message,
      });
    });
  }

  // CallOwner

  finished(call: UpstreamCall): void {
    if (this.#calls.remove(call) && !call.own) this.#callers.note(call.client);
  }

  oversize(method: string, id: string, bytes: number, call: UpstreamCall | undefined): void {
    this.observer.dropped();
    this.log.warn('dropped a message that is too large to be held', {
      server: this.server,
      method: method.slice(0, 128),
      bytes,
    });
    if (id === '' || id === 'null' || id.length > MAX_ID) return;
    const error = `{"code":-32600,"message":"the request is over ${bytes} bytes: too large"}`;
    const transport = (call?.carrier ?? this.#carrier)?.transport;
    transport?.post(Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":${error}}`));
  }

  message(bytes: Buffer, call: UpstreamCall): void {
    this.#attribute(bytes, call, (body) => call.carrier?.transport.post(body));
  }

  refused(call: UpstreamCall, refusal: ServerRefusal): boolean {
    return this.#recovery.refused(call, refusal);
  }

  sendCancel(call: UpstreamCall, why: Cause): void {
    // Closing the stream of a modern request cancels it (2026-07-28, basic/patterns/cancellation).
    if (call.carrier?.modern !== undefined && call.carrier.transport.kind !== 'stdio') return;
    const params = `{"requestId":${call.idText},"reason":${JSON.stringify(why)}}`;
    call.carrier?.transport.post(
      Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`),
    );
  }

  /** What this link can be asked for. */
  #declared(): object {
    return this.#deps.client?.capabilities ?? sharedCapabilities(this.#config);
  }

  /** What the transports of one dial tell: of an older one only its own calls hear. */
  #eventsOf(current: () => Carrier | undefined): TransportEvents {
    return {
      message: (bytes) => {
        this.#attribute(bytes, undefined, (body) => current()?.transport.post(body));
      },
      callFor: (id) => this.#calls.table.get(id),
      seen: () => {
        this.#heard = performance.now();
        this.observer.seen();
      },
      reopened: () => {
        if (current() === this.#carrier) this.#listChanged();
      },
      doubt: () => {
        if (this.#phase.at === 'up' && current() === this.#carrier) this.#refresh.now();
      },
      lost: (error, more) => {
        const carrier = current();
        if (carrier) this.#calls.fail(error, carrier);
        // The dial goes on, with another process.
        if (carrier?.probing) return;
        if (this.#carrier !== undefined && this.#carrier !== carrier) return;
        this.#stderr = more?.stderr ?? '';
        this.#failed(error, more?.retryAfterMs);
      },
      wrongEra: () => {
        if (this.#phase.at === 'up' && current() === this.#carrier) this.doubt();
      },
    };
  }

  /** Takes over what clients wait to hear of on the link whose place this one takes. */
  inherit(old: Connection): void {
    old.#successor = this;
    for (const id of old.#interest.tasks) this.#interest.keepTask(id);
    for (const uri of old.#interest.uris) this.#takeOver(uri);
    if (this.#phase.at === 'up' || this.#kept.kinds.length > 0) return;
    // What is listed stands until it is known what this one lists.
    this.#kept.lists = old.#kept.lists;
    this.peer = old.peer;
    this.#keepLists();
  }

  /** A subscription that was granted on another link. */
  #takeOver(uri: string): void {
    if (this.#successor) return this.#successor.#takeOver(uri);
    if (this.#interest.has(uri)) return;
    this.#interest.keep(uri);
    if (this.era === 'legacy') this.#tell('resources/subscribe', { uri });
  }

  /** Takes no new calls, lets those in flight end, at the latest after `graceMs`, then closes. */
  async drain(graceMs: number): Promise<void> {
    if (this.#phase.at === 'closed') return;
    this.#step({ type: 'drain' });
    this.#stopTimers();
    this.#listen.stop();
    this.#reconnected();
    await this.#calls.drained(graceMs);
    await this.close();
  }

  /** Ends the session and the child politely, within `graceMs`. */
  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    const carrier = this.#carrier;
    this.#shut();
    const ms = Math.min(graceMs, CLOSE_GRACE_MS);
    // What is ending already has no longer than that either.
    for (const transport of this.#leaving.keys()) void transport.close(ms);
    if (carrier) this.#leave(carrier.transport, ms);
    // An attempt under way fails now, and lets go of what it opened.
    await this.#dialing;
    await Promise.all(this.#leaving.values());
  }

  destroy(): void {
    const carrier = this.#carrier;
    this.#destroyed = true;
    this.#shut();
    carrier?.transport.destroy();
    for (const transport of this.#leaving.keys()) transport.destroy();
  }

  /** Ends the session, or the child, of a transport that nothing is on any more. */
  #leave(transport: Transport, graceMs = CLOSE_GRACE_MS): void {
    if (this.#destroyed) return transport.destroy();
    if (this.#leaving.has(transport)) return;
    const left = transport.close(graceMs).finally(() => {
      this.#leaving.delete(transport);
      transport.destroy();
    });
    this.#leaving.set(transport, left);
    this.boundary.detach('link', left);
  }

  #shut(): void {
    this.#step({ type: 'close' });
    this.#stopTimers();
    this.#listen.stop();
    this.#life.abort(new Error('closed'));
    this.#own.close();
    this.#settle();
    this.#reconnected();
    this.#calls.fail(
      new GatewayError('upstream_disconnected', `upstream '${this.server}' was removed or restarted`),
    );
    this.#carrier = undefined;
    this.#kept.clear();
    this.observer.waited(0);
  }

  #stopTimers(): void {
    clearTimeout(this.#timer);
    this.#refresh.stop();
  }

  #isDown(): GatewayError {
    return new GatewayError('upstream_disconnected', `upstream '${this.server}' is disconnected`);
  }

  #failLater(call: UpstreamCall, error: GatewayError): void {
    setImmediate(
      this.boundary.guard('link', () => {
        call.fail(error);
      }),
    );
  }

  #step(event: LinkEvent, error?: GatewayError, retryAfterMs?: number): void {
    const { next, effects } = step(this.#phase, event, this.#config.reconnect.max_attempts);
    this.#phase = next;
    for (const effect of effects) {
      switch (effect.do) {
        case 'dial':
          this.#beginDial();
          break;
        case 'disconnect':
          this.#disconnected(error as GatewayError);
          break;
        case 'wait':
          this.#wait(effect.failures, retryAfterMs);
          break;
        case 'give_up':
          this.#dropLists();
          if (!this.#deps.second)
            this.log.error('upstream given up until a reload', {
              server: this.server,
              // What is wrong with its entry was told when the config was read.
              error: this.#config.problem === undefined ? this.lastError : undefined,
            });
          this.#deps.events.gaveUp(this, error as GatewayError);
          break;
      }
    }
  }

  #beginDial(): void {
    this.#dialing = this.#dial();
    this.boundary.detach('link', this.#dialing, (error) => {
      this.#failed(error);
    });
  }

  async #dial(): Promise<void> {
    const { observer } = this;
    const again = this.#phase.at === 'dialing' && this.#phase.failures > 0;
    const started = performance.now();
    const dials = ++this.#dials;
    this.order = { seen: 'unknown' };
    let carrier: Carrier | undefined;
    let isGreeted = false;
    try {
      // The child before it may hold what this one needs: a port, a file.
      if (this.#config.kind === 'stdio') await Promise.all(this.#leaving.values());
      const dialled = await dial(
        this.#config,
        this.#dialDeps(
          () => carrier,
          (opened) => (carrier = opened),
        ),
        this.#life.signal,
      );
      isGreeted = true;
      observer.initialized('success', started);
      if (this.#life.signal.aborted) throw new Error('closed');
      await this.#settleIn(dialled);
      if (again) observer.reconnected('success');
      observer.checked(true);
      this.#connected();
    } catch (error) {
      if (carrier) this.#calls.discard(carrier);
      if (this.#carrier === carrier) this.#carrier = undefined;
      // What was lost while it settled in is being dialled anew.
      if (this.#life.signal.aborted || dials !== this.#dials) return;
      if (!isGreeted) observer.initialized('error', started);
      observer.reconnected('error');
      observer.checked(false);
      const failure = asGatewayError(error, this.server);
      if (this.#deps.second && wasRefused(error)) this.#step({ type: 'hopeless' }, failure);
      else this.#failed(failure, retryAfterOf(failure));
    }
    this.#settle();
  }

  #dialDeps(current: () => Carrier | undefined, opened: (carrier: Carrier) => void): DialDeps {
    return {
      owner: this,
      events: this.#eventsOf(current),
      starts: this.#deps.starts,
      watcher: this.#deps.watcher,
      opened: (transport, modern) => {
        const carrier: Carrier = { transport, calls: 0, retired: false, modern, probing: false };
        opened(carrier);
        return carrier;
      },
      own: this.#own,
      clientInfo: this.#deps.clientInfo,
      capabilities: this.#declared(),
      known: this.#era.known,
      patience: this.#era.patience,
      late: () => {
        this.#era.late();
        if (this.#phase.at === 'up' && current() === this.#carrier) this.#outgrow();
      },
      leave: (transport) => {
        this.#leave(transport);
      },
    };
  }

  /** Everything between the handshake and the first call. */
  async #settleIn(dialled: Dialled): Promise<void> {
    const { carrier, peer } = dialled;
    this.#carrier = carrier;
    this.#tried.clear();
    this.#found.clear();
    this.peer = peer;
    this.#era.dialled(dialled);
    if (peer.era === 'modern') await this.#listen.start(LISTEN_FIRST_MS);
    // Lost meanwhile: what is asked now would get no answer.
    if (this.#carrier !== carrier) throw this.#isDown();
    const read = await this.#read(carrier);
    if (this.#carrier !== carrier) throw this.#isDown();
    this.#renewed = this.#take(read);
    this.#listsFor.outdate();
    await this.#renewInterest(carrier);
    if (this.#carrier !== carrier) throw this.#isDown();
  }

  #outgrow(): void {
    if (!this.#era.outgrown()) return;
    this.#failed(
      new GatewayError(
        'upstream_disconnected',
        `upstream '${this.server}' said late that it speaks a modern revision: starting it again`,
      ),
    );
  }

  #connected(): void {
    const peer = this.peer as Peer;
    this.lastError = undefined;
    this.retryAfter = undefined;
    this.#wasUp = true;
    this.observer.up(peer, this.lists.tools.length);
    this.#step({ type: 'connected' });
    this.log.info('upstream up', {
      server: this.server,
      transport: this.transportKind,
      revision: peer.revision,
      tools: this.lists.tools.length,
    });
    this.#refresh.schedule(true);
    this.#readAgain();
    this.#settle();
    this.#reconnected();
    this.#deps.events.state(this, this.#renewed);
    this.#outgrow();
  }

  #failed(error: GatewayError, retryAfterMs?: number): void {
    this.#step({ type: 'failed' }, error, retryAfterMs);
  }

  #disconnected(error: GatewayError): void {
    const wasUp = this.#wasUp;
    this.#wasUp = false;
    this.#stopTimers();
    const stderr = this.#stderr;
    this.#stderr = '';
    this.lastError = this.shown(error).message;
    if (stderr !== '' && this.#deps.showStderr) this.lastError += ` (stderr: ${stderr})`;
    this.observer.down();
    this.#listen.stop();
    if (wasUp || this.#kept.kinds.length > 0) this.#keepLists();
    const carrier = this.#carrier;
    this.#carrier = undefined;
    if (carrier) this.#calls.retire(carrier);
    const again = !wasUp && this.lastError === this.#failure;
    this.#failure = this.lastError;
    // What is wrong with its entry was told when the config was read, and each further attempt fails alike.
    if (this.#config.problem === undefined)
      this.log[wasUp ? 'warn' : again ? 'debug' : 'info']('upstream down', {
        server: this.server,
        error: this.shown(error).message,
        stderr: stderr === '' ? undefined : stderr,
      });
    this.#deps.events.state(this, []);
  }

  /** It fell: what it listed stands for a while, since it may be back in a moment. */
  #keepLists(): void {
    if (this.#reconnecting) return;
    let done = (): void => undefined;
    const over = new Promise<void>((resolve) => (done = resolve));
    const lapse = this.boundary.guard('link', () => {
      this.#dropLists();
    });
    this.#reconnecting = {
      over,
      done,
      timer: setTimeout(lapse, this.#deps.keepListsMs ?? KEEP_LISTS_MS).unref(),
    };
  }

  /** It is up again, or nobody waits for that any more. */
  #reconnected(): void {
    clearTimeout(this.#reconnecting?.timer);
    this.#reconnecting?.done();
    this.#reconnecting = undefined;
  }

  /** It stays away: what it listed is listed no more. */
  #dropLists(): void {
    this.#reconnected();
    this.keptSince = undefined;
    const kinds = this.#kept.clear();
    this.#listsFor.clear();
    this.peer = undefined;
    this.observer.lists(0);
    if (kinds.length > 0) this.#deps.events.changed(this, kinds);
  }

  #wait(failures: number, retryAfterMs: number | undefined): void {
    const { backoff_base_ms, backoff_max_ms } = this.#config.reconnect;
    if (this.#phase.at !== 'waiting') return;
    const asked = (retryAfterMs ?? 0) * (1 + Math.random() * WAIT_JITTER);
    const ms = Math.min(Math.max(backoffMs(failures, backoff_base_ms, backoff_max_ms), asked), MAX_WAIT_MS);
    this.retryAfter = retryAfterMs ? Math.ceil(retryAfterMs / 1000) : undefined;
    this.observer.waits(ms);
    this.log.debug('waiting before the next attempt', { server: this.server, ms: Math.round(ms), failures });
    const due = (): void => {
      this.observer.waited(ms);
      this.#step({ type: 'due' });
    };
    this.#timer = setTimeout(this.boundary.guard('link', due), ms);
  }

  #refreshed(error: unknown): void {
    if (this.#phase.at !== 'up') return this.#refresh.stop();
    this.observer.checked(error === undefined);
    if (error === undefined) {
      // It came up while the lists were being read.
      if (this.#era.suspect) this.#refresh.soon();
      this.#readAgain();
      return;
    }
    if (troubleOf(error) === 'answer') {
      // A fault of the gateway, or something that is no list: the link is none the worse for it.
      this.log.warn('the lists could not be read', {
        server: this.server,
        error: this.shown(asGatewayError(error, this.server)).message,
      });
      this.#refresh.schedule(false);
      return;
    }
    const failure = asGatewayError(error, this.server);
    this.#failed(failure, retryAfterOf(failure));
  }

  #listChanged(): void {
    if (this.#phase.at === 'up') this.#refresh.soon();
  }

  /** What the last reading gave no list for is asked for again, ever less often. */
  #readAgain(): void {
    const { stale } = this.#kept;
    if (stale.size === 0) {
      this.#stale = 0;
      return;
    }
    this.#stale++;
    const { backoff_base_ms, backoff_max_ms } = this.#config.reconnect;
    const asked = Math.max(...[...stale.values()].map((error) => retryAfterOf(error) ?? 0));
    const wait = backoffMs(this.#stale, backoff_base_ms, backoff_max_ms);
    this.#refresh.again(Math.min(Math.max(wait, asked, SHORTEST_AGAIN_MS), MAX_WAIT_MS));
  }

  async #readLists({ told, again }: Reading): Promise<void> {
    const carrier = this.#carrier;
    if (!carrier) return;
    const isOther = !again && (await this.#discoverAgain(carrier));
    const read = await this.#read(carrier, again ? [...this.#kept.stale.keys()] : undefined);
    if (this.#carrier !== carrier || this.#phase.at !== 'up') return;
    const kinds = this.#take(read);
    if (kinds.length > 0 || isOther) this.#told(kinds);
    if (again || !this.listsFor) return;
    const others = await this.#listsFor.renew(told || kinds.length > 0);
    if (this.#carrier === carrier && others.length > 0) this.#told(others);
  }

  /** Takes the lists over, and keeps them for the next run; gives the kinds that are other ones than before. */
  #take(read: ReadResult): ListKind[] {
    const kinds = this.#kept.take(read);
    const { cache } = this.#deps;
    const { peer } = this;
    this.keptSince = undefined;
    if (cache && peer && this.#kept.stale.size === 0 && (kinds.length > 0 || this.#phase.at === 'dialing'))
      this.boundary.detach('link', cache.write(this.#config, peer, this.#kept.lists));
    return kinds;
  }

  #told(kinds: readonly ListKind[]): void {
    this.log.info('lists changed', { server: this.server, lists: kinds.join(' ') });
    this.#deps.events.changed(this, kinds);
  }

  #read(carrier: Carrier, kinds?: readonly ListKind[]): ReturnType<KeptLists['read']> {
    return this.#kept.read({
      kinds,
      capabilities: this.peer?.capabilities ?? {},
      modern: carrier.modern !== undefined,
      request: (method, params) => this.#own.request(carrier, method, params),
      ping: () => this.#ping(carrier),
    });
  }

  /** Resolves with any answer: it is a sign of life. Rejects where there is none. */
  async #ping(carrier: Carrier): Promise<void> {
    const began = performance.now();
    // The modern era has no ping (2026-07-28, changelog).
    const method = carrier.modern === undefined ? 'ping' : DISCOVER;
    try {
      await this.#own.open(carrier, method, undefined, { totalMs: PING_MS }).answer;
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble === 'way' || (trouble === 'silence' && this.#heard < began)) throw error;
    }
  }

  /** true: a modern upstream says other things of itself than before. */
  async #discoverAgain(carrier: Carrier): Promise<boolean> {
    const before = this.peer;
    let peer: Peer | undefined;
    try {
      peer = await this.#era.again(carrier);
    } catch (error) {
      if (troubleOf(error) !== 'silence') throw error;
      await this.#ping(carrier);
    }
    if (!peer || !before || this.#carrier !== carrier || samePeer(before, this.#completed(peer)))
      return false;
    this.peer = this.#completed(peer);
    // It may tell of other things now.
    this.#listen.stop();
    await this.#listen.start(LISTEN_FIRST_MS);
    return true;
  }

  /** Tells a new session of the upstream what the one before it had been told. */
  async #renewInterest(carrier: Carrier): Promise<void> {
    for (const [method, params] of this.#interest.wanted()) {
      try {
        await this.#own.request(carrier, method, JSON.stringify(params));
      } catch (error) {
        // The server is none the worse for it.
        this.log.warn(`${method} failed after reconnecting`, {
          server: this.server,
          error: this.shown(asGatewayError(error, this.server)).message,
        });
      }
    }
  }

  /** In place of a session that the upstream lost. */
  async #openSession(carrier: Carrier, signal: AbortSignal): Promise<void> {
    const peer = await handshake(this.#config, {
      transport: carrier.transport,
      request: (method, params) => this.#own.request(carrier, method, params),
      clientInfo: this.#deps.clientInfo,
      capabilities: this.#declared(),
    });
    signal.throwIfAborted();
    this.peer = this.#completed(peer);
    await this.#renewInterest(carrier);
  }

  /** An error as it may be shown: without the secrets of this server. */
  shown(error: GatewayError): GatewayError {
    const message = maskSecrets(error.message, this.#secrets).slice(0, 2048);
    return message === error.message ? error : new GatewayError(error.code, message, error.data);
  }

  /** The same for the JSON of an error that goes on to a client. */
  masked(error: Buffer): Buffer {
    return maskJson(error, this.#secrets);
  }
}
