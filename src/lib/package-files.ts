/** The files of the package: in the folder `dist`, or inside the single file that packaging/sea builds. */
import { existsSync, readFileSync } from 'node:fs';
import { getAsset, getRawAsset, isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';

/** The paths of the files in the single file; undefined: the package is a folder. */
const packed = isSea() ? listed() : undefined;

function listed(): readonly string[] | undefined {
  try {
    return JSON.parse(getAsset('mcpstead.json', 'utf8')) as string[];
  } catch {
    // The single file of another program, which has the library in it.
    return undefined;
  }
}

/** `dist`: this code is in its folder `chunks`, or in `lib` of `build` or `src`. */
const folder = ['../', '../../dist/']
  .map((path) => new URL(path, import.meta.url))
  .find((url) => packed === undefined && existsSync(new URL('build-info.json', url)));

/** The path of a file or folder; `path` as in `dist`. Without `dist`, it leads nowhere. */
export const packagePath = (path: string): string =>
  fileURLToPath(new URL(path, folder ?? new URL('../', import.meta.url)));

/** Reads a file; `path` as in `dist`, such as `build-info.json`. Throws if there is none. The bytes must not be changed. */
export function readPackageFile(path: string): Buffer {
  // In the single file they are read-only memory of the program.
  if (packed) return Buffer.from(getRawAsset(path) as ArrayBuffer);
  return readFileSync(packagePath(path));
}

/** The files in a folder of the single file, by their paths in it; undefined: the package is a folder. */
export function packedNames(folder: string): readonly string[] | undefined {
  return packed?.filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length));
}

/** The program, and its first arguments, that run a script of the package; `script` as in `dist`. */
export function commandOf(script: 'cli/main.js' | 'demo/notes.js'): readonly [string, ...string[]] {
  if (!packed) return [process.execPath, packagePath(script)];
  // packaging/sea/main.mjs reads this word.
  return script === 'demo/notes.js' ? [process.execPath, '__notes'] : [process.execPath];
}
