/**
 * The form of an API key: `mcps_`, 30 random characters of base62 (178 bits), and the CRC-32 (IEEE) of these 30 in six characters of
 * base62, with zeros in front. Scanners for secrets find it by `mcps_[0-9A-Za-z]{36}`, and a mistyped key is told from an unknown one.
 */
import { randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { sha256 } from './sha256.js';

export const API_KEY_PREFIX = 'mcps_';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM = 30;
const CHECK = 6;
/** Of a key, in characters. */
export const API_KEY_LENGTH = API_KEY_PREFIX.length + RANDOM + CHECK;
const FORM = /^mcps_[0-9A-Za-z]{36}$/;

/** A new key. It is shown once and kept nowhere. */
export function createApiKey(): string {
  let text = '';
  for (let i = 0; i < RANDOM; i++) text += DIGITS.charAt(randomInt(DIGITS.length));
  return API_KEY_PREFIX + text + checksum(text);
}

/** Whether `text` has the form of a key and its checksum is right. */
export function isApiKey(text: string): boolean {
  const start = API_KEY_PREFIX.length;
  return FORM.test(text) && text.endsWith(checksum(text.slice(start, start + RANDOM)));
}

/** What the configuration has for a key. */
export const hashApiKey: (key: string) => string = sha256;

function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let i = 0; i < CHECK; i++) {
    digits = DIGITS.charAt(rest % DIGITS.length) + digits;
    rest = Math.floor(rest / DIGITS.length);
  }
  return digits;
}
