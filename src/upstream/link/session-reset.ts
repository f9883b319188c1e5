/** An upstream of the legacy era forgot the session: it is opened again, once for all calls that found out. */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { SessionResetReason } from '../../observe/stats.js';
import type { Carrier, UpstreamCall } from '../calls/calls.js';
import { asGatewayError } from './failures.js';
import type { LinkObserver } from './observer.js';

/** What is asked before the calls that wait for a new session go on. */
const DURING_RESET = new Set(['initialize', 'resources/subscribe', 'logging/setLevel']);

export interface SessionResetDeps {
  readonly server: string;
  readonly observer: LinkObserver;
  readonly log: Logger;
  /** The handshake, and what the upstream had been told before. */
  readonly open: (carrier: Carrier) => Promise<void>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class SessionReset {
  readonly #deps: SessionResetDeps;
  #generation = 1;
  #running: Promise<void> | undefined;

  constructor(deps: SessionResetDeps) {
    this.#deps = deps;
  }

  /** Sends a call, after the reset under way unless it is part of that. */
  send(call: UpstreamCall, carrier: Carrier): void {
    call.generation = this.#generation;
    if (this.#running && !(call.own && DURING_RESET.has(call.method))) void this.#sendAfter(call, carrier);
    else carrier.transport.send(call);
  }

  /** `call` was answered that there is no such session. true: it is sent again, or failed. */
  lost(call: UpstreamCall, carrier: Carrier, error: string, reason: SessionResetReason): boolean {
    if (call.method === 'initialize' || call.resent) return false;
    const isCurrent = call.generation === this.#generation;
    // Asked by the reset itself: it must not wait for its own end.
    if (this.#running && call.own && DURING_RESET.has(call.method) && isCurrent) return false;
    call.resent = true;
    // Whatever else comes on the old stream belongs to nobody.
    call.channel = undefined;
    // An answer of generation n resets only while n is current.
    if (isCurrent && !this.#running) this.#begin(carrier, error, reason);
    void this.#sendAfter(call, carrier);
    return true;
  }

  #begin(carrier: Carrier, error: string, reason: SessionResetReason): void {
    const { server, observer, log } = this.#deps;
    observer.sessionReset(reason);
    log.info('upstream forgot the session: initializing again', { server, reason, error });
    this.#generation++;
    carrier.transport.reset();
    const run = async (): Promise<void> => {
      const started = performance.now();
      try {
        await this.#deps.open(carrier);
        observer.initialized('success', started);
      } catch (failure) {
        observer.initialized('error', started);
        throw failure;
      }
    };
    const reset = run();
    this.#running = reset;
    reset.then(
      () => {
        this.#running = undefined;
        this.#deps.done();
      },
      (failure: unknown) => {
        this.#running = undefined;
        this.#deps.failed(failure);
      },
    );
  }

  async #sendAfter(call: UpstreamCall, carrier: Carrier): Promise<void> {
    try {
      await this.#running;
    } catch (error) {
      const failure = asGatewayError(error, this.#deps.server);
      // What the upstream said of the gateway's own session is not for the client.
      const code = failure.code === 'upstream_auth_failed' ? failure.code : 'upstream_disconnected';
      const why = `upstream '${this.#deps.server}' forgot the session of the call, and did not open another`;
      call.fail(call.own ? failure : new GatewayError(code, why));
      return;
    }
    if (call.over) return;
    call.generation = this.#generation;
    carrier.transport.send(call);
  }
}
