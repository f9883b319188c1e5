/** The tool `login`, which is all that a server lists while it waits for a login. */
import { readListPage, type Definition, type ListKind } from '../protocol/lists.js';
import type { Link, NameKind, Verdict } from '../protocol/ports.js';
import { Filter, type Registry } from './registry.js';

/** The tool's own name: `<server>__login` on the merged endpoint. */
export const LOGIN_TOOL = 'login';

/** One list for each server: rendered bytes are cached by it. */
const lists = new Map<string, readonly Definition[]>();
const tools = new WeakSet<Definition>();
const listing = new WeakSet<Link>();
const MOST_LISTS = 1000;

export function isLoginTool(definition: Definition | undefined): boolean {
  return definition !== undefined && tools.has(definition);
}

/** Whether a link has listed the tool. */
export function hasListed(link: Link): boolean {
  return listing.has(link);
}

function listOf(server: string): readonly Definition[] {
  const known = lists.get(server);
  if (known) return known;
  const tool = {
    name: LOGIN_TOOL,
    title: `Log in to ${server}`,
    description: `The server '${server}' lists its tools once somebody has logged in. Call this tool to get the page where that is done.`,
    inputSchema: { type: 'object', properties: {}, additionalProperties: false },
    annotations: { readOnlyHint: true, openWorldHint: true },
  };
  const { definitions } = readListPage('tools', Buffer.from(JSON.stringify({ tools: [tool] })));
  for (const definition of definitions) tools.add(definition);
  if (lists.size >= MOST_LISTS) lists.clear();
  lists.set(server, definitions);
  return definitions;
}

/** Lists the tool for servers that wait for a login. No rule hides it where the server itself is shown. */
export class LoginTools extends Filter {
  readonly #has: (server: string) => boolean;

  /** `has`: whether the tool is listed for a server while it waits. */
  constructor(base: Registry, has: (server: string) => boolean) {
    super(base);
    this.#has = has;
  }

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const isShown = kind === 'tools' && link.login !== undefined && this.#has(link.server);
    if (!isShown) return super.list(link, kind);
    listing.add(link);
    return listOf(link.server);
  }

  override verdict(
    server: string,
    kind: NameKind,
    name: string,
    definition: Definition | undefined,
  ): Verdict | undefined {
    return isLoginTool(definition) ? undefined : super.verdict(server, kind, name, definition);
  }
}
