/** Short hashes: they identify a credential, or what it comes from, and do not reveal it. */
import { sha256 } from '../lib/sha256.js';

/** Longer than any prefix that two hashes have in common by chance. */
const CHARACTERS = 22;

export function fingerprint(text: string): string {
  return shortened(sha256(text));
}

/** The fingerprint of the text whose SHA-256 in base64url is known. */
export function shortened(hash: string): string {
  return hash.slice(0, CHARACTERS);
}
