/** Requests under way: those of a session by their id, so that they can be cancelled and no id is used twice; the others by their principal. */
import { GatewayError } from '../errors.js';
import type { SlotSet } from '../lib/slot-set.js';
import type { Exchange } from '../protocol/ports.js';
import { refused, type Handled, type Incoming } from './incoming.js';

/** A refusal where the id of the request is in use. */
export function inUse(incoming: Incoming): Handled | undefined {
  const { key, session } = incoming;
  if (key === undefined || !session?.inFlight?.has(key)) return undefined;
  const why = `the id ${key.slice(0, 64)} is in use by a request in flight`;
  return refused(incoming.message, new GatewayError('invalid_request', why));
}

export function remember(incoming: Incoming, exchange: Exchange): void {
  const { session, key } = incoming;
  if (session && key !== undefined) (session.inFlight ??= new Map()).set(key, exchange);
  else note(incoming, exchange);
}

function note(incoming: Incoming, exchange: Exchange): void {
  const { sessionless } = incoming;
  // An observer with details may cancel it.
  if (sessionless || incoming.details) incoming.exchange = exchange;
  if (!sessionless) return;
  if (incoming.slot === -1) sessionless.add(incoming);
}

/** `exchange`: the one that was remembered. An emptied map is freed: see upstream/calls/call-table.ts. */
export function forget(incoming: Incoming, exchange: Exchange): void {
  const { session, key } = incoming;
  if (incoming.exchange === exchange) {
    incoming.exchange = undefined;
    incoming.sessionless?.delete(incoming);
  }
  if (key === undefined || session?.inFlight?.get(key) !== exchange) return;
  session.inFlight.delete(key);
  if (session.inFlight.size === 0) session.inFlight = undefined;
}

/** Requests without a session, whose credential may be withdrawn while they are under way. */
export type Sessionless = SlotSet<Incoming>;
