import { dirname, resolve } from 'node:path';
import { stateDir } from './access.js';
import { bindHost, isLoopback } from './address.js';
import { isMapping } from './client-files.js';
import { expand } from './expand.js';
import { FILE_BYTES, readBounded } from './read.js';
import { ConfigError } from './problems.js';
import { parseText } from './syntax.js';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Whether clients need a certificate. */
  readonly clientCert: boolean;
}

/**
 * The address that a gateway with this config listens on, for operators (on a port of their own, if there is one) or for clients, read without validation: a health check must not fail
 * while somebody edits the file of a running gateway. Never throws; reports an unreadable file to `unread`.
 */
export function listenAddress(
  path: string | undefined,
  env: NodeJS.ProcessEnv,
  unread: (why: string) => void = () => undefined,
  whom: 'operators' | 'clients' = 'operators',
): ListenAddress {
  const written = path ? read(path, unread) : {};
  const { host, port } = written;
  const values = { env, folder: dirname(resolve(path ?? '.')) };
  const named = env['MCPSTEAD_HOST'] || (typeof host === 'string' ? expand(host, values, () => {}) : '');
  const tls = mappingAt(mappingAt(written, 'http'), 'tls');
  const secured = {
    tls: typeof tls['cert_file'] === 'string',
    clientCert: tls['client_cert'] === 'required',
  };
  const admin = mappingAt(written, 'admin');
  if (whom === 'operators' && typeof admin['port'] === 'number' && admin['port'] > 0) {
    const { host } = admin;
    const address = {
      host: (typeof host === 'string' && bindHost(host)) || '127.0.0.1',
      port: admin['port'],
    };
    return { ...address, ...(isLoopback(address.host) ? { tls: false, clientCert: false } : secured) };
  }
  return {
    host: bindHost(named) ?? '127.0.0.1',
    port: Number(env['MCPSTEAD_PORT']) || (typeof port === 'number' ? port : 8766),
    ...secured,
  };
}

/** The folder for the state of a gateway with this config; undefined: it has none. Read without validation; never throws. */
export function stateFolder(path: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  const { dir } = mappingAt(path ? read(path, () => undefined) : {}, 'state');
  const values = { env, folder: dirname(resolve(path ?? '.')) };
  const written = typeof dir === 'string' ? expand(dir, values, () => {}) : undefined;
  return stateDir({ state: { dir: written || undefined } }, values);
}

function mappingAt(from: Readonly<Record<string, unknown>>, key: string): Readonly<Record<string, unknown>> {
  const value = from[key];
  return isMapping(value) ? value : {};
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
