/** What the console keeps in the state folder: its key, and where the running gateway is. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyStore } from '../admin/key.js';
import { CONSOLE_KEY_FILE, isConsoleKey } from '../lib/console-key.js';
import type { Logger } from '../observe/log.js';
import {
  codeOf,
  createFile,
  createFolder,
  isMissing,
  readBounded,
  replaceFile,
} from '../state/write-file.js';

const WINDOWS = process.platform === 'win32';
const KEY_FILE_BYTES = 256;
/** Files of gateways that have ended are looked for among so many, at the most. */
const MOST_RUN_FILES = 1000;
const RUN_FOLDER = 'run';

/** A folder that others may write to, or a file that others may read, is not used: the key is in memory then. */
export function folderKeyStore(dir: string, log: Logger): KeyStore {
  const path = join(dir, CONSOLE_KEY_FILE);

  async function usable(): Promise<boolean> {
    if (WINDOWS) return true;
    const [folder, file] = await Promise.all([modeOf(dir), modeOf(path)]);
    const why =
      folder !== undefined && (folder & 0o022) !== 0 && (folder & 0o1000) === 0
        ? `others may write to the state folder: chmod go-w ${dir}`
        : file !== undefined && (file & 0o077) !== 0
          ? `others may read it: chmod 600 ${path}`
          : undefined;
    if (why !== undefined) log.warn('the file of the console key is not used', { why });
    return why === undefined;
  }

  async function read(): Promise<string | undefined> {
    try {
      if (!(await usable())) return undefined;
      const text = (await readBounded(path, KEY_FILE_BYTES))?.toString('utf8').trim();
      if (text !== undefined && isConsoleKey(text)) return text;
      log.warn('the file of the console key is not used', {
        why: `it has no console key: remove ${path}, and a new one is made`,
      });
    } catch (error) {
      if (!isMissing(error)) log.warn('the console key cannot be read', { error: String(error) });
    }
    return undefined;
  }

  return {
    read,
    async write(key, replace) {
      try {
        if (!(await usable())) return key;
        await createFolder(dir);
        await (replace ? replaceFile : createFile)(path, `${key}\n`);
        return key;
      } catch (error) {
        // Another gateway has made one at the same time.
        if (codeOf(error) === 'EEXIST') return (await read()) ?? key;
        log.warn('the console key cannot be written: it is gone at the end of the process', {
          error: String(error),
        });
        return key;
      }
    },
  };
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** What commands find a running gateway by. */
export interface RunFile {
  /** The origin of the port for clients. */
  readonly url: string;
  /** That of the port for operators; null: there is none. */
  readonly admin: string | null;
  readonly pid: number;
  /** The config file. */
  readonly config: string;
  /** ISO 8601 */
  readonly started: string;
}

/** Writes `run/<port>.json`. Resolves with a function that removes it. Never rejects: without the file, commands need `--url`. */
export async function announceRun(
  dir: string,
  port: number,
  run: RunFile,
  log: Logger,
): Promise<() => Promise<void>> {
  const folder = join(dir, RUN_FOLDER);
  const path = join(folder, `${port}.json`);
  try {
    await createFolder(dir);
    await createFolder(folder);
    await removeStale(folder);
    await replaceFile(path, `${JSON.stringify(run)}\n`);
  } catch (error) {
    log.debug('the file that names this gateway cannot be written', { path, error: String(error) });
    return () => Promise.resolve();
  }
  return async () => {
    // Another gateway may have taken the port since.
    const there = await readRun(path);
    if (there?.pid === run.pid) await rm(path, { force: true }).catch(() => undefined);
  };
}

/** Removes the files of processes that were killed. */
async function removeStale(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => /^\d{1,5}\.json$/.test(name));
  for (const name of names.slice(0, MOST_RUN_FILES)) {
    const path = join(folder, name);
    const run = await readRun(path);
    if (!run || !isRunning(run.pid)) await rm(path, { force: true }).catch(() => undefined);
  }
}

async function readRun(path: string): Promise<Pick<RunFile, 'pid'> | undefined> {
  try {
    const read = JSON.parse(String(await readBounded(path, 65_536))) as { pid?: unknown } | null;
    return typeof read?.pid === 'number' ? { pid: read.pid } : undefined;
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
