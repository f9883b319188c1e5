import { readSecret } from './expand.js';

/**
 * The token that this process sends to a gateway: MCPSTEAD_BEARER_TOKEN, or the first line of the file that
 * MCPSTEAD_BEARER_TOKEN_FILE names. Throws if that file cannot be read.
 */
export function ownToken(env: NodeJS.ProcessEnv): string | undefined {
  const { MCPSTEAD_BEARER_TOKEN: token, MCPSTEAD_BEARER_TOKEN_FILE: path } = env;
  if (!path) return token || undefined;
  const secret = readSecret(path, process.cwd());
  if (typeof secret !== 'string') throw new Error(`MCPSTEAD_BEARER_TOKEN_FILE: ${secret.missing}`);
  const first = secret
    .split(/\r?\n/)
    .map((line) => line.trim())
    .find((line) => line !== '');
  if (first === undefined) throw new Error(`MCPSTEAD_BEARER_TOKEN_FILE: secret file ${path} is empty`);
  return first;
}
