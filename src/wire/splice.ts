/** Replacing a few spans of a buffer and keeping every other byte. */

export interface Patch {
  /** Byte offsets of what is replaced; equal ones insert. */
  readonly start: number;
  readonly end: number;
  readonly bytes: Buffer;
}

/** A new buffer: `buf` from `from` to `to` with the patches put in. Patches must not overlap; any order. */
export function splice(buf: Buffer, patches: Patch[], from = 0, to = buf.length): Buffer {
  // What is put in at a place stands before what is replaced from there on.
  if (patches.length > 1) patches.sort((a, b) => a.start - b.start || a.end - b.end);
  let length = to - from;
  for (const p of patches) length += p.bytes.length - (p.end - p.start);
  const out = Buffer.allocUnsafe(length);
  let read = from;
  let write = 0;
  for (const p of patches) {
    write += buf.copy(out, write, read, p.start);
    write += p.bytes.copy(out, write);
    read = p.end;
  }
  buf.copy(out, write, read, to);
  return out;
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Raw line breaks may stand between JSON tokens, never inside one. Before a message goes to a line or into an SSE
 * `data:` field each becomes a space, or it would end the line and smuggle in a second message. Returns the
 * same buffer where there are none.
 */
export function withoutLineBreaks(buf: Buffer): Buffer {
  if (buf.indexOf(LF) === -1 && buf.indexOf(CR) === -1) return buf;
  const out = Buffer.from(buf);
  for (let i = 0; i < out.length; i++) if (out[i] === LF || out[i] === CR) out[i] = 0x20;
  return out;
}
