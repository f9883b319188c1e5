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

  connected(): void {
    this.wasShown = this.#credential.headers.length > 0;
  }

  /** There is something to show that was not there when the last attempt began. */
  get isNew(): boolean {
    const { headers, stamp } = this.#credential;
    return headers.length > 0 && stamp !== this.#stamp;
  }

  /** What the connection was made with is gone. */
  get isGone(): boolean {
    return this.wasShown && this.#credential.headers.length === 0;
  }

  /** The last attempt began before its time, a moment ago. If not, one does now. */
  isHasty(): boolean {
    const now = performance.now();
    if (now - this.#hasty < HASTE_MS) return true;
    this.#hasty = now;
    return false;
  }
}
