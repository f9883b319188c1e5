/** The program that checks and tests the rules of Prometheus. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

// `.ci/run` unpacks it in the cache of the tests; wire-setup.ts sets the variable, and takes the other one away.
const CACHE =
  process.env['MCPSTEAD_TESTS_CACHE'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'mcpstead-tests');

/** Its path; undefined: there is none. */
export const PROMTOOL: string | undefined = [
  process.env['PROMTOOL'],
  '/usr/bin/promtool',
  '/usr/local/bin/promtool',
  join(CACHE, 'promtool'),
].find((path) => path !== undefined && path !== '' && existsSync(path));
