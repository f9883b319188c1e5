/** Reads the lists of a server, with all pages. An answer, even an unusable one, does not count as a failure of the connection. */
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import {
  declaresList,
  LIST_KINDS,
  LISTS,
  readListPageInTurns,
  type Definition,
  type ListKind,
  type ListPage,
} from '../../protocol/lists.js';
import type { Collected } from '../calls/collect.js';
import { asGatewayError, rpcCodeOf, troubleOf } from './failures.js';
import type { ReadList } from './list-order.js';

/** The most pages of one list: a list that does not end is refused. */
const MAX_PAGES = 1000;
const MAX_DEFINITIONS = 100_000;
/** The most warnings about the definitions of one list; further ones are counted. */
const MAX_PROBLEMS = 20;
/** Valid tool names (2025-11-25, server/tools, "Tool Names"). */
const TOOL_NAME = /^[A-Za-z0-9_.-]{1,128}$/;
/** Error codes by which a server says that it does not have a list, whatever it declares. */
const NO_LIST_CODES: ReadonlySet<number | undefined> = new Set([-32601, -32602]);

export interface ReadListsDeps {
  readonly server: string;
  readonly log: Logger;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  /** Resolves if the server is alive, else rejects. */
  readonly ping: () => Promise<unknown>;
}

/** The outcome of reading one list. */
export type ListOutcome =
  | ({ readonly type: 'list' } & ReadList)
  /** Declared, but the server does not have it. */
  | { readonly type: 'none' }
  /** The answer was not usable: the previous list is still used. */
  | { readonly type: 'failed'; readonly error: GatewayError };

export type ListOutcomes = ReadonlyMap<ListKind, ListOutcome>;

const EMPTY: ListOutcome = { type: 'list', definitions: [] };

/**
 * Reads the lists of `wanted`; those that the server does not declare are empty. A server that declares none at all is pinged instead.
 * Rejects with a GatewayError if the server cannot be reached.
 */
export async function readLists(wanted: readonly ListKind[], deps: ReadListsDeps): Promise<ListOutcomes> {
  const outcomes = new Map<ListKind, ListOutcome>();
  if (!LIST_KINDS.some((kind) => declaresList(kind, deps.capabilities))) await deps.ping();
  for (const kind of wanted)
    outcomes.set(kind, declaresList(kind, deps.capabilities) ? await outcomeOf(kind, deps) : EMPTY);
  return outcomes;
}

async function outcomeOf(kind: ListKind, deps: ReadListsDeps): Promise<ListOutcome> {
  try {
    return await readList(kind, deps);
  } catch (error) {
    const trouble = troubleOf(error);
    if (trouble === 'way') throw error;
    // The server may be busy or gone.
    if (trouble === 'silence') await deps.ping();
    return { type: 'failed', error: asGatewayError(error, deps.server) };
  }
}

async function readList(kind: ListKind, deps: ReadListsDeps): Promise<ListOutcome> {
  const { server, log, request } = deps;
  const { method, singular } = LISTS[kind];
  const found = new Map<string, Definition>();
  let lowest: Map<string, Definition> | undefined;
  let problems = 0;
  const report = (what: string): void => {
    if (++problems <= MAX_PROBLEMS) log.warn(`${method}: ${what}`, { server });
  };
  const seen = new Set<string>();
  let cursor: string | undefined;
  for (let page = 1; ; page++) {
    const params = cursor === undefined ? undefined : `{"cursor":${JSON.stringify(cursor)}}`;
    let answer: Collected;
    try {
      answer = await request(method, params);
    } catch (error) {
      if (page === 1 && NO_LIST_CODES.has(rpcCodeOf(error)) && troubleOf(error) === 'answer')
        return { type: 'none' };
      throw error;
    }
    const read = await readPage(kind, answer.value, server);
    for (const problem of read.problems) report(problem);
    for (const definition of read.definitions) {
      const { key } = definition;
      const shown = key.slice(0, 128);
      const first = found.get(key);
      if (first) {
        lowest ??= new Map();
        const low = lowest.get(key) ?? first;
        lowest.set(key, Buffer.compare(definition.bytes, low.bytes) < 0 ? definition : low);
        report(`${singular} '${shown}' is listed twice, the first one counts`);
        continue;
      }
      if (kind === 'tools' && !TOOL_NAME.test(key))
        report(`'${shown}' is not a valid name by the specification, listed as it is`);
      found.set(key, definition);
    }
    const { nextCursor } = read;
    const isRepeated = nextCursor !== undefined && seen.has(nextCursor);
    if (isRepeated) report(`the cursor of page ${page} was used before: the list ends there`);
    if (nextCursor === undefined || isRepeated) {
      if (problems > MAX_PROBLEMS)
        log.warn(`${method}: ${problems - MAX_PROBLEMS} more problems of this kind`, { server });
      return { type: 'list', definitions: [...found.values()], lowest };
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
