/** A credential that is loaded when a server asks for it, or when the state has something from before. */
import { takesLogin, usesOAuth } from '../config/credentials.js';
import type { ServerConfig } from '../config/types.js';
import type { CredentialState } from '../observe/stats.js';
import type { Credential, CredentialRefusal } from '../protocol/credential.js';

export interface LazyDeps {
  mayBeStored(): Promise<boolean>;
  load(): Promise<Real>;
  /** Nobody wants to hear of changes any more. */
  unused(): void;
}

type Real = Credential & { readonly state: CredentialState | undefined; close?(): void };

const NOTHING: readonly string[] = [];

export class LazyCredential implements Credential {
  readonly config: ServerConfig;
  readonly #deps: LazyDeps;
  readonly #heard = new Set<() => void>();
  #real: Real | undefined;
  #loading: Promise<Real> | undefined;
  #isClosed = false;

  constructor(config: ServerConfig, deps: LazyDeps) {
    this.config = config;
    this.#deps = deps;
  }

  get stamp(): number {
    return this.#real?.stamp ?? 0;
  }

  get headers(): readonly string[] {
    return this.#real?.headers ?? NOTHING;
  }

  get environment(): Readonly<Record<string, string>> | undefined {
    return this.#real?.environment;
  }

  get state(): CredentialState | undefined {
    return this.#real?.state;
  }

  get login(): string | undefined {
    return this.#real?.login;
  }

  get secrets(): readonly string[] {
    return this.#real?.secrets ?? NOTHING;
  }

  async ready(signal: AbortSignal): Promise<void> {
    const mayDoWithout = usesOAuth(this.config) && this.config.auth.grant === 'authorization_code';
    if (!this.#real && mayDoWithout && !(await this.#deps.mayBeStored())) return;
    await (await this.loaded()).ready(signal);
  }

  async refused(refusal: CredentialRefusal): Promise<void> {
    await (await this.loaded()).refused(refusal);
  }

  onChange(heard: () => void): () => void {
    this.#heard.add(heard);
    if (this.#heard.size === 1) this.#stop = this.#real?.onChange(this.#tell);
    return () => {
      this.#heard.delete(heard);
      if (this.#heard.size > 0) return;
      this.#stop?.();
      this.#stop = undefined;
      this.#deps.unused();
    };
  }

  /** Lets go of what was loaded. */
  unload(): void {
    this.#real = undefined;
    this.#loading = undefined;
  }

  /** Rejects once it is closed, unless it was loaded before. */
  loaded(): Promise<Real> {
    if (this.#isClosed && !this.#loading) return Promise.reject(new Error('is not in use any more'));
    return (this.#loading ??= this.#deps.load().then(
      (real) => {
        this.#real = real;
        if (this.#heard.size > 0) this.#stop = real.onChange(this.#tell);
        return real;
      },
      (error: unknown) => {
        this.#loading = undefined;
        throw error;
      },
    ));
  }

  /** Nothing uses it any more. Logins are closed by whoever keeps them. */
  close(): void {
    this.#isClosed = true;
    if (takesLogin(this.config)) return;
    void this.#loading?.then(
      (real) => {
        real.close?.();
      },
      () => undefined,
    );
  }

  #stop: (() => void) | undefined;
  readonly #tell = (): void => {
    for (const heard of [...this.#heard]) heard();
  };
}
