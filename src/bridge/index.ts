/**
 * The way of a call whose client or whose upstream is modern: the one room that knows both eras. Calls between a legacy client and a
 * legacy upstream do not come here.
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

/** Goes on with what its state stands for. The sink is never called before this has returned. */
export type Resume = (crossing: Crossing, sink: Sink) => Exchange;

export interface Bridge {
  /** The sink is never called before this has returned. */
  open: Resume;
  /**
   * A request of a modern client: undefined: it brings no state of this gateway, and is a call of its own; else how it goes on, or why
   * it does not. Nothing has changed yet. `upstream`: a modern one has states of its own, and may stand where a legacy one stood.
   */
  claim(request: Presented, upstream: Era): Resume | GatewayError | undefined;
  /** Ends the parked calls for which `which` holds. */
  endWhere(which: (call: Parked) => boolean): void;
  /** Ends all parked calls; none is parked any more. */
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
        return new GatewayError('invalid_params', 'params.requestState must be a text');
      const read = deps.states.read(state, request);
      if (read instanceof GatewayError) return read;
      const answers = readInputResponses(message.body, find(message.params, 'inputResponses'));
      if (typeof answers === 'string') return new GatewayError('invalid_params', answers);
      if (read.kind === 'urls' && upstream === 'modern')
        return refusal('the server is another one than before: make the call anew', 'gone');
      if (read.kind === 'urls') return reopened(deps, read.urls, answers);
      const call = deps.parked.get(read.id);
      if (!call) return refusal('the call of this requestState has ended: make it anew', 'gone');
      // Its round is under way, or over: the call itself goes on undisturbed.
      if (call.round !== read.round || !call.isParked)
        return refusal('this requestState was used already: only the latest one counts', 'used');
      return (crossing, sink) => call.retry(crossing, sink, answers);
    },
    endWhere(which) {
      deps.parked.endWhere(which);
    },
    close() {
      deps.parked.close();
    },
  };
}

/** The call is made anew, once its client has opened all that it was asked to. */
function reopened(
  deps: BridgeDeps,
  urls: readonly string[],
  answers: ReadonlyMap<string, Buffer>,
): Resume | GatewayError {
  const accepted = [...answers.values()].every(
    (answer) => (JSON.parse(answer.toString('utf8')) as { action?: unknown }).action === 'accept',
  );
  if (answers.size === 0 || !accepted)
    return new GatewayError(
      'input_refused',
      'the call needs a URL to be opened, and its client did not accept that',
    );
  const opened = new Set(urls);
  return (crossing, sink) => openParkedCall(deps, { ...crossing, opened }, sink);
}
