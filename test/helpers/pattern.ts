/**
 * A string of any length in which the offset determines every byte: blocks of 64 KB that start with their number and contain
 * a different word every 16 bytes. This reveals lost, duplicated and moved bytes. Plain ASCII, so it needs no escapes in JSON.
 */
const BLOCK = 65_536;
const base = Buffer.alloc(BLOCK);
for (let word = 0; word < BLOCK / 16; word++)
  base.write(`${word.toString(36).padStart(15, '.')} `, word * 16);

/** Most tests read the first blocks only, some of them thousands of times. */
const first: Buffer[] = [];

function block(n: number): Buffer {
  const made = first[n];
  if (made) return made;
  const bytes = Buffer.from(base);
  bytes.write(`#${n.toString(36).padStart(14, '.')} `, 0);
  if (n < 4) first[n] = bytes;
  return bytes;
}

/** The bytes of the pattern from `from` to `to`. Read-only: blocks are shared. */
export function pattern(from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = from; at < to;) {
    const n = Math.floor(at / BLOCK);
    const end = Math.min(to, (n + 1) * BLOCK);
    parts.push(block(n).subarray(at - n * BLOCK, end - n * BLOCK));
    at = end;
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

/** The offset of the first byte of `bytes` that differs from the pattern beginning at `from`, or -1. */
export function firstDifference(bytes: Uint8Array, from = 0): number {
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const part = bytes.subarray(at, at + BLOCK);
    const expected = pattern(from + at, from + at + part.length);
    if (expected.equals(part)) continue;
    for (let i = 0; i < part.length; i++) if (part[i] !== expected[i]) return at + i;
  }
  return -1;
}
