/**
 * Stops the streams of one server from being read: until there is room for what they cause, and for the rest of a turn of the
 * event loop that was theirs long enough.
 */
import { Pace } from '../../lib/pace.js';

export interface Braked {
  brake(on: boolean): void;
}

export class Brake {
  #on = false;
  #caused = 0;
  readonly #held = new Set<Braked>();
  /** Waiting for the next turn alone. */
  readonly #paced = new Set<Braked>();
  readonly #pace = new Pace();

  set(on: boolean): void {
    this.#on = on;
    if (on) return;
    const held = [...this.#held];
    this.#held.clear();
    for (const stream of held) stream.brake(false);
  }

  /** Something was caused. */
  count(): void {
    this.#caused++;
  }

  /** How much was caused so far. */
  get caused(): number {
    return this.#caused;
  }

  /**
   * `bytes` of a stream were read, from when so much was caused. It stops if it caused something for which there is no room, or has read
   * enough for now.
   */
  read(stream: Braked, bytes: number, before: number): void {
    if (this.#held.has(stream)) return;
    if (this.#on && this.#caused !== before) {
      this.#held.add(stream);
      stream.brake(true);
    } else this.spend(stream, bytes);
  }

  /** So many bytes of a stream were read. It stops until the next turn if that was enough for this one. */
  spend(stream: Braked, bytes: number): void {
    if (!this.#pace.spend(bytes) || this.#held.has(stream) || this.#paced.has(stream)) return;
    this.#paced.add(stream);
    stream.brake(true);
    setImmediate(() => {
      if (this.#paced.delete(stream) && !this.#held.has(stream)) stream.brake(false);
    });
  }

  /** It is over. */
  release(stream: Braked): void {
    this.#held.delete(stream);
    this.#paced.delete(stream);
  }
}
