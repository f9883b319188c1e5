import { loadConfig } from '../config/index.js';
import { createGateway } from '../index.js';
import { createLogger } from '../observe/logger.js';
import { untilStopped } from '../terminal/signals.js';
import { handleUncaught } from './uncaught.js';
import { watchable } from './watchable.js';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';

/** Runs a gateway for the client that started this process, until the client leaves. */
export async function stdio(path: string, profile: string | undefined, terminal: Terminal): Promise<number> {
  const { loaded, load, watch } = await watchable(path, () => loadConfig(path, terminal.env, true));
  const known = loaded.config.profiles.map(({ name }) => name);
  if (profile !== undefined && !known.includes(profile))
    throw new Refusal(`no profile '${profile}' in ${path}; there is: ${known.join(', ') || 'none'}`);
  const { level, format } = loaded.config.logging;
  // stdout carries MCP messages only.
  const logger = createLogger({ level, format, destination: 'stderr' });
  const gateway = createGateway(loaded, { logger, env: terminal.env, reload: load });
  const uncaught = handleUncaught({
    logger,
    drain: () => gateway.close().then(() => logger.flush()),
    exit: terminal.exit,
  });
  try {
    const stopped = untilStopped(watch?.stopping(gateway) ?? gateway, terminal.exit);
    watch?.begin({ reload: () => gateway.reload(), log: logger });
    await Promise.race([gateway.attach(terminal.stdin, terminal.stdout, { profile }), stopped]);
    await gateway.close();
    return 0;
  } finally {
    uncaught.release();
    watch?.close();
    gateway.destroy();
    await logger.flush();
  }
}
