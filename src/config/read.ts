import { closeSync, openSync, readSync } from 'node:fs';

/** The most a config may have: it is written by people; more is a mistake or an attack. */
export const FILE_BYTES = 4 << 20;

/**
 * The text of a file of at most `limit` bytes of UTF-8. Reads instead of asking for the size,
 * so that pipes and files under /proc work. The error says why in a few words, without the path.
 */
export function readBounded(path: string, limit: number): string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw plain(error);
  }
  try {
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
