/**
 * A request under way to an upstream: its id there, its clocks, its place in the stream it came on. One class serves the
 * calls of clients and the gateway's own requests; they differ in their sink.
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
import type { RpcError } from './rpc-error.js';

/** What a transport lets a call do to the stream its answer comes on. */
export interface Channel {
  pause(): void;
  resume(): void;
  /** Stops reading for good: the answer came, or nobody wants it any more. */
  abort(): void;
}

/** The way to an upstream: Streamable HTTP, HTTP+SSE or stdio. */
export interface Transport {
  readonly kind: 'streamable' | 'sse' | 'stdio';
  /** Sends `call.body`; what comes back goes to the call. Never calls back before it has returned. */
  send(call: UpstreamCall): void;
  /** A notification, or the answer to a request of the upstream. Nobody waits for it. */
  post(body: Buffer): void;
  /**
   * The handshake is over: from now on the revision is named. Sends `initialized`, and resolves once the server has taken it, or has had
   * its time for that; then the server-to-client stream is open.
   */
  ready(revision: string, initialized: Buffer): Promise<void>;
  /** Takes over what needs no new connection: quirks. */
  update(config: ServerConfig): void;
  /** Drops the session, which the server has lost: the next request is an `initialize` without one. */
  reset(): void;
  /** Ends the session politely, within `graceMs`. */
  close(graceMs: number): Promise<void>;
  /** Lets go of every socket and process now. */
  destroy(): void;
}

/** A transport and how many calls are still on it: a broken one lives until they have ended. */
export interface Carrier {
  readonly transport: Transport;
  /** The modern revision that is spoken on it, or tried; undefined: a legacy one. */
  modern: string | undefined;
  /** Finding out the era: an end of the channel is an answer too. */
  probing: boolean;
  calls: number;
  retired: boolean;
}

/** What belongs to no call, and the end of the channel. */
export interface TransportEvents {
  /** A message on a shared channel that is no answer. */
  message(bytes: Buffer): void;
  /** The call an answer on a shared channel is for. */
  callFor(id: number): UpstreamCall | undefined;
  /** A connection could not be made or broke: the health of the upstream is worth a look now. */
  doubt(): void;
  /**
   * The channel is gone and every call on it with it. `retryAfterMs`: what the upstream asked for. `stderr`: the last line of
   * a child, masked; it is for operators alone.
   */
  lost(error: GatewayError, more?: { retryAfterMs?: number | undefined; stderr?: string }): void;
  /** The server-to-client stream was opened again: what it would have told may have been missed. */
  reopened(): void;
  /** A sign of life. */
  seen(): void;
  /** It does not answer as a server of the modern era does. */
  wrongEra(): void;
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
    }
  | { readonly type: 'rpc'; readonly error: RpcError };

/** What a call needs of the link that made it. */
export interface CallOwner {
  readonly server: string;
  readonly observer: LinkObserver;
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly order: IdOrder;
  readonly budget: Budget;
  /** Most bytes held of one message. */
  messageBytes(): number;
  /** Bounds of what is held, as they are now. */
  readonly answerLimits: AnswerLimits;
  readonly timeouts: { readonly request_ms: number; readonly total_ms: number };
  /** The call is over, however it ended. */
  finished(call: UpstreamCall): void;
  /** A message on the call's own stream that is no answer. */
  message(bytes: Buffer, call: UpstreamCall): void;
  /** Such a message was too large to be held, and is left out. */
  oversize(method: string, id: string, bytes: number, call: UpstreamCall): void;
  /** The server refused the call. Returns true if the link sends it again or has failed it; false: the refusal is the answer. */
  refused(call: UpstreamCall, refusal: ServerRefusal): boolean;
  /** The error without the secrets of this server. */
  shown(error: GatewayError): GatewayError;
  /** The same for the JSON of an error that goes on. */
  masked(error: Buffer): Buffer;
  /** Tells the upstream that nobody waits for `id` any more. */
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
  /** A request of the gateway's own: no client waits for it. */
  readonly own: boolean;
  /** Who calls: see Outgoing. */
  readonly client: string;
  readonly alone: boolean;
  readonly task: string | undefined;
  readonly edit: AnswerEdit | undefined;
  /** The upstream speaks a modern revision. */
  readonly modern: boolean;
  /** Header lines of this request alone: see Outgoing. */
  readonly headers: readonly string[] | undefined;
  /** Its answer is a stream that stays open: no clock runs, and it takes no place among the calls. */
  readonly long: boolean;
  /** JSON of the caller's progress token; undefined: it asked for no progress. */
  token: Buffer | undefined;
  readonly #owner: CallOwner;
  /** Set by the transport while the answer is on its way. */
  channel: Channel | undefined;
  /** Set by the link while it is under way. */
  carrier: Carrier | undefined;
  /** Status of the HTTP response; 0 before it, and where there is none. */
  httpStatus = 0;
  /** No connection could be made, or it was gone before an answer began. */
  unreached = false;
  /** Goes up with each sign that the answer moves on: an event with data, a chunk of a body. */
  heard = 0;
  /** What a refusal over HTTP asked to wait, in ms. */
  retryAfterMs: number | undefined;
  /** Which session of the upstream it was sent in. */
  generation = 0;
  /** Sent again after a lost session or a stale socket: at most once. */
  resent = false;
  /** Some message of the answer has been seen: it cannot be run again. */
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
      own: boolean;
      client?: string;
      alone?: boolean;
      task?: string | undefined;
      edit?: AnswerEdit | undefined;
      modern?: boolean;
      headers?: readonly string[] | undefined;
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
    this.own = options.own;
    this.client = options.client ?? '';
    this.alone = options.alone ?? false;
    this.task = options.task;
    this.edit = options.edit;
    this.modern = options.modern ?? false;
    this.headers = options.headers;
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

  /** A message, or part of one, came: the silence clock starts again. */
  alive(): void {
    this.heard++;
    if (this.#silenceMs > 0) this.#silence.move(this.#silenceMs);
  }

  /** It waits for its client to answer. */
  get asking(): boolean {
    return this.#questions > 0;
  }

  /** A question to the client is open: the clock stands still, the upstream waits for us. */
  openedQuestion(): void {
    this.sawMessage = true;
    this.#questions++;
    this.#standStill();
  }

  answeredQuestion(): void {
    this.#questions--;
    this.#standStill();
  }

  parked(on: boolean): void {
    this.#parked = on;
    this.#standStill();
  }

  readdress(rawId: Buffer, token: Buffer | undefined): void {
    this.rawId = rawId;
    this.token = token;
  }

  /** Stops the upstream's stream until the sink has room; the clock stands still meanwhile. */
  hold(): void {
    if (this.#over || this.#blocked) return;
    this.#blocked = true;
    this.#standStill();
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
    this.#standStill();
    this.channel?.resume();
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    // Before finish(): the link needs the call's place to tell the upstream.
    // A legacy server must not be told that the handshake is off, and one whose era is not known may not understand it.
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

  /** A notification for this call's client, in order, bounded while the client does not read. */
  notify(notice: Notice): void {
    if (this.#over || this.#answerWaits) return;
    this.sawMessage = true;
    this.alive();
    if (this.#blocked) this.#wait(notice, notice.bytes.length);
    else if (!this.sink.notify(notice)) this.hold();
  }

  /** An answer of `bytes` bytes has come whole: `deliver` is called once what came before it is out. */
  answer(bytes: number, deliver: () => void): void {
    if (this.#answerWaits) return;
    if (!this.#blocked || !this.#backlog || this.#backlog.isEmpty) return deliver();
    this.#answerWaits = true;
    this.#wait(deliver, bytes);
  }

  /** Its answer is here, whatever becomes of its server. */
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

  /** A progress notification under the upstream's token goes out under the caller's. */
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
    log.warn('the server sends the ids of requests back as strings: taken as numbers', { server });
  }

  broken(why: string, data?: unknown): void {
    this.failWith('upstream_protocol_error', `upstream '${this.#owner.server}' ${why}`, data);
  }

  /** The silence clock runs only while the upstream keeps us waiting. */
  #standStill(): void {
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
      `upstream '${this.#owner.server}' timed out: nothing came for ${ms} ms (timeouts.request_ms)`,
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
