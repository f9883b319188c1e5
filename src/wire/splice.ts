/** Replaces a few spans of a buffer, and keeps all other bytes. */
import type { Span } from './scan.js';

export interface Patch {
  /** Byte offsets of the replaced span; equal offsets insert. */
  readonly start: number;
  readonly end: number;
  /** A string is ASCII. */
  readonly bytes: Buffer | string;
}

/** Fewer bytes are copied one by one, because a native call costs more. */
const FEW = 48;
/** How many bytes are moved within a buffer at most; beyond that a new buffer is made. */
const NEAR = 1024;

/** Returns a new buffer: `buf` from `from` to `to` with the patches applied. Patches may be in any order but must not overlap. */
export function splice(buf: Buffer, patches: Patch[], from = 0, to = buf.length): Buffer {
  if (!isSorted(patches)) patches.sort(inOrder);
  let length = to - from;
  for (const p of patches) length += p.bytes.length - (p.end - p.start);
  const out = Buffer.allocUnsafe(length);
  let read = from;
  let write = 0;
  for (const { start, end, bytes } of patches) {
    write = copy(out, write, buf, read, start);
    if (typeof bytes === 'string')
      for (let i = 0; i < bytes.length; i++) out[write + i] = bytes.charCodeAt(i);
    else out.set(bytes, write);
    write += bytes.length;
    read = end;
  }
  copy(out, write, buf, read, to);
  return out;
}

/** Sorts insertions at an offset before replacements that begin there. */
const inOrder = (a: Patch, b: Patch): number => a.start - b.start || a.end - b.end;

function isSorted(patches: Patch[]): boolean {
  for (let i = 1; i < patches.length; i++)
    if (inOrder(patches[i - 1] as Patch, patches[i] as Patch) > 0) return false;
  return true;
}

/** Returns the next write offset. */
function copy(out: Buffer, at: number, buf: Buffer, from: number, to: number): number {
  if (to - from > FEW) return at + buf.copy(out, at, from, to);
  let write = at;
  for (let read = from; read < to; read++) out[write++] = buf[read] as number;
  return write;
}

/**
 * Replaces one span of `buf`, which may be modified: a replacement that is not longer, and near an end, is written without copying
 * the rest.
 */
export function replace(buf: Buffer, { start, end }: Span, bytes: Buffer): Buffer {
  const spare = end - start - bytes.length;
  const after = buf.length - end;
  if (spare < 0 || (start > NEAR && after > NEAR)) return splice(buf, [{ start, end, bytes }]);
  if (start <= after) {
    buf.copyWithin(spare, 0, start);
    buf.set(bytes, start + spare);
    return spare === 0 ? buf : buf.subarray(spare);
  }
  buf.set(bytes, start);
  buf.copyWithin(start + bytes.length, end);
  return spare === 0 ? buf : buf.subarray(0, buf.length - spare);
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Replaces raw line breaks, which JSON allows between tokens, by spaces: in a line or an SSE `data:` field they would end the
 * message and could smuggle in another one. Returns the same buffer if there are none.
 */
export function withoutLineBreaks(buf: Buffer): Buffer {
  if (buf.indexOf(LF) === -1 && buf.indexOf(CR) === -1) return buf;
  const out = Buffer.from(buf);
  for (let i = 0; i < out.length; i++) if (out[i] === LF || out[i] === CR) out[i] = 0x20;
  return out;
}
