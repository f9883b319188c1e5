/** Lists as bytes: each definition as its server wrote it, with name and description spliced. */
import { LISTS, type Definition, type ListKind } from '../protocol/lists.js';
import type { Patch } from '../wire/splice.js';
import { describe } from './naming.js';

const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']}');

/** What gives a definition another name or URI. A tool's description is marked with its server as well. */
export function renaming(kind: ListKind, definition: Definition, server: string, name: string): Patch[] {
  const patches: Patch[] = [{ ...definition.keySpan, bytes: Buffer.from(JSON.stringify(name)) }];
  if (kind === 'tools') patches.push(description(definition, server));
  return patches;
}

function description(definition: Definition, server: string): Patch {
  const { prefix, missing } = describe(server);
  const text = definition.descriptionSpan;
  if (text) {
    // After the opening quote: what follows keeps its bytes.
    const at = text.start + 1;
    return { start: at, end: at, bytes: Buffer.from(JSON.stringify(prefix).slice(1, -1)) };
  }
  const at = definition.keySpan.end;
  return { start: at, end: at, bytes: Buffer.from(`,"description":${JSON.stringify(missing)}`) };
}

/** The `result` of a list. */
export function listResult(kind: ListKind, definitions: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`{"${LISTS[kind].member}":[`)];
  definitions.forEach((definition, i) => {
    if (i > 0) parts.push(COMMA);
    parts.push(definition);
  });
  parts.push(CLOSE);
  return Buffer.concat(parts);
}
