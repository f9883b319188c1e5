/**
 * A link and its life: dials, keeps the lists fresh, notices trouble, waits, dials again. What a state may do next is
 * decided in link-state.ts; here its effects are run.
 */
import type { Limits, ServerConfig } from '../config/types.js';
import { maskSecrets, secretsOf } from '../config/redact.js';
import { GatewayError } from '../errors.js';
import { backoffMs } from '../lib/backoff.js';
import type { Budget } from '../lib/budget.js';
import type { Slots } from '../lib/slots.js';
import type { Wheel } from '../lib/wheel.js';
import type { Logger } from '../observe/log.js';
import type { ServerStats, SessionResetReason } from '../observe/stats.js';
import { find } from '../protocol/message.js';
import type {
  Cause,
  Freshness,
  Link,
  LinkEvents,
  LinkState,
  LogLevel,
  Outgoing,
  Peer,
  Sink,
  UpstreamExchange,
} from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { LIST_KINDS, NO_LISTS, sameList, type ListKind, type Lists } from '../protocol/lists.js';
import { splice, type Patch } from '../wire/splice.js';
import { createAttribution, type Attribute } from './attribution.js';
import { CallTable } from './call-table.js';
import { UpstreamCall, type CallOwner, type Carrier, type Transport, type TransportEvents } from './calls.js';
import type { IdOrder } from './answer.js';
import { Interest } from './interest.js';
import { RecentCallers } from './recent-callers.js';
import { collect, type Collected } from './collect.js';
import { dial, handshake, sharedCapabilities } from './dial.js';
import { readLists } from './read-lists.js';
import { asGatewayError, retryAfterOf, withStatus } from './failures.js';
import type { Watcher } from './watcher.js';
import { createRefresh } from './refresh.js';
import { step, type LinkEvent, type LinkPhase } from './link-state.js';

/** How long the gateway's own requests wait for an answer, unless request_ms is shorter. */
const OWN_REQUEST_MS = 60_000;
const CLOSE_GRACE_MS = 2000;
/** What is asked before the calls that wait for a new session go on. */
const DURING_RESET = new Set(['initialize', 'resources/subscribe', 'logging/setLevel']);

export interface ConnectionDeps {
  readonly config: ServerConfig;
  readonly stats: ServerStats;
  readonly log: Logger;
  readonly wheel: Wheel;
  readonly budget: Budget;
  readonly starts: Slots;
  readonly watcher: Watcher;
  readonly limits: () => Limits;
  readonly events: LinkEvents;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** The client whose own link this is; undefined: it is shared, and never the clients' roots are told. */
  readonly client?: { readonly id: string; readonly capabilities: Readonly<Record<string, unknown>> };
  /** Whether the last line of a child's stderr may be shown in `lastError`. */
  readonly showStderr: boolean;
}

export class Connection implements Link, CallOwner {
  readonly server: string;
  readonly key: string;
  readonly stats: ServerStats;
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly budget: Budget;
  readonly settled: Promise<void>;
  order: IdOrder = { seen: 'unknown' };
  lastError: string | undefined;
  retryAfter: number | undefined;
  peer: Peer | undefined;
  lists: Lists = NO_LISTS;
  firstConnect = true;
  #config: ServerConfig;
  readonly #deps: ConnectionDeps;
  readonly #secrets: readonly string[];
  #phase: LinkPhase = { at: 'dialing', failures: 0, attempts: 0 };
  #carrier: Carrier | undefined;
  readonly #calls = new CallTable<UpstreamCall>();
  readonly #callers = new RecentCallers();
  #settle: () => void = () => undefined;
  readonly #life = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #drained: (() => void) | undefined;
  /** The last line of a child that has just ended. */
  #stderr = '';
  readonly #interest = new Interest({
    hasLogging: () => this.peer?.capabilities['logging'] !== undefined,
    tell: (method, params) => {
      this.#tell(method, params);
    },
  });
  #generation = 1;
  #reset: Promise<void> | undefined;
  readonly #refresh = createRefresh({
    ttlMs: () => this.#config.tools.ttl_seconds * 1000,
    read: () => this.#readLists(),
    done: (error) => {
      this.#refreshed(error);
    },
  });
  readonly #attribute: Attribute;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#config = deps.config;
    this.#secrets = secretsOf(deps.config);
    this.server = deps.config.name;
    this.key = deps.client ? `${this.server}\0${deps.client.id}` : this.server;
    this.stats = deps.stats;
    this.wheel = deps.wheel;
    this.log = deps.log;
    this.budget = deps.budget;
    this.#attribute = createAttribution({
      server: this.server,
      log: this.log,
      calls: this.#calls,
      listChanged: () => {
        this.#listChanged();
      },
      updated: (uri, notice) => {
        this.#deps.events.updated(this, uri, notice);
      },
      taskStatus: (taskId, notice) => {
        this.#deps.events.taskStatus(this, taskId, notice);
      },
      elicited: (elicitationId, notice) => {
        this.#deps.events.elicited(this, elicitationId, notice);
      },
      roots: () => this.#config.roots,
      own: deps.client && {
        tell: (notice) => {
          deps.events.other(this, notice);
        },
        ask: (question) => deps.events.asked(this, question),
      },
      othersLately: (client) => this.#callers.othersLately(client),
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

  get freshness(): Freshness {
    return { until: this.#refresh.due, scope: this.#deps.client ? 'private' : 'public' };
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

  /** Begins the first attempt. */
  start(): void {
    if (this.#config.problem !== undefined) {
      this.lastError = this.#config.problem;
      this.#step({ type: 'hopeless' }, new GatewayError('upstream_disconnected', this.#config.problem));
      this.#settle();
      return;
    }
    void this.#dial();
  }

  /** Takes over what needs no new connection: time-outs, backoff, refresh interval, quirks that are read per use. */
  update(config: ServerConfig): void {
    const ttl = this.#config.tools.ttl_seconds;
    this.#config = config;
    this.#carrier?.transport.update(config);
    if (this.#phase.at === 'up' && ttl !== config.tools.ttl_seconds) this.#refresh.schedule(false);
  }

  send(out: Outgoing, sink: Sink): UpstreamExchange {
    const { message } = out;
    const id = this.#calls.nextId();
    const idBytes = Buffer.from(String(id), 'latin1');
    const patches: Patch[] = [...out.patches];
    if (message.idSpan) patches.push({ ...message.idSpan, bytes: idBytes });
    const token = find(message.meta, 'progressToken');
    if (token) patches.push({ start: token.start, end: token.end, bytes: idBytes });
    const call = new UpstreamCall(
      this,
      id,
      message.method,
      Buffer.from(message.id ?? 'null', 'utf8'),
      splice(message.body, patches),
      sink,
      {
        token: token && message.body.subarray(token.start, token.end),
        repeatable: out.repeatable,
        own: false,
        client: out.client,
        task: out.task,
      },
    );
    const carrier = this.#carrier;
    const limit = this.#deps.limits().in_flight;
    if (!carrier || this.#phase.at !== 'up') {
      this.#failLater(call, 'upstream_disconnected', `upstream '${this.server}' is disconnected`);
    } else if (this.#calls.size >= limit) {
      this.#failLater(
        call,
        'busy',
        `upstream '${this.server}' is busy: ${limit} calls in flight (limits.in_flight)`,
      );
    } else {
      this.#put(call, carrier);
      this.#callers.note(out.client);
      if (this.#reset) void this.#sendAfterReset(call, carrier);
      else carrier.transport.send(call);
    }
    return call;
  }

  async request(method: string, params: string | undefined): Promise<Buffer> {
    const carrier = this.#carrier;
    if (!carrier || this.#phase.at !== 'up')
      throw new GatewayError('upstream_disconnected', `upstream '${this.server}' is disconnected`);
    return (await this.#request(carrier, method, params)).value;
  }

  tell(notification: Buffer): void {
    if (this.#phase.at === 'up') this.#carrier?.transport.post(notification);
  }

  refresh(): Promise<void> {
    return this.#refresh.run();
  }

  doubt(): void {
    if (this.#phase.at === 'up') this.#refresh.now();
  }

  async subscribe(uri: string): Promise<void> {
    await this.request('resources/subscribe', JSON.stringify({ uri }));
    this.keepSubscribed(uri);
  }

  keepSubscribed(uri: string): void {
    this.#interest.keep(uri);
  }

  unsubscribe(uri: string, tell: boolean): void {
    this.#interest.drop(uri, tell);
  }

  isSubscribed(uri: string): boolean {
    return this.#interest.has(uri);
  }

  setLevel(level: LogLevel | undefined): void {
    this.#interest.setLevel(level);
  }

  /** A request whose answer changes nothing here. */
  #tell(method: string, params: object): void {
    const carrier = this.#carrier;
    if (!carrier || this.#phase.at !== 'up') return;
    this.#request(carrier, method, JSON.stringify(params)).catch((error: unknown) => {
      this.log.debug(`${method} failed`, {
        server: this.server,
        error: this.shown(asGatewayError(error, this.server)).message,
      });
    });
  }

  // CallOwner

  finished(call: UpstreamCall): void {
    if (!this.#calls.delete(call)) return;
    if (!call.own) this.#callers.note(call.client);
    const carrier = call.carrier as Carrier;
    if (--carrier.calls === 0 && carrier.retired) carrier.transport.destroy();
    if (this.#calls.size === 0) this.#drained?.();
  }

  message(bytes: Buffer, call: UpstreamCall): void {
    this.#attribute(bytes, call, (body) => call.carrier?.transport.post(body));
  }

  sessionLost(call: UpstreamCall, error: string, reason: SessionResetReason): boolean {
    const carrier = this.#carrier;
    if (!carrier || call.method === 'initialize' || this.#phase.at !== 'up') return false;
    if (call.resent) return false;
    // Asked by the reset itself: it must not wait for its own end.
    if (this.#reset && call.own && DURING_RESET.has(call.method) && call.generation === this.#generation)
      return false;
    call.resent = true;
    // Whatever else comes on the old stream belongs to nobody.
    call.channel = undefined;
    // An answer of generation n resets only while n is current.
    if (call.generation === this.#generation && !this.#reset) this.#resetSession(carrier, error, reason);
    void this.#sendAfterReset(call, carrier);
    return true;
  }

  sendCancel(call: UpstreamCall, why: Cause): void {
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
      callFor: (id) => this.#calls.get(id),
      seen: () => {
        this.stats.lastSeen = Date.now() / 1000;
      },
      reopened: () => {
        if (current() === this.#carrier) this.#listChanged();
      },
      doubt: () => {
        if (this.#phase.at === 'up' && current() === this.#carrier) this.#refresh.now();
      },
      lost: (error, more) => {
        const carrier = current();
        for (const call of this.#calls.all()) if (call.carrier === carrier) call.fail(error);
        if (this.#carrier !== undefined && this.#carrier !== carrier) return;
        this.#stderr = more?.stderr ?? '';
        this.#failed(error, more?.retryAfterMs);
      },
    };
  }

  /** Takes no new calls, lets those in flight end, at the latest after `graceMs`, then closes. */
  async drain(graceMs: number): Promise<void> {
    if (this.#phase.at === 'closed') return;
    this.#step({ type: 'drain' });
    this.#stopTimers();
    if (this.#calls.size > 0 && graceMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        this.#drained = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    await this.close();
  }

  /** Ends the session and the child politely, within `graceMs`. */
  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    const carrier = this.#carrier;
    this.#shut();
    if (carrier) {
      await carrier.transport.close(Math.min(graceMs, CLOSE_GRACE_MS));
      carrier.transport.destroy();
    }
  }

  destroy(): void {
    const carrier = this.#carrier;
    this.#shut();
    carrier?.transport.destroy();
  }

  #shut(): void {
    this.#step({ type: 'close' });
    this.#stopTimers();
    this.#life.abort(new Error('closed'));
    this.#settle();
    const error = new GatewayError(
      'upstream_disconnected',
      `upstream '${this.server}' was removed or restarted`,
    );
    for (const call of this.#calls.all()) call.fail(error);
    this.#carrier = undefined;
    this.lists = NO_LISTS;
    this.stats.inBackoff = false;
    this.stats.currentBackoffSeconds = 0;
  }

  #stopTimers(): void {
    clearTimeout(this.#timer);
    this.#refresh.stop();
  }

  #put(call: UpstreamCall, carrier: Carrier): void {
    call.generation = this.#generation;
    carrier.calls++;
    call.carrier = carrier;
    this.#calls.put(call);
  }

  #failLater(call: UpstreamCall, code: 'upstream_disconnected' | 'busy', message: string): void {
    setImmediate(() => {
      call.failWith(code, message);
    });
  }

  #step(event: LinkEvent, error?: GatewayError, retryAfterMs?: number): void {
    const { next, effects } = step(this.#phase, event, this.#config.reconnect.max_attempts);
    this.#phase = next;
    for (const effect of effects) {
      switch (effect.do) {
        case 'dial':
          void this.#dial();
          break;
        case 'disconnect':
          this.#disconnected(error as GatewayError);
          break;
        case 'wait':
          this.#wait(effect.failures, retryAfterMs);
          break;
        case 'give_up':
          this.log.error('upstream given up until a reload', { server: this.server, error: this.lastError });
          this.#deps.events.gaveUp(this, error as GatewayError);
          break;
      }
    }
  }

  async #dial(): Promise<void> {
    const { stats } = this;
    const again = this.#phase.at === 'dialing' && this.#phase.failures > 0;
    const started = performance.now();
    this.order = { seen: 'unknown' };
    let carrier: Carrier | undefined;
    try {
      const dialled = await dial(
        this.#config,
        {
          owner: this,
          events: this.#eventsOf(() => carrier),
          starts: this.#deps.starts,
          watcher: this.#deps.watcher,
          opened: (transport) => {
            carrier = { transport, calls: 0, retired: false };
          },
          request: (method, params) => this.#request(carrier as Carrier, method, params),
          clientInfo: this.#deps.clientInfo,
          capabilities: this.#declared(),
        },
        this.#life.signal,
      );
      stats.initialize.add('success');
      stats.initializeDuration.observe((performance.now() - started) / 1000);
      if (this.#life.signal.aborted) throw new Error('closed');
      this.#carrier = carrier;
      this.peer = dialled.peer;
      this.#changedLists(await this.#measuredLists(this.#carrier as Carrier));
      await this.#renewInterest(this.#carrier as Carrier);
      if (again) stats.reconnectAttempts.add('success');
      stats.healthChecks.add('success');
      this.#connected();
    } catch (error) {
      carrier?.transport.destroy();
      if (this.#carrier === carrier) this.#carrier = undefined;
      if (this.#life.signal.aborted) return;
      if (!this.peer) {
        stats.initialize.add('error');
        stats.initializeDuration.observe((performance.now() - started) / 1000);
      }
      stats.reconnectAttempts.add('error');
      stats.healthChecks.add('failure');
      const failure = asGatewayError(error, this.server);
      this.#failed(failure, retryAfterOf(failure));
    }
    this.#settle();
  }

  #connected(): void {
    const { stats } = this;
    const peer = this.peer as Peer;
    this.lastError = undefined;
    this.retryAfter = undefined;
    stats.connected = true;
    stats.era = this.era;
    stats.revision = peer.revision;
    stats.toolsCount = this.lists.tools.length;
    stats.lastSeen = Date.now() / 1000;
    this.#step({ type: 'connected' });
    this.log.info('upstream up', {
      server: this.server,
      transport: this.transportKind,
      revision: peer.revision,
      tools: this.lists.tools.length,
    });
    this.#refresh.schedule(true);
    this.#settle();
    this.#deps.events.state(this, kindsIn(this.lists));
  }

  #failed(error: GatewayError, retryAfterMs?: number): void {
    this.#step({ type: 'failed' }, error, retryAfterMs);
  }

  #disconnected(error: GatewayError): void {
    const { stats } = this;
    const wasUp = stats.connected;
    this.#stopTimers();
    const stderr = this.#stderr;
    this.#stderr = '';
    this.lastError = this.shown(error).message;
    if (stderr !== '' && this.#deps.showStderr) this.lastError += ` (stderr: ${stderr})`;
    stats.connected = false;
    stats.reconnects++;
    stats.toolsCount = 0;
    const kinds = kindsIn(this.lists);
    this.lists = NO_LISTS;
    this.peer = undefined;
    const carrier = this.#carrier;
    this.#carrier = undefined;
    if (carrier) {
      carrier.retired = true;
      if (carrier.calls === 0) carrier.transport.destroy();
    }
    this.log[wasUp ? 'warn' : 'info']('upstream down', {
      server: this.server,
      error: this.shown(error).message,
      stderr: stderr === '' ? undefined : stderr,
    });
    this.#deps.events.state(this, kinds);
  }

  #wait(failures: number, retryAfterMs: number | undefined): void {
    const { stats } = this;
    const { backoff_base_ms, backoff_max_ms } = this.#config.reconnect;
    const ms = retryAfterMs ?? backoffMs(failures, backoff_base_ms, backoff_max_ms);
    this.retryAfter = retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000);
    stats.inBackoff = true;
    stats.currentBackoffSeconds = ms / 1000;
    this.log.debug('waiting before the next attempt', { server: this.server, ms: Math.round(ms), failures });
    this.#timer = setTimeout(() => {
      stats.inBackoff = false;
      stats.currentBackoffSeconds = 0;
      stats.backoffSeconds += ms / 1000;
      this.#step({ type: 'due' });
    }, ms);
  }

  #refreshed(error: unknown): void {
    const { stats } = this;
    if (this.#phase.at !== 'up') return this.#refresh.stop();
    stats.healthChecks.add(error === undefined ? 'success' : 'failure');
    if (error === undefined) return;
    const failure = asGatewayError(error, this.server);
    this.#failed(failure, retryAfterOf(failure));
  }

  #listChanged(): void {
    if (this.#phase.at === 'up') this.#refresh.soon();
  }

  async #readLists(): Promise<void> {
    const carrier = this.#carrier;
    if (!carrier) return;
    const lists = await this.#measuredLists(carrier);
    if (this.#carrier !== carrier || this.#phase.at !== 'up') return;
    const kinds = this.#changedLists(lists);
    if (kinds.length === 0) return;
    this.log.info('lists changed', { server: this.server, lists: kinds.join(' ') });
    this.#deps.events.changed(this, kinds);
  }

  /** Takes the lists over; gives the kinds that are other ones than before. */
  #changedLists(lists: Partial<Lists>): ListKind[] {
    const kinds = LIST_KINDS.filter((kind) => !sameList(lists[kind] ?? [], this.lists[kind]));
    // Definitions that stayed the same keep their buffers: views and clients compare by bytes.
    if (kinds.length > 0) this.lists = { ...NO_LISTS, ...lists };
    this.stats.toolsCount = this.lists.tools.length;
    return kinds;
  }

  async #measuredLists(carrier: Carrier): Promise<Partial<Lists>> {
    const { stats } = this;
    const started = performance.now();
    try {
      const lists = await readLists(LIST_KINDS, {
        server: this.server,
        log: this.log,
        capabilities: this.peer?.capabilities ?? {},
        request: (method, params) => this.#request(carrier, method, params),
      });
      stats.toolsRefresh.add('success');
      stats.toolsLastRefresh = Date.now() / 1000;
      return lists;
    } catch (error) {
      stats.toolsRefresh.add('error');
      throw error;
    } finally {
      stats.toolsRefreshDuration.observe((performance.now() - started) / 1000);
    }
  }

  /** Tells a new session of the upstream what the one before it had been told. */
  async #renewInterest(carrier: Carrier): Promise<void> {
    for (const [method, params] of this.#interest.wanted()) {
      try {
        await this.#request(carrier, method, JSON.stringify(params));
      } catch (error) {
        // The server is none the worse for it.
        this.log.warn(`${method} failed after reconnecting`, {
          server: this.server,
          error: this.shown(asGatewayError(error, this.server)).message,
        });
      }
    }
  }

  /** A request of the gateway's own. Rejects with the upstream's error as a GatewayError. */
  async #request(carrier: Carrier, method: string, params: string | undefined): Promise<Collected> {
    const id = this.#calls.nextId();
    const { request_ms } = this.#config.timeouts;
    const totalMs = request_ms > 0 ? Math.min(request_ms, OWN_REQUEST_MS) : OWN_REQUEST_MS;
    const body = Buffer.from(
      `{"jsonrpc":"2.0","id":${id},"method":"${method}"${params === undefined ? '' : `,"params":${params}`}}`,
    );
    const { sink, answer } = collect(this.server, method, this.messageBytes());
    const own = new UpstreamCall(this, id, method, Buffer.from(String(id)), body, sink, {
      repeatable: true,
      own: true,
      silenceMs: 0,
      totalMs:
        method === 'initialize' && this.#config.kind === 'stdio' ? this.#config.timeouts.start_ms : totalMs,
    });
    this.#put(own, carrier);
    if (this.#reset && !DURING_RESET.has(method)) void this.#sendAfterReset(own, carrier);
    else carrier.transport.send(own);
    const cancel = (): void => {
      own.cancel('closed');
      sink.fail(new GatewayError('upstream_disconnected', 'closed'));
    };
    const { signal } = this.#life;
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await answer;
    } catch (error) {
      if (error instanceof GatewayError && own.httpStatus >= 300) throw withStatus(error, own.httpStatus);
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  #resetSession(carrier: Carrier, error: string, reason: SessionResetReason): void {
    this.stats.sessionResets.add(reason);
    this.log.info('upstream forgot the session: initializing again', { server: this.server, reason, error });
    this.#generation++;
    carrier.transport.reset();
    const run = async (): Promise<void> => {
      const started = performance.now();
      try {
        this.peer = await handshake(
          this.#config,
          carrier.transport,
          (method, params) => this.#request(carrier, method, params),
          this.#deps.clientInfo,
          this.#declared(),
        );
        this.stats.initialize.add('success');
        await this.#renewInterest(carrier);
      } catch (failure) {
        this.stats.initialize.add('error');
        throw failure;
      } finally {
        this.stats.initializeDuration.observe((performance.now() - started) / 1000);
      }
    };
    const reset = run();
    this.#reset = reset;
    reset.then(
      () => {
        this.#reset = undefined;
        this.#listChanged();
      },
      (failure: unknown) => {
        this.#reset = undefined;
        if (!this.#life.signal.aborted) this.#failed(asGatewayError(failure, this.server));
      },
    );
  }

  async #sendAfterReset(call: UpstreamCall, carrier: Carrier): Promise<void> {
    try {
      await this.#reset;
    } catch (error) {
      call.fail(asGatewayError(error, this.server));
      return;
    }
    if (call.over) return;
    call.generation = this.#generation;
    carrier.transport.send(call);
  }

  /** An error as it may be shown: without the secrets of this server. */
  shown(error: GatewayError): GatewayError {
    const message = maskSecrets(error.message, this.#secrets).slice(0, 2048);
    return message === error.message ? error : new GatewayError(error.code, message, error.data);
  }
}

function kindsIn(lists: Lists): ListKind[] {
  return LIST_KINDS.filter((kind) => lists[kind].length > 0);
}
