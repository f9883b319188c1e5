/**
 * Decides about a call of something that its caller may see: scopes and conditions of the policy. What the caller may not see does not
 * exist, which the view has decided before.
 */
import type { GatewayError } from '../errors.js';
import type { GatewayStats } from '../observe/stats.js';
import type { NameKind, Target } from '../protocol/ports.js';
import type { Incoming } from './incoming.js';
import type { Views } from './views.js';

export interface GuardedDeps {
  readonly views: Pick<Views, 'unrestricted'>;
  readonly stats: GatewayStats;
}

/** Why a call is refused; undefined: it may go on. Notes the decision for the observers. */
export function guarded(
  { stats }: GuardedDeps,
  incoming: Incoming,
  kind: NameKind,
  target: Target,
): GatewayError | undefined {
  const { caller, origin, message } = incoming;
  const verdict = caller.view.verdict(kind, target);
  if (!verdict) return undefined;
  if (!verdict.guard) {
    incoming.rule = verdict.rule;
    stats.policyDecisions.add('allow');
    return undefined;
  }
  const { rule, error } = verdict.guard.check(caller.principal, message, origin.route.path);
  incoming.rule = rule;
  if (error) {
    incoming.target ??= target;
    incoming.decision = error.code === 'insufficient_scope' ? 'step_up' : 'deny';
  }
  stats.policyDecisions.add(incoming.decision);
  return error;
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
  incoming.decision = 'hide';
  incoming.rule = view.verdict(kind, target)?.rule;
  stats.policyDecisions.add('hide');
}
