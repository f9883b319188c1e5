/** The certificates of authorities that this machine trusts: those of Node.js, of the system, and of some variables. */
import { readFileSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import tls from 'node:tls';

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

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Root certificates by the variables that name their sources: read once. */
const rootsBySource = new Map<string, string[]>();

/** Certificates in PEM format: those of Node.js, of the system and of NODE_EXTRA_CA_CERTS. Unreadable files are skipped, as OpenSSL does. */
export function systemRoots(env: TrustEnvironment): string[] {
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

/** The certificates of a text in PEM format. */
export function certificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? [];
}

/** A certificate without white space: line breaks may differ between files. */
function bare(pem: string): string {
  return pem.replace(/\s+/g, '');
}
