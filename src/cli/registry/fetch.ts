/** Requests to a registry of MCP servers (its API v0.1). */
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { exchange, refusalText } from '../gateway-request.js';
import { NO_GATEWAY } from '../target.js';

const REGISTRY = 'https://registry.modelcontextprotocol.io';
/** For the whole request: offline, a name is looked up for longer. */
const DEADLINE_MS = 9000;
const ANSWER_BYTES = 4_194_304;
/** What takes longer is said. */
const QUIET_MS = 1000;

/** The newest version of a server. Rejects with a Refusal, of status 4 if there is no answer. */
export async function fetchServer(
  name: string,
  registry: string | undefined,
  terminal: Pick<Terminal, 'err'>,
): Promise<unknown> {
  const path = `v0.1/servers/${encodeURIComponent(name)}/versions/latest`;
  const found = await ask(path, registry, terminal);
  if (found === undefined)
    throw new Refusal(`the registry has no server '${name}': mcpstead search WORD looks for one`);
  return found;
}

/** The answer to a search. Rejects as `fetchServer` does. */
export async function searchServers(
  word: string,
  registry: string | undefined,
  terminal: Pick<Terminal, 'err'>,
): Promise<unknown> {
  const query = new URLSearchParams({ search: word, version: 'latest', limit: '30' });
  return await ask(`v0.1/servers?${query.toString()}`, registry, terminal);
}

/** undefined: the registry answers that there is nothing. */
async function ask(
  path: string,
  registry: string | undefined,
  { err }: Pick<Terminal, 'err'>,
): Promise<unknown> {
  const base = registry ?? REGISTRY;
  if (!URL.canParse(base) || !/^https?:$/.test(new URL(base).protocol))
    throw new Refusal(`--registry must be an http or https URL, not '${base}'`, 2);
  const url = new URL(path, base.endsWith('/') ? base : `${base}/`);
  const say = setTimeout(() => {
    err(`asking ${url.host}, for at most ${DEADLINE_MS / 1000} s\n`);
  }, QUIET_MS);
  let deadline: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      deadline = setTimeout(() => {
        reject(new Error(`no answer within ${DEADLINE_MS / 1000} s`));
      }, DEADLINE_MS);
    });
    const request = { path: url.href, timeoutMs: DEADLINE_MS, bodyBytes: ANSWER_BYTES };
    const answered = exchange({ url, own: false }, request);
    answered.catch(() => undefined);
    const answer = await Promise.race([answered, late]);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200)
      throw new Refusal(`the registry at ${url.host} answered ${refusalText(answer)}`, NO_GATEWAY);
    return JSON.parse(answer.body) as unknown;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const why =
      error instanceof SyntaxError ? 'it answered with something other than JSON' : (error as Error).message;
    throw new Refusal(`no registry at ${url.host}: ${why}; name another with --registry`, NO_GATEWAY);
  } finally {
    clearTimeout(say);
    clearTimeout(deadline);
  }
}
