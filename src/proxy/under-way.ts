/** Requests of a session that are under way, by their id: for cancellation, and so that an id is not used twice. */
import { GatewayError } from '../errors.js';
import type { Exchange } from '../protocol/ports.js';
import { refused, type Handled, type Incoming } from './incoming.js';

/** A refusal where the id of the request is in use. */
export function inUse(incoming: Incoming): Handled | undefined {
  const { key, session } = incoming;
  if (key === undefined || !session?.inFlight?.has(key)) return undefined;
  const why = `the id ${key.slice(0, 64)} is in use by a request in flight`;
  return refused(incoming.message, new GatewayError('invalid_request', why));
}

export function remember({ session, key }: Incoming, exchange: Exchange): void {
  if (session && key !== undefined) (session.inFlight ??= new Map()).set(key, exchange);
}

/** `exchange`: the one that was remembered. An emptied map is freed: see upstream/calls/call-table.ts. */
export function forget({ session, key }: Incoming, exchange: Exchange): void {
  if (key === undefined || session?.inFlight?.get(key) !== exchange) return;
  session.inFlight.delete(key);
  if (session.inFlight.size === 0) session.inFlight = undefined;
}
