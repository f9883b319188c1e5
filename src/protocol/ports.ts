/**
 * The arrows between the rooms: every interface that crosses from one to another. Times are milliseconds, sizes bytes.
 */
import type { GatewayError } from '../errors.js';
import type { ServerStats, ToolStats } from '../observe/stats.js';
import type { Patch } from '../wire/splice.js';
import type { Message } from './message.js';
import type { Era } from './revisions.js';
import type { Definition, ListKind, Lists } from './lists.js';

/** Who is calling. Every piece of state remembers it, and answers another one as if it did not exist. */
export interface Principal {
  readonly id: 'anonymous' | 'bearer' | 'local';
  readonly scopes: readonly string[];
  /** Fingerprint of the credential shown; empty for none. Only for ending what it opened once it is withdrawn. */
  readonly credential: string;
}

/** A challenge in place of a principal: the HTTP status and the value of WWW-Authenticate. */
export interface Denied {
  readonly status: 401 | 403;
  readonly challenge: string;
}

/** Why something ended, as a short text for people and logs: `client gone`, `cancelled by the client`. */
export type Cause = string;

/** A notification on its way to a client; `bytes` is the whole message. */
export interface Notice {
  readonly method: string;
  readonly bytes: Buffer;
}

/** The member of `_meta` that names the task a message belongs to (2025-11-25, basic/utilities/tasks). */
export const RELATED_TASK = 'io.modelcontextprotocol/related-task';

/** A JSON-RPC error in place of an answer. */
export interface Refusal {
  readonly code: number;
  readonly message: string;
}

/** The answer of a sink that cannot ask. */
export const NOBODY_TO_ASK: Refusal = { code: -32603, message: 'the client of this call cannot be asked' };
/** The answer of a sink with too much before a question that its client has not read. */
export const READS_NOTHING: Refusal = {
  code: -32603,
  message: 'the client of this call does not read its stream',
};

/** A request of an upstream to the client of a call. Answered, refused or withdrawn once; what comes later is dropped. */
export interface Question {
  readonly method: string;
  /** The whole message. */
  readonly bytes: Buffer;
  /** JSON of its progress token; undefined: it wants no progress. */
  readonly token: Buffer | undefined;
  /** `value`: the bytes of `result` or `error`. */
  answer(kind: 'result' | 'error', value: Buffer): void;
  refuse(refusal: Refusal): void;
  /** A progress notification about it, under its own token. */
  progress(bytes: Buffer): void;
}

export interface AnswerHead {
  readonly kind: 'result' | 'error';
  /** Of a result of a modern upstream that is held whole and is not `complete`: `input_required`, `task`, an extension's. */
  readonly resultType?: string | undefined;
  /** Length of the whole message if it is known in advance (Content-Length). */
  readonly bytes: number | undefined;
  /** Offset of the first byte of `result` or `error` in the first chunk. */
  readonly value: number;
  /** Always set for an error: those are held whole and parsed before `start`. */
  readonly code: number | undefined;
}

/** What the end of an answer showed. */
export interface Seen {
  /** The tool reported a failure of its own in its result. */
  readonly isError: boolean;
}

/**
 * Where an answer goes. Order: (notify | ask)*, then start write* end, or fail; nothing after cancel. Chunks are the whole
 * JSON-RPC message with the caller's raw id already in it; they belong to the sink once given.
 */
export interface Sink {
  /** A notification of this call. false: stop reading until `exchange.resume()`. */
  notify(notice: Notice): boolean;
  /** A question of this call. undefined: it was asked; else the upstream gets this error at once. */
  ask(question: Question): Refusal | undefined;
  /** How long the upstream wants its client to wait before it comes back to the stream of this call, in ms. */
  retryIn?(ms: number): void;
  /** The upstream took a question back. */
  withdraw?(question: Question): void;
  start(head: AnswerHead): void;
  /** false: stop reading until `exchange.resume()`. */
  write(chunk: Buffer): boolean;
  end(seen: Seen): void;
  /** The call was cancelled by somebody else than this sink's owner: no answer will come. */
  cancelled(why: Cause): void;
  /** Before `start`: an error answer. After it: the answer is cut, so that nobody takes it for a whole one. */
  fail(error: GatewayError): void;
}

/** One event stream on its way to a client. false: it reads slowly; `drained` is called when it can take more. */
export interface StreamTarget {
  drained: () => void;
  /** Bytes that wait for the client to read. */
  readonly backlog: number;
  /** The first event of a stream that can be come back to: it carries an id and no message. */
  prime(id: string): void;
  /** How long its client is to wait before it comes back, in ms. */
  retryIn(ms: number): void;
  event(message: Buffer, id: string | undefined): boolean;
  /** A message too large to be held: begin, chunk*, finish. */
  begin(id: string | undefined): void;
  chunk(bytes: Buffer): boolean;
  finish(): void;
  /** The end of the stream; a message that was begun is not taken for a whole one. `last`: one more event before it. */
  end(last?: Buffer, id?: string): void;
  /** Closes the connection. */
  destroy(): void;
}

/** The handle of one call under way. */
export interface Exchange {
  /** The sink can take more after a `write` or `notify` that returned false. */
  resume(): void;
  /** Ends the call; the upstream hears of it. The sink hears nothing more. */
  cancel(why: Cause): void;
}

/** A call of an upstream under way, as its link hands it out. */
export interface UpstreamExchange extends Exchange {
  /**
   * What still comes of the call goes to another request: its raw id and the JSON of its progress token. An answer that has begun keeps the
   * id it began with.
   */
  readdress(rawId: Buffer, token: Buffer | undefined): void;
  /** Nobody waits for the answer at the moment: the silence clock stands still. */
  parked(on: boolean): void;
}

/**
 * What is changed in a complete result, mostly at its two ends alone: what stands between them is not looked at. Both get the bytes as the
 * upstream sent them and the place of something in them; both give back what is to be replaced.
 */
export interface AnswerEdit {
  /** `value`: offset of the first byte of `result`, which is an object; its leading scalar members, and a `_meta` among them, are there. */
  head(bytes: Buffer, value: number): readonly Patch[];
  /** `brace`: offset of the brace that closes `result`; `from`: nothing before this offset may be touched. */
  tail?(bytes: Buffer, brace: number, from: number): readonly Patch[];
  /** A `structuredContent` that is no object is put into one, under `result`. What follows it is held then. */
  readonly wraps?: boolean;
}

/** The client of one request: what it speaks, and what it can be asked. */
export interface Caller {
  readonly principal: Principal;
  /** Equal for calls of one client. Decides whose is what an upstream says on a channel that many share. */
  readonly client: string;
  readonly era: Era;
  readonly revision: string;
  /** JSON of the capabilities it declared: with this request, or at `initialize`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of its `clientInfo`; undefined: it did not say. */
  readonly clientInfo: string | undefined;
  /** Of this request, or of its session; undefined: a modern client wants no log messages, a legacy one what there is. */
  readonly level: LogLevel | undefined;
}

/** One request for an upstream, in the bytes of its caller. */
export interface Outgoing {
  readonly message: Message;
  /** What is replaced in the message beside the id and the progress token, which the link replaces. */
  readonly patches: readonly Patch[];
  /** Running it twice does no harm: it may be sent again when a stale socket lost it. */
  readonly repeatable: boolean;
  /** Who calls: equal for calls of one client. Decides whose is what an upstream says on a channel that many share. */
  readonly client: string;
  /** That client has a session, or a stream, of its own: nobody else is taken for it. */
  readonly alone: boolean;
  /** The task whose result is asked for: what the upstream asks about it belongs to this call. */
  readonly task: string | undefined;
  /** Header lines of this request alone, for a modern upstream over HTTP: names in lower case and values, a flat list. */
  readonly headers?: readonly string[] | undefined;
  readonly edit?: AnswerEdit | undefined;
}

export type LinkState = 'starting' | 'connecting' | 'up' | 'backoff' | 'draining' | 'down';

/** What an upstream told of itself at its handshake, or in its answer to server/discover. */
export interface Peer {
  readonly era: Era;
  readonly revision: string;
  /** JSON of `capabilities`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of `serverInfo` as it came. */
  readonly serverInfo: Buffer;
  readonly instructions: string | undefined;
}

/** By a key of the set of capabilities. */
export interface ListsByCapability {
  /** As far as they were read: else the list of all. */
  get(key: string): Lists;
  /** undefined: there is nothing to read. Else resolves when they are read, or cannot be; never rejects. */
  fill(key: string, capabilities: Readonly<Record<string, unknown>>): Promise<void> | undefined;
}

/** How long something may be taken for fresh, and whether everybody gets the same (2026-07-28, server/utilities/caching). */
export interface Freshness {
  /** On the monotonic clock: performance.now(). */
  readonly until: number;
  readonly scope: 'public' | 'private';
}

/** The connection to one server as calls and lists need it. It exists until a reload changes the configuration, and reconnects by itself. */
export interface Link extends LinkInterest {
  readonly server: string;
  /** Unique among all links: the server, and the client where the link belongs to one. */
  readonly key: string;
  /** Whether several clients use it. */
  readonly shared: boolean;
  /** `legacy` as long as it is not known. */
  readonly era: Era;
  readonly state: LinkState;
  /** Whether the first attempt to connect is still running. */
  readonly firstConnect: boolean;
  /** Resolves when the first attempt has ended, either way; never rejects. */
  readonly settled: Promise<void>;
  /** How long a call waits for the first connect, in ms; undefined: startup.wait_ms. */
  readonly waitMs?: number | undefined;
  /** The link is down and still has its last lists: resolves when it is up again, or drops them. undefined: that is not so. */
  readonly reconnecting?: Promise<void> | undefined;
  /** The last failure, without secrets; undefined while up. */
  readonly lastError: string | undefined;
  /** Seconds until a new attempt is worthwhile, if the server named them. */
  readonly retryAfter: number | undefined;
  /** undefined before the first handshake, and once the lists were dropped after a disconnect. */
  readonly peer: Peer | undefined;
  /** While the link reconnects, the last lists, for a limited time. */
  readonly lists: Lists;
  /** The lists for clients with fewer capabilities; undefined: all clients get the same. */
  readonly listsFor: ListsByCapability | undefined;
  /** The lists are from an earlier run, read then (Unix milliseconds); undefined: they are from this one. */
  readonly keptSince?: number | undefined;
  /** How long `lists` and `peer` are fresh, and for whom: by the hints of the server, or by the refresh interval. */
  readonly freshness: Freshness;
  readonly stats: ServerStats;
  /** Milliseconds; 0: no limit. */
  readonly timeouts: { readonly request_ms: number; readonly total_ms: number };
  /** timeouts.input_ms: how long a client has to answer a question; 0: no limit. */
  readonly inputMs: number;
  /** Sends a request of a client. Calls no method of the sink before it has returned. */
  send(out: Outgoing, sink: Sink): UpstreamExchange;
  /** Sends a request of the gateway itself. Resolves with the bytes of `result`; rejects with a GatewayError. */
  request(method: string, params: string | undefined): Promise<Buffer>;
  /**
   * Reads a list whose capability the server does not declare, once per connection; if there is one, the capability counts as declared.
   * undefined: there is nothing to read. Never rejects.
   */
  undeclared?(kind: ListKind): Promise<void> | undefined;
  /** Reads the lists now. Rejects with a GatewayError. */
  refresh(): Promise<void>;
  /** Reports that the server does not answer as one of its era does: the link finds out its era and revision again. */
  doubt(): void;
}

/** What clients want to be notified of by the server of a link. */
export interface LinkInterest {
  /** Subscribes to a resource, now and after each reconnect. Rejects with a GatewayError if the server does not grant that. */
  subscribe(uri: string): Promise<void>;
  /** Renews a subscription after each reconnect that the server has granted already. */
  keepSubscribed(uri: string): void;
  isSubscribed(uri: string): boolean;
  /** `tell`: the server still has the subscription. */
  unsubscribe(uri: string, tell: boolean): void;
  /** Subscribes to the status of a task, until `unwatchTask`. Rejects with a GatewayError if the server does not grant that. */
  watchTask(id: string): Promise<void>;
  unwatchTask(id: string): void;
  /** The lowest level of log messages that the server is to send, now and after each reconnect; undefined: its own choice. */
  setLevel(level: LogLevel | undefined): void;
  /** Forwards a notification of the one client that the link belongs to. */
  tell(notification: Buffer): void;
}

/** The life of a link, for what makes it and shows it to operators. `Config`: the configuration of a server. */
export interface LinkAdmin<Config> {
  readonly config: Config;
  /** What it is connected by; undefined: it is not connected. */
  readonly transportKind: 'streamable' | 'sse' | 'stdio' | undefined;
  /** Calls in flight, parked ones among them. */
  readonly inFlight: number;
  /** Lists whose last reading failed, and why, without secrets: they are older ones. */
  readonly staleLists: ReadonlyMap<ListKind, string>;
  /** Begins the first attempt to connect. */
  start(): void;
  /** Applies configuration that needs no new connection. */
  update(config: Config): void;
  /** Takes over the subscriptions of the link that this one replaces, and its lists until this one has read them. */
  inherit(old: LinkAdmin<Config>): void;
  /** Takes no new calls, waits until those in flight have ended or `graceMs` have passed, then closes. */
  drain(graceMs: number): Promise<void>;
  /** Ends the session or the process, within `graceMs`. */
  close(graceMs?: number): Promise<void>;
  /** Drops all connections and processes now. */
  destroy(): void;
}

/** Least severe first (2025-11-25, server/utilities/logging). */
export const LOG_LEVELS = [
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A call under way, for what a server says on its stream. */
export interface NotifiedCall {
  /** Who calls: see Outgoing. */
  readonly client: string;
  /** Nobody reads its stream any more. */
  readonly over: boolean;
  notify(notice: Notice): void;
}

/** What a link tells the gateway. */
export interface LinkEvents {
  /** It went up or down; `kinds`: the lists that came or went with it. */
  state(link: Link, kinds: readonly ListKind[]): void;
  /** These lists of it are other ones. */
  changed(link: Link, kinds: readonly ListKind[]): void;
  /** `notifications/resources/updated` for `uri`. */
  updated(link: Link, uri: string, notice: Notice): void;
  /** `notifications/elicitation/complete`: the client has done what it was asked to do at a URL. `call`: on whose stream it came. */
  elicited(link: Link, elicitationId: string, notice: Notice, call: NotifiedCall | undefined): void;
  /** `notifications/tasks/status`, or `notifications/tasks` of a modern upstream. */
  taskStatus(link: Link, taskId: string, notice: Notice): void;
  /** A log message that belongs to no call, on a link that only `client` used lately. */
  logged(client: string, notice: Notice): void;
  /** What belongs to no call, on a link that is one client's own. */
  other(link: Link, notice: Notice): void;
  /** A question that belongs to no call, on a link that is one client's own. undefined: asked. */
  asked(link: Link, question: Question): Refusal | undefined;
  /** It stays down for good. */
  gaveUp(link: Link, error: GatewayError): void;
}

/** What a name of a view stands for. */
export type NameKind = 'tool' | 'prompt' | 'resource' | 'task';

/** A tool, prompt or resource as one caller may use it. */
export interface Target {
  readonly link: Link;
  /** The upstream's own name or URI. */
  readonly name: string;
  /** JSON of `name`; undefined: the same bytes as the caller's. */
  readonly patch: Buffer | undefined;
  /** The tool label of its metrics: its own name if the catalog has it, else `unknown`. */
  readonly label: string;
  readonly repeatable: boolean;
  /** As its server lists it; undefined: it does not, or not now. */
  readonly definition: Definition | undefined;
  /** Filled at the first call, then kept. */
  stats: ToolStats | undefined;
}

/** What the holder of a route may see and use. */
export interface View {
  /** undefined: there is nothing to wait for. Else resolves when `name`'s server, or all, had their first chance. */
  ready(
    name: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  /** undefined: nobody here has it, or nobody can tell whose it is. */
  find(kind: NameKind, name: string): Target | undefined;
  /** Why nobody can tell whose this is; undefined: it is not so. */
  conflict(kind: NameKind, name: string): GatewayError | undefined;
  /** The `result` of a list as clients of an era can read it, built once per change of the catalog. */
  list(kind: ListKind, era: Era): Buffer;
  /** How fresh the lists of this view are: as the stalest of its parts. */
  freshness(): Freshness;
  /** How a URI of `server` reads in this view. */
  uriOf(server: string, uri: string): string;
  /** The links whose upstreams this view shows. */
  links(): readonly Link[];
  /** `capabilities`, `serverInfo` and `instructions` of the answer to initialize, as JSON members. */
  greeting(): string;
  /** `capabilities` and `instructions` of the answer to server/discover, as JSON members. */
  discovery(): string;
  /** JSON of who answers here: the server of the route, or the gateway. */
  serverInfo(): string;
}
