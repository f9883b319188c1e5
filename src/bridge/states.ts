/**
 * The `requestState` of this gateway: encrypted, and bound to the client and the request that it was given to (2026-07-28,
 * basic/patterns/mrtr, "Server Requirements (Basic Workflow)").
 */
import { GatewayError } from '../errors.js';
import { find, type Message } from '../protocol/message.js';
import type { Caller } from '../protocol/ports.js';
import type { Crossing } from './crossing.js';
import { canonical } from '../wire/canonical.js';
import { digest, type Seal } from './seal.js';

/** The client and the request that a state was given to. */
interface Binding {
  readonly principal: string;
  readonly route: string;
  readonly method: string;
  readonly name: string;
  readonly arguments: string;
}

interface CallState extends Binding {
  readonly kind: 'call';
  readonly id: string;
  readonly round: number;
}

interface UrlState extends Binding {
  readonly kind: 'urls';
  readonly urls: readonly string[];
}

/** A request that is repeated once its client has logged in. */
interface LoginState extends Binding {
  readonly kind: 'login';
  /** Of the offer. */
  readonly id: string;
  /** It called the login tool. */
  readonly isTool: boolean;
}

/** A call that waits for the yes of somebody. */
interface HoldState extends Binding {
  readonly kind: 'hold';
  /** Of the record. */
  readonly id: string;
  readonly round: number;
}

export interface States {
  /** The state of a call that is parked under `id`. */
  ofCall(crossing: Crossing, id: string, round: number, ttlMs: number): string;
  /** The state of a call that is repeated once the client has opened `urls`. */
  ofUrls(crossing: Crossing, urls: readonly string[], ttlMs: number): string;
  ofLogin(request: Presented, id: string, isTool: boolean, ttlMs: number): string;
  ofHold(request: Presented, id: string, round: number, ttlMs: number): string;
  /** Whether this gateway made it; a gateway further upstream has states of the same format. */
  isOurs(state: string): boolean;
  /** The other replica that holds the call of a state; undefined: none does. */
  ownerOf(state: string): string | undefined;
  holds(state: string): boolean;
  /** Reads the state of a retry; an error if it belongs to another client or another request. */
  read(state: string, request: Presented): CallState | UrlState | LoginState | HoldState | GatewayError;
}

export interface Presented {
  readonly message: Message;
  readonly caller: Caller;
  readonly route: string;
  readonly name: string;
}

/** `inFleet`: retries are sent to the replica that holds their call, so one that does not get there has none. */
export function createStates(seal: Seal, inFleet = false): States {
  function bindingOf({ message, caller, route, name }: Presented): Binding {
    return {
      principal: caller.principal.id,
      route,
      method: message.method,
      name,
      arguments: digestOf(message),
    };
  }
  const of = ({ out, caller, route, name }: Crossing): Binding =>
    bindingOf({ message: out.message, caller, route, name });

  return {
    ofCall: (crossing, id, round, ttlMs) => {
      const state: CallState = { ...of(crossing), kind: 'call', id, round };
      return seal.seal(state, ttlMs);
    },
    ofUrls: (crossing, urls, ttlMs) => {
      const state: UrlState = { ...of(crossing), kind: 'urls', urls };
      return seal.seal(state, ttlMs);
    },
    ofLogin: (request, id, isTool, ttlMs) => {
      const state: LoginState = { ...bindingOf(request), kind: 'login', id, isTool };
      return seal.seal(state, ttlMs);
    },
    ofHold: (request, id, round, ttlMs) => {
      const state: HoldState = { ...bindingOf(request), kind: 'hold', id, round };
      return seal.seal(state, ttlMs);
    },
    isOurs(state) {
      const opened = seal.open(state);
      return opened.ok || opened.reason === 'expired' || (inFleet && opened.reason === 'other_replica');
    },
    ownerOf: (state) => seal.ownerOf(state),
    holds: (state) => seal.holds(state),
    read(state, request) {
      const opened = seal.open(state);
      if (!opened.ok && opened.reason === 'other_replica' && inFleet) return refusal(GONE, 'gone');
      if (!opened.ok) return refusal(REASONS[opened.reason], opened.reason);
      const sealed = opened.payload as unknown as CallState | UrlState | LoginState | HoldState;
      const binding = bindingOf(request);
      // The state of another client is treated as forged.
      if (sealed.principal !== binding.principal) return refusal(REASONS.forged, 'forged');
      for (const key of ['route', 'method', 'name', 'arguments'] as const)
        if (sealed[key] !== binding[key])
          return refusal(
            `this requestState was given for another request: its ${key} differs`,
            'other_request',
          );
      return sealed;
    },
  };
}

const GONE = 'the replica that has the call of this requestState is gone: make a new call';

const REASONS = {
  forged: 'this requestState was not issued by this gateway, or was altered: make a new call',
  expired: 'this requestState has expired: make a new call',
  other_replica:
    'this requestState belongs to another replica of the gateway: send the retry there, or make a new call',
} as const;

export function refusal(message: string, reason: string): GatewayError {
  return new GatewayError('invalid_params', message, { reason });
}

/** Larger arguments are compared byte by byte. */
const MAX_COMPARED = 65_536;

/** Equal for equal arguments in any member order and escaping; numbers are compared as written. */
function digestOf({ body, params }: Message): string {
  const at = find(params, 'arguments');
  if (at && at.end - at.start > MAX_COMPARED) return digest(body.subarray(at.start, at.end));
  return digest(Buffer.from(at ? canonical(body, at.start).text : ''));
}
