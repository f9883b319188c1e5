/** The configuration file, for those who look at it and change it. */
import { readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ConfigFile } from '../admin/source.js';
import { loadText } from '../config/index.js';
import { FILE_BYTES } from '../config/read.js';
import { createAccess } from '../policy/access.js';
import { createFolder, replaceFile } from '../state/write-file.js';

const BACKUPS = 'backups';
/** Backups of one file that are kept. */
const MOST_BACKUPS = 50;

/** `stateDir`: where backups are kept; undefined: the file cannot be changed. */
export function configFile(path: string, env: NodeJS.ProcessEnv, stateDir: string | undefined): ConfigFile {
  async function read(): Promise<string> {
    const { size } = await stat(path);
    if (size > FILE_BYTES) throw new Error(`larger than ${FILE_BYTES} bytes`);
    return readFile(path, 'utf8');
  }

  /** Replaces the file that a link leads to, with the same permissions. */
  async function write(text: string): Promise<void> {
    const target = await realpath(path);
    const { mode } = await stat(target);
    await replaceFile(target, text, mode & 0o777);
  }

  return {
    path,
    read,
    load(text) {
      const loaded = loadText(text, path, env);
      // Conditions of the policy.
      createAccess(loaded.config);
      return loaded;
    },
    async replace(text) {
      if (stateDir === undefined)
        throw new Error('there is no state folder for the backup: set state.dir in the config');
      const folder = join(stateDir, BACKUPS);
      await createFolder(stateDir);
      await createFolder(folder);
      const backup = join(folder, `${basename(path)}.${new Date().toISOString().replaceAll(':', '-')}`);
      await replaceFile(backup, await read());
      await write(text);
      await removeOld(folder, `${basename(path)}.`);
      return backup;
    },
    restore: write,
  };
}

async function removeOld(folder: string, prefix: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(prefix)).sort();
  for (const name of names.slice(0, -MOST_BACKUPS)) await rm(join(folder, name), { force: true });
}
