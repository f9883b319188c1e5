/** The lists of a server: definitions as the bytes they came in, with the few spans that get spliced. */
import { isUtf8 } from 'node:buffer';
import type { Span } from '../wire/scan.js';
import { elementsOf, membersOf } from '../wire/walk.js';
import { readSchema, type ParamHeader } from './schema.js';

export type { ParamHeader } from './schema.js';

export type ListKind = 'tools' | 'prompts' | 'resources' | 'templates';

interface KindFacts {
  readonly method: string;
  /** The member of the result that holds the list. */
  readonly member: string;
  /** The member of a definition that names it. */
  readonly key: 'name' | 'uri' | 'uriTemplate';
  /** The capability that offers it. */
  readonly capability: 'tools' | 'prompts' | 'resources';
  readonly singular: string;
}

export const LISTS: Readonly<Record<ListKind, KindFacts>> = {
  tools: { method: 'tools/list', member: 'tools', key: 'name', capability: 'tools', singular: 'tool' },
  prompts: {
    method: 'prompts/list',
    member: 'prompts',
    key: 'name',
    capability: 'prompts',
    singular: 'prompt',
  },
  resources: {
    method: 'resources/list',
    member: 'resources',
    key: 'uri',
    capability: 'resources',
    singular: 'resource',
  },
  templates: {
    method: 'resources/templates/list',
    member: 'resourceTemplates',
    key: 'uriTemplate',
    capability: 'resources',
    singular: 'resource template',
  },
};

export const LIST_KINDS = Object.keys(LISTS) as readonly ListKind[];

export interface Definition {
  /** Its name, URI or URI template. */
  readonly key: string;
  /** The whole definition. */
  readonly bytes: Buffer;
  /** Of the key, within `bytes`. */
  readonly keySpan: Span;
  /** Within `bytes`; undefined: there is none, or it is no text. */
  readonly descriptionSpan: Span | undefined;
  /** A description that is no text, within `bytes`. */
  readonly badDescriptionSpan: Span | undefined;
  /** Calling it twice does no more than once (2025-11-25, ToolAnnotations). */
  readonly repeatable: boolean;
  /** Of a tool: what is particular about it; undefined: nothing, and clients of every era read the same bytes. */
  readonly tool: ToolFacts | undefined;
}

/** What a gateway has to know of a tool to call it for a client of another era. */
export interface ToolFacts {
  /** Parameters that are mirrored into headers (2026-07-28, server/tools, "x-mcp-header"). */
  readonly headers: readonly ParamHeader[];
  /** Its `outputSchema` is no object's (possible from 2026-07-28 on): older clients get it wrapped. */
  readonly wrapsOutput: boolean;
  /** `execution.taskSupport` (2025-11-25, basic/utilities/tasks). */
  readonly taskSupport: 'required' | 'optional' | 'forbidden' | undefined;
}

export type Lists = Readonly<Record<ListKind, readonly Definition[]>>;

export const NO_LISTS: Lists = { tools: [], prompts: [], resources: [], templates: [] };

export interface ListPage {
  readonly definitions: Definition[];
  readonly nextCursor: string | undefined;
  /** What was left out, a sentence each. */
  readonly problems: string[];
}

interface RawDefinition {
  name?: unknown;
  uri?: unknown;
  uriTemplate?: unknown;
  inputSchema?: unknown;
  outputSchema?: unknown;
  execution?: { taskSupport?: unknown } | null;
  annotations?: { readOnlyHint?: unknown; idempotentHint?: unknown } | null;
}

/** Members of a definition that are read here: two of one name could be read two ways. */
const READ_ONCE: Readonly<Record<ListKind, ReadonlySet<string>>> = {
  tools: new Set(['name', 'description', 'inputSchema', 'outputSchema', 'execution']),
  prompts: new Set(['name', 'description']),
  resources: new Set(['uri', 'description']),
  templates: new Set(['uriTemplate', 'description']),
};
const TASK_SUPPORT = ['required', 'optional', 'forbidden'] as const;
/** One for all: SDK servers write `execution` into every tool. */
const TASKS_ALONE: readonly ToolFacts[] = [...TASK_SUPPORT, undefined].map((taskSupport) => ({
  headers: [],
  wrapsOutput: false,
  taskSupport,
}));

/** Reads the bytes of a `result`. Throws an Error that says what is wrong with the page as a whole. */
export function readListPage(kind: ListKind, result: Buffer): ListPage {
  const { method, member, singular } = LISTS[kind];
  if (!isUtf8(result)) throw new Error(`answered ${method} with what is no UTF-8`);
  let parsed: Record<string, unknown> | null;
  try {
    parsed = JSON.parse(result.toString('utf8')) as typeof parsed;
  } catch {
    throw new Error(`answered ${method} with what is no JSON`);
  }
  const raw = parsed?.[member];
  if (!Array.isArray(raw)) throw new Error(`answered ${method} without a list of ${member}`);
  // As JSON.parse has it, the last of equal members counts.
  const list = membersOf(result).findLast(({ key }) => key === member) as Span;
  const definitions: Definition[] = [];
  const problems: string[] = [];
  elementsOf(result, list.start).forEach((span, index) => {
    const bytes = result.subarray(span.start, span.end);
    const problem = add(kind, definitions, raw[index] as RawDefinition | null, bytes);
    if (problem !== undefined) problems.push(`${singular} ${index + 1} left out: ${problem}`);
  });
  const cursor = parsed?.['nextCursor'];
  return { definitions, nextCursor: typeof cursor === 'string' ? cursor : undefined, problems };
}

function add(
  kind: ListKind,
  definitions: Definition[],
  raw: RawDefinition | null,
  bytes: Buffer,
): string | undefined {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return 'it is no object';
  const keyName = LISTS[kind].key;
  const key = raw[keyName];
  if (typeof key !== 'string' || key === '') return `it has no ${keyName}`;
  const shown = key.slice(0, 128);
  const tool = kind === 'tools' ? factsOf(raw, shown) : undefined;
  if (typeof tool === 'string') return tool;
  const members = membersOf(bytes);
  const read = new Map<string, Span>();
  for (const member of members) {
    if (!READ_ONCE[kind].has(member.key)) continue;
    if (read.has(member.key)) return `'${shown}' has a member twice`;
    read.set(member.key, member);
  }
  const description = read.get('description');
  const isText = description !== undefined && bytes[description.start] === 0x22;
  const hints = raw.annotations;
  definitions.push({
    key,
    bytes,
    keySpan: read.get(keyName) as Span,
    descriptionSpan: isText ? description : undefined,
    badDescriptionSpan: isText ? undefined : description,
    repeatable: hints?.readOnlyHint === true || hints?.idempotentHint === true,
    tool,
  });
  return undefined;
}

/** What is particular about a tool, or why it is left out. */
function factsOf(raw: RawDefinition, shown: string): ToolFacts | string | undefined {
  const { inputSchema, outputSchema, execution } = raw;
  if (!isObject(inputSchema)) return `the inputSchema of '${shown}' is no object`;
  // SDK clients refuse a whole list for one such schema (2025-11-25, Tool.inputSchema).
  if (inputSchema['type'] !== 'object') return `the inputSchema of '${shown}' has no "type": "object"`;
  const input = readSchema(inputSchema);
  if (typeof input === 'string') return `the inputSchema of '${shown}' ${input}`;
  const hasOutput = typeof outputSchema === 'boolean' || isObject(outputSchema);
  const output = hasOutput ? readSchema(outputSchema, false) : undefined;
  if (typeof output === 'string') return `the outputSchema of '${shown}' ${output}`;
  const wrapsOutput = hasOutput && (outputSchema as { type?: unknown }).type !== 'object';
  const plain = input.headers.length === 0 && !input.booleans && output?.booleans !== true && !wrapsOutput;
  if (plain && execution === undefined) return undefined;
  const taskSupport = TASK_SUPPORT.find((known) => known === execution?.taskSupport);
  if (plain) return TASKS_ALONE.find((facts) => facts.taskSupport === taskSupport);
  return { headers: input.headers, wrapsOutput, taskSupport };
}

/** Whether all that is particular about a tool is that it may, or may not, be a task: its schemas say nothing unusual. */
export function isPlain(facts: ToolFacts): boolean {
  return TASKS_ALONE.includes(facts);
}

export function sameList(a: readonly Definition[], b: readonly Definition[]): boolean {
  return a.length === b.length && a.every((each, i) => each.bytes.equals((b[i] as Definition).bytes));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
