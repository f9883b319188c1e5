/** Renders lists: each definition as its server wrote it, with name and description replaced. */
import { createHash } from 'node:crypto';
import { LISTS, LIST_KINDS, type Definition, type ListKind } from '../protocol/lists.js';
import type { ListBytes } from '../protocol/ports.js';
import type { Patch } from '../wire/splice.js';
import { describe } from './naming.js';

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
