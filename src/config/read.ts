import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** Maximum size of a config file. People write them; a larger one is a mistake or an attack. */
export const FILE_BYTES = 1 << 20;
/** Maximum size of a secret file. */
export const SECRET_BYTES = 64 << 10;

/**
 * The text of a regular file of at most `limit` bytes of UTF-8. Opening or reading anything else may block. Reads instead of trusting
 * the file size, so that files under /proc work. Throws an Error with a short reason, without the path.
 */
export function readBounded(path: string, limit: number): string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let file: number;
  try {
    // Opening a pipe would block until something writes to it.
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
