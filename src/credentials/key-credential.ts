/**
 * The key of one server that a person has set: read from the state, and shown to the server until it refuses it. A key that was refused
 * stays out of use, also after a restart, until somebody sets one again.
 */
import type { KeyServer } from '../config/types.js';
import type { GatewayError } from '../errors.js';
import { needsLogin } from '../errors.js';
import { sha256 } from '../lib/sha256.js';
import type { Logger } from '../observe/log.js';
import type { CredentialState } from '../observe/stats.js';
import type { CredentialRefusal } from '../protocol/credential.js';
import type { LoginReason } from '../protocol/logins.js';
import { authFailed, forbidden } from './credential-errors.js';
import { readKey, type KeyRecord, type KeyRecords, type StoredKey } from './key-records.js';
import type { ServerCredential } from './server-credential.js';

export interface KeyCredentialDeps {
  readonly config: KeyServer;
  /** Of its record. */
  readonly key: string;
  readonly records: () => Promise<KeyRecords>;
  /** Whether other processes may change the record. */
  readonly shared: boolean;
  readonly log: Logger;
}

const NONE: readonly string[] = [];
/** How often a link that waits for a key looks whether another process was given one, and how often one looks that has a key. */
const MISSING_LOOK_MS = 2000;
const LOOK_MS = 60_000;
/** Shorter secrets would be masked inside ordinary words. */
const SHORTEST_SECRET = 4;

export class KeyCredential implements ServerCredential {
  stamp = 0;
  headers = NONE;
  environment: Readonly<Record<string, string>> | undefined;
  secrets = NONE;
  missing: LoginReason | undefined;
  /** Of the key. */
  login: string | undefined;
  readonly grant = undefined;
  readonly #deps: KeyCredentialDeps;
  readonly #heard = new Set<() => void>();
  #value: string | undefined;
  #generation = 0;
  /** The generation of the record whose key was refused. */
  #refused = 0;
  #isLoaded = false;
  /** Reads and changes of the record, one after the other: a later one sees what an earlier one wrote. */
  #turn: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(deps: KeyCredentialDeps) {
    this.#deps = deps;
  }

  get state(): CredentialState | undefined {
    if (!this.#isLoaded) return undefined;
    return this.missing === undefined ? 'valid' : 'login_required';
  }

  get isHeard(): boolean {
    return this.#heard.size > 0;
  }

  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { config, shared } = this.#deps;
    try {
      if (!this.#isLoaded || shared) await this.reload();
    } catch (error) {
      throw authFailed(config.name, error, { hasGrant: false, retryMs: 0 });
    }
    if (this.missing !== undefined) throw needsLogin(config.name, this.missing);
  }

  async refused({ status, stamp }: CredentialRefusal): Promise<void> {
    const { name } = this.#deps.config;
    if (stamp !== this.stamp) return;
    if (status === 403) throw forbidden(name);
    try {
      await this.#inTurn(() => this.#refuse(stamp));
    } catch (error) {
      throw authFailed(name, error, { hasGrant: false, retryMs: 0 });
    }
    if (this.missing !== undefined) throw needsLogin(name, this.missing);
  }

  /** Takes what is stored. */
  reload(): Promise<void> {
    return this.#inTurn(async () => {
      this.#take(await this.#read());
    });
  }

  onChange(heard: () => void): () => void {
    this.#heard.add(heard);
    this.#schedule();
    return () => {
      this.#heard.delete(heard);
      if (this.#heard.size === 0) clearTimeout(this.#timer);
    };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#heard.clear();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #read(): Promise<StoredKey | undefined> {
    const records = await this.#deps.records();
    const stored = await readKey(records, this.#deps.key);
    if (!stored && (await records.isDamaged(this.#deps.key))) this.missing = 'unreadable';
    return stored;
  }

  async #refuse(stamp: number): Promise<void> {
    if (stamp !== this.stamp || this.#value === undefined) return;
    const { config, log, key, records } = this.#deps;
    const stored = await this.#read();
    // Another process was given a key meanwhile.
    if (stored?.generation !== this.#generation) return this.#take(stored);
    this.#refused = this.#generation;
    log.warn('a server refuses the key that was set for it', { server: config.name });
    try {
      const record: KeyRecord = { ...stored.record, isRefused: true };
      await (await records()).put(key, record, stored.generation);
      this.#take(await this.#read());
    } catch (error) {
      // It is refused again after a restart.
      log.warn('the refusal of a key was not stored', { server: config.name, error: String(error) });
      this.#take(stored);
    }
  }

  #take(stored: StoredKey | undefined): void {
    const { config } = this.#deps;
    const before = this.#value;
    const isRefused =
      stored !== undefined && (stored.record.isRefused || stored.generation === this.#refused);
    const value = isRefused ? undefined : stored?.record.value;
    this.#isLoaded = true;
    this.#generation = stored?.generation ?? 0;
    if (value !== undefined) this.missing = undefined;
    else if (isRefused) this.missing = 'revoked';
    else if (this.missing !== 'unreadable' && before !== undefined) this.missing = 'revoked';
    else this.missing ??= 'never';
    if (value !== before) {
      this.#value = value;
      this.#show(config, value, before);
      for (const heard of [...this.#heard]) heard();
    }
    this.#schedule();
  }

  #show({ auth }: KeyServer, value: string | undefined, before: string | undefined): void {
    this.stamp++;
    // The key before may still be in what the server answers.
    const shown = [value, before].filter((each) => each !== undefined);
    this.secrets = shown.filter((each) => each.length >= SHORTEST_SECRET);
    this.headers = NONE;
    this.environment = undefined;
    this.login = value === undefined ? undefined : sha256(value);
    if (value === undefined) return;
    if ('env' in auth) this.environment = { [auth.env]: value };
    else this.headers = [auth.header, auth.scheme === '' ? value : `${auth.scheme} ${value}`];
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (!this.#deps.shared || this.#heard.size === 0 || this.#isClosed) return;
    const ms = this.missing === undefined ? LOOK_MS : MISSING_LOOK_MS;
    this.#timer = setTimeout(() => {
      this.reload().catch(() => {
        this.#schedule();
      });
    }, ms).unref();
  }
}

/** What the gateway itself shows to a server where each user has a key of his own: nothing. */
export class NoKey implements ServerCredential {
  readonly stamp = 0;
  readonly headers = NONE;
  readonly secrets = NONE;
  readonly state = undefined;
  readonly missing = undefined;
  readonly grant = undefined;
  readonly #config: KeyServer;

  constructor(config: KeyServer) {
    this.#config = config;
  }

  /** A server may list something without a key; a child is not started. */
  ready(): Promise<void> {
    const { kind, name } = this.#config;
    return kind === 'http' ? Promise.resolve() : Promise.reject(needsLogin(name, 'never'));
  }

  refused({ status }: CredentialRefusal): Promise<void> {
    const { name } = this.#config;
    const error: GatewayError = status === 403 ? forbidden(name) : needsLogin(name, 'never');
    return Promise.reject(error);
  }

  onChange(): () => void {
    return () => undefined;
  }
}
