/** All pages of an upstream's tools/list. */
import { GatewayError } from '../errors.js';
import type { Logger } from '../observe/log.js';
import { readToolsPage, type ToolDefinition, type ToolsPage } from '../protocol/tools-page.js';
import type { Collected } from './collect.js';

/** Pages of one list, at the most: a list that does not end is no list. */
const MAX_PAGES = 1000;
const MAX_TOOLS = 100_000;
/** Names by the specification (2025-11-25, server/tools, "Tool Names"). */
const TOOL_NAME = /^[A-Za-z0-9_.-]{1,128}$/;

/** `declared`: the upstream has the tools capability; one without is asked for a sign of life alone. */
export async function listTools(
  declared: boolean,
  server: string,
  log: Logger,
  request: (method: string, params: string | undefined) => Promise<Collected>,
): Promise<ToolDefinition[]> {
  if (!declared) {
    await request('ping', undefined);
    return [];
  }
  const tools = new Map<string, ToolDefinition>();
  let cursor: string | undefined;
  for (let page = 1; ; page++) {
    const params = cursor === undefined ? undefined : `{"cursor":${JSON.stringify(cursor)}}`;
    const read = readPage((await request('tools/list', params)).value, server);
    for (const problem of read.problems) log.warn(`tools/list: ${problem}`, { server });
    for (const tool of read.tools) {
      if (tools.has(tool.name)) {
        log.warn(`tools/list: '${tool.name}' is there twice, the first one counts`, { server });
        continue;
      }
      if (!TOOL_NAME.test(tool.name))
        log.warn(
          `tools/list: '${tool.name.slice(0, 128)}' is no name by the specification, listed as it is`,
          { server },
        );
      tools.set(tool.name, tool);
    }
    const { nextCursor } = read;
    if (nextCursor === undefined) return [...tools.values()];
    const same = nextCursor === cursor;
    if (same || page >= MAX_PAGES || tools.size > MAX_TOOLS) {
      const why = same ? 'the next cursor is the same again' : `${tools.size} tools and more to come`;
      throw new GatewayError(
        'upstream_protocol_error',
        `upstream '${server}' never ends its tools/list: on page ${page} ${why}`,
      );
    }
    cursor = nextCursor;
  }
}

function readPage(value: Buffer, server: string): ToolsPage {
  try {
    return readToolsPage(value);
  } catch (error) {
    throw new GatewayError('upstream_protocol_error', `upstream '${server}' ${(error as Error).message}`);
  }
}
