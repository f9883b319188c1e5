/**
 * What `install` has changed in the files of clients: `backups/` of the state folder holds each file as it was, and `installed.json`, which
 * says what was written.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isMapping } from '../../config/client-files.js';
import { Refusal } from '../../terminal/explain.js';
import { readText, writeText } from './files.js';

/** A file of a client that the gateway was written into. */
export interface Installed {
  readonly client: string;
  readonly path: string;
  /** The file of `backups/` that has its bytes as they were; null: the file did not exist. */
  readonly backup: string | null;
  /** SHA-256 of what was written; null: somebody else has edited it since an earlier `install`. */
  readonly sha256: string | null;
  /** The name of the entry. */
  readonly name: string;
  /** The entries that were taken out, by the backup that has them. */
  readonly removed: readonly { readonly backup: string; readonly path: readonly (string | number)[] }[];
}

export class Backups {
  readonly #folder: string;

  /** `state`: the folder of the gateway's state; undefined: there is none. Throws a Refusal. */
  constructor(state: string | undefined) {
    if (state === undefined)
      throw new Refusal(
        'there is no folder for a backup of what is changed: set HOME, or state.dir in the config',
      );
    this.#folder = join(state, 'backups');
  }

  /** Keeps the text of a file as it is, by client and time. Returns the name of the copy. */
  keep(client: string, text: string): string {
    const time = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').replace(/Z$/, '');
    for (let index = 0; ; index++) {
      const name = `${client}-${time}${index === 0 ? '' : `-${index}`}`;
      if (readText(this.pathOf(name)) !== undefined) continue;
      writeText(this.pathOf(name), text, { mode: 0o600, folderMode: 0o700 });
      return name;
    }
  }

  pathOf(name: string): string {
    return join(this.#folder, name);
  }

  /** The bytes of a copy. Throws a Refusal if it is gone. */
  textOf(name: string): string {
    const text = readText(this.pathOf(name));
    if (text === undefined) throw new Refusal(`the backup ${this.pathOf(name)} is gone`);
    return text;
  }

  all(): readonly Installed[] {
    try {
      const read: unknown = JSON.parse(readText(this.#record) ?? '[]');
      return Array.isArray(read) ? read.filter(isInstalled) : [];
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal(
        `${this.#record} is not valid JSON: remove it, and restore files from ${this.#folder}`,
      );
    }
  }

  find(client: string, path: string): Installed | undefined {
    return this.all().find((each) => each.client === client && each.path === path);
  }

  record(installed: Installed): void {
    this.#write([...this.#others(installed), installed]);
  }

  forget(installed: Installed): void {
    this.#write(this.#others(installed));
  }

  get #record(): string {
    return join(this.#folder, 'installed.json');
  }

  #others({ client, path }: Installed): readonly Installed[] {
    return this.all().filter((each) => each.client !== client || each.path !== path);
  }

  #write(all: readonly Installed[]): void {
    writeText(this.#record, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600, folderMode: 0o700 });
  }
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function isInstalled(each: unknown): each is Installed {
  if (!isMapping(each)) return false;
  const { client, path, backup, sha256, name, removed } = each;
  const isFile = (value: unknown): boolean => typeof value === 'string' && !/[\\/]/.test(value);
  return (
    [client, path, name].every((value) => typeof value === 'string') &&
    (backup === null || isFile(backup)) &&
    (sha256 === null || typeof sha256 === 'string') &&
    Array.isArray(removed) &&
    removed.every((entry) => isMapping(entry) && isFile(entry['backup']) && Array.isArray(entry['path']))
  );
}
