/** Renders lists: each definition as its server wrote it, with name and description replaced. */
import { createHash } from 'node:crypto';
import { LISTS, LIST_KINDS, type Definition, type ListKind } from '../protocol/lists.js';
import type { ListBytes } from '../protocol/ports.js';
import type { Patch } from '../wire/splice.js';
import { describe } from './naming.js';

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']}');
const OPEN = Object.fromEntries(
  LIST_KINDS.map((kind) => [kind, Buffer.from(`{"${LISTS[kind].member}":[`)]),
) as Readonly<Record<ListKind, Buffer>>;

/** Patches that rename a definition. A tool's description gets its server's name in front. */
export function renaming(kind: ListKind, definition: Definition, server: string, name: string): Patch[] {
  const patches: Patch[] = [{ ...definition.keySpan, bytes: Buffer.from(JSON.stringify(name)) }];
  if (kind === 'tools') patches.push(description(definition, server));
  return patches;
}

function description(definition: Definition, server: string): Patch {
  const { prefix, missing } = describe(server);
  const text = definition.descriptionSpan;
  if (text) {
    // After the opening quote, so that the rest keeps its bytes.
    const at = text.start + 1;
    return { start: at, end: at, bytes: Buffer.from(JSON.stringify(prefix).slice(1, -1)) };
  }
  const at = definition.keySpan.end;
  return { start: at, end: at, bytes: Buffer.from(`,"description":${JSON.stringify(missing)}`) };
}

/** The beginning of the description of a tool, as a merged list shows it: `length` characters. Does not read the rest of the definition. */
export function shownDescription(
  { bytes, descriptionSpan }: Definition,
  server: string,
  length: number,
): string {
  const { prefix, missing } = describe(server);
  if (!descriptionSpan) return missing.slice(0, length);
  const start = descriptionSpan.start + 1;
  const last = descriptionSpan.end - 1;
  let end = start;
  for (let left = length; end < last && left > 0; left--) {
    if (bytes[end] === BACKSLASH) end += bytes[end + 1] === LETTER_U ? 6 : 2;
    else
      do end++;
      while (((bytes[end] as number) & 0xc0) === 0x80);
  }
  const text = JSON.parse(`"${bytes.toString('utf8', start, end)}"`) as string;
  return `${prefix}${text}`.trim().slice(0, length);
}

/** Definitions of one server, separated by commas. */
export interface Rendered {
  readonly parts: readonly Buffer[];
  readonly bytes: number;
  /** SHA-256 of the bytes. */
  readonly digest: string;
}

/** The `result` of a list. */
export function listOf(kind: ListKind, segments: readonly Rendered[]): ListBytes {
  const parts: Buffer[] = [OPEN[kind]];
  let bytes = OPEN[kind].length + CLOSE.length;
  const hash = createHash('sha256');
  for (const segment of segments) {
    if (segment.bytes === 0) continue;
    if (parts.length > 1) {
      parts.push(COMMA);
      bytes++;
    }
    parts.push(...segment.parts);
    bytes += segment.bytes;
    hash.update(segment.digest);
  }
  parts.push(CLOSE);
  return { parts, bytes, digest: hash.digest('base64url') };
}
