import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import tls from 'node:tls';
import type { HttpServerConfig } from '../../config/types.js';

/** The environment variables that name trusted certificates. */
export interface TrustEnvironment {
  readonly SSL_CERT_FILE?: string | undefined;
  readonly SSL_CERT_DIR?: string | undefined;
  readonly NODE_EXTRA_CA_CERTS?: string | undefined;
}

/** The bundles of trusted certificates of different systems; the first that exists is used. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Alpine
  '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, RHEL 6
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // RHEL 7 on
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/pki/tls/cacert.pem',
  '/etc/ssl/cert.pem', // macOS, BSD
];

export interface SecureOptions {
  secureContext?: tls.SecureContext;
  servername?: string;
  rejectUnauthorized?: boolean;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Root certificates by the variables that name their sources: read once. */
const rootsBySource = new Map<string, string[]>();
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

/** The root certificates of Node, of the system and of NODE_EXTRA_CA_CERTS. Unreadable files are skipped, as OpenSSL does. */
function systemRoots(env: TrustEnvironment): string[] {
  const key = JSON.stringify([env.SSL_CERT_FILE, env.SSL_CERT_DIR, env.NODE_EXTRA_CA_CERTS]);
  let roots = rootsBySource.get(key);
  if (roots === undefined) {
    const seen = new Map(tls.rootCertificates.map((pem) => [bare(pem), pem]));
    for (const text of systemSources(env)) {
      for (const pem of certificates(text)) {
        const id = bare(pem);
        if (!seen.has(id)) seen.set(id, pem);
      }
    }
    rootsBySource.set(key, (roots = [...seen.values()]));
  }
  return roots;
}

function systemSources(env: TrustEnvironment): string[] {
  const sources: string[] = [];
  const add = (file: string): boolean => {
    try {
      sources.push(readFileSync(file, 'utf8'));
      return true;
    } catch {
      return false;
    }
  };
  if (env.SSL_CERT_FILE) add(env.SSL_CERT_FILE);
  else BUNDLES.some(add);
  for (const folder of env.SSL_CERT_DIR?.split(delimiter) ?? []) {
    try {
      for (const name of readdirSync(folder)) add(join(folder, name));
    } catch {
      // A missing folder is skipped.
    }
  }
  if (env.NODE_EXTRA_CA_CERTS) add(env.NODE_EXTRA_CA_CERTS);
  return sources;
}

function certificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? [];
}

/** A certificate without white space: line breaks may differ between files. */
function bare(pem: string): string {
  return pem.replace(/\s+/g, '');
}
