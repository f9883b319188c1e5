/** Why a child could not be started. */
import { commandProblem } from '../../config/command.js';
import type { StdioServerConfig } from '../../config/types.js';

/** A failed start in one line with the way out; the system's own error does not even tell command from cwd. */
export function whyNotStarted(server: StdioServerConfig, error: NodeJS.ErrnoException): string {
  const { command, where } = server;
  return `cannot start: ${cause()} (${where})`;

  function cause(): string {
    const problem = commandProblem(server);
    if (problem !== undefined) return problem;
    if (error.code === 'ENOENT')
      return `the interpreter that the first line of '${command}' names does not exist`;
    if (error.code === 'EACCES')
      return `command '${command}' may not be executed: check its permissions (chmod +x)`;
    if (error.code === 'E2BIG') return 'its args and environment are too long for the system';
    return `command '${command}': ${error.message}`;
  }
}
