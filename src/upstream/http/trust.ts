import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import type { HttpServerConfig } from '../../config/types.js';
import { certificates, systemRoots, type TrustEnvironment } from '../../lib/system-roots.js';

export type { TrustEnvironment } from '../../lib/system-roots.js';

export interface SecureOptions {
  secureContext?: tls.SecureContext;
  servername?: string;
  rejectUnauthorized?: boolean;
}

/** Contexts by their options: parsing some 150 certificates takes 20 ms. */
const contexts = new Map<string, tls.SecureContext>();
const MOST_CONTEXTS = 64;

/** The TLS options for a server. Throws an Error that names the key and the file. */
export function tlsOptions(
  server: Pick<HttpServerConfig, 'tls' | 'tls_skip_verify'>,
  env: TrustEnvironment,
): SecureOptions {
  const { ca_file, cert_file, key_file, server_name } = server.tls;
  const options: SecureOptions = {};
  if (server_name !== undefined) options.servername = server_name;
  if (server.tls_skip_verify) options.rejectUnauthorized = false;

  const own: tls.SecureContextOptions = {};
  if (cert_file !== undefined) own.cert = readKey('cert_file', cert_file);
  if (key_file !== undefined) own.key = readKey('key_file', key_file);
  const authority = ca_file === undefined ? undefined : certificates(readKey('ca_file', ca_file));
  if (authority?.length === 0) throw new Error(`tls.ca_file: ${ca_file} has no certificate in PEM format`);

  if (!server.tls_skip_verify) own.ca = [...systemRoots(env), ...(authority ?? [])];
  options.secureContext = contextOf(own);
  return options;
}

function contextOf(options: tls.SecureContextOptions): tls.SecureContext {
  const key = createHash('sha256').update(JSON.stringify(options)).digest('base64');
  let context = contexts.get(key);
  if (context === undefined) {
    try {
      context = tls.createSecureContext(options);
    } catch (error) {
      const what = options.cert || options.key ? 'cert_file and key_file do not make a key pair' : 'ca_file';
      throw new Error(`tls: ${what}: ${(error as Error).message}`, { cause: error });
    }
    // Certificates are renewed: the oldest context is not needed again.
    if (contexts.size >= MOST_CONTEXTS) contexts.delete(contexts.keys().next().value as string);
    contexts.set(key, context);
  }
  return context;
}

function readKey(key: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`tls.${key}: cannot read ${file} (${code ?? 'unknown error'})`, { cause: error });
  }
}
