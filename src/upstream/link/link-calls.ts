/** The calls in flight on one link, and what they need of it. */
import { maskJson, maskSecrets, secretsOf } from '../../config/redact.js';
import type { Limits, ServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import { MAX_ID } from '../../protocol/message.js';
import type { Credential } from '../../protocol/credential.js';
import type { Cause } from '../../protocol/ports.js';
import type { AnswerLimits, IdOrder } from '../calls/answer-host.js';
import type { Attribute } from '../calls/attribution.js';
import type { CallTable } from '../calls/call-table.js';
import type { CallOwner, Carrier, ServerRefusal, Transport, UpstreamCall } from '../calls/calls.js';
import { InFlight } from '../calls/in-flight.js';
import { KeptLines } from '../stdio/kept-lines.js';
import { disconnected } from './failures.js';
import type { LinkObserver } from './observer.js';
import { RecentCallers } from './recent-callers.js';
import type { Recovery } from './recovery.js';

/** Longest error text that is shown, in characters. */
const MAX_ERROR_TEXT = 2048;

export interface LinkCallsDeps {
  readonly config: () => ServerConfig;
  /** Its secrets are masked as well. */
  readonly credential?: Credential | undefined;
  readonly limits: () => Limits;
  readonly observer: LinkObserver;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly wheel: Wheel;
  readonly budget: Budget;
  /** Closes a transport that has no calls left and takes no new ones. */
  readonly close: (transport: Transport) => void;
}

/** What handles the messages and refusals of servers; it needs the calls itself, and is set once both exist. */
export interface CallHandlers {
  readonly attribute: Attribute;
  readonly recovery: Recovery;
}

export class LinkCalls implements CallOwner {
  readonly server: string;
  readonly observer: LinkObserver;
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly budget: Budget;
  readonly stderr: KeptLines;
  readonly answerLimits: AnswerLimits;
  /** Clients that called lately. */
  readonly callers = new RecentCallers();
  order: IdOrder = { seen: 'unknown' };
  readonly #config: () => ServerConfig;
  readonly #limits: () => Limits;
  readonly #configured: readonly string[];
  readonly #credential: Credential | undefined;
  readonly #inFlight: InFlight;
  #attribute: Attribute = () => undefined;
  #recovery: Recovery | undefined;

  constructor({ config, limits, close, ...rest }: LinkCallsDeps) {
    this.#config = config;
    this.#limits = limits;
    this.observer = rest.observer;
    this.log = rest.log;
    this.boundary = rest.boundary;
    this.wheel = rest.wheel;
    this.budget = rest.budget;
    this.server = config().name;
    this.#configured = secretsOf(config());
    this.#credential = rest.credential;
    this.stderr = new KeptLines(config(), () => rest.credential?.secrets ?? []);
    this.answerLimits = {
      get messageBytes() {
        return limits().message_bytes;
      },
      get questionBytes() {
        return limits().body_bytes;
      },
      budget: rest.budget,
    };
    this.#inFlight = new InFlight(
      () => disconnected(this.server),
      ({ transport }) => {
        close(transport);
      },
    );
  }

  handleWith({ attribute, recovery }: CallHandlers): void {
    this.#attribute = attribute;
    this.#recovery = recovery;
  }

  get table(): CallTable<UpstreamCall> {
    return this.#inFlight.table;
  }

  /** Calls in flight, without streams that stay open. */
  get size(): number {
    return this.#inFlight.size;
  }

  get timeouts(): ServerConfig['timeouts'] {
    return this.#config().timeouts;
  }

  messageBytes(): number {
    return this.#limits().message_bytes;
  }

  nextId(): number {
    return this.#inFlight.table.nextId();
  }

  /** Why no more calls of `client` are taken; undefined: there is room. */
  busy(client: string): GatewayError | undefined {
    const limit = this.#limits().in_flight;
    if (this.#inFlight.size < limit || this.#hasReserve(client, limit)) return undefined;
    return new GatewayError(
      'busy',
      `upstream '${this.server}' is busy: ${limit} calls in flight (limits.in_flight)`,
    );
  }

  /** A tenth above the limit is reserved for clients without a call here, so that others cannot take all of it. */
  #hasReserve(client: string, limit: number): boolean {
    return (
      this.#inFlight.size < limit + Math.ceil(limit / 10) &&
      !this.#inFlight.table.all().some((call) => !call.own && call.client === client)
    );
  }

  /** Sends a call, after a recovery that is running. */
  begin(call: UpstreamCall, carrier: Carrier): void {
    this.#inFlight.put(call, carrier);
    if (!call.own) this.callers.note(call.client);
    (this.#recovery as Recovery).send(call, carrier);
  }

  /** Fails a call that was not sent, once `send` has returned. */
  refuse(call: UpstreamCall, error: GatewayError): void {
    setImmediate(
      this.boundary.guard('link', () => {
        call.fail(error);
      }),
    );
  }

  /** Fails all calls. `carrier`: only those on it that wait for something from it. */
  fail(error: GatewayError, carrier?: Carrier): void {
    this.#inFlight.fail(error, carrier);
  }

  /** Takes no new calls on a carrier, and closes it once those on it have ended. */
  retire(carrier: Carrier): void {
    this.#inFlight.retire(carrier);
  }

  /** Closes a carrier now. */
  discard(carrier: Carrier): void {
    this.#inFlight.discard(carrier);
  }

  /** Resolves when no call is left, at the latest after `graceMs`. */
  drained(graceMs: number): Promise<void> {
    return this.#inFlight.drained(graceMs);
  }

  finished(call: UpstreamCall): void {
    if (this.#inFlight.remove(call) && !call.own) this.callers.note(call.client);
  }

  message(bytes: Buffer, call: UpstreamCall): void {
    this.#attribute(bytes, call, (body) => call.carrier?.transport.post(body));
  }

  /** A message on a channel of `carrier` that many calls share. */
  shared(bytes: Buffer, carrier: Carrier | undefined): void {
    this.#attribute(bytes, undefined, (body) => carrier?.transport.post(body));
  }

  oversize(method: string, id: string, bytes: number, call: UpstreamCall): void {
    this.observer.dropped();
    this.log.warn('dropped a message that is too large', {
      server: this.server,
      method: method.slice(0, 128),
      bytes,
    });
    if (id === '' || id === 'null' || id.length > MAX_ID) return;
    const error = `{"code":-32600,"message":"the request is over ${bytes} bytes: too large"}`;
    call.carrier?.transport.post(Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":${error}}`));
  }

  refused(call: UpstreamCall, refusal: ServerRefusal): boolean {
    return (this.#recovery as Recovery).refused(call, refusal);
  }

  sendCancel(call: UpstreamCall, why: Cause): void {
    // Closing the stream of a modern request cancels it (2026-07-28, basic/patterns/cancellation).
    if (call.carrier?.modern !== undefined && call.carrier.transport.kind !== 'stdio') return;
    const params = `{"requestId":${call.idText},"reason":${JSON.stringify(why)}}`;
    call.carrier?.transport.post(
      Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`),
    );
  }

  /** What no text about the server may show. */
  get #secrets(): readonly string[] {
    return this.#credential ? [...this.#configured, ...this.#credential.secrets] : this.#configured;
  }

  shown(error: GatewayError): GatewayError {
    const message = maskSecrets(error.message, this.#secrets).slice(0, MAX_ERROR_TEXT);
    return message === error.message ? error : new GatewayError(error.code, message, error.data);
  }

  masked(error: Buffer): Buffer {
    return maskJson(error, this.#secrets);
  }
}
