/** Where the state key comes from: the configuration, a command, or the file `key` in the folder, which is made on first use. */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../observe/log.js';
import { StateError } from './sealed.js';
import { codeOf, createFile, createFolder, isMissing, readBounded } from './write-file.js';

/** The first key seals, all of them open. Each has 32 bytes. */
export interface StateKeys {
  readonly current: Buffer;
  readonly older: readonly Buffer[];
}

export interface KeySource {
  /** undefined: there is none yet, so nothing can have been sealed. */
  find(): Promise<StateKeys | undefined>;
  /** Makes one if there is none. Rejects with the error of the file system if it cannot be written. */
  make(): Promise<StateKeys>;
}

const KEY_BYTES = 32;
const FILE_BYTES = 65_536;
const WINDOWS = process.platform === 'win32';

export function fixedKeys(keys: StateKeys): KeySource {
  return { find: () => Promise.resolve(keys), make: () => Promise.resolve(keys) };
}

/** Reads keys, one a line in base64url. `where`, for the error: the file or the command they are from. */
export function parseKeys(text: string, where: string): StateKeys {
  const [current, ...older] = text
    .split(/\r?\n/)
    .map((line) => line.trim().replace(/=$/, ''))
    .filter((line) => line !== '')
    .map((line) => {
      const key = Buffer.from(line, 'base64url');
      if (key.length === KEY_BYTES && key.toString('base64url') === line) return key;
      throw new StateError(
        `${where} does not hold a key: a line must be ${KEY_BYTES} bytes in base64url; restore it from a backup`,
      );
    });
  if (!current) throw new StateError(`${where} holds no key: restore it from a backup`);
  return { current, older };
}

/** The key in the file `key` of a folder. */
export class KeyFile implements KeySource {
  readonly #folder: string;
  readonly #path: string;
  readonly #log: Logger;
  #keys: StateKeys | undefined;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#path = join(folder, 'key');
    this.#log = log;
  }

  /** Rejects with a StateError if the file is readable by others, or does not hold a key. */
  async find(): Promise<StateKeys | undefined> {
    if (this.#keys) return this.#keys;
    let text: string | undefined;
    try {
      const { mode } = await stat(this.#path);
      if (!WINDOWS && (mode & 0o077) !== 0)
        throw new StateError(`others can read the state key: chmod 600 ${this.#path}`);
      text = (await readBounded(this.#path, FILE_BYTES))?.toString('utf8');
    } catch (error) {
      if (error instanceof StateError) throw error;
      if (isMissing(error)) return undefined;
      throw new StateError(`the state key ${this.#path} cannot be read: ${String(error)}`, error);
    }
    return (this.#keys = parseKeys(text ?? '', this.#path));
  }

  async make(): Promise<StateKeys> {
    const found = await this.find();
    if (found) return found;
    await createFolder(this.#folder);
    try {
      await createFile(this.#path, `${randomBytes(KEY_BYTES).toString('base64url')}\n`);
      this.#log.info('made the key of the state folder: back it up with the folder', { file: this.#path });
    } catch (error) {
      // Another process has just made one.
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    const made = await this.find();
    if (!made) throw new StateError(`the state key ${this.#path} was removed`);
    return made;
  }
}
