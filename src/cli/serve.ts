import { resolve } from 'node:path';
import { isLoopback, loadConfig, type LoadedConfig } from '../config/index.js';
import { createGateway } from '../index.js';
import { createLogger } from '../observe/logger.js';
import { handleUncaught } from './uncaught.js';
import { watchable } from './watchable.js';
import type { Terminal } from '../terminal/terminal.js';
import { untilStopped } from '../terminal/signals.js';

const ANNOUNCED: ReadonlySet<string> = new Set(['listening', 'upstream up', 'upstream down']);

/** Runs a gateway with a config file until a signal stops it. */
export async function serve(path: string, version: string, terminal: Terminal): Promise<number> {
  const { loaded, load, watch } = await watchable(
    path,
    () => loadConfig(path, terminal.env),
    (loaded) => {
      warnIfOpen(loaded, terminal);
    },
  );
  const { level, format } = loaded.config.logging;
  const logger = createLogger({ level, format, destination: 'stdout' });
  /** Whether the terminal is told what happens, and needs no log of it. */
  let announcing = terminal.tty.out;
  const gateway = createGateway(loaded, {
    logger: {
      ...logger,
      info(message, fields) {
        if (!announcing || !ANNOUNCED.has(message)) logger.info(message, fields);
      },
    },
    env: terminal.env,
    reload: load,
    configFile: resolve(path),
  });
  const uncaught = handleUncaught({
    logger,
    drain: () => gateway.close().then(() => logger.flush()),
    exit: terminal.exit,
  });
  try {
    const stopped = untilStopped(watch?.stopping(gateway) ?? gateway, terminal.exit);
    const address = await Promise.race([gateway.listen(), stopped]);
    if (typeof address === 'object') watch?.begin({ reload: () => gateway.reload(), log: logger });
    if (typeof address === 'object' && announcing) {
      const { announce } = await import('./arrival.js');
      const { servers } = loaded.config;
      const quiet = announce(
        {
          version,
          endpoint: address.url,
          console: gateway.consoleUrl(),
          config: resolve(path),
          health: () => gateway.health(),
          connectMs: (name) => startMs(servers.find((server) => server.name === name)),
          settled: () => (announcing = false),
        },
        terminal,
      );
      void stopped.finally(quiet).catch(() => undefined);
    }
    return await stopped;
  } finally {
    uncaught.release();
    watch?.close();
    gateway.destroy();
    await logger.flush();
  }
}

function startMs(server: LoadedConfig['config']['servers'][number] | undefined): number {
  if (!server) return 0;
  return server.kind === 'stdio' ? server.timeouts.start_ms : server.timeouts.connect_ms;
}

/** Warns about a gateway that is open to the network. The warning goes to stderr at any log level, not to the log. */
function warnIfOpen({ config: { host, port, mcp, admin } }: LoadedConfig, terminal: Terminal): void {
  if (mcp.auth.mode !== 'none') return;
  if (!isLoopback(host))
    terminal.err(`
WARNING: mcpstead listens on ${host} and lets in everyone (mcp.auth.mode: none).
         Whoever reaches port ${port} can call every tool of every server, with your credentials.
         Either set mcp.auth.mode: bearer and MCPSTEAD_BEARER_TOKEN,
         or set host: 127.0.0.1.

`);
  if (admin.port !== undefined && !isLoopback(admin.host))
    terminal.err(`
WARNING: mcpstead listens on ${admin.host} for operators and lets in everyone (mcp.auth.mode: none).
         Whoever reaches port ${admin.port} can read the metrics, reload the configuration and approve definitions.
         Either set mcp.auth.mode: bearer and MCPSTEAD_BEARER_TOKEN,
         or set admin.host: 127.0.0.1.

`);
}
