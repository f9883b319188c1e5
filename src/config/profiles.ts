/** Resolves profiles, and what they and servers change of tools. */
import { isDeepStrictEqual } from 'node:util';
import { targetOf, uniqueNames } from './access.js';
import type { Findings, Path } from './problems.js';
import { searchOf } from './search.js';
import type { FileValues } from './schema.js';
import type { Config } from './types.js';

export function profilesOf(file: FileValues, findings: Findings): Config['profiles'] {
  uniqueNames(file.profiles, ['profiles'], findings);
  file.profiles.forEach(({ overrides }, index) => {
    for (const [key, override] of Object.entries(overrides)) {
      const path = ['profiles', index, 'overrides', key];
      if (key.indexOf('__') < 1) findings.problem(path, 'must be <server>__<tool>', 'tickets__create');
      checkArguments(override, path, findings);
    }
  });
  return file.profiles.map(({ allow, description, instructions, search, ...profile }, index) => ({
    ...profile,
    description,
    instructions,
    search: searchOf(search),
    allow: allow?.map((each, i) => targetOf(each, ['profiles', index, 'allow', i], findings)),
  }));
}

/** Reports values of arguments that are not JSON, and large ones: each call is sent with them. */
export function checkArguments(
  { arguments: changed = {} }: FileValues['profiles'][number]['overrides'][string],
  path: Path,
  findings: Findings,
): void {
  for (const [name, argument] of Object.entries(changed)) {
    if (!('value' in argument)) continue;
    let json: string | undefined;
    try {
      json = JSON.stringify(argument.value);
    } catch {
      json = undefined;
    }
    const at = [...path, 'arguments', name, 'value'];
    if (json === undefined || !isDeepStrictEqual(JSON.parse(json), argument.value))
      findings.problem(at, 'must be JSON: a string, number, boolean, null, list or mapping');
    else if (json.length > MAX_VALUE)
      findings.problem(at, `must have at most ${MAX_VALUE} characters as JSON`);
  }
}

/** Longest value of an argument. */
const MAX_VALUE = 16_384;

/** Reports overrides for servers that do not exist, which change nothing. */
export function checkOverrides(
  { profiles, servers, disabled }: Pick<Config, 'profiles' | 'servers' | 'disabled'>,
  findings: Findings,
): void {
  const known = new Set([...servers, ...disabled].map(({ name }) => name));
  profiles.forEach(({ overrides }, index) => {
    for (const key of Object.keys(overrides)) {
      const server = key.slice(0, key.indexOf('__'));
      if (!known.has(server))
        findings.warn(
          ['profiles', index, 'overrides', key],
          `changes nothing: there is no server '${server}'`,
        );
    }
  });
}

/** Reports keys that are confined to a profile which does not exist: they could use nothing. */
export function checkProfiles({ mcp, profiles }: Pick<Config, 'mcp' | 'profiles'>, findings: Findings): void {
  const known = new Set(profiles.map(({ name }) => name));
  for (const { name, profile } of mcp.auth.keys)
    if (profile !== undefined && !known.has(profile))
      findings.problem(
        ['mcp', 'auth', 'keys'],
        `the key '${name}' is confined to the profile '${profile}', which does not exist`,
        `profiles: [{name: ${profile}}]`,
      );
}
