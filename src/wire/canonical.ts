/** One spelling for JSON that says the same: members sorted, strings decoded, numbers as they are written. */
import { createHash } from 'node:crypto';
import { endOfValue } from './edges.js';
import { skipSpace } from './scan.js';

/** Longer strings are replaced by their digest, so that nested values are not copied at each level. */
const LONG = 256;

/**
 * The canonical form of the value at `at`, and its end offset. The bytes are valid JSON of bounded depth. A digest begins with `#`, which
 * no JSON value does.
 */
export function canonical(body: Buffer, at: number): { readonly text: string; readonly end: number } {
  const first = body[at];
  if (first !== 0x7b && first !== 0x5b) {
    const end = endOfValue(body, at);
    const text = body.toString('utf8', at, end);
    return { text: short(first === 0x22 ? JSON.stringify(JSON.parse(text)) : text), end };
  }
  const isObject = first === 0x7b;
  const parts: string[] = [];
  let i = skipSpace(body, at + 1);
  while (body[i] !== 0x7d && body[i] !== 0x5d && i < body.length) {
    let key = '';
    if (isObject) {
      const keyEnd = endOfValue(body, i);
      key = canonicalKey(JSON.parse(body.toString('utf8', i, keyEnd)) as string);
      i = skipSpace(body, skipSpace(body, keyEnd) + 1);
    }
    const { text, end } = canonical(body, i);
    parts.push(key + text);
    i = skipSpace(body, end);
    if (body[i] === 0x2c) i = skipSpace(body, i + 1);
  }
  return { text: isObject ? canonicalObject(parts) : short(`[${parts.join()}]`), end: i + 1 };
}

/** `parts`: a canonical key and a canonical value each. Sorts them. */
export function canonicalObject(parts: string[]): string {
  return short(`{${parts.sort().join()}}`);
}

export function canonicalKey(key: string): string {
  return `${short(JSON.stringify(key))}:`;
}

function short(text: string): string {
  return text.length <= LONG ? text : `#${createHash('sha256').update(text).digest('base64url')}`;
}
