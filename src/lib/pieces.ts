/** The pieces of an incomplete message, stored with little overhead. */

/** For smaller pieces the Buffer object costs about as much as the bytes. */
const SMALL = 4096;
/** This many small pieces in a row are joined. */
const RUN = 128;
/** A small piece is copied if the memory block that it keeps alive is more than this many times its size. */
const SHARE = 16;

export class Pieces {
  #pieces: Buffer[] = [];
  /** The number of small pieces at the end that are not joined yet. */
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

  /** Removes and returns the first piece. */
  shift(): Buffer | undefined {
    return this.#pieces.shift();
  }

  /** The pieces as one buffer, which is kept. */
  joined(): Buffer {
    const [first] = this.#pieces;
    if (first && this.#pieces.length === 1) return first;
    const whole = Buffer.concat(this.#pieces);
    this.clear();
    this.#pieces.push(whole);
    return whole;
  }

  /** The pieces as one buffer, which is removed. */
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
