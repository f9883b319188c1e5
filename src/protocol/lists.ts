/** The lists of a server: definitions as bytes, with the spans of the members that get replaced. */
import { turns } from '../lib/turns.js';
import { isObject, objectOf } from '../wire/json.js';
import { isUtf8 } from 'node:buffer';
import type { JsonObject } from '../wire/json.js';
import { foldName } from '../wire/fold.js';
import type { FixedMembers } from '../wire/fixed-members.js';
import { skipSpace, type Span } from '../wire/scan.js';
import { splice } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';
import { elementsAt, membersAt, UnprovenError, type WalkedValue } from '../wire/walk-unproven.js';
import { without } from '../wire/without.js';
import {
  EXTENSION_LISTS,
  factsOf as extensionFactsOf,
  type ExtensionFacts,
  type KindFacts,
} from './extensions/index.js';
import { readSchema, type ParamHeader } from './schema.js';
import { isObjectSchema, misshapen, unreadableIn, type ListKind } from './shapes.js';

export type { ParamHeader } from './schema.js';
export type { ListKind } from './shapes.js';

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
  ...EXTENSION_LISTS,
};

/** Whether a server declares that it has a list. */
export function declaresList(kind: ListKind, capabilities: JsonObject): boolean {
  const { capability, extension } = LISTS[kind];
  const declared =
    capability === undefined
      ? objectOf(capabilities['extensions'])?.[extension ?? '']
      : capabilities[capability];
  return declared !== undefined && declared !== null;
}

export const LIST_KINDS = Object.keys(LISTS) as readonly ListKind[];

export interface Definition {
  /** Its name, URI or URI template, as its server calls it. */
  readonly key: string;
  /** The JSON by which rules judge it in place of its own: what was approved before it changed. */
  readonly trusted?: Buffer | undefined;
  /** The name that replaces it in lists; undefined: its own. */
  readonly shown?: string | undefined;
  /**
   * In a profile without prefixes: `listed` under its bare name; `tied`: not listed, because another server has the name. undefined: listed
   * under its full name.
   */
  readonly bare?: 'listed' | 'tied' | undefined;
  /** Arguments with fixed values, which are not in `bytes`; undefined: none. */
  readonly fixed?: FixedMembers | undefined;
  /** The whole definition. */
  readonly bytes: Buffer;
  /** The span of the key, within `bytes`. */
  readonly keySpan: Span;
  /** Within `bytes`; undefined: there is none. */
  readonly descriptionSpan: Span | undefined;
  /** Read-only or idempotent (2025-11-25, ToolAnnotations). */
  readonly repeatable: boolean;
  /** Facts about a tool that the bridge needs; undefined: none, and clients of both eras read the same bytes. */
  readonly tool: ToolFacts | undefined;
  /** What extensions say about it; undefined: nothing. */
  readonly extension: ExtensionFacts | undefined;
}

/** What the bridge needs to know to call a tool for a client of another era. */
export interface ToolFacts {
  /** Parameters that are mirrored into headers (2026-07-28, server/tools, "x-mcp-header"). */
  readonly headers: readonly ParamHeader[];
  /** Its `outputSchema` is not an object schema (possible since 2026-07-28): older clients get it wrapped. */
  readonly wrapsOutput: boolean;
  /** `execution.taskSupport` (2025-11-25, basic/utilities/tasks). */
  readonly taskSupport: 'required' | 'optional' | 'forbidden' | undefined;
}

export type Lists = Readonly<Record<ListKind, readonly Definition[]>>;

export const NO_LISTS: Lists = { tools: [], prompts: [], resources: [], templates: [], skills: [] };

export interface ListPage {
  readonly definitions: Definition[];
  readonly nextCursor: string | undefined;
  /** What was left out, one sentence each. */
  readonly problems: string[];
}

interface RawDefinition {
  name?: unknown;
  uri?: unknown;
  uriTemplate?: unknown;
  frontmatter?: unknown;
  inputSchema?: unknown;
  outputSchema?: unknown;
  execution?: { taskSupport?: unknown } | null;
  annotations?: { readOnlyHint?: unknown; idempotentHint?: unknown } | null;
}

/** Members that are read here. A definition that repeats one is ambiguous, and is left out. */
const READ_ONCE: Readonly<Record<ListKind, ReadonlyMap<string, string>>> = {
  tools: folded('name', 'title', 'description', 'inputSchema', 'outputSchema', 'execution', 'annotations'),
  prompts: folded('name', 'title', 'description', 'arguments'),
  resources: folded('uri', 'name', 'title', 'description'),
  templates: folded('uriTemplate', 'name', 'title', 'description'),
  skills: folded('uri', 'frontmatter', 'resources'),
};

/** Keyed by folded name: some readers ignore case. */
function folded(...names: string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [foldName(name), name]));
}

const TASK_SUPPORT = ['required', 'optional', 'forbidden'] as const;
/** Shared objects, since SDK servers write `execution` into every tool. */
const TASKS_ALONE: readonly ToolFacts[] = [...TASK_SUPPORT, undefined].map((taskSupport) => ({
  headers: [],
  wrapsOutput: false,
  taskSupport,
}));

/** Largest definition, and largest other member of a page, since each is parsed at once. */
const MAX_DEFINITION_BYTES = 4_194_304;
/** Deepest definition: within a list it stays below the 64 levels that some readers accept. */
const MAX_DEFINITION_DEPTH = 60;

/** Reads the bytes of a `result`. Throws an Error if the page as a whole is invalid. */
export function readListPage(kind: ListKind, result: Buffer): ListPage {
  const reading = pageIn(kind, result);
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
  }
}

/** The same with pauses for other work. */
export async function readListPageInTurns(kind: ListKind, result: Buffer): Promise<ListPage> {
  const reading = pageIn(kind, result);
  for (;;) {
    const { done, value } = reading.next();
    if (done) return value;
    if (turns.isOver()) await turns.next();
  }
}

/** Yields between definitions, and within large values. */
function* pageIn(kind: ListKind, result: Buffer): Generator<number, ListPage> {
  const { method, member, singular } = LISTS[kind];
  if (!isUtf8(result)) throw new Error(`answered ${method} with invalid UTF-8`);
  try {
    // Of equal members the last counts, as in JSON.parse.
    let list: Span | undefined;
    let cursor: unknown;
    const start = skipSpace(result, 0);
    if (result[start] === 0x7b) {
      const end = yield* membersAt(result, start, (key, value) => {
        if (key === member) list = value;
        else if (key === 'nextCursor') cursor = parsed(result, value);
        else parsed(result, value);
      });
      if (skipSpace(result, end) < result.length) throw new UnprovenError('more after the object');
    }
    if (!list || result[list.start] !== 0x5b)
      throw new Error(`answered ${method} without a list of ${member}`);
    const definitions: Definition[] = [];
    const problems: string[] = [];
    let index = 0;
    yield* elementsAt(result, list.start, (value) => {
      index++;
      const problem = isTooLarge(value) ?? addFrom(kind, definitions, result, value, problems);
      if (problem !== undefined) problems.push(`${singular} ${index} left out: ${problem}`);
    });
    // Some servers send an empty cursor on the last page.
    const nextCursor = typeof cursor === 'string' && cursor !== '' ? cursor : undefined;
    return { definitions, nextCursor, problems };
  } catch (error) {
    if (error instanceof UnprovenError) throw new Error(`answered ${method} with invalid JSON`);
    throw error;
  }
}

function isTooLarge({ start, end, depth }: WalkedValue): string | undefined {
  if (end - start > MAX_DEFINITION_BYTES) return `it is larger than ${MAX_DEFINITION_BYTES} bytes`;
  return depth > MAX_DEFINITION_DEPTH ? `it is nested deeper than ${MAX_DEFINITION_DEPTH}` : undefined;
}

/** Throws UnprovenError if the value is not JSON, or too large. */
function parsed(buf: Buffer, value: WalkedValue): unknown {
  if (isTooLarge(value) !== undefined) throw new UnprovenError('a member that is too large');
  try {
    return JSON.parse(buf.toString('utf8', value.start, value.end));
  } catch {
    throw new UnprovenError('a value that is not JSON');
  }
}

function addFrom(
  kind: ListKind,
  definitions: Definition[],
  page: Buffer,
  value: WalkedValue,
  notes: string[],
): string | undefined {
  const raw = parsed(page, value) as RawDefinition | null;
  return add(kind, definitions, raw, page.subarray(value.start, value.end), notes);
}

function add(
  kind: ListKind,
  definitions: Definition[],
  raw: RawDefinition | null,
  bytes: Buffer,
  notes: string[],
): string | undefined {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return 'it is not an object';
  const keyName = LISTS[kind].key;
  const key = raw[keyName];
  if (typeof key !== 'string' || key === '') return `it has no ${keyName}`;
  const shown = key.slice(0, 128);
  if (kind === 'skills' ? !isObject(raw.frontmatter) : keyName !== 'name' && typeof raw.name !== 'string')
    return `'${shown}' has no ${kind === 'skills' ? 'frontmatter' : 'name'}`;
  const unreadable = unreadableIn(bytes);
  if (unreadable !== undefined) return `'${shown}' ${unreadable}`;
  let members = membersOf(bytes);
  const before = raw as JsonObject;
  const bad = misshapen(kind, before);
  if (bad.size > 0) {
    bytes = splice(bytes, without(bytes, 0, members, bad));
    members = membersOf(bytes);
    raw = JSON.parse(bytes.toString('utf8')) as RawDefinition;
    const told = [...bad].filter((name) => before[name] !== null);
    if (told.length > 0)
      notes.push(`'${shown}' is listed without its ${told.join(', ')}, which no client could read`);
  }
  if (kind === 'tools') {
    const completed = withObjectSchema(raw, bytes, members);
    if (completed) {
      notes.push(`'${shown}' has no "type": "object" in its inputSchema, and is listed with it`);
      bytes = completed;
      members = membersOf(bytes);
      raw = JSON.parse(bytes.toString('utf8')) as RawDefinition;
    }
  }
  const tool = kind === 'tools' ? factsOf(raw, shown) : undefined;
  if (typeof tool === 'string') return tool;
  const read = new Map<string, Span>();
  for (const member of members) {
    const name = READ_ONCE[kind].get(foldName(member.key));
    if (name === undefined) continue;
    if (read.has(name)) return `'${shown}' has a member twice`;
    if (name !== member.key) return `'${shown}' has a member that can be read as '${name}'`;
    read.set(name, member);
  }
  const hints = raw.annotations;
  definitions.push({
    key,
    bytes,
    keySpan: read.get(keyName) as Span,
    descriptionSpan: read.get('description'),
    repeatable: hints?.readOnlyHint === true || hints?.idempotentHint === true,
    tool,
    extension: extensionFactsOf(kind, raw as JsonObject, bytes, members),
  });
  return undefined;
}

/**
 * Completes the inputSchema of a tool if it is missing, null or without a type (2025-11-25, Tool.inputSchema): SDK clients reject a whole
 * list for one such tool. undefined: nothing to complete.
 */
function withObjectSchema(
  { inputSchema }: RawDefinition,
  bytes: Buffer,
  members: readonly { readonly key: string; readonly start: number; readonly end: number }[],
): Buffer | undefined {
  const at = members.findLast(({ key }) => key === 'inputSchema');
  if (!at) return splice(bytes, [{ start: 1, end: 1, bytes: Buffer.from(`"inputSchema":${ANY_OBJECT},`) }]);
  if (inputSchema === null || inputSchema === undefined)
    return splice(bytes, [{ start: at.start, end: at.end, bytes: Buffer.from(ANY_OBJECT) }]);
  if (!isObject(inputSchema) || 'type' in inputSchema) return undefined;
  const rest = Object.keys(inputSchema).length > 0 ? ',' : '';
  return splice(bytes, [
    { start: at.start + 1, end: at.start + 1, bytes: Buffer.from(`"type":"object"${rest}`) },
  ]);
}

const ANY_OBJECT = '{"type":"object"}';

/** The facts about a tool, or why it is left out. */
function factsOf(raw: RawDefinition, shown: string): ToolFacts | string | undefined {
  const { inputSchema, outputSchema, execution } = raw;
  if (!isObject(inputSchema)) return `the inputSchema of '${shown}' is not an object`;
  // SDK clients reject a whole list for one such schema (2025-11-25, Tool.inputSchema).
  if (inputSchema['type'] !== 'object') return `the inputSchema of '${shown}' has no "type": "object"`;
  if (!isObjectSchema(inputSchema))
    return `the inputSchema of '${shown}' has properties that are not schemas`;
  const input = readSchema(inputSchema);
  if (typeof input === 'string') return `the inputSchema of '${shown}' ${input}`;
  const hasOutput = typeof outputSchema === 'boolean' || isObject(outputSchema);
  if (isObject(outputSchema) && outputSchema['type'] === 'object' && !isObjectSchema(outputSchema))
    return `the outputSchema of '${shown}' has properties that are not schemas`;
  const output = hasOutput ? readSchema(outputSchema, false) : undefined;
  if (typeof output === 'string') return `the outputSchema of '${shown}' ${output}`;
  const wrapsOutput = hasOutput && (outputSchema as { type?: unknown }).type !== 'object';
  const plain = input.headers.length === 0 && !input.booleans && output?.booleans !== true && !wrapsOutput;
  if (plain && execution === undefined) return undefined;
  const taskSupport = TASK_SUPPORT.find((known) => known === execution?.taskSupport);
  if (plain) return TASKS_ALONE.find((facts) => facts.taskSupport === taskSupport);
  return { headers: input.headers, wrapsOutput, taskSupport };
}

/** Whether the facts are only about tasks, with ordinary schemas. */
export function isPlain(facts: ToolFacts): boolean {
  return TASKS_ALONE.includes(facts);
}

export function sameList(a: readonly Definition[], b: readonly Definition[]): boolean {
  return a.length === b.length && a.every((each, i) => each.bytes.equals((b[i] as Definition).bytes));
}

/**
 * A tool with other bytes, in which the reader finds the places of the members again; undefined: it cannot be read. Everything else stays: its
 * names, its fixed arguments, and the headers that its server wants of arguments which the bytes no longer list.
 */
export function withBytes(tool: Definition, bytes: Buffer): Definition | undefined {
  const page = Buffer.concat([Buffer.from('{"tools":['), bytes, Buffer.from(']}')]);
  const [read] = readListPage('tools', page).definitions;
  if (!read) return undefined;
  const { keySpan, descriptionSpan, extension } = read;
  return { ...tool, bytes: read.bytes, keySpan, descriptionSpan, extension };
}
