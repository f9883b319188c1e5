/** Programs of this machine that commands run. */
import { spawn } from 'node:child_process';

/** Whether a program took the URL. The URL is a secret for 2 minutes: on a shared machine others may see the arguments of a process. */
export async function openInBrowser(url: string): Promise<boolean> {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open']
      : process.platform === 'win32'
        ? ['rundll32', 'url.dll,FileProtocolHandler']
        : ['xdg-open'];
  if (command === undefined) return false;
  return await new Promise((resolve) => {
    const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true });
    child.on('error', () => {
      resolve(false);
    });
    child.on('spawn', () => {
      child.unref();
      resolve(true);
    });
  });
}

export interface Ran {
  /** null: it could not be started. */
  readonly status: number | null;
  /** stdout and stderr, the first 64 KB. */
  readonly text: string;
}

const OUTPUT_CHARS = 65_536;
const RUN_MS = 30_000;

/** Runs a program to its end, for at most 30 s. Never rejects. */
export function runProgram(command: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    let text = '';
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_MS });
    const add = (chunk: string): void => {
      text = (text + chunk).slice(0, OUTPUT_CHARS);
    };
    child.stdout.setEncoding('utf8').on('data', add);
    child.stderr.setEncoding('utf8').on('data', add);
    child.on('error', (error) => {
      resolve({ status: null, text: error.message });
    });
    child.on('close', (status) => {
      resolve({ status: status ?? 1, text: text.trim() });
    });
  });
}
