/**
 * The `requestState` of this gateway's own making: sealed, and bound to who was given it and what for (2026-07-28, basic/patterns/mrtr,
 * "Server Requirements (Basic Workflow)").
 */
import { GatewayError } from '../errors.js';
import { find, type Message } from '../protocol/message.js';
import type { Caller } from '../protocol/ports.js';
import type { Crossing } from './crossing.js';
import type { Span } from '../wire/scan.js';
import { elementsOf, membersOf } from '../wire/walk.js';
import { digest, type Seal } from './seal.js';

/** Whom a state was given to, and for which request. */
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

export interface States {
  /** For a call that is parked under `id`. */
  ofCall(crossing: Crossing, id: string, round: number, ttlMs: number): string;
  /** For a call that is made anew once the client has opened these. */
  ofUrls(crossing: Crossing, urls: readonly string[], ttlMs: number): string;
  /** Whether this gateway made it: one further upstream has states of the same form. */
  isOurs(state: string): boolean;
  /** Reads the state of a retry; an error where it is not this client's, or not for this request. */
  read(state: string, request: Presented): CallState | UrlState | GatewayError;
}

export interface Presented {
  readonly message: Message;
  readonly caller: Caller;
  readonly route: string;
  readonly name: string;
}

export function createStates(seal: Seal): States {
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
    isOurs(state) {
      const opened = seal.open(state);
      return opened.ok || opened.reason === 'expired';
    },
    read(state, request) {
      const opened = seal.open(state);
      if (!opened.ok) return refusal(REASONS[opened.reason], opened.reason);
      const sealed = opened.payload as unknown as CallState | UrlState;
      const binding = bindingOf(request);
      // Another one's state does not exist.
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

const REASONS = {
  forged: 'this requestState is not one of this gateway, or was altered: make the call anew',
  expired: 'this requestState has expired: make the call anew',
  other_replica:
    'this requestState belongs to another replica of the gateway: send the retry there, or make the call anew',
} as const;

export function refusal(message: string, reason: string): GatewayError {
  return new GatewayError('invalid_params', message, { reason });
}

/** Equal for arguments of the same value, in whatever order and spelling; numbers count with every digit. */
function digestOf({ body, params }: Message): string {
  const at = find(params, 'arguments');
  return digest(Buffer.from(at ? canonical(body, at) : ''));
}

function canonical(body: Buffer, { start, end }: Span): string {
  const first = body[start];
  if (first === 0x5b)
    return `[${elementsOf(body, start)
      .map((element) => canonical(body, element))
      .join()}]`;
  if (first !== 0x7b) {
    const text = body.toString('utf8', start, end);
    return first === 0x22 ? JSON.stringify(JSON.parse(text)) : text;
  }
  const members = membersOf(body, start).map(
    (member) => `${JSON.stringify(member.key)}:${canonical(body, member)}`,
  );
  return `{${members.sort().join()}}`;
}
