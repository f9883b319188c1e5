/** Secrets that are read while the gateway runs: from a file that others replace, or from a command that prints them. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { runCommand } from '../lib/run-command.js';
import { unlessAborted } from '../lib/within.js';
import { CredentialProblem } from './problem.js';

/** Resolves with what a command prints: `key` names it in errors. Rejects with an Error that holds nothing of its output. */
export type RunCommand = (
  argv: readonly string[],
  options: {
    readonly key: string;
    readonly signal: AbortSignal;
    /** Variables in addition to those of a stdio server. */
    readonly environment?: Readonly<Record<string, string>>;
  },
) => Promise<string>;

/** Runs commands with `environment`, each for at most 10 s. */
export function commandRunner(environment: Readonly<Record<string, string>>): RunCommand {
  return (argv, { key, signal, environment: more }) =>
    runCommand(argv, {
      environment: { ...environment, ...more },
      timeoutMs: COMMAND_MS,
      key,
      signal,
      hidesOutput: true,
    });
}

const COMMAND_MS = 10_000;
const READ_MS = 10_000;
const MOST_BYTES = 65_536;

/** The content of a secret file without its last newline. `key` names it in errors. Rejects with a CredentialProblem. */
export async function readSecretFile(path: string, key: string, signal: AbortSignal): Promise<string> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(READ_MS)]);
  try {
    const text = (await unlessAborted(contentOf(path), limited)).replace(/\r?\n$/, '');
    if (text === '') throw new Error('it is empty');
    return text;
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = error as NodeJS.ErrnoException;
    const why = limited.aborted
      ? `it was not read within ${READ_MS / 1000} s`
      : code === 'ENOENT' || code === 'ENOTDIR'
        ? 'no such file'
        : code === 'EACCES' || code === 'EPERM'
          ? 'permission denied'
          : (code ?? message);
    throw new CredentialProblem('temporary', `cannot use ${key} ${path}: ${why}`, { cause: error });
  }
}

async function contentOf(path: string): Promise<string> {
  // Opening a pipe would block until something writes to it.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is not a regular file');
    const buffer = Buffer.allocUnsafe(MOST_BYTES + 1);
    let length = 0;
    while (length <= MOST_BYTES) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0)
        return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
      length += bytesRead;
    }
    throw new Error(`it is larger than ${MOST_BYTES} bytes`);
  } finally {
    await file.close();
  }
}
