/** The key of the console, as the environment sets it. */
import { isConsoleKey } from '../lib/console-key.js';
import { readSecret, type Values } from './expand.js';
import type { Findings } from './problems.js';

/** undefined: the gateway makes one. */
export function consoleKeyOf({ env }: Values, findings: Findings): string | undefined {
  const { MCPSTEAD_CONSOLE_KEY: given, MCPSTEAD_CONSOLE_KEY_FILE: path } = env;
  if (!given && !path) return undefined;
  if (given && path)
    findings.warnings.push(
      'MCPSTEAD_CONSOLE_KEY is ignored: MCPSTEAD_CONSOLE_KEY_FILE is used (unset one of them)',
    );
  const variable = path ? 'MCPSTEAD_CONSOLE_KEY_FILE' : 'MCPSTEAD_CONSOLE_KEY';
  const read = path ? readSecret(path, process.cwd()) : (given as string);
  if (typeof read !== 'string') {
    findings.environment(variable, read.missing);
    return undefined;
  }
  const key = read.trim();
  if (isConsoleKey(key)) return key;
  findings.environment(
    variable,
    'must be mcpo_ and 43 characters of base64url',
    `as from: node -p "'mcpo_' + crypto.randomBytes(32).toString('base64url')"`,
  );
  return undefined;
}
