/** Says what a policy decides about each item of a route for somebody, and which rule decides. */
import { withFixedArguments } from '../protocol/fixed-arguments.js';
import { LISTS, LIST_KINDS, type ListKind } from '../protocol/lists.js';
import { readMessages, type Message } from '../protocol/message.js';
import type { NameKind, Principal, Rules, Verdict } from '../protocol/ports.js';
import type { Access } from '../policy/access.js';
import type { Route } from './route.js';
import type { Views } from './views.js';

/** `guarded`: listed, and each call is checked. `held`: the same, and some calls or all wait for a yes. */
export type ExplainedVerdict = 'shown' | 'guarded' | 'held' | 'hidden';

export interface ExplainedItem {
  readonly kind: 'tool' | 'prompt' | 'resource' | 'template';
  readonly server: string;
  /** The server's own name or URI. */
  readonly name: string;
  readonly verdict: ExplainedVerdict;
  /** The rule that decides, or `default`. */
  readonly rule: string;
}

/** One item, and what would be answered to a call with some arguments. */
export interface ExplainedCall extends ExplainedItem {
  /** What happens to the call; absent for a hidden item. */
  readonly call?: 'allow' | 'hold' | 'deny' | 'step_up';
  /** Whose yes a held call waits for: the rule, and `caller` or those who vote. */
  readonly waits_for?: readonly { readonly rule: string; readonly by: string; readonly need: number }[];
  /** The error of a refused call. */
  readonly error?: string;
}

export interface ExplainDeps {
  readonly views: Pick<Views, 'whole'>;
  readonly access: () => Access;
}

const NAME_OF: Readonly<Record<ListKind, NameKind>> = {
  tools: 'tool',
  prompts: 'prompt',
  resources: 'resource',
  templates: 'resource',
  skills: 'resource',
};

/** Every listed item of a route. */
export function explainAll(deps: ExplainDeps, principal: Principal, route: Route): ExplainedItem[] {
  const rules = deps.access().policy?.of(principal, route.path);
  const { registry } = deps.views.whole(route);
  return registry.entries().flatMap(({ link }) => {
    const { server } = link;
    if (route.server !== undefined && route.server !== server) return [];
    return LIST_KINDS.flatMap((kind) =>
      registry.list(link, kind).map((definition) => {
        const kindName = NAME_OF[kind];
        const verdict = rules ? rules.decide(kindName, server, definition.key, definition) : ALLOWED;
        const item = kind === 'templates' ? 'template' : (LISTS[kind].singular as ExplainedItem['kind']);
        return explained(item, server, definition.key, verdict);
      }),
    );
  });
}

const ALLOWED: Verdict = { shown: true, rule: 'no policy' };

function explained(
  kind: ExplainedItem['kind'],
  server: string,
  name: string,
  { shown, rule, guard, holds }: Verdict,
): ExplainedItem {
  const verdict = !shown ? 'hidden' : holds ? 'held' : guard ? 'guarded' : 'shown';
  return { kind, server, name, verdict, rule };
}

/** One name as a client of the route writes it; undefined: no rule hides it, it is unknown. `args`: JSON of the arguments of a call. */
export function explainOne(
  deps: ExplainDeps,
  principal: Principal,
  route: Route,
  asked: { readonly kind: 'tool' | 'prompt' | 'resource'; readonly name: string; readonly args: unknown },
): ExplainedCall | undefined {
  const { kind, name, args } = asked;
  const target = deps.views.whole(route).view.find(kind, name);
  if (!target) return undefined;
  const { link, definition } = target;
  const rules: Rules | undefined = deps.access().policy?.of(principal, route.path);
  const verdict = rules ? rules.decide(kind, link.server, target.name, definition) : ALLOWED;
  const item = explained(kind, link.server, target.name, verdict);
  if (item.verdict === 'hidden' || args === undefined) return item;
  const call = callOf(name, args);
  const sent = target.fixed ? (withFixedArguments(call, target.fixed) ?? call) : call;
  const checked = verdict.guard?.check(principal, sent, route.path);
  if (!checked?.error) {
    const allowed = { ...item, rule: checked?.rule ?? item.rule };
    const entries = verdict.holds?.of(principal, sent, route.path) ?? [];
    if (entries.length === 0) return { ...allowed, call: 'allow' };
    const waits = entries.map(({ rule, by, need }) => ({ rule, by: by === 'caller' ? by : by.label, need }));
    return { ...allowed, rule: waits[0]?.rule ?? allowed.rule, call: 'hold', waits_for: waits };
  }
  const decision = checked.error.code === 'insufficient_scope' ? 'step_up' : 'deny';
  return { ...item, rule: checked.rule, call: decision, error: checked.error.message };
}

function callOf(name: string, args: unknown): Message {
  const params = { name, arguments: args };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
  return readMessages(Buffer.from(body)) as Message;
}
