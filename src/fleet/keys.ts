/** The keys that replicas of a fleet derive from their state key, one for each purpose, and what they seal with them. */
import { createHmac } from 'node:crypto';
import { decrypt, encrypt } from '../lib/aead.js';
import { labelledKey } from '../state/sealed.js';

/** What a key is for: session ids, names in the store, values there, what replicas send each other, task ids, shared limits. */
export type Purpose = 'id' | 'name' | 'store' | 'peer' | 'task' | 'rate';

const PURPOSES: readonly Purpose[] = ['id', 'name', 'store', 'peer', 'task', 'rate'];
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
    return Buffer.concat([Buffer.of(number), encrypt(of[purpose], contextOf(purpose, context), plain)]);
  }

  /** undefined: it was not sealed with a key of this fleet, for this purpose and context. */
  open(purpose: Purpose, context: string, sealed: Buffer): Buffer | undefined {
    const [number] = sealed;
    if (number === undefined) return undefined;
    // Another state key may have the same number.
    for (const key of this.numbered(purpose, number)) {
      const plain = decrypt(key, contextOf(purpose, context), sealed.subarray(1));
      if (plain) return plain;
    }
    return undefined;
  }
}

function contextOf(purpose: Purpose, context: string): string {
  return `${purpose}\0${context}`;
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

/** Parts as one text, which no other parts make. */
export function joined(...parts: readonly string[]): string {
  return parts.map((part) => `${part.length}:${part}`).join('');
}
