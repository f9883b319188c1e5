/** What is stored of the keys that people set for servers, as records of the state. */
import { maskSecrets } from '../config/redact.js';
import type { KeyServer } from '../config/types.js';
import { sha256 } from '../lib/sha256.js';

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
  keys(kind: 'key'): AsyncIterable<string>;
}

const PREFIX = 'key:';

/** Another URL, or another command, finds no key of the one before. `owner`: EVERYBODY, or the id of a principal. */
export function recordKey(config: KeyServer, owner: string): string {
  return `${PREFIX}${JSON.stringify([config.name, placeOf(config), owner])}`;
}

function placeOf(config: KeyServer): string {
  if (config.kind === 'http') {
    const { origin, pathname } = new URL(config.url);
    return origin + pathname;
  }
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
  for (let tries = 0; tries < 16; tries++) {
    const there = await records.get(key);
    if (await records.put(key, { value, isRefused: false } satisfies KeyRecord, there?.generation ?? 0))
      return;
  }
  throw new Error('the record of a key changes all the time');
}

/** Erases the keys that are not kept. Returns the names of their servers. */
export async function eraseKeys(
  records: KeyRecords,
  isKept: (key: string, server: string, owner: string) => boolean,
): Promise<string[]> {
  const gone: string[] = [];
  for await (const key of records.keys('key')) {
    const { server, owner } = ownerOf(key);
    if (isKept(key, server, owner)) continue;
    gone.push(server);
    await records.delete(key);
  }
  return gone;
}

/** What the key of a record names; empty where it names nothing. */
function ownerOf(key: string): { readonly server: string; readonly owner: string } {
  try {
    const [server = '', , owner = ''] = JSON.parse(key.slice(PREFIX.length)) as string[];
    return { server, owner };
  } catch {
    return { server: '', owner: '' };
  }
}
