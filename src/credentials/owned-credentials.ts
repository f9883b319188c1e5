/** The credentials of servers by their owner: everybody, or each user where he has one of his own. */
import { isShownAlike } from '../config/credentials.js';
import type { ServerConfig } from '../config/types.js';
import { EVERYBODY } from '../protocol/logins.js';
import { CredentialProblem } from './problem.js';
import type { ServerCredential } from './server-credential.js';

type OwnedServer = ServerConfig & { readonly auth: { readonly per: 'gateway' | 'user' } };

/** The credential of one owner. */
interface Owned extends ServerCredential {
  /** Whether somebody waits for its changes. */
  readonly isHeard: boolean;
  reload(): Promise<void>;
  close(): void;
}

export interface OwnedEntry<Config extends OwnedServer, O extends Owned> {
  readonly config: Config;
  /** By owner: EVERYBODY, or the id of a principal. */
  readonly credentials: Map<string, O>;
  /** What is shown in place of a credential where each user has his own. */
  readonly open: ServerCredential;
}

export interface OwnedCredentialsDeps<Config extends OwnedServer, O extends Owned, E> {
  createEntry(config: Config): E;
  create(entry: E, owner: string): O;
  /** The key of the record of an owner. */
  recordKey(config: Config, owner: string): string;
  /** Why there is nothing for an owner: the server is none of these, each user has his own, or one serves everybody. */
  readonly refusals: Readonly<Record<'unknown' | 'each' | 'one', (server: string) => string>>;
}

export class OwnedCredentials<
  Config extends OwnedServer,
  O extends Owned,
  E extends OwnedEntry<Config, O> = OwnedEntry<Config, O>,
> {
  readonly #deps: OwnedCredentialsDeps<Config, O, E>;
  readonly #entries = new Map<string, E>();

  constructor(deps: OwnedCredentialsDeps<Config, O, E>) {
    this.#deps = deps;
  }

  all(): E[] {
    return [...this.#entries.values()];
  }

  /** The same credential for the same configuration and owner, until `release`. */
  of(config: Config, owner: string): ServerCredential {
    const entry = this.#entryOf(config);
    if (config.auth.per === 'user' && owner === EVERYBODY) return entry.open;
    let credential = entry.credentials.get(owner);
    if (!credential) entry.credentials.set(owner, (credential = this.#deps.create(entry, owner)));
    return credential;
  }

  /** The credential of an owner, made for this once if nobody uses one. */
  peek(entry: E, owner: string): O {
    return entry.credentials.get(owner) ?? this.#deps.create(entry, owner);
  }

  /** The entry of a server at which an owner can have something. Throws a CredentialProblem. */
  at(server: string, owner: string): E {
    const { refusals } = this.#deps;
    const entry = this.#entries.get(server);
    if (!entry) throw new CredentialProblem('config', refusals.unknown(server));
    const isEach = entry.config.auth.per === 'user';
    if (isEach && owner === EVERYBODY) throw new CredentialProblem('config', refusals.each(server));
    if (!isEach && owner !== EVERYBODY) throw new CredentialProblem('config', refusals.one(server));
    return entry;
  }

  /** Forgets the credential of an owner, unless somebody waits for its changes. */
  release(server: string, owner: string): void {
    const credentials = this.#entries.get(server)?.credentials;
    const credential = credentials?.get(owner);
    if (!credential || credential.isHeard) return;
    credential.close();
    credentials?.delete(owner);
  }

  /** Whether the configuration uses a record, or its server is one of `kept`. */
  keeps(key: string, server: string, owner: string, kept: ReadonlySet<string>): boolean {
    const config = this.#entries.get(server)?.config;
    if (!config || kept.has(server)) return kept.has(server);
    const isOwn = (config.auth.per === 'user') === (owner !== EVERYBODY);
    return isOwn && key === this.#deps.recordKey(config, owner);
  }

  /** Takes what is stored for these owners. */
  async reload(owners: ReadonlySet<string>): Promise<void> {
    for (const { credentials } of this.#entries.values())
      for (const [owner, credential] of credentials) if (owners.has(owner)) await credential.reload();
  }

  /** Forgets a server that was removed. */
  remove(server: string): void {
    for (const credential of this.#entries.get(server)?.credentials.values() ?? []) credential.close();
    this.#entries.delete(server);
  }

  close(): void {
    for (const server of [...this.#entries.keys()]) this.remove(server);
  }

  #entryOf(config: Config): E {
    const known = this.#entries.get(config.name);
    if (known && isShownAlike(known.config, config)) return known;
    this.remove(config.name);
    const entry = this.#deps.createEntry(config);
    this.#entries.set(config.name, entry);
    return entry;
  }
}
