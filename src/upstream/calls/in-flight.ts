/** The requests under way on one link, and the transports that live for as long as some are on them. */
import type { GatewayError } from '../../errors.js';
import { CallTable } from './call-table.js';
import type { Carrier, UpstreamCall } from './calls.js';
import { DISCOVER } from '../link/probe.js';

export class InFlight {
  readonly #calls = new CallTable<UpstreamCall>();
  /** Of those, how many only stand there: they end with the link. */
  #standing = 0;
  #drained: (() => void) | undefined;
  /** For what stands on a transport that is let go of. */
  readonly #gone: () => GatewayError;
  /** No call is on it any more: its session, or its process, ends. */
  readonly #leave: (carrier: Carrier) => void;

  constructor(gone: () => GatewayError, leave: (carrier: Carrier) => void) {
    this.#gone = gone;
    this.#leave = leave;
  }

  get table(): CallTable<UpstreamCall> {
    return this.#calls;
  }

  /** Without those that only stand there. */
  get size(): number {
    return this.#calls.size - this.#standing;
  }

  put(call: UpstreamCall, carrier: Carrier): void {
    call.carrier = carrier;
    this.#calls.put(call);
    if (isStanding(call)) this.#standing++;
    else carrier.calls++;
  }

  /** false: it is not, or no more, here. */
  remove(call: UpstreamCall): boolean {
    if (!this.#calls.delete(call)) return false;
    if (isStanding(call)) {
      this.#standing--;
      return true;
    }
    const carrier = call.carrier as Carrier;
    if (--carrier.calls === 0 && carrier.retired) this.discard(carrier);
    if (this.size === 0) this.#drained?.();
    return true;
  }

  /** `carrier`: those on it alone that wait for something from it. */
  fail(error: GatewayError, carrier?: Carrier): void {
    for (const call of this.#calls.all())
      if (!carrier || (call.carrier === carrier && !call.isAnswered)) call.fail(error);
  }

  /** Takes no new calls; let go of once those on it have ended. */
  retire(carrier: Carrier): void {
    carrier.retired = true;
    if (carrier.calls === 0) this.discard(carrier);
  }

  discard(carrier: Carrier): void {
    if (this.#standing > 0) this.fail(this.#gone(), carrier);
    this.#leave(carrier);
  }

  /** Resolves when all have ended, at the latest after `graceMs`. */
  async drained(graceMs: number): Promise<void> {
    if (this.size === 0 || graceMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Stands open for as long as the link does, or until nobody listens to what comes of it. */
function isStanding(call: UpstreamCall): boolean {
  return call.long || call.method === DISCOVER;
}
