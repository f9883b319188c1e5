/** Reads and writes files that people and their programs own. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Refusal } from '../../terminal/explain.js';

/** Files of clients are settings; one that keeps whole conversations may be large. */
const FILE_BYTES = 64 << 20;

/** The text of a file, a byte order mark included; undefined: there is none. Throws a Refusal. */
export function readText(path: string): string | undefined {
  try {
    const { size } = statSync(path);
    if (!statSync(path).isFile()) throw new Error('it is not a file');
    if (size > FILE_BYTES) throw new Error(`it is larger than ${FILE_BYTES} bytes`);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new Refusal(
      `cannot read ${path}: ${code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8 text' : message}`,
    );
  }
}

export interface Writing {
  /** Of a new file; an existing one keeps its mode. */
  readonly mode?: number;
  /** Of a new folder. */
  readonly folderMode?: number;
  /** The text that the file had when it was read; undefined: it was not there. A file that has another one by now is left alone. */
  readonly before?: { readonly text: string | undefined };
}

/**
 * Writes the whole file or leaves it as it is, also if the process ends meanwhile: a new file takes its name when it is on the disk. A
 * symbolic link stays, its target is written. Throws a Refusal.
 */
export function writeText(path: string, text: string, writing: Writing = {}): void {
  const { mode = 0o644, folderMode = 0o777, before } = writing;
  let temporary: string | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: folderMode });
    const target = targetOf(path);
    const kept = existsSync(target) ? statSync(target).mode & 0o7777 : undefined;
    const name = `${target}.${randomBytes(6).toString('hex')}.tmp`;
    const file = openSync(name, 'wx', kept === undefined ? mode : 0o600);
    temporary = name;
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      if (kept !== undefined) fchmodSync(file, kept);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (before && readText(target) !== before.text)
      throw new Refusal(`${path} has changed meanwhile, and is left as it is: try again`);
    renameSync(temporary, target);
  } catch (error) {
    if (temporary !== undefined) removeIfThere(temporary);
    if (error instanceof Refusal) throw error;
    throw new Refusal(`cannot write ${path}: ${(error as Error).message}`);
  }
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Where a path leads, also if there is no file yet. */
function targetOf(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  let target = path;
  for (let links = 0; links < 40; links++) {
    try {
      if (!lstatSync(target).isSymbolicLink()) return target;
      target = resolve(dirname(target), readlinkSync(target));
    } catch {
      return target;
    }
  }
  throw new Refusal(`${path} is a link that leads nowhere`);
}
