import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { atEnd } from './cleanup.js';
import { until, within } from './wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** Runs a command on a terminal of its own; what is written to this process is typed there. */
const RELAY = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';
const SIZED = 'stty cols 160 rows 50; exec "$@"';

export interface OnTerminal {
  /** All that was shown, without escape codes. */
  readonly shown: string;
  /** Waits until a text is shown. */
  sees(text: string): Promise<void>;
  type(keys: string): void;
  exit(): Promise<number>;
}

/** Runs the built command on a pseudo-terminal. */
export function onTerminal(args: readonly string[], env: NodeJS.ProcessEnv): OnTerminal {
  const child = spawn(
    '/usr/bin/env',
    ['python3', '-c', RELAY, '/bin/sh', '-c', SIZED, 'sh', process.execPath, MAIN, ...args],
    { env: { TERM: 'xterm', ...env, PATH: process.env['PATH'] }, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let shown = '';
  const add = (text: string): void => {
    shown += text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
  };
  child.stdout.setEncoding('utf8').on('data', add);
  child.stderr.setEncoding('utf8').on('data', add);
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve(code ?? -1);
    });
  });
  ended.catch(() => {});
  atEnd(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  return {
    get shown() {
      return shown;
    },
    sees: async (text) => {
      await until(() => shown.includes(text), `'${text}' on the terminal`);
    },
    type(keys) {
      child.stdin.write(keys);
    },
    exit: () => within(ended, 'the end of the command'),
  };
}
