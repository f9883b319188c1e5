/**
 * Ids of sessions, which lead to the replica where they were opened: base64url of 18 random bytes, 5 of that replica, 1 of the key, and 8 of
 * an HMAC over them; 43 characters. A forged one is recognised without any request.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FleetKeys } from './keys.js';

const RANDOM_BYTES = 18;
const REPLICA_BYTES = 5;
const SIGNED_BYTES = RANDOM_BYTES + REPLICA_BYTES + 1;
const MAC_BYTES = 8;
const FORM = /^[A-Za-z0-9_-]{43}$/;

export function isReplicaId(text: string): boolean {
  return /^[0-9a-f]{10}$/.test(text);
}

export class SessionIds {
  readonly #keys: FleetKeys;
  readonly #home: Buffer;

  /** `home`: the replica that makes ids here. */
  constructor(keys: FleetKeys, home: string) {
    this.#keys = keys;
    this.#home = Buffer.from(home, 'hex');
  }

  make(): string {
    const signed = Buffer.concat([randomBytes(RANDOM_BYTES), this.#home, Buffer.of(this.#keys.number)]);
    return Buffer.concat([signed, mac(this.#keys.current('id'), signed)]).toString('base64url');
  }

  /** The replica where the session was opened; undefined: no replica of this fleet made the id. */
  homeOf(id: string): string | undefined {
    if (!FORM.test(id)) return undefined;
    const bytes = Buffer.from(id, 'base64url');
    // Only one spelling: the last character has two bits more.
    if (bytes.toString('base64url') !== id) return undefined;
    const signed = bytes.subarray(0, SIGNED_BYTES);
    const shown = bytes.subarray(SIGNED_BYTES);
    for (const key of this.#keys.numbered('id', bytes[SIGNED_BYTES - 1] as number))
      if (timingSafeEqual(mac(key, signed), shown))
        return bytes.toString('hex', RANDOM_BYTES, RANDOM_BYTES + REPLICA_BYTES);
    return undefined;
  }
}

function mac(key: Buffer, signed: Buffer): Buffer {
  return createHmac('sha256', key).update(signed).digest().subarray(0, MAC_BYTES);
}
