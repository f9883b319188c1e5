/** Requests and notifications of extensions that the gateway does not know. */
import { GatewayError } from '../../errors.js';
import type { Message } from '../../protocol/message.js';
import { readsAsMethod } from '../../protocol/methods.js';
import type { Exchange, Target, View } from '../../protocol/ports.js';
import { openCall, type CallDeps } from '../call.js';
import { refused, type Handled, type Incoming } from '../incoming.js';
import { limit, type GuardedDeps } from '../guarded.js';
import { inUse, remember } from '../under-way.js';
import { deferred } from './deferred.js';
import { foreignHeaders, methodNotFound, unreachable } from './relay.js';

/**
 * Sends a request of an unknown method to the server that declares something unknown. Nothing in the request is a name. Its answer may be a stream of events, so the server may be silent for as long as its client stays.
 */
export function passOn(deps: CallDeps & GuardedDeps, incoming: Incoming): Handled {
  const { method } = incoming.message;
  // A method of the other era does not exist here, even if a server has it.
  const link = readsAsMethod(method) ? undefined : incoming.caller.view.unknown(method);
  if (!link || link instanceof GatewayError)
    return refused(incoming.message, link ?? methodNotFound(incoming.message));
  if (link.state !== 'up') return refused(incoming.message, unreachable({ link }));
  const used = inUse(incoming);
  if (used) return used;
  const { message } = incoming;
  const target: Target = {
    link,
    name: message.method,
    patch: undefined,
    label: 'unknown',
    repeatable: false,
    definition: undefined,
    stats: undefined,
  };
  // Limits of tools are about other calls, unless they are about all.
  const limited = limit(deps, incoming, 'resource', target);
  if (limited && !(limited instanceof Promise)) return refused(message, limited);
  const go = (): Exchange => pass(deps, incoming, target);
  if (!limited) return { kind: 'exchange', exchange: go() };
  let refusal: GatewayError | undefined;
  const until = limited.then((error) => {
    refusal = error;
  });
  const waiting = deferred(deps.boundary, incoming, { until, controller: new AbortController() }, () => {
    if (!refusal) {
      waiting.next = go();
      return;
    }
    incoming.sink.fail(refusal);
    waiting.over('error');
  });
  remember(incoming, waiting);
  return { kind: 'exchange', exchange: waiting };
}

function pass(deps: CallDeps, incoming: Incoming, target: Target): Exchange {
  const { message, caller, origin } = incoming;
  const { link } = target;
  const isModern = caller.era === 'modern';
  const foreign = isModern && origin.headers ? foreignHeaders(origin.headers, []) : [];
  const exchange = openCall(deps, incoming, {
    target,
    at: { start: 0, end: 0 },
    sink: incoming.sink,
    crossing:
      isModern || link.era === 'modern' ? { name: message.method, foreign, resume: undefined } : undefined,
    quiet: true,
    over: undefined,
  });
  remember(incoming, exchange);
  return exchange;
}

/** Passes on a notification of an unknown method, if it is clear which server it is for. */
export function tellUnknown(view: View, { method, body }: Message): void {
  if (readsAsMethod(method)) return;
  const link = view.unknown(method);
  if (link && !(link instanceof GatewayError) && link.state === 'up') link.tell(body);
}
