import { commandProblem } from '../config/command.js';
import { loadConfig } from '../config/index.js';
import { checkAccess } from '../index.js';
import { printable } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';

/** Returns 0 if a gateway would start with the config. Throws ConfigError with all of its problems. */
export function check(path: string, terminal: Terminal): number {
  const { config, warnings } = loadConfig(path, terminal.env);
  checkAccess(config);
  for (const warning of warnings) terminal.err(printable(`warning: ${warning}\n`));
  for (const server of config.servers) {
    if (server.kind !== 'stdio' || server.problem !== undefined) continue;
    const problem = commandProblem(server);
    if (problem !== undefined)
      terminal.err(printable(`warning: ${server.where}: server '${server.name}': ${problem}\n`));
  }
  const count = config.servers.length;
  terminal.out(`ok: ${count} ${count === 1 ? 'server' : 'servers'}\n`);
  return 0;
}
