/** The keys that replicas of a fleet derive from their state key, one for each purpose, and what they seal with them. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { labelledKey } from '../state/sealed.js';

/** What a key is for: session ids, names in the store, values there, what replicas send each other, task ids, shared limits. */
export type Purpose = 'id' | 'name' | 'store' | 'peer' | 'task' | 'rate';

const PURPOSES: readonly Purpose[] = ['id', 'name', 'store', 'peer', 'task', 'rate'];
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What sealing adds: the number of the key, nonce and tag. */
export const SEAL_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

/** The keys of one state key. */
interface Derived {
  /** Tells the state keys apart: one byte, which two of them may share. */
  readonly number: number;
  readonly of: Readonly<Record<Purpose, Buffer>>;
}

export class FleetKeys {
  /** The first makes, all of them open. */
  readonly #all: readonly [Derived, ...Derived[]];

  /** State keys, 32 bytes each. */
  constructor(current: Buffer, older: readonly Buffer[]) {
    this.#all = [derive(current), ...older.map(derive)];
  }

  /** The number of the key that makes. */
  get number(): number {
    return this.#all[0].number;
  }

  /** The key for a purpose, of the state key that makes. */
  current(purpose: Purpose): Buffer {
    return this.#all[0].of[purpose];
  }

  /** The keys for a purpose, that of the state key that makes first. */
  all(purpose: Purpose): readonly Buffer[] {
    return this.#all.map(({ of }) => of[purpose]);
  }

  /** The keys for a purpose whose state key has this number. */
  numbered(purpose: Purpose, number: number): readonly Buffer[] {
    return this.#all.filter((each) => each.number === number).map(({ of }) => of[purpose]);
  }

  /** Encrypts, and binds to `context`, without which nobody opens it. */
  seal(purpose: Purpose, context: string, plain: Buffer | string): Buffer {
    const [{ number, of }] = this.#all;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, of[purpose], nonce);
    cipher.setAAD(Buffer.from(`${purpose}\0${context}`));
    const text = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain);
    return Buffer.concat([Buffer.of(number), nonce, text, cipher.final(), cipher.getAuthTag()]);
  }

  /** undefined: it was not sealed with a key of this fleet, for this purpose and context. */
  open(purpose: Purpose, context: string, sealed: Buffer): Buffer | undefined {
    if (sealed.length < SEAL_BYTES) return undefined;
    for (const key of this.numbered(purpose, sealed[0] as number)) {
      const decipher = createDecipheriv(CIPHER, key, sealed.subarray(1, 1 + NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(`${purpose}\0${context}`));
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        const text = decipher.update(sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES));
        return Buffer.concat([text, decipher.final()]);
      } catch {
        // Another state key may have the same number.
      }
    }
    return undefined;
  }
}

function derive(stateKey: Buffer): Derived {
  const of = Object.fromEntries(
    PURPOSES.map((purpose) => [purpose, labelledKey(stateKey, `fleet ${purpose}`)]),
  ) as Record<Purpose, Buffer>;
  const [number = 0] = createHmac('sha256', of.id).update('number').digest();
  return { number, of };
}

/** What a key or a thing is called in the store: it tells nothing about the text. 32 characters. */
export function hiddenName(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest().subarray(0, 24).toString('base64url');
}
