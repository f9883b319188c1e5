/** Whether a server can be made of the PEM files of `http.tls`. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

/** What is wrong with a certificate and its key; undefined: nothing. */
export function certificateProblem(cert: string, key: string): string | undefined {
  try {
    createSecureContext({ cert, key });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether a text is CA certificates in PEM, at least one. OpenSSL passes over a file without any. */
export function areCertificates(pem: string): boolean {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const text of found) new X509Certificate(text);
    return found.length > 0;
  } catch {
    return false;
  }
}
