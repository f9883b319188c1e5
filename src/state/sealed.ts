/** The state port: small records that outlive the process, encrypted at rest. Stores: a folder, or memory. */
import { createHmac, hkdfSync, randomInt } from 'node:crypto';
import { decrypt, encrypt } from '../lib/aead.js';

/**
 * Records by key, `<kind>:<rest>`. A record has a generation, which changes with each write. `get`, `put`, `delete` and `lock` reject with a
 * StateError if the folder cannot be read.
 */
export interface Sealed {
  /** undefined: there is no such record, it has expired, or it is damaged (then a warning is logged). */
  get(key: string): Promise<Stored | undefined>;
  /**
   * Writes a record if its generation still is `ifGeneration`; 0: if there is none. Returns whether it did. A value that cannot be written is
   * kept in memory and written later, or, if it has to be `durable`, `put` rejects with a StateError.
   */
  put(key: string, value: object, ifGeneration: number, options?: PutOptions): Promise<boolean>;
  delete(key: string): Promise<void>;
  /** Whether a record of this key was found damaged and was not deleted since. */
  isDamaged(key: string): Promise<boolean>;
  /** The keys of a kind, in no order. A record may be gone by the time it is read. */
  keys(kind: Kind): AsyncIterable<string>;
  /**
   * Waits until this is the only holder of the lock named `key`, in all processes that share the store. Resolves with the release; after
   * `ttlMs` the lock is released without it. Rejects with the reason of the signal.
   */
  lock(key: string, ttlMs: number, signal: AbortSignal): Promise<() => Promise<void>>;
  /** Writes what is kept in memory, as far as possible. */
  close(): Promise<void>;
}

export interface Stored {
  readonly generation: number;
  readonly value: object;
}

export interface PutOptions {
  /** The record expires after this time. */
  readonly ttlMs?: number;
  /** Written before `put` resolves, or not at all: for what must not come back after a restart. */
  readonly durable?: boolean;
}

/** The folder for each kind of record. */
const FOLDERS = {
  grant: 'credentials',
  client: 'credentials',
  key: 'credentials',
  login: 'credentials',
  pin: 'pins',
  revocation: 'revocations',
  'sign-in': 'sign-ins',
  'ended-sign-in': 'sign-ins',
  approval: 'approvals',
  'approval-text': 'approvals',
  'approval-last': 'approvals',
  'approval-noes': 'approvals',
  'approval-repeat': 'approvals',
} as const;

export type Kind = keyof typeof FOLDERS;

export const ALL_KINDS = Object.keys(FOLDERS) as readonly Kind[];

/** The names of all folders, each once. */
export const ALL_FOLDERS: readonly string[] = [...new Set(Object.values(FOLDERS))];

/** A state that cannot be used; the message names the file or the command, and what to do. */
export class StateError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'StateError';
  }
}

/** The kind of a key and its folder. Throws a TypeError for a key of no kind, or with nothing after it. */
export function placeOf(key: string): { readonly kind: Kind; readonly folder: string } {
  const end = key.indexOf(':');
  const kind = key.slice(0, Math.max(end, 0));
  if (!Object.hasOwn(FOLDERS, kind) || key.length === end + 1)
    throw new TypeError(`the state has no records '${key}'`);
  return { kind: kind as Kind, folder: FOLDERS[kind as Kind] };
}

/** The name of the index of a kind, which is not the key of a record. */
export function indexOf(kind: Kind): { readonly name: string; readonly folder: string } {
  return { name: `${kind}:`, folder: FOLDERS[kind] };
}

/** A record as it is sealed. */
export interface StateRecord extends Stored {
  /** Unix time in milliseconds; 0: never. */
  readonly expires: number;
}

/**
 * The first generation of a record. Random: a writer that has read a record which was deleted and made anew must not take the new one for
 * the old one.
 */
export function firstGeneration(): number {
  return randomInt(1, 2 ** 40);
}

/** The largest value, as JSON in bytes. */
export const MAX_VALUE_BYTES = 16_777_216;
const PREFIX = 'mcpstead.cred.1.';
/** The largest file: base64url of a value with its generation and expiry. */
export const MAX_FILE_BYTES = PREFIX.length + Math.ceil(((MAX_VALUE_BYTES + 256) * 4) / 3);

/** A key of 32 bytes for one purpose, derived from the state key. */
export function labelledKey(stateKey: Buffer, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', stateKey, '', `mcpstead ${label}`, 32));
}

/** Names and encrypts the records of one state key. */
export class Sealer {
  readonly #names: Buffer;
  readonly #contents: Buffer;

  /** `stateKey`: 32 bytes. */
  constructor(stateKey: Buffer) {
    this.#names = labelledKey(stateKey, 'state names');
    this.#contents = labelledKey(stateKey, 'state records');
  }

  /** The name of a record's file, without its extension: it says nothing about the key. */
  name(key: string): string {
    return createHmac('sha256', this.#names).update(key).digest('hex');
  }

  seal(key: string, record: StateRecord): string {
    const sealed = encrypt(this.#contents, PREFIX + key, JSON.stringify(record));
    return PREFIX + sealed.toString('base64url');
  }

  /** undefined: these bytes are not a record that was sealed with this key, under that name. */
  open(key: string, file: Buffer): StateRecord | undefined {
    const text = file.toString('latin1');
    if (!text.startsWith(PREFIX)) return undefined;
    const sealed = Buffer.from(text.slice(PREFIX.length), 'base64url');
    // Only one spelling: the decoder ignores characters that are not of its alphabet.
    if (PREFIX + sealed.toString('base64url') !== text) return undefined;
    const plain = decrypt(this.#contents, PREFIX + key, sealed);
    try {
      return plain && recordOf(JSON.parse(plain.toString('utf8')));
    } catch {
      return undefined;
    }
  }
}

function recordOf(read: unknown): StateRecord | undefined {
  if (typeof read !== 'object' || read === null) return undefined;
  const { generation, expires, value } = read as Partial<Record<string, unknown>>;
  if (!isCount(generation) || !isCount(expires) || typeof value !== 'object' || value === null)
    return undefined;
  return { generation, expires, value };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
