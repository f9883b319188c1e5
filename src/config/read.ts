import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** The most a config may have: it is written by people; more is a mistake or an attack. */
export const FILE_BYTES = 1 << 20;
/** The most that a secret file may have. */
export const SECRET_BYTES = 64 << 10;

/**
 * The text of a regular file of at most `limit` bytes of UTF-8: what else has a path may keep whoever opens or reads it waiting for
 * ever. Reads instead of asking for the size, so that files under /proc work. The error says why in a few words, without the path.
 */
export function readBounded(path: string, limit: number): string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let file: number;
  try {
    // Without it, to open a pipe is to wait for whoever writes to it.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw plain(error);
  }
  try {
    const kind = fstatSync(file);
    if (!kind.isFile()) throw new Error(kind.isDirectory() ? 'is a directory' : 'not a regular file');
    for (;;) {
      const chunk = Buffer.allocUnsafe(65_536);
      const count = readSync(file, chunk);
      if (count === 0) break;
      bytes += count;
      if (bytes > limit) throw new Error(`larger than ${limit} bytes`);
      chunks.push(chunk.subarray(0, count));
    }
  } catch (error) {
    throw plain(error);
  } finally {
    closeSync(file);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new Error('not UTF-8 text');
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'no such file',
};

function plain(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  return new Error((code !== undefined && REASONS[code]) || (code ?? message), { cause: error });
}
