// Certificates of the gateway, of an authority that lives as long as the run: made by openssl.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export class Certificates {
  #folder;
  #made = 0;

  constructor(folder) {
    this.#folder = join(folder, 'tls');
    mkdirSync(this.#folder);
    this.caFile = join(this.#folder, 'ca.pem');
    const ca = [
      '-x509',
      '-days',
      '2',
      '-subj',
      '/CN=soak',
      '-keyout',
      this.#path('ca.key'),
      '-out',
      this.caFile,
    ];
    this.#openssl('req', ...KEY, ...ca);
    this.ca = readFileSync(this.caFile, 'utf8');
    this.tls = { cert_file: this.#path('cert.pem'), key_file: this.#path('key.pem') };
    this.change();
  }

  /** Replaces certificate and key. Returns the fingerprint of the new one. */
  change() {
    const { cert, key } = this.#issue();
    renameSync(cert, this.tls.cert_file);
    renameSync(key, this.tls.key_file);
    return new X509Certificate(readFileSync(this.tls.cert_file)).fingerprint256;
  }

  /** Replaces the key alone, by one of another certificate. */
  spoil() {
    renameSync(this.#issue().key, this.tls.key_file);
  }

  #path(name) {
    return join(this.#folder, name);
  }

  #issue() {
    const name = `n${++this.#made}`;
    const [cert, key, asked, more] = ['pem', 'key', 'csr', 'ext'].map((kind) =>
      this.#path(`${name}.${kind}`),
    );
    writeFileSync(more, 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    this.#openssl('req', ...KEY, '-subj', `/CN=${name}`, '-keyout', key, '-out', asked);
    const by = ['-CA', this.caFile, '-CAkey', this.#path('ca.key'), '-set_serial', String(this.#made)];
    this.#openssl('x509', '-req', '-in', asked, ...by, '-days', '1', '-extfile', more, '-out', cert);
    return { cert, key };
  }

  #openssl(...args) {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
