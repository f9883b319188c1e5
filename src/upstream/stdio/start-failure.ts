/** Why a child could not be started. */
import { commandProblem } from '../../config/command.js';
import type { StdioServerConfig } from '../../config/types.js';

/** One line that says why, and what to do: the error of the system does not tell a missing command from a missing cwd. */
export function whyNotStarted(server: StdioServerConfig, error: NodeJS.ErrnoException): string {
  const { command, where } = server;
  return `cannot start: ${cause()} (${where})`;

  function cause(): string {
    const problem = commandProblem(server);
    if (problem !== undefined) return problem;
    if (error.code === 'ENOENT') return `the interpreter in the first line of '${command}' does not exist`;
    if (error.code === 'EACCES')
      return `command '${command}' may not be executed: check its permissions (chmod +x)`;
    if (error.code === 'E2BIG') return 'its args and environment are too long for the system';
    return `command '${command}': ${error.message}`;
  }
}
