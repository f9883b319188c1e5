/** The lists of an upstream, every page of each. What it answers, whatever it is, is no failure of the way to it. */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import {
  LIST_KINDS,
  LISTS,
  readListPageInTurns,
  type Definition,
  type ListKind,
  type ListPage,
} from '../../protocol/lists.js';
import type { Collected } from '../calls/collect.js';
import { asGatewayError, rpcCodeOf, troubleOf } from './failures.js';

/** Pages of one list, at the most: a list that does not end is no list. */
const MAX_PAGES = 1000;
const MAX_DEFINITIONS = 100_000;
/** What is wrong with the definitions of one list is logged so many times, the rest counted. */
const MAX_COMPLAINTS = 20;
/** Names by the specification (2025-11-25, server/tools, "Tool Names"). */
const TOOL_NAME = /^[A-Za-z0-9_.-]{1,128}$/;
/** Answers to a list by which a server says that it has none, whatever it declared. */
const NONE: ReadonlySet<number | undefined> = new Set([-32601, -32602]);

export interface ReadListsDeps {
  readonly server: string;
  readonly log: Logger;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  /** Asks for a sign of life. Rejects where there is none. */
  readonly ping: () => Promise<unknown>;
}

/** How the reading of one list ended. */
export type ListOutcome =
  | { readonly type: 'list'; readonly definitions: readonly Definition[] }
  /** Declared, but there is none. */
  | { readonly type: 'none' }
  /** The upstream answered, but with no list: the one it gave before stands. */
  | { readonly type: 'failed'; readonly error: GatewayError };

export type ListOutcomes = ReadonlyMap<ListKind, ListOutcome>;

const EMPTY: ListOutcome = { type: 'list', definitions: [] };

/**
 * The kinds of `wanted`, read to their ends; those that the upstream does not declare are empty. One that declares none at all is asked for
 * a sign of life. Rejects where there is no way to the upstream.
 */
export async function readLists(wanted: readonly ListKind[], deps: ReadListsDeps): Promise<ListOutcomes> {
  const outcomes = new Map<ListKind, ListOutcome>();
  if (!LIST_KINDS.some((kind) => isDeclared(kind, deps))) await deps.ping();
  for (const kind of wanted) outcomes.set(kind, isDeclared(kind, deps) ? await outcomeOf(kind, deps) : EMPTY);
  return outcomes;
}

function isDeclared(kind: ListKind, { capabilities }: ReadListsDeps): boolean {
  const declared = capabilities[LISTS[kind].capability];
  return declared !== undefined && declared !== null;
}

async function outcomeOf(kind: ListKind, deps: ReadListsDeps): Promise<ListOutcome> {
  try {
    return await readList(kind, deps);
  } catch (error) {
    const trouble = troubleOf(error);
    if (trouble === 'way') throw error;
    // It may be busy with something else, or gone.
    if (trouble === 'silence') await deps.ping();
    return { type: 'failed', error: asGatewayError(error, deps.server) };
  }
}

async function readList(kind: ListKind, deps: ReadListsDeps): Promise<ListOutcome> {
  const { server, log, request } = deps;
  const { method, singular } = LISTS[kind];
  const found = new Map<string, Definition>();
  let complaints = 0;
  const complain = (what: string): void => {
    if (++complaints <= MAX_COMPLAINTS) log.warn(`${method}: ${what}`, { server });
  };
  const seen = new Set<string>();
  let cursor: string | undefined;
  for (let page = 1; ; page++) {
    const params = cursor === undefined ? undefined : `{"cursor":${JSON.stringify(cursor)}}`;
    let answer: Collected;
    try {
      answer = await request(method, params);
    } catch (error) {
      if (page === 1 && NONE.has(rpcCodeOf(error)) && troubleOf(error) === 'answer') return { type: 'none' };
      throw error;
    }
    const read = await readPage(kind, answer.value, server);
    for (const problem of read.problems) complain(problem);
    for (const definition of read.definitions) {
      const { key } = definition;
      const shown = key.slice(0, 128);
      if (found.has(key)) {
        complain(`${singular} '${shown}' is there twice, the first one counts`);
        continue;
      }
      if (kind === 'tools' && !TOOL_NAME.test(key))
        complain(`'${shown}' is no name by the specification, listed as it is`);
      found.set(key, definition);
    }
    const { nextCursor } = read;
    const isRepeated = nextCursor !== undefined && seen.has(nextCursor);
    if (isRepeated) complain(`the cursor of page ${page} was there before: the list ends with it`);
    if (nextCursor === undefined || isRepeated) {
      if (complaints > MAX_COMPLAINTS)
        log.warn(`${method}: ${complaints - MAX_COMPLAINTS} more complaints of this kind`, { server });
      return { type: 'list', definitions: [...found.values()] };
    }
    if (page >= MAX_PAGES || found.size > MAX_DEFINITIONS)
      throw new GatewayError(
        'upstream_protocol_error',
        `upstream '${server}' never ends its ${method}: on page ${page} ${found.size} entries and more to come`,
      );
    seen.add(nextCursor);
    cursor = nextCursor;
  }
}

async function readPage(kind: ListKind, value: Buffer, server: string): Promise<ListPage> {
  try {
    return await readListPageInTurns(kind, value);
  } catch (error) {
    throw new GatewayError('upstream_protocol_error', `upstream '${server}' ${(error as Error).message}`);
  }
}
