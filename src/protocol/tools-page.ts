/** One page of a tools/list answer: definitions as the bytes they came in, with the few spans that get spliced. */
import { isUtf8 } from 'node:buffer';
import type { Span } from '../wire/scan.js';
import { elementsOf, membersOf } from '../wire/walk.js';

export interface ToolDefinition {
  readonly name: string;
  /** The whole definition. */
  readonly bytes: Buffer;
  /** Within `bytes`. */
  readonly nameSpan: Span;
  /** Within `bytes`; undefined: there is none, or it is no text. */
  readonly descriptionSpan: Span | undefined;
  /** A description that is no text, within `bytes`. */
  readonly badDescriptionSpan: Span | undefined;
  /** Calling it twice does no more than once (2025-11-25, ToolAnnotations). */
  readonly repeatable: boolean;
}

export interface ToolsPage {
  readonly tools: ToolDefinition[];
  readonly nextCursor: string | undefined;
  /** What was left out, a sentence each. */
  readonly problems: string[];
}

interface RawTool {
  name?: unknown;
  description?: unknown;
  inputSchema?: unknown;
  annotations?: { readOnlyHint?: unknown; idempotentHint?: unknown };
}

/** Reads the bytes of a `result`. Throws an Error that says what is wrong with the page as a whole. */
export function readToolsPage(result: Buffer): ToolsPage {
  if (!isUtf8(result)) throw new Error('answered tools/list with what is no UTF-8');
  let parsed: { tools?: unknown; nextCursor?: unknown } | null;
  try {
    parsed = JSON.parse(result.toString('utf8')) as typeof parsed;
  } catch {
    throw new Error('answered tools/list with what is no JSON');
  }
  const raw = parsed?.tools;
  if (!Array.isArray(raw)) throw new Error('answered tools/list without a list of tools');
  const members = membersOf(result);
  // As JSON.parse has it, the last of equal members counts.
  const list = members.findLast((member) => member.key === 'tools') as Span;
  const tools: ToolDefinition[] = [];
  const problems: string[] = [];
  elementsOf(result, list.start).forEach((span, index) => {
    const problem = addTool(tools, raw[index] as RawTool | null, result.subarray(span.start, span.end));
    if (problem !== undefined) problems.push(`tool ${index + 1} left out: ${problem}`);
  });
  const cursor = parsed?.nextCursor;
  return { tools, nextCursor: typeof cursor === 'string' ? cursor : undefined, problems };
}

function addTool(tools: ToolDefinition[], tool: RawTool | null, bytes: Buffer): string | undefined {
  if (typeof tool !== 'object' || tool === null || Array.isArray(tool)) return 'it is no object';
  const { name, inputSchema, annotations } = tool;
  if (typeof name !== 'string' || name === '') return 'it has no name';
  if (typeof inputSchema !== 'object' || inputSchema === null || Array.isArray(inputSchema))
    return `the inputSchema of '${name.slice(0, 128)}' is no object`;
  // SDK clients refuse a whole list for one such schema (2025-11-25, Tool.inputSchema).
  if ((inputSchema as { type?: unknown }).type !== 'object')
    return `the inputSchema of '${name.slice(0, 128)}' has no "type": "object"`;
  const members = membersOf(bytes);
  const named = members.filter((member) => member.key === 'name');
  const described = members.filter((member) => member.key === 'description');
  if (named.length > 1 || described.length > 1) return `'${name.slice(0, 128)}' has a member twice`;
  const description = described[0];
  const isText = description !== undefined && bytes[description.start] === 0x22;
  tools.push({
    name,
    bytes,
    nameSpan: named[0] as Span,
    descriptionSpan: isText ? description : undefined,
    badDescriptionSpan: isText ? undefined : description,
    repeatable: annotations?.readOnlyHint === true || annotations?.idempotentHint === true,
  });
  return undefined;
}

export function sameTools(a: readonly ToolDefinition[], b: readonly ToolDefinition[]): boolean {
  return a.length === b.length && a.every((tool, i) => tool.bytes.equals((b[i] as ToolDefinition).bytes));
}
