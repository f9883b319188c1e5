/** For developers of servers: `mcpstead inspect [--watch FOLDER] -- COMMAND...`. */
import { existsSync, watch, type FSWatcher } from 'node:fs';
import { basename } from 'node:path';
import type { Server } from '../../admin/schemas.js';
import { Refusal } from '../../terminal/explain.js';
import { counted, outputOf, wayOut, type Output } from '../output.js';
import { runHere } from '../source.js';
import { actApi, readApi, type Gateway } from '../target.js';
import type { Verb } from '../verb.js';

const FIRST_PORT = 8766;
const PORTS_TRIED = 50;
/** An editor, or a compiler, writes several files at once. */
const QUIET_MS = 200;
const POLL_MS = 100;

/** Runs until Ctrl-C. */
export const inspect: Verb = async (written, terminal) => {
  if (!written.program || written.program.length === 0)
    throw new Refusal('name the server after --, as in: mcpstead inspect -- node dist/server.js', 2);
  const folder = written.values['watch'];
  if (folder !== undefined && !existsSync(folder))
    throw new Refusal(`--watch ${folder}: there is no such folder`, 2);
  const output = outputOf(written, terminal);
  const name =
    basename(process.cwd())
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .slice(0, 40) || 'server';
  const source = await runHere(written, terminal, { name, ports: portsOf(written.values['port']) });
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
  });
  let watcher: Watcher | undefined;
  try {
    const { gateway } = source;
    output.line(rowOf(await serverOf(gateway, name)));
    const { url } = await actApi<{ url: string }>(gateway, 'ticket/new');
    output.line(`console  ${url}   endpoint  ${gateway.origin}/servers/${name}/mcp`);
    if (folder !== undefined) watcher = new Watcher(folder, () => restart(gateway, name, output));
    await stopped;
    return 0;
  } finally {
    watcher?.close();
    await source.close();
  }
};

function portsOf(option: string | undefined): readonly number[] {
  if (option === undefined) return Array.from({ length: PORTS_TRIED }, (_, index) => FIRST_PORT + index);
  if (/^\d{1,5}$/.test(option) && Number(option) <= 65_535) return [Number(option)];
  throw new Refusal(`--port must be a number from 0 to 65535, not '${option}'`, 2);
}

async function serverOf(gateway: Gateway, name: string): Promise<Server> {
  return await readApi<Server>(gateway, `servers/${name}`);
}

/** `server   my-server 1.2.0   stdio   modern 2026-07-28   13 tools, ~1,160 tokens`. */
function rowOf(server: Server): string {
  const { name, level, kind, era, revision, tools, tokens, title, version } = server;
  if (level !== 'ok') return `server   ${name}   ${wayOut(server) || server.word}`;
  const speaks = `${era ?? ''} ${revision ?? ''}`.trim();
  return `server   ${title ?? name} ${version ?? ''}   ${kind}   ${speaks}   ${counted(tools, 'tool')}, ~${tokens.toLocaleString('en')} tokens`;
}

async function restart(gateway: Gateway, name: string, output: Output): Promise<void> {
  try {
    await actApi(gateway, `servers/${name}/restart`);
    let server = await serverOf(gateway, name);
    while (server.level === 'wait') {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      server = await serverOf(gateway, name);
    }
    output.line(rowOf(server));
  } catch (error) {
    output.note(`not restarted: ${(error as Error).message}`);
  }
}

/** Calls `changed` when files of a folder have changed and been quiet for a moment; never twice at a time. */
class Watcher {
  readonly #watcher: FSWatcher;
  readonly #changed: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;

  constructor(folder: string, changed: () => Promise<void>) {
    this.#changed = changed;
    this.#watcher = watch(folder, { recursive: true }, () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#run(), QUIET_MS);
    });
    // A folder that goes away is not watched any more.
    this.#watcher.on('error', () => undefined);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#watcher.close();
  }

  async #run(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    await this.#changed();
    this.#running = false;
    if (!this.#again) return;
    this.#again = false;
    await this.#run();
  }
}
