/**
 * The interfaces between the modules. Times are in milliseconds, sizes in bytes.
 */
import type { ErrorCode, GatewayError } from '../errors.js';
import type { ServerStats, ToolStats } from '../observe/stats.js';
import type { Patch } from '../wire/splice.js';
import type { FixedArguments } from './fixed-arguments.js';
import type { Message } from './message.js';
import type { PeerLink } from './peer-clients.js';
import type { PassedValues, Principal } from './principal.js';
import type { Era } from './revisions.js';
import type { Finder } from './finder.js';
import type { Definition, ListKind, Lists } from './lists.js';
import type { NameKind, Verdict } from './rules.js';
import type { Cause, Notice, Question, Refusal, Sink } from './sink.js';

export type { Denied, PassedValues, Principal, PrincipalKind, Shown } from './principal.js';
export type { AnswerHead, Cause, Notice, Question, Refusal, Seen, Sink, StreamTarget } from './sink.js';
export { NOBODY_TO_ASK, READS_NOTHING } from './sink.js';
export type { Checked, Guard, Holds, NameKind, Rules, Verdict } from './rules.js';

/** The handle of a call in flight. */
export interface Exchange {
  /** Continues after a `write` or `notify` that returned false. */
  resume(): void;
  /** Cancels the call at its server. The sink gets nothing more. */
  cancel(why: Cause): void;
}

/** The handle of a call in flight on a link. */
export interface UpstreamExchange extends Exchange {
  /**
   * Redirects what follows to another request: its raw id and the JSON of its progress token. An answer that has started keeps its id.
   */
  readdress(rawId: Buffer, token: Buffer | undefined): void;
  /** Nobody waits for the answer at the moment: pauses the inactivity time-out. */
  parked(on: boolean): void;
}

/**
 * Changes a complete result, mostly at its two ends: the part between is not read. Both functions get the bytes as the server sent them and
 * an offset, and return patches.
 */
export interface AnswerEdit {
  /** `value`: offset of `result`, which is an object; its leading scalar members and `_meta` are available. */
  head(bytes: Buffer, value: number): readonly Patch[];
  /** `brace`: offset of the closing brace of `result`. `from`: nothing before this offset may be changed. */
  tail?(bytes: Buffer, brace: number, from: number): readonly Patch[];
  /** Wraps a `structuredContent` that is not an object in one, under `result`. What follows it is buffered. */
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
  /** undefined: it passes on nothing. */
  readonly passed?: PassedValues | undefined;
  /** Another replica sends its requests over a link of its own: the era of the client there. undefined: no other replica speaks for it. */
  readonly peerEra?: Era | undefined;
  /** It has read the page of an app, so it shows apps, whatever it declared. */
  readonly apps?: boolean | undefined;
  /** What it may see and use. */
  readonly view: View;
}

/** One request for a server, in the bytes of its caller. */
export interface Outgoing {
  readonly message: Message;
  /** Changes to the message. The link itself replaces the id and the progress token. */
  readonly patches: readonly Patch[];
  /** Idempotent: it may be sent again if a stale socket lost it. */
  readonly repeatable: boolean;
  /** It uses up a yes: an answer, whatever it says, is not followed by a second request. */
  readonly once?: boolean | undefined;
  /** See Caller.client. */
  readonly client: string;
  /** See Caller.alone. */
  readonly alone: boolean;
  /** The task whose result is requested: the server's requests about it belong to this call. */
  readonly task: string | undefined;
  /** Headers of this request for a modern server over HTTP: names in lower case and values, a flat list. */
  readonly headers?: readonly string[] | undefined;
  readonly edit?: AnswerEdit | undefined;
  /** The server may be silent for any time. */
  readonly quiet?: boolean | undefined;
  /** The trace of a sampled call, told of each request to a server: returns its `traceparent`, and the sink that gets the answer. */
  readonly trace?: ((transport: 'tcp' | 'pipe', sink: Sink) => readonly [string, Sink]) | undefined;
}

/** `login_required`: it waits until somebody has logged in to the server. */
export type LinkState = 'starting' | 'connecting' | 'up' | 'backoff' | 'login_required' | 'draining' | 'down';

/** A state change of a link. */
export interface LinkTransition {
  /** Unix milliseconds. */
  readonly time: number;
  readonly state: LinkState;
  /** Why the link is not up, without secrets; undefined: no failure. */
  readonly cause: string | undefined;
}

/** What a server said at its handshake, or in its answer to server/discover. */
export interface Peer {
  readonly era: Era;
  readonly revision: string;
  /** JSON of `capabilities`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of `serverInfo` as received. */
  readonly serverInfo: Buffer;
  readonly instructions: string | undefined;
}

/** Lists by set of capabilities. */
export interface ListsByCapability {
  /** The lists for a set, or the full lists if they were not read. */
  get(key: string): Lists;
  /** Reads them. undefined: nothing to read. Resolves when they were read, or reading failed; never rejects. */
  fill(key: string, capabilities: Readonly<Record<string, unknown>>): Promise<void> | undefined;
}

/** How long a result is fresh, and for whom (2026-07-28, server/utilities/caching). */
export interface Freshness {
  /** Monotonic time: performance.now(). */
  readonly until: number;
  readonly scope: 'public' | 'private';
}

/** The connection to one server, for calls and lists. It exists until a reload changes its configuration, and reconnects by itself. */
export interface Link {
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
  /**
   * The link is down and still has its last lists: resolves when it is up again, or drops them. It connects after a login: resolves when that
   * attempt has ended. undefined: neither is so.
   */
  readonly reconnecting?: Promise<void> | undefined;
  /** The last failure, without secrets; undefined while up. */
  readonly lastError: string | undefined;
  /** Why somebody has to log in to the server first: `never`, `revoked`, `scopes`, `issuer_changed`, `unreadable`; undefined: nobody has. */
  readonly login?: string | undefined;
  /** Seconds until a new attempt is worthwhile, if the server named them. */
  readonly retryAfter: number | undefined;
  /** undefined before the first handshake, and once the lists were dropped after a disconnect. */
  readonly peer: Peer | undefined;
  /** While the link reconnects, the last lists, for a limited time. */
  readonly lists: Lists;
  /** The lists before they were dropped, until they are read again: their names stay taken. undefined: `lists` are the last ones. */
  readonly lastLists?: Lists | undefined;
  /** What it said about itself before it was away for long; undefined: it is not. */
  readonly lastPeer?: Peer | undefined;
  /** Schemes of extensions whose URIs its answers may hold (protocol/extensions): `ui`, `skill`. */
  readonly schemes: readonly string[];
  /** The lists for clients with fewer capabilities; undefined: all clients get the same. */
  readonly listsFor: ListsByCapability | undefined;
  /** The lists are from an earlier run, read then (Unix milliseconds); undefined: they are from this one. */
  readonly keptSince?: number | undefined;
  /** How long `lists` and `peer` are fresh, and for whom: by the hints of the server, or by the refresh interval. */
  readonly freshness: Freshness;
  readonly stats: ServerStats;
  /** Another replica runs the server, and the link is to it; undefined: the link is to the server. */
  readonly peerLink?: PeerLink | undefined;
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
  /** The code of `lastError`. */
  readonly lastCode: ErrorCode | undefined;
  /** The last state changes of the server, oldest first, also on the links that this one replaced. */
  readonly history: readonly LinkTransition[];
  /** The last lines that a child wrote to stderr, without secrets. */
  readonly stderr: readonly string[];
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

/** A link to a server, as catalogs and views hand it out. */
export interface ServerLink extends Link, LinkInterest {}

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

/** A call in flight that can get notifications. */
export interface NotifiedCall {
  /** See Caller.client. */
  readonly client: string;
  /** It has ended. */
  readonly over: boolean;
  notify(notice: Notice): void;
}

/** Events of a link. */
export interface LinkEvents {
  /** The link went up or down. `kinds`: the lists that changed with it. */
  state(link: Link, kinds: readonly ListKind[]): void;
  /** Lists of the server changed. */
  changed(link: Link, kinds: readonly ListKind[]): void;
  /** `notifications/resources/updated` for `uri`. */
  updated(link: Link, uri: string, notice: Notice): void;
  /** `notifications/elicitation/complete`. `call`: the call on whose stream it arrived. */
  elicited(link: Link, elicitationId: string, notice: Notice, call: NotifiedCall | undefined): void;
  /** `notifications/tasks/status`, or `notifications/tasks` of a modern server. */
  taskStatus(link: Link, taskId: string, notice: Notice): void;
  /** A log message without a call, on a link that only `client` used recently. */
  logged(link: Link, client: string, notice: Notice): void;
  /** A notification without a call, on a link of one client. */
  other(link: Link, notice: Notice): void;
  /** A request without a call, on a link of one client. undefined: sent to the client. */
  asked(link: Link, question: Question): Refusal | undefined;
  /** The link gives up. */
  gaveUp(link: Link, error: GatewayError): void;
}

/** What a name leads to: a tool, prompt, resource or task of a server. */
export interface Target {
  readonly link: ServerLink;
  /** The server's own name or URI. */
  readonly name: string;
  /** JSON of `name`, to replace the caller's name; undefined: they are equal. */
  readonly patch: Buffer | undefined;
  /** The metrics label `tool`: the name if it is listed, otherwise `unknown`. */
  readonly label: string;
  readonly repeatable: boolean;
  /** Its definition; undefined: not listed. */
  readonly definition: Definition | undefined;
  /** Arguments with fixed values, which replace those of the caller; undefined: none. */
  readonly fixed?: FixedArguments | undefined;
  /** Set at the first call. */
  stats: ToolStats | undefined;
}

/** What one server contributes to a list. */
export interface ListPart {
  readonly link: ServerLink;
  /** The same array until the list changes. */
  readonly definitions: readonly Definition[];
  /** By their name in the view, in list order. */
  readonly names: ReadonlyMap<string, Definition>;
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
  /** Finds the tools that the view does not list; undefined: it lists all. */
  readonly finder?: Finder;
  /** undefined: nothing to wait for. Else resolves when the server of `name`, or all servers, had a first chance to connect. */
  ready(
    name: { readonly kind: NameKind; readonly name: string } | undefined,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  /** undefined: unknown, hidden, or not clear which server has it. `pages`: servers whose pages the client has read. */
  find(kind: NameKind, name: string, pages?: ReadonlySet<string>): Target | undefined;
  /** Why it is not clear which server has a name; undefined: it is. */
  conflict(kind: NameKind, name: string, pages?: ReadonlySet<string>): GatewayError | undefined;
  /** The `result` of a list as clients of an era read it. */
  list(kind: ListKind, era: Era): ListBytes;
  /** The definitions of a list, by server. */
  parts(kind: ListKind): readonly ListPart[];
  /** Renders large lists with pauses for other work, so that `list` has little left to do. undefined: nothing to wait for. */
  prepare(kind: ListKind, era: Era): Promise<void> | undefined;
  /** How fresh the lists of this view are: as fresh as the stalest server. */
  freshness(): Freshness;
  /** What the rules say about a target of this view; undefined: there are no rules. */
  verdict(kind: NameKind, target: Target): Verdict | undefined;
  /** Whether a name of a server may be used, whatever it is called in this view. */
  allows(server: string, kind: NameKind, name: string): boolean;
  /** The name of a URI of `server` in this view; undefined: it is hidden. */
  uriOf(server: string, uri: string): string | undefined;
  /** Links to the servers that this view shows, hidden ones left out. */
  links(): readonly ServerLink[];
  /** Whether a server of this name is hidden, whether or not it exists. */
  hides(server: string): boolean;
  /** The server that methods unknown to the gateway go to, which it must show whole; an error: it is not clear which one. */
  unknown(method: string): ServerLink | GatewayError | undefined;
  /** `capabilities`, `serverInfo` and `instructions` of the answer to initialize, as JSON members. */
  greeting(): string;
  /** `capabilities` and `instructions` of the answer to server/discover, as JSON members. */
  discovery(): string;
  /** JSON of `serverInfo`: the server of the route, or the gateway. */
  serverInfo(): string;
}
