/** Pieces of one message that wait for the rest: what they cost stays near what they hold. */

/** A piece of less costs about as much for itself as for its bytes. */
const SMALL = 4096;
/** So many small ones in a row become one. */
const RUN = 128;
/** A piece that keeps a block of more than so many times its size alive, and of more than SMALL, gets bytes of its own. */
const SHARE = 16;

export class Pieces {
  #pieces: Buffer[] = [];
  /** How many at the end are small and were not joined yet. */
  #small = 0;

  get length(): number {
    return this.#pieces.length;
  }

  get first(): Buffer | undefined {
    return this.#pieces[0];
  }

  push(piece: Buffer): void {
    if (piece.length >= SMALL) {
      this.#pieces.push(piece);
      this.#small = 0;
      return;
    }
    const { byteLength } = piece.buffer;
    this.#pieces.push(byteLength > 2 * SMALL && byteLength > SHARE * piece.length ? copyOf(piece) : piece);
    if (++this.#small < RUN) return;
    this.#small = 0;
    this.#pieces.push(Buffer.concat(this.#pieces.splice(-RUN)));
  }

  /** Takes the first one out. */
  shift(): Buffer | undefined {
    return this.#pieces.shift();
  }

  /** All of it as one buffer, which stays. */
  joined(): Buffer {
    const [first] = this.#pieces;
    if (first && this.#pieces.length === 1) return first;
    const whole = Buffer.concat(this.#pieces);
    this.clear();
    this.#pieces.push(whole);
    return whole;
  }

  /** All of it as one buffer; nothing stays. */
  taken(): Buffer {
    const whole = this.joined();
    this.clear();
    return whole;
  }

  clear(): void {
    this.#pieces = [];
    this.#small = 0;
  }
}

function copyOf(piece: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(piece.length);
  piece.copy(own);
  return own;
}
