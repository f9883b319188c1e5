/**
 * A request in flight to a server: its id there, its timeouts, the stream that its answer arrives on. One class serves the calls of clients
 * and the gateway's own requests; they differ in their sink.
 */
import type { ServerConfig } from '../../config/types.js';
import { GatewayError, type ErrorCode } from '../../errors.js';
import type { Budget, Whose } from '../../lib/budget.js';
import type { Wheel, WheelTimer } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import type { AnswerEdit, Cause, Notice, Sink, UpstreamExchange } from '../../protocol/ports.js';
import { splice } from '../../wire/splice.js';
import { find } from '../../protocol/message.js';
import { methodOf } from '../../protocol/methods.js';
import type { PeerMessage } from '../../protocol/peer-message.js';
import type { AnswerHost, AnswerLimits, IdOrder } from './answer-host.js';
import { Backlog, type Waiting } from './backlog.js';
import type { LinkObserver } from '../link/observer.js';
import type { KeptLines } from '../stdio/kept-lines.js';
import type { RpcError } from './rpc-error.js';

/** The stream that the answer to a call arrives on. */
export interface Channel {
  pause(): void;
  resume(): void;
  /** Stops reading for good: the call was answered or has ended. */
  abort(): void;
}

/** A connection to a server: Streamable HTTP, HTTP+SSE or stdio. */
export interface Transport {
  readonly kind: 'streamable' | 'sse' | 'stdio';
  /** Sends `call.body` and reads the answer for the call. Calls no method of the call before it has returned. */
  send(call: UpstreamCall): void;
  /** Sends a notification, or the answer to a request of the server. */
  post(body: Buffer): void;
  /**
   * Ends the handshake: requests name the revision from now on. Sends `initialized` and opens the server-to-client stream. Resolves once
   * the server has accepted `initialized`, or after a limited time. `ended` is called, perhaps later, when `initialized` was accepted or has
   * failed: with the reason if it did not reach the server.
   */
  ready(revision: string, initialized: Buffer, ended: (loss?: string) => void): Promise<void>;
  /** Applies configuration that needs no new connection: quirks. */
  update(config: ServerConfig): void;
  /** Drops the session, which the server has lost: the next request is an `initialize` without one. */
  reset(): void;
  /** Ends the session or the process in good order, within `graceMs`. */
  close(graceMs: number): Promise<void>;
  /** Closes all sockets and kills the process now. */
  destroy(): void;
}

/** A transport and how many calls are in flight on it: one that was replaced is closed when they have ended. */
export interface Carrier {
  readonly transport: Transport;
  /** The modern revision that is used, or tried; undefined: a legacy one. */
  modern: string | undefined;
  /** The era is being found out: that the channel ends is an answer, too. */
  probing: boolean;
  calls: number;
  retired: boolean;
}

/** What a transport reports that is not the answer to a call. */
export interface TransportEvents {
  /** A notification or request on a shared channel. */
  message(bytes: Buffer): void;
  /** The call in flight with this id. */
  callFor(id: number): UpstreamCall | undefined;
  /** A connection failed or broke: the server may be gone. */
  doubt(): void;
  /**
   * The channel is gone, and every call on it fails. `retryAfterMs`: what the server asked to wait. `stderr`: the last line of a child,
   * without secrets, for operators alone.
   */
  lost(error: GatewayError, more?: { retryAfterMs?: number | undefined; stderr?: string }): void;
  /** The server-to-client stream was opened again: notifications may have been missed. */
  reopened(): void;
  /** The server sent something. */
  seen(): void;
  /** The server does not answer as a modern one does. */
  wrongEra(): void;
  /** A request was refused, and only a login of a person gives something else to show. */
  unauthorized(error: GatewayError): void;
}

/** How a server refused a request: with an HTTP status of 400 or more, or with a JSON-RPC error in its answer. */
export type ServerRefusal =
  | {
      readonly type: 'http';
      readonly status: number;
      readonly body: Buffer;
      /** The JSON-RPC error in the body; undefined: the body is something else. */
      readonly error: RpcError | undefined;
      /** Whether the request named a session. */
      readonly hadSession: boolean;
      /** That session was opened with another credential than the request had: some servers refuse it then. */
      readonly isOutdated?: boolean;
    }
  | { readonly type: 'rpc'; readonly error: RpcError };

/** The link of a call. */
export interface CallOwner {
  readonly server: string;
  readonly observer: LinkObserver;
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly order: IdOrder;
  readonly budget: Budget;
  /** What the processes of a stdio server wrote to stderr last. */
  readonly stderr: KeptLines;
  /** The largest message that is buffered, in bytes. */
  messageBytes(): number;
  /** The present limits of what is buffered. */
  readonly answerLimits: AnswerLimits;
  readonly timeouts: { readonly request_ms: number; readonly total_ms: number };
  /** The call has ended, for whatever reason. */
  finished(call: UpstreamCall): void;
  /** A notification or request on the stream of the call. */
  message(bytes: Buffer, call: UpstreamCall): void;
  /** Such a message was too large and is dropped. */
  oversize(method: string, id: string, bytes: number, call: UpstreamCall): void;
  /** The server refused the call. Returns true if the link sends it again or has failed it; false: the refusal is the answer. */
  refused(call: UpstreamCall, refusal: ServerRefusal): boolean;
  /** The error without the secrets of the server. */
  shown(error: GatewayError): GatewayError;
  /** The same for the JSON of an error. */
  masked(error: Buffer): Buffer;
  /** Cancels the request at the server. */
  sendCancel(call: UpstreamCall, why: Cause): void;
}

export class UpstreamCall implements UpstreamExchange, AnswerHost {
  readonly id: number;
  readonly idText: string;
  readonly method: string;
  /** JSON of the caller's id. */
  rawId: Buffer;
  readonly body: Buffer;
  readonly sink: Sink;
  readonly repeatable: boolean;
  /** See Outgoing. */
  readonly once: boolean;
  /** A request of the gateway itself. */
  readonly own: boolean;
  /** The client: see Outgoing. */
  readonly client: string;
  readonly alone: boolean;
  readonly task: string | undefined;
  readonly edit: AnswerEdit | undefined;
  /** The server speaks a modern revision. */
  readonly modern: boolean;
  /** HTTP headers of this request: see Outgoing. */
  readonly headers: readonly string[] | undefined;
  /** Header of this request; undefined: it is not traced. */
  readonly traceparent: string | undefined;
  /** The answer is a stream that stays open: it has no timeouts and does not count as a call in flight. */
  readonly long: boolean;
  /** JSON of the caller's progress token; undefined: the caller wants no progress. */
  token: Buffer | undefined;
  readonly #owner: CallOwner;
  /** Set by the transport that sends the call. */
  channel: Channel | undefined;
  /** Set by the link that sends the call. */
  carrier: Carrier | undefined;
  /** The HTTP status of the answer; 0: none yet, or not over HTTP. */
  httpStatus = 0;
  /** The connection failed before the answer began. */
  unreached = false;
  /** Counts events with data and chunks of a body: signs of progress. */
  received = 0;
  /** The wait that a refusal over HTTP asked for, in ms. */
  retryAfterMs: number | undefined;
  /** How many recoveries of the link preceded it: see recovery.ts. */
  generation = 0;
  /** It was sent again, after a recovery or over another socket: that is done at most once. */
  resent = false;
  /** A message of the answer was received: the request cannot be sent again. */
  sawMessage = false;
  #over = false;
  #blocked = false;
  #parked = false;
  #questions = 0;
  /** What waits for a client that reads slowly; undefined: nothing has waited yet. */
  #backlog: Backlog | undefined;
  #answerWaits = false;
  readonly #silenceMs: number;
  readonly #silence: WheelTimer;
  readonly #total: WheelTimer | undefined;

  constructor(
    owner: CallOwner,
    id: number,
    method: string,
    rawId: Buffer,
    body: Buffer,
    sink: Sink,
    options: {
      token?: Buffer | undefined;
      repeatable: boolean;
      once?: boolean | undefined;
      own: boolean;
      client?: string;
      alone?: boolean;
      task?: string | undefined;
      edit?: AnswerEdit | undefined;
      modern?: boolean;
      headers?: readonly string[] | undefined;
      traceparent?: string | undefined;
      long?: boolean;
      silenceMs?: number;
      totalMs?: number;
    },
  ) {
    this.#owner = owner;
    this.id = id;
    this.idText = String(id);
    this.method = method;
    this.rawId = rawId;
    this.body = body;
    this.sink = sink;
    this.token = options.token;
    this.repeatable = options.repeatable;
    this.once = options.once ?? false;
    this.own = options.own;
    this.client = options.client ?? '';
    this.alone = options.alone ?? false;
    this.task = options.task;
    this.edit = options.edit;
    this.modern = options.modern ?? false;
    this.headers = options.headers;
    this.traceparent = options.traceparent;
    this.long = options.long ?? false;
    const total = this.long ? 0 : (options.totalMs ?? owner.timeouts.total_ms);
    this.#silenceMs = this.long ? 0 : (options.silenceMs ?? owner.timeouts.request_ms);
    this.#silence = owner.wheel.after(this.#silenceMs, () => this.#silent());
    this.#total = total > 0 ? owner.wheel.after(total, () => this.#tooLong(total)) : undefined;
  }

  get over(): boolean {
    return this.#over;
  }

  get whose(): Whose {
    return { client: this.client === '' ? undefined : this.client, server: this.#owner.server };
  }

  /** A part of the answer was received: timeouts.request_ms starts again. */
  alive(): void {
    this.received++;
    if (this.#silenceMs > 0) this.#silence.move(this.#silenceMs);
  }

  /** The server waits for an answer of the client. */
  get isWaitingForClient(): boolean {
    return this.#questions > 0;
  }

  /** The server asked the client something: the timeout is paused until that is answered. */
  openedQuestion(): void {
    this.sawMessage = true;
    this.#questions++;
    this.#updateTimeout();
  }

  answeredQuestion(): void {
    this.#questions--;
    this.#updateTimeout();
  }

  parked(on: boolean): void {
    this.#parked = on;
    this.#updateTimeout();
  }

  readdress(rawId: Buffer, token: Buffer | undefined): void {
    this.rawId = rawId;
    this.token = token;
  }

  /** Stops reading until the sink has room; the timeout is paused meanwhile. */
  hold(): void {
    if (this.#over || this.#blocked) return;
    this.#blocked = true;
    this.#updateTimeout();
    this.channel?.pause();
  }

  resume(): void {
    if (this.#over || !this.#blocked) return;
    this.#blocked = false;
    const backlog = this.#backlog;
    for (let next = backlog?.shift(); next; next = backlog?.shift()) {
      if (typeof next === 'function') {
        this.#answerWaits = false;
        next();
      } else if (!this.sink.notify(next)) {
        this.#blocked = true;
        return;
      }
      if (this.over) return;
    }
    this.#updateTimeout();
    this.channel?.resume();
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    // `initialize` must not be cancelled, and a server whose era is unknown may not understand that its probe is. Before #finish(): the
    // link needs the carrier of the call.
    if (!methodOf(this.method)?.first) this.#owner.sendCancel(this, why);
    this.#finish();
    this.channel?.abort();
  }

  fail(error: GatewayError): void {
    if (this.#over) return;
    this.#finish();
    this.channel?.abort();
    this.sink.fail(this.#owner.shown(error));
  }

  failWith(code: ErrorCode, message: string, data?: unknown): void {
    this.fail(new GatewayError(code, message, data));
  }

  /** Sends a notification to the client, in order; a limited amount waits while the client does not read. */
  notify(notice: Notice): void {
    if (this.#over || this.#answerWaits) return;
    this.sawMessage = true;
    this.alive();
    if (this.#blocked) this.#wait(notice, notice.bytes.length);
    else if (!this.sink.notify(notice)) this.hold();
  }

  /** An answer of `bytes` bytes was received whole: calls `deliver` once everything before it has been sent. */
  answer(bytes: number, deliver: () => void): void {
    if (this.#answerWaits) return;
    if (!this.#blocked || !this.#backlog || this.#backlog.isEmpty) return deliver();
    this.#answerWaits = true;
    this.#wait(deliver, bytes);
  }

  /** The answer was received and waits for the client: the call does not need the server any more. */
  get isAnswered(): boolean {
    return this.#answerWaits;
  }

  #wait(waiting: Waiting, bytes: number): void {
    const tooSlow = (): void => {
      if (this.#over) return;
      if (!this.#answerWaits) this.#owner.sendCancel(this, 'client too slow');
      this.failWith('busy', `client read too slowly: ${this.#backlog?.cost ?? 0} bytes wait for it`);
    };
    const backlog = (this.#backlog ??= new Backlog(this.#owner.budget.holder(this.whose, tooSlow)));
    if (!backlog.push(waiting, bytes, this.#owner.messageBytes())) tooSlow();
  }

  retryIn(ms: number): void {
    if (!this.#over) this.sink.retryIn?.(ms);
  }

  /** Sends a progress notification on, under the caller's token. */
  progress({ body, params }: PeerMessage): void {
    if (!this.token) return this.alive();
    const span = find(params, 'progressToken');
    if (!span) return;
    this.notify({
      method: 'notifications/progress',
      bytes: splice(body, [{ start: span.start, end: span.end, bytes: this.token }]),
    });
  }

  starting(): void {
    const backlog = this.#backlog;
    if (!backlog) return;
    for (let next = backlog.shift(); next; next = backlog.shift())
      if (typeof next !== 'function') this.sink.notify(next);
    backlog.drop();
  }

  message(bytes: Buffer): void {
    this.#owner.message(bytes, this);
  }

  oversize(method: string, id: string, bytes: number): void {
    this.#owner.oversize(method, id, bytes, this);
  }

  rpcError(error: RpcError): boolean {
    return !this.sawMessage && this.#owner.refused(this, { type: 'rpc', error });
  }

  masked(error: Buffer): Buffer {
    return this.#owner.masked(error);
  }

  answered(): void {
    this.#finish();
  }

  quotedId(): void {
    const { order, log, server } = this.#owner;
    if (order.quoted) return;
    order.quoted = true;
    log.warn('the server sends the ids of requests back as strings: read as numbers', { server });
  }

  broken(why: string, data?: unknown): void {
    this.failWith('upstream_protocol_error', `upstream '${this.#owner.server}' ${why}`, data);
  }

  /** timeouts.request_ms runs only while the gateway waits for the server. */
  #updateTimeout(): void {
    if (this.#blocked || this.#parked || this.#questions > 0) this.#silence.pause();
    else this.#silence.resume();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#silence.cancel();
    this.#total?.cancel();
    this.#backlog?.drop();
    this.#owner.finished(this);
  }

  #silent(): void {
    const ms = this.#owner.timeouts.request_ms;
    this.#timeOut(
      `upstream '${this.#owner.server}' timed out: nothing received for ${ms} ms (timeouts.request_ms)`,
    );
  }

  #tooLong(ms: number): void {
    this.#timeOut(`upstream '${this.#owner.server}' timed out after ${ms} ms (timeouts.total_ms)`);
  }

  #timeOut(message: string): void {
    if (this.#over) return;
    if (!methodOf(this.method)?.first) this.#owner.sendCancel(this, 'timed out');
    this.failWith('upstream_timeout', message);
  }
}
