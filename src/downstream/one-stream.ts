/**
 * A client with one stream for everything (HTTP+SSE of 2024-11-05, stdio): answers, notifications and questions are sent on it in order.
 * When the stream ends, everything that the client has started ends too.
 */
import { errorMessage, GatewayError } from '../errors.js';
import type { Budget } from '../lib/budget.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import { classify } from '../protocol/classify.js';
import { find, idKey, type Message, type MessageError } from '../protocol/message.js';
import {
  NOBODY_TO_ASK,
  READS_NOTHING,
  type Cause,
  type Exchange,
  type Notice,
  type Principal,
  type Question,
  type Refusal,
  type Sink,
} from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { NO_SINK } from '../protocol/sinks.js';
import type { Gate, Session, Settled, Origin } from '../proxy/gate.js';
import { runBatch } from './batch.js';
import { Lane, type LaneMessage, type Outlet } from './lane.js';

/** With more bytes queued for a slow client, its messages are no longer read. */
const MAX_WAITING = 4_194_304;
/** With more bytes queued, the client is asked no more questions. */
const MAX_UNREAD = 1_048_576;

type Messages = Message | readonly (Message | MessageError)[];
type Taken = GatewayError | undefined;

export interface OneStreamDeps {
  readonly gate: Gate;
  readonly outlet: Outlet;
  readonly origin: Omit<Origin, 'sessionId' | 'version' | 'era' | 'headers'>;
  readonly budget: Budget;
  readonly log: Logger;
  readonly boundary: Boundary;
  /** Whether modern requests are allowed: HTTP+SSE exists in the legacy era only. */
  readonly modern: boolean;
  /** limits.message_bytes */
  readonly messageBytes: () => number;
  /** Called when the stream has room for more answers. */
  readonly room?: () => void;
}

export class OneStream {
  readonly #deps: OneStreamDeps;
  /** With the newest credential that was shown. */
  #origin: OneStreamDeps['origin'];
  readonly #lane: Lane;
  readonly #calls = new Set<Call>();
  readonly #batches = new Set<(why: Cause) => void>();
  /** It ends with this stream, and is never looked up in the store. */
  #session: Session | undefined;
  /** Set while the session store opens its session. Never rejects. */
  #opening: Promise<void> | undefined;
  /** How many messages wait for that. */
  #behind = 0;
  #leaveSession: (() => void) | undefined;
  /** Queued bytes of notifications that belong to no call. */
  #notices = 0;
  /** When the client last sent something, by performance.now(). */
  #lastSeen = performance.now();
  #finishing = false;
  #over = false;

  constructor(deps: OneStreamDeps) {
    this.#deps = deps;
    this.#origin = deps.origin;
    const overflow = (): void => {
      deps.log.warn('closed the stream of a client that does not read: too many bytes are buffered');
      // Deferred, because a call may be writing.
      setImmediate(
        deps.boundary.guard('client_request', () => {
          deps.outlet.destroy();
          this.left();
        }),
      );
    };
    this.#lane = new Lane(deps.outlet, deps.budget, overflow, deps.boundary);
    this.#lane.room = () => {
      if (this.#lane.waiting === 0) this.#notices = 0;
      if (!this.full) deps.room?.();
    };
  }

  /** Whether the client reads too slowly for more notifications. */
  get full(): boolean {
    return this.#lane.waiting > MAX_WAITING;
  }

  get over(): boolean {
    return this.#over;
  }

  get lastSeen(): number {
    return this.#lastSeen;
  }

  /** Whether the client has no running requests. */
  get idle(): boolean {
    return this.#calls.size === 0 && this.#batches.size === 0;
  }

  /** Whether messages wait until the session is open. `room` is called then. */
  get opening(): boolean {
    return this.#opening !== undefined;
  }

  /** The client has shown a credential, of the same principal: from here on it counts. */
  show(principal: Principal): void {
    if (principal === this.#origin.principal) return;
    this.#origin = { ...this.#origin, principal };
    if (this.#session) this.#deps.gate.renew(this.#session, principal);
  }

  /**
   * Handles what the client sent. Answers are sent on the stream; an error that belongs to no request is returned. `version`: the
   * MCP-Protocol-Version header, if there are headers. Returns a promise, which never rejects, while an `initialize` waits for its
   * session, so that no message overtakes it.
   */
  take(messages: Messages, version: string | undefined): Taken | Promise<Taken> {
    this.#lastSeen = performance.now();
    // The store is not asked, so the use of the session is recorded here.
    if (this.#session) this.#session.lastSeen = this.#lastSeen;
    return this.#opening ? this.#takeLater(this.#opening, messages, version) : this.#take(messages, version);
  }

  async #takeLater(opening: Promise<void>, messages: Messages, version: string | undefined): Promise<Taken> {
    this.#behind++;
    // An earlier message may have been another `initialize`.
    for (let next: Promise<void> | undefined = opening; next; next = this.#opening) await next;
    this.#behind--;
    const error = this.#take(messages, version);
    this.#settle();
    return error;
  }

  #take(messages: Messages, version: string | undefined): Taken {
    if (this.#over) return new GatewayError('unknown_session', 'the stream has ended');
    const { gate } = this.#deps;
    if (!('kind' in messages)) return this.#batch(this.#originOf(version, 'legacy'), messages);
    const isRequest = messages.kind === 'request';
    const era = classify(version, messages);
    // Without a session, only this stream knows the requests of the client.
    if (messages.method === 'notifications/cancelled' && this.#cancel(messages)) return undefined;
    const modern = era === 'modern';
    if (modern && !this.#deps.modern) {
      const why = 'HTTP+SSE carries no revision of 2026 or later: use Streamable HTTP, at /mcp';
      const error = new GatewayError('method_not_found', why);
      gate.countInvalid('invalid');
      if (isRequest) this.complain(error, messages.id as string);
      return isRequest ? undefined : error;
    }
    const call = isRequest ? new Call(this, messages, era) : undefined;
    if (modern && call && this.#isInUse(call.key)) {
      const why = `the id ${call.key.slice(0, 64)} is in use by a request in flight`;
      this.complain(new GatewayError('invalid_request', why), messages.id as string, era);
      return undefined;
    }
    try {
      const handled = gate.handle(
        this.#originOf(version, era),
        modern ? undefined : this.#session,
        messages,
        call ?? NO_SINK,
      );
      if (handled.kind !== 'opening') return this.#reply(handled, call, era);
      this.#open(handled.opened, call);
      return undefined;
    } catch (thrown) {
      const error = this.#deps.boundary.caught('client_request', thrown);
      if (!call) return error;
      call.fail(error);
      return undefined;
    }
  }

  #reply(handled: Settled, call: Call | undefined, era: Era): Taken {
    switch (handled.kind) {
      case 'exchange':
        if (call) {
          call.exchange = handled.exchange;
          this.#calls.add(call);
        }
        return undefined;
      case 'accepted':
        return undefined;
      case 'answer':
        this.#lane.send(handled.bytes);
        if (handled.session) this.#join(handled.session);
        return undefined;
      case 'refused':
        if (!call) return handled.error;
        this.#lane.send(Buffer.from(errorMessage(handled.error, handled.id, era)));
        return undefined;
    }
  }

  /** Sends an error that belongs to no request. */
  complain(error: GatewayError, rawId: string, era: Era = 'legacy'): void {
    this.#lane.send(Buffer.from(errorMessage(error, rawId, era)));
  }

  /** Ends the stream once no request is running. */
  finish(): void {
    this.#finishing = true;
    this.#settle();
  }

  /** Ends the stream, and cancels running requests. */
  close(why: Cause): void {
    this.#finishing = true;
    this.#cancelAll(why);
    this.#settle();
  }

  /** The client has gone: ends its session. */
  left(): void {
    if (this.#over) return;
    this.#over = true;
    this.#lane.drop();
    this.#cancelAll('client gone');
    this.#leaveSession?.();
  }

  // For Call.

  notify(bytes: Buffer, resume: () => void): boolean {
    return this.#lane.send(bytes, resume);
  }

  get waiting(): number {
    return this.#lane.waiting;
  }

  message(resume: () => void): LaneMessage {
    return this.#lane.message(resume);
  }

  done(call: Call): void {
    this.#calls.delete(call);
    // Deferred, so that the call ends first.
    if (this.#finishing)
      queueMicrotask(
        this.#deps.boundary.guard('client_request', () => {
          this.#settle();
        }),
      );
  }

  #originOf(version: string | undefined, era: Era): Origin {
    const sessionId = era === 'legacy' ? this.#session?.id : undefined;
    return { ...this.#origin, sessionId, version, era, headers: undefined };
  }

  /** Requests of a session are known to the session. */
  #isInUse(key: string): boolean {
    for (const call of this.#calls) if (call.era === 'modern' && call.key === key) return true;
    return false;
  }

  /** Cancels a modern request of this stream; false: there is none with this id. */
  #cancel(message: Message): boolean {
    const id = find(message.params, 'requestId');
    if (!id) return false;
    const key = idKey(message.body.toString('utf8', id.start, id.end));
    for (const call of this.#calls)
      if (call.era === 'modern' && call.key === key) {
        call.exchange?.cancel('cancelled by the client');
        return true;
      }
    return false;
  }

  #batch(origin: Origin, messages: readonly (Message | MessageError)[]): Taken {
    const { gate } = this.#deps;
    const refusal = gate.admitBatch(origin, this.#session, messages);
    if (refusal) {
      gate.countInvalid('invalid');
      return refusal;
    }
    const batch: { cancel?: (why: Cause) => void; done: boolean } = { done: false };
    batch.cancel = runBatch(
      this.#deps,
      origin,
      this.#session,
      messages,
      this.#deps.messageBytes(),
      (answer) => {
        batch.done = true;
        if (answer) this.#lane.send(answer);
        if (batch.cancel) this.#batches.delete(batch.cancel);
        this.#settle();
      },
    );
    if (!batch.done) this.#batches.add(batch.cancel);
    return undefined;
  }

  /** Answers the client, which may have gone, once its session is open. */
  #open(opened: Promise<Settled>, call: Call | undefined): void {
    const { gate, boundary, room } = this.#deps;
    const failed = (error: GatewayError): void => call?.fail(error);
    const answered = (handled: Settled): void => {
      this.#opening = undefined;
      if (!this.#over) this.#reply(handled, call, 'legacy');
      else if (handled.kind === 'answer' && handled.session) gate.abandon(handled.session);
      room?.();
      this.#settle();
    };
    this.#opening = opened.then(boundary.guard('client_request', answered, failed));
  }

  /** Attaches the session, whose notifications are sent here, from the answer to `initialize` on. */
  #join(session: Session): void {
    this.#session = session;
    const { gate } = this.#deps;
    const stream = this as OneStream;
    this.#leaveSession = gate.attach(session, {
      get backlog() {
        return stream.#notices;
      },
      event: (bytes) => {
        const more = this.#lane.send(bytes);
        if (!more) this.#notices += bytes.length;
        return more;
      },
      end: () => {
        // On shutdown running calls may finish; otherwise the stream ends with its session.
        if (gate.state === 'draining') this.finish();
        else this.close('session ended');
      },
      destroy: () => {
        this.#deps.outlet.destroy();
      },
    });
  }

  #cancelAll(why: Cause): void {
    const { boundary } = this.#deps;
    for (const { exchange } of [...this.#calls]) boundary.run('client_request', () => exchange?.cancel(why));
    for (const cancel of this.#batches) cancel(why);
    this.#batches.clear();
  }

  #settle(): void {
    if (!this.#finishing || this.#over || this.#calls.size > 0 || this.#batches.size > 0) return;
    if (this.#opening || this.#behind > 0) return;
    this.#over = true;
    this.#leaveSession?.();
    this.#lane.end();
  }
}

/** The sink of one request. Ignores everything after its end. */
class Call implements Sink {
  exchange: Exchange | undefined;
  readonly era: Era;
  readonly #stream: OneStream;
  readonly #rawId: string;
  readonly #listens: boolean;
  #answer: LaneMessage | undefined;
  #over = false;
  readonly #resume = (): void => this.exchange?.resume();

  constructor(stream: OneStream, message: Message, era: Era) {
    this.era = era;
    this.#stream = stream;
    this.#rawId = message.id as string;
    this.#listens = message.method === 'subscriptions/listen';
  }

  get key(): string {
    return idKey(this.#rawId);
  }

  notify(notice: Notice): boolean {
    return this.#over || this.#stream.notify(notice.bytes, this.#resume);
  }

  ask(question: Question): Refusal | undefined {
    if (this.#over) return NOBODY_TO_ASK;
    if (this.#stream.waiting > MAX_UNREAD) return READS_NOTHING;
    this.#stream.notify(question.bytes, this.#resume);
    return undefined;
  }

  start(): void {
    if (this.#over) return;
    this.#answer = this.#stream.message(this.#resume);
  }

  write(chunk: Buffer): boolean {
    return this.#answer?.write(chunk) ?? true;
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#answer?.end();
    // How a subscription ends on a shared stream (2026-07-28, basic/patterns/cancellation).
    if (this.#listens) {
      const method = 'notifications/cancelled';
      const params = `{"requestId":${this.#rawId},"reason":"the subscription has ended"}`;
      const bytes = Buffer.from(`{"jsonrpc":"2.0","method":"${method}","params":${params}}`);
      this.#stream.notify(bytes, this.#resume);
    }
    this.#stream.done(this);
  }

  cancelled(): void {
    if (this.#over) return;
    this.#over = true;
    // A cancelled request gets no answer.
    this.#answer?.cut();
    this.#stream.done(this);
  }

  fail(error: GatewayError): void {
    if (this.#over) return;
    this.#over = true;
    this.#answer?.cut();
    this.#stream.complain(error, this.#rawId, this.era);
    this.#stream.done(this);
  }
}
