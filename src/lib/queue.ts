/** A FIFO queue whose `shift` takes constant time. */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first++] = undefined;
    // Frees the removed part once it is more than half.
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  /** Removes the first occurrence of `item`. */
  delete(item: T): void {
    const at = this.#items.indexOf(item, this.#first);
    if (at !== -1) this.#items.splice(at, 1);
  }

  clear(): void {
    this.#items = [];
    this.#first = 0;
  }
}
