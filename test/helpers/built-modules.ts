/** What is in the scripts of dist, by their source maps. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const STATIC = /^(?:import|export)\s+(?:[\w*{][^'"();]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;

/** The modules of src in a script of dist, such as `cli/main.ts` in `cli/main.js`. */
export function modulesIn(script: string): string[] {
  const map = join(DIST, `${script}.map`);
  // One that only exports what others have has none.
  if (!existsSync(map)) return [];
  const { sources } = JSON.parse(readFileSync(map, 'utf8')) as { sources: string[] };
  return sources.flatMap((source) => /(?:^|\/)src\/(.*)$/.exec(source)?.[1] ?? []);
}

/** The scripts of dist, without those of the console. */
export function scripts(): string[] {
  return readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /^(?:index|(?:cli|demo|chunks)\/.*)\.js$/.test(name),
  );
}

/** The script of dist that has a module of src. */
export function scriptWith(module: string): string {
  const found = scripts().find((script) => modulesIn(script).includes(module));
  if (found === undefined) throw new Error(`no script of dist has ${module}`);
  return found;
}

/** What scripts of dist import without a condition, and themselves: scripts by their path, packages by their name. */
export function loadedBy(...scripts: readonly string[]): ReadonlySet<string> {
  const found = new Set(scripts);
  for (const script of found) {
    if (!script.endsWith('.js')) continue;
    for (const [, from = ''] of readFileSync(join(DIST, script), 'utf8').matchAll(STATIC))
      found.add(from.startsWith('.') ? join(script, '..', from) : from);
  }
  return found;
}
