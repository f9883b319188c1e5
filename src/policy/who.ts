/** Whether a rule is for a principal on a route. */
import type { Who } from '../config/types.js';
import { compileGlob, compileGlobs } from '../lib/glob.js';
import type { Principal } from '../protocol/ports.js';

type Test = (principal: Principal, route: string) => boolean;

/** Compiled once, for as long as their configuration is in use. */
const compiled = new WeakMap<Who, readonly Test[]>();

/**
 * Whether all members of `who` match; of each list, one entry. A `who` without members matches everybody, an empty list nobody. `route`: the
 * key of the route, as in `/servers/files/mcp`; `/sse` and `/messages` count as their `/mcp`.
 */
export function matches(who: Who, principal: Principal, route: string): boolean {
  let tests = compiled.get(who);
  if (!tests) compiled.set(who, (tests = compile(who)));
  for (const test of tests) if (!test(principal, route)) return false;
  return true;
}

function compile({ ids, groups, scopes, routes, claims }: Who): Test[] {
  const tests: Test[] = [];
  if (ids) {
    const glob = compileGlobs(ids);
    tests.push(({ id }) => glob(id));
  }
  if (groups) {
    const glob = compileGlobs(groups);
    tests.push((principal) => principal.groups.some(glob));
  }
  if (scopes) {
    const glob = compileGlobs(scopes);
    tests.push((principal) => principal.scopes.some(glob));
  }
  if (routes) {
    const glob = compileGlobs(routes.map(asMcp));
    tests.push((_, route) => glob(asMcp(route)));
  }
  for (const [name, wanted] of Object.entries(claims ?? {})) {
    const fits = claimTest(wanted);
    tests.push((principal) => {
      const claim = Object.hasOwn(principal.claims, name) ? principal.claims[name] : undefined;
      const values: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
      return values.some(fits);
    });
  }
  return tests;
}

/** Whether a value of a claim is the wanted text (a glob), number or boolean; types are not converted. */
function claimTest(wanted: string | number | boolean): (value: unknown) => boolean {
  if (typeof wanted !== 'string') return (value) => value === wanted;
  const glob = compileGlob(wanted);
  return (value) => typeof value === 'string' && glob(value);
}

function asMcp(route: string): string {
  return route.replace(/\/(sse|messages)$/, '/mcp');
}
