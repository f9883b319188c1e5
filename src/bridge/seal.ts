/**
 * Encrypts the `requestState` of the gateway, so that clients can neither read nor forge nor change it
 * (2026-07-28, basic/patterns/mrtr, "Security Considerations").
 */
import { randomBytes } from 'node:crypto';
import { decrypt, encrypt } from '../lib/aead.js';
import { sha256 } from '../lib/sha256.js';

/** The prefix of every state, with the version of the format. */
const PREFIX = 'mcpstead.1.';
const KEY_BYTES = 32;
const MAX_LENGTH = 64 * 1024;

export interface SealOptions {
  /** 32 bytes that all replicas share; undefined: a random key, so that states of other processes count as forged. */
  readonly key: Buffer | undefined;
  /** A unique id of this process. */
  readonly replica: string;
  /** Milliseconds of a clock that all replicas share: Date.now(). */
  readonly now: () => number;
}

export interface Seal {
  /** `payload`: a JSON value. The state is valid for `ttlMs`. */
  seal(payload: object, ttlMs: number): string;
  open(state: string): Opened;
  /** The replica that holds the call of a valid state, also this one; undefined: none does, or any can go on with it. */
  ownerOf(state: string): string | undefined;
  /** Whether it is this one. */
  holds(state: string): boolean;
}

export type Opened =
  | { readonly ok: true; readonly payload: Readonly<Record<string, unknown>> }
  /** `other_replica`: it is valid, but its call is held by another replica. */
  | { readonly ok: false; readonly reason: 'forged' | 'expired' | 'other_replica' };

interface Content {
  /** The replica, and the expiry time. */
  readonly r: string;
  readonly e: number;
  readonly p: Readonly<Record<string, unknown>>;
}

/** Kinds of states whose facts are in them, or in the store of the fleet. */
const ANYWHERE: ReadonlySet<unknown> = new Set(['urls', 'hold']);

const FORGED: Opened = { ok: false, reason: 'forged' };

export function createSeal({ key, replica, now }: SealOptions): Seal {
  if (key && key.length !== KEY_BYTES) throw new RangeError(`a key must have ${KEY_BYTES} bytes`);
  const secret = key ?? randomBytes(KEY_BYTES);
  /** The replica that alone has what a state leads to; undefined: it has everything in it, and is good anywhere. */
  const placeOf = ({ r, p }: Content): string | undefined => (ANYWHERE.has(p['kind']) ? undefined : r);
  const isElsewhere = (content: Content): boolean => (placeOf(content) ?? replica) !== replica;

  const ownerOf = (state: string): string | undefined => {
    const content = contentOf(state, secret);
    return content && content.e > now() ? placeOf(content) : undefined;
  };

  return {
    seal(payload, ttlMs) {
      const content = JSON.stringify({ r: replica, e: now() + ttlMs, p: payload });
      return PREFIX + encrypt(secret, PREFIX, content).toString('base64url');
    },
    open(state) {
      const content = contentOf(state, secret);
      if (!content) return FORGED;
      if (isElsewhere(content)) return { ok: false, reason: 'other_replica' };
      if (content.e <= now()) return { ok: false, reason: 'expired' };
      return { ok: true, payload: content.p };
    },
    ownerOf,
    holds: (state) => ownerOf(state) === replica,
  };
}

function contentOf(state: string, secret: Buffer): Content | undefined {
  if (!isOurs(state) || state.length > MAX_LENGTH) return undefined;
  const text = state.slice(PREFIX.length);
  const bytes = Buffer.from(text, 'base64url');
  // Only the canonical encoding is valid.
  if (bytes.toString('base64url') !== text) return undefined;
  const json = decrypt(secret, PREFIX, bytes);
  try {
    return json && (JSON.parse(json.toString('utf8')) as Content);
  } catch {
    return undefined;
  }
}

/** Whether it has the format of this gateway; a gateway further upstream uses the same. */
export function isOurs(state: string): boolean {
  return state.startsWith(PREFIX);
}

/** A SHA-256 digest, to compare bytes for equality. */
export function digest(bytes: Uint8Array): string {
  return sha256(bytes);
}
