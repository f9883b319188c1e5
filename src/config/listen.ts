import { dirname, resolve } from 'node:path';
import { bindHost } from './address.js';
import { isMapping } from './client-files.js';
import { expand } from './expand.js';
import { FILE_BYTES, readBounded } from './read.js';
import { ConfigError } from './problems.js';
import { parseText } from './syntax.js';

/**
 * The address that a gateway with this config listens on, read without validation: a health check must not fail
 * while somebody edits the file of a running gateway. Never throws; reports an unreadable file to `unread`.
 */
export function listenAddress(
  path: string | undefined,
  env: NodeJS.ProcessEnv,
  unread: (why: string) => void = () => undefined,
): { host: string; port: number } {
  const written = path ? read(path, unread) : {};
  const { host, port } = written;
  const values = { env, folder: dirname(resolve(path ?? '.')) };
  const named = env['MCPSTEAD_HOST'] || (typeof host === 'string' ? expand(host, values, () => {}) : '');
  return {
    host: bindHost(named) ?? '127.0.0.1',
    port: Number(env['MCPSTEAD_PORT']) || (typeof port === 'number' ? port : 8766),
  };
}

function read(path: string, unread: (why: string) => void): Readonly<Record<string, unknown>> {
  try {
    const { value } = parseText(readBounded(path, FILE_BYTES), path);
    return isMapping(value) ? value : {};
  } catch (error) {
    const { message } = error as Error;
    unread(error instanceof ConfigError ? message : `cannot read config '${path}': ${message}`);
    return {};
  }
}
