/**
 * The arrows between the rooms: every interface that crosses from one to another. Times are milliseconds, sizes bytes.
 */
import type { GatewayError } from '../errors.js';
import type { AuthFailureReason, ServerStats, ToolStats } from '../observe/stats.js';
import type { Patch } from '../wire/splice.js';
import type { Message } from './message.js';
import type { Era } from './revisions.js';
import type { Definition, ListKind, Lists } from './lists.js';

/** Who asks. State belongs to a principal's `id`; for every other principal it does not exist. */
export interface Principal {
  /** Unique among all kinds of principals. */
  readonly id: string;
  readonly kind: PrincipalKind;
  /** For people. */
  readonly name: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  /** Further facts that its issuer vouches for. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Fingerprint of the credential shown; empty: none. What it opened ends when it is withdrawn. */
  readonly credential: string;
  /** Unix time in milliseconds; undefined: never. */
  readonly expires: number | undefined;
}

export type PrincipalKind = 'anonymous' | 'local' | 'bearer';

/** What a request shows of its sender. An IncomingMessage is one. */
export interface Shown {
  /** In lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>> & {
    readonly authorization?: string | undefined;
  };
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** A refusal in place of a principal. */
export interface Denied {
  readonly status: 401;
  /** Value of WWW-Authenticate for the route that was asked for. */
  readonly challenge: string;
  readonly reason: AuthFailureReason;
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

/** The client of a request. Made for each request of a modern client, and once for each session of a legacy one. */
export interface Caller {
  readonly principal: Principal;
  /** Equal for calls of one client; messages of an upstream on a shared stream are attributed by it. */
  readonly client: string;
  /** No other client can have the same `client`. */
  readonly alone: boolean;
  readonly era: Era;
  readonly revision: string;
  /** JSON of the capabilities that it declared with this request or at `initialize`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of its `clientInfo`; undefined: not given. */
  readonly clientInfo: string | undefined;
  /** Least severe log messages it wants. undefined: none in the modern era, all in the legacy era. */
  readonly level: LogLevel | undefined;
  /** What it may see and use. */
  readonly view: View;
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

/** The connection to one upstream, for as long as its configuration stands: it reconnects by itself. */
export interface Link {
  readonly server: string;
  /** Unlike any other link's: the server, and the client where it is that client's own. */
  readonly key: string;
  /** Whether its clients are all that see its server. */
  readonly shared: boolean;
  /** Of the upstream, as far as it is known: `legacy` before that. */
  readonly era: Era;
  readonly state: LinkState;
  /** Whether its first attempt to connect is still running. */
  readonly firstConnect: boolean;
  /** What it lists is from an earlier run, read then (as Date.now() has it): it has not told yet what it lists now. */
  readonly keptSince?: number | undefined;
  /** How long a call waits for its first connect, in ms; undefined: startup.wait_ms. */
  readonly waitMs?: number | undefined;
  /** It fell, and its last lists still stand: resolves when it is up again, or stays away. undefined: it did not. */
  readonly reconnecting?: Promise<void> | undefined;
  readonly stats: ServerStats;
  /** The last failure, for people; undefined while up. Holds no secret. */
  readonly lastError: string | undefined;
  /** timeouts.input_ms: how long a client has for an answer; 0: no limit. */
  readonly inputMs: number;
  /** Milliseconds; 0: no limit. */
  readonly timeouts: { readonly request_ms: number; readonly total_ms: number };
  /** Seconds until it is worth trying again, where the upstream named them. */
  readonly retryAfter: number | undefined;
  /** undefined before the first handshake, and once its last lists are gone after a disconnect. */
  readonly peer: Peer | undefined;
  /** What it lists; while it reconnects what it listed last, for a while. */
  readonly lists: Lists;
  /** What it lists for clients that can do less than all; undefined: the same. */
  readonly listsFor: ListsByCapability | undefined;
  /** How long what it lists (and says of itself) is fresh, and for whom: from its own hints, or from the refresh interval. */
  readonly freshness: Freshness;
  /** Resolves when the first attempt ended, either way; never rejects. */
  readonly settled: Promise<void>;
  /** The sink is never called before `send` has returned. */
  send(out: Outgoing, sink: Sink): UpstreamExchange;
  /**
   * Asks for a list that the upstream does not declare, once a connection; what it has then counts as declared. undefined: there is
   * nothing to ask. Never rejects.
   */
  undeclared?(kind: ListKind): Promise<void> | undefined;
  /** Reads the lists now. Rejects when that fails. */
  refresh(): Promise<void>;
  /** What was known of its era and revision proved wrong: finds them out again. */
  doubt(): void;
  /**
   * Asks the upstream to tell of updates of `uri`, now and after each reconnect. Rejects with a GatewayError where it does not grant that.
   */
  subscribe(uri: string): Promise<void>;
  /** A subscription that the upstream granted: it is renewed after each reconnect. */
  keepSubscribed(uri: string): void;
  isSubscribed(uri: string): boolean;
  /** `tell`: the upstream has not heard of it yet. */
  unsubscribe(uri: string, tell: boolean): void;
  /** Asks the upstream to tell how a task stands, until `unwatchTask`. Rejects with a GatewayError where it does not grant that. */
  watchTask(id: string): Promise<void>;
  unwatchTask(id: string): void;
  /** A request of the gateway's own: the bytes of its `result`. Rejects with the upstream's error. */
  request(method: string, params: string | undefined): Promise<Buffer>;
  /** A notification of the client whose own link this is. */
  tell(notification: Buffer): void;
  /** The level of log messages it is to send, now and after each reconnect; undefined: its own choice. */
  setLevel(level: LogLevel | undefined): void;
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

/** The `result` of a list, in parts. */
export interface ListBytes {
  readonly parts: readonly Buffer[];
  /** Of all parts together. */
  readonly bytes: number;
  /** Equal digests: equal lists. */
  readonly digest: string;
}

/** What a caller may see and use of a route. Nothing else leads to a server. */
export interface View {
  /** undefined: nothing to wait for. Else resolves when the server of `name`, or all servers, had a first chance to connect. */
  ready(
    name: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  /** undefined: unknown, hidden, or not clear which server has it. */
  find(kind: NameKind, name: string): Target | undefined;
  /** Why it is not clear which server has a name; undefined: it is. */
  conflict(kind: NameKind, name: string): GatewayError | undefined;
  /** The `result` of a list as clients of an era read it. */
  list(kind: ListKind, era: Era): ListBytes;
  /** Renders large lists with pauses for other work, so that `list` has little left to do. undefined: nothing to wait for. */
  prepare(kind: ListKind, era: Era): Promise<void> | undefined;
  /** How fresh the lists of this view are: as fresh as the stalest server. */
  freshness(): Freshness;
  /** The name of a URI of `server` in this view. */
  uriOf(server: string, uri: string): string;
  /** Links to the servers that this view shows, hidden ones left out. */
  links(): readonly Link[];
  /** Whether a server of this name is hidden, whether or not it exists. */
  hides(server: string): boolean;
  /** The one connected server that declares extensions and is shown whole: unknown methods go to it. */
  extended(): Link | undefined;
  /** `capabilities`, `serverInfo` and `instructions` of the answer to initialize, as JSON members. */
  greeting(): string;
  /** `capabilities` and `instructions` of the answer to server/discover, as JSON members. */
  discovery(): string;
  /** JSON of `serverInfo`: the server of the route, or the gateway. */
  serverInfo(): string;
}
