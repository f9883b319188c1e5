/** The rules of a policy or a profile, compiled: which set of them applies to a principal on a route. */
import type { PolicyConfig, RuleConfig, TargetConfig, Who } from '../config/types.js';
import { ConfigError } from '../config/problems.js';
import { compileGlobs, type Glob } from '../lib/glob.js';
import type { HoldEntry } from '../protocol/approvals.js';
import type { Principal, Rules } from '../protocol/ports.js';
import { compileCondition, ConditionError } from './condition.js';
import { foldTool, holdEntry } from './holds.js';
import { PerRoute } from './per-route.js';
import type { Rule, Target } from './rule.js';
import { RuleSet } from './rule-set.js';
import { matches } from './who.js';

/** What a policy decides about a principal on a route: see RuleSet. */
export interface Policy {
  of(principal: Principal, route: string): RuleSet;
  /** The entries of `hold` of all rules, by their digests; empty: no call waits for a yes. */
  readonly holds: ReadonlyMap<string, HoldEntry>;
}

const ALL: Glob = () => true;

/** Throws ConfigError with every condition that is not accepted. */
export function compileRules(rules: readonly RuleConfig[]): (Rule & { readonly who: Who })[] {
  const problems: ConstructorParameters<typeof ConfigError>[0][number][] = [];
  const target = (config: TargetConfig): Target => {
    try {
      return compileTarget(config);
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error;
      problems.push({ ...config.place, message: error.message, fix: 'docs/access.md, "Conditions"' });
      return compileTarget({ ...config, when: undefined });
    }
  };
  const compiled = rules.map(({ name, who, needs, allow, deny, hold }) => ({
    name,
    who,
    needs,
    allow: allow.map(target),
    deny: deny.map(target),
    hold: hold.map((each) => ({
      target: target({ ...each, tools: each.tools ?? ['*'], prompts: undefined, resources: undefined }),
      folded: compileGlobs((each.tools ?? ['*']).map(foldTool)),
      entry: holdEntry(name, who, each),
    })),
  }));
  if (problems.length > 0) throw new ConfigError(problems);
  return compiled;
}

function compileTarget({ servers, tools, prompts, resources, annotations, when }: TargetConfig): Target {
  const names = [tools, prompts, resources];
  const isEvery = names.every((each) => each === undefined);
  const glob = (patterns: readonly string[] | undefined): Glob | undefined =>
    patterns && compileGlobs(patterns);
  const hints = Object.entries(annotations ?? {});
  // Only tools have annotations.
  const others = hints.length === 0 ? ALL : undefined;
  return {
    servers: compileGlobs(servers),
    tools: isEvery ? ALL : glob(tools),
    prompts: isEvery ? others : glob(prompts),
    resources: isEvery ? others : glob(resources),
    annotations: hints,
    when: when === undefined ? undefined : compileCondition(when),
    isEverywhere: servers.includes('*'),
    isWhole:
      hints.length === 0 &&
      when === undefined &&
      (isEvery || names.every((each) => each?.includes('*') === true)),
  };
}

/** Compiles a policy. Throws ConfigError. */
export function createPolicy(config: PolicyConfig): Policy {
  const rules = compileRules(config.rules);
  /** By the rules that apply; the least recently used first. */
  const sets = new Map<string, RuleSet>();

  function make(principal: Principal, route: string): RuleSet {
    const isToken = principal.kind === 'token';
    const applying: Rule[] = [];
    const marks: string[] = [];
    rules.forEach((rule, index) => {
      if (!matches(rule.who, principal, route)) return;
      // The holder of a token can ask for more scopes; for others, what they need and lack does not exist.
      const isMet = rule.needs.every((scope) => principal.scopes.includes(scope));
      if (isMet) applying.push({ ...rule, needs: [] });
      else if (isToken) applying.push(rule);
      else if (rule.deny.length > 0 || rule.hold.length > 0) applying.push({ ...rule, allow: [] });
      else return;
      marks.push(`${index}${isMet ? '' : isToken ? '?' : '!'}`);
    });
    const key = marks.join(' ');
    const set = sets.get(key) ?? new RuleSet(key, applying, config.default);
    sets.delete(key);
    sets.set(key, set);
    if (sets.size > config.sets) sets.delete(sets.keys().next().value as string);
    return set;
  }

  const perRoute = new PerRoute(make);
  return {
    of: (principal, route) => perRoute.of(principal, route),
    holds: new Map(rules.flatMap(({ hold }) => hold.map(({ entry }) => [entry.digest, entry] as const))),
  };
}

/** What a profile allows. */
export function rulesOfProfile(name: string, allow: readonly TargetConfig[]): Rules {
  const rule = { name: `profile ${name}`, who: {}, needs: [], allow, deny: [], hold: [] };
  return new RuleSet(name, compileRules([rule]), 'deny');
}
