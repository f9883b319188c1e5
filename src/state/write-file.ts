/** Files that are there as a whole or not at all, also after a power failure. */
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { link, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const WINDOWS = process.platform === 'win32';
/** How names of unfinished files end. */
export const PART = '.tmp';

export async function createFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/** Makes the names in a folder durable. File systems that cannot do that are left alone. */
export async function syncFolder(path: string): Promise<void> {
  if (WINDOWS) return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    if (!/^(EINVAL|ENOTSUP|EPERM)$/.test(codeOf(error) ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

/** Replaces a file in a folder that exists. Rejects with the error of the file system; then the old file is still there. */
export async function replaceFile(path: string, text: string, mode = 0o600): Promise<void> {
  await placeFile(path, text, mode, rename);
}

/** Creates a file, mode 0600, as `replaceFile` does. Rejects with EEXIST if there is one, perhaps from another process; that is not replaced. */
export async function createFile(path: string, text: string): Promise<void> {
  await placeFile(path, text, 0o600, link);
}

async function placeFile(
  path: string,
  text: string,
  mode: number,
  place: typeof rename | typeof link,
): Promise<void> {
  const part = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}${PART}`);
  try {
    const handle = await open(part, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await place(part, path);
  } finally {
    // After a rename it is not there any more.
    await rm(part, { force: true }).catch(() => undefined);
  }
  await syncFolder(dirname(path));
}

/** Reads a file of at most `bytes` bytes; undefined: it is larger, or not a file. Rejects with the error of the file system. */
export async function readBounded(path: string, bytes: number): Promise<Buffer | undefined> {
  // A pipe would block the open, and a link could lead out of the folder. Windows has neither flag.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);
  const handle = await open(path, flags);
  try {
    const found: Stats = await handle.stat();
    if (!found.isFile() || found.size > bytes) return undefined;
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** Whether there is no such file. */
export function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}
