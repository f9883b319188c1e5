/** The keys that the gateway signs its own access tokens with (`mcp.auth.login`): read from its state, without a request. */
import type { OwnIssuer } from '../protocol/authorization-server.js';
import { isObject } from '../wire/json.js';
import { keySetOf, type IssuerDeps, type KeySet, type KeySource } from './issuer.js';

const TIMEOUT_MS = 5000;
/** After a failure, and what clients are told to wait. */
const RETRY_MS = 5000;
const UNKNOWN_KID_MS = 30_000;

/** Reads the keys with the first token, and keeps them; single flight. A failure to read them again leaves the keys as they are. */
export class OwnKeys implements KeySource {
  withdrawn: () => void = () => undefined;
  withdrawals = 0;
  readonly #own: OwnIssuer;
  readonly #deps: Pick<IssuerDeps, 'now' | 'wheel' | 'log'>;
  #keys: KeySet | undefined;
  /** Each key as JSON. */
  #written: ReadonlySet<string> = new Set();
  /** Unix ms. */
  #failed = -Infinity;
  #unknownKid = -Infinity;
  #loading: Promise<void> | undefined;
  #closed = false;
  #stop: () => void = () => undefined;

  constructor(own: OwnIssuer, deps: Pick<IssuerDeps, 'now' | 'wheel' | 'log'>) {
    this.#own = own;
    this.#deps = deps;
  }

  keys(): KeySet | Promise<KeySet | undefined> | undefined {
    if (this.#keys) return this.#keys;
    if (!this.#loading && this.#deps.now() - this.#failed < RETRY_MS) return undefined;
    return this.#load().then(() => this.#keys);
  }

  async renewed(): Promise<KeySet | undefined> {
    const now = this.#deps.now();
    if (this.#loading) await this.#loading;
    else if (now - this.#unknownKid >= UNKNOWN_KID_MS) {
      this.#unknownKid = now;
      await this.#load();
    }
    return this.#keys;
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  /** Joins a run. Never rejects. */
  #load(): Promise<void> {
    this.#loading ??= this.#readAll().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #readAll(): Promise<void> {
    if (this.#closed) return;
    const { now, log } = this.#deps;
    try {
      await this.#replace(await this.#inTime());
    } catch (error) {
      if (this.#closed) return;
      this.#failed = now();
      log.warn('cannot read the signing keys of the gateway', {
        error: (error as Error).message.slice(0, 1024),
        kept: this.#keys !== undefined,
      });
    }
  }

  /** Rejects if the keys cannot be read within the time-out, or after `close`. */
  async #inTime(): Promise<readonly object[]> {
    const stopped = new Promise<never>((_, reject) => {
      const timer = this.#deps.wheel.after(TIMEOUT_MS, () => {
        reject(new Error(`not read within ${TIMEOUT_MS} ms`));
      });
      this.#stop = () => {
        timer.cancel();
        reject(new Error('closed'));
      };
    });
    stopped.catch(() => undefined);
    try {
      return await Promise.race([this.#own.publicKeys(), stopped]);
    } finally {
      this.#stop();
      this.#stop = () => undefined;
    }
  }

  async #replace(keys: readonly object[]): Promise<void> {
    const written = new Set(keys.map((key) => JSON.stringify(key)));
    const isWithdrawn = [...this.#written].some((key) => !written.has(key));
    // The same keys are imported already.
    if (this.#keys && !isWithdrawn && written.size === this.#written.size) return;
    this.#keys = await keySetOf(keys.filter(isObject));
    this.#written = written;
    if (!isWithdrawn) return;
    this.withdrawals++;
    this.withdrawn();
  }
}
