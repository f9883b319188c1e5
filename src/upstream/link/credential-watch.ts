import type { Credential } from '../../protocol/credential.js';

/** A change of the credential begins an attempt to connect before its time, at most this often; in ms. */
const HASTE_MS = 10_000;

/** What a link knows about changes of its credential. */
export class CredentialWatch {
  readonly #credential: Credential;
  readonly #changed: () => void;
  #stop: (() => void) | undefined;
  /** `stamp` when the last attempt to connect began. */
  #stamp = 0;
  /** The connection was made with something to show. */
  wasShown = false;
  /** `stamp` of what the child process was started with; undefined: it has none. */
  #child: number | undefined;
  /** When a change last began an attempt before its time, on the monotonic clock. */
  #hasty = -Infinity;

  constructor(credential: Credential, changed: () => void) {
    this.#credential = credential;
    this.#changed = changed;
  }

  start(): void {
    this.#stop ??= this.#credential.onChange(this.#changed);
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** An attempt to connect begins. */
  dialling(): void {
    this.#stamp = this.#credential.stamp;
  }

  /** `child`: `stamp` of what the child process was started with. */
  connected(child: number | undefined): void {
    this.#child = child;
    this.wasShown = child !== undefined || this.#isShown;
  }

  /** There is something to show that was not there when the last attempt began. */
  get isNew(): boolean {
    return this.#isShown && this.#credential.stamp !== this.#stamp;
  }

  /** What the connection was made with is gone. */
  get isGone(): boolean {
    return this.wasShown && !this.#isShown;
  }

  /** The child process was started with something else. */
  get isOutdated(): boolean {
    return this.#child !== undefined && this.#child !== this.#credential.stamp;
  }

  get #isShown(): boolean {
    const { environment, headers } = this.#credential;
    return headers.length > 0 || environment !== undefined;
  }

  /** The last attempt began before its time, a moment ago. If not, one does now. */
  isHasty(): boolean {
    const now = performance.now();
    if (now - this.#hasty < HASTE_MS) return true;
    this.#hasty = now;
    return false;
  }
}
