/** The keys of all servers with `auth.type: key`, and what people do with them. */
import type { KeyServer } from '../config/types.js';
import type { Logger } from '../observe/log.js';
import { EVERYBODY, isServerKey, type Connection } from '../protocol/logins.js';
import { KeyCredential, NoKey } from './key-credential.js';
import { readKey, recordKey, writeKey, type KeyRecords } from './key-records.js';
import { OwnedCredentials } from './owned-credentials.js';
import { eraseOwned } from './owned-records.js';
import { CredentialProblem } from './problem.js';
import type { ServerCredential } from './server-credential.js';

export interface KeysDeps {
  readonly records: () => Promise<KeyRecords>;
  /** Whether other processes use the same records. */
  readonly shared: boolean;
  readonly log: Logger;
  /** Somebody has set a key. `owner`: EVERYBODY, or the id of a principal. */
  readonly loggedIn: (server: string, owner: string) => void;
}

export class Keys {
  readonly #deps: KeysDeps;
  readonly #owned: OwnedCredentials<KeyServer, KeyCredential>;

  constructor(deps: KeysDeps) {
    this.#deps = deps;
    const { records, shared, log } = deps;
    this.#owned = new OwnedCredentials<KeyServer, KeyCredential>({
      createEntry: (config) => ({ config, credentials: new Map(), open: new NoKey(config) }),
      create: ({ config }, owner) =>
        new KeyCredential({ config, key: recordKey(config, owner), records, shared, log }),
      recordKey,
      refusals: {
        unknown: (server) => `'${server}' takes no key: see its auth`,
        each: (server) => `at '${server}' each user has a key of his own`,
        one: (server) => `at '${server}' one key serves everybody`,
      },
    });
  }

  /**
   * The credential of a server, the same one for the same configuration and owner. `owner`: EVERYBODY, or the id of a principal, whose
   * credential is kept until `release`.
   */
  of(config: KeyServer, owner = EVERYBODY): ServerCredential {
    return this.#owned.of(config, owner);
  }

  /** Forgets the credential of an owner, unless somebody waits for its changes. */
  release(server: string, owner: string): void {
    this.#owned.release(server, owner);
  }

  /** Keeps a key in place of the one before. Rejects with a CredentialProblem, or where the state cannot be written. */
  async set(server: string, owner: string, value: string): Promise<void> {
    const { config, credentials } = this.#owned.at(server, owner);
    if (!isServerKey(value))
      throw new CredentialProblem(
        'config',
        'a key has 1 to 16384 letters, digits and signs of ASCII, without spaces',
      );
    await writeKey(await this.#deps.records(), recordKey(config, owner), value);
    await credentials.get(owner)?.reload();
    this.#deps.loggedIn(server, owner);
    this.#deps.log.info('a key was set for a server', { server });
  }

  /** Erases a key. Returns whether there was one. */
  async logout(server: string, owner: string): Promise<boolean> {
    const { config, credentials } = this.#owned.at(server, owner);
    const records = await this.#deps.records();
    const key = recordKey(config, owner);
    const stored = await readKey(records, key);
    await records.delete(key);
    await credentials.get(owner)?.reload();
    return stored !== undefined;
  }

  /** All servers that take a key. `owner`: whose keys are shown where each user has his own; EVERYBODY: nobody's. */
  async connections(owner: string): Promise<Connection[]> {
    const all = this.#owned.all().map(async (entry): Promise<Connection> => {
      const { config } = entry;
      const { per } = config.auth;
      const holder = per === 'user' ? owner : EVERYBODY;
      const isAsked = per === 'gateway' || owner !== EVERYBODY;
      const credential = this.#owned.peek(entry, holder);
      if (isAsked) await credential.reload();
      return {
        server: config.name,
        per,
        takes: 'key',
        state: (isAsked ? credential.state : undefined) ?? 'none',
        reason: isAsked ? credential.missing : undefined,
        issuer: undefined,
        scopes: [],
        expires: undefined,
        renews: false,
      };
    });
    return Promise.all(all);
  }

  /** Erases the keys that no server of the configuration uses, apart from those of `kept`. Returns the names of their servers. */
  async prune(kept: ReadonlySet<string>): Promise<string[]> {
    return eraseOwned(await this.#deps.records(), 'key', (...of) => this.#owned.keeps(...of, kept));
  }

  /** Erases the keys of principals that are gone: who gets the same id later is somebody else. */
  async eraseOwners(ids: ReadonlySet<string>): Promise<void> {
    await eraseOwned(await this.#deps.records(), 'key', (_key, _server, owner) => !ids.has(owner));
    await this.#owned.reload(ids);
  }

  /** Forgets a server that was removed. */
  remove(server: string): void {
    this.#owned.remove(server);
  }

  close(): void {
    this.#owned.close();
  }
}
