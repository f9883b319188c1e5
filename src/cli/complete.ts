/** The hidden command `mcpstead __complete WORD...`: prints what the last word can become, one proposal a line. */
import type { ApprovalList } from '../admin/approval-schemas.js';
import type { GrantList } from '../admin/grant-schemas.js';
import type { Server, Tool } from '../admin/schemas.js';
import type { Terminal } from '../terminal/terminal.js';
import { CLIENTS } from './clients/index.js';
import { proposals, type Propose } from './app.js';
import { errorPages } from './error-pages.js';
import { gatewayOf, readApi } from './target.js';

/** Commands that `table.ts` does not have. */
const FIRST = ['serve', 'stdio', 'health', 'demo'];
/** Proposals beyond that are of no use. */
const MOST = 2000;
/** A shell puts a proposal into the command line as it is: a name with other characters is none. */
const PLAIN = /^[\p{L}\p{M}\p{N}_.:/+-]+$/u;

/** Never fails: without a gateway there are no names of tools and servers. */
export async function complete(words: readonly string[], terminal: Terminal): Promise<number> {
  const partial = words.at(-1) ?? '';
  const propose: Propose = async (kind) => {
    if (kind === 'code') return errorPages().map(({ code }) => code);
    if (kind === 'client') return CLIENTS.map(({ name }) => name);
    const gateway = gatewayOf({ values: {} }, terminal);
    if (kind === 'server')
      return (await readApi<{ servers: readonly Server[] }>(gateway, 'servers')).servers.map(
        ({ name }) => name,
      );
    if (kind === 'approval')
      return (await readApi<ApprovalList>(gateway, 'approvals')).approvals.map(({ id }) => id);
    if (kind === 'grant') return (await readApi<GrantList>(gateway, 'grants')).grants.map(({ id }) => id);
    if (kind === 'tool')
      return (await readApi<{ tools: readonly Tool[] }>(gateway, 'tools')).tools.map(({ name }) => name);
    return [];
  };
  const matching: Propose = (kind, start) =>
    propose(kind, start).then(
      (names) => names.filter((name) => name.startsWith(start)),
      () => [],
    );
  const found = await proposals(words.length === 0 ? [''] : words, matching, terminal).catch(
    (): string[] => [],
  );
  if (words.length <= 1) found.push(...FIRST.filter((name) => name.startsWith(partial)));
  for (const each of found.filter((name) => PLAIN.test(name)).slice(0, MOST)) terminal.out(`${each}\n`);
  return 0;
}
