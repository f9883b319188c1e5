/** Runs `state.key_command`: a keychain or a vault that prints the state key. */
import { runCommand } from '../lib/run-command.js';
import { StateError } from './sealed.js';

const TIMEOUT_MS = 10_000;

/** Resolves with what the command prints. Rejects with a StateError if it cannot be started, fails, or does not end within `timeoutMs`. */
export async function runKeyCommand(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  timeoutMs = TIMEOUT_MS,
): Promise<string> {
  try {
    return await runCommand(argv, { environment, timeoutMs, key: 'state.key_command' });
  } catch (error) {
    throw new StateError((error as Error).message, error);
  }
}
