/** TLS of the ports (`http.tls`), as Node takes it. */
import { X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import type { TlsConfig } from '../../config/types.js';

export function contextOptions({ cert, key, client_ca, min_version }: TlsConfig): SecureContextOptions {
  return {
    cert,
    key,
    // Without CA certificates of its own, a server would trust those that Node has for servers.
    ca: client_ca ?? [],
    minVersion: min_version,
  };
}

/** When the certificate of the port expires, in Unix seconds. */
export function expiryOf({ cert }: TlsConfig): number {
  return Math.floor(Date.parse(new X509Certificate(cert).validTo) / 1000);
}
