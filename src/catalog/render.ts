/** Lists as bytes: each definition as its server wrote it, with name and description spliced. */
import type { ToolDefinition } from '../protocol/tools-page.js';
import { splice, type Patch } from '../wire/splice.js';
import { describe } from './naming.js';

const OPEN = Buffer.from('{"tools":[');
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']}');

/** The definition under its qualified name, its description marked with the server. */
export function qualifiedDefinition(tool: ToolDefinition, server: string, qualified: string): Buffer {
  const { prefix, missing } = describe(server);
  const patches: Patch[] = [{ ...tool.nameSpan, bytes: Buffer.from(JSON.stringify(qualified)) }];
  const text = tool.descriptionSpan;
  if (text) {
    // After the opening quote: what follows keeps its bytes.
    const at = text.start + 1;
    patches.push({ start: at, end: at, bytes: Buffer.from(JSON.stringify(prefix).slice(1, -1)) });
  } else if (tool.badDescriptionSpan) {
    patches.push({ ...tool.badDescriptionSpan, bytes: Buffer.from(JSON.stringify(missing)) });
  } else {
    const at = tool.nameSpan.end;
    patches.push({ start: at, end: at, bytes: Buffer.from(`,"description":${JSON.stringify(missing)}`) });
  }
  return splice(tool.bytes, patches);
}

/** The `result` of tools/list. */
export function toolsResult(definitions: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [OPEN];
  definitions.forEach((definition, i) => {
    if (i > 0) parts.push(COMMA);
    parts.push(definition);
  });
  parts.push(CLOSE);
  return Buffer.concat(parts);
}
