/** The requests in flight on one link, and the transports that are closed once none is left on them. */
import type { GatewayError } from '../../errors.js';
import { CallTable } from './call-table.js';
import type { Carrier, UpstreamCall } from './calls.js';
import { DISCOVER } from '../link/probe.js';

export class InFlight {
  readonly #calls = new CallTable<UpstreamCall>();
  /** How many of them are background requests, which end with the link. */
  #background = 0;
  #drained: (() => void) | undefined;
  /** The error of background requests on a transport that is closed. */
  readonly #disconnected: () => GatewayError;
  readonly #close: (carrier: Carrier) => void;

  /** `close`: called when a transport has no calls any more and takes no new ones. */
  constructor(disconnected: () => GatewayError, close: (carrier: Carrier) => void) {
    this.#disconnected = disconnected;
    this.#close = close;
  }

  get table(): CallTable<UpstreamCall> {
    return this.#calls;
  }

  /** Without background requests. */
  get size(): number {
    return this.#calls.size - this.#background;
  }

  put(call: UpstreamCall, carrier: Carrier): void {
    call.carrier = carrier;
    this.#calls.put(call);
    if (isBackground(call)) this.#background++;
    else carrier.calls++;
  }

  /** Returns false if the call is not in flight here. */
  remove(call: UpstreamCall): boolean {
    if (!this.#calls.delete(call)) return false;
    if (isBackground(call)) {
      this.#background--;
      return true;
    }
    const carrier = call.carrier as Carrier;
    if (--carrier.calls === 0 && carrier.retired) this.discard(carrier);
    if (this.size === 0) this.#drained?.();
    return true;
  }

  /** `carrier`: fails only the calls on it whose answer has not arrived. */
  fail(error: GatewayError, carrier?: Carrier): void {
    for (const call of this.#calls.all())
      if (!carrier || (call.carrier === carrier && !call.isAnswered)) call.fail(error);
  }

  /** No new calls are sent on the carrier; it is closed once those on it have ended. */
  retire(carrier: Carrier): void {
    carrier.retired = true;
    if (carrier.calls === 0) this.discard(carrier);
  }

  discard(carrier: Carrier): void {
    if (this.#background > 0) this.fail(this.#disconnected(), carrier);
    this.#close(carrier);
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

/** A stream that stays open, or a probe: it does not keep a draining link alive. */
function isBackground(call: UpstreamCall): boolean {
  return call.long || call.method === DISCOVER;
}
