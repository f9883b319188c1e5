/**
 * Recovery of a link without a new connection: a server refuses calls for a cause that one asynchronous step removes. Calls wait while it
 * runs, and those that were refused are sent once more. Each cause is a class of its own; here is what all causes have in common.
 */
import type { GatewayError } from '../../errors.js';
import type { Carrier, ServerRefusal, UpstreamCall } from '../calls/calls.js';
import { asGatewayError } from './failures.js';

/** Removes the cause. Rejects if it cannot; stops when `signal` aborts: the link is closed. */
export type Remedy = (carrier: Carrier, signal: AbortSignal) => Promise<void>;

/** A cause of refusals that a link can remove. */
export interface RecoveryCause {
  /** What removes the cause, if `refusal` shows that `call` was refused for it; undefined: the refusal has another cause. */
  remedyFor(refusal: ServerRefusal, call: UpstreamCall): Remedy | undefined;
  /** Whether a call that was refused may be sent once more. */
  isRepeatable(call: UpstreamCall, refusal: ServerRefusal): boolean;
  /** Whether `call` is a request of the remedy itself, which must not wait for the end of it. */
  isOfRemedy(call: UpstreamCall): boolean;
  /** The error of a client's call that is not sent again. `failure`: why the remedy failed; undefined: it was not tried. */
  errorOf(failure: GatewayError | undefined): GatewayError;
}

export interface RecoveryDeps {
  readonly server: string;
  /** Asked in this order; the first that has a remedy counts. */
  readonly causes: readonly RecoveryCause[];
  /** Aborts when the link is closed. */
  readonly signal: AbortSignal;
  /** Whether the link is up, on this carrier. */
  readonly isCurrent: (carrier: Carrier) => boolean;
  readonly recovered: () => void;
  /** The remedy failed. Not called once `signal` has aborted. */
  readonly failed: (error: GatewayError, carrier: Carrier) => void;
}

interface Running {
  readonly carrier: Carrier;
  readonly cause: RecoveryCause;
  readonly end: Promise<void>;
}

export class Recovery {
  readonly #deps: RecoveryDeps;
  /** Recoveries so far. A refusal of a call that was sent before the last one says nothing about now. */
  #generation = 1;
  /** The one that began last: on an older carrier it says nothing about the present one. */
  #running: Running | undefined;

  constructor(deps: RecoveryDeps) {
    this.#deps = deps;
  }

  /** Sends a call, after the recovery that is running unless the call is a part of it. */
  send(call: UpstreamCall, carrier: Carrier): void {
    call.generation = this.#generation;
    const running = this.#runningOn(carrier);
    if (running && !running.cause.isOfRemedy(call)) void this.#sendAfter(running, call, carrier);
    else carrier.transport.send(call);
  }

  /** The server refused `call`. Returns true if the call is sent again or has failed; false: the refusal is the answer to it. */
  refused(call: UpstreamCall, refusal: ServerRefusal): boolean {
    const { carrier } = call;
    if (!carrier) return false;
    for (const cause of this.#deps.causes) {
      const remedy = cause.remedyFor(refusal, call);
      if (!remedy) continue;
      const isCurrent = this.#deps.isCurrent(carrier);
      if (isCurrent && cause.isRepeatable(call, refusal) && this.#recover(call, carrier, cause, remedy))
        return true;
      if (call.own) return false;
      // Later calls find the cause removed.
      if (isCurrent && call.once && call.generation === this.#generation && !this.#runningOn(carrier))
        this.#begin(carrier, cause, remedy);
      call.fail(cause.errorOf(undefined));
      return true;
    }
    return false;
  }

  /** Returns false if the call cannot be sent again. */
  #recover(call: UpstreamCall, carrier: Carrier, cause: RecoveryCause, remedy: Remedy): boolean {
    if (call.sawMessage || call.resent) return false;
    const isCurrent = call.generation === this.#generation;
    // A request of the running remedy would wait for its own end.
    const present = this.#runningOn(carrier);
    if (isCurrent && present?.cause.isOfRemedy(call)) return false;
    call.resent = true;
    // Detaches the call from the old exchange: whatever still arrives there is ignored.
    call.channel = undefined;
    const running = present ?? (isCurrent ? this.#begin(carrier, cause, remedy) : undefined);
    void this.#sendAfter(running, call, carrier);
    return true;
  }

  #runningOn(carrier: Carrier): Running | undefined {
    return this.#running?.carrier === carrier ? this.#running : undefined;
  }

  #begin(carrier: Carrier, cause: RecoveryCause, remedy: Remedy): Running {
    const { server, signal, recovered, failed } = this.#deps;
    this.#generation++;
    const end = (async () => {
      await remedy(carrier, signal);
    })();
    const running: Running = { carrier, cause, end };
    this.#running = running;
    end.then(
      () => {
        if (this.#running === running) this.#running = undefined;
        recovered();
      },
      (error: unknown) => {
        if (this.#running === running) this.#running = undefined;
        if (!signal.aborted) failed(asGatewayError(error, server), carrier);
      },
    );
    return running;
  }

  async #sendAfter(running: Running | undefined, call: UpstreamCall, carrier: Carrier): Promise<void> {
    try {
      await running?.end;
    } catch (error) {
      const failure = asGatewayError(error, this.#deps.server);
      call.fail(call.own || !running ? failure : running.cause.errorOf(failure));
      return;
    }
    if (call.over) return;
    call.generation = this.#generation;
    carrier.transport.send(call);
  }
}
