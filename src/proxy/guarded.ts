/**
 * Decides about a call of something that its caller may see: scopes and conditions of the policy. What the caller may not see does not
 * exist, which the view has decided before.
 */
import { GatewayError } from '../errors.js';
import type { GatewayStats } from '../observe/stats.js';
import type { Entered, Limits } from '../policy/limits.js';
import type { Checked, NameKind, Target } from '../protocol/ports.js';
import type { Incoming } from './incoming.js';
import type { Runtime } from './runtime.js';
import type { Views } from './views.js';

export interface GuardedDeps {
  readonly views: Pick<Views, 'of' | 'plain' | 'unrestricted' | 'isPersonal'>;
  readonly stats: GatewayStats;
  readonly limits: Pick<Limits, 'enter'>;
  readonly runtime: () => Runtime;
}

/** Why a call is refused; undefined: it may go on. Notes the decision for the observers. */
export function guarded(
  { stats, runtime }: GuardedDeps,
  incoming: Incoming,
  kind: NameKind,
  target: Target,
): GatewayError | undefined {
  const { caller, origin, message } = incoming;
  const verdict = caller.view.verdict(kind, target);
  if (!verdict) return undefined;
  const checked: Checked = verdict.guard?.check(caller.principal, message, origin.route.path) ?? verdict;
  const { rule, error } = checked;
  const decision = !error ? 'allow' : error.code === 'insufficient_scope' ? 'step_up' : 'deny';
  if (error) incoming.target ??= target;
  if (error?.code === 'insufficient_scope' && origin.headers) {
    const { scopes } = error.data as { scopes: readonly string[] };
    const shown = { headers: origin.headers, socket: origin.remote ?? {} };
    error.challenge = runtime().auth.stepUp(shown, origin.route.path, scopes);
  }
  incoming.decided(decision, rule);
  stats.policyDecisions.add(decision);
  return error;
}

/**
 * Why a call is too much at the moment; undefined: it is not, and counts until it is over. A promise, which never rejects, only if replicas
 * share a limit of the call.
 */
export function limit(
  { limits, stats }: GuardedDeps,
  incoming: Incoming,
  kind: NameKind,
  target: Target,
): GatewayError | undefined | Promise<GatewayError | undefined> {
  const { route } = incoming.origin;
  if (route.link) return undefined;
  const entered = limits.enter(incoming.caller, target, kind, route.path);
  if (!entered) return undefined;
  return entered instanceof Promise
    ? entered.then((later) => limited(stats, incoming, kind, target, later))
    : limited(stats, incoming, kind, target, entered);
}

function limited(
  stats: GuardedDeps['stats'],
  incoming: Incoming,
  kind: NameKind,
  target: Target,
  entered: Entered,
): GatewayError | undefined {
  if (!entered) return undefined;
  if (!(entered instanceof GatewayError)) {
    incoming.holds(entered);
    return undefined;
  }
  incoming.target ??= target;
  if (entered.code === 'busy' && kind === 'tool') incoming.reason = 'busy';
  incoming.decided('limit', entered.rule);
  stats.policyDecisions.add('limit');
  return entered;
}

/** Notes for the observers, not for the caller, that a rule hides what an unknown name would lead to. */
export function noteHidden(
  { views, stats }: GuardedDeps,
  incoming: Incoming,
  kind: NameKind,
  name: string,
): void {
  const { view } = incoming.caller;
  const target = views.unrestricted(view, kind, name);
  if (!target) return;
  incoming.decided('hide', view.verdict(kind, target)?.rule);
  stats.policyDecisions.add('hide');
}
