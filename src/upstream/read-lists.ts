/** The lists of an upstream, every page of each. */
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import {
  LIST_KINDS,
  LISTS,
  readListPage,
  type Definition,
  type ListKind,
  type ListPage,
} from '../protocol/lists.js';
import type { Collected } from './collect.js';
import { rpcCodeOf } from './failures.js';

/** Pages of one list, at the most: a list that does not end is no list. */
const MAX_PAGES = 1000;
const MAX_DEFINITIONS = 100_000;
/** Names by the specification (2025-11-25, server/tools, "Tool Names"). */
const TOOL_NAME = /^[A-Za-z0-9_.-]{1,128}$/;
const METHOD_NOT_FOUND = -32601;

export interface ReadListsDeps {
  readonly server: string;
  readonly log: Logger;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly request: (method: string, params: string | undefined) => Promise<Collected>;
  /** Asks for a sign of life. */
  readonly ping: () => Promise<unknown>;
}

/**
 * The kinds of `wanted` that the upstream declares, read to their ends. One that declares none is asked for a sign of life.
 */
export async function readLists(
  wanted: readonly ListKind[],
  deps: ReadListsDeps,
): Promise<Partial<Record<ListKind, readonly Definition[]>>> {
  const lists: Partial<Record<ListKind, readonly Definition[]>> = {};
  if (!LIST_KINDS.some((kind) => isDeclared(kind, deps))) {
    await deps.ping();
    return lists;
  }
  for (const kind of wanted) if (isDeclared(kind, deps)) lists[kind] = await readList(kind, deps);
  return lists;
}

function isDeclared(kind: ListKind, { capabilities }: ReadListsDeps): boolean {
  return capabilities[LISTS[kind].capability] !== undefined;
}

async function readList(kind: ListKind, deps: ReadListsDeps): Promise<readonly Definition[]> {
  const { server, log, request } = deps;
  const { method, singular } = LISTS[kind];
  const found = new Map<string, Definition>();
  let cursor: string | undefined;
  for (let page = 1; ; page++) {
    const params = cursor === undefined ? undefined : `{"cursor":${JSON.stringify(cursor)}}`;
    let answer: Collected;
    try {
      answer = await request(method, params);
    } catch (error) {
      // Many servers with resources have no templates, and say so this way.
      if (kind === 'templates' && rpcCodeOf(error) === METHOD_NOT_FOUND) return [];
      throw error;
    }
    const read = readPage(kind, answer.value, server);
    for (const problem of read.problems) log.warn(`${method}: ${problem}`, { server });
    for (const definition of read.definitions) {
      const { key } = definition;
      const shown = key.slice(0, 128);
      if (found.has(key)) {
        log.warn(`${method}: ${singular} '${shown}' is there twice, the first one counts`, { server });
        continue;
      }
      if (kind === 'tools' && !TOOL_NAME.test(key))
        log.warn(`${method}: '${shown}' is no name by the specification, listed as it is`, { server });
      found.set(key, definition);
    }
    const { nextCursor } = read;
    if (nextCursor === undefined) return [...found.values()];
    const same = nextCursor === cursor;
    if (same || page >= MAX_PAGES || found.size > MAX_DEFINITIONS) {
      const why = same ? 'the next cursor is the same again' : `${found.size} entries and more to come`;
      throw new GatewayError(
        'upstream_protocol_error',
        `upstream '${server}' never ends its ${method}: on page ${page} ${why}`,
      );
    }
    cursor = nextCursor;
  }
}

function readPage(kind: ListKind, value: Buffer, server: string): ListPage {
  try {
    return readListPage(kind, value);
  } catch (error) {
    throw new GatewayError('upstream_protocol_error', `upstream '${server}' ${(error as Error).message}`);
  }
}
