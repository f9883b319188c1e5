/** Checks the chain of an audit log, across its files. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { hashOf, readLine, type Read } from './chain.js';

/** Longer lines are not read: the gateway writes none. */
const MAX_LINE = 1_048_576;
const LF = 0x0a;

export type Verdict =
  | {
      readonly ok: true;
      readonly lines: number;
      /** The numbers of the first and the last line; 0: there are no lines. */
      readonly from: number;
      readonly to: number;
      /** The hash of the last line. */
      readonly head: string | undefined;
      /** The hash that was asked for is that of a line. */
      readonly seen: boolean;
    }
  | { readonly ok: false; readonly file: string; readonly line: number; readonly why: string };

interface Line {
  readonly file: string;
  /** From 1 in its file. */
  readonly number: number;
  readonly bytes: Buffer;
  /** Whether it has a line break. */
  readonly whole: boolean;
}

interface Checked extends Line {
  readonly read: Read;
  readonly hash: string;
}

/** Reads the files in the order of their first lines. Rejects with an Error if one cannot be read. `wanted`: a hash to look for. */
export async function verify(files: readonly string[], wanted: string | undefined): Promise<Verdict> {
  const lines = linesOf(await inOrder(files));
  let before: Checked | undefined;
  let first: Checked | undefined;
  let count = 0;
  let seen = false;
  let torn: Line | undefined;
  let next = await lines.next();
  while (next.done !== true) {
    const line = next.value;
    next = await lines.next();
    const read = readLine(line.bytes);
    if (!read) {
      // Where a start, or another file, explains it.
      if (torn || next.done === true || (line.whole && line.bytes.length > MAX_LINE))
        return broken(line, 'this is not a line of an audit log');
      torn = line;
      continue;
    }
    const checked: Checked = { ...line, read, hash: hashOf(line.bytes) };
    if (torn && !explains(checked, torn)) return broken(torn, 'this is not a line of an audit log');
    torn = undefined;
    const following = next.done === true ? undefined : readLine(next.value.bytes);
    const wrong = before ? broke(before, checked, following) : begins(checked);
    if (wrong) return wrong;
    count++;
    seen ||= checked.hash === wanted;
    first ??= checked;
    before = checked;
  }
  return {
    ok: true,
    lines: count,
    from: first?.read.seq ?? 0,
    to: before?.read.seq ?? 0,
    head: before?.hash,
    seen,
  };
}

function broken({ file, number }: Line, why: string): Verdict {
  return { ok: false, file, line: number, why };
}

function begins(line: Checked): Verdict | undefined {
  const { seq, prev } = line.read;
  return (seq === 1) === (prev === undefined)
    ? undefined
    : broken(line, `line number ${seq} of the log has ${prev === undefined ? 'no' : 'a'} line before it`);
}

/** What is wrong between two lines. */
function broke(before: Checked, line: Checked, following: Read | undefined): Verdict | undefined {
  const { seq, prev } = line.read;
  const expected = before.read.seq + 1;
  if (seq !== expected)
    return broken(
      line,
      `seq is ${seq} and must be ${expected}: lines are missing, added or in another order`,
    );
  if (prev === before.hash) return undefined;
  // The line after this one tells which of the two was changed.
  if (following && following.prev !== line.hash) return broken(line, 'this line was changed');
  if (following) return broken(before, 'this line was changed');
  return broken(before, 'this line or the next one, which is the last, was changed');
}

/** Whether a line tells of the unfinished one before it. */
function explains({ read, bytes, file }: Checked, torn: Line): boolean {
  if (read.event === 'unclean_end' && read.torn === hashOf(torn.bytes)) return true;
  // The log went on in another file, with the same line.
  return !torn.whole && file !== torn.file && bytes.subarray(0, torn.bytes.length).equals(torn.bytes);
}

async function inOrder(files: readonly string[]): Promise<string[]> {
  const found: { readonly file: string; readonly seq: number }[] = [];
  for (const file of files) {
    const seq = await firstSeq(file);
    if (seq !== undefined) found.push({ file, seq });
  }
  return found.sort((a, b) => a.seq - b.seq).map(({ file }) => file);
}

/** The number of the first line that can be read, 0 if none can; undefined: the file is empty. */
async function firstSeq(file: string): Promise<number | undefined> {
  const handle = await open(file, 'r');
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAX_LINE), 0, MAX_LINE, 0);
    if (bytesRead === 0) return undefined;
    const end = buffer.subarray(0, bytesRead).indexOf(LF);
    return readLine(buffer.subarray(0, end === -1 ? bytesRead : end))?.seq ?? 0;
  } finally {
    await handle.close();
  }
}

async function* linesOf(files: readonly string[]): AsyncGenerator<Line, undefined, undefined> {
  for (const file of files) {
    let number = 0;
    let rest = Buffer.alloc(0);
    for await (const chunk of createReadStream(file, { highWaterMark: 262_144 })) {
      let bytes = rest.length > 0 ? Buffer.concat([rest, chunk as Buffer]) : (chunk as Buffer);
      for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF)) {
        yield { file, number: ++number, bytes: bytes.subarray(0, end), whole: true };
        bytes = bytes.subarray(end + 1);
      }
      rest = Buffer.from(bytes);
      if (rest.length > MAX_LINE) break;
    }
    if (rest.length > 0) yield { file, number: ++number, bytes: rest, whole: false };
  }
  return undefined;
}
