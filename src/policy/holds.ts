/** Calls that wait for a yes: `hold` of rules, compiled, and which calls of a tool it is about. */
import { ConfigError } from '../config/problems.js';
import type { Config, HoldConfig, Who } from '../config/types.js';
import { isLoopback } from '../config/address.js';
import { compileGlobs } from '../lib/glob.js';
import { sha256 } from '../lib/sha256.js';
import type { HoldEntry } from '../protocol/approvals.js';
import type { Definition } from '../protocol/lists.js';
import type { Message } from '../protocol/message.js';
import type { Holds, Principal } from '../protocol/ports.js';
import { foldWide } from '../wire/fold.js';
import { heldAnnotationsOf } from './annotations.js';
import { Ambiguous, argumentsOf, conditionInput } from './arguments.js';
import type { Hold } from './rule.js';
import { matches } from './who.js';

/** Where those vote who are asked, for entries of `who` with `routes`. */
const VOTES_AT = '/-/approvals';

/** `rule`, `who`: of the rule that has the entry. */
export function holdEntry(rule: string, who: Who, { place: _, ...config }: HoldConfig): HoldEntry {
  const { by, need, expires_seconds, confirm, repeat } = config;
  return {
    rule,
    digest: sha256(JSON.stringify([rule, who, config])),
    by:
      by === 'caller'
        ? by
        : {
            label: by.map(labelOf).join(' or '),
            fits: (person) => by.some((each) => matches(each, person, VOTES_AT)),
          },
    need,
    expiresMs: expires_seconds * 1000,
    confirm,
    repeat: repeat && { ms: repeat.minutes * 60_000, covers: repeat.covers },
  };
}

/** For people: `finance`, `corp:al`. */
function labelOf({ ids, groups, scopes, claims }: Who): string {
  const named = [
    ...(groups ?? []),
    ...(ids ?? []),
    ...(scopes ?? []).map((scope) => `the scope ${scope}`),
    ...Object.entries(claims ?? {}).map(([name, value]) => `${name} ${value}`),
  ];
  return named.length === 0 ? 'anybody who approves' : named.join(', ').slice(0, 256);
}

/** Equal for names of tools that some server takes for the same: in whatever case and width, and with space around them. */
export function foldTool(name: string): string {
  return foldWide(name).trim();
}

/** Whether a name has characters that a server may leave out, or replace with those that they look like. */
function isOdd(name: string): boolean {
  return /[^\x20-\x7e]/.test(name);
}

/** Which calls of a tool are held; undefined: none is. `definition`: undefined: the server does not list it. */
export function holdsFor(
  holds: readonly Hold[],
  server: string,
  name: string,
  definition: Definition | undefined,
): Holds | undefined {
  const about = holds.filter(({ target, folded }) => {
    // A server may take a name that it does not list for one that it does.
    if (!target.tools?.(name) && (definition || !(isOdd(name) || folded(foldTool(name))))) return false;
    // In doubt it holds.
    if (target.annotations.length === 0 || !definition) return true;
    const own = heldAnnotationsOf(definition);
    return target.annotations.every(([hint, value]) => own[hint] === value);
  });
  return about.length === 0 ? undefined : new HeldTool(about, server, name);
}

class HeldTool implements Holds {
  readonly #holds: readonly Hold[];
  readonly #server: string;
  readonly #name: string;

  constructor(holds: readonly Hold[], server: string, name: string) {
    const isCaller = ({ entry }: Hold): number => (entry.by === 'caller' ? 0 : 1);
    this.#holds = [...holds].sort((a, b) => isCaller(a) - isCaller(b));
    this.#server = server;
    this.#name = name;
  }

  of(principal: Principal, message: Pick<Message, 'body' | 'params'>, route: string): readonly HoldEntry[] {
    const read = this.#holds.some(({ target }) => target.when?.readsArguments) ? readIn(message) : {};
    // What cannot be read in one way only is held.
    if (!read) return this.#holds.map(({ entry }) => entry);
    const item = { kind: 'tool', server: this.#server, name: this.#name } as const;
    const input = conditionInput(principal, item, read, route);
    return this.#holds
      .filter(({ target }) => target.when === undefined || target.when.evaluate(input) !== false)
      .map(({ entry }) => entry);
  }
}

function readIn(message: Pick<Message, 'body' | 'params'>): ReturnType<typeof argumentsOf> | undefined {
  try {
    return argumentsOf(message);
  } catch (error) {
    if (error instanceof Ambiguous) return undefined;
    throw error;
  }
}

/** Throws ConfigError for entries that nobody can say yes to. */
export function checkHolds({ policy, mcp, host, http, admin }: Config): void {
  const { keys, login, proxy } = mcp.auth;
  const publicUrl = http.public_url;
  const approvers = keys.filter(({ approver, disabled }) => approver && !disabled);
  const hasPage =
    login !== undefined || approvers.length > 0 || isAtConsole({ host, admin, publicUrl, proxy });
  const problems = (policy?.rules ?? []).flatMap(({ name, hold }) =>
    hold.flatMap((entry) => {
      const problem = (fix: string): ConfigError['problems'] => [
        { ...entry.place, message: `rule '${name}': nobody can approve`, fix },
      ];
      if (entry.by === 'caller')
        return hasPage || entry.confirm === 'client'
          ? []
          : problem('set mcp.auth.login, make keys with approver: true, or set confirm: client');
      if (login) return [];
      const { by } = entry;
      const persons = new Set(
        approvers
          .filter((key) => by.some((who) => matches(who, keyPrincipal(key), VOTES_AT)))
          .map(({ owner }) => owner),
      );
      return persons.size >= entry.need
        ? []
        : problem(
            entry.need === 1
              ? 'set mcp.auth.login, or make a key with approver: true that `by` is about'
              : `it needs ${entry.need} persons: set mcp.auth.login, or make a key with approver: true for each`,
          );
    }),
  );
  if (problems.length > 0) throw new ConfigError(problems);
}

function keyPrincipal({ name, groups, scopes }: Config['mcp']['auth']['keys'][number]): Principal {
  return {
    ...{ id: `key:${name}`, kind: 'key', name, groups, scopes, claims: {} },
    credential: '',
    expires: undefined,
  };
}

/** Whether the holder of the console key sits at the machine of the gateway, as far as the configuration tells: nobody else reaches it. */
export function isAtConsole({
  host,
  admin,
  publicUrl,
  proxy,
}: {
  readonly host: string;
  /** Of operators; `port`: undefined: it is none of its own. */
  readonly admin: Config['admin'];
  readonly publicUrl: string | null;
  readonly proxy: object | undefined;
}): boolean {
  const isOwn = publicUrl === null || isLoopback(new URL(publicUrl).hostname.replace(/^\[|\]$/g, ''));
  const isNear = isLoopback(host) && (admin.port === undefined || isLoopback(admin.host));
  return isNear && proxy === undefined && isOwn;
}

/** Servers with held tools whose definitions may change unseen, which would change what is held: a sentence for each rule. */
export function unpinnedHolds({ policy, servers }: Pick<Config, 'policy' | 'servers'>): readonly string[] {
  return (policy?.rules ?? []).flatMap(({ name, hold }) => {
    const open = servers.filter(
      (server) => server.pin !== 'enforce' && hold.some((each) => compileGlobs(each.servers)(server.name)),
    );
    if (open.length === 0) return [];
    const named = open.map((server) => `'${server.name}'`).join(', ');
    return [
      `rule '${name}' holds tools of ${named}, which may change what a tool says about itself: set pin: enforce there`,
    ];
  });
}
