/** Where the chain of an audit log goes on after a start: the end of its last file. */
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { hashOf, readLine, START, type Link } from './chain.js';

/** No line is longer: see MAX_LINE in record.ts. */
const TAIL_BYTES = 1_048_576;
const LF = 0x0a;

export interface End {
  readonly link: Link;
  /** Whether the last line says that the gateway stopped, or there is none. */
  readonly clean: boolean;
  /** The file ends in the middle of a line. */
  readonly open: boolean;
  /** The hash of that line, if it lacks more than its line break. */
  readonly torn: string | undefined;
}

const NOTHING: End = { link: START, clean: true, open: false, torn: undefined };

/**
 * The end of the log in `path`, an open file, or in the newest full file beside it. Throws an Error if the last line is not one of an audit
 * log.
 */
export function endOf(path: string, fd: number): End {
  const own = endOfFile(path, fd);
  if (own) return own;
  const newest = fullFiles(path).at(-1);
  if (newest === undefined) return NOTHING;
  const full = openSync(newest, 'r');
  try {
    return { ...(endOfFile(newest, full) ?? NOTHING), open: false };
  } finally {
    closeSync(full);
  }
}

/** undefined: the file is empty. */
function endOfFile(path: string, fd: number): End | undefined {
  const { size } = fstatSync(fd);
  if (size === 0) return undefined;
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
  let read = 0;
  while (read < tail.length) {
    const bytes = readSync(fd, tail, read, tail.length - read, size - tail.length + read);
    if (bytes === 0) break;
    read += bytes;
  }
  const end = tail.lastIndexOf(LF, read - 1);
  const rest = tail.subarray(end + 1, read);
  const whole = rest.length > 0 ? readLine(rest) : undefined;
  if (whole) return ended(rest, whole, true, undefined);
  const torn = rest.length > 0 ? hashOf(rest) : undefined;
  const begin = end > 0 ? tail.lastIndexOf(LF, end - 1) + 1 : 0;
  const line = tail.subarray(begin, Math.max(end, 0));
  const last = readLine(line);
  if (last) return ended(line, last, torn !== undefined, torn);
  // The very first line was not finished.
  if (end === -1 && size === read && rest[0] === 0x7b) return { link: START, clean: false, open: true, torn };
  throw new Error(`audit.file: ${path} does not end like an audit log: move it away, or name another file`);
}

function ended(
  line: Buffer,
  { seq, event }: { readonly seq: number; readonly event: string },
  open: boolean,
  torn: string | undefined,
): End {
  return { link: { seq, hash: hashOf(line) }, clean: event === 'stop' && !open, open, torn };
}

const DIGITS = 12;

/** The name that a full file gets: the number of its last line is added. */
export function fullName(path: string, lastSeq: number): string {
  return `${path}.${String(lastSeq).padStart(DIGITS, '0')}`;
}

/** The full files beside `path`, oldest first; empty if they cannot be listed. */
export function fullFiles(path: string): string[] {
  const name = `${basename(path)}.`;
  let all: string[];
  try {
    all = readdirSync(dirname(path));
  } catch {
    return [];
  }
  return all
    .filter((each) => each.startsWith(name) && new RegExp(`^\\d{${DIGITS},}$`).test(each.slice(name.length)))
    .sort((a, b) => Number(a.slice(name.length)) - Number(b.slice(name.length)))
    .map((each) => join(dirname(path), each));
}
