/** The rules that apply to some principals, and what they decide about each item. */
import { GatewayError } from '../errors.js';
import type { Definition } from '../protocol/lists.js';
import type { Message } from '../protocol/message.js';
import type { Checked, Guard, NameKind, Principal, Rules, Verdict } from '../protocol/ports.js';
import type { JsonObject } from '../wire/json.js';
import { annotationsOf } from './annotations.js';
import { Ambiguous, argumentsOf, conditionInput, type ConditionItem } from './arguments.js';
import { holdsFor } from './holds.js';
import type { Hold as HoldOf, Rule, Target } from './rule.js';
import { isPlainUri } from './uris.js';

const DEFAULT = 'default';

/** An entry of a rule. */
interface Entry {
  readonly rule: Rule;
  readonly target: Target;
}

/** The entries that are about a server. */
interface Entries {
  readonly allow: readonly Entry[];
  readonly deny: readonly Entry[];
  readonly hold: readonly HoldOf[];
  readonly isHidden: boolean;
  readonly isWhole: boolean;
}

export class RuleSet implements Rules {
  /** Equal keys: equal decisions, as long as the policy is in force. */
  readonly key: string;
  readonly #rules: readonly Rule[];
  readonly #default: 'deny' | 'allow';
  readonly #servers = new Map<string, Entries>();
  /** Whether everything is allowed, of all servers. */
  readonly isAll: boolean;

  constructor(key: string, rules: readonly Rule[], fallback: 'deny' | 'allow') {
    this.key = key;
    this.#rules = rules;
    this.#default = fallback;
    const allows = rules.flatMap(({ needs, allow }) => (needs.length === 0 ? allow : []));
    this.isAll =
      rules.every(({ deny, hold }) => deny.length === 0 && hold.length === 0) &&
      (rules.length === 0
        ? fallback === 'allow'
        : allows.some((target) => target.isWhole && target.isEverywhere));
  }

  /** Whether nothing of a server may be seen. `server`: one that exists. */
  hides(server: string): boolean {
    return this.#of(server).isHidden;
  }

  /** Whether everything of a server is allowed, also what it does not list. */
  whole(server: string): boolean {
    const { isWhole, hold } = this.#of(server);
    // A method that is unknown here may do what a held tool does.
    return isWhole && hold.length === 0;
  }

  /** Decides about an item. `name`: the server's own. `definition`: undefined: the server does not list it. */
  decide(kind: NameKind, server: string, name: string, definition?: Definition): Verdict {
    const entries = this.#of(server);
    const verdict = this.#decide(entries, kind, server, name, definition);
    if (kind !== 'tool' || entries.hold.length === 0 || !verdict.shown) return verdict;
    const holds = holdsFor(entries.hold, server, name, definition);
    return holds ? { ...verdict, holds } : verdict;
  }

  #decide(
    entries: Entries,
    kind: NameKind,
    server: string,
    name: string,
    definition: Definition | undefined,
  ): Verdict {
    if (entries.isHidden) return { shown: false, rule: this.#hidingRule(entries) };
    if (entries.isWhole) return { shown: true, rule: entries.allow[0]?.rule.name ?? DEFAULT };
    // A task belongs to a tool, which is checked.
    if (kind === 'task') return { shown: true, rule: DEFAULT };
    // Servers may read such URIs as those of other resources.
    if (kind === 'resource' && !isPlainUri(name)) return { shown: false, rule: DEFAULT };
    const denies: Entry[] = [];
    for (const entry of entries.deny) {
      if (!fits(entry.target, kind, name, definition, true)) continue;
      if (!entry.target.when) return { shown: false, rule: entry.rule.name };
      denies.push(entry);
    }
    const allows = entries.allow.filter(({ target }) => fits(target, kind, name, definition, false));
    if (allows.length === 0 && this.#default === 'deny') return { shown: false, rule: DEFAULT };
    const free = allows.find(({ rule, target }) => !target.when && rule.needs.length === 0);
    const rule = (free ?? allows[0])?.rule.name ?? DEFAULT;
    if (denies.length === 0 && (free || allows.length === 0)) return { shown: true, rule };
    const item = { kind, server, name };
    return { shown: true, rule, guard: new ConditionalGuard(item, free ? [free] : allows, denies) };
  }

  #hidingRule({ deny }: Entries): string {
    return deny.find(({ target }) => target.isWhole)?.rule.name ?? DEFAULT;
  }

  #of(server: string): Entries {
    let entries = this.#servers.get(server);
    if (!entries) {
      if (this.#servers.size >= MAX_SERVERS) this.#servers.clear();
      this.#servers.set(server, (entries = this.#entriesOf(server)));
    }
    return entries;
  }

  #entriesOf(server: string): Entries {
    const about = (targets: (rule: Rule) => readonly Target[]): Entry[] =>
      this.#rules.flatMap((rule) =>
        targets(rule).flatMap((target) => (target.servers(server) ? [{ rule, target }] : [])),
      );
    const allow = about((rule) => rule.allow);
    const deny = about((rule) => rule.deny);
    const isHidden =
      deny.some(({ target }) => target.isWhole) || (allow.length === 0 && this.#default === 'deny');
    const isWhole =
      deny.length === 0 &&
      (allow.length === 0
        ? this.#default === 'allow'
        : allow.some(({ rule, target }) => target.isWhole && rule.needs.length === 0));
    const hold = this.#rules.flatMap((rule) => rule.hold.filter(({ target }) => target.servers(server)));
    return { allow, deny, hold, isHidden, isWhole };
  }
}

/** Servers whose entries are remembered. */
const MAX_SERVERS = 10_000;

/** `unlistedFits`: whether annotations of a tool that is not listed count as equal. */
function fits(
  target: Target,
  kind: Exclude<NameKind, 'task'>,
  name: string,
  definition: Definition | undefined,
  unlistedFits: boolean,
): boolean {
  const glob = kind === 'tool' ? target.tools : kind === 'prompt' ? target.prompts : target.resources;
  if (!glob?.(name)) return false;
  if (kind !== 'tool' || target.annotations.length === 0) return true;
  if (!definition) return unlistedFits;
  const own = annotationsOf(definition);
  return target.annotations.every(([hint, value]) => own[hint] === value);
}

class ConditionalGuard implements Guard {
  readonly #item: ConditionItem;
  readonly #allows: readonly Entry[];
  readonly #denies: readonly Entry[];
  readonly #readsArguments: boolean;

  /** Without `allows` the default allows what no condition denies. */
  constructor(item: ConditionItem, allows: readonly Entry[], denies: readonly Entry[]) {
    this.#item = item;
    this.#allows = allows;
    this.#denies = denies;
    this.#readsArguments = [...allows, ...denies].some(({ target }) => target.when?.readsArguments);
  }

  check(principal: Principal, message: Pick<Message, 'body' | 'params'>, route: string): Checked {
    const met = this.#allows.filter(({ rule }) => missing(rule, principal).length === 0);
    const [first] = this.#allows;
    if (first && met.length === 0) return this.#lacksScope(first.rule);
    let args: JsonObject = {};
    if (this.#readsArguments) {
      try {
        args = argumentsOf(message);
      } catch (error) {
        if (!(error instanceof Ambiguous)) throw error;
        const [entry] = [...this.#denies, ...this.#allows].filter(
          ({ target }) => target.when?.readsArguments,
        );
        return denied(entry?.rule.name ?? DEFAULT, error.message);
      }
    }
    const input = conditionInput(principal, this.#item, args, route);
    const holds = ({ target }: Entry): boolean | 'error' => target.when?.evaluate(input) ?? true;
    for (const entry of this.#denies) if (holds(entry) !== false) return denied(entry.rule.name);
    if (!first) return { rule: DEFAULT };
    for (const entry of met) if (holds(entry) === true) return { rule: entry.rule.name };
    for (const entry of this.#allows)
      if (!met.includes(entry) && holds(entry) === true) return this.#lacksScope(entry.rule);
    return denied((met[0] ?? first).rule.name);
  }

  #lacksScope({ name, needs }: Rule): Checked {
    const error = new GatewayError('insufficient_scope', `this needs the scope ${needs.join(' ')}`, {
      scopes: needs,
    });
    return { rule: name, error };
  }
}

function missing({ needs }: Rule, { scopes }: Principal): readonly string[] {
  return needs.filter((scope) => !scopes.includes(scope));
}

function denied(rule: string, why?: string): Checked {
  const text = `refused by policy: rule '${rule}'${why === undefined ? '' : `: ${why}`}`;
  return { rule, error: new GatewayError('denied', text) };
}
