/**
 * Opens calls whose client or upstream is modern. This folder is the only one that knows both eras. Calls between a legacy client and a
 * legacy upstream bypass it.
 */
import { GatewayError } from '../errors.js';
import { find, param } from '../protocol/message.js';
import type { Exchange, Sink } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { readInputResponses } from './input.js';
import { openModernCall } from './modern-call.js';
import { openParkedCall } from './parked-call.js';
import type { Parked } from './parked-calls.js';
import { refusal, type Presented } from './states.js';
import { isAboutTask } from './tasks/legacy.js';
import type { Crossing } from './crossing.js';
import type { BridgeDeps } from './deps.js';

/** Opens or resumes a call. The sink is never called before this has returned. */
export interface OpenCrossing {
  (crossing: Crossing, sink: Sink): Exchange;
  /** The call is made once more, from its beginning; absent: it goes on. */
  readonly isAgain?: true;
}

/** A retry of a call that waits for a yes. */
export interface HoldRetry {
  /** Of the record. */
  readonly id: string;
  /** How often its client has repeated it before. */
  readonly round: number;
  /** What its client answered. */
  readonly answers: ReadonlyMap<string, Buffer>;
  /** Its client did not do what it was asked for. */
  readonly declined: boolean;
}

/** A retry of a request that was answered with a link to a login. */
export interface LoginRetry {
  /** The id of the offer. */
  readonly id: string;
  /** The request called the login tool. */
  readonly isTool: boolean;
  /** Whether its client has opened the page. */
  readonly accepted: boolean;
}

/** How long the state of a call is valid that waits for a yes: as long as the longest hold. */
const HOLD_MS = 86_400_000;
/** How long the state of a request is valid whose client logs in: as long as a login. */
const LOGIN_MS = 600_000;

export interface Bridge {
  /** The sink is never called before this has returned. */
  open: OpenCrossing;
  /**
   * Reads the `requestState` of a modern client's request. undefined: it has none of this gateway, and is a new call. Otherwise returns
   * how to resume the call, or why that is not possible, without changing anything. `upstream`: a modern upstream has states of its own,
   * and may have replaced a legacy one.
   */
  claim(request: Presented, upstream: Era): OpenCrossing | LoginRetry | HoldRetry | GatewayError | undefined;
  /** Whether this gateway, or its fleet, made a state. */
  isOurs(state: string): boolean;
  /** The replica that holds the call of a state, also this one; undefined: none does, or any can go on with it. */
  ownerOf(state: string): string | undefined;
  /** Whether it is this one. */
  holds(state: string): boolean;
  /** The `requestState` for the client of a request that waits for a login. */
  loginState(request: Presented, id: string, isTool: boolean): string;
  /** The `requestState` for the client of a call that waits for a yes. `id`: of the record. */
  holdState(request: Presented, id: string, round: number): string;
  /** Ends the parked calls that match `which`. */
  endWhere(which: (call: Parked) => boolean): void;
  /** Ends all parked calls, and refuses new ones. */
  close(): void;
}

export function createBridge(deps: BridgeDeps): Bridge {
  return {
    open: (crossing, sink) =>
      crossing.target.link.era === 'modern'
        ? openModernCall(deps, crossing, sink)
        : isAboutTask(crossing.out.message.method)
          ? deps.tasks.open(crossing, sink)
          : openParkedCall(deps, crossing, sink),
    claim(request, upstream) {
      const { message } = request;
      if (!find(message.params, 'requestState')) return undefined;
      const state = param(message, 'requestState');
      if (upstream === 'modern' && !(typeof state === 'string' && deps.states.isOurs(state)))
        return undefined;
      if (typeof state !== 'string')
        return new GatewayError('invalid_params', 'params.requestState must be a string');
      const read = deps.states.read(state, request);
      if (read instanceof GatewayError) return read;
      const answers = readInputResponses(message.body, find(message.params, 'inputResponses'));
      if (typeof answers === 'string') return new GatewayError('invalid_params', answers);
      if (read.kind === 'hold')
        return {
          id: read.id,
          round: read.round,
          answers,
          declined: answers.size > 0 && !areAccepted(answers),
        };
      if (read.kind === 'login') return { id: read.id, isTool: read.isTool, accepted: areAccepted(answers) };
      if (read.kind === 'urls' && upstream === 'modern')
        return refusal('the server has been replaced: make a new call', 'gone');
      if (read.kind === 'urls') return reopened(deps, read.urls, answers);
      const call = deps.parked.get(read.id);
      if (!call) return refusal('the call of this requestState has ended: make a new call', 'gone');
      // An outdated state must not disturb the call.
      if (call.round !== read.round || !call.isParked)
        return refusal('this requestState was already used: only the latest one is valid', 'used');
      return (crossing, sink) => call.retry(crossing, sink, answers);
    },
    isOurs: (state) => deps.states.isOurs(state),
    ownerOf: (state) => deps.states.ownerOf(state),
    holds: (state) => deps.states.holds(state),
    loginState: (request, id, isTool) => deps.states.ofLogin(request, id, isTool, LOGIN_MS),
    holdState: (request, id, round) => deps.states.ofHold(request, id, round, HOLD_MS),
    endWhere(which) {
      deps.parked.endWhere(which);
    },
    close() {
      deps.parked.close();
    },
  };
}

/** Repeats a call once its client has opened all URLs. */
function reopened(
  deps: BridgeDeps,
  urls: readonly string[],
  answers: ReadonlyMap<string, Buffer>,
): OpenCrossing | GatewayError {
  if (!areAccepted(answers))
    return new GatewayError(
      'input_refused',
      'the call needs a URL to be opened, and its client did not accept that',
    );
  const opened = new Set(urls);
  const open = (crossing: Crossing, sink: Sink): Exchange =>
    openParkedCall(deps, { ...crossing, opened }, sink);
  return Object.assign(open, { isAgain: true as const });
}

function areAccepted(answers: ReadonlyMap<string, Buffer>): boolean {
  const isAccepted = (answer: Buffer): boolean =>
    (JSON.parse(answer.toString('utf8')) as { action?: unknown }).action === 'accept';
  return answers.size > 0 && [...answers.values()].every(isAccepted);
}
