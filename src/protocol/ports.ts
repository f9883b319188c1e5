/**
 * The arrows between the rooms: every interface that crosses from one to another. Times are milliseconds, sizes bytes.
 */
import type { GatewayError } from '../errors.js';
import type { ServerStats, ToolStats } from '../observe/stats.js';
import type { Patch } from '../wire/splice.js';
import type { Message } from './message.js';
import type { Era } from './revisions.js';
import type { ListKind, Lists } from './lists.js';

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
  prime(id: string, retryMs: number): void;
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

/** One request for an upstream, in the bytes of its caller. */
export interface Outgoing {
  readonly message: Message;
  /** What is replaced in the message beside the id and the progress token, which the link replaces. */
  readonly patches: readonly Patch[];
  /** Running it twice does no harm: it may be sent again when a stale socket lost it. */
  readonly repeatable: boolean;
  /** Who calls: equal for calls of one client. Decides whose is what an upstream says on a channel that many share. */
  readonly client: string;
  /** The task whose result is asked for: what the upstream asks about it belongs to this call. */
  readonly task: string | undefined;
}

export type LinkState = 'starting' | 'connecting' | 'up' | 'backoff' | 'draining' | 'down';

/** What an upstream told of itself at its handshake. */
export interface Peer {
  readonly revision: string;
  /** JSON of `capabilities`. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** JSON of `serverInfo` as it came. */
  readonly serverInfo: Buffer;
  readonly instructions: string | undefined;
}

/** The connection to one upstream, for as long as its configuration stands: it reconnects by itself. */
export interface Link {
  readonly server: string;
  /** Unlike any other link's: the server, and the client where it is that client's own. */
  readonly key: string;
  readonly era: Era;
  readonly state: LinkState;
  /** Whether its first attempt to connect is still running. */
  readonly firstConnect: boolean;
  readonly stats: ServerStats;
  /** The last failure, for people; undefined while up. Holds no secret. */
  readonly lastError: string | undefined;
  /** timeouts.input_ms: how long a client has for an answer; 0: no limit. */
  readonly inputMs: number;
  /** Seconds until it is worth trying again, where the upstream named them. */
  readonly retryAfter: number | undefined;
  /** undefined before the first handshake and after a disconnect. */
  readonly peer: Peer | undefined;
  /** What it lists; empty while it is not up. */
  readonly lists: Lists;
  /** Resolves when the first attempt ended, either way; never rejects. */
  readonly settled: Promise<void>;
  /** The sink is never called before `send` has returned. */
  send(out: Outgoing, sink: Sink): Exchange;
  /** A subscription that the upstream granted: it is renewed after each reconnect. */
  keepSubscribed(uri: string): void;
  isSubscribed(uri: string): boolean;
  /** `tell`: the upstream has not heard of it yet. */
  unsubscribe(uri: string, tell: boolean): void;
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

/** What a link tells the gateway. */
export interface LinkEvents {
  /** It went up or down; `kinds`: the lists that came or went with it. */
  state(link: Link, kinds: readonly ListKind[]): void;
  /** These lists of it are other ones. */
  changed(link: Link, kinds: readonly ListKind[]): void;
  /** `notifications/resources/updated` for `uri`. */
  updated(link: Link, uri: string, notice: Notice): void;
  /** `notifications/elicitation/complete`: the client has done what it was asked to do at a URL. */
  elicited(link: Link, elicitationId: string, notice: Notice): void;
  /** `notifications/tasks/status`. */
  taskStatus(link: Link, taskId: string, notice: Notice): void;
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
  /** undefined: nobody here has it. */
  find(kind: NameKind, name: string): Target | undefined;
  /** The `result` of a list, built once per change of the catalog. */
  list(kind: ListKind): Buffer;
  /** How a URI of `server` reads in this view. */
  uriOf(server: string, uri: string): string;
  /** The links whose upstreams this view shows. */
  links(): readonly Link[];
  /** `capabilities`, `serverInfo` and `instructions` of the answer to initialize, as JSON members. */
  greeting(): string;
}
