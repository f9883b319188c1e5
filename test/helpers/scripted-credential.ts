/** A credential whose answers a test decides. */
import { needsLogin } from '../../src/errors.js';
import type { Credential, CredentialRefusal } from '../../src/protocol/credential.js';

export class ScriptedCredential implements Credential {
  stamp = 0;
  headers: readonly string[] = [];
  secrets: readonly string[] = [];
  /** The refusals that it was asked about. */
  readonly refusals: CredentialRefusal[] = [];
  /** How often an attempt to connect asked for it. */
  asked = 0;
  /** Runs before each attempt to connect. */
  onReady: () => Promise<void> | void = () => undefined;
  /** Resolves if the request is to be sent again. */
  onRefused: (refusal: CredentialRefusal) => Promise<void> | void = () => {
    throw needsLogin('s', 'never');
  };
  readonly #heard = new Set<() => void>();

  constructor(token?: string) {
    if (token !== undefined) this.show(token);
  }

  get listeners(): number {
    return this.#heard.size;
  }

  show(token: string): void {
    this.stamp++;
    this.headers = ['authorization', `Bearer ${token}`];
    this.secrets = [token];
    for (const heard of [...this.#heard]) heard();
  }

  lose(): void {
    this.stamp++;
    this.headers = [];
    this.secrets = [];
    for (const heard of [...this.#heard]) heard();
  }

  async ready(): Promise<void> {
    this.asked++;
    await this.onReady();
  }

  async refused(refusal: CredentialRefusal): Promise<void> {
    this.refusals.push(refusal);
    await this.onRefused(refusal);
  }

  onChange(heard: () => void): () => void {
    this.#heard.add(heard);
    return () => {
      this.#heard.delete(heard);
    };
  }
}
