import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import tls from 'node:tls';
import type { HttpServerConfig } from '../../config/types.js';

/** The variables that say where a system keeps the certificates it trusts. */
export interface TrustEnvironment {
  readonly SSL_CERT_FILE?: string | undefined;
  readonly SSL_CERT_DIR?: string | undefined;
  readonly NODE_EXTRA_CA_CERTS?: string | undefined;
}

/** Where distributions keep the bundle; the first that exists is the system's. */
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

/** Roots by the variables that name their sources: read once. */
const rootsBySource = new Map<string, string[]>();
/** Parsing some 150 certificates takes 20 ms: once for what went in, not each time an upstream is dialled. */
const contexts = new Map<string, tls.SecureContext>();
const MOST_CONTEXTS = 64;

/** What TLS towards this upstream is made with. Throws an error that names the key and the file. */
export function tlsOptions(server: HttpServerConfig, env: TrustEnvironment): SecureOptions {
  const { ca_file, cert_file, key_file, server_name } = server.tls;
  const options: SecureOptions = {};
  if (server_name !== undefined) options.servername = server_name;
  if (server.tls_skip_verify) options.rejectUnauthorized = false;

  const own: tls.SecureContextOptions = {};
  if (cert_file !== undefined) own.cert = readKey('cert_file', cert_file);
  if (key_file !== undefined) own.key = readKey('key_file', key_file);
  const authority = ca_file === undefined ? undefined : certificates(readKey('ca_file', ca_file));
  if (authority?.length === 0) throw new Error(`tls.ca_file: ${ca_file} holds no certificate in PEM form`);

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
    // Certificates are renewed: those of long ago are not needed again.
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

/** Node's own roots, the system's and the extra ones. What cannot be read is left out, as OpenSSL does. */
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
      // a folder that is not there adds nothing
    }
  }
  if (env.NODE_EXTRA_CA_CERTS) add(env.NODE_EXTRA_CA_CERTS);
  return sources;
}

function certificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? [];
}

/** The same certificate may be wrapped differently in two files. */
function bare(pem: string): string {
  return pem.replace(/\s+/g, '');
}
