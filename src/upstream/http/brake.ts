/**
 * Pauses the streams of one server: while there is no room for the replies that they cause, and for the rest of a turn of the event loop
 * once they have had their share of it.
 */
import { Pace } from '../../lib/pace.js';

export interface Braked {
  brake(on: boolean): void;
}

export class Brake {
  #on = false;
  #caused = 0;
  /** Paused until there is room. */
  readonly #stopped = new Set<Braked>();
  /** Paused until the next turn. */
  readonly #paced = new Set<Braked>();
  readonly #pace = new Pace();

  set(on: boolean): void {
    this.#on = on;
    if (on) return;
    const stopped = [...this.#stopped];
    this.#stopped.clear();
    for (const stream of stopped) stream.brake(false);
  }

  /** A reply was caused. */
  count(): void {
    this.#caused++;
  }

  /** Replies that were caused so far. */
  get caused(): number {
    return this.#caused;
  }

  /**
   * `bytes` of a stream were read; `before`: the replies that were caused until then. Pauses it if it caused replies for which there is no room,
   * or if it has had its share of this turn.
   */
  read(stream: Braked, bytes: number, before: number): void {
    if (this.#stopped.has(stream)) return;
    if (this.#on && this.#caused !== before) {
      this.#stopped.add(stream);
      stream.brake(true);
    } else this.spend(stream, bytes);
  }

  /** `bytes` of a stream were read. Pauses it until the next turn if it has had its share of this one. */
  spend(stream: Braked, bytes: number): void {
    if (!this.#pace.spend(bytes) || this.#stopped.has(stream) || this.#paced.has(stream)) return;
    this.#paced.add(stream);
    stream.brake(true);
    setImmediate(() => {
      if (this.#paced.delete(stream) && !this.#stopped.has(stream)) stream.brake(false);
    });
  }

  /** The stream has ended. */
  release(stream: Braked): void {
    this.#stopped.delete(stream);
    this.#paced.delete(stream);
  }
}
