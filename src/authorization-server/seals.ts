/**
 * What the authorization server hands out instead of storing it, encrypted or signed under the state key. Everything is bound to one issuer:
 * what a gateway made means nothing to another one with the same key.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { decrypt, encrypt } from '../lib/aead.js';
import { readObject, type JsonObject } from '../wire/json.js';

/** What a value is for. One that was made for something else does not open. */
export type Purpose = 'client' | 'form' | 'cookie' | 'cookie name' | 'code' | 'refresh token' | 'person';

/** The longest text that is opened. */
const MOST_CHARS = 8192;
const BASE64URL = /^[\w-]+$/;

/** Keys of 32 bytes, the first of which seals and signs; the others only open and verify. */
export class Seals {
  readonly #keys: readonly Buffer[];
  readonly #issuer: string;
  readonly #derived = new Map<Purpose, readonly [Buffer, ...Buffer[]]>();

  /** Throws a TypeError without keys. */
  constructor(keys: readonly Buffer[], issuer: string) {
    if (keys.length === 0) throw new TypeError('no key');
    this.#keys = keys;
    this.#issuer = issuer;
  }

  /** Encrypts a value. Returns base64url. */
  seal(purpose: Purpose, value: object): string {
    const sealed = encrypt(this.#keysFor(purpose)[0], this.#context(purpose), JSON.stringify(value));
    return sealed.toString('base64url');
  }

  /** The value of a sealed text; undefined: it was not made for this purpose, by this issuer, with one of the keys. */
  open(purpose: Purpose, text: string): JsonObject | undefined {
    if (text.length > MOST_CHARS || !BASE64URL.test(text)) return undefined;
    const sealed = Buffer.from(text, 'base64url');
    // Only one spelling: the last character may have bits that do not count.
    if (sealed.toString('base64url') !== text) return undefined;
    for (const key of this.#keysFor(purpose)) {
      const plain = decrypt(key, this.#context(purpose), sealed);
      if (plain) return readObject(plain, MOST_CHARS);
    }
    return undefined;
  }

  /** The MAC of a text, 43 characters of base64url. */
  sign(purpose: Purpose, text: string): string {
    return this.#mac(this.#keysFor(purpose)[0], purpose, text).toString('base64url');
  }

  /** Whether a MAC is that of a text. */
  verify(purpose: Purpose, text: string, mac: string): boolean {
    const shown = Buffer.from(mac, 'base64url');
    if (shown.toString('base64url') !== mac) return false;
    return this.#keysFor(purpose).some((key) => {
      const right = this.#mac(key, purpose, text);
      return right.length === shown.length && timingSafeEqual(right, shown);
    });
  }

  #mac(key: Buffer, purpose: Purpose, text: string): Buffer {
    return createHmac('sha256', key).update(this.#context(purpose)).update('\n').update(text).digest();
  }

  #context(purpose: Purpose): string {
    return `mcpstead ${purpose} ${this.#issuer}`;
  }

  #keysFor(purpose: Purpose): readonly [Buffer, ...Buffer[]] {
    let keys = this.#derived.get(purpose);
    if (!keys) {
      const derive = (key: Buffer): Buffer =>
        Buffer.from(hkdfSync('sha256', key, '', `mcpstead login ${purpose}`, 32));
      const [first, ...others] = this.#keys;
      keys = [derive(first as Buffer), ...others.map(derive)];
      this.#derived.set(purpose, keys);
    }
    return keys;
  }
}
