/** Looks back from a string in a JSON message that arrives in chunks: is it the value of a member with one of a few names? */
import { MAX_ESCAPED } from './escaped.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SLASH = 0x2f;

/** The longest name that is recognized, in characters. */
const MAX_NAME = 32;
/** Bytes that are kept of what was passed on: whitespace, colon, whitespace, a name with its quotes, and the backslashes before it. */
const KEPT = MAX_ESCAPED * MAX_NAME + 16;

const isSpace = (c: number): boolean => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;

/**
 * Keeps the last bytes of a message. Runs of whitespace are kept as one space, and runs of backslashes as two or three, which say as much
 * about what follows: so a few bytes always suffice, however long the runs are.
 */
export class TokensBefore {
  /** The last byte last. */
  #kept: Buffer = Buffer.allocUnsafe(KEPT);
  #spare: Buffer = Buffer.allocUnsafe(KEPT);
  #length = 0;

  /** Adds the first `end` bytes of a chunk. */
  add(bytes: Buffer, end: number): void {
    if (end === 0) return;
    const out = this.#spare;
    let write = KEPT;
    let i = end - 1;
    let c = this.#at(bytes, i);
    while (c !== -1 && write > 0) {
      if (isSpace(c)) {
        while (isSpace((c = this.#at(bytes, --i))));
        out[--write] = 0x20;
      } else if (c === BACKSLASH) {
        const from = i;
        while ((c = this.#at(bytes, --i)) === BACKSLASH);
        for (let n = runLength(from - i); n > 0 && write > 0; n--) out[--write] = BACKSLASH;
      } else {
        out[--write] = c;
        c = this.#at(bytes, --i);
      }
    }
    this.#spare = this.#kept;
    this.#kept = out;
    this.#length = KEPT - write;
  }

  /** Whether the quote at `quote` in the bytes that follow begins a string that is the value of a member with one of these names. */
  isValueOf(names: ReadonlySet<string>, bytes: Buffer, quote: number): boolean {
    let i = this.#skipSpace(bytes, quote - 1);
    // A quote within a string is behind a backslash.
    if (this.#at(bytes, i) !== COLON) return false;
    i = this.#skipSpace(bytes, i - 1);
    if (this.#at(bytes, i) !== QUOTE) return false;
    const end = i;
    const first = end - MAX_ESCAPED * MAX_NAME;
    do i--;
    while (i >= first && this.#at(bytes, i) !== QUOTE && this.#at(bytes, i) !== -1);
    if (this.#at(bytes, i) !== QUOTE) return false;
    let slashes = i;
    while (this.#at(bytes, slashes - 1) === BACKSLASH) slashes--;
    return (i - slashes) % 2 === 0 && names.has(this.#name(bytes, i + 1, end));
  }

  /** The byte at an offset that may be negative: before the first of these bytes. -1: before all that is known. */
  #at(bytes: Buffer, i: number): number {
    if (i >= 0) return bytes[i] as number;
    return this.#length + i >= 0 ? (this.#kept[KEPT + i] as number) : -1;
  }

  #skipSpace(bytes: Buffer, at: number): number {
    let i = at;
    while (isSpace(this.#at(bytes, i))) i--;
    return i;
  }

  /** The name between these offsets; empty: it has characters that no name here has. */
  #name(bytes: Buffer, start: number, end: number): string {
    let name = '';
    for (let i = start; i < end; i++) {
      let c = this.#at(bytes, i);
      if (c === BACKSLASH) {
        c = this.#at(bytes, ++i);
        if (c === 0x75) {
          let hex = '';
          for (let k = 1; k < 5; k++) hex += String.fromCharCode(this.#at(bytes, i + k));
          if (!/^[0-9a-f]{4}$/i.test(hex)) return '';
          c = parseInt(hex, 16);
          i += 4;
        } else if (c !== SLASH) return '';
      }
      name += String.fromCharCode(c);
    }
    return name;
  }
}

/** How many backslashes stand for a run: as odd as it is, and more than one if it is. */
function runLength(run: number): number {
  return run < 3 ? run : 2 + (run % 2);
}
