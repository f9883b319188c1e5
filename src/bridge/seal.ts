/**
 * State of the gateway in the hands of clients: what a `requestState` of its own holds nobody else can read, make or change
 * (2026-07-28, basic/patterns/mrtr, "Security Considerations").
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** The first part of every state: what it is, and the version of its form. */
const PREFIX = 'mcpstead.1.';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MAX_LENGTH = 64 * 1024;

export interface SealOptions {
  /** 32 bytes that all replicas share; undefined: random, states of other processes are then forged ones. */
  readonly key: Buffer | undefined;
  /** Unlike that of any other process. */
  readonly replica: string;
  /** Milliseconds of a clock that all replicas share: Date.now(). */
  readonly now: () => number;
}

export interface Seal {
  /** `payload`: whatever JSON can say. It can be opened for `ttlMs`. */
  seal(payload: object, ttlMs: number): string;
  open(state: string): Opened;
}

export type Opened =
  | { readonly ok: true; readonly payload: Readonly<Record<string, unknown>> }
  /** `other_replica`: it is whole, but what it stands for is held elsewhere. */
  | { readonly ok: false; readonly reason: 'forged' | 'expired' | 'other_replica' };

interface Content {
  /** Whose it is, and until when. */
  readonly r: string;
  readonly e: number;
  readonly p: Readonly<Record<string, unknown>>;
}

const FORGED: Opened = { ok: false, reason: 'forged' };

export function createSeal({ key, replica, now }: SealOptions): Seal {
  if (key && key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes`);
  const secret = key ?? randomBytes(KEY_BYTES);
  const aad = Buffer.from(PREFIX);

  return {
    seal(payload, ttlMs) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_BYTES }).setAAD(aad);
      const content = JSON.stringify({ r: replica, e: now() + ttlMs, p: payload });
      const sealed = [nonce, cipher.update(content, 'utf8'), cipher.final(), cipher.getAuthTag()];
      return PREFIX + Buffer.concat(sealed).toString('base64url');
    },
    open(state) {
      const content = decrypt(state, secret, aad);
      if (!content) return FORGED;
      if (content.r !== replica) return { ok: false, reason: 'other_replica' };
      if (content.e <= now()) return { ok: false, reason: 'expired' };
      return { ok: true, payload: content.p };
    },
  };
}

function decrypt(state: string, secret: Buffer, aad: Buffer): Content | undefined {
  if (!isOurs(state) || state.length > MAX_LENGTH) return undefined;
  const text = state.slice(PREFIX.length);
  const bytes = Buffer.from(text, 'base64url');
  // Another spelling of the same bytes is another state.
  if (bytes.toString('base64url') !== text || bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const end = bytes.length - TAG_BYTES;
  try {
    const decipher = createDecipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_BYTES })
      .setAAD(aad)
      .setAuthTag(bytes.subarray(end));
    const json = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]);
    return JSON.parse(json.toString('utf8')) as Content;
  } catch {
    return undefined;
  }
}

/** Whether a gateway of this kind made it: this one, or one further upstream. */
export function isOurs(state: string): boolean {
  return state.startsWith(PREFIX);
}

/** What stands for bytes where only equality counts. */
export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}
