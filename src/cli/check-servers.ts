/** Connects to the servers of a config once, to say which are up. */
import type { Action } from '../admin/schemas.js';
import type { Terminal } from '../terminal/terminal.js';
import { duration } from './output.js';

/** A first npx downloads. */
const SETTLE_MS = 120_000;
const POLL_MS = 100;
/** What takes longer is said. */
const QUIET_MS = 1000;

export interface CheckedServer {
  readonly name: string;
  readonly up: boolean;
  /** Why it is not up, and what to do. */
  readonly why: string | null;
}

interface Health {
  readonly name: string;
  readonly connected: boolean;
  readonly state: string;
  readonly last_error: string | null;
  readonly cause?: string | null;
  readonly action?: Action | null;
}

/** Starts a gateway in this process, on a port of its own, until each server is up or has failed. Rejects if the config is not valid. */
export async function checkServers(
  config: string,
  names: readonly string[],
  terminal: Pick<Terminal, 'env' | 'err'>,
): Promise<readonly CheckedServer[]> {
  const [{ createGateway }, { loadConfig }] = await Promise.all([
    import('../index.js'),
    import('../config/index.js'),
  ]);
  // Variables that configure another gateway do not count for this one.
  const env = Object.fromEntries(
    Object.entries(terminal.env).filter(([name]) => !name.startsWith('MCPSTEAD_')),
  );
  const loaded = loadConfig(config, env, true);
  const gateway = createGateway(
    {
      ...loaded,
      config: {
        ...loaded.config,
        host: '127.0.0.1',
        port: 0,
        servers: loaded.config.servers.filter(({ name }) => names.includes(name)),
        admin: { ...loaded.config.admin, port: undefined },
        http: { ...loaded.config.http, tls: undefined },
        audit: { ...loaded.config.audit, file: undefined },
        tracing: { ...loaded.config.tracing, endpoint: undefined },
        cache: { dir: undefined },
        state: { ...loaded.config.state, dir: undefined },
      },
    },
    { env },
  );
  const started = performance.now();
  let said = QUIET_MS;
  try {
    await gateway.listen();
    for (;;) {
      const servers = gateway.health().servers as readonly Health[];
      const waiting = servers.filter(({ connected, last_error }) => !connected && last_error === null);
      const passed = performance.now() - started;
      if (waiting.length === 0 || passed > SETTLE_MS) return servers.map(checked);
      if (passed > said) {
        const who = waiting.map(({ name }) => name).join(', ');
        terminal.err(`starting ${who}: ${duration(passed)} of ${duration(SETTLE_MS)}\n`);
        said *= 2;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    await gateway.close();
    gateway.destroy();
  }
}

function checked({ name, connected, last_error, cause, action }: Health): CheckedServer {
  if (connected) return { name, up: true, why: null };
  const how = action && (action.command === undefined ? action.text : `${action.text}: ${action.command}`);
  const why = cause ?? withoutName(last_error) ?? `no answer within ${duration(SETTLE_MS)}`;
  return { name, up: false, why: how ? `${why}: ${how}` : why };
}

/** The name and the place in the config are known already. */
function withoutName(error: string | null): string | undefined {
  return error?.replace(/^upstream '[^']*' (?:cannot start: )?/, '').replace(/ \([^()]*:\d+\)$/, '');
}
