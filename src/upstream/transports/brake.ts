/** Stops the streams of one server from being read, until there is room for what they cause. */
export interface Braked {
  brake(on: boolean): void;
}

export class Brake {
  #on = false;
  #caused = 0;
  readonly #held = new Set<Braked>();

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

  /** Reads from a stream. It stops after that if it caused something for which there is no room. */
  read(stream: Braked, read: () => void): void {
    const before = this.#caused;
    read();
    if (!this.#on || this.#caused === before || this.#held.has(stream)) return;
    this.#held.add(stream);
    stream.brake(true);
  }

  /** It is over. */
  release(stream: Braked): void {
    this.#held.delete(stream);
  }
}
