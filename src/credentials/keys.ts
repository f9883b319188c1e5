/** The keys of all servers with `auth.type: key`, and what people do with them. */
import { isShownAlike } from '../config/credentials.js';
import type { KeyServer } from '../config/types.js';
import type { Logger } from '../observe/log.js';
import { EVERYBODY, isServerKey, type Connection } from '../protocol/logins.js';
import { KeyCredential, NoKey } from './key-credential.js';
import { eraseKeys, readKey, recordKey, writeKey, type KeyRecords } from './key-records.js';
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

interface Entry {
  readonly config: KeyServer;
  /** By owner: EVERYBODY, or the id of a principal. */
  readonly credentials: Map<string, KeyCredential>;
  /** What is shown in place of a key where each user has his own. */
  readonly open: NoKey;
}

export class Keys {
  readonly #deps: KeysDeps;
  readonly #entries = new Map<string, Entry>();

  constructor(deps: KeysDeps) {
    this.#deps = deps;
  }

  /**
   * The credential of a server, the same one for the same configuration and owner. `owner`: EVERYBODY, or the id of a principal, whose
   * credential is kept until `release`.
   */
  of(config: KeyServer, owner = EVERYBODY): ServerCredential {
    const entry = this.#entryOf(config);
    if (config.auth.per === 'user' && owner === EVERYBODY) return entry.open;
    let credential = entry.credentials.get(owner);
    if (!credential) entry.credentials.set(owner, (credential = this.#create(config, owner)));
    return credential;
  }

  /** Forgets the credential of an owner, unless somebody waits for its changes. */
  release(server: string, owner: string): void {
    const credentials = this.#entries.get(server)?.credentials;
    const credential = credentials?.get(owner);
    if (!credential || credential.isHeard) return;
    credential.close();
    credentials?.delete(owner);
  }

  /** Keeps a key in place of the one before. Rejects with a CredentialProblem, or where the state cannot be written. */
  async set(server: string, owner: string, value: string): Promise<void> {
    const { config, credentials } = this.#entry(server, owner);
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
    const { config, credentials } = this.#entry(server, owner);
    const records = await this.#deps.records();
    const key = recordKey(config, owner);
    const stored = await readKey(records, key);
    await records.delete(key);
    await credentials.get(owner)?.reload();
    return stored !== undefined;
  }

  /** All servers that take a key. `owner`: whose keys are shown where each user has his own; EVERYBODY: nobody's. */
  async connections(owner: string): Promise<Connection[]> {
    const all = [...this.#entries.values()].map(async ({ config, credentials }): Promise<Connection> => {
      const { per } = config.auth;
      const holder = per === 'user' ? owner : EVERYBODY;
      const isAsked = per === 'gateway' || owner !== EVERYBODY;
      const credential = credentials.get(holder) ?? this.#create(config, holder);
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
    return eraseKeys(await this.#deps.records(), (key, server, owner) => {
      const config = this.#entries.get(server)?.config;
      if (!config || kept.has(server)) return kept.has(server);
      const isOwn = (config.auth.per === 'user') === (owner !== EVERYBODY);
      return isOwn && key === recordKey(config, owner);
    });
  }

  /** Erases the keys of principals that are gone: who gets the same id later is somebody else. */
  async eraseOwners(ids: ReadonlySet<string>): Promise<void> {
    await eraseKeys(await this.#deps.records(), (_key, _server, owner) => !ids.has(owner));
    for (const { credentials } of this.#entries.values())
      for (const [owner, credential] of credentials) if (ids.has(owner)) await credential.reload();
  }

  /** Forgets a server that was removed. */
  remove(server: string): void {
    for (const credential of this.#entries.get(server)?.credentials.values() ?? []) credential.close();
    this.#entries.delete(server);
  }

  close(): void {
    for (const server of [...this.#entries.keys()]) this.remove(server);
  }

  #entryOf(config: KeyServer): Entry {
    const known = this.#entries.get(config.name);
    if (known && isShownAlike(known.config, config)) return known;
    this.remove(config.name);
    const entry = { config, credentials: new Map<string, KeyCredential>(), open: new NoKey(config) };
    this.#entries.set(config.name, entry);
    return entry;
  }

  #entry(server: string, owner: string): Entry {
    const entry = this.#entries.get(server);
    if (!entry) throw new CredentialProblem('config', `'${server}' takes no key: see its auth`);
    if (entry.config.auth.per === 'user' && owner === EVERYBODY)
      throw new CredentialProblem('config', `at '${server}' each user has a key of his own`);
    if (entry.config.auth.per === 'gateway' && owner !== EVERYBODY)
      throw new CredentialProblem('config', `at '${server}' one key serves everybody`);
    return entry;
  }

  #create(config: KeyServer, owner: string): KeyCredential {
    const { records, shared, log } = this.#deps;
    return new KeyCredential({ config, key: recordKey(config, owner), records, shared, log });
  }
}
