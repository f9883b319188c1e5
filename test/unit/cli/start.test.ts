/** What a gateway loads to start. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const DIST = fileURLToPath(new URL('../../../dist/', import.meta.url));
const STATIC = /^(?:import|export)\s+(?:[\w*{][^'"();]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;

/** The modules that built ones import without a condition: own ones by their path, packages by their name. */
function loadedBy(...entries: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>(entries);
  for (const module of found) {
    if (!module.endsWith('.js')) continue;
    for (const [, from = ''] of readFileSync(join(DIST, module), 'utf8').matchAll(STATIC))
      found.add(from.startsWith('.') ? join(dirname(module), from) : from);
  }
  return found;
}

it('loads nothing of the commands, the prompts and the admin API for serve and stdio', () => {
  const loaded = loadedBy('cli/main.js', 'cli/commands.js', 'cli/serve.js', 'cli/stdio.js');
  expect(loaded).toContain('gateway.js');
  const unwanted =
    /stricli|clack|smol-toml|cli\/(?:app|table|verbs|clients|edit|registry)|admin\/(?:api|routes|schemas)/;
  expect([...loaded].filter((name) => unwanted.test(name))).toEqual([]);
});
