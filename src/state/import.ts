/** Brings the records of a folder into the store of a fleet, once: the state of a gateway that was alone before. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../observe/log.js';
import { openFolder } from './folder.js';
import { ALL_KINDS, StateError, type Kind, type PutOptions, type Sealed } from './sealed.js';
import type { KeySource } from './state-key.js';
import { createFile } from './write-file.js';

/** In the folder, once its records are in the store: what is deleted there does not come back from here. */
export const MOVED = 'moved-to-fleet';
const RETRY_MS = 5000;
/** Longer than any token of a sign-in that has ended. */
const ENDED_MS = 86_400_000;

export interface ImportOptions {
  readonly dir: string;
  readonly keys: KeySource;
  readonly to: Sealed;
  readonly log: Logger;
}

/** Imports in the background, and tries again while the store is away. Returns what ends it. */
export function importInBackground(options: ImportOptions): () => void {
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const attempt = async (): Promise<void> => {
    try {
      await importFolder(options);
    } catch (error) {
      if (error instanceof StateError) {
        if (!isOver) timer = setTimeout(() => void attempt(), RETRY_MS).unref();
        return;
      }
      const { dir, log } = options;
      log.warn('the records of the state folder are not imported into the store of the fleet', {
        folder: dir,
        error: String(error),
      });
    }
  };
  void attempt();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

/**
 * Writes what the store lacks, then a mark into the folder; nothing else of it changes. Rejects with a StateError if the store is away or the
 * folder cannot be read, and with the error of the file system if the mark cannot be written.
 */
export async function importFolder({ dir, keys, to, log }: ImportOptions): Promise<void> {
  if (!(await hasRecords(dir))) return;
  const from = await openFolder({ dir, keys, log });
  let count = 0;
  for (const kind of ALL_KINDS) {
    // What waits for a yes is asked for anew, by whoever still wants it.
    if (kind === 'login' || kind.startsWith('approval')) continue;
    for await (const key of from.keys(kind)) {
      const stored = await from.get(key);
      if (stored && (await to.put(key, stored.value, 0, optionsOf(kind)))) count++;
    }
  }
  await from.close();
  await createFile(join(dir, MOVED), 'The records of this folder are in the store of a fleet.\n');
  log.info('imported the records of the state folder into the store of the fleet', {
    folder: dir,
    records: count,
  });
}

function optionsOf(kind: Kind): PutOptions {
  return { durable: true, ...(kind === 'ended-sign-in' && { ttlMs: ENDED_MS }) };
}

async function hasRecords(dir: string): Promise<boolean> {
  const isMoved = await stat(join(dir, MOVED)).then(
    () => true,
    () => false,
  );
  if (isMoved) return false;
  const names = await readdir(dir, { recursive: true }).catch(() => []);
  return names.some((name) => name.endsWith('.cred'));
}
