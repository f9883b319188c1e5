/** Where a command finds its servers: in a running gateway, or in one that it runs itself for as long as it takes. */
import type { Server } from '../admin/schemas.js';
import type { Gateway as LibraryGateway } from '../index.js';
import { createConsoleKey } from '../lib/console-key.js';
import { printableLine, Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { configOf } from './config-path.js';
import { duration } from './output.js';
import { gatewayOf, NO_GATEWAY, readApi, REFUSED, type Gateway } from './target.js';
import type { Written } from './verb.js';

/** How long the servers of a gateway in this process may take to settle: a first npx downloads. */
const SETTLE_MS = 120_000;
const POLL_MS = 100;
/** What takes longer is said. */
const QUIET_MS = 1000;

export interface Source {
  readonly gateway: Gateway;
  /** Definitions included with `full`. `profile`: as its endpoint lists them. */
  list<T>(
    kind: 'tools' | 'prompts' | 'resources',
    options: { readonly full: boolean; readonly profile?: string | undefined },
  ): Promise<readonly T[]>;
  /** Ends the gateway if it runs in this process. */
  close(): Promise<void>;
}

/** `withApi`: the lists of the admin API are needed too, not only its `/mcp`, which more people may use. */
export interface Need {
  readonly withApi: boolean;
}

/**
 * The running gateway; with a command line after `--`, or with a config whose gateway does not run, one in this process. Rejects with a
 * Refusal.
 */
export async function sourceOf(
  written: Written,
  terminal: Terminal,
  { withApi }: Need = { withApi: true },
): Promise<Source> {
  if (written.program) return await runAndTell(written, terminal);
  const gateway = await runningGateway(written, terminal, { withApi });
  if (gateway) return { ...listsOf(gateway), close: () => Promise.resolve() };
  terminal.err('no gateway runs: started one for this command\n');
  return await runAndTell(written, terminal);
}

/** undefined: none runs, but there is a config that this process can run one with. Rejects with a Refusal. */
export async function runningGateway(
  written: Written,
  terminal: Terminal,
  { withApi }: Need,
): Promise<Gateway | undefined> {
  const gateway = gatewayOf(written, terminal);
  try {
    await readApi(gateway, 'me');
  } catch (error) {
    const status = error instanceof Refusal ? error.status : undefined;
    if (status === REFUSED && !withApi) return gateway;
    const named = written.values['url'] ?? terminal.env['MCPSTEAD_URL'];
    if (status !== NO_GATEWAY || named !== undefined || configOf(written, terminal.env) === undefined)
      throw error;
    return undefined;
  }
  return gateway;
}

/** Says which servers are not up. */
async function runAndTell(written: Written, terminal: Terminal): Promise<Source> {
  const source = await runHere(written, terminal);
  for (const { name, level, cause } of source.servers)
    if (level !== 'ok' && level !== 'off')
      terminal.err(`${printableLine(`${name} is not up: ${cause ?? 'no answer yet'}`)}\n`);
  return source;
}

function listsOf(gateway: Gateway): Pick<Source, 'gateway' | 'list'> {
  return {
    gateway,
    async list<T>(kind: string, { full, profile }: Parameters<Source['list']>[1]) {
      const query = new URLSearchParams({
        ...(full && { full: 'true' }),
        ...(profile !== undefined && { profile }),
      });
      const answer = await readApi<Record<string, readonly T[]>>(
        gateway,
        query.size > 0 ? `${kind}?${query.toString()}` : kind,
      );
      return answer[kind] ?? [];
    },
  };
}

export interface Here {
  /** Of the server that the command line after `--` starts. */
  readonly name?: string;
  /** Tried in this order; by default any that is free. */
  readonly ports?: readonly number[];
  /** Of the servers of the config; by default all. */
  readonly only?: readonly string[];
  /** It uses the state of the config: logins stay. */
  readonly keepsState?: boolean;
}

/** A gateway in this process. */
export interface HereSource extends Source {
  /** As they were when each was up or had failed, or at the end of the time. */
  readonly servers: readonly Server[];
}

/** Runs a gateway in this process: with the program after `--`, or the config. Its servers have settled. Rejects with a Refusal. */
export async function runHere(
  written: Pick<Written, 'values' | 'program'>,
  terminal: Pick<Terminal, 'env' | 'err'>,
  { name = 'server', ports = [0], only, keepsState = false }: Here = {},
): Promise<HereSource> {
  const [{ createGateway }, { resolveConfig, loadConfig }] = await Promise.all([
    import('../index.js'),
    import('../config/index.js'),
  ]);
  const key = createConsoleKey();
  // Variables that configure another gateway do not count for this one.
  const env = {
    ...Object.fromEntries(
      Object.entries(terminal.env).filter(
        ([name]) => !name.startsWith('MCPSTEAD_') || (keepsState && name.startsWith('MCPSTEAD_STATE_KEY')),
      ),
    ),
    MCPSTEAD_CONSOLE_KEY: key,
  };
  const [command, ...args] = written.program ?? [];
  const config = configOf(written, terminal.env);
  const loaded =
    command === undefined
      ? loadConfig(config ?? '', env, true)
      : resolveConfig({ servers: [{ name, command, args }] }, env);
  const create = (port: number): LibraryGateway =>
    createGateway(
      {
        ...loaded,
        config: {
          ...loaded.config,
          host: '127.0.0.1',
          port,
          servers: loaded.config.servers.filter((each) => !only || only.includes(each.name)),
          admin: { ...loaded.config.admin, port: undefined },
          http: { ...loaded.config.http, tls: undefined },
          audit: { ...loaded.config.audit, file: undefined },
          tracing: { ...loaded.config.tracing, endpoint: undefined },
          // It shares nothing with a gateway that runs.
          cache: { dir: undefined },
          ...(!keepsState && { state: { ...loaded.config.state, dir: undefined } }),
        },
      },
      { env },
    );
  const { gateway, url } = await listen(create, ports);
  const here: Gateway = {
    origin: new URL(url).origin,
    address: { url: new URL('/', url), own: true },
    known: true,
    endpoint: url,
    credentials: [{ kind: 'console', secret: key }],
  };
  const close = async (): Promise<void> => {
    await gateway.close();
    gateway.destroy();
  };
  try {
    const servers = await settled(here, terminal);
    return { ...listsOf(here), servers, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function listen(
  create: (port: number) => LibraryGateway,
  [port = 0, ...others]: readonly number[],
): Promise<{ readonly gateway: LibraryGateway; readonly url: string }> {
  const gateway = create(port);
  try {
    const { url } = await gateway.listen();
    return { gateway, url };
  } catch (error) {
    gateway.destroy();
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || others.length === 0) throw error;
    return await listen(create, others);
  }
}

/** Waits until each server is up or has failed, for a limited time. */
async function settled(gateway: Gateway, terminal: Pick<Terminal, 'err'>): Promise<readonly Server[]> {
  const started = performance.now();
  let said = QUIET_MS;
  for (;;) {
    const all = (await readApi<{ servers: readonly Server[] }>(gateway, 'servers')).servers;
    const servers = all.filter(({ level }) => level !== 'off');
    const waiting = servers.filter(({ level }) => level === 'wait');
    const passed = performance.now() - started;
    if (waiting.length === 0 || passed > SETTLE_MS) return servers;
    if (passed > said) {
      const names = waiting.map(({ name }) => name).join(', ');
      terminal.err(`starting ${printableLine(names)}: ${duration(passed)} of ${duration(SETTLE_MS)}\n`);
      said *= 2;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
