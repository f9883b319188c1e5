/** The keys that people set for servers with `auth.type: key`. What they are made of is loaded when such a server needs it. */
import { takesKey } from '../config/credentials.js';
import type { Config, KeyServer } from '../config/types.js';
import type { Keys } from '../credentials/keys.js';
import type { ServerCredential } from '../credentials/server-credential.js';
import type { Logger } from '../observe/log.js';
import type { Connection } from '../protocol/logins.js';
import type { State } from '../state/open.js';

export interface ServerKeysDeps {
  readonly config: () => Config;
  readonly log: Logger;
  readonly state: () => Promise<State>;
  readonly loggedIn: (server: string, owner: string) => void;
}

export class ServerKeys {
  readonly #deps: ServerKeysDeps;
  #keys: Promise<Keys> | undefined;
  #isClosed = false;

  constructor(deps: ServerKeysDeps) {
    this.#deps = deps;
  }

  async of(config: KeyServer, owner: string): Promise<ServerCredential> {
    return (await this.#load()).of(config, owner);
  }

  /** Whether a server takes a key. */
  takes(server: string): boolean {
    return this.#servers().some(({ name }) => name === server);
  }

  async set(server: string, owner: string, value: string): Promise<void> {
    return (await this.#withAll()).set(server, owner, value);
  }

  async logout(server: string, owner: string): Promise<boolean> {
    return (await this.#withAll()).logout(server, owner);
  }

  /** Resolves with an empty list, without loading anything, if no server takes a key. */
  async connections(owner: string): Promise<readonly Connection[]> {
    return this.#servers().length === 0 ? [] : (await this.#withAll()).connections(owner);
  }

  async prune(kept: ReadonlySet<string>): Promise<readonly string[]> {
    return (await this.#withAll()).prune(kept);
  }

  async eraseOwners(ids: ReadonlySet<string>): Promise<void> {
    if (this.#servers().length > 0) await (await this.#withAll()).eraseOwners(ids);
  }

  release(server: string, owner: string): void {
    this.#ifLoaded((keys) => {
      keys.release(server, owner);
    });
  }

  remove(server: string): void {
    this.#ifLoaded((keys) => {
      keys.remove(server);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#ifLoaded((keys) => {
      keys.close();
    });
  }

  #servers(): KeyServer[] {
    return this.#deps.config().servers.filter(takesKey);
  }

  #ifLoaded(work: (keys: Keys) => void): void {
    void this.#keys?.then(work, () => undefined);
  }

  /** With all servers, not only those that were asked for a key. */
  async #withAll(): Promise<Keys> {
    const keys = await this.#load();
    for (const config of this.#servers()) keys.of(config);
    return keys;
  }

  #load(): Promise<Keys> {
    if (this.#isClosed) return Promise.reject(new Error('closed'));
    return (this.#keys ??= this.#create().catch((error: unknown) => {
      this.#keys = undefined;
      throw error;
    }));
  }

  async #create(): Promise<Keys> {
    const { log, state, loggedIn } = this.#deps;
    const [{ Keys }, { store, lasts }] = await Promise.all([import('../credentials/keys.js'), state()]);
    return new Keys({ records: () => Promise.resolve(store), shared: lasts, log, loggedIn });
  }
}
