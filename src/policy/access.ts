/** What the configuration says about who may see and use what, compiled. A reload makes a new one, unless nothing changed. */
import { isDeepStrictEqual } from 'node:util';
import type { SearchConfig } from '../config/search.js';
import type { Config, OverrideConfig, ProfileConfig } from '../config/types.js';
import { compileGlobs, type Glob } from '../lib/glob.js';
import type { Rules } from '../protocol/ports.js';
import { checkHolds } from './holds.js';
import { createPolicy, rulesOfProfile, type Policy } from './rules.js';

/** Changes to the definitions of tools, by server and the server's own name of the tool. */
export type Overrides = ReadonlyMap<string, ReadonlyMap<string, OverrideConfig>>;

export interface Profile {
  /** undefined: everything. */
  readonly rules: Rules | undefined;
  /** Those of the servers, with those of the profile over them. */
  readonly overrides: Overrides;
  readonly prefix: ProfileConfig['prefix'];
  /** undefined: what its servers say. */
  readonly instructions: string | undefined;
  /** undefined: its tools are listed. `always`: whether a tool is listed all the same, by its name in the profile. */
  readonly search?: (Omit<SearchConfig, 'always'> & { readonly always: Glob }) | undefined;
}

type Source = Pick<Config, 'policy' | 'profiles'> & {
  readonly confines: boolean;
  readonly servers: readonly Pick<Config['servers'][number], 'name' | 'overrides' | 'pin'>[];
};

export interface Access {
  /** What it was made from. */
  readonly source: Source;
  /** undefined: everything is allowed. */
  readonly policy: Policy | undefined;
  /** Cached sets of rules, at the most. */
  readonly sets: number;
  readonly profiles: ReadonlyMap<string, Profile>;
  /** Those of the servers; empty: there are none. */
  readonly overrides: Overrides;
  /** Whether some keys get a profile where others get all servers. */
  readonly confines: boolean;
  /** Servers whose definitions are pinned. */
  readonly pinned: ReadonlyMap<string, 'warn' | 'enforce'>;
}

/** Throws ConfigError. `old`: the one in force, which is returned if nothing changed. */
export function createAccess(config: Config, old?: Access): Access {
  checkHolds(config);
  const { policy, profiles } = config;
  const servers = config.servers.map(({ name, overrides, pin }) => ({ name, overrides, pin }));
  const confines = config.mcp.auth.keys.some(({ profile }) => profile !== undefined);
  const source = { policy, profiles, servers, confines };
  if (old && isDeepStrictEqual(old.source, source)) return old;
  const ofServers = new Map(
    servers.flatMap(({ name, overrides }) => {
      const own = new Map(Object.entries(overrides));
      return own.size === 0 ? [] : [[name, own] as const];
    }),
  );
  return {
    source,
    policy: policy && createPolicy(policy),
    sets: policy?.sets ?? 1,
    profiles: new Map(
      profiles.map(({ name, allow, overrides, prefix, instructions, search }) => [
        name,
        {
          rules: allow && rulesOfProfile(name, allow),
          overrides: withOwn(ofServers, overrides),
          prefix,
          instructions,
          search: search && { ...search, always: compileGlobs(search.always) },
        },
      ]),
    ),
    overrides: ofServers,
    confines,
    pinned: new Map(servers.flatMap(({ name, pin }) => (pin === 'off' ? [] : [[name, pin] as const]))),
  };
}

/** `own`: by `<server>__<tool>`. */
function withOwn(
  ofServers: ReadonlyMap<string, ReadonlyMap<string, OverrideConfig>>,
  own: Readonly<Record<string, OverrideConfig>>,
): Overrides {
  const all = new Map<string, Map<string, OverrideConfig>>();
  for (const [server, tools] of ofServers) all.set(server, new Map(tools));
  for (const [qualified, override] of Object.entries(own)) {
    const at = qualified.indexOf('__');
    const server = qualified.slice(0, at);
    const tool = qualified.slice(at + 2);
    let tools = all.get(server);
    if (!tools) all.set(server, (tools = new Map<string, OverrideConfig>()));
    tools.set(tool, combined(tools.get(tool), override));
  }
  return all;
}

/** `own` over `base`, each argument by itself: a profile that describes one keeps the value that the server's override fixes. */
function combined(base: OverrideConfig | undefined, own: OverrideConfig): OverrideConfig {
  if (!base?.arguments || !own.arguments) return { ...base, ...own };
  const args = new Map(Object.entries(base.arguments));
  for (const [name, change] of Object.entries(own.arguments))
    args.set(name, { ...args.get(name), ...change });
  return { ...base, ...own, arguments: Object.fromEntries(args) };
}
