/** What is stored of the keys that people set for servers, as records of the state. */
import { maskSecrets } from '../config/redact.js';
import type { KeyServer } from '../config/types.js';
import { sha256 } from '../lib/sha256.js';
import { ownedKey, placeOfUrl, writeOver } from './owned-records.js';

/** A key as it is stored. */
export interface KeyRecord {
  readonly value: string;
  /** The server has refused it: it is not used any more. */
  readonly isRefused: boolean;
}

export interface StoredKey {
  readonly generation: number;
  readonly record: KeyRecord;
}

/** The part of the state that is used here. */
export interface KeyRecords {
  get(key: string): Promise<{ readonly generation: number; readonly value: object } | undefined>;
  put(key: string, value: object, ifGeneration: number): Promise<boolean>;
  delete(key: string): Promise<void>;
  isDamaged(key: string): Promise<boolean>;
  keys(kind: 'key'): AsyncIterable<string>;
}

/** Another URL, or another command, finds no key of the one before. `owner`: EVERYBODY, or the id of a principal. */
export function recordKey(config: KeyServer, owner: string): string {
  return ownedKey('key', config.name, placeOf(config), owner);
}

function placeOf(config: KeyServer): string {
  if (config.kind === 'http') return placeOfUrl(config.url);
  // A secret in the arguments may change without changing the program.
  const args = config.args.map((each) => maskSecrets(each, config.filled ?? []));
  return `stdio:${sha256(JSON.stringify([config.command, args]))}`;
}

export async function readKey(records: KeyRecords, key: string): Promise<StoredKey | undefined> {
  const stored = await records.get(key);
  return stored && { generation: stored.generation, record: stored.value as KeyRecord };
}

/** Writes a key whatever is there. */
export async function writeKey(records: KeyRecords, key: string, value: string): Promise<void> {
  await writeOver(records, key, { value, isRefused: false } satisfies KeyRecord, 'key');
}
