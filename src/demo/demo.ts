import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { commandOf } from '../lib/package-files.js';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { untilStopped } from '../terminal/signals.js';
import { createGateway, type ConfigInput, type Gateway } from '../index.js';
import { createLogger } from '../observe/logger.js';
import { clock, clockTools } from './clock.js';
import { startHttpServer } from './http-server.js';

const FIRST_PORT = 8766;
const PORTS_TRIED = 50;
const START_MS = 15_000;

/** Runs a gateway with two example servers until a signal stops it, and prints how to use it. */
export async function demo(port: string | undefined, version: string, terminal: Terminal): Promise<number> {
  const asked = port === undefined ? undefined : portOf(port);
  const [command, ...args] = commandOf('demo/notes.js');
  const logger = createLogger({ level: 'warn', format: 'auto', destination: 'stderr' });
  const example = await startHttpServer(clock, clockTools);
  let gateway: Gateway | undefined;
  try {
    const config = (number: number): ConfigInput => ({
      host: '127.0.0.1',
      port: number,
      servers: [
        { name: 'notes', command, args },
        { name: 'clock', url: example.url, proxy: 'none' },
      ],
    });
    // The demo ignores variables that configure a real gateway.
    const env = Object.fromEntries(
      Object.entries(terminal.env).filter(([name]) => !name.startsWith('MCPSTEAD_')),
    );
    const create = (number: number): Gateway => createGateway(config(number), { logger, env });
    const listening = await listen(create, asked);
    gateway = listening.gateway;
    const stopped = untilStopped(gateway, terminal.exit);
    await Promise.race([allUp(gateway), stopped]);
    const tools = await toolsOf(listening.url);
    terminal.out(welcome(version, listening.url, gateway.consoleUrl(), tools));
    return await stopped;
  } finally {
    gateway?.destroy();
    await example.close();
    await logger.flush();
  }
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65_535) return port;
  throw new Refusal(`--port must be a number from 0 to 65535, not '${text}'`, 2);
}

/** Listens on `asked`, or on 8766 or the next free port. */
async function listen(
  create: (port: number) => Gateway,
  asked: number | undefined,
): Promise<{ gateway: Gateway; url: string }> {
  for (let port = asked ?? FIRST_PORT; ; port++) {
    const gateway = create(port);
    try {
      const { url } = await gateway.listen();
      return { gateway, url };
    } catch (error) {
      gateway.destroy();
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!taken || asked !== undefined || port >= FIRST_PORT + PORTS_TRIED) throw error;
    }
  }
}

async function allUp(gateway: Gateway): Promise<void> {
  const end = performance.now() + START_MS;
  while (gateway.health().status !== 'ok' && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface Listed {
  readonly name: string;
  readonly description?: string;
}

async function toolsOf(url: string): Promise<readonly Listed[]> {
  // Not by fetch, which takes as long to load as the rest of the start.
  const asked = request(url, {
    method: 'POST',
    agent: false,
    signal: AbortSignal.timeout(START_MS),
    headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
  });
  asked.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }));
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const { result } = (await json(answer)) as { result?: { tools: Listed[] } };
  return result?.tools ?? [];
}

function welcome(version: string, url: string, page: string | undefined, tools: readonly Listed[]): string {
  const base = url.replace(/\/mcp$/, '');
  const width = Math.max(0, ...tools.map(({ name }) => name.length));
  const call = (id: number, name: string, args: object, meta?: object): string =>
    JSON.stringify({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name, arguments: args, ...(meta ? { _meta: meta } : {}) },
    });
  const add = call(1, 'notes__add', { text: 'hello from curl' });
  const countdown = call(2, 'clock__countdown', { seconds: 3 }, { progressToken: 'c' });
  return `mcpstead ${version}: a gateway with two example servers, notes (stdio) and clock (HTTP)

  Console       ${page ?? 'none'}
  MCP endpoint  ${url}
  One server    ${base}/servers/notes/mcp
  Health        ${base}/health
  Metrics       ${base}/metrics

Tools
${tools.map(({ name, description = '' }) => `  ${name.padEnd(width)}  ${description}`).join('\n')}

Call one
  curl -s ${url} -H 'Content-Type: application/json' -d '${add}'

Watch one stream
  curl -sN ${url} -H 'Content-Type: application/json' -H 'Accept: text/event-stream' -d '${countdown}'

Connect a client
  Claude Code     claude mcp add --transport http mcpstead ${url}
  Claude Desktop  {"mcpServers":{"mcpstead":{"command":"npx","args":["-y","mcp-remote","${url}"]}}}   in claude_desktop_config.json
  Cursor          {"mcpServers":{"mcpstead":{"url":"${url}"}}}   in .cursor/mcp.json
  VS Code         {"servers":{"mcpstead":{"type":"http","url":"${url}"}}}   in .vscode/mcp.json

Ctrl-C stops everything.
`;
}
