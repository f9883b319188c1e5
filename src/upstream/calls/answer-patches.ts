/**
 * What is replaced in the bytes of an answer: the id, members that are null, and what the caller's edit changes at the ends of the result.
 */
import type { AnswerEdit } from '../../protocol/ports.js';
import type { MessageScan } from '../../wire/message-scan.js';
import type { Span } from '../../wire/scan.js';
import { replace, splice, type Patch } from '../../wire/splice.js';

const SPACE = 0x20;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const WRAP_OPEN = Buffer.from('{"result":');
const WRAP_CLOSE = Buffer.from('}');

/** Members that are null beside the one that counts are replaced by white space of the same length. `from`, `to`: the bytes at hand. */
export function addBlanks(patches: Patch[], { nulls }: MessageScan, from: number, to: number): void {
  for (const { start, end } of nulls)
    if (start >= from && end <= to)
      patches.push({ start: start - from, end: end - from, bytes: Buffer.alloc(end - start, SPACE) });
}

/** The edit at the start of a result that is an object; `bytes` begin with the message. Returns the end of what it replaces. */
export function addHeadEdit(patches: Patch[], edit: AnswerEdit, bytes: Buffer, value: number): number {
  let end = value + 1;
  if (bytes[value] !== OPEN_BRACE) return end;
  for (const patch of edit.head(bytes, value)) {
    end = Math.max(end, patch.end);
    patches.push(patch);
  }
  return end;
}

/** The edit at the end of a result. `last`: the last bytes of the message, from `base` on; `from`: what comes before must stay. */
export function addTailEdit(
  patches: Patch[],
  edit: AnswerEdit,
  last: Buffer,
  { base, from, valueEnd }: { readonly base: number; readonly from: number; readonly valueEnd: number },
): void {
  const brace = valueEnd - 1 - base;
  if (!edit.tail || brace < from || last[brace] !== CLOSE_BRACE) return;
  for (const patch of edit.tail(last, brace, from)) patches.push(patch);
}

/** A `structuredContent` that is not an object becomes one, under `result`. */
export function addWrap(patches: Patch[], structured: Span, base: number): void {
  const [start, end] = [structured.start - base, structured.end - base];
  patches.push({ start, end: start, bytes: WRAP_OPEN }, { start: end, end, bytes: WRAP_CLOSE });
}

/** `bytes`, which may be changed in place, with the patches and the caller's id. */
export function applied(bytes: Buffer, patches: Patch[], id: Span | undefined, rawId: Buffer): Buffer {
  if (id && patches.length === 0) return replace(bytes, id, rawId);
  if (id) patches.push({ start: id.start, end: id.end, bytes: rawId });
  return patches.length > 0 ? splice(bytes, patches) : bytes;
}
