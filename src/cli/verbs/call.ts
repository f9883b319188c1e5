/** Calls a tool: `mcpstead call TOOL [name=text...]`. */
import { McpClient, type Era, type JsonObject, type McpError, type Outcome } from '../../client/index.js';
import { printable, printableLine, Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { argumentsOf } from '../arguments.js';
import { answererOf } from '../ask.js';
import { fetchOf } from '../fetch.js';
import { INTERRUPTED, interruptible } from '../interrupt.js';
import { outputOf, type Output } from '../output.js';
import { sourceOf, type Source } from '../source.js';
import { NO_GATEWAY, REFUSED, SERVER_ERROR } from '../target.js';
import type { Verb, Written } from '../verb.js';

export const call: Verb = async (written, terminal) => {
  const [name = '', ...words] = written.words;
  const era = eraOf(written.values['era']);
  const output = outputOf(written, terminal);
  const source = await sourceOf(written, terminal, { withApi: false });
  try {
    const answer = answererOf(terminal);
    const client = new McpClient({
      ...endpointOf(source, written),
      fetch: fetchOf(source.gateway.address),
      era,
      clientInfo: { name: 'mcpstead', version: '1' },
      ...(answer && { answer }),
      // A call may be silent for as long as its server is given.
      idleMs: 24 * 3_600_000,
    });
    try {
      const tool = await find(client, name, source);
      const args = await argumentsOf(words, tool['inputSchema'], terminal);
      return await run(client, tool, args, { output, terminal });
    } finally {
      await client.close();
    }
  } finally {
    await source.close();
  }
};

function eraOf(option = 'legacy'): Era {
  if (option === 'legacy' || option === 'modern') return option;
  throw new Refusal(`--era is legacy (2025-11-25) or modern (2026-07-28), not '${option}'`, 2);
}

/** With a token, what clients use; with the console key, the same for operators. A program alone has its own names. */
function endpointOf(
  { gateway }: Source,
  { program }: Written,
): { readonly url: string; readonly headers?: () => Record<string, string> } {
  const [credential] = gateway.credentials;
  const own = program ? '/servers/server/mcp' : '/mcp';
  if (credential?.kind === 'console')
    return {
      url: `${gateway.origin}/-${own}`,
      headers: () => ({ authorization: `Bearer ${credential.secret}` }),
    };
  return {
    url: gateway.endpoint,
    ...(credential && { headers: () => ({ authorization: `Bearer ${credential.secret}` }) }),
  };
}

/** The tool of this name; a name without its server is enough where only one server has it. */
async function find(client: McpClient, name: string, { gateway }: Source): Promise<JsonObject> {
  const listed = await client.listAll('tools');
  if (!listed.ok) throw refusal(listed.error, gateway.origin);
  const exact = listed.value.find((tool) => tool['name'] === name);
  if (exact) return exact;
  const ending = listed.value.filter((tool) => String(tool['name']).endsWith(`__${name}`));
  const [only, other] = ending;
  if (only && !other) return only;
  const what = other
    ? `several servers have '${name}': ${ending.map((tool) => String(tool['name'])).join(', ')}`
    : `there is no tool '${name}': mcpstead tools lists them`;
  throw new Refusal(printableLine(what), 2);
}

async function run(
  client: McpClient,
  tool: JsonObject,
  args: Awaited<ReturnType<typeof argumentsOf>>,
  { output, terminal }: { readonly output: Output; readonly terminal: Terminal },
): Promise<number> {
  return await interruptible(async (signal) => {
    const outcome = await client.call(String(tool['name']), args, {
      signal,
      schema: tool['inputSchema'],
      logLevel: 'info',
      progress: ({ progress, total, message }) => {
        const share = total ? `${Math.round((progress / total) * 100)}%` : String(progress);
        output.note(`progress ${share}${message === null ? '' : ` ${printableLine(message)}`}`);
      },
      log: ({ level, data }) => {
        output.note(printableLine(`${level}: ${typeof data === 'string' ? data : JSON.stringify(data)}`));
      },
    });
    return signal.aborted ? INTERRUPTED : show(outcome, output, terminal);
  });
}

function show(outcome: Outcome<JsonObject>, output: Output, terminal: Terminal): number {
  if (!outcome.ok) throw refusal(outcome.error, 'the gateway');
  const result = outcome.value;
  if (output.json) output.document(result);
  else for (const text of textsOf(result)) terminal.out(`${printable(text)}\n`);
  if (result['isError'] !== true) return 0;
  if (!output.json) output.note('the tool says that it failed (isError)');
  return SERVER_ERROR;
}

/** The content for people; the structured content where there is no other. */
function textsOf(result: JsonObject): readonly string[] {
  const content = Array.isArray(result['content']) ? (result['content'] as readonly JsonObject[]) : [];
  if (content.length === 0 && result['structuredContent'] !== undefined)
    return [JSON.stringify(result['structuredContent'], null, 2)];
  return content.map((block) => {
    const { type, text, mimeType, data, uri, resource } = block;
    if (type === 'text') return String(text);
    if (type === 'resource_link') return `[resource ${String(uri)}]`;
    if (type === 'resource') {
      const { uri: address, text: body } = (resource ?? {}) as JsonObject;
      return typeof body === 'string' ? body : `[resource ${String(address)}]`;
    }
    const bytes = typeof data === 'string' ? Math.floor((data.length * 3) / 4) : 0;
    return `[${String(type)} ${typeof mimeType === 'string' ? mimeType : ''}, ${bytes} bytes: --json prints it]`;
  });
}

/** The exit status says who failed: the server, the network, or who refused. */
function refusal({ kind, status, code, message }: McpError, where: string): Refusal {
  const text = printableLine(message);
  if (kind === 'jsonrpc') return new Refusal(`error ${String(code)}: ${text}`, SERVER_ERROR);
  if (status === 401 || status === 403)
    return new Refusal(`${where} refused: HTTP ${status}: ${text}`, REFUSED);
  return new Refusal(`${where}: ${status === null ? '' : `HTTP ${status}: `}${text}`, NO_GATEWAY);
}
