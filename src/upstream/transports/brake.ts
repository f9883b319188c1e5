/** Stops the streams of one server from being read, until there is room for what they cause. */
export interface Braked {
  brake(on: boolean): void;
}

export class Brake {
  #on = false;
  readonly #held = new Set<Braked>();

  set(on: boolean): void {
    this.#on = on;
    if (on) return;
    const held = [...this.#held];
    this.#held.clear();
    for (const stream of held) stream.brake(false);
  }

  /** For a stream that has just been read from: it stops if there is no room. */
  check(stream: Braked): void {
    if (!this.#on || this.#held.has(stream)) return;
    this.#held.add(stream);
    stream.brake(true);
  }

  /** It is over. */
  release(stream: Braked): void {
    this.#held.delete(stream);
  }
}
