/** Compares the bytes of a JSON string with an ASCII text, whatever characters are written as escapes. */

const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const ZERO = 0x30;
const LETTER_U = 0x75;

/** The longest spelling of an ASCII character in a JSON string, in bytes: `\u002f`. */
export const MAX_ESCAPED = 6;

/** What `readEscaped` returns if the bytes differ from the text, or if they end before they do. */
export const OTHER = -1;
export const MORE = -2;

/**
 * Reads `text` at `at`, an offset within a JSON string. Returns the offset after it; OTHER: something else is there; MORE: the bytes are
 * its beginning. `text`: ASCII without quotes, backslashes and control characters.
 */
export function readEscaped(text: string, bytes: Buffer, at: number): number {
  let i = at;
  for (let k = 0; k < text.length; k++) {
    const wanted = text.charCodeAt(k);
    const c = bytes[i];
    if (c === wanted) i++;
    else if (c === undefined) return MORE;
    else if (c !== BACKSLASH) return OTHER;
    else {
      const end = readEscape(wanted, bytes, i + 1);
      if (end < 0) return end;
      i = end;
    }
  }
  return i;
}

/** The code of the `\u00XX` at `at`; NaN: it is not complete, or has other characters. */
export function escapedCode(bytes: Buffer, at: number): number {
  return hexValue(bytes[at + 4]) * 16 + hexValue(bytes[at + 5]);
}

/** Reads an escape of the character `wanted` behind its backslash. Returns as `readEscaped`. */
function readEscape(wanted: number, bytes: Buffer, at: number): number {
  const c = bytes[at];
  if (c === undefined) return MORE;
  if (c === SLASH) return wanted === SLASH ? at + 1 : OTHER;
  if (c !== LETTER_U) return OTHER;
  for (let k = 1; k < 5; k++) {
    const digit = bytes[at + k];
    if (digit === undefined) return MORE;
    const expected = k < 3 ? 0 : k === 3 ? wanted >> 4 : wanted & 15;
    if (k < 3 ? digit !== ZERO : hexValue(digit) !== expected) return OTHER;
  }
  return at + 5;
}

/** The value of a hexadecimal digit in either case; NaN: it is none. */
function hexValue(c: number | undefined): number {
  if (c === undefined) return NaN;
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const letter = c | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : NaN;
}
