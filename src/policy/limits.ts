/** Limits for calls: rates and numbers by rule, and a fair share of each server. */
import { namesPeople } from '../config/index.js';
import type { Config, LimitRule } from '../config/types.js';
import { GatewayError } from '../errors.js';
import { compileGlobs, type Glob } from '../lib/glob.js';
import type { Caller, NameKind, Principal, Target } from '../protocol/ports.js';
import { Buckets, type Rate, type Wait, type Want } from './buckets.js';
import { PerRoute } from './per-route.js';
import type { SharedRates } from './shared-rates.js';
import { Shares } from './shares.js';
import { matches } from './who.js';

export interface LimitsDeps {
  readonly config: () => Config;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Refused calls are counted here, by rule. */
  readonly refused: { add(rule: string): void };
  /** Counts for rules with `shared`; undefined: there is no fleet, so they are like any rule. */
  readonly shared?: () => SharedRates | undefined;
}

/** Why a call is refused, or what to call when it is over; undefined: nothing limits it. */
export type Entered = GatewayError | (() => void) | undefined;

interface Compiled {
  readonly rule: LimitRule;
  readonly rate: Rate;
  readonly servers: Glob;
  readonly tools: Glob;
  /** It is about prompts and resources too. */
  readonly isAboutAll: boolean;
  /** The begin of its keys. Another rate is another rule. */
  readonly prefix: string;
}

/** What a call counts in. */
interface Counted {
  readonly server: string;
  readonly kind: NameKind;
  readonly name: string;
  readonly label: string;
  readonly rules: readonly Compiled[];
  readonly wants: readonly Want[];
  /** Whether a rule counts the calls of all replicas. */
  readonly isShared: boolean;
  /** Those of `rules` that limit how many are in progress. */
  readonly concurrent: readonly Concurrent[];
}

interface Concurrent {
  readonly name: string;
  /** The bucket. */
  readonly key: string;
  readonly most: number;
}

/** Of a principal on a route. */
interface Own {
  /** Rules that are for him there. */
  readonly rules: readonly Compiled[];
  /** Of the last call: the next one is mostly like it, and V8 hashes the keys of its buckets once. */
  last: Counted;
}

interface SharedCall {
  readonly principal: Principal;
  readonly server: string;
  readonly counted: Counted;
  /** Whether the shares of servers count. */
  readonly sharing: boolean;
}

export class Limits {
  readonly #deps: LimitsDeps;
  readonly #buckets: Buckets;
  readonly #shares: Shares;
  /** Calls in progress, by bucket. */
  readonly #running = new Map<string, number>();
  #of: readonly LimitRule[] = [];
  #rules: readonly Compiled[] = [];
  /** What a principal has on a route. */
  #own = perRoute([]);

  constructor(deps: LimitsDeps) {
    this.#deps = deps;
    this.#buckets = new Buckets(deps.now);
    this.#shares = new Shares(deps.now);
  }

  /**
   * Lets a call in, or says why not. Returns what to call when it is over; undefined: nothing limits it. `route`: its path, as in
   * `/servers/files/mcp`. A promise, which never rejects, only if a rule of the call is shared by replicas.
   */
  enter(
    { principal }: Pick<Caller, 'principal'>,
    target: Target,
    kind: NameKind,
    route: string,
  ): Entered | Promise<Entered> {
    if (kind === 'task') return undefined;
    const config = this.#deps.config();
    if (config.limits.rules !== this.#of) this.#compile(config.limits.rules);
    const counted = this.#rules.length === 0 ? NOTHING : this.#counted(principal, target, kind, route);
    const { rules, wants, isShared } = counted;
    const sharing = namesPeople(config.mcp.auth);
    if (rules.length === 0 && !sharing) return undefined;
    const { server } = target.link;
    const { in_flight, share } = config.limits;
    // Asked first, and taken last: a refused call takes nothing.
    if (sharing && !this.#shares.hasRoom(server, principal.id, Math.max(1, Math.floor(in_flight * share))))
      return new GatewayError(
        'busy',
        `upstream '${server}' is busy: others call it too, and you have your share of calls in flight (limits.share)`,
        undefined,
        'limits.share',
      );
    const shared = isShared ? this.#deps.shared?.() : undefined;
    if (shared) return this.#enterShared(shared, { principal, server, counted, sharing });
    const refusal = this.#full(counted) ?? this.#take(principal, rules, wants);
    return refusal ?? this.#let(principal, server, counted, sharing);
  }

  /** Takes all that is counted here at once, and gives it back if the store refuses the rest. */
  async #enterShared(
    store: SharedRates,
    { principal, server, counted, sharing }: SharedCall,
  ): Promise<Entered> {
    const { rules, wants } = counted;
    const isShared = (_: unknown, index: number): boolean => rules[index]?.rule.shared === true;
    const isOwn = (_: unknown, index: number): boolean => rules[index]?.rule.shared !== true;
    const own = wants.filter(isOwn);
    const refusal = this.#full(counted) ?? this.#take(principal, rules.filter(isOwn), own);
    if (refusal) return refusal;
    const leave = this.#let(principal, server, counted, sharing);
    const [common, those] = [wants.filter(isShared), rules.filter(isShared)];
    const taken = await store.take(principal.id, common);
    const late =
      typeof taken === 'object'
        ? this.#tooFast(those, taken)
        : // Counted here too, for when the store is away.
          this.#take(principal, those, common, taken === 'taken');
    if (!late) return leave;
    leave?.();
    this.#buckets.give(principal.id, own);
    return late;
  }

  /** What to call when a call that is let in is over. */
  #let(
    { id }: Principal,
    server: string,
    { concurrent }: Counted,
    sharing: boolean,
  ): (() => void) | undefined {
    if (concurrent.length === 0 && !sharing) return undefined;
    for (const { key } of concurrent) this.#running.set(key, (this.#running.get(key) ?? 0) + 1);
    const leave = sharing ? this.#shares.enter(server, id) : undefined;
    return () => {
      leave?.();
      for (const { key } of concurrent) this.#over(key);
    };
  }

  #full({ concurrent }: Counted): GatewayError | undefined {
    for (const { name, key, most } of concurrent)
      if ((this.#running.get(key) ?? 0) >= most)
        return this.#refuse(name, `rule '${name}' allows ${most} at a time`, 1000);
    return undefined;
  }

  /** `isLetIn`: it was let in elsewhere, and is only counted. */
  #take(
    principal: Principal,
    rules: readonly Compiled[],
    wants: readonly Want[],
    isLetIn = false,
  ): GatewayError | undefined {
    const wait = this.#buckets.take(principal.id, wants);
    return wait && !isLetIn ? this.#tooFast(rules, wait) : undefined;
  }

  #tooFast(rules: readonly Compiled[], { index, ms }: Wait): GatewayError {
    const { name, per_second } = (rules[index] as Compiled).rule;
    return this.#refuse(name, `rule '${name}' allows ${per_second} a second`, ms);
  }

  #refuse(rule: string, why: string, ms: number): GatewayError {
    this.#deps.refused.add(rule);
    const retryAfter = Math.max(1, Math.ceil(ms / 1000));
    return new GatewayError(
      'rate_limited',
      `too many calls: ${why}; try again in ${retryAfter} s`,
      { retryAfter },
      rule,
    );
  }

  #over(key: string): void {
    const count = (this.#running.get(key) ?? 1) - 1;
    if (count > 0) this.#running.set(key, count);
    else this.#running.delete(key);
  }

  #counted(principal: Principal, { link, name, label }: Target, kind: NameKind, route: string): Counted {
    const { server } = link;
    const own = this.#own.of(principal, route);
    const { last } = own;
    if (last.server === server && last.kind === kind && last.name === name && last.label === label)
      return last;
    const rules = own.rules.filter(
      ({ servers, tools, isAboutAll }) => servers(server) && (isAboutAll || (kind === 'tool' && tools(name))),
    );
    const wants = rules.map(({ prefix, rule, rate }): Want => {
      const { per } = rule;
      const of = per === 'principal' ? '' : per === 'server' ? server : `${server}\0${kind}\0${label}`;
      return { rule: prefix, rate, key: `${prefix}\0${principal.id}\0${of}` };
    });
    const isShared = rules.some(({ rule }) => rule.shared);
    const concurrent = rules.flatMap(({ rule }, index) =>
      rule.concurrent === undefined
        ? []
        : { name: rule.name, key: (wants[index] as Want).key, most: rule.concurrent },
    );
    const counted = { server, kind, name, label, rules, wants, isShared, concurrent };
    if (name.length <= MOST_KEPT) own.last = counted;
    return counted;
  }

  #compile(rules: readonly LimitRule[]): void {
    this.#of = rules;
    this.#rules = rules.map((rule) => ({
      rule,
      rate: { interval: 1000 / rule.per_second, burst: rule.burst },
      servers: compileGlobs(rule.servers),
      tools: compileGlobs(rule.tools),
      isAboutAll: rule.tools.includes('*'),
      prefix: `${rule.name}\0${rule.per_second}\0${rule.burst}`,
    }));
    this.#own = perRoute(this.#rules);
  }
}

/** Longest name that is kept, in characters: that of a resource may be as long as a request, and a principal has many routes. */
const MOST_KEPT = 256;

const NOTHING: Counted = {
  ...{ server: '', kind: 'task', name: '', label: '' },
  ...{ rules: [], wants: [], isShared: false, concurrent: [] },
};

function perRoute(rules: readonly Compiled[]): PerRoute<Own> {
  return new PerRoute((principal, route) => ({
    rules: rules.filter(({ rule }) => matches(rule.who, principal, route)),
    last: NOTHING,
  }));
}
